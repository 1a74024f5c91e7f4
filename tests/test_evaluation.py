from __future__ import annotations

import io
import json
import math
import subprocess
import sys
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor

import nextframe
from nextframe.checkpoint import save_model
from nextframe.core.clip import Clip, Task
from nextframe.core.errors import UnknownNameError, UserError
from nextframe.data.clipset import ClipSet, Indices, Split
from nextframe.evaluation import Evaluation, Row, clip_indices, evaluate, run_facts, show_evaluation
from nextframe.evaluation.scores import Scores, mean_interval
from nextframe.evaluation.table import shown_steps
from nextframe.evaluation.verdict import findings, headline, number, spread
from nextframe.models import MODELS
from nextframe.models.contract import Request, TrainedTask
from tiny import Tiny, TinyConfig


class Clips(ClipSet):
    """Clips that are given as a tensor (N, T, C, H, W) uint8, all in the test split."""

    name = "by-hand"

    def __init__(self, frames: Tensor, sources: list[str], context: int) -> None:
        self.frames, self.sources = frames, sources
        self.task = Task.forecast(context, frames.shape[1] - context)
        self.frame_shape = (frames.shape[2], frames.shape[3], frames.shape[4])

    def count(self, split: Split) -> int | None:
        return len(self.frames) if split == "test" else 0

    def read(self, split: Split, indices: Indices) -> Clip:
        return self.task.split(self.frames[torch.from_numpy(indices)])

    def source(self, split: Split, index: int) -> str:
        return self.sources[index]


def constant(*values: list[int]) -> Tensor:
    """Return clips (N, T, 1, 16, 16) whose frames have one grey value each."""
    return torch.tensor(values, dtype=torch.uint8).view(len(values), -1, 1, 1, 1).expand(-1, -1, 1, 16, 16)


# one context frame, two to predict; two clips of source a, one of source b
BY_HAND = Clips(constant([0, 51, 102], [0, 0, 0], [255, 204, 0]), ["a", "a", "b"], context=1)


@pytest.fixture(autouse=True)
def _tiny_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS._entries, "tiny", "tiny:Tiny")


def random_clips(count: int, frames: int = 5, size: int = 16) -> Clips:
    generator = torch.Generator().manual_seed(0)
    shape = (count, frames, 1, size, size)
    frames_of = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    return Clips(frames_of, [f"s{index}" for index in range(count)], context=2)


def test_values_worked_out_by_hand() -> None:
    found = evaluate("copy-last", BY_HAND, metrics=("mse", "mae", "mse-sum"))
    # copy-last is off by 0.2 and 0.4; 0 and 0; 0.2 and 1. Source a is the mean of its two clips.
    row = found.row("copy-last", "mse")
    assert row.per_step == pytest.approx([(0.02 + 0.04) / 2, (0.08 + 1.0) / 2])
    assert row.mean == pytest.approx((0.05 + 0.52) / 2)
    assert row.n == 2
    half = 12.706205 * abs(0.52 - 0.05) / 2  # t(0.975, 1) * s / sqrt(2)
    assert row.ci95 == pytest.approx((0.285 - half, 0.285 + half))
    assert found.row("copy-last", "mae").per_step == pytest.approx([(0.1 + 0.2) / 2, (0.2 + 1) / 2])
    assert found.row("copy-last", "mse-sum").mean == pytest.approx(256 * 0.285)
    zero = found.row("zero", "mse")  # off by 0.2 and 0.4; 0 and 0; 0.8 and 0
    assert zero.per_step == pytest.approx([(0.02 + 0.64) / 2, (0.08 + 0) / 2])
    assert found.best_baseline("mse") == zero


def test_interval_is_students() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0])
    mean, ci95 = mean_interval(values)
    half = 3.182446 * math.sqrt(5 / 3) / 2  # t(0.975, 3) * s / sqrt(4)
    assert mean == 2.5
    assert ci95 == pytest.approx((2.5 - half, 2.5 + half))
    assert mean_interval(np.array([7.0])) == (7.0, None)


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    draws = np.random.default_rng(0).normal(3.0, 2.0, (2000, 8))
    inside = [ci95 is not None and ci95[0] <= 3 <= ci95[1] for _, ci95 in map(mean_interval, draws)]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)


