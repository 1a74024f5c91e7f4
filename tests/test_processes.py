"""Training on several processes gives what one process gives; whatever goes wrong ends all of them with one line.

One pair of gloo processes makes all the runs that are to be compared, in float64, where rounding is below any fault.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch import Tensor, nn

from nextframe.core.clip import Clip
from nextframe.core.errors import UserError
from nextframe.data import DataConfig
from nextframe.models.contract import Objective, OptimizerDefaults, Predictor, Stage
from nextframe.models.wrap import WRAPPED, wrap
from nextframe.training import ModelSection, Recipe, TrainingConfig, override, read_metrics, train
from nextframe.training.parallel.launch import launch, processes_of
from nextframe.training.parallel.sharding import full
from nextframe.training.run import Job, Run, _train_here
from own_models import registered
from tiny import Tiny, TinyConfig

HERE = Path(__file__).parent
DATA = DataConfig(context=3, horizon=2, size=(32, 32), options={"count": 1, "val_clips": 7})
STILL = 1e-30  # a learning rate with which no validation is better than the first
VAE: dict[str, Any] = {"widths": [4, 4], "latent": 4, "frames": 8, "likelihood": "gaussian"}


class Dropped(Tiny):
    """A model with dropout, which keeps the sum of each training step's mask."""

    def loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        mask = nn.functional.dropout(torch.ones(64), 0.5, self.training)
        if self.training:
            self.masks = [*getattr(self, "masks", []), mask]
        loss, logs = super().loss(clip)
        return loss * mask.mean(), logs


class Counting(Tiny):
    """A model with a buffer that every process fills with what it sees, as a layer's statistics of its own share."""

    def loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        if self.training:
            self.seen += clip.context.mean()
        return super().loss(clip)


class TwoOptimizers(Tiny):
    """Two objectives over parameters of their own, the second with batches of its own, by Muon and clipped SGD."""

    def stages(self) -> list[Stage]:
        muon = OptimizerDefaults("muon", lr=0.01)
        first = Objective("mix", list(self.mix.parameters()), self.loss, muon)
        second = Objective("out", list(self.out.parameters()), self.loss, OptimizerDefaults("sgd"), own_batch=True)
        return [Stage("train", [first, second])]


