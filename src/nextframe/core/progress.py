"""What a person sees while long work runs: a bar on a terminal, plain log lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType
from typing import Self

LOG = logging.getLogger(__name__)


class ProgressBar:
    """A note and the time left; a rich bar on a terminal, one log line for each thing said otherwise.

    `unit` is what the work counts in: training steps, clips.
    """

    def __init__(self, title: str, *, show: bool = True, unit: str = "step") -> None:
        self.unit = unit
        self.title, self.fancy = title, show and sys.stderr.isatty()
        self.show, self.started, self.first = show, time.monotonic(), -1.0

    def __enter__(self) -> Self:
        if self.fancy:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (
                "[bold]{task.description}",
                BarColumn(),
                "{task.percentage:>3.0f}%",
                "{task.fields[note]}",
            )
            self.bar = Progress(
                columns[0],
                columns[1],
                *columns[2:],
                TextColumn("left"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self.bar.start()
            self.task = self.bar.add_task(self.title, total=1.0, note="")
        return self

    def update(self, progress: float) -> None:
        """Move the bar to `progress` in [0, 1]."""
        if self.fancy:
            self.bar.update(self.task, completed=progress)

    def say(self, step: int, progress: float, note: str) -> None:
        """Show `note` (loss, speed) at step `step`, with the time left on plain logs."""
        if self.fancy:
            self.bar.update(self.task, completed=progress, note=f"{self.unit} {step}  {note}")
        elif self.show:
            left = self._left(progress)
            LOG.info("%s: %s %d (%.0f%%)  %s  %s", self.title, self.unit, step, 100 * progress, note, left)

    def _left(self, progress: float) -> str:
        if self.first < 0:
            self.first, self.started = progress, time.monotonic()
            return ""
        gained = progress - self.first
        if gained <= 0:
            return ""
        left = (time.monotonic() - self.started) * (1 - progress) / gained
        return f"{int(left // 60)}:{int(left % 60):02d} left"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.fancy:
            self.bar.stop()