def test_every_source_has_the_same_weight() -> None:
    scores = Scores()
    scores.add(["long"] * 9 + ["short"], np.array([[1.0]] * 9 + [[5.0]]))
    assert scores.summary().mean == 3.0
    assert scores.summary().n == 2


def test_a_model_in_training_is_measured_as_it_predicts_and_goes_on_training() -> None:
    class Doubting(Tiny):
        def forecast(self, request: Request) -> Tensor:
            return super().forecast(request) * (0 if self.training else 1)

    torch.manual_seed(0)
    model = Doubting(TinyConfig()).train()
    found = evaluate(model, BY_HAND, baselines=[], metrics=["mse"], name="doubting")
    assert model.training
    assert found.row("doubting", "mse") == evaluate(
        model.eval(), BY_HAND, baselines=[], metrics=["mse"], name="doubting"
    ).row("doubting", "mse")
    assert not model.training


def test_the_batch_size_changes_nothing() -> None:
    data = random_clips(5)
    rows = [evaluate("copy-last", data, metrics=("mse", "ssim"), batch=batch).rows for batch in (1, 3, 16)]
    for other in rows[1:]:
        for a, b in zip(rows[0], other, strict=True):
            assert (a.model, a.metric, a.n) == (b.model, b.metric, b.n)
            assert a.per_step == pytest.approx(b.per_step, rel=1e-5)


def test_all_baselines_stand_beside_the_model(tmp_path: Path) -> None:
    save_model(Tiny(TinyConfig()), tmp_path / "run" / "model")
    found = evaluate(tmp_path / "run", random_clips(2), metrics=("mse",))
    assert found.models == ["tiny", "copy-last", "linear", "flow", "zero"]
    assert evaluate("linear", random_clips(2), metrics=("mse",)).models == ["linear", "copy-last", "flow", "zero"]
    assert evaluate("linear", random_clips(2), metrics=("mse",), baselines=["zero"]).models == ["linear", "zero"]
    named = evaluate(tmp_path / "run", random_clips(2), metrics=("mse",), name="mine", baselines=[])
    assert named.models == ["mine"]


def test_baselines_that_cannot_take_the_context_are_left_out_and_said() -> None:
    found = evaluate("copy-last", BY_HAND, metrics=("mse",))
    assert found.models == ["copy-last", "zero"]  # linear and flow need two frames
    assert any("linear is skipped" in line and "at least 2" in line for line in findings(found))


def test_a_horizon_beyond_the_trained_one_is_measured_and_said() -> None:
    model = Tiny(TinyConfig())
    model.trained = TrainedTask(context=2, horizon=1)
    found = evaluate(model, random_clips(2), metrics=("mse",))
    assert len(found.row("tiny", "mse").per_step) == 3
    assert any("trained to predict 1 frames" in line for line in found.notes)


class Watched(Tiny):
    """Remembers, weakly, what it predicted."""

    predictions: list[weakref.ref[Tensor]]
    most_alive = 0

    def predict(self, context: Tensor, horizon: int, **options: object) -> Tensor:  # type: ignore[override]
        alive = sum(ref() is not None for ref in self.predictions)
        self.most_alive = max(self.most_alive, alive)
        future = super().predict(context, horizon)
        self.predictions.append(weakref.ref(future))
        return future


def test_predictions_are_not_kept() -> None:
    model = Watched(TinyConfig())
    model.predictions = []
    evaluate(model, random_clips(20), metrics=("mse",), batch=2, name="watched")
    assert len(model.predictions) == 10
    assert model.most_alive <= 1
    assert not any(ref() is not None for ref in model.predictions)


