"""The spec string of a convolutional autoencoder: "d-0.2,16-5,p-2,512" is dropout, convolution, pooling, dense."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from nextframe.core.errors import UserError

Kind = Literal["dropout", "pool", "conv", "dense"]
Shape = tuple[int, ...]  # (C, H, W), or (N,) after a dense layer
PATTERN = re.compile(r"d-(?P<drop>0?\.\d+|0)|p-(?P<pool>\d+)|(?P<filters>\d+)-(?P<kernel>\d+)|(?P<dense>\d+)")

MOST = 65_536  # filters, units, pixels of a kernel


@dataclass(frozen=True)
class Layer:
    """One word of a spec. `number` counts from 1 over all words, so a layer's name is "conv2"."""

    kind: Kind
    number: int
    size: int = 0  # filters of a convolution, units of a dense layer, factor of a pooling
    kernel: int = 0
    rate: float = 0.0  # of a dropout

    @property
    def name(self) -> str:
        """The layer's name, such as "conv7"."""
        return f"{self.kind}{self.number}"

    def after(self, shape: Shape) -> Shape:
        """Return the shape that this layer makes of `shape`; UserError if it does not fit."""
        if self.kind == "dropout":
            return shape
        if self.kind == "dense":
            return (self.size,)
        if len(shape) != 3:
            raise UserError(f"spec: {self.name} comes after a dense layer: write convolutions and poolings before")
        channels, height, width = shape
        if self.kind == "conv":
            channels, height, width = self.size, height - self.kernel + 1, width - self.kernel + 1
        else:
            height, width = height // self.size, width // self.size
        if min(height, width) < 1:
            raise UserError(f"spec: nothing is left of the frame at {self.name}: larger frames, or fewer layers")
        return channels, height, width


def parse_spec(spec: str) -> tuple[Layer, ...]:
    """Return the layers of a spec: d-P dropout, p-K max-pool, F-K convolution of F filters K x K, N dense.

    Raises:
        UserError: a word that is none of these, or no convolution or dense layer at all.
    """
    layers = tuple(_layer(word.strip(), number) for number, word in enumerate(spec.split(","), start=1))
    if not any(layer.kind in ("conv", "dense") for layer in layers):
        raise UserError(f"spec '{spec}': it needs a convolution (F-K) or a dense layer (N)")
    return layers


def _layer(word: str, number: int) -> Layer:
    match = PATTERN.fullmatch(word)
    if match is None:
        raise UserError(f"spec: '{word}' is not a layer; write d-0.2, p-2, 16-5 or 512, separated by commas")
    found = match.groupdict()
    if found["drop"] is not None:
        return Layer("dropout", number, rate=float(found["drop"]))
    if found["pool"] is not None:
        return Layer("pool", number, size=_positive(found["pool"], word))
    if found["dense"] is not None:
        return Layer("dense", number, size=_positive(found["dense"], word))
    return Layer("conv", number, size=_positive(found["filters"], word), kernel=_positive(found["kernel"], word))


def _positive(text: str, word: str) -> int:
    if not 1 <= int(text) <= MOST:
        raise UserError(f"spec: '{word}' needs numbers from 1 to {MOST}")
    return int(text)


def shapes(layers: tuple[Layer, ...], shape: Shape) -> list[Shape]:
    """Return the shape after each of `layers`, from frames of `shape` (C, H, W) on."""
    found = []
    for layer in layers:
        shape = layer.after(shape)
        found.append(shape)
    return found


def split_after(layers: tuple[Layer, ...]) -> int:
    """Return how many layers make the features: those up to the last convolution, included.

    Raises:
        UserError: there is no convolution.
    """
    numbers = [layer.number for layer in layers if layer.kind == "conv"]
    if not numbers:
        raise UserError("spec: features need a convolution (F-K)")
    return numbers[-1]
