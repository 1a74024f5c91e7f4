"""MAU: each layer looks for the moments in its past that look like now, and lets the motion of then go on."""

from __future__ import annotations

from math import log2, sqrt
from typing import ClassVar, NamedTuple, cast

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from nextframe.layers.fast_conv import FastConv2d
from nextframe.layers.st_lstm import blend
from nextframe.models.bases.one_size import OneSizeConfig, OneSizeRecurrent
from nextframe.models.contract import ModelConfig

SLOPE = 0.2  # of the leaky units


class MAUConfig(OneSizeConfig):
    """Fields of `mau`; the defaults are those of the standard protocol of Moving MNIST."""

    patch: int = Field(1, ge=1, description="side of the square of pixels that is folded into channels")
    hidden: int = Field(64, ge=1, description="channels of every map")
    shrink: int = Field(4, ge=1, description="how many times smaller than a folded frame the units' maps are: 2^n")
    recall: int = Field(5, ge=1, description="how many of its last states a unit looks back on; the paper's tau")
    residual: bool = Field(False, description="add a unit's spatial input to its spatial output")
    skips: bool = Field(False, description="add the encoder's maps to the decoder's of the same size")

    @field_validator("shrink")
    @classmethod
    def _power_of_two(cls, value: int) -> int:
        if value & (value - 1):
            raise ValueError("must be 1, 2, 4, 8 ...: the encoder halves its maps")
        return value


class Past(NamedTuple):
    """A unit's last states (B, recall, D, h, w), the latest last."""

    times: Tensor
    spaces: Tensor  # its spatial inputs at those times

    def then(self, time: Tensor, space: Tensor) -> Past:
        """Return the past one moment later; the oldest states are forgotten."""
        times = torch.cat([self.times[:, 1:], time[:, None]], dim=1)
        return Past(times, torch.cat([self.spaces[:, 1:], space[:, None]], dim=1))


class MotionAwareUnit(nn.Module):
    """Attention over past spatial states fetches past temporal states; gates mix what is new in space and in time."""

    def __init__(self, hidden: int, kernel: int, grid: tuple[int, int], residual: bool) -> None:
        super().__init__()
        self.residual = residual

        def maps(outputs: int) -> nn.Sequential:
            convolution = FastConv2d(hidden, outputs, kernel, padding=kernel // 2)
            return nn.Sequential(convolution, nn.LayerNorm((outputs, *grid)))

        self.alike = maps(hidden)  # of a spatial state: what past ones are compared with
        self.last = maps(hidden)  # of the last temporal state: how much of it stays
        self.from_time, self.from_space = maps(3 * hidden), maps(3 * hidden)

    def forward(self, space: Tensor, past: Past) -> tuple[Tensor, Tensor]:
        """Read a spatial state (B, D, h, w); return the new temporal and the new spatial one."""
        moved = self.motion(space, past)
        time_gate, time_of_time, space_of_time = self.from_time(moved).chunk(3, dim=1)
        space_gate, time_of_space, space_of_space = self.from_space(space).chunk(3, dim=1)
        time = blend(time_of_space, time_of_time, time_gate.sigmoid())
        after = blend(space_of_time, space_of_space, space_gate.sigmoid())
        return time, after + space if self.residual else after

    def motion(self, space: Tensor, past: Past) -> Tensor:
        """Return the last temporal state, mixed with those of the times that looked like `space`."""
        scores = (past.spaces * self.alike(space)[:, None]).sum((2, 3, 4)) / sqrt(space[0].numel())
        trend = (past.times * scores.softmax(1)[..., None, None, None]).sum(1)
        last = past.times[:, -1]
        return blend(trend, last, self.last(last).sigmoid())


class MAU(OneSizeRecurrent):
    """An encoder that halves its maps, motion-aware units on the small ones, a decoder; as OpenSTL's code has them.

    Two layers of that code are never called and have no place here. One size: the units norm over all positions.
    """

    Config: ClassVar[type[ModelConfig]] = MAUConfig
    idea: ClassVar[str] = "Units that look back: the motion of the times that looked like now goes on."
    when = "To compare with its paper."
    paper: ClassVar[str] = "MAU (Chang et al., NeurIPS 2021)"
    rate: ClassVar[float] = 1e-3
    config: MAUConfig

    def __init__(self, config: MAUConfig) -> None:
        super().__init__(config)
        hidden, halvings = config.hidden, int(log2(config.shrink))
        self.stem = _leaky(nn.Conv2d(self.folded, hidden, 1))
        self.down = nn.ModuleList(_leaky(nn.Conv2d(hidden, hidden, 3, 2, 1)) for _ in range(halvings))
        rows, columns = (side // config.shrink for side in self.grid)
        self.units = nn.ModuleList(
            MotionAwareUnit(hidden, config.kernel, (rows, columns), config.residual) for _ in range(config.layers)
        )
        up = [nn.ConvTranspose2d(hidden, hidden, 3, 2, 1, output_padding=1) for _ in range(halvings)]
        self.up = nn.ModuleList([*map(_leaky, up[:-1]), *map(nn.Sequential, up[-1:])])  # the last one is linear
        self.head = nn.Conv2d(hidden, self.folded, 1)

    @property
    def multiple(self) -> int:
        """Whole patches, and whole positions of the units' maps."""
        return self.config.patch * self.config.shrink

    def start(self, maps: Tensor) -> tuple[Past, ...]:
        """Return a past of nothing, for every unit."""
        batch, _, rows, columns = maps.shape
        sides = (rows // self.config.shrink, columns // self.config.shrink)
        blank = maps.new_zeros(batch, self.config.recall, self.config.hidden, *sides)
        return (Past(blank, blank),) * self.config.layers

    def advance(self, state: tuple[Past, ...], maps: Tensor) -> tuple[Tensor, tuple[Past, ...]]:
        """Read the folded frame `maps` (B, D, h, w); return the folded next one and the new pasts."""
        sizes = [self.stem(maps)]  # of the encoder's maps, large to small
        for down in self.down:
            sizes.append(down(sizes[-1]))
        space, after = sizes.pop(), []
        for unit, past in zip(self.units, state, strict=True):
            time, following = unit(space, past)
            after.append(past.then(time, space))
            space = following
        for up in self.up:
            space = up(space)
            if self.config.skips:
                space = space + sizes.pop()
        return cast(Tensor, self.head(space)), tuple(after)


def _leaky(layer: nn.Module) -> nn.Sequential:
    return nn.Sequential(layer, nn.LeakyReLU(SLOPE))
