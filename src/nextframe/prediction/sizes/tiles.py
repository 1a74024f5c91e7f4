"""Frames of any size in bounded memory: overlapping tiles are predicted one after another and blended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from nextframe.checkpoint import model_name
from nextframe.core.errors import NotSupportedError, UserError
from nextframe.models.contract import Block, Capabilities, ModelOptions, Predictor, Request
from nextframe.models.rollout import roll_on

GRID = 16  # tiles begin at multiples of it, so that a model that halves frames halves tiles the same way


class Tiled(Predictor):
    """A model that predicts frame after frame, each put together from tiles before the next one is predicted.

    The outer quarter of an overlap is discarded, the half in the middle is blended: a model whose receptive field
    reaches at most `overlap` / 4 pixels predicts the same as without tiles.
    """

    def __init__(self, model: Predictor, tile: int, overlap: int) -> None:
        """Wrap `model`, which must take any size and draw nothing at random.

        Args:
            model: predicts each tile.
            tile: height and width of a tile in pixels, at least overlap + 16; a multiple of 16.
            overlap: pixels that neighbouring tiles share; a multiple of 16.

        Raises:
            UserError: such tiles cannot cover a frame, or would not fit together.
        """
        if tile % GRID or overlap % GRID or overlap < 0 or tile < overlap + GRID:
            raise UserError(f"tiles must be multiples of {GRID} larger than their overlap, not {tile} and {overlap}")
        if model.capabilities.stochastic or not model.capabilities.any_size:
            raise NotSupportedError(f"{model_name(model)} cannot predict in tiles: they would not fit together")
        if model.capabilities.needs:
            raise NotSupportedError(f"{model_name(model)} cannot predict in tiles: it needs conditions")
        super().__init__(model.config)
        self.model, self.tile, self.overlap = model, tile, overlap
        self.trained = model.trained

    @property
    def capabilities(self) -> Capabilities:
        """What the wrapped model can take, without conditions."""
        return replace(self.model.capabilities, uses=())

    def unroll(self, request: Request) -> Iterator[Block]:
        """Feed each frame back once all its tiles are there."""
        return roll_on(lambda frames: self._next_frame(frames, request.options), request.context, request.horizon)

    def read_options(self, options: Mapping[str, Any] | ModelOptions | None, name: str = "") -> ModelOptions:
        """Return the wrapped model's options."""
        return self.model.read_options(options, name)

    def _next_frame(self, context: Tensor, options: ModelOptions) -> Tensor:
        height, width = context.shape[-2:]
        total = torch.zeros_like(context[:, :1])  # (B, 1, C, H, W)
        weights = context.new_zeros(height, width)
        for top, bottom in stretches(height, self.tile, self.overlap):
            for left, right in stretches(width, self.tile, self.overlap):
                frame = self.model(context[..., top:bottom, left:right], 1, options=options)
                down = _ramp(top, bottom, height, self.overlap).to(frame)
                across = _ramp(left, right, width, self.overlap).to(frame)
                weight = down[:, None] * across
                total[..., top:bottom, left:right] += frame * weight
                weights[top:bottom, left:right] += weight
        return total / weights


def stretches(length: int, tile: int, overlap: int) -> list[tuple[int, int]]:
    """Return [start, stop) of the tiles along one axis; the last one may be shorter."""
    starts = [0]
    while starts[-1] + tile < length:
        starts.append(starts[-1] + tile - overlap)
    return [(start, min(start + tile, length)) for start in starts]


def _ramp(start: int, stop: int, length: int, overlap: int) -> Tensor:
    """Return a tile's weights along one axis: they fall to zero towards neighbours, not towards the frame's edge."""
    place = torch.arange(start, stop) + 0.5
    before = (place - start - overlap / 4) / (overlap / 2) if start and overlap else torch.ones(len(place))
    after = (stop - place - overlap / 4) / (overlap / 2) if stop < length and overlap else torch.ones(len(place))
    return torch.minimum(before, after).clamp(0, 1)
