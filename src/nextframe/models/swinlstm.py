"""SwinLSTM: an LSTM with one gate, which attention inside shifted windows computes in the place of convolutions."""

from __future__ import annotations

from typing import ClassVar, Literal, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from nextframe.layers.scheduled_sampling import SamplingConfig
from nextframe.layers.swin import SwinBlock
from nextframe.models.bases.recurrent import RecurrentConfig, RecurrentPredictor
from nextframe.models.contract import ModelConfig

CellState = tuple[Tensor, Tensor]  # hidden and cell, each (B, h, w, D)


class SwinLSTMConfig(RecurrentConfig):
    """Fields of `swinlstm`; the defaults are those of the standard protocol of Moving MNIST."""

    patch: int = Field(2, ge=1, description="side of the square of pixels that becomes one position")
    form: Literal["D", "B"] = Field("D", description="D: cells on maps that shrink and grow; B: on one size of map")
    width: int = Field(128, ge=1, description="channels of the finest maps; each halving of the map doubles them")
    window: int = Field(4, ge=2, description="side of the square window of attention, in positions")
    heads: tuple[int, ...] = Field(
        (4, 8), min_length=1, description="attention heads of each size or cell, finest first"
    )
    depths_down: tuple[int, ...] = Field((2, 6), description="D: blocks of the cell at each size on the way down")
    depths_up: tuple[int, ...] = Field(
        (6, 2), description="D: blocks on the way up, finest first too, so run from the end"
    )
    depths: tuple[int, ...] = Field((12,), description="B: blocks of each cell")
    drop_path: float = Field(
        0.1, ge=0, lt=1, description="chance that a block's branch is skipped in training, at most"
    )
    sampling: SamplingConfig = Field(
        SamplingConfig(stop=0), description="when true frames after the context are read while training: never"
    )

    @model_validator(mode="after")
    def _cells_match(self) -> SwinLSTMConfig:
        cells = {"D": (self.depths_down, self.depths_up), "B": (self.depths,)}[self.form]
        if any(not depths or min(depths) < 1 for depths in cells):
            raise ValueError("each cell needs at least one block")
        if len({len(depths) for depths in cells}) > 1 or len(self.heads) < len(cells[0]):
            names = " and ".join(str(list(depths)) for depths in cells)
            raise ValueError(f"blocks {names} and heads {list(self.heads)} must be for the same number of sizes")
        if any(self.width * 2**level % heads for level, heads in enumerate(self.heads)):
            raise ValueError(f"width {self.width} cannot be shared by {list(self.heads)} heads")
        return self


class MergingBlock(SwinBlock):
    """A Swin block that may read a second map beside the one that it changes."""

    def __init__(self, width: int, heads: int, window: int, shift: int, drop_path: float, merges: bool) -> None:
        super().__init__(width, heads, window, shift, drop_path=drop_path)
        self.merge = nn.Linear(2 * width, width) if merges else None

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """Return x (B, h, w, width), changed; `other` is a map like it, for a block that merges."""
        if self.merge is None or other is None:
            return super().forward(x)
        return self.add(x, self.merge(torch.cat([self.norm(x), self.norm(other)], dim=-1)))


