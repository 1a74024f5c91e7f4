"""The loop: exact resume, schedules, averaging, batches as a function of (seed, step), run folders."""

import itertools
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from nextframe.checkpoint import load_model
from nextframe.cli import main
from nextframe.core.errors import NextframeError, UserError
from nextframe.core.settings import parse_settings
from nextframe.data import DataConfig, open_data
from nextframe.data.clipset import batch_indices
from nextframe.recipes import load_recipe
from nextframe.training import ModelSection, Recipe, TrainingConfig, override, read_metrics, train
from nextframe.training.folder.checkpoints import load_state, save_state
from nextframe.training.loader import Steps, training_batches
from nextframe.training.optim.optimizer import Average
from nextframe.training.optim.schedule import Patience, cosine, onecycle, trapezoid
from nextframe.training.recipe import read_recipe

SMALL = {"patch": 8, "width": 8, "blocks": 1, "kernel": 3}
DATA = DataConfig(context=3, horizon=2, size=(32, 32), options={"count": 1, "val_clips": 8})


def recipe(**training) -> Recipe:
    values = {
        "precision": "32",
        "steps": 12,
        "batch": 4,
        "log_every": 2,
        "val_every": 5,
        "checkpoint_every": 4,
        "val_clips": 8,
    }
    return Recipe(
        model=ModelSection(name="compact", fields=SMALL), data=DATA, training=TrainingConfig(**(values | training))
    )


def losses(folder: Path) -> dict[int, float]:
    return {line["step"]: line["train/loss"] for line in read_metrics(folder) if "train/loss" in line}


# --- a run and its folder ---------------------------------------------------------------------------------------


def test_a_run_folder_tells_the_whole_story(tmp_path):
    run = train(recipe(ema=0.9, grad_clip=1.0), tmp_path / "run", show=False)
    lines = read_metrics(tmp_path / "run")
    assert [line["step"] for line in lines] == [2, 4, 5, 6, 8, 10, 12]
    assert {line["step"] for line in lines if "val/mse" in line} == {5, 10, 12}
    assert all(math.isfinite(value) for value in losses(tmp_path / "run").values())
    with_decision = {"model.residual": run.model.config.residual}
    assert read_recipe(tmp_path / "run") == override(recipe(ema=0.9, grad_clip=1.0), with_decision) == run.recipe
    assert (tmp_path / "run" / "samples" / "step-0000012.png").exists()
    assert list((tmp_path / "run" / "tensorboard").iterdir())
    model = load_model(tmp_path / "run")
    assert model.trained.context == 3
    assert model.trained.horizon == 2
    assert run.trainer.step == 12


def test_the_best_weights_on_validation_are_kept(tmp_path):
    run = train(recipe(lr=0.05, steps=20), tmp_path / "run", show=False)
    values = {line["step"]: line["val/mse"] for line in read_metrics(tmp_path / "run") if "val/mse" in line}
    clip = open_data(DATA).read("val", np.arange(8)).to("cpu")
    kept = load_model(tmp_path / "run").predict(clip.context, 2)
    assert float((kept - clip.target).square().mean()) == pytest.approx(min(values.values()), rel=1e-4)
    assert run.best == pytest.approx(min(values.values()))


def test_a_folder_that_holds_a_run_is_not_overwritten(tmp_path):
    train(recipe(steps=2), tmp_path / "run", show=False)
    with pytest.raises(UserError, match="exists already: continue with --resume"):
        train(recipe(steps=2), tmp_path / "run", show=False)


def test_resuming_another_experiment_is_refused(tmp_path):
    train(recipe(steps=2), tmp_path / "run", show=False)
    other = override(recipe(steps=2), {"training.lr": 0.5})
    with pytest.raises(UserError, match=r"another training\.lr"):
        train(other, tmp_path / "run", resume=True, show=False)


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_checkpoint(tmp_path):
    broken = recipe(optimizer="sgd", lr=1e30, schedule="constant", checkpoint_every=1, log_every=1, val_every=100)
    with pytest.raises(NextframeError, match="not finite at step") as caught:
        train(broken, tmp_path / "run", show=False)
    assert caught.value.exit_code == 1
    state = load_state(tmp_path / "run" / "checkpoints")
    assert state is None or all(torch.isfinite(value).all() for value in state["model"].values())


