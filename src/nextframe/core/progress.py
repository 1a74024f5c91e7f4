"""What a person sees while long work runs: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from nextframe.core.terminal import plain_console, visible

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

LOG = logging.getLogger(__name__)
FIRST_LINE, NEXT_LINES = 3.0, 30.0  # seconds between plain lines if no log handles them


def unheard() -> bool:
    """Whether nobody has set up a log for what this library says at level INFO: a script, a notebook.

    A level that somebody gave the logger `nextframe` is a decision to be silent, or not.
    """
    logger = logging.getLogger("nextframe")
    if not logger.hasHandlers():
        return logger.level <= logging.INFO
    return logger.level == logging.NOTSET and not logger.isEnabledFor(logging.INFO)


def tell(logger: logging.Logger, text: str) -> None:
    """Log `text` at level INFO; if no log handles it, write it to stderr."""
    if unheard():
        sys.stderr.write(visible(text) + "\n")
        sys.stderr.flush()
    else:
        logger.info("%s", text)


class ProgressBar:
    """A note and the time left; a rich bar on a terminal, plain lines otherwise.

    A log gets one line for each message. If none is set up, stderr gets a line within seconds and then one now
    and then, so that hours of work are never silent. `unit` is what the work counts in: training steps,
    clips. A `transient` bar is gone when the work is done.
    """

    def __init__(self, title: str, *, show: bool = True, unit: str = "step", transient: bool = False) -> None:
        self.unit, self.transient = unit, transient
        self.title, self.fancy = title, show and sys.stderr.isatty()
        self.show, self.started, self.first = show, time.monotonic(), -1.0
        self.note = ""
        self.next_line = self.started + FIRST_LINE

    def __enter__(self) -> Self:
        if self.fancy:
            from rich.progress import Progress

            self.bar = Progress(*_columns(), console=plain_console(stderr=True), transient=self.transient)
            self.bar.start()
            self.task = self.bar.add_task(visible(self.title), total=1.0, note="")
        return self

    def begin(self, step: int, progress: float, plan: str) -> None:
        """Say at once that step `step` begins, and the `plan`: above a bar; plain lines on stderr come later."""
        if self.fancy:
            self.bar.console.print(f"{self.title}: {plan}", soft_wrap=True)
            self.bar.update(self.task, completed=progress, note=f"{self.unit} {step}")
        elif self.show and not unheard():
            self._log(step, progress, plan)

    def update(self, progress: float, step: int | None = None) -> None:
        """Move the bar to `progress` in [0, 1]; with `step`, a log too gets a line if it had none for long."""
        left = self._left(progress)
        if self.fancy:
            self.bar.update(self.task, completed=progress)
        elif self.show and unheard():
            self._write_now_and_then(progress, left)
        elif self.show and step is not None and time.monotonic() >= self.next_line:
            self._log(step, progress, "", left)

    def say(self, step: int, progress: float, note: str) -> None:
        """Show `note` (loss, speed) at step `step`, with the time left on plain lines."""
        left = self._left(progress)
        if self.fancy:
            self.bar.update(self.task, completed=progress, note=f"{self.unit} {step}  {note}")
        elif self.show and unheard():
            self.note = f"{self.unit} {step}  {note}"
            self._write_now_and_then(progress, left)
        elif self.show:
            self._log(step, progress, note, left)

    def _log(self, step: int, progress: float, *notes: str) -> None:
        """Log a line; the next one that nobody asks for comes some time after it."""
        self.next_line = time.monotonic() + NEXT_LINES
        said = f"{self.title}: {self.unit} {step} ({100 * progress:.0f}%)"
        LOG.info("%s", "  ".join(filter(None, [said, *notes])))

    def _write_now_and_then(self, progress: float, left: str) -> None:
        """Write a line to stderr if it is time for one and no log handles it."""
        if time.monotonic() < self.next_line:
            return
        self.next_line = time.monotonic() + NEXT_LINES
        tell(LOG, "  ".join(filter(None, [f"{self.title}: {100 * progress:.0f}%", self.note, left])))

    def _left(self, progress: float) -> str:
        if self.first < 0:
            self.first, self.started = progress, time.monotonic()
            return ""
        gained = progress - self.first
        if gained <= 0:
            return ""
        left = round((time.monotonic() - self.started) * (1 - progress) / gained)
        return f"{left // 60}:{left % 60:02d} left"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.fancy:
            self.bar.stop()


def _columns() -> list[ProgressColumn]:
    """Return the columns of a bar; the last one is empty until the time left is known."""
    from rich.progress import BarColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Left(TimeRemainingColumn):
        def render(self, task: Task) -> Text:
            return Text() if task.time_remaining is None else super().render(task).append(" left")

    return [
        TextColumn("{task.description}", style="bold", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[note]}", markup=False),
        Left(),
    ]
