"""Frames that are in memory already, as tensors or NumPy arrays: which axis is which, and in which range."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nextframe.core.errors import UserError

CHANNELS = (1, 3)
LAYOUTS = ("THW", "THWC", "TCHW", "BTHWC", "BTCHW")
ROUNDING = 1e-3  # floats may leave [0, 1] by so much: resizing and compression do that


def as_frames(value: Tensor | NDArray[Any], layout: str | None = None) -> Tensor:
    """Return frames in memory as a tensor, one video (T, C, H, W) or a batch (B, T, C, H, W).

    Args:
        value: a tensor (T, C, H, W) or (B, T, C, H, W), or a NumPy array: (T, H, W), (T, H, W, C) or (T, C, H, W), and
            with a batch axis before. The axis of 1 or 3 says where the channels are. uint8, booleans, or floats in
            [0, 1].
        layout: the axes in letters, such as "TCHW" or "BTHWC"; None: as above.

    Returns:
        uint8, or float32 in [0, 1], in the memory of `value` where that is possible.

    Raises:
        UserError: axes that could mean two things, values out of range, or no frames; the line says what to do.
    """
    frames = value if isinstance(value, Tensor) else _as_tensor(value)
    axes = layout or _axes(tuple(frames.shape), isinstance(value, Tensor))
    _check_axes(axes, tuple(frames.shape))
    if "C" not in axes:
        frames, axes = frames.unsqueeze(-1), axes + "C"
    order = "BTCHW" if "B" in axes else "TCHW"
    return _checked(frames.detach().permute([axes.index(axis) for axis in order]))


def _as_tensor(value: Any) -> Tensor:
    if not isinstance(value, np.ndarray):
        raise UserError(f"frames must be a tensor or a NumPy array, not {type(value).__name__}")
    if value.dtype.kind not in "buf":
        raise UserError(f"frames must be uint8 or floats in [0, 1], not {value.dtype}")
    return torch.from_numpy(np.ascontiguousarray(value))


def _axes(shape: tuple[int, ...], is_tensor: bool) -> str:
    """Return the axes that `shape` can only mean; a tensor is channels first, as everywhere in torch."""
    if is_tensor:
        return {4: "TCHW", 5: "BTCHW"}.get(len(shape), "")
    if len(shape) == 3:
        return "THW"
    first, last = "TCHW"[-len(shape) :], "THWC"
    if len(shape) == 5:
        first, last = "BTCHW", "BTHWC"
    fitting = [axes for axes in (first, last) if len(axes) == len(shape) and shape[axes.index("C")] in CHANNELS]
    if len(fitting) == 2:
        raise UserError(f'frames {shape} could be {first} or {last}: say which, as layout="{last}"')
    return fitting[0] if fitting else ""


def _check_axes(axes: str, shape: tuple[int, ...]) -> None:
    wanted = "a tensor (T, C, H, W) or (B, T, C, H, W), or an array (T, H, W, C) or (T, C, H, W), C 1 or 3"
    if not axes:
        raise UserError(f"frames {shape} are not a video: give {wanted}")
    if axes not in LAYOUTS:
        raise UserError(f"unknown layout '{axes}' (one of: {', '.join(LAYOUTS)})")
    if len(axes) != len(shape) or 0 in shape:
        raise UserError(f"frames {shape} do not have the axes {axes}")
    if "C" in axes and shape[axes.index("C")] not in CHANNELS:
        raise UserError(f"frames {shape} have {shape[axes.index('C')]} channels: give grey (1) or RGB (3) frames")


def _checked(frames: Tensor) -> Tensor:
    if frames.dtype == torch.bool:
        return frames.to(torch.uint8) * 255
    if frames.dtype == torch.uint8:
        return frames
    if not frames.is_floating_point():
        raise UserError(f"frames must be uint8 or floats in [0, 1], not {frames.dtype}")
    low, high = float(frames.min()), float(frames.max())
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):  # also true for NaN
        raise UserError(f"frames have values from {low:g} to {high:g}: floats must be in [0, 1], or give uint8")
    return frames.float().clamp(0, 1)
