"""What is different on Windows, macOS and Apple's GPUs, told without them: by stand-ins for what they have and lack."""

from __future__ import annotations

import io
import os
import re
import signal
import sys
import tempfile
from pathlib import Path, PureWindowsPath
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from nextframe.cli import main
from nextframe.core.device import wait_for
from nextframe.core.errors import BadInputError
from nextframe.core.files import atomic
from nextframe.core.files.lock import BEYOND, LOCK, locked
from nextframe.layers import scales
from nextframe.losses import adversarial
from nextframe.training.folder import logs
from nextframe.training.parallel import launch
from nextframe.web.guard import paths, store
from nextframe.web.work import worker

pytestmark = pytest.mark.any_processor

SRC = Path(__file__).resolve().parent.parent / "src" / "nextframe"


# --- Windows


class Msvcrt:
    """Stands for Windows' locks: a byte of a file has one holder, and PermissionError tells the others."""

    LK_NBLCK = 2

    def __init__(self) -> None:
        self.held: dict[tuple[int, int], int] = {}

    def locking(self, descriptor: int, mode: int, count: int) -> None:
        assert (mode, count) == (self.LK_NBLCK, 1)
        place = os.fstat(descriptor).st_ino, os.lseek(descriptor, 0, os.SEEK_CUR)
        if place in self.held:
            raise PermissionError(13, "Permission denied")
        self.held[place] = descriptor


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> Msvcrt:
    """Its locks instead of fcntl's, and none of the functions that it lacks."""
    found = Msvcrt()
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "msvcrt", found)
    monkeypatch.setitem(sys.modules, "fcntl", None)
    for name in ("pread", "pwrite", "getuid", "posix_fallocate"):
        monkeypatch.delattr(os, name, raising=False)
    monkeypatch.delattr(signal, "SIGKILL", raising=False)
    return found


def like_windows(**ours: Any) -> SimpleNamespace:
    """Stands for `os` in one module: the name is Windows' and `ours` replace functions."""
    return SimpleNamespace(**{**vars(os), "name": "nt", **ours})


def test_a_folder_is_locked_on_windows(tmp_path: Path, windows: Msvcrt) -> None:
    with locked(tmp_path):
        assert [offset for _, offset in windows.held] == [BEYOND]  # the number before it can be read
        told = rf"another process \({os.getpid()}\) is writing to it"
        with pytest.raises(BadInputError, match=told), locked(tmp_path):
            pass
    assert (tmp_path / LOCK).read_bytes() == b""


def test_folders_of_dead_apps_are_deleted_on_windows(
    tmp_path: Path, windows: Msvcrt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead = tmp_path / f"{store.PREFIX}dead"
    (dead / "uploads").mkdir(parents=True)
    (dead / LOCK).touch()
    store.sweep_dead()
    assert not dead.exists()


def test_files_are_flushed_through_a_descriptor_that_windows_may_write_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def opened(path: Path, flags: int) -> int:
        asked.append(flags)
        return os.open(path, flags)

    monkeypatch.setattr(atomic, "os", like_windows(open=opened))
    with atomic.replaced_folder(tmp_path / "model") as new:
        (new / "config.json").write_text("{}")
    assert (tmp_path / "model" / "config.json").read_text() == "{}"
    assert asked == [os.O_RDWR]  # of the file; folders cannot be opened


def test_uploads_are_known_by_the_paths_of_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "os", like_windows(sep="\\"))
    uploads = PureWindowsPath(r"C:\temp\nextframe-app-x\uploads")
    assert paths.is_upload(rf"{uploads}\0f3a\cat.gif", uploads)  # type: ignore[arg-type]
    for path in (r"\0f3a\..", r"\cat.gif", r"\a\b\cat.gif", r"\a/../..\cat.gif", r"\a\cat.gif:more", "/a/cat.gif"):
        assert not paths.is_upload(f"{uploads}{path}", uploads), path  # type: ignore[arg-type]


def test_how_a_process_ended_is_told_without_sigkill(windows: Msvcrt) -> None:
    assert launch._cause(9) == "signal 9, as when memory runs out"
    assert launch._cause(15) == "signal 15"


@pytest.mark.parametrize("name", ["posix", "nt"])
def test_ctrl_c_is_passed_on_but_on_windows_where_that_ends_a_process(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    process = SimpleNamespace(is_alive=lambda: True, pid=12, join=lambda seconds: None)
    monkeypatch.setattr(launch, "os", like_windows(name=name, kill=lambda pid, number: told.append(pid)))
    launch._interrupt([SimpleNamespace(process=process)])  # type: ignore[list-item]
    assert told == ([12] if name == "posix" else [])


def test_letters_that_a_code_page_lacks_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", stream)
    with pytest.raises(SystemExit):
        main(["--version"])
    stream.write("MSE \u2193 \u00b1")
    stream.flush()
    assert written.getvalue().endswith(b"MSE ? \xb1")


# --- macOS


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_macos_is_not_asked_for_a_limit_of_memory(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    asked = []
    monkeypatch.setattr(resource, "setrlimit", lambda kind, limits: asked.append(kind))
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    worker._bound()
    assert resource.RLIMIT_FSIZE in asked
    assert (resource.RLIMIT_AS in asked) is (platform == "linux")


# --- Apple's GPUs: they have no float64, and what is sent to them must be waited for

WIDE = {  # files of the package that compute with float64 tensors, and why no such GPU sees them
    "benchmark/real/motion.py": "of frames in memory",
    "core/seeds/noise.py": "`widest` asks for the device",
    "layers/batch_norm.py": "of several processes; there is one such GPU",
    "layers/translators/stack.py": "on the processor",
    "layers/winograd.py": "on the processor",
    "media/memory.py": "of frames in memory",
    "models/predformer.py": "asks for the device",
    "training/parallel/processes.py": "on the processor",
}


def test_float64_stays_on_devices_that_have_it() -> None:
    found = set()
    for path in SRC.rglob("*.py"):
        text = path.read_text(encoding="utf-8").replace(".cpu().double()", "")
        if re.search(r"\.double\(\)|torch\.float64|torch\.double\b", text):
            found.add(path.relative_to(SRC).as_posix())
    assert found == WIDE.keys()


class NoFloat64(TorchDispatchMode):
    """Refuses to make what Apple's GPUs refuse."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        assert getattr(result, "dtype", None) != torch.float64, func
        return result


def test_what_runs_on_the_device_makes_no_float64_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (scales, adversarial, logs):
        monkeypatch.setattr(module, "widest", lambda device: torch.float32)  # as of such a GPU
    frames = torch.arange(36.0).view(1, 1, 6, 6)
    window = logs.Window()
    with NoFloat64():
        halved = scales.shrink(frames, (3, 3), "bilinear-legacy")
        share = adversarial.accuracy(torch.tensor([[1.0], [-1.0]]), torch.tensor([[-1.0], [-1.0]]))
        window.add({"loss": torch.tensor(2.0)}, torch.tensor(1.0))
    assert torch.equal(halved, frames[..., ::2, ::2])
    assert float(share) == 0.75
    assert window.means() == {"loss": 2.0}


def test_a_clock_waits_for_either_kind_of_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: waited.append(device.type))
    monkeypatch.setattr(torch.mps, "synchronize", lambda: waited.append("mps"))
    for name in ("cpu", "cuda", "mps"):
        wait_for(torch.device(name))
    assert waited == ["cuda", "mps"]
