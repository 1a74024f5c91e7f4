"""Several inputs of `nextframe predict`, and the files that it writes where none is named."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nextframe.cli import main
from nextframe.cli.inputs import GIF_PIXELS, Input, Outputs, inputs_of, note_size
from nextframe.media.reader import open_source
from nextframe.media.reading import DEFAULT
from nextframe.media.writer import write_video

pytestmark = pytest.mark.numeric
QUICK = ("-m", "linear", "-n", "2")


def said(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int | str | None, list[str], list[str]]:
    """Return the exit code and the lines that a command line writes; pytest takes what is logged before it is one."""
    with pytest.raises(SystemExit) as done:
        main([str(word) for word in words])
    written = capsys.readouterr()
    return done.value.code, written.out.splitlines(), written.err.splitlines()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, with a folder of three videos, one of them bad, and a folder of images."""
    monkeypatch.setenv("NEXTFRAME_CACHE", str(tmp_path / "cache"))
    here = tmp_path / "here"
    (here / "films").mkdir(parents=True)
    (here / "frames").mkdir()
    grey = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1).expand(6, 1, 8, 10) * 20
    for name in ("a.gif", "b.npy"):
        write_video(here / "films" / name, grey)
    (here / "films" / "bad.mp4").write_bytes(b"no video")
    for number, frame in enumerate(grey):
        Image.fromarray(frame[0].numpy()).save(here / "frames" / f"{number}.png")
    monkeypatch.chdir(here)
    return here


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def test_without_an_output_a_file_is_named_like_its_input(here, capsys):
    code, out, _ = said(capsys, "predict", "films/a.gif", *QUICK)
    assert (code, out) == (0, ["a-next.gif"])
    assert len(list(open_source("a-next.gif").frames())) == 2
    assert said(capsys, "predict", "frames", *QUICK)[1] == ["frames-next.gif"]


def test_what_is_there_is_not_replaced_unless_it_is_named(here, capsys):
    (here / "a-next.gif").write_bytes(b"mine")
    assert said(capsys, "predict", "films/a.gif", *QUICK)[1] == ["a-next-2.gif"]
    assert said(capsys, "predict", "films/a.gif", *QUICK)[1] == ["a-next-3.gif"]
    assert (here / "a-next.gif").read_bytes() == b"mine"
    assert said(capsys, "predict", "films/a.gif", *QUICK, "-o", "a-next.gif")[1] == ["a-next.gif"]
    assert (here / "a-next.gif").read_bytes() != b"mine"


def test_a_bad_one_of_several_is_one_line_and_the_others_are_predicted(here, capsys, caplog):
    words = ("films/a.gif", "films/bad.mp4", "frames", "films/none.mp4", "films/b.npy")
    code, out, err = said(capsys, "predict", *words, *QUICK, "--set", "predict.trust=false", "--json", "facts.json")
    assert (code, out) == (2, ["a-next.gif", "frames-next.gif", "b-next.gif"])
    bad, none = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert bad.startswith("films/bad.mp4: cannot be opened as a video (")
    assert none == "films/none.mp4: there is no such file or folder"
    assert err == ["nextframe: 2 of 5 inputs could not be predicted"]
    facts = json.loads((here / "facts.json").read_text())["inputs"]
    assert [row["source"] for row in facts] == ["a.gif", "bad.mp4", "frames", "none.mp4", "b.npy"]
    assert [row.get("output") for row in facts] == ["a-next.gif", None, "frames-next.gif", None, "b-next.gif"]
    assert "no such file" in facts[3]["error"]


def test_a_folder_of_videos_is_as_many_inputs(here, capsys):
    code, out, _ = said(capsys, "predict", "films", *QUICK, "-o", "out")
    assert (code, out) == (2, ["out/a-next.gif", "out/b-next.gif"])
    assert files(here / "out") == ["a-next.gif", "b-next.gif"]
    assert files(here) == []
    (here / "films" / "bad.mp4").unlink()
    (here / "films" / "b.npy").unlink()
    assert said(capsys, "predict", "films", *QUICK, "-o", "one")[:2] == (0, ["one/a-next.gif"])


def test_a_folder_of_images_stays_one_video(here, capsys):
    assert said(capsys, "predict", "frames", *QUICK, "-o", "out")[:2] == (0, ["out"])
    assert files(here / "out") == [*(f"INPUT{n}.png" for n in range(6)), "OUTPUT0.png", "OUTPUT1.png"]