@pytest.mark.parametrize("kernels", ["SSE41", "AVX2"])
def test_auto_is_float32_where_the_kernels_have_no_bf16(kernels):
    """oneDNN does the products: what it may not use, the processor may well have."""
    code = "import sys; from nextframe.core.kernels.precision import native_bf16; sys.exit(native_bf16('cpu'))"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"ONEDNN_MAX_CPU_ISA": kernels})


# --- resume -----------------------------------------------------------------------------------------------------


def test_a_run_stopped_at_any_step_goes_on_as_if_it_never_had(tmp_path):
    """Stopped by an exception at step 7: after checkpoint 4, between log lines, before a validation."""
    train(recipe(ema=0.9, schedule="plateau", plateau_patience=0), tmp_path / "whole", show=False)

    from nextframe.training.trainer import Trainer

    original, stop_at = Trainer._train_step, 7

    def step_or_stop(self, *arguments):
        if self.step == stop_at:
            raise RuntimeError("killed")
        original(self, *arguments)

    Trainer._train_step = step_or_stop
    try:
        with pytest.raises(RuntimeError, match="killed"):
            train(recipe(ema=0.9, schedule="plateau", plateau_patience=0), tmp_path / "cut", show=False)
    finally:
        Trainer._train_step = original
    train(recipe(ema=0.9, schedule="plateau", plateau_patience=0), tmp_path / "cut", resume=True, show=False)

    whole, cut = read_metrics(tmp_path / "whole"), read_metrics(tmp_path / "cut")
    timing = ("seconds", "clips_per_s")
    assert [{k: v for k, v in line.items() if k not in timing} for line in cut] == [
        {k: v for k, v in line.items() if k not in timing} for line in whole
    ]
    for a, b in zip(
        load_model(tmp_path / "whole").state_dict().values(),
        load_model(tmp_path / "cut").state_dict().values(),
        strict=True,
    ):
        assert torch.equal(a, b)


def test_kill_9_and_resume_on_the_command_line(tmp_path):
    """The run that is killed is a process of its own; what is whole, and what goes on, runs here."""
    words = [
        *("train", "compact", "--data", "moving-digits", "--size", "32x32"),
        *("--steps", "40", "--batch", "2", "--set", "training.log_every=1", "--set", "run.report=false"),
        *("--set", "training.checkpoint_every=5", "--set", "training.val_every=1000"),
        *("--set", "model.width=8", "--set", "model.blocks=1", "--set", "model.patch=8", "--quiet"),
    ]
    cut = [*words, "-o", str(tmp_path / "cut")]
    process = subprocess.Popen([sys.executable, "-m", "nextframe", *cut])
    metrics = tmp_path / "cut" / "metrics.jsonl"
    while not metrics.exists() or len(metrics.read_text().splitlines()) < 7:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for command in ([*cut, "--resume"], [*words, "-o", str(tmp_path / "whole")]):
        with pytest.raises(SystemExit) as ended:
            main(command)
        assert not ended.value.code
    assert list(losses(tmp_path / "cut")) == list(range(1, 41))
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")


def test_a_torn_checkpoint_falls_back_to_the_one_before(tmp_path):
    save_state(tmp_path, {"step": 1})
    save_state(tmp_path, {"step": 2})
    assert load_state(tmp_path) == {"step": 2}
    (tmp_path / "last" / "state.pt").write_bytes(b"torn")
    assert load_state(tmp_path) == {"step": 1}


def test_a_checkpoint_with_code_in_it_is_not_run(tmp_path):
    import pickle

    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "owned"),))

    (tmp_path / "last").mkdir()
    (tmp_path / "last" / "state.pt").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(UserError, match="no checkpoint in it can be read"):
        load_state(tmp_path)
    assert not (tmp_path / "owned").exists()


