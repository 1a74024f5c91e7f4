"""Fréchet distance between sets of videos (after Unterthiner et al., 2018). Its network needs an extra.

The published FVD takes features of an I3D network. This one takes torchvision's R3D-18, also trained on Kinetics-400:
its values are comparable only with one another, so it is called `fvd-r3d`. It is a value of a whole set, not of a
frame, so it is a function and not in METRICS.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nextframe.core.errors import UserError
from nextframe.metrics.extra import need_torchvision

WEIGHTS = "r3d_18-b3b3357e.pth"  # torchvision's name of its Kinetics-400 weights
SIDE = 112  # pixels that the network was trained on
MEAN, STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)  # of Kinetics-400, as torchvision gives them


def video_distance(predictions: Tensor, truths: Tensor, batch: int = 8) -> float:
    """Return fvd-r3d between two sets of videos (N, T, C, H, W) in [0, 1], grey or RGB; lower is better, 0 at least.

    Raises:
        NotSupportedError: torchvision or its R3D-18 weights are missing.
        UserError: fewer than two videos in a set.
    """
    network = _network().to(predictions.device)
    features = [
        torch.cat([_features(network, part) for part in torch.split(videos, batch)]) for videos in (predictions, truths)
    ]
    return frechet_distance(*features)


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """Return the squared Fréchet distance of the Gaussians fitted to two sets of features (N, D), N at least 2.

    |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), in double precision.
    """
    if min(len(first), len(second)) < 2:
        raise UserError(f"a Fréchet distance needs two videos in each set, not {len(first)} and {len(second)}")
    (mean1, cov1), (mean2, cov2) = (_gaussian(features.cpu().double()) for features in (first, second))
    root1 = _root(cov1)
    between = torch.linalg.eigvalsh(root1 @ cov2 @ root1).clamp_min(0).sqrt().sum()
    return float((mean1 - mean2).square().sum() + cov1.trace() + cov2.trace() - 2 * between)


def _gaussian(features: Tensor) -> tuple[Tensor, Tensor]:
    return features.mean(0), torch.cov(features.T).reshape(features.shape[1], -1)


def _root(matrix: Tensor) -> Tensor:
    """Return the square root of a symmetric matrix without negative eigenvalues."""
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    return root


def _network() -> nn.Module:
    models, path = need_torchvision("fvd-r3d", WEIGHTS)
    network: nn.Module = models.video.r3d_18(weights=None)
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    network.fc = nn.Identity()
    return network.eval()


@torch.no_grad()
def _features(network: nn.Module, videos: Tensor) -> Tensor:
    """Return (N, 512) of videos (N, T, C, H, W)."""
    count, frames = videos.shape[:2]
    rgb = videos.float().expand(-1, -1, 3, -1, -1).flatten(0, 1)  # (N * T, 3, H, W)
    scaled = F.interpolate(rgb, size=(SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
    mean, std = (torch.tensor(values, device=videos.device).view(3, 1, 1) for values in (MEAN, STD))
    normed = ((scaled - mean) / std).view(count, frames, 3, SIDE, SIDE).transpose(1, 2)  # (N, 3, T, SIDE, SIDE)
    features: Tensor = network(normed)
    return features
