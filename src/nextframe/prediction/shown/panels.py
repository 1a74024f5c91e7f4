"""Images of predictions: panels with borders and labels, in rows over time or side by side as a clip.

The colour of a border: grey is context, green is truth, orange is predicted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional as F

from nextframe.core.clip import as_float, as_uint8
from nextframe.core.errors import UserError
from nextframe.data.flow import flow_frames_image

Rgb = tuple[int, int, int]
BACKGROUND: Rgb = (22, 24, 29)
INK: Rgb = (222, 225, 230)
CONTEXT: Rgb = (128, 134, 145)
TRUTH: Rgb = (52, 168, 83)
PREDICTED: Rgb = (245, 145, 30)

BORDER = 2
SHOWABLE = 3  # channels at most that an image can show: grey, flow, RGB
GAP = 4
TEXT = 13  # pixels of the letters
LINE = 20  # pixels of a line of text
MAX_COLUMNS = 20


@dataclass(frozen=True)
class Row:
    """One row of a strip: `frames` (T, C, H, W), the first of them at time `start` (0 is the last context frame)."""

    label: str
    frames: Tensor
    color: Rgb
    start: int


def comparison_strip(context: Tensor | None, truth: Tensor | None, prediction: Tensor | Mapping[str, Tensor]) -> Tensor:
    """Return one image (3, H', W') uint8 with rows context, truth and prediction over time.

    Frames are (T, C, H, W), uint8 or float in [0, 1], grey or RGB. Small frames are enlarged without smoothing, and
    of more than 20 frames in a row 20 are shown, evenly chosen. Several predictions go by name, a row each.
    """
    rows = []
    if context is not None:
        rows.append(Row("context", context, CONTEXT, 1 - len(context)))
    if truth is not None:
        rows.append(Row("truth", truth, TRUTH, 1))
    rows += [Row(name, frames, PREDICTED, 1) for name, frames in _named(prediction).items()]
    return strip(rows)


def strip(rows: Sequence[Row]) -> Tensor:
    """Return rows of frames under one another as (3, H', W') uint8, each frame with its time above it."""
    size = panel_size(rows[0].frames, low=72, high=192)
    columns = min(MAX_COLUMNS, max(len(row.frames) for row in rows))
    margin = max(_text_width(row.label) for row in rows) + 2 * GAP
    rows_drawn = []
    for row in rows:
        cells = _row_cells(row, size, columns)
        height = cells.shape[1]
        name = label(row.label, margin, height - LINE, color=row.color)
        side = torch.cat([_blank(LINE, margin), name], dim=1)
        rows_drawn.append(torch.cat([side, cells], dim=2))
    return surround(torch.cat(rows_drawn, dim=1))


def comparison_animation(
    context: Tensor | None, truth: Tensor | None, prediction: Tensor | Mapping[str, Tensor]
) -> Tensor:
    """Return a clip (T + n, 3, H', W') uint8: truth left, prediction right, first the context, then the future.

    Frames are (T, C, H, W), uint8 or float in [0, 1]. Frames under 192 pixels are enlarged without smoothing, those
    over 480 are made smaller. Several predictions go by name, a panel each; without truth there is none for it.
    """
    return torch.stack(list(comparison_frames(context, truth, prediction)))


def comparison_frames(
    context: Tensor | None, truth: Tensor | None, prediction: Tensor | Mapping[str, Tensor]
) -> Iterator[Tensor]:
    """Yield the frames of `comparison_animation` one by one, (3, H', W') uint8."""
    futures = {"truth": truth} if truth is not None else {}
    futures |= _named(prediction)
    steps = zip(*(to_rgb(future) for future in futures.values()), strict=True)  # flows share a scale over time
    count = len(next(iter(futures.values())))
    given = None if context is None else to_rgb(context)
    return animated(given, steps, list(futures), count, compared=truth is not None)


def animated(
    context: Tensor | None, steps: Iterable[Sequence[Tensor]], names: Sequence[str], count: int, *, compared: bool
) -> Iterator[Tensor]:
    """Yield the frames (3, H', W') of `comparison_animation` as those of `steps` come.

    Args:
        context: (T, C, H, W), grey or RGB, or None.
        steps: for each of `count` times, a frame (C, H, W) for each name.
        names: of the panels; the first is the truth's if that is `compared`.
        count: how many times there are.
        compared: see `names`.
    """
    colors = [TRUTH if compared and place == 0 else PREDICTED for place in range(len(names))]
    heads = list(zip(names, colors, strict=True))
    given = [] if context is None else list(context)
    for number, frame in enumerate(given, start=1):
        panel = _bordered(frame, CONTEXT)
        yield _beside([panel] * len(names), heads, f"context {number} of {len(given)}")
    for number, frames in enumerate(steps, start=1):
        panels = [_bordered(frame, color) for frame, color in zip(frames, colors, strict=True)]
        yield _beside(panels, heads, f"frame +{number} of {count}")


def _bordered(frame: Tensor, color: Rgb) -> Tensor:
    """Return a frame (C, H, W) as a panel shows it, (3, h, w)."""
    return framed(enlarge(frame.unsqueeze(0), panel_size(frame, low=192, high=480)), color)[0]


def _beside(panels: Sequence[Tensor], heads: Sequence[tuple[str, Rgb]], caption: str) -> Tensor:
    """Return panels beside one another, each with its name above and the time below, with a margin."""
    columns: list[Tensor] = []
    for panel, (name, color) in zip(panels, heads, strict=True):
        width = panel.shape[2]
        column = torch.cat([label(name, width, LINE, color=color), panel, label(caption, width, LINE)], dim=1)
        columns += [_blank(column.shape[1], 2 * GAP), column] if columns else [column]
    return surround(torch.cat(columns, dim=2))


def _row_cells(row: Row, size: tuple[int, int], columns: int) -> Tensor:
    """Return the frames of a row with their times above, padded to `columns`: (3, LINE + h, columns * w)."""
    chosen = np.unique(np.linspace(0, len(row.frames) - 1, min(columns, len(row.frames))).round().astype(int))
    frames = framed(enlarge(row.frames[chosen.tolist()], size), row.color)
    width = frames.shape[3] + GAP
    cells = []
    for index, frame in zip(chosen.tolist(), frames, strict=True):
        cell = torch.cat([label(_time(row.start + index), frame.shape[2], LINE), frame], dim=1)
        cells.append(torch.cat([cell, _blank(cell.shape[1], GAP)], dim=2))
    empty = (columns - len(cells)) * width
    return torch.cat([*cells, _blank(cells[0].shape[1], empty)], dim=2)


def panel_size(frames: Tensor, low: int, high: int) -> tuple[int, int]:
    """Return the (height, width) to show frames at: whole multiples up to about `low`, never over `high`."""
    height, width = frames.shape[-2:]
    longest = max(height, width)
    if longest > high:
        return max(1, round(height * high / longest)), max(1, round(width * high / longest))
    times = max(1, math.ceil(low / longest)) if longest < low else 1
    return height * times, width * times


def enlarge(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Return frames (T, C, H, W) as RGB uint8 (T, 3, *size): pixels are repeated to grow, averaged to shrink."""
    frames = to_rgb(frames)
    if size == tuple(frames.shape[-2:]):
        return frames
    if size[0] >= frames.shape[-2]:
        return F.interpolate(frames, size=size, mode="nearest-exact")
    return as_uint8(F.interpolate(as_float(frames), size=size, mode="area"))