# --- batches ----------------------------------------------------------------------------------------------------


def test_batches_are_the_same_for_any_number_of_workers():
    clips = open_data(DATA)
    alone = list(training_batches(Steps(clips, "train", 3, 4), 5, 9))
    helped = list(training_batches(Steps(clips, "train", 3, 4), 5, 9, workers=2))
    assert len(alone) == len(helped) == 4
    for a, b in zip(alone, helped, strict=True):
        assert torch.equal(a.context, b.context)
        assert torch.equal(a.target, b.target)
    assert not torch.equal(alone[0].context, alone[1].context)


def test_two_processes_share_one_global_batch():
    clips = open_data(DATA)
    whole = Steps(clips, "train", 0, 4)[7]
    first, second = (Steps(clips, "train", 0, 4, rank, 2)[7] for rank in range(2))
    assert torch.equal(whole.context[0::2], first.context)
    assert torch.equal(whole.context[1::2], second.context)
    with pytest.raises(UserError, match="batch 4 cannot be shared evenly by 3"):
        Steps(clips, "train", 0, 4, 0, 3)


class _Finite:
    """Ten clips in an order of their own for each epoch."""

    def count(self, split):
        return 10

    def order(self, split, seed, epoch):
        return np.random.default_rng([seed, epoch]).permutation(10)


def test_a_finite_split_is_visited_in_whole_epochs():
    drawn = np.concatenate([batch_indices(_Finite(), "train", 1, step, 4) for step in range(5)])
    assert sorted(drawn[:10]) == sorted(drawn[10:]) == list(range(10))
    assert list(drawn[:10]) != list(drawn[10:])
    assert list(batch_indices(_Finite(), "train", 1, 2, 4)) == list(drawn[8:12])


# --- schedules, averages, patience ------------------------------------------------------------------------------


def test_onecycle_rises_to_one_and_falls_to_almost_nothing():
    assert onecycle(0.0, 0.25) == pytest.approx(1 / 25)
    assert onecycle(0.25, 0.25) == pytest.approx(1.0)
    assert onecycle(1.0, 0.25) == pytest.approx(1e-4 / 25)
    falling = [onecycle(p / 100, 0.25) for p in range(25, 101)]
    assert all(a > b for a, b in itertools.pairwise(falling))


def test_onecycle_is_torchs():
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    peer = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=101, pct_start=0.3)
    peak = 0.3 * 101 - 1  # where torch puts it, in steps
    for step in range(100):
        assert onecycle(step / 100, peak / 100) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)
        optimizer.step()
        peer.step()


def test_a_trapezoid_rises_stays_and_falls_straight_to_zero():
    factors = {0.0: 0, 0.015: 0.5, 0.03: 1, 0.4: 1, 0.7: 0.5, 0.85: 0.25, 1.0: 0, 1.2: 0}
    assert {done: trapezoid(done, 0.03) for done in factors} == pytest.approx(factors)


def test_cosine_ends_at_zero():
    assert cosine(0.05, 0.1) == pytest.approx(0.5)
    assert cosine(0.55, 0.1) == pytest.approx(0.5)
    assert cosine(1.0, 0.1) == pytest.approx(0.0)


def test_patience_counts_values_that_do_not_improve():
    patience = Patience(2)
    assert [patience.update(value) for value in (3, 2, 2, 2, 2, 1, 5)] == [
        False,
        False,
        False,
        True,
        False,
        False,
        False,
    ]
    strict = Patience(1, threshold=0.5)
    assert [strict.update(value) for value in (2.0, 1.8, 1.0)] == [False, True, False]


