"""Files appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from nextframe.cli import app
from nextframe.core.errors import BadInputError
from nextframe.core.files.whole_file import check_file, check_folder, whole_file, write_whole
from nextframe.transfer.plot import write_plot
from nextframe.transfer.result import TransferRow


def test_a_file_takes_its_place_after_the_block(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    with whole_file(path) as temporary:
        temporary.write_text("whole")
        assert temporary.suffix == ".txt"
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), whole_file(path) as temporary:
        temporary.write_text(f"half {1 / 0}" if temporary.write_text("half") else "")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BadInputError, match="cannot be written"), whole_file(tmp_path / "file" / "a.txt"):
        pass


def test_a_link_stays_a_link_and_a_pipe_a_pipe(tmp_path: Path) -> None:
    """--json /dev/stdout, run as root, must not put a file in the place of the system's link."""
    (tmp_path / "there").mkdir()
    (tmp_path / "link.txt").symlink_to(tmp_path / "there" / "a.txt")
    write_whole(tmp_path / "link.txt", "whole")
    assert (tmp_path / "link.txt").is_symlink()
    assert [path.read_text() for path in (tmp_path / "there").iterdir()] == ["whole"]
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    check_file(pipe)
    write_whole(pipe, "text")
    assert os.read(reader, 100) == b"text"
    os.close(reader)
    assert pipe.is_fifo()


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    for path in (tmp_path, Path(), Path("/..")):
        with pytest.raises(BadInputError, match="is a folder"), whole_file(path) as temporary:
            temporary.write_text("text")
    with pytest.raises(BadInputError, match="is a folder; give the name of a file"):
        check_file(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_place_is_checked_without_making_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (Path("a.txt"), Path("new/newer/a.txt"), tmp_path / "a.txt"):
        check_file(path)
        check_folder(path)
    assert list(tmp_path.iterdir()) == []
    Path("file").write_text("in the way")
    check_file(Path("file"))  # replaced
    with pytest.raises(BadInputError, match=r"^file/new/a\.txt: cannot be written: file is not a folder; give another"):
        check_file(Path("file/new/a.txt"))
    with pytest.raises(BadInputError, match=r"^file: cannot be written: file is not a folder"):
        check_folder(Path("file"))
    check_file(Path("n" * 300))  # not known before it is tried


def test_texts_and_plots_that_cannot_be_written_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BadInputError, match=r"a\.json: cannot be written"):
        write_whole(tmp_path / "file" / "a.json", "{}")
    row = TransferRow("compact", "frozen", "digits", "test", 1, 8, [0.5], 16, 1.0)
    with pytest.raises(BadInputError, match=r"a\.png: cannot be written"):
        write_plot([row], 2, tmp_path / "file" / "a.png")
    write_plot([row], 2, tmp_path / "new" / "a.svg")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.svg"]


@pytest.mark.parametrize(
    "words",
    [
        ("train", "compact", "--steps", "1", "--set", "run.json_file=file/a.json", "-o", "run"),
        ("evaluate", "copy-last", "--clips", "2", "--json", "file/a.json"),
        ("evaluate", "copy-last", "--clips", "2", "--html", "file/a.html"),
        ("transfer", "compact", "--json", "file/a.json"),
        ("transfer", "compact", "-o", "file/a.png"),
        ("prepare", "films", "-o", "clips", "--json", "file/a.json"),
        ("prepare", "films", "-o", "clips", "--picture", "file/a.png"),
        ("prepare", "films", "-o", "file/clips"),
        ("extract-features", "films", "-o", "file/clips"),
        ("data", "films", "--json", "file/a.json"),
        ("benchmark", "gif-next", "--data", "films", "--steps", "1", "--models", "copy-last", "-o", "file/rows"),
        ("predict", "films/a.npy", "-m", "copy-last", "-o", "file/a.gif"),
        ("predict", "films/a.npy", "-m", "copy-last", "-o", "file/pictures"),
        ("interpolate", "films/a.npy", "-o", "file/a.gif"),
        ("models", "--markdown", "file/a.md"),
    ],
)
def test_no_verb_works_for_a_file_that_it_cannot_write(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "films").mkdir()
    np.save(tmp_path / "films" / "a.npy", np.zeros((40, 32, 32), np.uint8))
    done = CliRunner().invoke(app, [*words, "-q"] if words[0] != "models" else list(words))
    assert isinstance(done.exception, BadInputError), done.output
    assert "cannot be written" in str(done.exception)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "films"]