def test_examples_are_the_predictions_of_their_clips() -> None:
    data = random_clips(7)
    found = evaluate("copy-last", data, metrics=("mse",), examples=3, batch=2)
    assert [example.source for example in found.examples] == ["s0", "s2", "s4"]
    for example, index in zip(found.examples, (0, 2, 4), strict=True):
        assert torch.equal(example.context, data.frames[index, :2])
        assert torch.equal(example.truth, data.frames[index, 2:])
        assert set(example.predictions) == set(found.models)
        assert torch.equal(example.predictions["copy-last"], data.frames[index, 1:2].expand(3, -1, -1, -1))
        assert example.predictions["zero"].sum() == 0


def test_which_clips_are_measured() -> None:
    data = random_clips(10)
    assert clip_indices(data, "test", None).tolist() == list(range(10))
    assert clip_indices(data, "test", 5).tolist() == [0, 2, 4, 6, 8]
    assert clip_indices(data, "test", 99).tolist() == list(range(10))
    with pytest.raises(UserError, match="by-hand: the val split has no clips"):
        clip_indices(data, "val", None)
    with pytest.raises(UserError, match="unknown split 'dev'"):
        clip_indices(data, "dev", None)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="clips must be at least 1"):
        clip_indices(data, "test", 0)


def test_wrong_names_are_answered() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'mse'"):
        evaluate("copy-last", BY_HAND, metrics=("mes",))
    with pytest.raises(UserError, match="unknown compat 'simvp'"):
        evaluate("copy-last", BY_HAND, compat="simvp")
    with pytest.raises(UserError, match="linear needs at least 2 context frames, there are 1"):
        evaluate("linear", BY_HAND)


def test_openstl_stands_beside_the_right_definitions() -> None:
    plain = evaluate("copy-last", random_clips(2), metrics=("mse", "ssim"))
    compared = evaluate("copy-last", random_clips(2), metrics=("mse", "ssim"), compat="openstl")
    extra = [name for name in compared.metrics if name not in plain.metrics]
    assert extra
    assert all("openstl" in name for name in extra)


def test_json_is_the_agreed_one(tmp_path: Path) -> None:
    found = evaluate("copy-last", BY_HAND, command="nextframe evaluate copy-last", seed=3)
    found.write_json(tmp_path / "deep" / "rows.json")
    written = json.loads((tmp_path / "deep" / "rows.json").read_text())
    assert set(written) == {"rows", "differences", "run"}
    fields = ["model", "data", "split", "metric", "definition", "unit", "better", "mean", "ci95", "per_step", "n"]
    fields.append("per_source")
    for row in written["rows"]:
        assert list(row) == fields
        assert row["better"] in ("lower", "higher")
        assert len(row["per_step"]) == 2
        assert row["definition"]
    assert list(written["run"]) == ["command", "commit", "seed", "machine", "date", "seconds"]
    assert written["run"]["command"] == "nextframe evaluate copy-last"
    assert written["run"]["seed"] == 3
    metrics = list(dict.fromkeys(row["metric"] for row in written["rows"]))
    assert metrics == ["mse", "mae", "psnr", "ssim", "mse-sum", "mae-sum"]


def row(model: str, mean: float, better: str = "lower", metric: str = "mse", unit: str = "") -> Row:
    """One row of six sources, all with the same value."""
    by_name = {f"s{number}": mean for number in range(6)}
    return Row(model, "d", "test", metric, "what", unit, better, mean, None, [mean], 6, by_name)  # type: ignore[arg-type]


def result(*rows: Row) -> Evaluation:
    return Evaluation(rows[0].model, list(rows), {}, clips=3, context=1)


