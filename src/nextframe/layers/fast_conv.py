"""A convolution that is computed by the fastest kernel for its shape: torch's own in either layout, or Winograd's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from functools import lru_cache
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from nextframe.core.kernels import current
from nextframe.core.kernels.race import Ways, example
from nextframe.layers.winograd import SMALLER, TILES, spread_weight, winograd_conv

DIRECT, LAST, FIRST, WINOGRAD = "direct", "channels last", "channels first", "Winograd, tile "
WORTH = {3: 40, 5: 20, 7: 40}  # with fewer channels in x out / (in + out) Winograd's is not the fixed choice, by kernel
PLACES = 64  # tiles below which it is not, either
LITTLE = 1 << 24  # multiplications below which there is nothing to win
SAMPLE = 1 << 27  # at most so many are raced, or a few rows: a part of large batches and maps

Pair = tuple[int, int]


class FastConv2d(nn.Conv2d):
    """`nn.Conv2d`, computed by the kernel that is fastest for the shape, on a CPU in float32; else as torch does."""

    _kept: tuple[Tensor, tuple[int, int, int], Tensor] | None = None  # weights, which of their states, transformed

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of x (B, C, H, W)."""
        if torch.compiler.is_exporting():  # an export is the one convolution that this is
            return super().forward(x)
        return self.by(self._kernel(x), x)

    def by(self, kernel: str, x: Tensor) -> Tensor:
        """Return the convolution of x (B, C, H, W) by the kernel of that name, one of `kernels`."""
        if kernel.startswith(WINOGRAD):
            return self._winograd(x, int(kernel.removeprefix(WINOGRAD)))
        if kernel == LAST:
            x = x.contiguous(memory_format=torch.channels_last)
        elif kernel == FIRST:
            x = x.contiguous()
        return super().forward(x)

    def kernels(self, x: Tensor) -> tuple[str, ...]:
        """Return the names of the kernels that can compute the convolution of x, torch's own first."""
        kernel = self.kernel_size[0]
        plain = self.stride == self.dilation == (1, 1) and self.groups == 1 and self.padding_mode == "zeros"
        square = kernel == self.kernel_size[1] and plain
        return _names(kernel if square else 0, _is_last(x))

    def _kernel(self, x: Tensor) -> str:
        """Return the name of the kernel to compute with."""
        if not self._races(x):
            return DIRECT
        names = self.kernels(x)
        fixed = names[2] if self._suits(x, names) else DIRECT
        if torch.compiler.is_compiling():  # what is measured is another program
            return fixed
        shape = Shape.of(self, x)
        return current().pick(shape.text(), names, fixed, shape.ways)

    def _races(self, x: Tensor) -> bool:
        exact = x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
        return x.device.type == "cpu" and exact and _products(self, x.shape) >= LITTLE

    def _suits(self, x: Tensor, names: Sequence[str]) -> bool:
        """Whether Winograd's method is the fixed choice."""
        kernel, inputs, outputs = self.kernel_size[0], self.in_channels, self.out_channels
        if len(names) == 2 or inputs * outputs / (inputs + outputs) < WORTH.get(kernel, inputs):
            return False
        return x.shape[0] * x.shape[2] * x.shape[3] // TILES[kernel] ** 2 >= PLACES

    def _winograd(self, x: Tensor, tile: int) -> Tensor:
        spread = None if torch.compiler.is_compiling() else self._transformed(tile)  # it looks at addresses
        out = winograd_conv(x, self.weight, cast(Pair, self.padding), tile, spread)
        if self.bias is None:
            return out
        bias = self.bias[:, None, None]
        return out + bias if torch.is_grad_enabled() else out.add_(bias)  # it is new: nobody else's

    def _transformed(self, tile: int) -> Tensor:
        """Return the transformed weights, made again only after the weights have changed.

        Weights that are computed again, as a parametrisation's, are other ones each time.
        """
        weight = self.weight
        now = (weight.data_ptr(), weight._version, tile)
        if self._kept is None or self._kept[0] is not weight or self._kept[1] != now:
            self._kept = weight, now, spread_weight(weight.detach(), tile)
        return self._kept[2]


