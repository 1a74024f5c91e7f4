"""Sources as people really have them: what is read, what is said, and what is never lost without a word."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from nextframe.core.errors import BadInputError
from nextframe.data import DataConfig, open_data
from nextframe.media.reader import open_source
from nextframe.media.video.index import index_source
from test_sources import moving, write_frames, write_gif, write_video


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("NEXTFRAME_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def bugs():
    folder = Path(__file__).resolve().parents[2] / "shared" / "bugs"
    if not folder.is_dir():
        pytest.skip("needs the files in ../shared/bugs")
    return folder


def shown(path, **how):
    """All frames of a source as a reader gives them, (T, H, W, C)."""
    return np.stack(list(open_source(path, **how).decode()))


def failing_once(monkeypatch, path, error):
    """Make the next opening of `path`, by whatever library, fail as a disk or a network drive does."""
    import builtins
    import io

    left = [error]

    def opening(plain):
        def opened(file, *rest, **named):
            if left and isinstance(file, str | os.PathLike) and Path(file).name == path.name:
                raise left.pop()
            return plain(file, *rest, **named)

        return opened

    monkeypatch.setattr(builtins, "open", opening(builtins.open))
    monkeypatch.setattr(io, "open", opening(io.open))


MOMENTS = [
    PermissionError(errno.EACCES, "permission denied"),
    OSError(errno.EIO, "input/output error"),
    OSError(errno.ESTALE, "stale file handle"),
    OSError(errno.EMFILE, "too many open files"),
    TimeoutError("timed out"),
    MemoryError(),
]


@pytest.mark.parametrize("error", MOMENTS, ids=lambda error: type(error).__name__ + str(getattr(error, "errno", "")))
@pytest.mark.parametrize("kind", ["video", "gif", "frames", "array"])
def test_an_error_of_the_moment_is_not_kept(tmp_path, monkeypatch, kind, error):
    frames = moving(8)
    makers = {
        "video": lambda: write_video(tmp_path / "a.mp4", frames),
        "gif": lambda: write_gif(tmp_path / "a.gif", frames),
        "frames": lambda: write_frames(tmp_path / "a", frames),
        "array": lambda: (np.save(tmp_path / "a.npy", frames), tmp_path / "a.npy")[1],
    }
    path = makers[kind]()
    failing_once(monkeypatch, path / "0.png" if kind == "frames" else path, error)
    with pytest.raises((BadInputError, MemoryError)):
        index_source(path)
    assert index_source(path).frames == 8


def test_a_folder_that_cannot_be_entered_is_said(tmp_path, monkeypatch):
    write_gif(tmp_path / "a.gif", moving(30))
    (tmp_path / "locked").mkdir()
    listed = os.scandir

    def scandir(path="."):
        if Path(path).name == "locked":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    clips = open_data(DataConfig(name=str(tmp_path), context=3, horizon=2))
    assert clips.contents.skipped == [("locked", "cannot be read (Permission denied)")]
