"""What is done once must not grow with the length of a film or the number of files: opening, tables, decoding again."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from nextframe.data import DataConfig, open_data
from nextframe.media.names import natural_key
from nextframe.media.video.cursor import VideoCursor
from nextframe.media.video.index import index_source, scan
from nextframe.media.video.keys import checksum, true_keys
from test_sources import moving, write_video

ROOT = Path(__file__).parent.parent
CALLS = ("stat", "lstat", "open", "scandir")  # of the system, as Python's own functions are called


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXTFRAME_CACHE", str(tmp_path / "cache"))


def called(action: Callable[[], object]) -> Counter[str]:
    """Return how often each of CALLS was called by `action`, and how many functions of Python in all."""
    found = Counter[str]()

    def count(frame: object, event: str, what: object) -> None:
        name = getattr(what, "__name__", "") if event == "c_call" else ""
        found[name if name in CALLS else "any"] += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        action()
    finally:
        sys.setprofile(None)
    return found


def image_folder(folder: Path, count: int) -> Path:
    folder.mkdir()
    Image.fromarray(moving(1, 8, 8)[0]).save(folder / "frame_0.png")
    for number in range(1, count):
        os.link(folder / "frame_0.png", folder / f"frame_{number}.png")
    return folder


def gif_folder(folder: Path, count: int) -> Path:
    folder.mkdir()
    first, *rest = map(Image.fromarray, moving(12, 8, 8))
    first.save(folder / "0.gif", save_all=True, append_images=rest)
    for number in range(1, count):
        os.link(folder / "0.gif", folder / f"{number}.gif")
    return folder


def opened(folder: Path) -> object:
    return open_data(DataConfig(name=str(folder), context=2, horizon=2))


@pytest.fixture
def opens(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that FFmpeg has opened."""
    files, real = list[str](), av.open
    monkeypatch.setattr(av, "open", lambda name, *args, **more: files.append(name) or real(name, *args, **more))
    return files


def test_a_long_film_is_opened_no_more_often_than_a_short_one(tmp_path, opens):
    """To open one takes time in proportion to its length; it has a key frame every two seconds or so."""
    found = {}
    for frames in (48, 240):
        path = write_video(tmp_path / f"{frames}.mp4", moving(frames), options={"g": "24", "bf": "2"})
        opens.clear()
        index = scan(path)
        found[frames] = (len(index.keys), len(opens))
    assert found[48][0] == 2
    assert found[240][0] == 10
    assert found[240][1] == found[48][1]


def test_a_key_frame_that_gives_other_frames_is_not_a_seek_point(tmp_path):
    path = write_video(tmp_path / "film.mkv", moving(96), options={"g": "24", "bf": "2"})
    index = scan(path)
    assert index.keys.tolist() == [0, 24, 48, 72]
    video, sums = _video_and_sums(path)
    marks = {int(key): {number: sums[number] for number in range(key, key + 8)} for key in index.keys}
    assert true_keys(video, index.pts, marks).tolist() == [0, 24, 48, 72]
    marks[48][50] ^= 1  # a full decode would have given another frame
    assert true_keys(video, index.pts, marks).tolist() == [0, 24, 72]


def _video_and_sums(path: Path) -> tuple[object, list[int]]:
    from nextframe.media.reader import open_source

    video = open_source(path)
    return video, [checksum(image) for image in video.decode()]


def test_a_cursor_keeps_no_table_of_a_films_frames(tmp_path):
    """Sixty-four may be open in each process that reads."""
    video, _ = _video_and_sums(write_video(tmp_path / "film.mp4", moving(4)))
    stamps = np.arange(345_600, dtype=np.int64) * 512  # four hours
    tracemalloc.start()
    cursor = VideoCursor(video, stamps, stamps[:1])
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 10_000
    assert [cursor._number(stamp) for stamp in (0, 512, 511, 345_599 * 512, 345_600 * 512, -1, None)] == [
        0, 1, -1, 345_599, -1, -1, -1,
    ]  # fmt: skip


@pytest.mark.parametrize("make", [image_folder, gif_folder])
def test_a_folder_that_was_indexed_is_opened_without_decoding(tmp_path, make, monkeypatch):
    """As `data` does the second time, and training and its resume."""
    folder = make(tmp_path / "many", 20)
    opened(folder)
    monkeypatch.setattr(Image, "open", None)
    monkeypatch.setattr(av, "open", None)
    assert opened(folder).count("train") > 0


@pytest.mark.parametrize(("make", "most", "few"), [(image_folder, 5, 40), (gif_folder, 6, 8)])
def test_twice_as_many_files_take_twice_the_calls(tmp_path, make, most, few):
    """The first time each is decoded; then there are only so many calls of the system for a file."""
    first, again = {}, {}
    for count in (few, 2 * few):
        folder = make(tmp_path / f"{count}", count)
        first[count], again[count] = called(lambda f=folder: opened(f)), called(lambda f=folder: opened(f))
    assert first[2 * few]["any"] < 2.2 * first[few]["any"]
    assert again[2 * few]["any"] < 2.2 * again[few]["any"]
    assert sum(again[2 * few][name] - again[few][name] for name in CALLS) <= most * few


def test_an_index_is_made_again_when_any_image_changes(tmp_path):
    folder = image_folder(tmp_path / "many", 4)
    assert index_source(folder).height == 8
    for file in folder.iterdir():
        file.unlink()
        Image.fromarray(moving(1, 16, 8)[0]).save(file)
    assert index_source(folder).height == 16


def test_names_are_sorted_as_numbers_of_any_length():
    names = ["a10", "a9", "a1.5", "a1.05", f"a{10**30}", "a2"]
    assert sorted(names, key=natural_key) == ["a1.05", "a1.5", "a2", "a9", "a10", f"a{10**30}"]
    assert sorted(names, key=lambda n: natural_key(n, decimals=True))[:2] == ["a1.05", "a1.5"]


def test_the_page_has_the_figures_of_the_results():
    spec = importlib.util.spec_from_file_location("large_inputs", ROOT / "bench" / "large_inputs.py")
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    results = json.loads(bench.RESULTS.read_text(encoding="utf-8"))
    page = bench.PAGE.read_text(encoding="utf-8")
    assert bench.table(results["rows"]) in page
    assert f"`{results['run']['command']}`" in page