def to_rgb(frames: Tensor) -> Tensor:
    """Return (T, C, H, W) frames as uint8 (T, 3, H, W): grey, RGB, or flows of two channels in the colour wheel.

    Raises:
        UserError: another number of channels.
    """
    if frames.ndim == 4 and frames.shape[1] == 2:
        return flow_frames_image(frames.cpu())
    if frames.ndim != 4 or frames.shape[1] not in (1, 3):
        raise UserError(f"images need frames (T, 1 to 3, H, W), not {tuple(frames.shape)}")
    return as_uint8(frames.cpu()).expand(-1, 3, -1, -1)


def framed(frames: Tensor, color: Rgb) -> Tensor:
    """Return (T, 3, H, W) uint8 frames with a border of `color` around them."""
    out = torch.tensor(color, dtype=torch.uint8).view(3, 1, 1)
    out = out.repeat(len(frames), 1, frames.shape[2] + 2 * BORDER, frames.shape[3] + 2 * BORDER)
    out[:, :, BORDER:-BORDER, BORDER:-BORDER] = frames
    return out


def surround(image: Tensor) -> Tensor:
    """Return an image (..., 3, H, W) uint8 with a margin of background colour."""
    out = _blank(image.shape[-2] + 2 * GAP, image.shape[-1] + 2 * GAP)
    out = out.expand(*image.shape[:-3], -1, -1, -1).clone()
    out[..., GAP:-GAP, GAP:-GAP] = image
    return out


@lru_cache(maxsize=512)
def label(text: str, width: int, height: int, color: Rgb = INK) -> Tensor:
    """Return `text` centred on background colour, (3, height, width) uint8, in Pillow's built-in font."""
    image = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(image)
    draw.text((width / 2, height / 2), text, font=_font(), fill=color, anchor="mm")
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


@lru_cache(maxsize=1)
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=TEXT)


def _text_width(text: str) -> int:
    return math.ceil(_font().getbbox(text)[2])


def _time(time: int) -> str:
    return f"+{time}" if time > 0 else str(time)


def _blank(height: int, width: int) -> Tensor:
    return torch.tensor(BACKGROUND, dtype=torch.uint8).view(3, 1, 1).expand(3, height, width)


def _named(prediction: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {"prediction": prediction} if isinstance(prediction, Tensor) else dict(prediction)
