"""The images of a request: what the page plays, and the files to download."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nextframe.prediction import Prediction, write_prediction
from nextframe.prediction.shown.panels import to_rgb
from nextframe.web.work.made import Made
from nextframe.web.work.plan import Job, outputs
from nextframe.web.work.sheets import columns_of, error_frames, write_sheet

SLOW = 10.0  # frames a second at most: faster ones are hard to follow


@dataclass(frozen=True)
class Panel:
    """One of the clips that play side by side: a sheet of frames, the first of them at time `start` of the player."""

    title: str
    kind: str  # "truth", "predicted" or "error"
    file: str
    columns: int  # of the sheet
    start: int = 0
    note: str = ""


def draw(job: Job, made: Sequence[Made]) -> dict[str, Any]:
    """Write all images and return their names, with what the page has to know to play them."""
    folder, first = Path(job.folder), made[0].prediction
    panels = [_clip(first, folder)] if first.truth is not None else []
    for one in made:
        panels += _futures(one, first, folder, len(panels) + 1 - (first.truth is not None))
    if first.truth is not None:
        panels.append(_error(made[0], first.truth, len(first.context), folder))
    for number, one in enumerate(made, 1):
        for ending in (".gif", ".mp4"):
            write_prediction(one.prediction, folder / f"{outputs(number)}{ending}", with_context=True)
    height, width = first.context.shape[-2:]
    times = {
        "given": len(first.context),
        "ahead": len(first.frames),
        "fps": min(first.fps, SLOW),
        "true_fps": first.fps,
    }
    files = {one.name: outputs(number) for number, one in enumerate(made, 1)}
    return {"player": {**times, "size": [height, width], "panels": [*map(asdict, panels)]}, "downloads": files}


def _clip(first: Prediction, folder: Path) -> Panel:
    assert first.truth is not None
    return _panel("the clip", "truth", torch.cat([first.context, first.truth]), folder / "clip.webp")


def _futures(one: Made, first: Prediction, folder: Path, number: int) -> list[Panel]:
    """Write the futures of a model, the first of them as future `number`, each after the frames that were given."""
    own = one.prediction.context
    given = own if len(own) >= len(first.context) else first.context
    given = to_rgb(given[-len(first.context) :])
    panels = []
    for nth, future in enumerate(one.prediction.samples, 1):
        frames, file = torch.cat([given, to_rgb(future)]), folder / f"future-{number + nth - 1}.webp"
        panels.append(_panel(one.name if nth == 1 else f"{one.name} {nth}", "predicted", frames, file, note=one.took))
    return panels


def _error(one: Made, truth: Tensor, start: int, folder: Path) -> Panel:
    frames, scale = error_frames(truth, one.prediction.frames)
    title, note = f"error of {one.name}", f"black: none, white: {scale:.2f}"
    return _panel(title, "error", frames, folder / "error.webp", start=start, note=note)


def _panel(title: str, kind: str, frames: Tensor, path: Path, start: int = 0, note: str = "") -> Panel:
    write_sheet(frames, path)
    return Panel(title, kind, path.name, columns_of(len(frames)), start, note)
