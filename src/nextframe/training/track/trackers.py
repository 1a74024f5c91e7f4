"""The trackers of one run: opened before it begins, told what it logs; one that fails is dropped, the run goes on."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from nextframe.core.errors import UserError
from nextframe.core.files.whole_file import write_whole
from nextframe.core.progress import tell
from nextframe.training.folder.kept import kept_scores
from nextframe.training.recipe import Recipe
from nextframe.training.track.registry import TRACKERS, Tracked, Tracker

LOG = logging.getLogger(__name__)
IDS = "trackers.json"  # what finds the run again in each tracker that needs it, by name


class Trackers:
    """The open trackers of a run by name; none in the processes that do not write."""

    def __init__(self, opened: Mapping[str, Tracker] | None = None) -> None:
        self.open = dict(opened or {})

    @property
    def endings(self) -> set[str]:
        """The kinds of files that any of them takes."""
        return {ending for tracker in self.open.values() for ending in tracker.endings}

    def log(self, step: int, line: Mapping[str, Any]) -> None:
        """Send the numbers of a line of metrics.jsonl."""
        values = {name: value for name, value in line.items() if isinstance(value, float)}
        self._each(lambda tracker: tracker.log(step, values))

    def media(self, step: int, name: str, path: Path) -> None:
        """Send an image or animation to those that take such files."""
        self._each(lambda tracker: tracker.media(step, name, path) if path.suffix in tracker.endings else None)

    def close(self, scores: Mapping[str, float], finished: bool) -> None:
        """Close all of them; `scores` are those of the weights that were kept."""
        self._each(lambda tracker: tracker.close(scores, finished))
        self.open = {}

    def _each(self, call: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self.open.items()):
            try:
                call(tracker)
            except Exception as error:  # noqa: BLE001  # a network, a server, another library: none is worth the run
                del self.open[name]
                LOG.warning("%s logs no more (%s); the training goes on, metrics.jsonl has it all", name, _line(error))


@contextmanager
def opened_trackers(recipe: Recipe, folder: Path, step: int, show: bool) -> Iterator[Trackers]:
    """Yield the trackers that `recipe` names, open; close them after the block, whatever ends it.

    A finished run gives them the scores of the weights that it kept.

    Args:
        recipe: of the run.
        folder: the run's, which exists, and which this process holds; what finds the run again is kept in it.
        step: the last one whose log is kept.
        show: whether to say where each tracker is.

    Raises:
        UserError: one cannot be opened; nothing that it wrote stays in the folder.
    """
    told = Tracked(folder, step, "", recipe.model_dump(mode="json"))
    trackers, finished = _all_opened(recipe.training.track, told), False
    for name, tracker in trackers.open.items():
        if show and tracker.where:
            tell(LOG, f"{name}: {tracker.where}")
    try:
        yield trackers
        finished = True
    finally:
        trackers.close(kept_scores(folder) if finished else {}, finished)


def _all_opened(names: tuple[str, ...], run: Tracked) -> Trackers:
    before, place = set(run.folder.iterdir()), run.folder / IDS
    ids = json.loads(place.read_text(encoding="utf-8")) if place.exists() else {}
    trackers = Trackers()
    try:
        for name in names:
            trackers.open[name] = _opened(name, replace(run, id=ids.get(name, "")))
    except UserError:
        trackers.close({}, finished=False)
        _remove(set(run.folder.iterdir()) - before)
        raise
    ids |= {name: tracker.id for name, tracker in trackers.open.items() if tracker.id}
    if ids:
        write_whole(place, json.dumps(ids, indent=1) + "\n")
    return trackers


def _opened(name: str, run: Tracked) -> Tracker:
    try:
        return TRACKERS.get(name)(run)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"training.track={name}: it cannot be opened ({_line(error)}); nothing was trained") from error


def _remove(paths: set[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _line(error: Exception) -> str:
    """Return the first line of an error, with its kind if it says nothing."""
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__
