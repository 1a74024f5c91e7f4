"""Flow: the baseline in which everything keeps its current motion."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import torch
from pydantic import Field

from nextframe.flow.dis import dense_flow
from nextframe.flow.warp import backward_warp, landed, pixel_grid
from nextframe.models.contract import Block, Capabilities, ModelConfig, Predictor, Request


class FlowConfig(ModelConfig):
    """How the motion between the last two frames is estimated."""

    preset: Literal["ultrafast", "fast", "medium"] = Field("medium", description="preset of OpenCV's DIS flow")
    max_side: int = Field(1024, ge=32, description="larger frames are halved for the estimate, not for the prediction")


class FlowWarp(Predictor):
    """The last frame moved on along its own optical flow, one frame after another.

    The flow is estimated from the last frame back to the one before, so that it is defined where the pixels are
    now; its negative is their velocity. Each step looks up where a pixel comes from and moves the frame and the
    velocity field together, so that an object carries its velocity along (semi-Lagrangian advection, `landed`). A
    position that an object leaves shows what was behind it on its path, and beyond the border the edge is repeated, so
    there are no holes.
    """

    Config: ClassVar[type[ModelConfig]] = FlowConfig
    idea = "Moves the last frame on along the optical flow between the last two frames."
    when = "Real video, if there is nothing to train on and no weights: hard to beat where the motion is smooth."
    paper = "DIS flow: Kroeger et al., ECCV 2016"

    def __init__(self, config: FlowConfig) -> None:
        super().__init__(config)
        self.preset, self.max_side = config.preset, config.max_side

    @property
    def capabilities(self) -> Capabilities:
        """Any size, any horizon, two frames of context; nothing to train."""
        return Capabilities(trainable=False, min_context=2, reads=2)

    def unroll(self, request: Request) -> Iterator[Block]:
        """Yield frame after frame."""
        frame, before = request.context[:, -1], request.context[:, -2]
        back = dense_flow(frame, before, preset=self.preset, max_side=self.max_side).to(frame.dtype)
        grid, both = pixel_grid(back), torch.cat([frame, back], 1)  # one look-up moves the frame and its velocities
        for _ in range(request.horizon):
            both = backward_warp(both, landed(both[:, -2:], grid=grid), grid=grid)
            yield Block(both[:, None, :-2])
