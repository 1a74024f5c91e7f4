"""Discriminators, one for each scale: is this frame real? Of any size by patches, or fully connected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from nextframe.core.errors import UserError
from nextframe.layers.fast_conv import FastConv2d
from nextframe.layers.scales import scale_sizes
from nextframe.layers.stacks import Start, Weighted

Table = Literal["light", "ports", "authors"]


@dataclass(frozen=True)
class Layers:
    """One scale: maps, kernels and strides of the convolutions, then hidden units of the fully connected head."""

    maps: Sequence[int]
    kernels: Sequence[int]
    hidden: Sequence[int]
    strides: Sequence[int] = (1, 1, 1, 1)

    def side(self, length: int, pool: bool) -> int:
        """Return what is left of `length` pixels after the convolutions, without padding."""
        for kernel, stride in zip(self.kernels, self.strides, strict=False):
            length = (length - kernel) // stride + 1
        return length // 2 if pool else length


# coarse to fine: those of two ports of Mathieu et al. 2016 (Chainer, TensorFlow), of the authors' script, small ones
TABLES: dict[Table, tuple[Layers, ...]] = {
    "ports": (
        Layers((64,), (3,), (512, 256)),
        Layers((64, 128, 128), (3, 3, 3), (1024, 512)),
        Layers((128, 256, 256), (5, 5, 5), (1024, 512)),
        Layers((128, 256, 512, 128), (7, 7, 5, 5), (1024, 512)),
    ),
    "authors": (
        Layers((32,), (3,), (256, 128)),
        Layers((32, 32, 64), (3, 3, 3), (256, 128)),
        Layers((32, 32, 64), (5, 5, 5), (256, 128)),
        Layers((32, 32, 64, 128), (7, 7, 5, 5), (256, 128)),
    ),
    "light": (
        Layers((32,), (3,), (64,)),
        Layers((32, 64), (3, 3), (64,)),
        Layers((32, 64, 64), (3, 3, 3), (64,), (1, 2, 1)),
        Layers((32, 64, 64), (5, 3, 3), (64,), (1, 2, 1)),
    ),
}


class PatchDiscriminator(nn.Module):
    """Convolutions with padding, and a score for every position, at any size; losses are means over positions."""

    def __init__(self, inputs: int, layers: Layers, spectral: bool) -> None:
        super().__init__()
        steps = list(convolutions(inputs, layers, spectral, padded=True))
        steps.append(_normed(nn.Conv2d(layers.maps[-1], 1, 1, bias=False), spectral))
        self.layers = nn.Sequential(*steps)

    def forward(self, frames: Tensor) -> Tensor:
        """Return logits (B, h, w) for frames (B, C, H, W)."""
        return cast(Tensor, self.layers(frames.contiguous(memory_format=torch.channels_last)))[:, 0]


class DenseDiscriminator(nn.Module):
    """As in Mathieu et al. 2016: convolutions without padding, then fully connected layers, for frames of one size."""

    def __init__(
        self,
        inputs: int,
        layers: Layers,
        spectral: bool,
        size: tuple[int, int],
        pool: bool,
        start: Start | None = None,
    ) -> None:
        super().__init__()
        self.size = size
        rows, columns = layers.side(size[0], pool), layers.side(size[1], pool)
        if rows < 1 or columns < 1:
            raise UserError(f"frames of {size[0]}x{size[1]} are too small for this discriminator: use larger crops")
        steps = list(convolutions(inputs, layers, spectral, padded=False, start=start))
        steps += [nn.MaxPool2d(2)] if pool else []
        steps.append(nn.Flatten())
        units = layers.maps[-1] * rows * columns
        for hidden in layers.hidden:
            steps += [_normed(nn.Linear(units, hidden), spectral, start), nn.ReLU()]
            units = hidden
        steps.append(_normed(nn.Linear(units, 1), spectral, start))
        self.layers = nn.Sequential(*steps)

    def forward(self, frames: Tensor) -> Tensor:
        """Return logits (B, 1) for frames (B, C, H, W) of the size that it was made for; UserError for others."""
        if tuple(frames.shape[-2:]) != self.size:
            rows, columns = frames.shape[-2:]
            made = f"{self.size[0]}x{self.size[1]}"
            raise UserError(f"the discriminator is made for {made}, not {rows}x{columns}: train on crops of that size")
        return cast(Tensor, self.layers(frames))


def discriminators(
    table: Table,
    scales: int,
    inputs: int,
    spectral: bool,
    size: tuple[int, int] | None = None,
    pool: bool = False,
    start: Start | None = None,
) -> list[nn.Module]:
    """Return the discriminators of the `scales` finest scales, coarse to fine, of a table.

    They judge patches; with the `size` (height, width) of the finest frames they are the original, fully connected,
    and `start` sets the initial weights of each layer: without it they are torch's.
    """
    tables = TABLES[table][-scales:]
    if size is None:
        return [PatchDiscriminator(inputs, layers, spectral) for layers in tables]
    sizes = scale_sizes(*size, scales)
    return [
        DenseDiscriminator(inputs, layers, spectral, side, pool, start)
        for layers, side in zip(tables, sizes, strict=True)
    ]


def convolutions(
    inputs: int, layers: Layers, spectral: bool, padded: bool, start: Start | None = None
) -> Iterator[nn.Module]:
    """Yield the convolutions of one scale, each with its ReLU (leaky if the patch head needs gradients)."""
    for maps, kernel, stride in zip(layers.maps, layers.kernels, layers.strides, strict=False):
        padding = kernel // 2 if padded else 0
        yield _normed(FastConv2d(inputs, maps, kernel, stride=stride, padding=padding), spectral, start)
        yield nn.LeakyReLU(0.2) if padded else nn.ReLU()
        inputs = maps


def _normed(layer: Weighted, spectral: bool, start: Start | None = None) -> nn.Module:
    """Return `layer` with the initial weights that `start` sets, and spectral normalisation (Miyato et al. 2018)."""
    if start is not None:
        start([layer])
    return spectral_norm(layer) if spectral else layer


@contextmanager
def frozen(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Let a graph pass through `parameters` without gradients for them: that saves a third of the work."""
    held = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in held:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in held:
            parameter.requires_grad_(True)
