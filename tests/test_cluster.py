"""Work on a Ray cluster of this machine: the same clips by any number of processes, also if one is killed."""

import hashlib
import json
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from nextframe.cli import app
from nextframe.core.cluster.spread import cluster, spread
from nextframe.core.errors import NextframeError, NotSupportedError, UserError
from nextframe.data.prepared.config import PrepareConfig
from nextframe.data.prepared.prepare import prepare

CONFIG = PrepareConfig(size=(16, 20), context=3, horizon=2, clips=60, held_out=7, shard=4, threshold=20.0, tries=30)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    for number in range(3):
        random = np.random.default_rng(number)
        video = np.repeat(random.integers(0, 60, (1, 45, 61, 1), dtype=np.uint8), 24, axis=0)
        for moment, frame in enumerate(video):
            x = (3 + moment * (1 + number)) % 50
            frame[5 + number : 13 + number, x : x + 8] = 250
        np.save(folder / f"array{number}.npy", video)
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NEXTFRAME_CACHE", str(tmp_path / "cache"))


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir()) if p.suffix != ".lock"}


def build_square(folder: str):
    """The square of a number; 3 kills its process the first time, 13 always, and 99 is a mistake."""

    def square(number: int) -> int:
        (Path(folder) / f"{number}-{os.getpid()}").touch()
        if number == 13 or (number == 3 and len(list(Path(folder).glob("3-*"))) == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 99:
            raise UserError("99: give another")
        return number**2

    return square


@pytest.mark.slow
def test_items_are_done_once_each_though_a_process_is_killed(tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="an environment with the extras")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
    with cluster("local", 2) as ray:
        found = list(spread(ray, build_square, [str(tmp_path)], range(7), workers=2))
        assert sorted(found) == [0, 1, 4, 9, 16, 25, 36]
        assert len(list(tmp_path.glob("3-*"))) == 2
        assert list(spread(ray, build_square, [str(tmp_path)], [])) == []
        with pytest.raises(UserError, match=r"^99: give another$"):
            list(spread(ray, build_square, [str(tmp_path)], [1, 99], workers=1))
        monkeypatch.setattr("nextframe.core.cluster.spread.DEATHS", 1)
        with pytest.raises(NextframeError, match="a process of the cluster died"):
            list(spread(ray, build_square, [str(tmp_path)], [13], workers=1))
    assert len(list(tmp_path.glob("13-*"))) == 2, "it was begun again once"


@pytest.mark.slow
def test_clips_are_the_same_by_any_number_of_processes(sources, tmp_path):
    pytest.importorskip("ray", reason="an environment with the extras")
    prepare(sources, tmp_path / "threads", CONFIG, show=False)
    expected = digests(tmp_path / "threads")
    assert len(expected) > 15
    for workers in (1, 2):
        prepare(sources, tmp_path / f"ray{workers}", CONFIG, workers=workers, ray="local", show=False)
        assert digests(tmp_path / f"ray{workers}") == expected


def parents(process: Path) -> list[int]:
    """The process ids of those above it."""
    found, number = [], int((process / "stat").read_text().rpartition(")")[2].split()[1])
    while number > 1:
        found.append(number)
        number = int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[1])
    return found


def kill_one_worker() -> bool:
    """Kill a process that does the work, one that this process has started."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            ours = b"ray::_Hand" in (process / "cmdline").read_bytes() and os.getpid() in parents(process)
        except OSError:  # it has ended
            continue
        if ours:
            os.kill(int(process.name), signal.SIGKILL)
            return True
    return False


@pytest.mark.slow
def test_a_killed_worker_changes_nothing_and_a_begun_folder_is_continued(sources, tmp_path):
    pytest.importorskip("ray", reason="an environment with the extras")
    prepare(sources, tmp_path / "threads", CONFIG, show=False)
    output, killed = tmp_path / "ray", []

    def kill() -> None:
        for _ in range(2000):
            if list(output.glob("train-*.tar")) and kill_one_worker():
                killed.append(len(list(output.glob("*.tar"))))
                return
            time.sleep(0.005)

    thread = threading.Thread(target=kill)
    thread.start()
    prepare(sources, output, CONFIG, workers=2, ray="local", show=False)
    thread.join()
    assert killed
    assert digests(output) == digests(tmp_path / "threads")
    for path in sorted(output.glob("*.tar"))[::2]:
        path.unlink()
    kept = {path.name: path.stat().st_mtime_ns for path in output.glob("*.tar")}
    manifest = json.loads((output / "prepared.json").read_text())
    (output / "prepared.json").write_text(json.dumps(manifest | {"complete": False}))
    prepare(sources, output, CONFIG, workers=2, ray="local", show=False)
    assert digests(output) == digests(tmp_path / "threads")
    assert all((output / name).stat().st_mtime_ns == when for name, when in kept.items())


@pytest.mark.slow
def test_rows_are_the_same_by_two_processes(tmp_path):
    pytest.importorskip("ray", reason="an environment with the extras")
    words = ["benchmark", "moving-digits", "--models", "copy-last,linear,flow", "--minutes", "0", "-q"]
    ray = ["--set", "run.ray=local", "--set", "run.workers=2"]
    CliRunner().invoke(app, [*words, "-o", str(tmp_path / "one")], catch_exceptions=False)
    CliRunner().invoke(app, [*words, *ray, "-o", str(tmp_path / "two")], catch_exceptions=False)
    rows = [
        {p.name: json.loads(p.read_text())["figures"] for p in (tmp_path / f).glob("*.json")} for f in ("one", "two")
    ]
    assert len(rows[0]) == 3
    assert rows[0] == rows[1]


def test_without_ray_and_without_a_cluster_it_is_one_line(monkeypatch):
    import sys

    if "ray" in sys.modules or not __import__("importlib.util").util.find_spec("ray"):
        monkeypatch.setitem(sys.modules, "ray", None)
        with (
            pytest.raises(NotSupportedError, match=r"needs the extra \[ray\]: pip install 'nextframe\[ray\]'"),
            cluster("local"),
        ):
            pass


@pytest.mark.slow
def test_no_cluster_at_an_address_is_one_line():
    pytest.importorskip("ray", reason="an environment with the extras")
    with pytest.raises(UserError, match=r"run\.ray=127\.0\.0\.1:1: cannot be reached or begun"), cluster("127.0.0.1:1"):
        pass
