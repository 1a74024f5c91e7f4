"""Flow as one would write it: OpenCV's DIS flow, then torch's sampling, a call for each thing that moves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nextframe.models.peers.peer import Peer

if TYPE_CHECKING:
    from nextframe.models.flow import FlowConfig


class PlainFlow(Peer):
    """The last frame moved on along its flow, and the flow with it (semi-Lagrangian advection, two look-ups)."""

    batch = 4
    trainable = False

    def __init__(self, config: FlowConfig) -> None:
        super().__init__()
        self.preset = config.preset

    def take(self, state: Mapping[str, Tensor]) -> None:
        """There is nothing to take."""

    def forecast(self, context: Tensor, horizon: int) -> Tensor:
        """Return (B, horizon, 1, H, W) of grey context frames of sides from 32 pixels on."""
        back, frame, future = self.flow(context[:, -1], context[:, -2]), context[:, -1], []
        for _ in range(horizon):
            origin = back
            for _ in range(2):
                origin = moved(back, origin)
            frame, back = moved(frame, origin), moved(back, origin)
            future.append(frame)
        return torch.stack(future, dim=1)

    def flow(self, first: Tensor, second: Tensor) -> Tensor:
        """Return (B, 2, H, W), the flow from grey frames (B, 1, H, W) to others."""
        import cv2

        estimator = cv2.DISOpticalFlow.create(getattr(cv2, f"DISOPTICAL_FLOW_PRESET_{self.preset.upper()}"))
        pairs = (torch.stack([first, second], 1)[:, :, 0].cpu().numpy() * 255).round().astype(np.uint8)
        flows = [estimator.calc(a, b, None).transpose(2, 0, 1) for a, b in pairs]
        return torch.from_numpy(np.stack(flows)).to(first)


def moved(maps: Tensor, flow: Tensor) -> Tensor:
    """Return maps (B, C, H, W) looked up along the flow (B, 2, H, W), the edge repeated."""
    height, width = maps.shape[-2:]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    places = torch.stack([x, y]).to(flow) + flow
    scale = places.new_tensor([2 / (width - 1), 2 / (height - 1)]).view(2, 1, 1)
    grid = (places * scale - 1).permute(0, 2, 3, 1)
    return F.grid_sample(maps, grid, mode="bilinear", padding_mode="border", align_corners=True)
