"""A second forecast beside a network's: the last real frame, moved on along its own optical flow."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from nextframe.flow.dis import dense_flow
from nextframe.flow.warp import backward_warp, compose, landed
from nextframe.layers.sampling import enlarged, precise
from nextframe.layers.window import split_alpha


class Drift(NamedTuple):
    """The frame to come if every pixel of the last real one, `frame` (B, C, H, W), keeps its motion.

    `path` (B, 2, h, w) leads from it back to `frame`, `flow` from it to the frame before it; both are at half of the
    size, in pixels of that. However far ahead it is, `frame` is sampled once, so it is as sharp as that.
    """

    frame: Tensor
    path: Tensor
    flow: Tensor

    @classmethod
    def along(cls, frames: Tensor) -> Drift:
        """Return the first frame after `frames` (B, K, C, H, W), K at least 2: along DIS flow between the last two."""
        colours = split_alpha(frames[:, -2:])[0]
        return cls.after(frames[:, -1].clone(), dense_flow(colours[:, 1], colours[:, 0], preset="fine"))

    @classmethod
    def after(cls, frame: Tensor, back: Tensor) -> Drift:
        """Return the first frame after `frame`; `back` (B, 2, H, W) is the flow from it to the one before it."""
        flow = F.avg_pool2d(back, 2, ceil_mode=True, count_include_pad=False) / 2
        path = landed(flow)
        return cls(frame, path, backward_warp(flow, path))

    def then(self, held: Tensor) -> Drift:
        """Return the one after it; or the same, in clips that are `held` (B,): they showed the last frame again."""
        step = landed(self.flow)
        path, flow = compose(step, self.path), backward_warp(self.flow, step)
        still = held.view(-1, 1, 1, 1)
        return self._replace(path=torch.where(still, self.path, path), flow=torch.where(still, self.flow, flow))

    def back(self) -> Tensor:
        """Return `path` at the size of the frame, in its pixels: (B, 2, H, W)."""
        height, width = self.path.shape[-2:]
        whole = enlarged(self.path, (2 * height, 2 * width))  # a row or column more where a side is odd
        return 2 * whole[..., : self.frame.shape[-2], : self.frame.shape[-1]]

    def shown(self) -> Tensor:
        """Return the frame to come, (B, C, H, W) in [0, 1], bicubic: between pixels a bilinear one is blurred."""
        frame = precise(self.frame)
        return backward_warp(frame, self.back().to(frame.dtype), "bicubic").clamp(0, 1)
