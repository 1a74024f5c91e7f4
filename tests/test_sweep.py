"""Sweeps: what is swept over, trials with the real Optuna, resuming, pruning, and the best recipe."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from nextframe.cli import main
from nextframe.core.errors import NextframeError, NotSupportedError, UserError
from nextframe.data import DataConfig
from nextframe.training import ModelSection, Recipe, TrainingConfig, read_metrics, read_recipe, train
from nextframe.training.sweep.result import Sweep, Trial, ranked
from nextframe.training.sweep.space import Choices, Range, combinations, read_space, read_words
from nextframe.training.sweep.sweep import sweep
from pages import ROOT, blocks

EXTRAS = "an optional library: make test-all installs it (requirements-extras.lock)"
LR = {"training.lr": "1e-4..1e-2:log"}


def recipe(**training: Any) -> Recipe:
    usual = {"steps": 4, "batch": 2, "log_every": 2, "val_every": 2, "val_clips": 2, "precision": "32", "track": ()}
    data = DataConfig(name="moving-digits", context=2, horizon=2, size=(32, 32), options={"count": 1, "val_clips": 4})
    model = ModelSection(name="conv2d")
    return Recipe(model=model, data=data, training=TrainingConfig(**(usual | training)))


def lowest(folder: Path) -> float:
    return min(line["val/mse"] for line in read_metrics(folder) if "val/mse" in line)


# --- what is swept over (no Optuna) -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("64,128", Choices((64, 128))),
        ("adam, sgd ,null", Choices(("adam", "sgd", None))),
        ("1e-4,true", Choices((1e-4, True))),
        ("[32,32],[64]", Choices(([32, 32], [64]))),
        ("../a,../b", Choices(("../a", "../b"))),
        ("1e-4..1e-2", Range(1e-4, 1e-2)),
        ("1e-4..1e-2:log", Range(1e-4, 1e-2, log=True)),
        ("-2..3", Range(-2, 3)),
        (" 16 .. 64 : log", Range(16, 64, log=True)),
        ("0...5", Range(0, 0.5)),
    ],
)
def test_a_field_has_choices_or_a_range(text: str, part: Choices | Range) -> None:
    (read,) = read_space({"model.width": text}).values()
    assert read == part
    if isinstance(read, Range):
        assert read.whole == ("e" not in text and "..." not in text)
    else:
        assert list(read.labels.values()) == list(read.values)


BAD = {
    "training.lr=1e-2..1e-4": "the low end 0.01 is not below the high end 0.0001",
    "training.lr=1..1": "the low end 1 is not below the high end 1",
    "training.lr=0..1e-2:log": "a range by factors begins above 0, not at 0",
    "training.lr=1e-4..x": "'x' is not a number; write A,B,C or LOW..HIGH or LOW..HIGH:log",
    "training.lr=1e-4..inf": "'inf' is not a number",
    "training.lr=1e-4..1e-2:ln": "unknown scale 'ln'",
    "training.lr=1e-3": "a choice needs two values; write A,B,C",
    "training.lr=1e-3,1e-3": "a choice needs two values",
    "training.lr": "--over 'training.lr': write A,B,C or LOW..HIGH",
    "training.lr=[1": "the value cannot be read",
    "training.lrr=1e-4..1e-2": "unknown field 'training.lrr'; did you mean 'lr'?",
    "training.lr=-1..1": "field 'training.lr' of Recipe: Input should be greater than 0",
    "training.optimizer=adam,adamv": "unknown optimizer 'adamv'",
    "model.lenght=1,2": "conv2d: unknown field 'lenght'",
    "lr=1,2": "setting 'lr': write SECTION.FIELD=VALUE",
    "training.monitor=val/mse,val/loss": "over 'training.monitor': it changes what trials are compared by",
    "data.horizon=2,3": "over 'data.horizon': it changes what trials are compared by",
}


@pytest.mark.parametrize("word", BAD)
def test_a_bad_range_or_field_is_one_line_before_anything_is_made(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nextframe.training.sweep.sweep.check_installed", lambda: None)  # it is not asked for here
    small = "--data moving-digits --size 32x32 --context 2 --horizon 2 --steps 2"
    with pytest.raises(SystemExit) as done:
        main(["sweep", "conv2d", "--over", word, *small.split(), "-o", str(tmp_path / "mine")])
    said = capsys.readouterr().err
    assert done.value.code == 2, said
    assert BAD[word] in said
    assert said.count("\n") == 1
    assert not (tmp_path / "mine").exists()


def test_a_field_may_be_swept_over_once() -> None:
    assert read_words(["a.b=1,2", "a.c=x=y,z"]) == {"a.b": "1,2", "a.c": "x=y,z"}
    with pytest.raises(UserError, match=r"^--over 'a\.b=3,4': it is given twice$"):
        read_words(["a.b=1,2", "a.b=3,4"])
    with pytest.raises(UserError, match=r"^a sweep goes over at least one field"):
        read_space({})


def test_choices_alone_are_every_combination_once_in_an_order_of_the_seed() -> None:
    space = read_space({"a.b": "1,2,3", "a.c": [True, "x"]})
    first = combinations(space, 0)
    assert sorted(map(str, first)) == sorted(str({"a.b": b, "a.c": c}) for b in "123" for c in ("true", "x"))
    assert combinations(space, 0) == first != combinations(space, 1)
    assert combinations(space | read_space({"a.d": "1..2"}), 0) == []
    with pytest.raises(UserError, match=r"over 16,807 combinations, and 10,000 is the limit"):
        combinations(read_space({f"a.{name}": "1,2,3,4,5,6,7" for name in "bcdef"}), 0)


def test_trials_are_ranked_by_how_they_ended_then_by_value() -> None:
    trials = [
        Trial(0, "failed", None, {}, "a"),
        Trial(1, "pruned", 0.1, {}, "b"),
        Trial(2, "done", 0.3, {}, "c"),
        Trial(3, "done", 0.2, {}, "d"),
        Trial(4, "failed", 0.0, {}, "e"),
    ]
    assert [trial.number for trial in ranked(trials)] == [3, 2, 1, 4, 0]


def test_a_sweep_draws_its_trials_and_the_best_so_far() -> None:
    found = [(0, 0.3), (1, None), (2, 0.5), (3, 0.1)]
    trials = ranked(
        Trial(number, "done" if value else "failed", value, {"a": 1}, f"trial-{number}") for number, value in found
    )
    sweep = Sweep(Path("sweeps/a"), "val/mse", trials)
    lines = sweep.plot().lines
    assert lines["trial"] == [(0, 0.3), (2, 0.5), (3, 0.1)]
    assert lines["best so far"] == [(0, 0.3), (2, 0.3), (3, 0.1)]
    page = sweep._repr_html_()
    assert "<svg" in page
    assert "trial-3" in page


def test_a_sweep_without_optuna_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda library: None)
    with pytest.raises(NotSupportedError, match=r"^a sweep needs optuna: pip install 'nextframe\[sweep\]'$"):
        sweep(recipe(), LR, tmp_path / "mine", show=False)
    assert not (tmp_path / "mine").exists()


def test_a_run_ends_where_it_is_told_to(tmp_path: Path) -> None:
    seen: list[tuple[int, float]] = []

    def watch(step: int, value: float) -> bool:
        seen.append((step, value))
        return step == 4

    run = train(recipe(steps=20), tmp_path / "mine", show=False, watch=watch)
    logged = {line["step"]: line["val/mse"] for line in read_metrics(tmp_path / "mine") if "val/mse" in line}
    assert seen == list(logged.items())
    assert [step for step, _ in seen] == [2, 4] == [2, run.trainer.step]
    assert (tmp_path / "mine" / "model").is_dir()


# --- with Optuna ------------------------------------------------------------------------------------------------


def test_three_trials_and_their_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    optuna = pytest.importorskip("optuna", reason=EXTRAS)
    folder = tmp_path / "mine"
    words = "--data moving-digits --size 32x32 --context 2 --horizon 2 --steps 4 --trials 3 -q"
    words += " --set training.batch=2 --set training.val_every=2 --set training.val_clips=2"
    words += " --over training.lr=1e-4..1e-2:log --over training.optimizer=adam,sgd"
    with pytest.raises(SystemExit) as done:
        main(["sweep", "conv2d", *words.split(), "-o", str(folder)])
    assert not done.value.code
    results = json.loads((folder / "results.json").read_text())
    trials = sorted(results["trials"], key=lambda trial: trial["number"])
    assert [trial["folder"] for trial in trials] == ["trial-000", "trial-001", "trial-002"]
    for trial in trials:
        own = read_recipe(folder / trial["folder"])
        assert trial["settings"] == {"training.lr": own.training.lr, "training.optimizer": own.training.optimizer}
        assert 1e-4 <= own.training.lr <= 1e-2
        assert trial["value"] == lowest(folder / trial["folder"])
    best = min(trials, key=lambda trial: trial["value"])
    assert results["trials"][0] == best
    assert read_recipe(folder / "best.yaml") == read_recipe(folder / best["folder"])
    said = capsys.readouterr().out
    assert (folder / "results.md").read_text() in said
    assert [cell.strip() for cell in said.splitlines()[0].split("|")[1:4]] == ["trial", "val/mse", "training.lr"]
    assert said.splitlines()[2].split()[1] == best["folder"]
    assert f"nextframe train {folder}/best.yaml" in said
    (study,) = optuna.get_all_study_summaries(f"sqlite:///{folder}/study.db")
    assert study.n_trials == 3
    assert study.best_trial.value == best["value"]


def test_a_sweep_that_is_interrupted_goes_on_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second trial is stopped in its middle; resumed with more trials it is what a whole sweep is."""
    pytest.importorskip("optuna", reason=EXTRAS)
    from nextframe.training.run import Run

    calls: list[int] = []
    take = Run._take

    def stopped(run: Run, values: dict[str, float]) -> bool:
        calls.append(run.trainer.step)
        if len(calls) == 4:  # the last validation of the second trial
            raise KeyboardInterrupt
        return take(run, values)

    small = recipe(checkpoint_every=1)
    with monkeypatch.context() as patch:
        patch.setattr(Run, "_take", stopped)
        with pytest.raises(KeyboardInterrupt):
            sweep(small, LR, tmp_path / "cut", trials=2, show=False)
    cut = json.loads((tmp_path / "cut" / "results.json").read_text())["trials"]
    assert [trial["folder"] for trial in cut] == ["trial-000"]
    with pytest.raises(UserError, match=r"cut exists already: continue with --resume"):
        sweep(small, LR, tmp_path / "cut", trials=3, show=False)
    resumed = sweep(small, LR, tmp_path / "cut", trials=3, resume=True, show=False)
    whole = sweep(small, LR, tmp_path / "whole", trials=3, show=False)
    assert resumed.trials == whole.trials
    assert len(whole.trials) == len({trial.settings["training.lr"] for trial in whole.trials}) == 3
    assert sweep(small, LR, tmp_path / "whole", trials=3, resume=True, show=False).trials == whole.trials
    with pytest.raises(UserError, match=r"whole sweeps over something else \(training\.lr\): give the same --over"):
        sweep(small, {"training.lr": "1e-5..1e-2:log"}, tmp_path / "whole", resume=True, show=False)
    with pytest.raises(UserError, match=r"whole is a sweep with another training\.batch: give the same"):
        sweep(recipe(checkpoint_every=1, batch=3), LR, tmp_path / "whole", resume=True, show=False)
    with pytest.raises(UserError, match=r"whole is a sweep with another budget or cadence: give the same"):
        sweep(recipe(checkpoint_every=1, steps=5), LR, tmp_path / "whole", resume=True, show=False)


