"""The app as a process of its own, for tests."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from chromium import wait_for
from nextframe.web.app import EVERY, NONE


class AppServer:
    """`nextframe app` on a free port; its temporary folder lies in `folder`."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.log = folder / "app.log"
        command = [sys.executable, "-m", "nextframe", "app", "--no-browser", "--port", "0", *options]
        environment = os.environ | {"TMPDIR": str(self.temporary)}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stderr=log, stdout=log, env=environment)
        found = wait_for(self._address, 120, self.log.read_text)
        self.address = found
        wait_for(lambda: self.worker_pids(), 60, self.log.read_text)
        events = self.ask("/config")[1]["dependencies"]
        self.event = max(events, key=lambda event: len(event["inputs"]))["id"]  # the one behind "Predict"

    def _address(self) -> str | None:
        assert self.process.poll() is None, self.log.read_text()
        found = re.search(r"http://[\d.]+:\d+", self.log.read_text())
        return found[0] if found else None

    @property
    def root(self) -> Path:
        """The private folder of uploads and results."""
        return next(self.temporary.glob("nextframe-app-*"))

    def left(self) -> list[Path]:
        """Files of visitors that are still there."""
        parts = [self.root / part for part in ("uploads", "results", "spool")]
        return [
            Path(path, name) for part in parts for path, folders, names in os.walk(part) for name in folders + names
        ]

    def worker_pids(self) -> list[int]:
        """The app's child processes."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def memory(self) -> int:
        """Bytes that the app and its workers hold."""
        return sum(_resident(pid) for pid in (self.process.pid, *self.worker_pids()))

    def upload(self, name: str, data: bytes) -> tuple[int, Any]:
        """Send one file as the page does; the status and the paths that the server gave it."""
        head = f'--edge\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
        return self.ask("/gradio_api/upload", head + data + b"\r\n--edge--\r\n", "multipart/form-data; boundary=edge")

    def ask(self, path: str, body: bytes | None = None, kind: str = "application/json") -> tuple[int, Any]:
        request = Request(self.address + path, data=body, headers={"Content-Type": kind})
        try:
            with urlopen(request, timeout=120) as answer:
                return answer.status, _read(answer.read())
        except OSError as error:
            if not hasattr(error, "code"):
                return 0, str(error)  # the server closed the connection while it was still being written to
            return error.code, error.read().decode(errors="replace")  # type: ignore[attr-defined]

    def predict(self, path: str | None, session: str, **changes: Any) -> str:
        """Ask for a prediction as the page does and return the last of what the page would show."""
        settings = {
            "example": None,
            "model": "copy-last",
            "beside": NONE,
            "frames": 3,
            "split": 0.5,
            "how": EVERY,
            "samples": 1,
            "side": 64,
        }
        settings |= changes
        files = None if path is None else [{"path": path, "meta": {"_type": "gradio.FileData"}}]
        body = {"data": [files, *settings.values()], "fn_index": self.event, "session_hash": session}
        status, answer = self.ask("/gradio_api/queue/join", json.dumps(body).encode())
        if status != 200:
            return f"{status} {answer}"
        return self._listen(session)

    def _listen(self, session: str) -> str:
        last, end = "", time.monotonic() + 60
        with urlopen(f"{self.address}/gradio_api/queue/data?session_hash={session}", timeout=180) as stream:
            for line in stream:
                assert time.monotonic() < end, f"no answer for {session}: {last}"
                if not line.startswith(b"data:"):
                    continue
                message = json.loads(line[5:])
                if message["msg"] == "process_completed":
                    output = message["output"]
                    return "".join(map(str, output["data"])) if output.get("data") else last + str(output)
                last = str(message.get("output", ""))
        return last

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body


def _resident(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
