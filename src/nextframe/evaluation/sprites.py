"""The frames of an example as one image: rows context, truth, predictions; the page plays them from it."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from nextframe.evaluation.result import Example
from nextframe.prediction.shown.panels import enlarge

MAX_PANEL = 256  # pixels of the longer side of a frame
MAX_WIDTH = 8192  # of the whole image: some browsers refuse more than 16,384
SEAM = 96  # grey between cells
SMALL = 128  # frames up to this size are stored without loss


@dataclass(frozen=True)
class Sprite:
    """An image of equal cells: row 0 is the context, row 1 the truth, then a row for each name in `names`."""

    url: str
    height: int
    width: int
    given: int
    asked: int
    names: list[str]
    source: str
    gap: int = 2  # pixels between cells


def make_sprite(example: Example, names: list[str]) -> Sprite:
    """Return the sprite of `example` with the predictions of `names`."""
    rows = [example.context, example.truth, *(example.predictions[name] for name in names)]
    given, asked = len(example.context), len(example.truth)
    columns = max(given, asked)
    size = _cell_size(example.context, columns)
    sheet = torch.cat([_row(enlarge(frames, size), columns) for frames in rows], dim=1)[:, : -Sprite.gap]
    grey = example.context.shape[1] == 1
    return Sprite(_data_url(sheet, grey, max(size) <= SMALL), *size, given, asked, names, example.source)


def _cell_size(frames: Tensor, columns: int) -> tuple[int, int]:
    height, width = frames.shape[-2:]
    factor = min(1.0, MAX_PANEL / max(height, width), MAX_WIDTH / (columns * width))
    return max(1, round(height * factor)), max(1, round(width * factor))


def _row(frames: Tensor, columns: int) -> Tensor:
    """Lay frames (T, 3, H, W) side by side with a gap after each: (3, H + gap, columns * (W + gap))."""
    cells = F.pad(frames, (0, Sprite.gap, 0, Sprite.gap), value=SEAM)
    cells = F.pad(cells, (0, 0, 0, 0, 0, 0, 0, columns - len(frames)), value=SEAM)
    return cells.permute(1, 2, 0, 3).flatten(2)


def _data_url(sheet: Tensor, grey: bool, lossless: bool) -> str:
    image = Image.fromarray(sheet.permute(1, 2, 0).contiguous().numpy())
    image = image.convert("L") if grey else image
    buffer = io.BytesIO()
    if lossless:
        image.save(buffer, "PNG", optimize=True)
    else:
        image.save(buffer, "JPEG", quality=88)
    kind = "png" if lossless else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
