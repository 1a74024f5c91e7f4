"""A step in parts is the step of the whole batch, and activations that are computed again give the same gradients."""

from pathlib import Path

import pytest
import torch

from nextframe.checkpoint import create_model
from nextframe.core.clip import Clip
from nextframe.core.errors import UserError
from nextframe.core.seeds.noise import clip_noise, uniform
from nextframe.data import DataConfig, clips
from nextframe.layers.over_time import OverTime, checkpoint_activations
from nextframe.models import MODELS
from nextframe.models.bases.recurrent import RecurrentPredictor
from nextframe.training import Recipe, read_metrics, train
from nextframe.training.recipe import ModelSection, TrainingConfig

SMALL = {"patch": 4, "hidden": 4, "layers": 2, "kernel": 3, "frame_height": 16, "frame_width": 16}
WITH_NOISE = {  # noise, and a count of the steps that decides how often true frames are read
    "conv3d": {"context": 4, "channels": 1, "noise": 0.1},
    "predrnn": SMALL | {"sampling": {"fall": 0.2}},
}
DATA = {"context": 4, "horizon": 2, "size": (16, 16)}


def moving() -> object:
    videos = torch.rand(12, 8, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    return clips(videos, 4, 2, name="noise")


def trained(
    name: str, fields: dict, folder: Path, *, resume: bool = False, devices: int = 1, **training
) -> dict[str, torch.Tensor]:
    """The weights after some steps by plain gradient descent, which hides nothing of a gradient's size."""
    settings = {"steps": 4, "optimizer": "sgd", "lr": 0.1, "schedule": "constant", "precision": "32", "log_every": 1}
    config = TrainingConfig(**(settings | {"val_every": 99, "device": "cpu"} | training))
    recipe = Recipe(model=ModelSection(name=name, fields=fields), data=DataConfig(**DATA), training=config)
    return train(recipe, folder, resume=resume, devices=devices, show=False, clips=moving()).model.state_dict()


@pytest.mark.parametrize("name", WITH_NOISE)
def test_parts_of_a_batch_are_the_batch(name, tmp_path):
    whole = trained(name, WITH_NOISE[name], tmp_path / "whole", batch=6)
    parts = trained(name, WITH_NOISE[name], tmp_path / "parts", batch=2, accumulate=3)
    other = trained(name, WITH_NOISE[name], tmp_path / "other", batch=2)
    apart = [max((found[key] - value).abs().max().item() for key, value in whole.items()) for found in (parts, other)]
    assert apart[0] < 1e-3 * apart[1], "to rounding, beside what another batch changes"
    logs = [
        [line["train/loss"] for line in read_metrics(tmp_path / f) if "train/loss" in line] for f in ("whole", "parts")
    ]
    assert logs[0] == pytest.approx(logs[1], rel=1e-5)


@pytest.mark.slow
def test_two_processes_with_parts_of_their_shares_are_the_batch(tmp_path):
    whole = trained("predrnn", WITH_NOISE["predrnn"], tmp_path / "whole", batch=8)
    parts = trained("predrnn", WITH_NOISE["predrnn"], tmp_path / "parts", batch=4, accumulate=2, devices=2)
    other = trained("predrnn", WITH_NOISE["predrnn"], tmp_path / "other", batch=4)
    apart = [max((found[key] - value).abs().max().item() for key, value in whole.items()) for found in (parts, other)]
    assert apart[0] < 1e-3 * apart[1]


def test_a_run_in_parts_is_resumed_exactly(tmp_path):
    settings = {"batch": 2, "accumulate": 2}
    unbroken = trained("predrnn", WITH_NOISE["predrnn"], tmp_path / "a", **settings)
    trained("predrnn", WITH_NOISE["predrnn"], tmp_path / "b", **settings, steps=2)
    resumed = trained("predrnn", WITH_NOISE["predrnn"], tmp_path / "b", **settings, resume=True)
    assert all(torch.equal(resumed[key], value) for key, value in unbroken.items())
    with pytest.raises(UserError, match=r"another training\.accumulate"):
        trained("predrnn", WITH_NOISE["predrnn"], tmp_path / "b", batch=2, accumulate=3, resume=True)


LOOPS = {
    "convlstm": {"hidden": (4, 3), "kernels": (3, 1)},
    "convlstm-residual": {"context": 4, "channels": 1, "hidden": 4, "loss": "mse"},
    "convlstm-openstl": {"patch": 4, "hidden": 4, "layers": 2, "kernel": 3},
    "e3d-lstm": SMALL,
    "mau": SMALL | {"patch": 1},
    "mim": SMALL,
    "phydnet": {"width": 16, "kernel": 3, "hidden": (32,)},
    "predrnn": SMALL | {"version": 2},
    "predrnn++": SMALL,
    "swinlstm": {"form": "B", "width": 4, "window": 2, "heads": (2,), "depths": (2,), "drop_path": 0.5},
}


def gradients(name: str, again: bool, length: int = 9) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    fields = {key: value for key, value in LOOPS[name].items() if key in MODELS.get(name).Config.model_fields}
    model = create_model(name, **fields).train()
    if again:
        checkpoint_activations(model)
    frames = torch.rand(2, length, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    with clip_noise(3, "loss", index=torch.arange(2)):
        loss, _ = model.stages()[0].objectives[0].loss(Clip(frames[:, :4], frames[:, 4:]))
        loss.backward()
    return loss.detach(), {key: p.grad for key, p in model.named_parameters() if p.grad is not None}


def test_every_model_with_a_loop_is_here():
    found = {name for name in MODELS if issubclass(MODELS.get(name), RecurrentPredictor)}
    assert found <= set(LOOPS)


@pytest.mark.parametrize("name", LOOPS)
def test_what_is_computed_again_is_the_same(name):
    (loss, kept), (same, again) = gradients(name, False), gradients(name, True)
    assert torch.equal(loss, same)
    assert set(kept) == set(again)
    for key, value in kept.items():
        torch.testing.assert_close(again[key], value, rtol=1e-5, atol=1e-7, msg=lambda text, key=key: f"{key}: {text}")


def peak_bytes(work) -> int:
    """The most bytes of tensors that `work` holds beyond those at its start, as torch's allocator reports them."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        work()
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most


WIDE = {"convlstm": {"hidden": (16, 16), "kernels": (3, 3)}, "predrnn": SMALL | {"hidden": 32}}


@pytest.mark.parametrize("name", WIDE)
def test_a_frame_takes_less_memory(name, monkeypatch):
    """Of eight more frames, so that weights and their gradients do not count."""
    monkeypatch.setitem(LOOPS, name, WIDE[name])
    grown = []
    for again in (False, True):
        short, long = (peak_bytes(lambda a=again, n=length: gradients(name, a, n)) for length in (9, 17))
        grown.append(long - short)
    assert grown[1] < 0.5 * grown[0]


class Noisy(OverTime):
    """Adds noise in each step: computed again it must be the same."""

    def forward(self, x):
        for _ in range(3):
            x = self.checked(self.step, x)
        return x

    def step(self, x):
        return torch.sin(x * uniform(x.shape, x.device))


def test_noise_is_drawn_again_as_it_was():
    found = []
    for again in (False, True):
        layer, x = Noisy(), torch.ones(4, 5, requires_grad=True)
        layer.checkpointed = again
        with clip_noise(1, index=torch.arange(4)):
            layer(x).sum().backward()
            after = uniform((4, 1), x.device)
        found.append((x.grad, after))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1]), "the noise after it is not moved"


def test_what_cannot_be_checkpointed_is_one_line(tmp_path):
    with pytest.raises(UserError, match="Compact has no loop over frames to checkpoint: omit"):
        trained("compact", {"context": 4, "horizon": 2}, tmp_path / "run", checkpoint_activations=True)
    assert not (tmp_path / "run").exists()
    with pytest.raises(UserError, match="compile and checkpoint_activations do not go together"):
        TrainingConfig.parse({"steps": 1, "compile": True, "checkpoint_activations": True})
