"""The command line as a user meets it: help at once, one line and exit code 2 for every mistake."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from nextframe.cli import VERBS, main

pytestmark = pytest.mark.numeric

ENVIRONMENT = dict(os.environ)
DIGITS = ("--data", "moving-digits")


def nextframe(*words, cwd=None, **environment):
    return subprocess.run(
        [sys.executable, "-m", "nextframe", *map(str, words)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=ENVIRONMENT | environment,
        check=False,
    )


def works(*words):
    """Run the program in this process, and let it end well."""
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert not ended.value.code


@pytest.fixture
def moving_square(tmp_path):
    """A GIF of 12 frames in which a square moves two pixels a frame."""
    frames = []
    for step in range(12):
        frame = np.zeros((40, 56), np.uint8)
        frame[10:22, 4 + 2 * step : 16 + 2 * step] = 255
        frames.append(Image.fromarray(frame))
    path = tmp_path / "square.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100, loop=0)
    return path


HEAVY = {"torch", "numpy", "rich", "yaml", "cv2", "av", "matplotlib", "torchmetrics"}
ALL_HELP = [verb.__name__.strip("_").replace("_", "-") for verb in VERBS]


@pytest.mark.parametrize(("verbs", "heavy"), [([""], {*HEAVY, "pydantic"}), (ALL_HELP, HEAVY)])
def test_help_imports_nothing_heavy(verbs, heavy):
    """Typer itself imports pydantic to read the options of a verb, so only `nextframe --help` can do without."""
    code = (
        f"import sys\nfrom nextframe.cli import main\nfor verb in {verbs}:\n"
        "    try:\n        main([*verb.split(), '--help'])\n"
        "    except SystemExit as done:\n        assert not done.code\n"
        f"sys.exit(','.join({heavy} & set(sys.modules)) or 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("Usage: nextframe ") == len(verbs)


def test_the_bare_program_prints_its_verbs_in_groups():
    result = nextframe()
    assert result.returncode == 0
    assert result.stderr == ""
    assert result.stdout == nextframe("--help").stdout
    groups = result.stdout.split("\n\n")
    for title, verb in (("See data:", "prepare"), ("Train:", "recipes"), ("Measure:", "evaluate"), ("Share:", "push")):
        assert any(group.startswith(f"{title}\n") and f"\n  {verb} " in group for group in groups)


def test_help_answers_at_once():
    """Half a second of processor time, once in five times: unlike wall time, other work of the machine adds little."""

    def seconds() -> float:
        process = subprocess.Popen([sys.executable, "-m", "nextframe", "--help"], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        assert status == 0
        return usage.ru_utime + usage.ru_stime

    assert any(seconds() < 0.5 for _ in range(5))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("predct", "x.mp4"), "Did you mean 'predict'"),
        (("train", "convlsmt"), "did you mean 'convlstm'"),
        (("train", "compact", "--stepz", "3"), "No such option: --stepz"),
        (("train", "compact", *DIGITS, "--set", "model.widht=3", "--steps", "1", "-o", "x"), "did you mean 'width'"),
        (("train", "compact", "--data", "moving-digts", "--steps", "1", "-o", "x"), "did you mean 'moving-digits'"),
        (("train", "copy-last", *DIGITS, "--steps", "1", "-o", "x"), "nothing to train"),
        (("predict", "no-such.mp4"), "no-such.mp4"),
        (("predict", "square.gif", "--model", "flwo"), "did you mean 'flow'"),
        (("predict", "square.gif", "-o", "x.avi"), ".gif"),
        (("evaluate", "copy-last", "--split", "tset"), "did you mean 'test'"),
        (("models", "compct"), "did you mean 'compact'"),
        (("train", "compact", *DIGITS, "--set", "data.size=[0,64]", "--steps", "1", "-o", "x"), "must be at least 1"),
        (("data", "square.gif", "--set", "data.size=[8,-8]"), "must be at least 1"),
        (("evaluate", "copy-last", "--size", "12y12"), "HEIGHTxWIDTH"),
        (("evaluate", "copy-last", "--size", "12"), "HEIGHTxWIDTH"),
        (("evaluate", "copy-last", "--size", "12x1²"), "HEIGHTxWIDTH"),
        (("transfer", "convlstm", "--per-class", "1,2²"), "write numbers from 1 on"),
        (("quickstart", "--minutes", "0.01", "-o", "x", "--json", "."), "is a folder"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(words, says, tmp_path, moving_square, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    told = capsys.readouterr().err
    assert stopped.value.code == 2, told
    assert says in told
    assert len(told.strip().splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["square.gif"], "nothing half-written"


def test_predict_writes_the_next_frames(tmp_path, moving_square):
    result = nextframe("predict", moving_square, "--model", "flow", "-n", 4, "-o", tmp_path / "next.gif")
    assert result.returncode == 0, result.stderr
    with Image.open(tmp_path / "next.gif") as picture:
        assert picture.size == (56, 40)
        assert picture.n_frames == 4
        picture.seek(3)
        last = np.asarray(picture.convert("L"), dtype=float)
    # the square's left edge was at 26 in the last frame given, and moves 2 pixels a frame
    columns = last[12:20].mean(axis=0)
    assert abs(float((columns * np.arange(56)).sum() / columns.sum()) - (26 + 5.5 + 8)) < 1.5


def test_evaluate_writes_the_rows_of_the_design(tmp_path):
    words = ("evaluate", "linear", "--clips", 6, "--json", tmp_path / "rows.json", "--html", tmp_path / "report.html")
    works(*map(str, words))
    written = json.loads((tmp_path / "rows.json").read_text())
    assert {"command", "commit", "seed", "machine", "date", "seconds"} <= set(written["run"])
    keys = {"model", "data", "split", "metric", "definition", "unit", "better", "mean", "ci95", "per_step", "n"}
    assert all(keys <= set(row) for row in written["rows"])
    assert {"linear", "copy-last", "flow", "zero"} == {row["model"] for row in written["rows"]}
    assert all(len(row["per_step"]) == 10 for row in written["rows"])
    assert "http" not in (tmp_path / "report.html").read_text().replace("http://www.w3.org/2000/svg", "")


def test_evaluate_measures_the_metrics_that_were_asked_for(tmp_path, capsys):
    words = ("evaluate", "copy-last", "--clips", "2", "--json", str(tmp_path / "rows.json"), "--metrics")
    works(*words, "psnr-moving, mae")
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert list(dict.fromkeys(row["metric"] for row in rows)) == ["psnr-moving", "mae"]
    (tmp_path / "rows.json").unlink()
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main([*words, "psnr,beauty"])
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert "beauty" in told
    assert len(told.strip().splitlines()) == 1
    assert not (tmp_path / "rows.json").exists()
    with pytest.raises(SystemExit):
        main([*words, ","])
    assert "name at least one metric" in capsys.readouterr().err


def test_models_page_is_up_to_date(request):
    from nextframe.cli.models import as_markdown

    page = request.config.rootpath / "docs" / "models.md"
    assert page.read_text(encoding="utf-8") == as_markdown(), "run: make docs"


def test_train_leaves_a_report_of_the_val_split(tmp_path):
    small = ("model.width=8", "model.blocks=1", "data.options.val_clips=8")
    words = ["train", "compact", *DIGITS, "--steps", "2", "--batch", "2"]
    words += [word for setting in small for word in ("--set", setting)]
    works(*words, "-o", str(tmp_path / "run"))
    page = (tmp_path / "run" / "report.html").read_text()
    assert "val split" in page
    assert "copy-last" in page
    works(*words, "--set", "run.report=false", "-o", str(tmp_path / "bare"))
    assert not (tmp_path / "bare" / "report.html").exists()


def test_train_names_no_report_that_was_not_written(tmp_path, moving_square, capsys):
    """Two videos leave no clips for a val split."""
    videos = tmp_path / "videos"
    videos.mkdir()
    moving_square.rename(videos / "square.gif")
    Image.fromarray(np.eye(16, dtype=np.uint8) * 255).save(
        videos / "line.gif", save_all=True, append_images=[Image.new("L", (16, 16), grey) for grey in range(0, 250, 25)]
    )
    words = ["train", "compact", "--data", str(videos), "--size", "16x16", "--context", "2", "--horizon", "1"]
    words += ["--steps", "2", "--batch", "2", "--set", "model.width=8", "--set", "model.blocks=1"]
    works(*words, "-o", str(tmp_path / "run"))
    said = capsys.readouterr().out
    assert not (tmp_path / "run" / "report.html").exists()
    assert "report.html" not in said
    assert f"{tmp_path / 'run'}/model  (nextframe evaluate" in said


SMALL = ("model.width=8", "model.blocks=1", "run.report=false", "training.val_clips=2")
SMALL_RUN = ("--steps", 1, "--batch", 2, *(word for setting in SMALL for word in ("--set", setting)))


@pytest.mark.parametrize("precision", [pytest.param("32", marks=pytest.mark.slow), "bf16"])
def test_no_library_speaks_to_a_user_who_trains(precision, tmp_path):
    """Fabric tells of its precision, and of SLURM wherever there is an `srun`; a user reads of the training only."""
    srun = tmp_path / "bin" / "srun"
    srun.parent.mkdir()
    srun.write_text("#!/bin/sh\n")
    srun.chmod(0o755)
    path = {"PATH": f"{srun.parent}{os.pathsep}{os.environ['PATH']}"}
    words = ("train", "compact", *DIGITS, *SMALL_RUN, "--set", f"training.precision={precision}", "--device", "cpu")
    result = nextframe(*words, "-o", tmp_path / "run", **path)
    assert result.returncode == 0, result.stderr
    lines = result.stderr.strip().splitlines()
    assert lines
    assert [line for line in lines if not line.startswith(("compact: step 1 ", "compact: model.residual="))] == []
    code = (
        "from pathlib import Path; from nextframe.training import *; values = {'steps': 1, 'batch': 2, 'val_clips': 2};"
        "model = ModelSection(name='compact', fields={'width': 8, 'blocks': 1});"
        f"training = TrainingConfig(precision='{precision}', device='cpu', **values);"
        f"train(Recipe(model=model, training=training), Path({str(tmp_path / 'again')!r}), show=False);"
        "import sys; from importlib.util import find_spec;"  # what takes seconds is not imported, and still there
        "assert 'lightning_fabric' in sys.modules and 'torchmetrics' not in sys.modules and find_spec('torchmetrics')"
    )
    again = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=ENVIRONMENT | path
    )
    assert (again.returncode, again.stderr) == (0, "")  # and in a script that has set no logging up


@pytest.mark.parametrize(
    ("given", "found"),
    [({}, "1000"), ({"OMP_WAIT_POLICY": "active"}, None), ({"GOMP_SPINCOUNT": "7"}, "7")],
)
def test_threads_that_wait_sleep_soon_unless_the_user_says_otherwise(given, found):
    """On two cores that are busy too, `train` took 3 to 28 clips a second, and takes 80 to 140."""
    script = (
        "import os, sys; from nextframe.cli import main\n"
        "try: main(['--version'])\n"
        "except SystemExit: print('torch' in sys.modules, os.environ.get('GOMP_SPINCOUNT'))"
    )
    own = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run([sys.executable, "-c", script], env=own | given, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-2:] == ["False", str(found)]


def test_every_recipe_says_what_it_is_in_one_line():
    from nextframe.recipes import RECIPES, about

    assert [name for name in RECIPES if not about(name) or "\n" in about(name)] == []
