"""LPIPS: the distance between the features of two frames in AlexNet (Zhang et al., CVPR 2018). Needs an extra."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn

from nextframe.core.errors import UserError
from nextframe.metrics.extra import need_torchvision
from nextframe.metrics.metric import Metric

WEIGHTS = "alexnet-owt-7be5be79.pth"  # torchvision's name of its ImageNet weights
SMALLEST = 32  # pixels a side: AlexNet halves five times


def lpips(prediction: Tensor, target: Tensor) -> Tensor:
    """Return LPIPS of each frame, (B, T); grey frames count as RGB.

    Raises:
        NotSupportedError: torchvision or its AlexNet weights are missing.
        UserError: frames that are neither grey nor RGB, or smaller than 32 pixels.
    """
    channels, *size = prediction.shape[2:]
    if channels not in (1, 3) or min(size) < SMALLEST:
        raise UserError(f"lpips needs grey or RGB frames of at least {SMALLEST}x{SMALLEST}, not {channels}x{size}")
    network = _network(str(prediction.device))
    first, second = (frames.flatten(0, 1).float().expand(-1, 3, -1, -1) for frames in (prediction, target))
    with torch.no_grad():
        values: Tensor = network(first.clamp(0, 1), second.clamp(0, 1), normalize=True)  # (B * T, 1, 1, 1)
    return values.view(prediction.shape[:2])


@lru_cache(maxsize=2)
def _network(device: str) -> nn.Module:
    need_torchvision("lpips", WEIGHTS)  # before torchmetrics would download them
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    network: nn.Module = LearnedPerceptualImagePatchSimilarity(net_type="alex", normalize=True).net
    return network.to(device).eval()


LPIPS = Metric(
    "lpips",
    "learned perceptual distance, AlexNet, frames scaled to [-1, 1] (extra nextframe[lpips])",
    "1",
    "lower",
    (0, float("inf")),
    lpips,
)
