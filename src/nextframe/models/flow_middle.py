"""Flow-middle: both neighbours moved half way along the optical flow between them."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from nextframe.flow.dis import dense_flow
from nextframe.flow.warp import backward_warp, landed
from nextframe.models.contract import Capabilities, ModelConfig, Predictor, Request
from nextframe.models.mean_neighbours import between_two

LOOK_UPS = 3


class FlowMiddleConfig(ModelConfig):
    """How the motion is estimated, and how sharply the better guess is preferred."""

    preset: Literal["ultrafast", "fast", "medium"] = Field("medium", description="preset of OpenCV's DIS flow")
    max_side: int = Field(1024, ge=32, description="larger frames are halved for the estimate, not for the prediction")
    window: int = Field(5, ge=1, description="side of the square over which two frames are compared, odd")
    tolerance: float = Field(
        0.02, gt=0, description="a guess whose frames differ by this much more has a weight e times smaller"
    )


class FlowMiddle(Predictor):
    """Three guesses of the motion through each pixel of the middle, blended by how well they agree with themselves.

    The guesses are the flow from the first frame, the flow from the second, and none. Each says where the pixel
    was and where it will be; both positions look alike if it is right. Where an object passes, the flow that goes
    through the middle at p started elsewhere, which a few look-ups find.
    """

    Config: ClassVar[type[ModelConfig]] = FlowMiddleConfig
    config: FlowMiddleConfig
    idea = "Moves both neighbours half way along the optical flow and blends where they agree."
    when = "Slow motion and higher frame rates of real video."
    paper = "DIS flow: Kroeger et al., ECCV 2016"

    @property
    def capabilities(self) -> Capabilities:
        """Two frames, the one between them; any size; nothing to train."""
        return between_two()

    def forecast(self, request: Request) -> Tensor:
        """Return the middle frame (B, 1, C, H, W) of context (B, 2, C, H, W)."""
        before, after = request.context.unbind(1)
        how = {"preset": self.config.preset, "max_side": self.config.max_side}
        there = half_way(dense_flow(before, after, **how).to(before.dtype))  # type: ignore[arg-type]
        back = half_way(dense_flow(after, before, **how).to(before.dtype))  # type: ignore[arg-type]
        means, errors = zip(*(self._guess(before, after, move) for move in (there, -back, None)), strict=True)
        weights = torch.softmax(-torch.stack(errors) / self.config.tolerance, dim=0)  # (3, B, 1, H, W)
        return (weights * torch.stack(means)).sum(0).unsqueeze(1)

    def _guess(self, before: Tensor, after: Tensor, move: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the middle frame (B, C, H, W) by a half motion `move`, and how badly both frames agree on it."""
        if move is not None:
            before, after = backward_warp(before, -move), backward_warp(after, move)
        error = (before - after).abs().mean(1, keepdim=True)
        side = self.config.window
        return (before + after) / 2, F.avg_pool2d(error, side, 1, side // 2, count_include_pad=False)


def half_way(flow: Tensor) -> Tensor:
    """Return half of the motion that passes each pixel in the middle, of a flow (B, 2, H, W) of the first frame."""
    return -landed(-flow / 2, LOOK_UPS)