def test_the_average_of_constant_weights_is_the_weights():
    model = nn.Linear(2, 2)
    average = Average(model, 0.9)
    with torch.no_grad():
        model.weight.fill_(1.0)
    for _ in range(200):
        average.update(model)
    assert torch.allclose(average.weights["weight"], torch.ones(2, 2), atol=1e-6)
    # the first update: decay (1 + 1) / (10 + 1)
    fresh = Average(nn.Linear(1, 1, bias=False), 0.9)
    start = fresh.weights["weight"].clone()
    other = nn.Linear(1, 1, bias=False)
    fresh.update(other)
    assert torch.allclose(fresh.weights["weight"], start * 2 / 11 + other.weight.detach() * 9 / 11)


def test_muon_orthogonalises_the_step_of_a_matrix_and_leaves_the_rest_to_adamw():
    from nextframe.training.optim.muon import REST, MuonWithAdamW

    matrix, bias = nn.Parameter(torch.eye(6, 4)), nn.Parameter(torch.zeros(3))
    optimizer = MuonWithAdamW([matrix, bias], lr=0.1, weight_decay=0.0, betas=(0.9, 0.99))
    matrix.grad, bias.grad = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([3.0, -2, 1])
    before = matrix.detach().clone()
    optimizer.step()
    step = (before - matrix.detach()) / (0.1 * 0.2 * 6**0.5)  # 0.2 sqrt(max(rows, columns)) of arXiv 2502.16982
    values = torch.linalg.svdvals(step)
    assert ((values > 0.6) & (values < 1.3)).all()  # Muon's polynomial brings singular values near 1, not to it
    # AdamW's first step has the size of the rate, whatever the gradient's
    assert torch.allclose(bias.detach(), -0.1 * REST * torch.tensor([1.0, -1, 1]), atol=1e-5)


def test_muon_of_a_long_matrix_is_the_iteration_itself():
    from nextframe.training.optim.muon import iterated, iterated_on_squares, orthogonalise

    x = torch.randn(2, 6, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    unit = x / x.norm(dim=(1, 2), keepdim=True)
    torch.testing.assert_close(iterated_on_squares(unit), iterated(unit), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(orthogonalise(x.mT), iterated(unit).mT, rtol=1e-6, atol=1e-6)  # 1e-7 beside the norm
    weak = unit.float() * torch.logspace(0, -6, 6)[:, None]  # rows of very different size
    torch.testing.assert_close(iterated_on_squares(weak), iterated(weak), rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 16, 96), (1, 6, 40)])
def test_muon_in_bfloat16_is_the_iteration_to_two_digits(shape):
    """The way of a GPU."""
    from nextframe.training.optim.muon import iterated, iterated_in_bfloat16

    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    unit = x / x.norm(dim=(1, 2), keepdim=True)
    found = iterated_in_bfloat16(unit)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, iterated(unit), rtol=0, atol=0.03)
    values = torch.linalg.svdvals(found)
    assert ((values > 0.5) & (values < 1.3)).all()