class Shape(NamedTuple):
    """All that the speed of a convolution depends on, and no tensor."""

    inputs: int
    outputs: int
    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int
    bias: bool
    x: tuple[int, ...]  # of the maps
    last: bool  # whether the layout of x is channels last
    learns: tuple[bool, bool]  # whether x and the weights have gradients
    threads: int

    @classmethod
    def of(cls, conv: nn.Conv2d, x: Tensor) -> Shape:
        """Return that of `conv` applied to x (B, C, H, W)."""
        grad = torch.is_grad_enabled()
        weight = grad and any(parameter.requires_grad for parameter in conv.parameters())  # it may be computed
        return cls(
            conv.in_channels,
            conv.out_channels,
            cast(Pair, conv.kernel_size),
            cast(Pair, conv.stride),
            cast(Pair, conv.padding),
            cast(Pair, conv.dilation),
            conv.groups,
            conv.bias is not None,
            tuple(x.shape),
            _is_last(x),
            learns=(grad and x.requires_grad, weight),
            threads=torch.get_num_threads(),
        )

    def text(self) -> str:
        """Return the shape in one line."""
        return _text(self)

    def ways(self) -> Ways:
        """Return what races: each kernel on an example of the shape, or of a part of it.

        Without gradients weights are transformed once, before; with them they change in every step.
        """
        with torch.random.fork_rng(devices=[]):  # initial weights draw numbers
            sizes = (self.kernel, self.stride, self.padding, self.dilation)
            conv = FastConv2d(self.inputs, self.outputs, *sizes, self.groups, self.bias)
        layout = torch.channels_last if self.last else torch.contiguous_format
        x = example(*_smaller(conv, self.x)).contiguous(memory_format=layout)
        wanted = [value for value, learns in zip((x, conv.weight), self.learns, strict=True) if learns]
        x.requires_grad_(self.learns[0])
        conv.weight.requires_grad_(self.learns[1])
        return {name: _computed(copy(conv), name, x, wanted) for name in conv.kernels(x)}  # each keeps its own tile's


@lru_cache(maxsize=64)  # every convolution of every step asks
def _names(kernel: int, last: bool) -> tuple[str, ...]:
    """Return the names of the kernels for a size of plain square kernels, 0 for all others; the fixed tile first."""
    tiles = [found[kernel] for found in (TILES, SMALLER) if kernel in found]
    return DIRECT, FIRST if last else LAST, *(f"{WINOGRAD}{tile}" for tile in tiles)


@lru_cache(maxsize=1024)  # every convolution of every step asks
def _text(shape: Shape) -> str:
    size = "x".join(map(str, shape.x))
    layout = " channels last" if shape.last else ""
    learns = {(False, False): "", (True, True): ", gradients"}.get(shape.learns, f", gradients {shape.learns}")
    how = f"stride {shape.stride} padding {shape.padding} dilation {shape.dilation} groups {shape.groups}"
    how += ", bias" if shape.bias else ""
    into = f"{size}{layout} to {shape.outputs}"
    return f"convolution {shape.kernel} of {into}, {how}{learns}, float32, {shape.threads} threads"


def _computed(conv: FastConv2d, kernel: str, x: Tensor, wanted: Sequence[Tensor]) -> Callable[[], object]:
    """Return a function that computes the convolution and the gradients of `wanted`."""

    def compute() -> object:
        if wanted:  # weights that learn are other ones in every step
            conv._kept = None
        with torch.set_grad_enabled(bool(wanted)), torch.autocast("cpu", enabled=False):
            out = conv.by(kernel, x)
            return torch.autograd.grad(out, wanted, out.detach()) if wanted else out

    if not wanted and kernel.startswith(WINOGRAD):
        conv._transformed(int(kernel.removeprefix(WINOGRAD)))
    return compute


def _products(conv: nn.Conv2d, shape: Sequence[int]) -> int:
    """Return how many multiplications the convolution of maps of `shape` (B, C, H, W) takes."""
    pixels = shape[0] * (shape[2] // conv.stride[0]) * (shape[3] // conv.stride[1])
    return pixels * conv.in_channels * conv.out_channels * conv.kernel_size[0] * conv.kernel_size[1] // conv.groups


def _smaller(conv: nn.Conv2d, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a part of the batch, then of the rows, that takes about `SAMPLE` multiplications at most."""
    batch, channels, height, width = shape
    item = max(_products(conv, (1, *shape[1:])), 1)
    if item <= SAMPLE:
        return max(min(batch, SAMPLE // item), 1), channels, height, width
    return 1, channels, min(height, max(height * SAMPLE // item, 4 * conv.kernel_size[0])), width


def _is_last(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
