"""The recipes of the standard protocols: what they fix, and that each is one that its model can be trained by."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nextframe.models import MODELS
from nextframe.recipes import RECIPES, about
from nextframe.recipes.protocols import PROTOCOLS
from nextframe.training.optim.schedule import SCHEDULES
from nextframe.training.recipe import Recipe

SEQUENCES = {"moving-digits": 200 * 10_000, "kth": 100 * 5_200, "kitti-caltech": 100 * 2_042}
SHAPES = {"moving-digits": (1, 64, 64), "kth": (1, 128, 128), "kitti-caltech": (3, 128, 160)}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_protocol_fixes_what_models_are_compared_by(name: str) -> None:
    recipe = RECIPES.get(name)
    data, training = recipe.data, recipe.training
    assert about(name)
    assert training.steps * training.batch == pytest.approx(SEQUENCES[data.name], rel=0.01)  # whole batches
    assert (training.batch, training.precision, training.ema) == (16, "32", 0.0)
    assert (data.context, data.horizon) == (10, {"moving-digits": 10, "kth": 20, "kitti-caltech": 1}[data.name])
    assert (training.keep, training.monitor) == ("best", "val/mse")  # on val: never the test split


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_model_of_a_protocol_takes_its_frames(name: str) -> None:
    recipe = RECIPES.get(name)
    kind = MODELS.get(recipe.model.name)
    channels, height, width = SHAPES[recipe.data.name]
    told = {"context": 10, "horizon": recipe.data.horizon, "channels": channels}
    told |= {"frame_height": height, "frame_width": width}
    fields = {key: value for key, value in told.items() if key in kind.Config.model_fields} | recipe.model.fields
    with torch.device("meta"):
        model = kind(kind.Config.parse(fields))
    model.check_data(recipe.data.task, (channels, height, width))
    model.request(torch.empty(1, 10, channels, height, width, device="meta"), recipe.data.horizon)


def factor(recipe: Recipe, step: int, steps: int) -> float:
    return SCHEDULES.get(recipe.training.schedule)(step / steps, recipe.training.warmup)


def test_the_rate_is_that_of_torchs_one_cycle() -> None:
    """By hand: a 25th at first, the whole at three tenths, half of both ends half way down, a 250,000th at the end."""
    recipe, steps = RECIPES.get("predrnn-mmnist"), 500
    assert factor(recipe, 0, steps) == pytest.approx(0.04)
    assert factor(recipe, 75, steps) == pytest.approx(0.52)
    assert factor(recipe, 150, steps) == pytest.approx(1.0)
    assert factor(recipe, 325, steps) == pytest.approx((1 + 4e-6) / 2)
    assert factor(recipe, 500, steps) == pytest.approx(4e-6)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    peer = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=steps, final_div_factor=1e4)
    for step in range(steps):
        # torch is up, and down, a step earlier: in a step the rate changes by at most pi / 2 / 150
        assert factor(recipe, step, steps) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1.05e-2)
        optimizer.step()
        if step < steps - 1:
            peer.step()


def test_rates_are_those_of_the_standard_configurations() -> None:
    rates = {name.removesuffix("-mmnist"): recipe.training.lr for name, recipe in PROTOCOLS.items()}
    assert (rates["predrnn"], rates["predrnn-v2"], rates["mim"], rates["predrnn++"]) == (5e-4, 5e-4, 5e-4, 1e-4)
    training = PROTOCOLS["predformer-mmnist"].training
    assert (training.optimizer, training.weight_decay, training.lr) == ("adamw", 1e-2, 1e-3)
