"""Backbones: one vector for each frame, from a fixed network."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from nextframe.core.clip import Clip
from nextframe.core.errors import NotSupportedError, UnknownNameError
from nextframe.media.source import Color
from nextframe.metrics.extra import need_torchvision
from nextframe.models.protocols import Encoder

VGG_WEIGHTS = "vgg16-397923af.pth"  # torchvision's name of its ImageNet weights
GRID = 4  # cells along each side
ORIENTATIONS, WAVELENGTHS = 8, (4.0, 8.0, 16.0)  # of the filters, pixels
VGG_MEAN, VGG_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, which the weights were trained with


@dataclass(frozen=True)
class Backbone:
    """Computes features (N, D), none negative, of frames (N, C, H, W) in [0, 1] of one size and colour."""

    name: str
    features: Callable[[Tensor], Tensor]
    size: tuple[int, int] | None  # (height, width) that frames are resized to; None: any, so that the user must say
    color: Color
    definition: str
    device: str


def open_backbone(spec: str, device: str = "cpu") -> Backbone:
    """Return the backbone that `spec` means: "filters", "vgg16", or a run or model folder.

    Raises:
        UserError: another name, VGG-16 without torchvision or its weights, or a model without features.
    """
    if spec == "filters":
        return _filters(device)
    if spec == "vgg16":
        return _vgg16(device)
    if Path(spec).exists():
        return _model(spec, device)
    raise UnknownNameError("backbone or run folder", spec, ("filters", "vgg16"))


def _filters(device: str) -> Backbone:
    banks = [gabor_bank(wavelength).to(device) for wavelength in WAVELENGTHS]
    definition = (
        f"{ORIENTATIONS} orientations at wavelengths {', '.join(f'{w:g}' for w in WAVELENGTHS)} px: square root of the "
        f"mean Gabor modulus in {GRID}x{GRID} cells, and the mean colour of each cell; nothing is trained"
    )
    return Backbone("filters", lambda frames: filter_features(frames, banks), (64, 64), "rgb", definition, device)


def gabor_bank(wavelength: float) -> Tensor:
    """Return quadrature pairs of Gabor filters (2 * ORIENTATIONS, 1, k, k): even ones first, zero mean, unit L1 norm.

    Daugman 1985: a plane wave under a Gaussian, here with a standard deviation of 0.5 wavelengths.
    """
    reach = math.ceil(1.25 * wavelength)
    line = torch.arange(-reach, reach + 1, dtype=torch.float32)
    y, x = torch.meshgrid(line, line, indexing="ij")
    envelope = torch.exp(-(x.square() + y.square()) / (2 * (0.5 * wavelength) ** 2))
    filters = []
    for wave in (torch.cos, torch.sin):
        for number in range(ORIENTATIONS):
            angle = math.pi * number / ORIENTATIONS
            phase = 2 * math.pi / wavelength * (x * math.cos(angle) + y * math.sin(angle))
            raw = envelope * wave(phase)
            raw = raw - envelope * raw.sum() / envelope.sum()  # no response to a constant image
            filters.append(raw / raw.abs().sum())
    return torch.stack(filters)[:, None]


def filter_features(frames: Tensor, banks: list[Tensor]) -> Tensor:
    """Return the energies of every filter pair and the colours in GRID x GRID cells: (N, D) for frames (N, 3, H, W)."""
    grey = frames.mean(1, keepdim=True)
    parts = [F.adaptive_avg_pool2d(frames, GRID)]
    for bank in banks:
        reach = bank.shape[-1] // 2
        even, odd = F.conv2d(F.pad(grey, (reach,) * 4, mode="replicate"), bank).chunk(2, dim=1)
        modulus = (even.square() + odd.square() + 1e-12).sqrt()
        parts.append(F.adaptive_avg_pool2d(modulus, GRID).sqrt())
    return torch.cat([part.flatten(1) for part in parts], dim=1)


def _vgg16(device: str) -> Backbone:
    models, weights = need_torchvision("the backbone vgg16", VGG_WEIGHTS)
    network = models.vgg16()
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    network = network.eval().to(device)
    mean, std = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (VGG_MEAN, VGG_STD))

    def features(frames: Tensor) -> Tensor:
        maps = network.avgpool(network.features((frames - mean) / std))
        found: Tensor = network.classifier[:2](maps.flatten(1))  # fc6 and its ReLU
        return found

    definition = "VGG-16 trained on ImageNet (torchvision's weights), fc6 after its ReLU, central 224x224"
    return Backbone("vgg16", features, (224, 224), "rgb", definition, device)


def _model(spec: str, device: str) -> Backbone:
    from nextframe.checkpoint import load_model, model_name

    model = load_model(spec).to(device)
    if not isinstance(model, Encoder):
        raise NotSupportedError(f"{spec} has no encoder, so it has no features")
    trained, channels = model.trained, model.capabilities.channels or 3
    if model.capabilities.min_context > 1:
        raise NotSupportedError(
            f"{spec} needs {model.capabilities.min_context} frames: it has no features of one frame"
        )

    def features(frames: Tensor) -> Tensor:
        return model.features(Clip(frames[:, None], frames[:, None])).relu()

    size = trained.size if trained is not None else None
    definition = f"features of the model {model_name(model)} in {Path(spec).name}, frame by frame, below zero cut off"
    return Backbone(Path(spec).name, features, size, "grey" if channels == 1 else "rgb", definition, device)
