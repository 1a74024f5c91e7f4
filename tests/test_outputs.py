"""Outputs never replace the input, lie among its frames, or are mixed with those of an earlier run."""

import numpy as np
import pytest
import torch
from PIL import Image

from nextframe.cli import main
from nextframe.core.errors import BadInputError
from nextframe.media.writer import write_video
from nextframe.prediction import interpolate, predict, write_prediction
from texture import texture

pytestmark = pytest.mark.numeric


def said(capsys, *words):
    with pytest.raises(SystemExit) as done:
        main([str(word) for word in words])
    return done.value.code, capsys.readouterr().err


@pytest.fixture
def film(tmp_path, monkeypatch):
    monkeypatch.setenv("NEXTFRAME_CACHE", str(tmp_path / "cache"))
    frames = np.stack([texture(24, 32, 2.0 * t, 0.0, channels=3)[0].numpy() for t in range(6)])
    write_video(tmp_path / "s.mp4", torch.from_numpy(frames))
    (tmp_path / "frames").mkdir()
    for number, frame in enumerate(frames):
        Image.fromarray((frame.transpose(1, 2, 0) * 255).astype(np.uint8)).save(tmp_path / "frames" / f"{number}.png")
    return tmp_path


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "words",
    [
        ("interpolate", "s.mp4", "-o", "s.mp4"),
        ("interpolate", "s.mp4", "-o", "link.mp4"),
        ("interpolate", "frames", "-o", "frames/a.gif"),
        ("predict", "s.mp4", "-o", "./s.mp4", "-m", "copy-last"),
        ("predict", "frames", "-o", "frames", "-m", "copy-last"),
        ("predict", "frames", "-o", "frames/next.png", "-m", "copy-last"),
        ("data", "s.mp4", "--json", "s.mp4"),
        ("data", "frames", "--contact-sheet", "frames/sheet.png"),
        ("prepare", "frames", "-o", "frames"),
        ("prepare", "s.mp4", "-o", "clips", "--picture", "s.mp4"),
        ("prepare", "s.mp4", "-o", "clips", "--json", "link.mp4"),
        ("predict", "s.mp4", "-o", "next.gif", "--json", "s.mp4", "-m", "copy-last"),
        ("predict", "frames", "s.mp4", "-o", "out", "--json", "link.mp4", "-m", "copy-last"),
    ],
    ids=" ".join,
)
def test_an_output_over_or_among_the_input_is_refused(film, monkeypatch, capsys, words):
    (film / "link.mp4").symlink_to(film / "s.mp4")
    monkeypatch.chdir(film)
    before = contents(film)
    code, err = said(capsys, *words)
    assert code == 2
    assert "is the input itself, which would be lost" in err or "is in the input folder" in err
    assert contents(film) == before


def test_the_facts_do_not_replace_the_prediction(film, capsys):
    words = ("predict", film / "s.mp4", "-o", film / "a.gif", "--json", film / "a.gif", "-m", "copy-last")
    code, err = said(capsys, *words)
    assert code == 2
    assert "is the file of the prediction too" in err
    assert not (film / "a.gif").exists()


def test_an_output_beside_the_input_is_fine(film, capsys):
    interpolate(film / "s.mp4", film / "t.mp4", "mean-neighbours")
    with pytest.raises(BadInputError, match="is the input itself"):
        interpolate(film / "s.mp4", film / "frames" / ".." / "s.mp4", "mean-neighbours")
    assert (
        said(capsys, "predict", film / "frames", "-o", film / "frames" / "deeper" / "a.gif", "-m", "copy-last")[0] == 0
    )


def test_fewer_frames_into_the_same_folder_leave_no_old_ones(film):
    (film / "out").mkdir()
    (film / "out" / "OUTPUT notes.png").write_bytes(b"mine")
    write_prediction(predict(film / "s.mp4", "copy-last", 5, context=3), film / "out")
    write_prediction(predict(film / "s.mp4", "copy-last", 2, context=2, compare=True), film / "out")
    images = ["INPUT0", "INPUT1", "OUTPUT0", "OUTPUT1", "comparison0", "comparison1", "OUTPUT notes"]
    assert {path.name for path in (film / "out").iterdir()} == {f"{name}.png" for name in images}
    with Image.open(film / "out" / "comparison1.png") as pair:
        assert pair.size == (64, 24)
