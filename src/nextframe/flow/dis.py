"""Dense optical flow between frames by OpenCV's DIS (dense inverse search, Kroeger et al., ECCV 2016)."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from nextframe.core.clip import as_uint8
from nextframe.core.errors import UserError

Preset = Literal["ultrafast", "fast", "medium", "fine"]

SMALLEST = 32  # DIS refuses sides under 12 pixels; smaller frames are padded by repeating their edge
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def dense_flow(first: Tensor, second: Tensor, *, preset: Preset = "medium", max_side: int = 1024) -> Tensor:
    """Estimate where each pixel of `first` went in `second`.

    Args:
        first: (B, C, H, W), uint8 or float in [0, 1]; C of 3 is RGB, of 4 RGBA (alpha is ignored), else the
            channels are averaged. Any size: sides under 32 pixels are padded by repeating the edge.
        second: the same shape.
        preset: DIS's own speed settings, the slowest last; `fine` is ours, to a fraction of a pixel in twice the time.
        max_side: frames with a longer side are halved in size until they fit, and the flow is scaled back.

    Returns:
        (B, 2, H, W) float32 in pixels, x (to the right) first, then y (down), on the frames' device. A pixel at p
        in `first` is seen at p + flow(p) in `second`. No gradient flows through it.

    Raises:
        UserError: the two do not have the same shape (B, C, H, W).
    """
    if first.ndim != 4 or first.shape != second.shape:
        shapes = f"{tuple(first.shape)}, {tuple(second.shape)}"
        raise UserError(f"flow needs two (B, C, H, W) of the same shape, not {shapes}")
    estimator = _estimator(preset)
    pairs = zip(_grey(first, max_side), _grey(second, max_side), strict=True)
    flow = torch.from_numpy(np.stack([_one_flow(estimator, a, b) for a, b in pairs])).to(first.device)
    return _resize_flow(flow, first.shape[-2:])


def _estimator(preset: Preset) -> Any:
    import cv2  # imported here: it takes a tenth of a second, which most commands need not spend

    presets = {
        "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
        "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
        "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
        "fine": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
    }
    estimator = cv2.DISOpticalFlow.create(presets[preset])
    if preset == "fine":  # patches are matched at full size; fewer of them, and less refinement, give nearly the same
        estimator.setFinestScale(0)
        estimator.setPatchStride(4)
        estimator.setGradientDescentIterations(12)
        estimator.setVariationalRefinementIterations(2)
    return estimator


def _grey(frames: Tensor, max_side: int) -> NDArray[np.uint8]:
    """Return (B, h, w) uint8, halved until no side is over `max_side`."""
    values = as_uint8(frames.detach()).float()  # (B, C, H, W)
    if values.shape[1] in (3, 4):
        weights = values.new_tensor(LUMA)
        grey = torch.einsum("bchw,c->bhw", values[:, :3], weights)
    else:
        grey = values.mean(1)
    while max(grey.shape[-2:]) > max_side:
        grey = F.avg_pool2d(grey, 2, ceil_mode=True)
    return grey.round().to(torch.uint8).cpu().numpy()


def _one_flow(estimator: Any, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return (2, h, w); small frames are padded below and to the right for the estimate."""
    height, width = first.shape
    pad = ((0, max(0, SMALLEST - height)), (0, max(0, SMALLEST - width)))
    flow = estimator.calc(np.pad(first, pad, "edge"), np.pad(second, pad, "edge"), None)  # (h, w, 2)
    return np.ascontiguousarray(flow[:height, :width].transpose(2, 0, 1), dtype=np.float32)


def _resize_flow(flow: Tensor, size: torch.Size) -> Tensor:
    if flow.shape[-2:] == size:
        return flow
    scale = flow.new_tensor([size[1] / flow.shape[-1], size[0] / flow.shape[-2]])
    return F.interpolate(flow, size=tuple(size), mode="bilinear", align_corners=False) * scale.view(1, 2, 1, 1)
