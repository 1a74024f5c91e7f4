"""The image of a row: the same held-out clips for every model, context, truth and prediction of each."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from nextframe.evaluation import Example
from nextframe.prediction.shown.panels import (
    BACKGROUND,
    CONTEXT,
    GAP,
    LINE,
    PREDICTED,
    TRUTH,
    Rgb,
    enlarge,
    framed,
    label,
    panel_size,
    surround,
)

SHOWN = 2  # context frames: the last ones
BESIDE = 2  # examples on a line: the image is flat on a wide page and readable on a phone


def image_strip(examples: Sequence[Example], name: str) -> Tensor:
    """Return (3, H, W) uint8: of each example the last two context frames, the truth and the prediction.

    Of a longer horizon the first and the last frame are shown. `name` is the key of the predictions.
    """
    cells = [_cells(example, name, titled=number < BESIDE) for number, example in enumerate(examples)]
    lines = [torch.cat(cells[first : first + BESIDE], dim=2) for first in range(0, len(cells), BESIDE)]
    widest = max(line.shape[2] for line in lines)
    lines = [F.pad(line, (0, widest - line.shape[2]), value=BACKGROUND[0]) for line in lines]
    return surround(torch.cat(lines, dim=1))


def _cells(example: Example, name: str, titled: bool) -> Tensor:
    future = sorted({0, len(example.truth) - 1})
    groups = [
        _group(example.context[-SHOWN:], CONTEXT, "given" if titled else ""),
        _group(example.truth[future], TRUTH, "truth" if titled else ""),
        _group(example.predictions[name][future], PREDICTED, "predicted" if titled else ""),
    ]
    return F.pad(torch.cat(groups, dim=2), (0, 2 * GAP), value=BACKGROUND[0])


def _group(frames: Tensor, color: Rgb, title: str) -> Tensor:
    """Return frames (T, C, H, W) side by side in borders of `color`, under a title if there is one."""
    shown = framed(enlarge(frames, panel_size(frames, low=64, high=128)), color)  # (T, 3, h, w)
    background = torch.tensor(BACKGROUND, dtype=torch.uint8).view(1, 3, 1, 1)
    height, width = shown.shape[2] + GAP, shown.shape[3] + GAP
    cells = background.expand(len(shown), 3, height, width).clone()
    cells[:, :, :-GAP, :-GAP] = shown
    row = cells.permute(1, 2, 0, 3).flatten(2)  # (3, h + GAP, T * (w + GAP))
    row = F.pad(row, (0, GAP), value=BACKGROUND[0])
    return torch.cat([label(title, row.shape[2], LINE, color=color), row], dim=1) if title else row
