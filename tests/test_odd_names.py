"""Names that look like markup, formulas or terminal commands are shown as they are, everywhere."""

import io
import logging
import os
import re
from types import SimpleNamespace

import numpy as np
import pytest

from nextframe.cli import main
from nextframe.core.errors import BadInputError
from nextframe.core.terminal import VisibleFormatter, plain_console, visible
from nextframe.evaluation import table as evaluation_table
from nextframe.media.reader import open_source, sniff

NAMES = ["[bold]a[/bold].npy", "b[/b].npy", ":smile:.npy", "c[red].npy", "\x1b[31md.npy", "e\u202egpj.npy", "f\rg.npy"]
SHOWN = [
    "[bold]a[/bold].npy",
    "b[/b].npy",
    ":smile:.npy",
    "c[red].npy",
    r"\x1b[31md.npy",
    r"e\u202egpj.npy",
    r"f\x0dg.npy",
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NEXTFRAME_CACHE", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    for number, name in enumerate(NAMES):
        (tmp_path / "data" / name).parent.mkdir(exist_ok=True)  # "[/b]" is a folder and a file in it
        np.save(tmp_path / "data" / name, np.full((30, 8, 8), 8 * number, np.uint8))
    (tmp_path / "data" / "[i]not a :smile: video\x1b[2J.mp4").write_bytes(b"no")
    return tmp_path / "data"


def said(capsys, *words):
    with pytest.raises(SystemExit) as done:
        main([str(word) for word in words])
    written = capsys.readouterr()
    return done.value.code, written.out, written.err


def test_data_shows_every_name_as_it_is(folder, capsys):
    code, out, err = said(capsys, "data", folder, "--context", 3, "--horizon", 2)
    assert code == 0, err
    for name in SHOWN:
        assert re.search(rf"^ ?{re.escape(name)} ", out, re.MULTILINE), name
    assert "skipped [i]not a :smile: video" + r"\x1b[2J.mp4" in out
    assert "\x1b" not in out + err
    assert "\u202e" not in out + err


def test_lines_and_errors_show_names_as_they_are(folder, capsys):
    code, _, err = said(capsys, "data", folder / "no [/b] such \x1b[31m:smile:\x07 file")
    assert code == 2
    assert "no [/b] such " + r"\x1b[31m:smile:\x07 file" in err
    record = logging.LogRecord("nextframe", 30, "", 0, "%s is [b]dark[/b]", ("\x1b]0;title\x07",), None)
    assert VisibleFormatter("%(message)s").format(record) == r"\x1b]0;title\x07 is [b]dark[/b]"


def test_an_evaluation_shows_the_names_of_models_and_data(monkeypatch):
    row = SimpleNamespace(
        data="[data] :smile:",
        split="test",
        n=3,
        better="lower",
        mean=1.0,
        metric="mse",
        model="",
        per_step=(1.0, 2.0),
        ci95=None,
    )
    result = SimpleNamespace(
        model="x[/b]\x1b[2J", models=["x[/b]\x1b[2J", "[red]y"], metrics=["mse"], rows=[row], clips=4,
        row=lambda model, metric: SimpleNamespace(**{**vars(row), "model": model}), ranked=lambda metric: [row],
    )  # fmt: skip
    for name in ("headline", "spread"):
        monkeypatch.setattr(evaluation_table, name, lambda *_: "[dim]line[/dim]")
    monkeypatch.setattr(evaluation_table, "findings", lambda _: ["[b]found[/b]"])
    text = evaluation_table.as_text(result)
    for shown in (r"x[/b]\x1b[2J", "[red]y", "[data] :smile:", "[dim]line[/dim]", "- [b]found[/b]"):
        assert shown in text, shown
    written = io.StringIO()
    evaluation_table.show_evaluation(result, plain_console(file=written, width=100, force_terminal=True))
    assert "\x1b[2J" not in written.getvalue(), "not even among the styles of a terminal"


def test_what_is_hidden_is_made_visible_and_words_stay():
    assert visible("a\x1bb\x9b\u2066c\udcff\n\tü") == "a\\x1bb\\x9b\\u2066c\\udcff\n\tü"
    assert visible("a\nb", keep="") == r"a\x0ab"
    for text in ("naïve 日本語 עברית", "👩\u200d🚀", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"):
        assert visible(text) == text


def test_a_pipe_in_a_folder_is_skipped_and_said(folder, capsys):
    """Opening one would wait for ever for somebody to write."""
    for name in ("pipe", "pipe.mp4", "pipe.png", "pipe.tif"):
        os.mkfifo(folder / name)
    (folder / "gone.mp4").symlink_to(folder / "nowhere.mp4")
    code, out, _ = said(capsys, "data", folder, "--context", 3, "--horizon", 2)
    assert code == 0
    for name in ("pipe", "pipe.mp4", "pipe.png", "pipe.tif"):
        assert f"skipped {name}: not a regular file (a pipe or device)" in out
    assert "skipped gone.mp4: a link to nothing" in out
    for read in (sniff, open_source):
        with pytest.raises(BadInputError, match=r"not a regular file|neither a file nor a folder"):
            read(folder / "pipe")
