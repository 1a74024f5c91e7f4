"""PredRNN: spatio-temporal LSTM cells, whose shared memory goes up through the layers and on to the next frame."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from nextframe.layers.st_lstm import SpatioTemporalLSTMCell
from nextframe.models.bases.stacked import StackedConfig, StackedRecurrent
from nextframe.models.contract import ModelConfig

OF_VERSION_2: dict[str, Any] = {"decouple": 0.1, "sampling": {"kind": "reverse"}}


class PredRNNConfig(StackedConfig):
    """Fields of `predrnn`; the defaults are those of the standard protocol of Moving MNIST."""

    version: Literal[1, 2] = Field(
        1, description="of the paper; with 2, decouple is 0.1 and sampling.kind reverse unless they are given"
    )
    decouple: float = Field(0.0, ge=0, description="weight of the decoupling loss, which keeps both memories apart")

    @model_validator(mode="before")
    @classmethod
    def _of_version(cls, values: Any) -> Any:
        """Fill in what version 2 has and the caller leaves open."""
        if not isinstance(values, dict) or values.get("version") != 2:
            return values
        sampling = values.get("sampling", {})
        if isinstance(sampling, dict):
            sampling = OF_VERSION_2["sampling"] | sampling
        return OF_VERSION_2 | values | {"sampling": sampling}


class State(NamedTuple):
    """The streaming state; each map is (B, hidden, h, w)."""

    layers: tuple[tuple[Tensor, Tensor], ...]  # h and c of each, the lowest first
    m: Tensor  # the top layer's, which the lowest reads next
    overlaps: tuple[Tensor, ...] | None  # of every cell in every step; None: nobody asks


class PredRNN(StackedRecurrent):
    """A stack of spatio-temporal LSTM cells, and a 1x1 convolution of the top one's output.

    Each cell's c goes from frame to frame, m zigzags: up from layer to layer, then down to the next frame's lowest.
    Version 2 adds the decoupling loss: what c and m take up in a step shall not be alike, through one 1x1 convolution
    that all cells share. Without biases, as in the authors' code and OpenSTL's.
    """

    Config: ClassVar[type[ModelConfig]] = PredRNNConfig
    idea: ClassVar[str] = "Stacked LSTM cells with two memories: one a layer's own, one that runs through all layers."
    when = "To compare with papers on recurrent prediction, most of which have it in their tables."
    paper: ClassVar[str] = "Wang et al., NIPS 2017; version 2: Wang et al. 2021, arXiv 2103.09504"
    config: PredRNNConfig

    def __init__(self, config: PredRNNConfig) -> None:
        super().__init__(config)
        hidden = config.hidden
        widths = (self.folded, *[hidden] * (config.layers - 1))
        self.cells = nn.ModuleList(
            SpatioTemporalLSTMCell(width, hidden, config.kernel, self.normed) for width in widths
        )
        self.head = nn.Conv2d(hidden, self.folded, 1, bias=False)
        self.adapter = nn.Conv2d(hidden, hidden, 1, bias=False) if config.decouple else None

    def start(self, maps: Tensor) -> State:
        """Return the state before any frame: zeros."""
        blank = maps.new_zeros(maps.shape[0], self.config.hidden, *maps.shape[2:])
        return State(((blank, blank),) * self.config.layers, blank, None)

    def begin(self, maps: Tensor) -> State:
        """Return that state, for a sequence of the loss."""
        return self.start(maps)._replace(overlaps=())

    def advance(self, state: State, maps: Tensor) -> tuple[Tensor, State]:
        """Read the folded frame `maps` (B, D, h, w); return the folded next one and the new state."""
        x, m, layers, overlaps = maps, state.m, [], state.overlaps
        for cell, (h, c) in zip(self.cells, state.layers, strict=True):
            update = cast(SpatioTemporalLSTMCell, cell).update(x, h, c, m)
            x, m = update.h, update.m
            layers.append((update.h, update.c))
            if self.adapter is not None and overlaps is not None:
                overlaps += (overlap(self.adapter(update.added_c), self.adapter(update.added_m)),)
        return cast(Tensor, self.head(x)), State(tuple(layers), m, overlaps)

    def penalty(self, state: State) -> Tensor | None:
        """Return the decoupling loss: the mean overlap of all cells and steps, weighted."""
        return self.config.decouple * torch.stack(state.overlaps).mean() if state.overlaps else None


def overlap(one: Tensor, two: Tensor) -> Tensor:
    """Return how alike two (B, D, h, w) are: the absolute cosine of each channel's maps, averaged; 0 to 1."""
    return F.cosine_similarity(one.flatten(2), two.flatten(2), dim=2, eps=1e-12).abs().mean()
