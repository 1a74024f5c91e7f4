"""The end of the data is not the end of the film: files cut at any place, and whole files that only look cut."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from nextframe.cli import main
from nextframe.core.errors import BadInputError
from nextframe.data import DataConfig, open_data
from nextframe.data.prepared.config import PrepareConfig
from nextframe.data.prepared.prepare import prepare
from nextframe.media.reader import open_source
from nextframe.prediction import predict

FRAMES, RATE = 40, 20
KINDS = {  # container, codec, options
    "mp4": ("mp4", "libx264", {"movflags": "+faststart"}),
    "mkv": ("matroska", "libx264", {}),
    "webm": ("webm", "libvpx", {}),
    "avi": ("avi", "mpeg4", {}),
    "flv": ("flv", "flv", {}),
}
COUNTED = ("mp4", "avi")  # of these the file says how many frames, of the others how many seconds


def film(path: Path, kind: str, sound: float = 0.0) -> Path:
    """Write 40 frames of noise that moves, 2 seconds, with `sound` seconds of silence beside."""
    container, codec, options = KINDS[kind]
    noise = np.random.default_rng(0).integers(0, 256, (48, 64 + 2 * FRAMES, 3), np.uint8)
    with av.open(str(path), "w", format=container, options=options) as out:
        stream: Any = out.add_stream(codec, rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        voice: Any = out.add_stream("libopus" if kind == "webm" else "aac", rate=48_000) if sound else None
        for number in range(FRAMES):
            image = np.ascontiguousarray(noise[:, 2 * number : 2 * number + 64])
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode(None))
        for number in range(round(sound * 50)):
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.float32), format="fltp", layout="mono")
            silence.sample_rate, silence.pts = 48_000, 960 * number
            out.mux(voice.encode(silence))
        if voice:
            out.mux(voice.encode(None))
    return path


def cut(path: Path, size: int) -> Path:
    short = path.with_name(f"cut.{path.suffix}")
    short.write_bytes(path.read_bytes()[:size])
    return short


def packet_starts(path: Path) -> list[int]:
    with av.open(str(path)) as container:
        return [packet.pos for packet in container.demux(video=0) if packet.size]


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_film_has_no_such_note(tmp_path, kind):
    source = open_source(film(tmp_path / f"a.{kind}", kind))
    assert source.counted() == FRAMES
    assert not source.missing
    source.last(3)
    assert not source.missing


@pytest.mark.parametrize("kind", ["mp4", "mkv", "webm"])
def test_sound_that_goes_on_after_the_last_frame_is_no_loss(tmp_path, kind):
    path = film(tmp_path / f"a.{kind}", kind, sound=4.0)
    source = open_source(path)
    assert source.counted() == FRAMES
    assert not source.missing


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_after_any_packet_is_noted_with_both_numbers(tmp_path, kind):
    path = film(tmp_path / f"a.{kind}", kind)
    starts = packet_starts(path)
    for packet in (8, 15, 22, 30, 36):
        short = open_source(cut(path, starts[packet]))
        found = short.counted()
        assert 0 < found <= packet
        number = "40" if kind in COUNTED else "about 40"
        assert short.missing.startswith(f"cut short: {found} of {number} frames are there"), packet
        assert short.missing in short.notes
        if kind != "flv":  # it does not say how large it is
            assert short.missing.endswith(f"{starts[packet]:,} of {path.stat().st_size:,} bytes")


@pytest.mark.parametrize("share", range(10, 100, 10))
@pytest.mark.parametrize("kind", ["mkv", "webm"])
def test_a_cut_anywhere_is_noted(tmp_path, kind, share):
    path = film(tmp_path / f"a.{kind}", kind)
    try:
        short = open_source(cut(path, path.stat().st_size * share // 100))
    except BadInputError:  # not even one frame is left
        assert share <= 40
        return
    assert f"cut short: {short.counted()} of about 40 frames are there" in short.missing


def test_damage_in_the_last_packet_says_that_the_file_is_cut(tmp_path):
    path = film(tmp_path / "a.mp4", "mp4")
    short = cut(path, packet_starts(path)[20] + 5)
    with pytest.raises(BadInputError, match=rf"cut short, {short.stat().st_size:,} of {path.stat().st_size:,} bytes"):
        list(open_source(short).decode())


def test_every_way_in_says_it(tmp_path, caplog, capsys, monkeypatch):
    monkeypatch.setenv("NEXTFRAME_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "films"
    folder.mkdir()
    path = film(tmp_path / "a.mkv", "mkv")
    short = cut(path, packet_starts(path)[25])
    short.rename(folder / "short.mkv")
    for name in ("one", "two", "three"):
        (folder / f"{name}.mkv").write_bytes(path.read_bytes())
    note = "cut short: "
    with caplog.at_level(logging.WARNING):
        predict(folder / "short.mkv", "copy-last", 2)
    assert f"short.mkv is {note}" in caplog.text
    words = ["data", str(folder), "--context", "3", "--horizon", "2"]
    with pytest.raises(SystemExit) as done:
        main([*words, "--json", str(tmp_path / "facts.json")])
    assert not done.value.code
    assert f"short.mkv is {note}" in capsys.readouterr().out
    rows = {row["name"]: row["notes"] for row in json.loads((tmp_path / "facts.json").read_text())["rows"]}
    assert [name for name, notes in rows.items() if any(line.startswith(note) for line in notes)] == ["short.mkv"]
    with pytest.raises(SystemExit) as done:
        main([*words, "--check"])
    assert done.value.code == 2
    assert f"1 of 4 sources end early, as short.mkv: {note}" in capsys.readouterr().err
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        prepare(folder, tmp_path / "out", PrepareConfig(context=3, horizon=2, size=(16, 16), clips=8), show=False)
    assert f"1 sources end early: short.mkv ({note}" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        open_data(DataConfig(name=str(folder), context=3, horizon=2))  # as training does
    assert f"1 sources end early: short.mkv ({note}" in caplog.text


@pytest.mark.parametrize(
    ("name", "numbers"), [("truncated_flower.webm", "71 of"), ("truncated_half.mkv", "6 of about 40")]
)
def test_the_films_of_the_drill(shared, name, numbers):
    path = shared.parent / "bugs" / "drill" / name
    if not path.exists():
        pytest.skip("needs the inputs of the drill")
    source = open_source(path)
    source.counted()
    assert f"cut short: {numbers}" in source.missing


def test_one_frame_of_no_stated_duration_is_shown_until_the_stated_end(shared):
    """A real file of 185 bytes, whole: it states one second, holds one frame and no rate."""
    (path,) = (shared / "malformed").rglob("webm.webm")
    source = open_source(path)
    assert source.counted() == 1
    assert not source.missing