class Normed(nn.Module):
    """A module from elsewhere, with torch's own batch norm, whose arguments no config holds."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv3d(1, width, (2, 3, 3), padding=(0, 1, 1), bias=False)
        self.norm, self.out = nn.BatchNorm3d(width), nn.Conv3d(width, 1, 1)

    def forward(self, frames: Tensor) -> Tensor:
        return self.out(self.norm(self.first(frames.transpose(1, 2))).relu()).transpose(1, 2)


class Unused(Tiny):
    """A model whose loss has nothing to do with one of its parameters."""

    def __init__(self, config: TinyConfig) -> None:
        super().__init__(config)
        self.idle = nn.Parameter(torch.zeros(2))


def normed() -> Predictor:
    """Return the module as a predictor, with the same weights in every process."""
    torch.manual_seed(3)
    return wrap(Normed(3), context=3, horizon=2)


OWN = {"tiny": Tiny, "dropped": Dropped, "counting": Counting, "two-optimizers": TwoOptimizers}


def recipe(model: str, fields: dict[str, Any] | None = None, **training: Any) -> Recipe:
    values = {"steps": 6, "batch": 4, "log_every": 2, "val_every": 3, "checkpoint_every": 2, "val_clips": 7}
    config = TrainingConfig(**{**values, "precision": "32", "device": "cpu", "ema": 0.5, **training})
    return Recipe(model=ModelSection(name=model, fields=fields or {}), data=DATA, training=config)


RUNS = {
    "steps": recipe("tiny"),
    "minutes": override(recipe("tiny"), {"training.minutes": 0.02, "training.val_every": 20}),
    "plateau": recipe("tiny", lr=STILL, schedule="plateau", plateau_patience=0, val_every=1),
    "last": recipe("tiny", keep="last"),
    "resumed": recipe("tiny", schedule="constant", val_every=2),
    "stopping": recipe("tiny", lr=STILL, schedule="constant", early_stopping=2, val_every=1, steps=20),
    "dropout": recipe("dropped"),
    "buffers": recipe("counting"),
    "optimizers": recipe("two-optimizers", grad_clip=0.01, balance="clips"),
    "norm": recipe("convlstm-autoencoder", {"width": 2, "noise": 0.1, "dropout": 0.0, "loss": "mse"}),
    "noise": recipe("vae", VAE),
    "stages": recipe("latent-lstm", {"autoencoder": {"name": "vae", "fields": VAE}, "hidden": [4], "cache_clips": 9}),
    "gan": override(
        recipe("multiscale-gan", {"width": 2, "scales": 2, "pretrain": 0.5, "r1": 1.0}, lr=1e-3),
        {"data.context": 4, "data.horizon": 1, "model.channels": 1},
    ),
}
RUNS["sharded"] = override(RUNS["gan"], {"training.strategy": "fsdp", "training.optimizer": "adamw"})
RUNS["foreign"] = recipe(WRAPPED, grad_clip=1.0)
RUNS["foreign sharded"] = override(RUNS["foreign"], {"training.strategy": "fsdp"})
OBJECTS: dict[str, Callable[[], Predictor]] = {"foreign": normed, "foreign sharded": normed}  # models that are given
ALIKE = [name for name in RUNS if name not in ("minutes", "dropout", "buffers")]  # the same as in one process


@contextmanager
def float64_and_own_models() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        with registered(OWN):
            yield
    finally:
        torch.set_default_dtype(torch.float32)


def given(name: str) -> Predictor | None:
    return OBJECTS[name]() if name in OBJECTS else None


def facts(run: Run) -> dict[str, Any]:
    trainer = run.trainer
    return {
        "weights": full(run.model.state_dict()),
        "average": trainer.average and full(trainer.average.weights),
        "step": trainer.step,
        "scale": trainer.scale,
        "rate": trainer.rate,
        "seconds": trainer.seconds,
        "best": run.best,
        "masks": getattr(run.model, "masks", []),
    }


def all_runs(folder: Path) -> None:
    """Run in each of two processes."""
    with float64_and_own_models():
        for name, settings in RUNS.items():
            # what `train` refuses users, for it is slow on processors, is as right there as on GPUs
            job = Job(settings, folder / name, devices=2, show=False, model=given(name))
            if name == "resumed":
                _train_here(replace(job, recipe=override(settings, {"training.steps": 4})))
                dist.barrier()  # the first process writes the checkpoint
            run = _train_here(replace(job, resume=name == "resumed"))
            torch.save(facts(run), folder / f"{name}-{run.processes.rank}.pt")
        refused = Job(recipe("tiny"), folder / "unused", devices=2, show=False, model=Unused(TinyConfig()))
        with pytest.raises(UserError) as caught:
            _train_here(refused)
        (folder / f"unused-{run.processes.rank}").write_text(str(caught.value))
    atexit.register((folder / f"ended-{run.processes.rank}").touch)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pair")
    launch(2, all_runs, folder)
    return folder


def of_rank(pair: Path, name: str, rank: int) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(pair / f"{name}-{rank}.pt")
    return found


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert list(one) == list(other)
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def lines(folder: Path) -> list[dict[str, Any]]:
    timing = ("seconds", "clips_per_s")
    return [{k: v for k, v in line.items() if k not in timing} for line in read_metrics(folder)]


# --- as one process


@pytest.mark.parametrize("name", RUNS)
def test_both_processes_have_the_same_weights_step_and_rate(pair: Path, name: str) -> None:
    first, second = of_rank(pair, name, 0), of_rank(pair, name, 1)
    assert_equal(first["weights"], second["weights"])
    for fact in ("step", "rate", "scale", "seconds", "best"):
        assert first[fact] == second[fact]


@pytest.mark.parametrize("name", ALIKE)
def test_two_processes_log_and_keep_what_one_does(pair: Path, tmp_path: Path, name: str) -> None:
    """Losses, norms and validation values, the last partial batch of 3 of 7 clips included."""
    with float64_and_own_models():
        one = override(RUNS[name], {"training.strategy": "auto"})
        alone = facts(train(one, tmp_path / "run", show=False, model=given(name)))
    both = of_rank(pair, name, 0)
    assert len(lines(pair / name)) == len(lines(tmp_path / "run")) > 0
    for one, two in zip(lines(tmp_path / "run"), lines(pair / name), strict=True):
        assert list(one) == list(two)
        assert two.pop("stage", None) == one.pop("stage", None)
        assert two == pytest.approx(one, rel=1e-8, abs=1e-12)
    assert (both["step"], both["scale"]) == (alone["step"], alone["scale"])
    assert both["best"] == pytest.approx(alone["best"], rel=1e-8)
    for kind in ("weights", "average"):
        for key, value in alone[kind].items():
            torch.testing.assert_close(both[kind][key], value, rtol=1e-6, atol=1e-9)


def test_a_budget_of_minutes_ends_at_one_step_for_all(pair: Path) -> None:
    first, second = of_rank(pair, "minutes", 0), of_rank(pair, "minutes", 1)
    assert first["step"] == second["step"] > 3
    assert first["seconds"] >= 1.2


def test_the_plateau_cuts_the_rate_of_every_process(pair: Path) -> None:
    for rank in range(2):
        assert of_rank(pair, "plateau", rank)["scale"] == pytest.approx(0.1**5)  # at each validation but the first


def test_early_stopping_ends_both(pair: Path) -> None:
    assert [of_rank(pair, "stopping", rank)["step"] for rank in range(2)] == [3, 3]


def test_dropout_differs_between_processes_and_is_a_function_of_seed_and_step(pair: Path, tmp_path: Path) -> None:
    first, second = of_rank(pair, "dropout", 0)["masks"], of_rank(pair, "dropout", 1)["masks"]
    assert len(first) == len(second) == 6
    assert not any(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    with float64_and_own_models():
        alone = facts(train(RUNS["dropout"], tmp_path / "run", show=False))["masks"]
    assert all(torch.equal(one, other) for one, other in zip(first, alone, strict=True))


def test_one_process_writes(pair: Path) -> None:
    run = pair / "steps"
    assert sorted(path.name for path in run.iterdir()) == [
        *(".lock", "checkpoints", "data.json", "metrics.jsonl", "model", "recipe.yaml", "samples", "tensorboard")
    ]
    assert [line["step"] for line in read_metrics(run)] == [2, 3, 4, 6]
    assert len(list((run / "tensorboard").iterdir())) == 1


@pytest.mark.parametrize("rank", range(2))
def test_a_parameter_that_no_loss_uses_is_named(pair: Path, rank: int) -> None:
    assert "the loss of 'pixels' does not use its parameter 'idle'" in (pair / f"unused-{rank}").read_text()


def test_a_process_that_is_done_does_what_it_has_for_its_end(pair: Path) -> None:
    """Although its libraries are not taken apart."""
    assert sorted(path.name for path in pair.glob("ended-*")) == ["ended-0", "ended-1"]


def test_a_model_that_is_given_is_trained_as_by_one_process(tmp_path: Path) -> None:
    """Processes that share a model's memory would take every step twice."""
    sgd = recipe(WRAPPED, optimizer="sgd", lr=0.1, keep="last")
    models, before = [normed(), normed()], normed().state_dict()
    for count, model in enumerate(models, 1):
        run = train(sgd, tmp_path / str(count), devices=count, model=model, show=False)
        assert run.model is model
    for (key, one), two in zip(models[0].state_dict().items(), models[1].state_dict().values(), strict=True):
        assert not torch.equal(one, before[key])
        torch.testing.assert_close(two, one, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("devices", [pytest.param("1", marks=pytest.mark.slow), "2"])
def test_processes_of_torchrun_train_one_run_together(tmp_path: Path, devices: str) -> None:
    """However many run.devices says."""
    (tmp_path / "mine.yaml").write_text(recipe("conv2d", val_every=6, checkpoint_every=6).to_yaml())
    words = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "-m", "nextframe", "train"]
    words += ["mine.yaml", "-o", "run", "--quiet", "--set", "run.report=false", "--set", f"run.devices={devices}"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert [line["step"] for line in read_metrics(tmp_path / "run")] == [2, 4, 6]
    train(recipe("conv2d", val_every=6, checkpoint_every=6), tmp_path / "alone", show=False)
    for one, two in zip(lines(tmp_path / "alone"), lines(tmp_path / "run"), strict=True):
        assert two == pytest.approx(one, rel=1e-4)


@pytest.mark.parametrize(
    ("environment", "asked", "expected"),
    [
        ({}, 3, (3, 1)),
        ({"WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4", "LOCAL_RANK": "0"}, 1, (4, 2)),
        ({"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1", "LOCAL_RANK": "0"}, 1, (1, 2)),
        ({"WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1", "LOCAL_RANK": "0"}, 1, (1, 1)),
        ({"SLURM_PROCID": "5", "SLURM_NTASKS": "6", "SLURM_NNODES": "3", "SLURM_NTASKS_PER_NODE": "2"}, 1, (2, 3)),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1", "SLURM_NNODES": "1"}, 2, (1, 1)),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_JOB_NAME": "bash"}, 1, (1, 1)),
        ({"LOCAL_RANK": "0"}, 2, (2, 1)),
    ],
)
def test_processes_that_others_started_are_counted(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], asked: int, expected: tuple[int, int]
) -> None:
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert processes_of(asked) == expected