class SwinLSTMCell(nn.Module):
    """One gate for everything: c' = gate * (c + tanh o), h' = gate * tanh c', gate = sigmoid o.

    o is what the blocks make of the input: every other one, from the first, merges a second map, which is the hidden
    map in the first block and the input in the others; the rest have shifted windows.
    """

    def __init__(self, width: int, heads: int, window: int, drop_paths: list[float]) -> None:
        super().__init__()
        self.width = width
        self.blocks = nn.ModuleList(
            MergingBlock(width, heads, window, (index % 2) * (window // 2), rate, merges=index % 2 == 0)
            for index, rate in enumerate(drop_paths)
        )

    def forward(self, x: Tensor, state: CellState) -> tuple[Tensor, CellState]:
        """Read x (B, h, w, width); return the new hidden map and the state."""
        hidden, cell = state
        out = x
        for index, block in enumerate(self.blocks):
            out = block(out, x if index else hidden)
        gate = out.sigmoid()
        cell = gate * (cell + out.tanh())
        hidden = gate * cell.tanh()
        return hidden, (hidden, cell)


class SwinLSTM(RecurrentPredictor):
    """Squares of pixels in; in form D cells on smaller and smaller maps, then on larger and larger ones; pixels out.

    Equal to the authors' code and to OpenSTL's port of it, without the layers that both have and never call: a second
    embedding of patches, and the merging layers of blocks that merge nothing. Theirs is made for one size of frames
    (and for patches of 2 pixels); none of its weights depend on it, and here frames are padded to whole windows.
    """

    Config: ClassVar[type[ModelConfig]] = SwinLSTMConfig
    idea: ClassVar[str] = "Recurrent cells whose gate is computed by attention in shifted windows."
    when = "To compare with its paper."
    paper: ClassVar[str] = "Tang et al. 2023, arXiv 2308.09891"
    config: SwinLSTMConfig
    rate: ClassVar[float] = 1e-4

    def __init__(self, config: SwinLSTMConfig) -> None:
        super().__init__(config)
        width, patch = config.width, config.patch
        self.embed = nn.Conv2d(config.channels, width, patch, patch)
        self.embed_norm = nn.LayerNorm(width)
        down, up = _cells_of_one_size(config) if config.form == "B" else _cells_of_many_sizes(config)
        self.down, self.up = nn.ModuleList(down), nn.ModuleList(up)
        self.shrink = nn.ModuleList(Shrink(cell.width) for cell in down if up)
        self.grow = nn.ModuleList(Grow(cell.width) for cell in up)
        self.paint = nn.ConvTranspose2d(width, config.channels, 2 * patch - 1, patch, patch - 1, patch - 1)

    @property
    def multiple(self) -> int:
        """Frames are padded to a multiple of this many pixels: whole windows of the smallest maps."""
        return self.config.patch * self.config.window << len(self.up)

    @property
    def square(self) -> int:
        """Frames are read as they are."""
        return 1

    def start(self, maps: Tensor) -> list[CellState]:
        """Return zeros."""
        batch, _, height, width = maps.shape
        states = []
        for cell in [*self.down, *self.up]:
            side = self.config.patch * cell.width // self.config.width  # of a position, in pixels
            zeros = maps.new_zeros(batch, height // side, width // side, cell.width)
            states.append((zeros, zeros))
        return states

    def advance(self, state: list[CellState], maps: Tensor) -> tuple[Tensor, list[CellState]]:
        """Read the padded frame `maps` (B, C, H, W); return the next one and the new state."""
        x, after = self.embed_norm(self.embed(maps).permute(0, 2, 3, 1)), []
        resized = [*self.shrink, *self.grow] or [nn.Identity()] * len(self.down)
        for cell, before, resize in zip([*self.down, *self.up], state, resized, strict=True):
            x, own = cell(x, before)
            x = resize(x)
            after.append(own)
        return self.paint(x.permute(0, 3, 1, 2)).sigmoid(), after


class Shrink(nn.Module):
    """Patch merging: 2 x 2 positions become one with twice the channels. Swin Transformer's."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * width)
        self.mix = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return x (B, h, w, D) as (B, h / 2, w / 2, 2 D); the channels of a square column by column."""
        batch, height, width, channels = x.shape
        squares = x.reshape(batch, height // 2, 2, width // 2, 2, channels).permute(0, 1, 3, 4, 2, 5)
        return cast(Tensor, self.mix(self.norm(squares.flatten(3))))


class Grow(nn.Module):
    """Patch expanding: a position becomes 2 x 2 with half the channels. Cao et al. 2021, arXiv 2105.05537."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Linear(width, 2 * width, bias=False)
        self.norm = nn.LayerNorm(width // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return x (B, h, w, D) as (B, 2 h, 2 w, D / 2); the channels of a square row by row."""
        batch, height, width, _ = x.shape
        squares = self.mix(x).reshape(batch, height, width, 2, 2, -1).permute(0, 1, 3, 2, 4, 5)
        return cast(Tensor, self.norm(squares.reshape(batch, 2 * height, 2 * width, -1)))


def _cells_of_one_size(config: SwinLSTMConfig) -> tuple[list[SwinLSTMCell], list[SwinLSTMCell]]:
    """Return the cells of form B, and none on the way up; all their blocks are skipped equally often."""
    sizes = zip(config.depths, config.heads, strict=False)
    return [SwinLSTMCell(config.width, heads, config.window, [config.drop_path] * n) for n, heads in sizes], []


def _cells_of_many_sizes(config: SwinLSTMConfig) -> tuple[list[SwinLSTMCell], list[SwinLSTMCell]]:
    """Return the cells of form D in the order in which they run; the chance to be skipped is largest in the middle."""
    down, up = [], []
    for level, heads in enumerate(config.heads[: len(config.depths_down)]):
        width = config.width * 2**level
        down.append(SwinLSTMCell(width, heads, config.window, _rates(config, config.depths_down, level)))
        up.append(SwinLSTMCell(2 * width, heads, config.window, _rates(config, config.depths_up, level)[::-1]))
    return down, up[::-1]


def _rates(config: SwinLSTMConfig, depths: tuple[int, ...], level: int) -> list[float]:
    """Return how often each block at `level` is skipped: a line from 0 to `drop_path` over the blocks of all levels."""
    first, last = sum(depths[:level]), sum(depths) - 1
    return [config.drop_path * (first + index) / max(1, last) for index in range(depths[level])]