def test_muon_of_kernels_steps_a_dense_kernel_as_the_matrix_of_its_outputs_and_no_depthwise_one():
    from nextframe.training.optim.muon import REST, MuonWithAdamW

    torch.manual_seed(0)
    kernel, depthwise = nn.Parameter(torch.zeros(4, 3, 2, 2)), nn.Parameter(torch.zeros(4, 1, 2, 2))
    matrix = nn.Parameter(torch.zeros(4, 12))
    kernel.grad = torch.randn(4, 3, 2, 2)
    matrix.grad, depthwise.grad = kernel.grad.reshape(4, 12).clone(), torch.ones(4, 1, 2, 2)
    MuonWithAdamW([kernel, depthwise, matrix], 0.1, 0.0, (0.9, 0.99), kernels=True).step()
    assert torch.equal(kernel.reshape(4, 12), matrix)
    torch.testing.assert_close(depthwise, torch.full_like(depthwise, -0.1 * REST))  # Adam's first step is the rate
    MuonWithAdamW([kernel], 0.1, 0.0, (0.9, 0.99)).step()  # without: AdamW has it
    torch.testing.assert_close((kernel.reshape(4, 12) - matrix).abs(), torch.full((4, 12), 0.1 * REST))


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch before 2.9 has no Muon to compare with")
@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (8, 8)])
def test_muon_is_torchs(shape):
    from nextframe.training.optim.muon import Muon

    start = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    mine = Muon([ours], lr=0.1, weight_decay=0.1)
    peer = torch.optim.Muon([theirs], lr=0.1, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for step in range(3):
        gradient = torch.randn(shape, generator=torch.Generator().manual_seed(2 + step))
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        mine.step()
        peer.step()
    # torch rounds to bfloat16 in every iteration: 2 to 3 digits
    assert torch.allclose(ours, theirs, atol=0.1 * 0.2 * max(shape) ** 0.5 * 0.06)


def test_muon_resumes_exactly(tmp_path):
    def two_steps(optimizer, parameters, start):
        for step in range(start, start + 2):
            for number, parameter in enumerate(parameters):
                parameter.grad = torch.full_like(parameter, float(step + number)).cumsum(0)
            optimizer.step()

    from nextframe.training.optim.muon import MuonWithAdamW

    def new():
        parameters = [nn.Parameter(torch.eye(4)), nn.Parameter(torch.ones(3))]
        return parameters, MuonWithAdamW(parameters, 0.1, 0.01, (0.9, 0.99))

    whole, optimizer = new()
    two_steps(optimizer, whole, 0)
    torch.save(optimizer.state_dict(), tmp_path / "state.pt")
    saved = [parameter.detach().clone() for parameter in whole]
    two_steps(optimizer, whole, 2)
    resumed, optimizer = new()
    with torch.no_grad():
        for parameter, value in zip(resumed, saved, strict=True):
            parameter.copy_(value)
    optimizer.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    two_steps(optimizer, resumed, 2)
    assert all(torch.equal(a, b) for a, b in zip(whole, resumed, strict=True))


# --- recipes ----------------------------------------------------------------------------------------------------


def test_a_recipe_survives_its_yaml(tmp_path):
    keras = load_recipe("keras-convlstm")
    (tmp_path / "recipe.yaml").write_text(keras.to_yaml())
    assert load_recipe(str(tmp_path / "recipe.yaml")) == keras


def test_settings_replace_single_fields():
    changed = override(
        load_recipe("quickstart"), parse_settings(["model.width=32", "training.lr=1e-3", "data.horizon=5"])
    )
    assert changed.model.fields["width"] == 32
    assert changed.training.lr == 1e-3
    assert changed.data.horizon == 5


def test_steps_and_minutes_exclude_each_other():
    assert override(load_recipe("quickstart"), {"training.steps": 5}).training.minutes is None
    with pytest.raises(UserError, match="either steps or minutes"):
        TrainingConfig(steps=1, minutes=1)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.lrr=1", "did you mean 'lr'"),
        ("training.lr=-1", "field 'training.lr'"),
        ("lr=1", "SECTION.FIELD=VALUE"),
        ("training.lr", "SECTION.FIELD=VALUE"),
    ],
)
def test_wrong_settings_are_one_line(setting, message):
    with pytest.raises(UserError, match=message) as caught:
        override(load_recipe("quickstart"), parse_settings([setting]))
    assert "\n" not in str(caught.value)


def test_an_unknown_recipe_gets_the_nearest_name():
    with pytest.raises(UserError, match="did you mean 'keras-convlstm'"):
        load_recipe("keras-convlst")


def test_a_recipe_file_that_is_no_recipe_names_itself(tmp_path):
    (tmp_path / "x.yaml").write_text("- 1\n")
    with pytest.raises(UserError, match=r"x\.yaml: is not a recipe"):
        load_recipe(str(tmp_path / "x.yaml"))
    (tmp_path / "y.yaml").write_text(json.dumps({"model": {"name": "compact"}, "training": {"stepz": 3}}))
    with pytest.raises(UserError, match=r"y\.yaml: .*stepz.*did you mean 'steps'"):
        load_recipe(str(tmp_path / "y.yaml"))
