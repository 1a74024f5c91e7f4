"""Frames that are in memory already, as tensors or NumPy arrays: which axis is which, and in which range."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nextframe.core.errors import UserError
from nextframe.media.source import Color

CHANNELS = (1, 3)
LAYOUTS = ("THW", "THWC", "TCHW", "BTHWC", "BTCHW")
BT601 = (0.299, 0.587, 0.114)  # the shares of red, green and blue in grey
ROUNDING = 1e-3  # floats may leave [0, 1] by this much: resizing and compression do that


def as_frames(value: Tensor | NDArray[Any], layout: str | None = None) -> Tensor:
    """Return frames in memory as a tensor, one video (T, C, H, W) or a batch (B, T, C, H, W).

    Args:
        value: a tensor (T, C, H, W) or (B, T, C, H, W), or a NumPy array: (T, H, W), (T, H, W, C) or (T, C, H, W), and
            with a batch axis before. The axis of 1 or 3 says where the channels are. uint8, booleans, or floats in
            [0, 1].
        layout: the axes in letters, such as "TCHW" or "BTHWC"; None: as above.

    Returns:
        uint8, or float32 in [0, 1], in the memory of `value` if possible.

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


class Held:
    """Frames in memory that are read as a source is: one video (T, C, H, W), or a batch (B, T, C, H, W) of them.

    With `color`, grey frames are repeated to RGB, and RGB frames become ITU-R BT.601 luma.
    """

    def __init__(self, frames: Tensor, fps: float = 10.0, stride: int = 1, name: str = "frames in memory") -> None:
        if stride < 1:
            raise UserError(f"stride must be at least 1, not {stride}")
        self._frames, self.stride, self.fps = frames, stride, fps / stride
        self.path, self.name = Path(name), name
        self.color: Color | None = None
        self.missing = ""  # nothing is promised beyond what is there

    @property
    def videos(self) -> int:
        """Videos of the batch; 1 if it is not a batch."""
        return int(self._frames.shape[0]) if self._frames.ndim == 5 else 1

    @property
    def channels(self) -> int:
        """Channels of the frames that are returned: 1 (grey) or 3 (RGB)."""
        return {"grey": 1, "rgb": 3, None: int(self._frames.shape[-3])}[self.color]

    @property
    def height(self) -> int:
        """Rows of a frame."""
        return int(self._frames.shape[-2])

    @property
    def width(self) -> int:
        """Columns of a frame."""
        return int(self._frames.shape[-1])

    def last(self, n: int) -> Tensor:
        """Return the last `n` frames (fewer if there are fewer), counted back from the very last at the stride."""
        places = range(self._frames.shape[-4] - 1, -1, -self.stride)[:n]
        return self._at(list(places)[::-1])

    def clip(self, start: int, length: int) -> Tensor:
        """Return `length` frames from `start`, counted from 0 at the stride; UserError if there are not enough."""
        places = list(range(0, self._frames.shape[-4], self.stride))
        if start + length > len(places):
            raise UserError(f"{self.name}: asked for frames {start} to {start + length - 1}, there are {len(places)}")
        return self._at(places[start : start + length])

    def _at(self, places: list[int]) -> Tensor:
        chosen = self._frames.index_select(-4, torch.tensor(places, device=self._frames.device)).cpu()
        return recolored(chosen, self.channels)


def recolored(frames: Tensor, channels: int) -> Tensor:
    """Return frames (..., C, H, W) with `channels` channels, 1 or 3, in their own dtype and range."""
    if frames.shape[-3] == channels:
        return frames
    if channels == 3:
        return frames.repeat_interleave(3, dim=-3)
    luma = (frames.double() * torch.tensor(BT601, dtype=torch.float64).view(3, 1, 1)).sum(dim=-3, keepdim=True)
    return (luma if frames.is_floating_point() else luma.round()).to(frames.dtype)


def _as_tensor(value: Any) -> Tensor:
    if not isinstance(value, np.ndarray):
        raise UserError(f"frames must be a tensor or a NumPy array, not {type(value).__name__}")
    if value.dtype.kind not in "buf":
        raise UserError(f"frames must be uint8 or floats in [0, 1], not {value.dtype}")
    with warnings.catch_warnings():  # what is read-only, as a file that is mapped, is only read
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(np.ascontiguousarray(native(value)))


def native(values: NDArray[Any]) -> NDArray[Any]:
    """Return an array, in a form that torch has: this machine's order of bytes, floats of at most 64 bits."""
    long = values.dtype.kind == "f" and values.dtype.itemsize > np.dtype(np.float64).itemsize
    return values.astype(np.float64 if long else values.dtype.newbyteorder("="), copy=False)


def _axes(shape: tuple[int, ...], is_tensor: bool) -> str:
    """Return the axes of `shape` if it is unambiguous; a tensor is channels first, as everywhere in torch."""
    if is_tensor:
        return {4: "TCHW", 5: "BTCHW"}.get(len(shape), "")
    if len(shape) == 3:
        return "THW"
    first, last = "TCHW"[-len(shape) :], "THWC"
    if len(shape) == 5:
        first, last = "BTCHW", "BTHWC"
    fitting = [axes for axes in (first, last) if len(axes) == len(shape) and shape[axes.index("C")] in CHANNELS]
    if len(fitting) == 2:
        raise UserError(f'frames {shape} could be {first} or {last}: set the axes, as layout="{last}"')
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