@pytest.mark.parametrize(
    ("images", "videos", "names"), [(6, 1, ["mixed"]), (1, 1, ["0.npy"]), (1, 2, ["0.npy", "1.npy"])]
)
def test_a_folder_of_both_is_what_it_has_more_of(tmp_path, images, videos, names, caplog):
    (tmp_path / "mixed" / "below").mkdir(parents=True)
    for number in range(images):
        Image.new("L", (8, 8)).save(tmp_path / "mixed" / f"{number}.png")
    for folder in ("mixed", "mixed/below"):
        for number in range(videos):
            np.save(tmp_path / folder / f"{number}.npy", np.zeros((3, 8, 8), np.uint8))
    found, several = inputs_of([tmp_path / "mixed"], DEFAULT)
    assert [each.path.name for each in found] == names
    assert several == (names != ["mixed"])
    assert "beside the others in it are not read" in caplog.text


def test_one_file_for_several_inputs_is_refused_before_any_work(here, capsys):
    code, out, err = said(capsys, "predict", "films", *QUICK, "-o", "next.gif")
    assert (code, out) == (2, [])
    assert err == ["nextframe: -o next.gif is one file, and each of several inputs has its own: give a folder"]
    for words in (("films", "-o", "films"), ("films/a.gif", "frames", "-o", "frames")):
        code, out, err = said(capsys, "predict", *words, *QUICK)
        assert (code, out) == (2, [])
        assert "is in the input folder, where it would be read as a part of it" in err[-1]
    assert files(here / "films") == ["a.gif", "b.npy", "bad.mp4"]


def test_a_model_that_is_not_there_is_said_once(here, capsys):
    code, _, err = said(capsys, "predict", "films", "-m", "flwo")
    assert code == 2
    assert len(err) == 1
    assert "did you mean 'flow'" in err[0]


def test_the_size_in_all_frames_decides_between_a_gif_and_an_mp4(tmp_path):
    outputs, given = Outputs(None, tmp_path), Input(Path("cat.film.mov"), Path("cat.film.mov"))
    assert outputs.choose(given, GIF_PIXELS) == tmp_path / "cat.film-next.gif"
    assert outputs.choose(given, GIF_PIXELS + 1) == tmp_path / "cat.film-next.mp4"
    assert Outputs(Path("x.gif"), tmp_path).choose(given, 2 * GIF_PIXELS) == Path("x.gif")


def test_the_pixels_are_those_that_are_predicted(here, capsys, monkeypatch):
    monkeypatch.setattr("nextframe.cli.inputs.GIF_PIXELS", 2 * 8 * 10)
    assert said(capsys, "predict", "films/a.gif", *QUICK)[1] == ["a-next.gif"]
    assert said(capsys, "predict", "films/a.gif", *QUICK, "-n", 3)[1] == ["a-next.mp4"]
    assert said(capsys, "predict", "films/a.gif", *QUICK, "--size", "16x16")[1] == ["a-next-2.mp4"]


def test_a_way_through_a_folder_that_is_not_there_is_no_error_once_the_file_is_written(here, capsys):
    code, out, err = said(capsys, "predict", "films/a.gif", *QUICK, "-o", "missing/../next.gif")
    assert (code, out) == (0, ["missing/../next.gif"]), err
    assert (here / "next.gif").is_file()


def test_a_large_gif_is_said(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="nextframe")  # a test with --quiet may have raised it
    for name, size in (("a.gif", 10_000_001), ("b.gif", 10_000_000), ("c.mp4", 20_000_000)):
        (tmp_path / name).write_bytes(bytes(size))
        note_size(tmp_path / name)
    assert [line.split(str(tmp_path))[-1] for line in caplog.messages] == [
        "/a.gif has 10 MB, more than many sites take: -o a.mp4 is much smaller"
    ]


@pytest.mark.parametrize(
    ("path", "name"), [("cat.mp4", "cat"), ("a/b.c.npy", "b.c"), ("takes/left_*.png", "left"), ("*.png", "video")]
)
def test_names_of_inputs(path, name):
    assert Input(Path(path), Path(path)).name == name


def test_the_folder_that_one_is_in_has_a_name(here):
    assert Input(Path(), Path()).name == "here"
    assert Input(Path("films"), Path("films")).name == "films"
