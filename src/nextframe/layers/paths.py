"""Paths of points: a recurrent network that reads where something was and says where it goes on to."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

LEAST, START = 0.25, 1.5  # deviations in pixels: the least there is, and what is added to it before training
PACE = 4.0  # pixels: steps are told, and changes of steps said, in these


class Ahead(NamedTuple):
    """Where points are expected: places (N, T, 2) in pixels, and deviations (N, T) in pixels."""

    places: Tensor
    sigma: Tensor


class PathPredictor(nn.Module):
    """A gated recurrent unit on a point's place and latest step; it starts as motion that goes on as it was.

    It says how the step changes: by a factor in rows and in columns (-2 turns it back, as a wall does) and by a sum.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.cell = nn.GRUCell(5, hidden)
        self.change = nn.Linear(hidden, 5)
        nn.init.zeros_(self.change.weight)
        nn.init.zeros_(self.change.bias)

    def forward(self, places: Tensor, sure: Tensor, size: tuple[int, int], horizon: int) -> Ahead:
        """Return what is expected of frames 1 to T + horizon - 1: each from those before it, the last from its own.

        Args:
            places: (N, T, 2) in pixels, T >= 1.
            sure: (N, T), how sure each place is, 0 to 1.
            size: height and width of a frame in pixels: walls are seen by where they are.
            horizon: how many frames beyond the T given ones, at least 1.
        """
        middle = places.new_tensor(size) / 2
        hidden = places.new_zeros(len(places), self.cell.hidden_size)
        before = now = places[:, 0]
        ahead: list[Tensor] = []
        sigma: list[Tensor] = []
        for index in range(places.shape[1] + horizon - 1):
            known = index < places.shape[1]
            now, certain = (places[:, index], sure[:, index]) if known else (ahead[-1], torch.ones_like(sure[:, 0]))
            step = now - before
            hidden = self.cell(torch.cat([now / middle - 1, step / PACE, certain[:, None]], dim=1), hidden)
            turned, added, wide = self.change(hidden).split([2, 2, 1], dim=1)
            ahead.append(now + (1 + turned) * step + PACE * added)
            sigma.append(LEAST + START * wide[:, 0].clamp(max=4).exp())
            before = now
        return Ahead(torch.stack(ahead, dim=1), torch.stack(sigma, dim=1))


def surprise(ahead: Ahead, places: Tensor) -> Tensor:
    """Return minus the log density (N, T), but for a constant, of places (N, T, 2): Student's with 2 degrees.

    Its tails are heavy: a point that was taken for another one, far off, is not to be learned from.
    """
    far = (ahead.places - places).square().sum(-1) / (2 * ahead.sigma.square())
    return 2 * far.log1p() + 2 * ahead.sigma.log()


def mirrored(places: Tensor, size: tuple[int, int]) -> Tensor:
    """Return paths (N, T, 2), their mirror images in rows and in columns, and of square frames all of them turned."""
    rows, columns = places.unbind(-1)
    height, width = size
    every = [torch.stack([r, c], dim=-1) for r in (rows, height - 1 - rows) for c in (columns, width - 1 - columns)]
    turned = [paths.flip(-1) for paths in every] if height == width else []
    return torch.cat(every + turned)
