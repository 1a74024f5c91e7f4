"""Look at roll-outs: what comes after a frame of a video, beside what models predict, some steps far.

python scripts/roll_outs.py VIDEO@FRAME ... --models motion,flow -o FOLDER

writes FOLDER/NAME-FRAME.jpg for each: a row of the truth, and one of each model, with the last context frame first.
A model with an option that is switched on is NAME:OPTION.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

import nextframe as nf
from nextframe.media.fit import scaled_size
from nextframe.media.reader import open_source
from nextframe.prediction.shown.panels import (
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

LOG = logging.getLogger("roll_outs")
SIDE = 256  # pixels: the longest side, at which frames are predicted and shown
STEPS = (1, 3, 5, 10)
MARGIN = 70  # pixels left of a row, for its name


def size_of(video: Path) -> tuple[int, int]:
    """Return the (height, width) of the video with the longest side at most `SIDE`."""
    source = open_source(video)
    return scaled_size((source.height, source.width), min(1.0, SIDE / max(source.height, source.width)))


def row(name: str, last: Tensor, future: Tensor, color: Rgb) -> Tensor:
    """Return (3, h, w) uint8: the last context frame (C, H, W), then frames of `future` (T, C, H, W), times above."""
    shown = {"0": (last, CONTEXT)} | {f"+{step}": (future[step - 1], color) for step in STEPS}
    cells = []
    for time, (frame, border) in shown.items():
        cell = framed(enlarge(frame[None], panel_size(frame, low=128, high=SIDE)), border)[0]
        cell = torch.cat([label(time, cell.shape[2], LINE), cell], dim=1)
        cells.append(torch.nn.functional.pad(cell, (0, GAP), value=22))
    side = label(name, MARGIN, cells[0].shape[1], color=color)
    return torch.cat([side, *cells], dim=2)


def comparison(video: Path, at: int, models: list[str]) -> Tensor:
    """Return (3, h, w) uint8: the frames from number `at` on, and what each model predicts."""
    size, named = size_of(video), [model.partition(":")[::2] for model in models]
    found = [
        nf.predict(video, name, STEPS[-1], at=at, compare=True, size=size, options={option: True} if option else None)
        for name, option in named
    ]
    last, truth = found[0].context[-1], found[0].truth
    assert truth is not None
    rows = [row("truth", last, truth, TRUTH)]
    names = [option or name for name, option in named]
    rows += [row(name, last, one.frames, PREDICTED) for name, one in zip(names, found, strict=True)]
    return surround(torch.cat(rows, dim=1))


def main() -> None:
    """Write an image of each video."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", nargs="+", metavar="VIDEO@FRAME", help="the number of the first frame to predict")
    parser.add_argument(
        "--models", default="motion", help="names or folders, separated by commas; NAME:OPTION: with that option"
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("roll-outs"))
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    for spec in args.videos:
        video, _, frame = spec.rpartition("@")
        image = comparison(Path(video), int(frame), args.models.split(","))
        path = args.output / f"{Path(video).stem}-{frame}.jpg"
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(path, quality=75, optimize=True)
        LOG.info("%s", path)


if __name__ == "__main__":
    main()
