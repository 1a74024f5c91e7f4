"""OpenCV alone: its DIS flow, and its own remapping of the last frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from nextframe.models.peers.peer import Peer

if TYPE_CHECKING:
    from nextframe.models.flow import FlowConfig


class PlainFlow(Peer):
    """The last frame looked up ever further back along one flow: without moving the flow on, as a user would begin."""

    about = "OpenCV: DIS flow and remap"
    batch = 4
    trainable = False
    same = False

    def __init__(self, config: FlowConfig) -> None:
        super().__init__()
        self.preset = config.preset

    def take(self, state: Mapping[str, Tensor]) -> None:
        """There is nothing to take."""

    def forecast(self, context: Tensor, horizon: int) -> Tensor:
        """Return (B, horizon, 1, H, W) of grey context frames."""
        import cv2

        estimator = cv2.DISOpticalFlow.create(getattr(cv2, f"DISOPTICAL_FLOW_PRESET_{self.preset.upper()}"))
        frames, future = (context[:, -2:, 0].cpu().numpy() * 255).round().astype(np.uint8), []
        rows, columns = np.mgrid[: frames.shape[2], : frames.shape[3]].astype(np.float32)
        for before, last in frames:
            flow = estimator.calc(last, before, None)
            looked = [(columns + n * flow[..., 0], rows + n * flow[..., 1]) for n in range(1, horizon + 1)]
            future.append([cv2.remap(last, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for at in looked])
        return torch.from_numpy(np.array(future)).unsqueeze(2).to(context.device).float() / 255
