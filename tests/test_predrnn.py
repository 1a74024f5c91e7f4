"""PredRNN, its second version, PredRNN++ and OpenSTL's ConvLSTM: what the contract and the originals do not show."""

from __future__ import annotations

import pytest
import torch

from nextframe.checkpoint import create_model
from nextframe.core.clip import Clip
from nextframe.core.errors import UserError
from nextframe.models.predrnn import PredRNNConfig, overlap
from nextframe.recipes import RECIPES

TINY = {"hidden": 4, "layers": 2, "kernel": 3, "patch": 4}


def test_version_2_has_the_decoupling_loss_and_reverse_sampling_unless_they_are_given() -> None:
    plain, second = PredRNNConfig(), PredRNNConfig(version=2)
    assert (plain.decouple, plain.sampling.kind) == (0.0, "scheduled")
    assert (second.decouple, second.sampling.kind) == (0.1, "reverse")
    given = PredRNNConfig.parse({"version": 2, "decouple": 0.2, "sampling": {"first": 7}})
    assert (given.decouple, given.sampling.kind, given.sampling.first) == (0.2, "reverse", 7)
    assert PredRNNConfig.parse(given.model_dump()) == given


def test_the_overlap_is_the_size_of_the_cosine_of_each_channel() -> None:
    one = torch.tensor([[[[3.0, 4.0]], [[1.0, 0.0]]]])
    two = torch.tensor([[[[-4.0, -3.0]], [[0.0, 5.0]]]])
    assert float(overlap(one, two)) == pytest.approx((24 / 25 + 0) / 2)
    assert float(overlap(one, 1e-6 * one)) == pytest.approx(1)


def test_the_decoupling_loss_is_of_every_cell_and_step_and_not_there_in_predicting() -> None:
    model = create_model("predrnn", version=2, decouple=0.5, **TINY).eval()
    clip = Clip(torch.rand(2, 3, 1, 8, 8), torch.rand(2, 2, 1, 8, 8))
    state = model.read(model.fold(clip.frames[:, :-1]), torch.ones(2, 3, dtype=torch.bool)).state
    assert len(state.overlaps) == 4 * 2
    assert float(model.penalty(state).detach()) == pytest.approx(
        0.5 * float(torch.stack(state.overlaps).mean().detach())
    )
    loss, logs = model.loss(clip)
    assert 0 < float(logs["penalty"]) <= 0.5
    assert float(loss.detach()) == pytest.approx(float(logs["mse"] + logs["penalty"]))
    loss.backward()
    assert model.adapter.weight.grad.any()
    assert model.prime(clip.context).overlaps is None


@pytest.mark.parametrize("name", ["predrnn", "predrnn++", "convlstm-openstl"])
def test_with_layer_norm_one_size_is_taken_and_others_are_refused(name: str) -> None:
    model = create_model(name, norm=True, frame_height=9, frame_width=16, **TINY)
    assert not model.capabilities.any_size
    assert model.predict(torch.rand(1, 2, 1, 9, 16), 2).shape == (1, 2, 1, 9, 16)
    with pytest.raises(UserError, match="takes frames of 9x16, not 16x9"):
        model.predict(torch.rand(1, 2, 1, 16, 9), 2)
    with pytest.raises(UserError, match="takes frames of 9x16, not 16x9"):
        model.check_data(None, (1, 16, 9))


def test_an_even_kernel_is_refused() -> None:
    with pytest.raises(UserError, match="must be odd"):
        create_model("predrnn", kernel=4)


def test_the_recipe_is_the_standard_protocol() -> None:
    recipe = RECIPES.get("convlstm-s")
    assert (recipe.model.name, recipe.model.fields) == ("convlstm-openstl", {})
    assert recipe.training.steps * recipe.training.batch == 200 * 10_000
    assert (recipe.training.lr, recipe.training.warmup, recipe.data.options["digits"]) == (5e-4, 0.3, "mnist")
