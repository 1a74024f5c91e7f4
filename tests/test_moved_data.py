"""A run whose data has moved: every verb says whose data is missing, and a run goes on with the same data elsewhere."""

import numpy as np
import pytest

from nextframe.cli import main
from nextframe.training import read_metrics
from nextframe.training.recipe import read_recipe

pytestmark = pytest.mark.numeric
SMALL = ("model.width=8", "model.blocks=1", "model.patch=8", "training.precision=32", "run.report=false")


def films(folder, count=4, frames=30):
    folder.mkdir()
    for number in range(count):
        film = np.zeros((frames, 16, 16), np.uint8)
        for time in range(frames):
            film[time, 4:9, (time + 3 * number) % 12 :][:, :4] = 250
        np.save(folder / f"film{number}.npy", film)


def said(capsys, *words):
    with pytest.raises(SystemExit) as done:
        main([str(word) for word in words])
    return done.value.code, capsys.readouterr().err


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """A run of four steps, begun in its own folder with data at a relative place."""
    monkeypatch.setenv("NEXTFRAME_CACHE", str(tmp_path / "cache"))
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    films(tmp_path / "home" / "films")
    settings = [word for setting in SMALL for word in ("--set", setting)]
    words = ("train", "compact", "--data", "films", "--context", 3, "--horizon", 1, "--steps", 4, "--batch", 2)
    code, err = said(capsys, *words, "-o", tmp_path / "run", *settings)
    assert code == 0, err
    return tmp_path / "run"


def test_from_another_folder_it_is_said_whose_data_is_missing_and_resume_takes_its_place(
    run, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    for words in (("evaluate", run), ("train", "compact", "-o", run, "--resume", "--steps", 6)):
        code, err = said(capsys, *words)
        assert code == 2
        assert f"the data of {run}, 'films', is missing" in err
        assert "--data PATH" in err
    assert said(capsys, "evaluate", run, "--data", "home/films", "--clips", 2)[0] == 0
    resume = ("train", "compact", "-o", run, "--resume", "--steps", 6, "--set", "run.report=false")
    code, err = said(capsys, *resume, "--data", "home/films")
    assert code == 0, err
    assert read_metrics(run)[-1]["step"] == 6
    assert read_recipe(run).data.name == "home/films"
    assert said(capsys, "evaluate", run, "--clips", 2)[0] == 0, "the new place is kept"


@pytest.mark.parametrize("other", ["fewer", "longer", "renamed"])
def test_other_data_is_not_taken_for_the_runs_own(run, tmp_path, capsys, other):
    films(tmp_path / "other", count=3 if other == "fewer" else 4, frames=31 if other == "longer" else 30)
    if other == "renamed":
        (tmp_path / "other" / "film0.npy").rename(tmp_path / "other" / "a.npy")
    words = ("train", "compact", "-o", run, "--resume", "--steps", 6, "--data", tmp_path / "other")
    code, err = said(capsys, *words)
    assert code == 2
    assert f"is not the data that {run} was trained on: it has" in err
    assert "that had 4 sources of 120 frames" in err
    assert read_recipe(run).data.name == "films"


def test_a_run_of_an_earlier_version_goes_on_if_its_data_is_gone(run, tmp_path, capsys):
    (run / "data.json").unlink()
    words = ("train", "compact", "-o", run, "--resume", "--steps", 5, "--set", "run.report=false", "--data")
    films(tmp_path / "copy")
    code, err = said(capsys, *words, tmp_path / "copy")
    assert code == 2
    assert "is still there: omit --data" in err
    (tmp_path / "home" / "films").rename(tmp_path / "moved")
    assert said(capsys, *words, tmp_path / "moved")[0] == 0


def test_another_model_setting_is_still_refused(run, capsys):
    code, err = said(capsys, "train", "compact", "-o", run, "--resume", "--set", "model.width=16")
    assert code == 2
    assert "was trained with another model.fields" in err