def test_processes_that_are_not_alike_on_all_machines_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("WORLD_SIZE", "5")
    with pytest.raises(UserError, match="5 processes were started, 2 of them on this machine"):
        processes_of(1)


# --- when something goes wrong


@pytest.mark.any_processor
def test_what_cannot_be_sent_to_processes_is_one_line(tmp_path: Path) -> None:
    module = wrap(Normed(3), context=3, horizon=2, loss=lambda one, two: (one - two).square().mean())
    with pytest.raises(UserError, match=r"cannot be sent to processes.*use a function of a module") as caught:
        train(recipe(WRAPPED), tmp_path / "run", devices=2, model=module, show=False)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def raises(lines: str) -> None:
    raise ValueError(lines)


@pytest.mark.any_processor
def test_the_first_line_of_an_unexpected_error_is_shown() -> None:
    with pytest.raises(RuntimeError) as caught:
        launch(2, raises, "what is wrong\nand much that few want to know")
    assert str(caught.value) in [f"process {number} of 2: ValueError: what is wrong" for number in (1, 2)]
    assert "much that few want" in caught.value.__notes__[0]


def endless(folder: Path) -> Recipe:
    """Write a recipe that takes hours, and the plugin file that its model is in; return the recipe."""
    (folder / "plugin.py").write_text(
        f"import sys\nsys.path.append({str(HERE)!r})\n"
        "from nextframe.core.plugins import register\nfrom tiny import Tiny\n\n\n"
        '@register("mine")\nclass Mine(Tiny):\n    """A model in a file of the user\'s."""\n'
    )
    settings = {"steps": 10**6, "log_every": 1, "val_every": 10**6, "schedule": "constant"}
    slow = recipe("mine", **settings)
    (folder / "mine.yaml").write_text(slow.to_yaml())
    return slow


