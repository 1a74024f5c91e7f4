"""TensorBoard's event files, written where an error can be acted on: its own writer fails in a thread."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Any

from torch import Tensor


class Events:
    """One file of events in `folder`; a resumed run writes another, which hides events from step `begin` on."""

    def __init__(self, folder: Path, begin: int) -> None:
        from tensorboard.compat.proto.event_pb2 import SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns():020d}.{socket.gethostname()}.{os.getpid()}"
        self._file = (folder / name).open("wb")
        self._records = RecordWriter(self._file)
        self._write(begin, file_version="brain.Event:2")
        self._write(begin, session_log=SessionLog(status=SessionLog.START))

    def scalar(self, name: str, value: float, step: int) -> None:
        """Add a number."""
        from torch.utils.tensorboard.summary import scalar

        self._write(step, summary=scalar(name, value))  # type: ignore[no-untyped-call]

    def image(self, name: str, image: Tensor, step: int) -> None:
        """Add an image (C, H, W), uint8."""
        from torch.utils.tensorboard.summary import image as image_summary

        self._write(step, summary=image_summary(name, image, dataformats="CHW"))  # type: ignore[no-untyped-call]

    def _write(self, step: int, **what: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self._records.write(Event(wall_time=time.time(), step=step, **what).SerializeToString())

    def flush(self) -> None:
        """Write out what is held back."""
        self._file.flush()

    def close(self) -> None:
        """Write out what is held back, and close the file."""
        self._file.close()
