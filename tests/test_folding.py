"""Batch norm folded into convolutions: the same prediction, and a model that can be trained as before."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

import nextframe
from nextframe.checkpoint import create_model
from nextframe.layers.folding import folded
from nextframe.models.contract import Predictor

SIMVP = {"channels": 1, "context": 4, "encoder_width": 4, "width": 8, "blocks": 2, "ratio": 2.0}
DDPAE = {
    "frame_height": 32,
    "frame_width": 32,
    "object_size": 16,
    "width": 4,
    "features": 16,
    "hidden": 8,
    "content": 8,
}
MODELS: dict[str, tuple[str, dict[str, Any], int, tuple[int, int]]] = {  # frame size; norms, and those that are left
    "simvp gsta": ("simvp", SIMVP, 16, (4, 2)),
    "simvp convmixer": ("simvp", {**SIMVP, "translator": "convmixer"}, 16, (4, 4)),
    "ddpae": ("ddpae", DDPAE, 32, (5, 0)),
}


def drawn(model: nn.Module) -> nn.Module:
    """Give every norm statistics and weights that change what it does; return the model in eval mode."""
    generator = torch.Generator().manual_seed(0)
    for norm in norms(model):
        for values, low in ((norm.running_mean, -1.0), (norm.running_var, 0.5), (norm.weight, 0.5), (norm.bias, -1.0)):
            values.data.uniform_(low, 2.0, generator=generator)
    return model.eval()


def norms(model: nn.Module) -> list[_BatchNorm]:
    return [module for module in model.modules() if isinstance(module, _BatchNorm)]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
def test_a_norm_after_a_convolution_is_part_of_it(kind: type[nn.Module], bias: bool) -> None:
    torch.manual_seed(0)
    model = drawn(nn.Sequential(kind(3, 4, 3, 2, 1, bias=bias), nn.BatchNorm2d(4), nn.ReLU())).double()
    x = torch.randn(2, 3, 9, 9, dtype=torch.float64)
    found = folded(model)
    assert not norms(found)
    torch.testing.assert_close(found(x), model(x))


def test_a_model_without_batch_norm_or_in_training_is_itself() -> None:
    plain = nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU()).eval()
    assert folded(plain) is plain
    training = nn.Sequential(nn.Conv2d(1, 1, 3), nn.BatchNorm2d(1))
    assert folded(training) is training


def test_a_norm_that_keeps_no_statistics_stays() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.BatchNorm2d(1, track_running_stats=False)).eval()
    assert folded(model) is model


def small(case: str) -> Predictor:
    torch.manual_seed(0)
    name, fields, _, _ = MODELS[case]
    model = drawn(create_model(name, **fields))
    assert isinstance(model, Predictor)
    return model


@pytest.mark.parametrize("case", MODELS)
def test_a_model_predicts_the_same_and_is_not_changed(case: str) -> None:
    model, (_, _, size, counts) = small(case), MODELS[case]
    before = {key: value.clone() for key, value in model.state_dict().items()}
    found = folded(model)
    assert (len(norms(model)), len(norms(found))) == counts
    frames = torch.rand(2, 4, 1, size, size)
    with torch.no_grad():
        torch.testing.assert_close(found.predict(frames, 4), model.predict(frames, 4), rtol=0, atol=1e-5)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_what_is_predicted_is_predicted_with_folded_norms() -> None:
    model = small("simvp gsta")
    frames = torch.rand(4, 1, 16, 16)
    shown = nextframe.predict(frames, model, 4, layout="TCHW").frames
    with torch.no_grad():
        expected = model.predict(frames[None], 4)[0]
    torch.testing.assert_close(shown, expected, rtol=0, atol=1e-5)
    assert len(norms(model)) == 4