def command(folder: Path, *words: str) -> list[str]:
    start = [
        sys.executable,
        "-m",
        "nextframe",
        "train",
        str(folder / "mine.yaml"),
        "--plugin",
        str(folder / "plugin.py"),
    ]
    return [*start, "-o", str(folder / "run"), "--quiet", "--set", "run.devices=2", "--set", "run.report=false", *words]


def children(pid: int) -> list[int]:
    """The training processes that process `pid` started, in their order."""
    found = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [child for child in sorted(found) if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[-1].split()[0] != "Z"
    except OSError:
        return False


def wait_until_none_runs(pids: list[int], seconds: float) -> None:
    until = time.monotonic() + seconds
    while any(runs(pid) for pid in pids):
        assert time.monotonic() < until, "a process is left behind"
        time.sleep(0.05)


def wait_for_lines(process: subprocess.Popen[str], metrics: Path, count: int) -> None:
    while not metrics.exists() or len(metrics.read_text().splitlines()) < count:
        assert process.poll() is None, "the run ended before it could be stopped"
        time.sleep(0.01)


def checkpoint_of(run: Path) -> int:
    step: int = torch.load(run / "checkpoints" / "last" / "state.pt")["counters"]["step"]
    return step


def losses(run: Path) -> list[float]:
    return [line["train/loss"] for line in read_metrics(run)]


def alone(recipe: Recipe, folder: Path, resume: bool = False) -> list[float]:
    """Return the losses of the training steps that this process makes, or goes on to make, without others."""
    with registered({"mine": Tiny}):
        train(recipe, folder, resume=resume, show=False)
    return losses(folder)


@pytest.mark.any_processor
@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
@pytest.mark.slow
def test_a_dead_process_ends_the_job_with_one_line_and_the_run_goes_on(tmp_path: Path) -> None:
    slow, run = endless(tmp_path), tmp_path / "run"
    process = subprocess.Popen(command(tmp_path), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    wait_for_lines(process, run / "metrics.jsonl", 9)
    workers = children(process.pid)
    assert len(workers) == 2
    killed = time.monotonic()
    os.kill(workers[1], signal.SIGKILL)
    out, err = process.communicate(timeout=30)
    assert time.monotonic() - killed < 30
    assert process.returncode == 1
    assert err.splitlines() == [
        "nextframe: process 2 of 2 died (signal 9, as when memory runs out); "
        f"continue with --resume -o {run} (in Python folder=..., resume=True)"
    ]
    assert out == ""
    wait_until_none_runs(workers, 5)

    # finished as if it had never been stopped; that two processes can go on too, "resumed" above shows
    steps = checkpoint_of(run) + 5
    until = override(slow, {"training.steps": steps})
    cut, whole = alone(until, run, resume=True), alone(until, tmp_path / "whole")
    assert len(whole) == steps
    # float32: each of some 30 steps adds a rounding of 6e-8
    assert cut == pytest.approx(whole, rel=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
def test_a_run_that_ctrl_c_stopped_goes_on_with_two_processes_or_one(tmp_path: Path) -> None:
    slow, run = endless(tmp_path), tmp_path / "run"
    process = subprocess.Popen(command(tmp_path), stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_for_lines(process, run / "metrics.jsonl", 9)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it: to all processes
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    checkpoint = checkpoint_of(run)
    advice = f"continue with --resume -o {run} (in Python folder=..., resume=True)"
    assert err.splitlines() == [f"stopped at step {checkpoint}; {advice}", "nextframe: interrupted"]
    assert checkpoint == read_metrics(run)[-1]["step"]  # between two steps, and none is lost

    # finished by two processes, exactly as if it had never been stopped
    shutil.copytree(run, tmp_path / "pair")
    last = ["--set", f"training.steps={checkpoint + 5}"]
    for folder, words in (("pair", ["--resume"]), ("unbroken", [])):
        subprocess.run(command(tmp_path, *last, *words, "-o", str(tmp_path / folder)), check=True, timeout=60)
    assert lines(tmp_path / "pair") == lines(tmp_path / "unbroken")
    assert_equal(*(load_file(tmp_path / folder / "model" / "model.safetensors") for folder in ("pair", "unbroken")))

    # and by one process
    whole = override(slow, {"training.steps": checkpoint + 5})
    cut = alone(whole, run, resume=True)
    assert len(cut) == checkpoint + 5
    assert cut == pytest.approx(alone(whole, tmp_path / "whole"), rel=1e-5)  # float32, as above


@pytest.mark.any_processor
@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
def test_no_process_outlives_the_one_that_started_it() -> None:
    words = "from nextframe.training.parallel.launch import launch\nimport time\nlaunch(2, time.sleep, 600)\n"
    process = subprocess.Popen([sys.executable, "-c", words])
    workers: list[int] = []
    while len(workers) < 2:
        assert process.poll() is None
        workers = children(process.pid)
    time.sleep(1.0)
    process.kill()
    process.wait()
    wait_until_none_runs(workers, 30)


def fails(folder: Path) -> None:
    """Fail in the second of two processes, while the first waits for it."""
    if os.environ["LOCAL_RANK"] == "1":
        raise UserError(f"{folder} is not what it should be")
    time.sleep(600)


@pytest.mark.any_processor
def test_a_mistake_that_one_process_finds_is_the_users_one_line(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(UserError, match="is not what it should be"):
        launch(2, fails, tmp_path)
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    ("devices", "training", "message"),
    [
        (2, {"batch": 5}, "batch 5 cannot be shared evenly by 2 processes"),
        (1, {"strategy": "fsdp"}, "training.strategy=fsdp needs CUDA GPUs, not 'cpu'"),
        (0, {}, "0 devices were asked for; this machine has"),
    ],
)
def test_settings_that_the_devices_cannot_serve_are_refused(
    tmp_path: Path, devices: int, training: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        train(recipe("copy-last", **training), tmp_path / "run", devices=devices, show=False)
    assert not (tmp_path / "run").exists()
