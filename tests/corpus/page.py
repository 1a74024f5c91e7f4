"""The page that the table is."""

from __future__ import annotations

from collections.abc import Iterable

from corpus.case import Case
from corpus.refused import REFUSED
from corpus.table import CASES

HEAD = """# What is read, how exactly, and what is refused

Written by `python scripts/formats_table.py` from the table of `tests/corpus`. `make test-all` makes every file listed
here, reads it, and compares each frame twice: with the frames that were written, and with what a second reader gives.
Differences are in levels of 255: the largest of any value and the largest mean of any frame. {count} files are read and
{refused} refused; the bytes decide what a file is, its name does not.

Every video has six frames of 64x48 in smooth waves of all colours from 0 to 255, unless its name or row says otherwise.
In such waves, colours that are stored at half the resolution differ by up to 12 levels.

What holds for all kinds:

- **Depth.** Frames have 8 bits. Videos of more bits are scaled by FFmpeg; images lose their lower bits; arrays are
  rounded. `data.options.range` says which values are black and white.
- **Colour.** Sources without colour stay grey, all others become RGB, by the matrix and range that the file states
  (BT.601, limited, where it states none). Transparency is composited over black.
- **Turns.** Orientation and display matrices are applied.
- **Time.** Each stored frame counts once, however long it is shown; a note says if durations differ. The rate is that
  of the container; of animations, frames by their total duration; of images and arrays 10 frames/s.

What is said of such files and the settings that change how they are read are in [your-files.md](your-files.md), damaged
files in [bad-input.md](bad-input.md). Videos in the data sets of LeRobot and Hugging Face are read by the same rules:
[Data sets of LeRobot and Hugging Face](how-to/other-datasets.md).
"""
SECONDS = {
    "Videos": "OpenCV's VideoCapture, which brings its own FFmpeg; of AV1, PyAV's planes, converted by the formulas of "
    "BT.601; of videos with alpha, PyAV's RGBA, composited with NumPy",
    "Animations": "of GIF and grey PNG, FFmpeg's decoders; of the others OpenCV's imreadanimation. What a GIF shows "
    "is composed by the GIF89a specification",
    "Images": "OpenCV's imread; 16 bits are cut and alpha composited with NumPy",
    "TIFF": "tifffile; of compressions that it lacks, OpenCV",
    "Folders of images": "OpenCV's imread, by the list of names",
    "Arrays": "NumPy's load, axes moved one after another",
}
LIMITS = """
## Known differences

- The place of a GIF's image that is cleared after it is shown gets the background colour, as the specification says and
  FFmpeg does, if no colour is transparent and all images share a colour table. Browsers show nothing there.
- A grey TIFF of 16 bits whose zero is white is not inverted.
- A video in Matroska with uneven durations has the rate that its header states, not the mean.
- 1000 frames/s is taken for the container's clock: 25 frames/s is assumed, and said.
"""


def page() -> str:
    """Return the whole page."""
    parts = [
        HEAD.format(count=sum(case.sequence == 0 for cases in CASES.values() for case in cases), refused=len(REFUSED))
    ]
    parts += [_section(kind, cases) for kind, cases in CASES.items()]
    rows = [(r.name, r.what, r.line) for r in REFUSED]
    parts.append("\n## Refused\n\n" + _table(("name", "holds", "part of the line that is said"), rows))
    return "".join([*parts, LIMITS])


def _section(kind: str, cases: list[Case]) -> str:
    said = any(case.says for case in cases)
    head = ("name", "holds", "as was written", "as the second reader", *(["said"] if said else []))
    rows = [
        (case.name, case.what, case.near.words, case.second_near.words, *([case.says] if said else []))
        for case in cases
        if case.sequence == 0  # the others are of the same file
    ]
    return f"\n## {kind}\n\nThe second reader: {SECONDS[kind]}.\n\n" + _table(head, rows)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