def test_numbers_that_are_not_finite_are_null() -> None:
    assert result(row("m", math.inf)).as_json()["rows"][0]["mean"] is None
    json.dumps(result(row("m", math.nan)).as_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        (
            (row("m", 0.0231), row("zero", 0.0412)),
            "MSE 0.0231; better than the best baseline (zero) by 0.0181 or 44 % (95 %",
        ),
        (
            (row("m", 0.06), row("zero", 0.04), row("flow", 0.05)),
            "MSE 0.0600; worse than the best baseline (zero) by 0.0200 or 50 % (",
        ),
        ((row("m", 0.04), row("zero", 0.04)), "MSE 0.0400; the same as the best baseline (zero), on 6 sources"),
        ((row("m", 0.04),), "MSE 0.0400"),
        (
            (row("m", 30.0, "higher", "psnr", "dB"), row("flow", 28.5, "higher", "psnr", "dB")),
            "PSNR 30.00; better than the best baseline (flow) by 1.500 dB (95 %",
        ),
        (
            (row("m", 0.125), row("flow", 0.0)),
            "MSE 0.125; worse than the best baseline (flow) by 0.125 (95 % interval",
        ),
    ],
)
def test_headline_says_it_plainly(rows: tuple[Row, ...], text: str) -> None:
    assert headline(result(*rows)).startswith(text)


def test_losses_are_said() -> None:
    found = result(row("m", 0.5), row("a", 0.1), row("b", 0.2), row("c", 0.9))
    assert findings(found) == ["m loses to a and b on mse"]
    assert findings(result(row("m", 0.1), row("a", 0.5))) == ["m is better than every baseline on every metric"]


def test_a_sum_says_nothing_that_its_mean_did_not() -> None:
    rows = [row(name, mean, metric=metric) for metric in ("mse", "mse-sum") for name, mean in (("m", 0.5), ("a", 0.1))]
    assert findings(result(*rows)) == ["m loses to a on mse"]


def test_numbers_are_easy_to_read() -> None:
    assert [number(value) for value in (0.02314, 0.5, 16.823, 291.77, 0.0, 1e-7)] == [
        "0.0231",
        "0.500",
        "16.82",
        "291.8",
        "0",
        "1e-07",
    ]
    assert spread(Row("m", "d", "test", "x", "", "", "lower", 291.77, (286.0, 297.5), [], 2)) == "± 5.8"


def test_tables_mark_the_best() -> None:
    found = evaluate("copy-last", random_clips(2), metrics=("mse", "psnr"))
    console = Console(file=io.StringIO(), width=80)
    show_evaluation(found, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    best = found.ranked("mse")[0]
    line = next(line for line in text.splitlines() if line.strip().startswith(best.model))
    assert f"{number(best.mean)}*" in line
    assert "…" not in text
    assert headline(found) in " ".join(text.split())


def test_many_metrics_become_several_tables() -> None:
    found = evaluate("copy-last", random_clips(2), compat="openstl")
    console = Console(file=io.StringIO(), width=80)
    show_evaluation(found, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "…" not in text
    assert all(f"{metric} " in text for metric in found.metrics)


def test_steps_that_are_shown() -> None:
    assert shown_steps(3, 10) == [0, 1, 2]
    assert shown_steps(100, 4) == [0, 33, 66, 99]


def test_run_facts_know_the_commit() -> None:
    facts = run_facts(None, 7, time.monotonic() - 2)
    assert facts["seconds"] == pytest.approx(2, abs=0.5)
    assert facts["seed"] == 7
    root = Path(nextframe.__file__).resolve().parents[2]
    if (root / ".git").exists():
        head = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        assert facts["commit"].removesuffix("+changes") == head.stdout.strip()
    assert "torch" in facts["machine"]


def test_installed_in_another_repository_its_commit_is_not_ours(tmp_path: Path) -> None:
    """A package copied into somebody's checkout says its version, not their commit."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    package = tmp_path / "site" / "nextframe"
    for part in ("__init__.py", "evaluation/run_facts.py"):
        (package / part).parent.mkdir(parents=True, exist_ok=True)
        (package / part).write_bytes((Path(nextframe.__file__).parent / part).read_bytes())
    (package / "evaluation" / "__init__.py").write_text("")
    code = "from nextframe.evaluation.run_facts import commit; import sys; sys.stdout.write(commit())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(tmp_path / "site"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert done.stdout == f"nextframe {nextframe.__version__}"