def test_choices_are_all_tried_and_a_trial_that_fails_is_said(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason=EXTRAS)
    shares: list[dict[str, float]] = [{}, {"nothing": 1.0}]  # conv2d has no stage of that name
    found = sweep(
        recipe(), {"training.shares": shares, "data.context": "2,3"}, tmp_path / "mine", trials=50, show=False
    )
    assert [trial.state for trial in found.trials] == ["done", "done", "failed", "failed"]
    tried = [(trial.settings["training.shares"], trial.settings["data.context"]) for trial in found.trials]
    assert sorted(map(str, tried)) == sorted(str((share, context)) for share in shares for context in (2, 3))
    assert all(trial.why.startswith("unknown stage 'nothing'") for trial in found.trials[2:])
    assert "| failed: unknown stage 'nothing'" in str(found)
    assert found.recipe.training.shares == {}
    wrong = {"training.shares": [{name: 1.0} for name in ("a", "b", "c", "d")]}
    with pytest.raises(NextframeError, match=r"^all of 3 trials failed: unknown stage '"):
        sweep(recipe(), wrong, tmp_path / "none", show=False)
    assert not (tmp_path / "none" / "best.yaml").exists()


def test_a_trial_that_is_behind_the_others_is_pruned(tmp_path: Path) -> None:
    """After four whole trials, one that is worse than their median at the same step stops there."""
    pytest.importorskip("optuna", reason=EXTRAS)
    rates = [0.01, 0.011, 0.012, 0.013, 1e-9, 2e-9, 3e-9, 4e-9]
    found = sweep(recipe(steps=8), {"training.lr": rates}, tmp_path / "mine", show=False)
    by_number = sorted(found.trials, key=lambda trial: trial.number)
    whole: list[dict[int, float]] = []  # the validations of the trials that were trained to their end
    for trial in by_number:
        lines = read_metrics(tmp_path / "mine" / trial.folder)
        values = {line["step"]: line["val/mse"] for line in lines if "val/mse" in line}
        behind = [
            s for s in values if min(v for at, v in values.items() if at <= s) > median(w[s] for w in whole or [values])
        ]
        assert list(values) == list(range(2, 1 + (min([*behind, 8]) if len(whole) >= 4 else 8), 2))
        assert trial.state == ("pruned" if len(values) < 4 else "done")
        assert trial.value == min(values.values())
        whole += [values] if trial.state == "done" else []
    assert [trial.state for trial in by_number[:4]] == ["done"] * 4
    assert "pruned" in {trial.state for trial in by_number[4:]}


def test_the_page_is_right_in_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python block of docs/how-to/sweep.md, on four videos, with shorter trainings."""
    pytest.importorskip("optuna", reason=EXTRAS)
    import torch

    import nextframe as nf

    monkeypatch.chdir(tmp_path)
    for number in range(6):
        nf.write_video(f"my_videos/{number}.gif", torch.rand(24, 1, 16, 16, generator=torch.manual_seed(number)), fps=8)
    (block,) = [block for block in blocks(ROOT / "docs" / "how-to" / "sweep.md") if block.language == "python"]
    short = "steps=2, trials=2, settings={'training.batch': 2, 'training.val_clips': 2, 'data.size': (16, 16)}"
    assert "minutes=5" in block.text
    names: dict[str, Any] = {}
    exec(block.text.replace("minutes=5", short), names)
    found = names["found"]
    assert found.folder == Path("sweeps/compact")
    assert found.best == Path("sweeps/compact") / found.trials[0].folder
    values = [lowest(found.folder / trial.folder) for trial in found.trials]
    assert [trial.value for trial in found.trials] == values == sorted(values)
    assert {trial.settings["model.width"] for trial in found.trials} <= {32, 64}
    assert found.recipe == read_recipe(found.best)
