"""A step of training: whose turn it is, updates that are skipped, clips made on the device, Ctrl-C, compiled losses."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nextframe.checkpoint import load_model
from nextframe.core.clip import Clip, Task
from nextframe.core.errors import NextframeError, UserError
from nextframe.core.seeds.noise import clip_noise, uniform
from nextframe.data import ClipSet, DataConfig
from nextframe.data.clipset import Indices, Split
from nextframe.data.flow import FlowClips
from nextframe.data.mixed import MixedClips
from nextframe.evaluation import evaluate
from nextframe.models.contract import Objective, OptimizerDefaults, Stage, StageLoss
from nextframe.training import ModelSection, Recipe, TrainingConfig, override, read_metrics, train
from nextframe.training.optim.optimizer import build_optimizer
from nextframe.training.optim.skips import Skips, step_unless
from nextframe.training.parallel.devices import make_fabric
from nextframe.training.run import Run
from nextframe.training.trainer import Trainer
from nextframe.training.turns import build_turns, compiled
from own_models import registered
from tiny import Tiny, TinyConfig

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
CONFIG = TrainingConfig(steps=6, batch=4, precision="32", device="cpu", log_every=1, val_clips=4, checkpoint_every=100)


class Rivals(Tiny):
    """Two objectives, each over a layer of its own."""

    def stages(self) -> list[Stage]:
        first = Objective("mix", list(self.mix.parameters()), self.loss)
        second = Objective("out", list(self.out.parameters()), self.loss)
        return [Stage("train", [first, second])]


@pytest.fixture(autouse=True)
def own_models() -> Iterator[None]:
    with registered({"tiny": Tiny, "rivals": Rivals}):
        yield


def recipe(model: str = "tiny", **training: Any) -> Recipe:
    data = DataConfig(context=3, horizon=2, size=(32, 32), options={"count": 1, "val_clips": 4})
    return Recipe(model=ModelSection(name=model), data=data, training=CONFIG.model_copy(update=training))


def clip_of(batch: int = 2) -> Clip:
    frames = torch.rand(batch, 4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return Clip(frames[:, :3], frames[:, 3:])


# --- turns


def test_in_an_objectives_turn_the_other_parameters_rest() -> None:
    model = Rivals(TinyConfig())
    stages = model.stages()
    turns = build_turns(StageLoss(model, stages[0].objectives), stages, 0, CONFIG, make_fabric(CONFIG))
    assert [turn.resting for turn in turns] == [list(model.out.parameters()), list(model.mix.parameters())]
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_frozen_parameter_stays_frozen(tmp_path: Path) -> None:
    model = Rivals(TinyConfig())
    model.mix.bias.requires_grad_(False)
    before = model.mix.bias.clone()
    data = MovingDot()
    Trainer(model, data, CONFIG, make_fabric(CONFIG)).run(lambda: False, str(tmp_path))
    assert not model.mix.bias.requires_grad
    assert torch.equal(model.mix.bias, before)


def test_the_module_that_is_wrapped_computes_the_objectives_loss() -> None:
    model = Rivals(TinyConfig())
    loss = StageLoss(model, model.stages()[0].objectives)
    value, logs = loss(1, clip_of())
    assert value.item() == model.loss(clip_of())[0].item()
    assert list(logs) == ["loss"]
    assert [name.removeprefix("model.") for name in loss.state_dict()] == list(model.state_dict())


# --- updates that are skipped

OWN = ("adam", "adamw", "keras-adam", "muon", "sgd", "clipped-sgd")


def optimizers() -> list[tuple[str, Callable[[nn.Parameter, nn.Parameter], torch.optim.Optimizer]]]:
    def build(name: str, *parameters: nn.Parameter) -> torch.optim.Optimizer:
        wants = OptimizerDefaults(name, lr=0.1, weight_decay=0.1)  # type: ignore[arg-type]
        return build_optimizer(Objective("x", list(parameters), lambda clip: (torch.zeros(()), {}), wants), CONFIG)

    return [(name, lambda *p, name=name: build(name, *p)) for name in OWN]


@pytest.mark.parametrize(("name", "build"), optimizers(), ids=[name for name, _ in optimizers()])
def test_a_skipped_update_changes_nothing_of_weights_and_optimizer(name: str, build: Any) -> None:
    """The third of four gradients is not finite: as if there had been three."""

    def train_on(gradients: list[float], in_place: bool) -> list[Tensor]:
        matrix, bias = nn.Parameter(torch.eye(4, 3)), nn.Parameter(torch.ones(3))
        optimizer = build(matrix, bias)
        for gradient in gradients:
            for parameter in (matrix, bias):
                parameter.grad = torch.linspace(-1, 2, parameter.numel()).view_as(parameter) * gradient
            bad = torch.tensor(float(not math.isfinite(gradient)))
            if in_place and getattr(optimizer, "_step_supports_amp_scaling", False):  # the way of a GPU
                optimizer.found_inf = bad
                optimizer.step()
            else:
                step_unless(optimizer, bad)
        return [matrix.detach(), bias.detach()]

    wanted = train_on([1.0, 2.0, 3.0], in_place=False)
    for in_place in (False, True):
        found = train_on([1.0, 2.0, math.nan, 3.0], in_place)
        assert all(torch.equal(one, other) for one, other in zip(wanted, found, strict=True))


def test_adam_and_muon_look_at_the_gradient_where_it_is() -> None:
    able = {name: build(nn.Parameter(torch.eye(2)), nn.Parameter(torch.ones(2))) for name, build in optimizers()}
    assert {name for name, o in able.items() if getattr(o, "_step_supports_amp_scaling", False)} == {
        *("adam", "adamw", "muon")
    }


def test_skips_are_counted_between_looks(caplog: pytest.LogCaptureFixture) -> None:
    skips = Skips()
    for bad in [1.0] * 4 + [0.0] + [1.0] * 3:
        skips.add("pixels", torch.tensor(bad))
    skips.look(8)
    assert caplog.messages == ["step 8: the gradient of pixels is not finite: 7 updates are skipped"]
    skips.look(9)
    assert len(caplog.messages) == 1
    for _ in range(7):  # ten in a row, over a look
        skips.add("pixels", torch.tensor(1.0))
    skips.add("pixels", torch.tensor(0.0))
    with pytest.raises(NextframeError, match="the gradient of pixels is not finite at step 16"):
        skips.look(16)


# --- clips that are made on the device


class MovingDot(ClipSet):
    """Stores where a dot is, (B, T, 2, 1, 1) bytes, and draws it where the model is; training clips get noise there."""

    name, task, frame_shape, noise = "dot", Task.forecast(3, 2), (1, 8, 8), 0.0

    def count(self, split: Split) -> int | None:
        return 8 if split == "train" else 5

    def read(self, split: Split, indices: Indices) -> Clip:
        times = np.arange(self.task.length)
        rows = (indices[:, None] + times) % 8
        places = torch.from_numpy(np.stack([rows, np.full_like(rows, 3)], axis=2).astype(np.uint8))
        return self.task.split(places.view(len(indices), -1, 2, 1, 1))

    def on_device(self, split: Split, clip: Clip, device: torch.device | str) -> Clip:
        return Clip(*(self._drawn(frames.to(device), split) for frames in (clip.context, clip.target)))

    def _drawn(self, places: Tensor, split: Split) -> Tensor:
        row, column = nn.functional.one_hot(places.long().flatten(2), 8).float().unbind(2)
        frames = (row.unsqueeze(-1) * column.unsqueeze(-2)).unsqueeze(2)
        noise = self.noise if split == "train" else 0.0
        return frames + noise * uniform(frames.shape, frames.device)


def dot_run(folder: Path, noise: float = 0.0, rank: int = 0, world: int = 1) -> Run:
    data = MovingDot()
    data.noise = noise
    settings = recipe(val_every=3)
    model = Tiny(TinyConfig())
    run = Run(settings, folder, model, data, make_fabric(settings.training), show=False)
    run.start(resume=False)
    return run


def test_clips_are_rendered_on_the_device_in_training_validation_and_evaluation(tmp_path: Path) -> None:
    torch.manual_seed(0)
    run = dot_run(tmp_path / "run")
    values = [line for line in read_metrics(tmp_path / "run") if "val/mse" in line]
    assert len(values) == 2
    data = MovingDot()
    clip = data.on_device("val", data.read("val", np.arange(4)), "cpu")
    assert clip.context.sum(dim=(2, 3, 4)).eq(1).all()  # one dot in each frame
    error = float((run.model.predict(clip.context, 2) - clip.target).square().mean())
    assert values[-1]["val/mse"] == pytest.approx(error, rel=1e-6)
    found = evaluate(run.model, data, "val", baselines=[], metrics=["mse"], examples=1)
    assert found.examples[0].context.shape == (3, 1, 8, 8)


def test_what_would_lose_the_rendering_is_refused() -> None:
    with pytest.raises(UserError, match="dot: its clips are read as 1x1 with 2 channels and finished on the dev"):
        MixedClips([MovingDot(), MovingDot()], [1, 1])
    with pytest.raises(UserError, match="cannot be turned into flow"):
        FlowClips(MovingDot(), DataConfig(kind="flow"))


class Seen(MovingDot):
    """The same dots, whose frames are as large when they are read."""

    def read(self, split: Split, indices: Indices) -> Clip:
        clip = super().read(split, indices)
        black = torch.zeros(len(indices), 5, 1, 8, 8, dtype=torch.uint8)
        return replace(self.task.split(black), extras={"places": clip.frames})

    def on_device(self, split: Split, clip: Clip, device: torch.device | str) -> Clip:
        return self.task.split(self._drawn(clip.extras["places"].to(device), split))


def test_each_set_of_a_mix_finishes_its_own_clips_with_their_own_noise() -> None:
    dots, others = Seen(), Seen()
    dots.noise, others.noise = 0.1, 0.2
    mix = MixedClips([dots, others], [1, 1])
    parts, own = mix.place("train", np.arange(6))
    with clip_noise(1, index=torch.arange(6)):
        whole = mix.on_device("train", mix.read("train", np.arange(6)), "cpu").frames
    for number, part in enumerate((dots, others)):
        rows = torch.from_numpy(np.flatnonzero(parts == number))
        with clip_noise(1, index=rows, total=6):
            alone = part.on_device("train", part.read("train", own[rows]), "cpu").frames
        assert torch.equal(whole[rows], alone)


def test_noise_that_is_added_on_the_device_belongs_to_the_seed_and_the_step(tmp_path: Path) -> None:
    losses = []
    for name in ("one", "two"):
        torch.manual_seed(0)
        dot_run(tmp_path / name, noise=0.5)
        losses.append([line["train/loss"] for line in read_metrics(tmp_path / name)])
    assert losses[0] == losses[1]
    assert len(set(losses[0])) == 6


# --- Ctrl-C


def test_ctrl_c_waits_for_the_end_of_the_step_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal comes in the middle of the second objective of step 3."""
    loss, seen = Rivals.loss, []
    before = signal.getsignal(signal.SIGINT)  # SIG_IGN where a shell started the tests in the background

    def interrupted(self: Rivals, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        seen.append(clip)
        if len(seen) == 6:
            os.kill(os.getpid(), signal.SIGINT)
        return loss(self, clip)

    with monkeypatch.context() as patch:
        patch.setattr(Rivals, "loss", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(recipe("rivals"), tmp_path / "cut", show=False)
    assert [line["step"] for line in read_metrics(tmp_path / "cut")] == [1, 2, 3]
    train(recipe("rivals"), tmp_path / "cut", resume=True, show=False)
    train(recipe("rivals"), tmp_path / "whole", show=False)
    losses = [[line["train/loss"] for line in read_metrics(tmp_path / name)] for name in ("cut", "whole")]
    assert losses[0] == losses[1]
    assert signal.getsignal(signal.SIGINT) is before


# --- compiled losses, GPUs


@pytest.mark.slow
def test_a_compiled_loss_is_the_same_to_rounding(tmp_path: Path) -> None:
    train(recipe(), tmp_path / "plain", show=False)
    train(recipe(compile=True), tmp_path / "compiled", show=False)
    plain, compiled = ([line["train/loss"] for line in read_metrics(tmp_path / name)] for name in ("plain", "compiled"))
    assert compiled == pytest.approx(plain, rel=1e-5)  # float32: a kernel that sums in another order
    weights = load_model(tmp_path / "compiled").state_dict()
    assert list(weights) == list(load_model(tmp_path / "plain").state_dict())


def test_a_loss_recorded_in_graphs_is_the_same_and_what_it_returned_stays() -> None:
    """Where there is no GPU its kernels are launched one by one: the graphs themselves are tested on one, below."""
    model = Tiny(TinyConfig())
    loss = StageLoss(model, model.stages()[0].objectives)
    recorded = compiled(loss, graphs=True)
    for clip in (clip_of(), clip_of()):
        values, gradients = [], []
        for function in (loss, recorded):
            model.zero_grad()
            value, logs = function(0, clip)
            value.backward()
            values.append((value.item(), {name: float(log) for name, log in logs.items()}))
            gradients.append([parameter.grad for parameter in model.parameters()])
        assert values[0] == values[1]
        torch.testing.assert_close(gradients[0], gradients[1])


def test_graphs_are_refused_where_they_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="graphs needs a CUDA device, and this is cpu"):
        train(recipe(compile="graphs"), tmp_path / "run", show=False)
    assert not (tmp_path / "run").exists()
    with pytest.raises(UserError, match="graphs and accumulate do not go together"):
        TrainingConfig.parse({"steps": 1, "compile": "graphs", "accumulate": 2})


@CUDA
def test_on_a_gpu_losses_recorded_in_graphs_are_those_of_single_launches(tmp_path: Path) -> None:
    options = {"device": "cuda", "steps": 12}
    train(recipe(**options), tmp_path / "plain", show=False)
    train(recipe(**options, compile="graphs"), tmp_path / "graphs", show=False)
    plain, graphs = ([line["train/loss"] for line in read_metrics(tmp_path / name)] for name in ("plain", "graphs"))
    assert graphs == pytest.approx(plain, rel=1e-5)


@pytest.mark.slow
def test_a_later_process_takes_what_an_earlier_one_compiled(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(override(recipe(compile=True), {"model.name": "conv2d"}).to_yaml())
    (tmp_path / "mine.py").write_text(
        "import sys\nfrom pathlib import Path\n\nfrom torch._dynamo.utils import counters\n\n"
        "from nextframe.training import read_recipe, train\n\n"
        "train(read_recipe(Path('mine.yaml')), Path(sys.argv[1]), show=False)\nprint(counters['inductor'])\n"
    )
    environment = {**os.environ, "NEXTFRAME_CACHE": str(tmp_path / "cache")}
    environment.pop("TORCHINDUCTOR_CACHE_DIR", None)
    said = [
        subprocess.run(
            [sys.executable, "mine.py", name],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for name in ("first", "second")
    ]
    assert "'fxgraph_cache_miss'" in said[0]
    assert "'fxgraph_cache_hit'" in said[1]
    assert "'fxgraph_cache_miss'" not in said[1]


@CUDA
def test_on_a_gpu_sharded_weights_train_as_whole_ones_and_resume(tmp_path: Path) -> None:
    settings = recipe(device="cuda", checkpoint_every=2)
    for name, strategy in (("whole", "auto"), ("sharded", "fsdp"), ("averaged", "ddp")):
        mine = override(settings, {"training.strategy": strategy})
        train(mine, tmp_path / name, show=False)
        train(override(mine, {"training.steps": 9}), tmp_path / name, resume=True, show=False)
    whole, *others = (
        [line["train/loss"] for line in read_metrics(tmp_path / n)] for n in ("whole", "sharded", "averaged")
    )
    for other in others:
        assert other == pytest.approx(whole, rel=1e-5)


@CUDA
def test_a_step_on_a_gpu_waits_for_nothing(tmp_path: Path) -> None:
    """Between log lines nothing reads a value of the device."""
    settings = recipe("rivals", device="cuda", steps=8, log_every=8, val_every=8)
    step = Trainer._train_step

    def watched(self: Trainer, *arguments: Any) -> None:
        torch.cuda.set_sync_debug_mode("error" if self.step >= 2 else "default")
        try:
            step(self, *arguments)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_train_step", watched)
        train(settings, tmp_path / "run", show=False)
    assert read_metrics(tmp_path / "run")[-1]["step"] == 8


@CUDA
def test_more_gpus_than_there_are_is_one_line(tmp_path: Path) -> None:
    count = torch.cuda.device_count() + 1
    with pytest.raises(UserError, match=f"{count} devices were asked for; this machine has"):
        train(recipe(device="cuda", batch=4 * count), tmp_path / "run", devices=count, show=False)
