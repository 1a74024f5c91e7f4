"""The private temporary folder of the app: uploads and results, deleted after a while and at the end."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

from nextframe.core.errors import BadInputError, UserError
from nextframe.core.files.lock import LOCK, locked
from nextframe.media.names import IMAGE_ENDINGS, natural_key

PREFIX = "nextframe-app-"
TOKEN = re.compile(r"[A-Za-z0-9_-]{32}")
RESULTS = re.compile(r"prediction(-2)?\.(gif|mp4)|(clip|error|future-\d{1,3})\.webp", re.ASCII)
GONE = "the upload was deleted: upload it again"


class Store:
    """Folders `uploads`, `results` and `spool` under one that only this user can enter.

    Uploads are written by the server under names of its choice; results are in folders with names that cannot be
    guessed. `sweep` deletes what is older than `keep` seconds, `close` deletes everything. In `kept` are results of
    the app itself: they stay until the end.
    """

    def __init__(self, keep: float) -> None:
        sweep_dead()
        self.root = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()  # mode 0700
        self._held = ExitStack()
        self._held.enter_context(locked(self.root))
        self.uploads, self.results, self.spool = (self.root / name for name in ("uploads", "results", "spool"))
        self.kept = self.root / "kept"
        self.keep = keep
        for folder in (self.uploads, self.results, self.spool, self.kept):
            folder.mkdir(mode=0o700)
        self._stop = threading.Event()

    def upload(self, path: str) -> Path:
        """Check and return the uploaded file `path`, and restart its time to live.

        Raises:
            UserError: it is not a plain file directly in a folder of the uploads, however the path is written.
        """
        given = Path(path)
        inside = given.is_absolute() and given.parent.parent == self.uploads and ".." not in given.parts
        if not inside or "\0" in path or given.is_symlink() or given.parent.is_symlink() or not given.is_file():
            raise UserError(GONE)
        given.touch()
        return given

    def clip(self, paths: Iterable[str], folder: Path) -> tuple[Path, str]:
        """Return the clip of some uploads, and its name: one file, or images as a folder made in `folder`.

        Raises:
            UserError: several files that are not all images, or one that is gone.
        """
        files = sorted((self.upload(path) for path in paths), key=lambda file: natural_key(file.name))
        if len(files) == 1:
            return files[0], files[0].name
        others = [file.name for file in files if file.suffix.lower() not in IMAGE_ENDINGS]
        if others:
            raise UserError(f"several files must all be images, the frames of one clip: '{others[0]}' is not")
        frames = folder / "frames"
        frames.mkdir()
        for number, file in enumerate(files):
            shutil.copyfile(file, frames / f"{number:05d}{file.suffix.lower()}", follow_symlinks=False)
        return frames, f"{len(files)} images"

    def new_result(self, keep: bool = False) -> Path:
        """Return a new empty folder for the results of one prediction; `keep` it until the end."""
        folder = (self.kept if keep else self.results) / secrets.token_urlsafe(24)
        folder.mkdir(mode=0o700)
        return folder

    def result(self, token: str, name: str) -> Path | None:
        """Return the result file `name` of the folder `token`; None for anything but such a file."""
        if not TOKEN.fullmatch(token) or not RESULTS.fullmatch(name):
            return None
        paths = (folder / token / name for folder in (self.results, self.kept))
        return next((path for path in paths if path.is_file() and not path.is_symlink()), None)

    def used(self) -> int:
        """Return the bytes of visitors that are in the folder now."""
        return sum(_size(path) for part in (self.uploads, self.results, self.spool) for path in _walk(part))

    def empty(self) -> bool:
        """Whether no visitor's files are left."""
        return not any(any(folder.iterdir()) for folder in (self.uploads, self.results, self.spool))

    def sweep(self, now: float | None = None) -> None:
        """Delete what nobody has touched for `keep` seconds."""
        now = time.time() if now is None else now
        for parent in (self.uploads, self.results, self.spool):
            for entry in list(parent.iterdir()):
                if now - _touched(entry) > self.keep:
                    _delete(entry)

    def watch(self, every: float) -> None:
        """Sweep repeatedly in a thread, until `close`."""

        def sweeping() -> None:
            while not self._stop.wait(every):
                self.sweep()

        threading.Thread(target=sweeping, name="sweep", daemon=True).start()

    def close(self) -> None:
        """Delete the folder and all that is in it."""
        self._stop.set()
        self._held.close()
        shutil.rmtree(self.root, ignore_errors=True)


def sweep_dead() -> None:
    """Delete the folders of apps that were killed: nobody holds them."""
    for root in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if root.is_symlink() or not (root / LOCK).is_file() or not _is_ours(root):
            continue
        with suppress(BadInputError):
            with locked(root):  # a living app holds its own
                shutil.rmtree(root, ignore_errors=True)
            shutil.rmtree(root, ignore_errors=True)  # on Windows the file that was held is still there


def _is_ours(root: Path) -> bool:
    """Whether this user made the folder; on Windows each has a temporary folder of their own."""
    return not hasattr(os, "getuid") or root.stat().st_uid == os.getuid()


def _walk(folder: Path) -> Iterator[Path]:
    """Yield all that is in `folder`, however deep; what others delete meanwhile is skipped."""
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            yield Path(parent, name)


def _size(path: Path) -> int:
    try:
        found = path.lstat()
    except OSError:  # swept meanwhile
        return 0
    return 0 if stat.S_ISDIR(found.st_mode) else found.st_size


def _touched(entry: Path) -> float:
    """Return when `entry`, or anything in it, was last changed."""
    times = []
    for path in (entry, *(() if entry.is_symlink() else _walk(entry))):
        try:
            times.append(path.lstat().st_mtime)
        except OSError:  # another request is deleting it
            continue
    return max(times, default=0.0)


def _delete(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry, ignore_errors=True)
    else:
        entry.unlink(missing_ok=True)
