"""TensorBoard's event files, written where an error can be acted on: its own writer fails in a thread."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from nextframe.training.track.registry import Tracked


class TensorBoard:
    """One file of events in tensorboard/; that of a resumed run hides the events after the step it resumes from."""

    id = where = ""
    endings = (".png",)

    def __init__(self, run: Tracked) -> None:
        from tensorboard.compat.proto.event_pb2 import SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter
        from torch.utils.tensorboard.summary import text

        folder = run.folder / "tensorboard"
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns():020d}.{socket.gethostname()}.{os.getpid()}"
        self._file = (folder / name).open("wb")
        self._records = RecordWriter(self._file)
        self._write(run.step + 1, file_version="brain.Event:2")
        self._write(run.step + 1, session_log=SessionLog(status=SessionLog.START))
        recipe = yaml.safe_dump(dict(run.settings), sort_keys=False)
        shown = f"{run.name}\n\n" + "".join(f"    {line}\n" for line in recipe.splitlines())  # a block of Markdown
        self._write(run.step + 1, summary=text("recipe", shown))  # type: ignore[no-untyped-call]
        self._file.flush()

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add numbers."""
        from torch.utils.tensorboard.summary import scalar

        for name, value in values.items():
            self._write(step, summary=scalar(name, value))  # type: ignore[no-untyped-call]
        self._file.flush()

    def media(self, step: int, name: str, path: Path) -> None:
        """Add the image file as it is."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        with Image.open(path) as opened:
            width, height, channels = *opened.size, len(opened.getbands())
        image = Summary.Image(height=height, width=width, colorspace=channels, encoded_image_string=path.read_bytes())
        self._write(step, summary=Summary(value=[Summary.Value(tag=name, image=image)]))

    def close(self, scores: Mapping[str, float], finished: bool) -> None:
        """Add the scores of the kept weights, at the step that they are of, and close the file."""
        step = int(scores.get("kept/step", 0))
        self.log(step, {name: value for name, value in scores.items() if name != "kept/step"})
        self._file.close()

    def _write(self, step: int, **what: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self._records.write(Event(wall_time=time.time(), step=step, **what).SerializeToString())
