"""An image of a data set: one row of frames for each source, or clips if there are no sources."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from nextframe.core.clip import as_uint8
from nextframe.core.errors import BadInputError
from nextframe.data import open_data
from nextframe.data.clipset import ClipSet, DataConfig
from nextframe.data.folder.contents import Contents
from nextframe.data.folder.store import FrameStore, Member
from nextframe.media.fit import fit_image
from nextframe.media.source import Image, recolor

HEIGHT, WIDTH = 96, 128  # of one image on the sheet
COLUMNS = 8
ROWS = 100  # most sources shown
MARGIN, GAP, TEXT = 260, 4, 13
BACKGROUND, INK, FAINT = (22, 24, 29), (222, 225, 230), (128, 134, 145)
Row = tuple[list[str], list[Image]]  # lines of text, and frames (H, W, 3)


def source_rows(members: Sequence[Member], splits: Sequence[str]) -> list[Row]:
    """Return a row for each of the first 100 sources: 8 frames, evenly spread from the first to the last."""
    store = FrameStore(members, 3, None, _thumbnail, room=2**20)
    rows = []
    for number, (member, split) in enumerate(zip(members[:ROWS], splits, strict=False)):
        index = member.index
        chosen = np.unique(np.linspace(0, index.frames - 1, COLUMNS).round().astype(int)).tolist()
        frames = store.frames(number, chosen, tuple)
        facts = f"{index.frames} frames {index.height}x{index.width}, {index.frames / index.fps:.1f} s"
        rows.append(([_short(member.name), facts, f"{split}, {len(index.cuts)} cuts"], [frames[n] for n in chosen]))
    store.close()
    return rows


def clip_rows(clips: ClipSet, count: int = 8) -> list[Row]:
    """Return a row for each of the first clips of train, as a model gets them."""
    known = clips.count("train")
    indices = np.arange(count if known is None else min(count, known), dtype=np.int64)
    clip = clips.on_device("train", clips.read("train", indices), "cpu")
    frames = as_uint8(clip.frames).permute(0, 1, 3, 4, 2).numpy()  # (B, T, H, W, C)
    chosen = np.unique(np.linspace(0, frames.shape[1] - 1, COLUMNS).round().astype(int))
    return [
        (
            [f"train clip {i}", f"frames {', '.join(map(str, chosen))}"],
            [_thumbnail(recolor(f, 3)) for f in video[chosen]],
        )
        for i, video in zip(indices.tolist(), frames, strict=True)
    ]


def contact_sheet(contents: Contents | None, config: DataConfig) -> Pillow.Image:
    """Return the sheet of what a path holds, or of the first clips of the registered data set `config`."""
    if contents is None:
        return draw(clip_rows(open_data(config)))
    return draw(source_rows(contents.members, [split or "by time" for split in contents.splits]))


def draw(rows: Sequence[Row]) -> Pillow.Image:
    """Return rows of frames with their text at the left, on a dark background."""
    width = MARGIN + COLUMNS * (WIDTH + GAP) + GAP
    sheet = Pillow.new("RGB", (width, len(rows) * (HEIGHT + GAP) + GAP), BACKGROUND)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=TEXT)
    for number, (lines, frames) in enumerate(rows):
        top = GAP + number * (HEIGHT + GAP)
        for row, line in enumerate(lines):
            pen.text((2 * GAP, top + 14 + 22 * row), line, font=font, fill=FAINT if row else INK)
        for column, frame in enumerate(frames):
            sheet.paste(Pillow.fromarray(frame), (MARGIN + column * (WIDTH + GAP), top))
    return sheet


def save_sheet(sheet: Pillow.Image, path: Path) -> None:
    """Write the sheet as a PNG, whole or not at all; BadInputError if it cannot be written."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(temporary, format="PNG")
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise BadInputError(path, f"cannot be written ({error.strerror})") from None


def _thumbnail(image: Image) -> Image:
    return fit_image(image, (HEIGHT, WIDTH), "pad")


def _short(name: str, most: int = 34) -> str:
    return name if len(name) <= most else f"…{name[1 - most :]}"
