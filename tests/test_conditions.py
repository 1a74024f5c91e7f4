"""Conditions and extras: what travels with a clip, what a model is given of it, and what is refused."""

from __future__ import annotations

import pickle
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from nextframe.core.clip import Clip, Task
from nextframe.core.conditions import Conditions
from nextframe.core.errors import UserError
from nextframe.data import DataConfig, open_data
from nextframe.data.sets.pushed_digits import pushed_path
from nextframe.models.contract import Capabilities, ModelConfig, ModelOptions, Predictor, Request


def clip() -> Clip:
    """Three clips of 2 + 1 frames; actions count the frames, extras are a clean target."""
    frames = torch.zeros(3, 3, 1, 2, 2, dtype=torch.uint8)
    actions = torch.arange(9, dtype=torch.uint8).reshape(3, 3, 1)
    conditions = Conditions(timed={"actions": actions}, fixed={"label": torch.tensor([5, 6, 7])})
    whole = Task.forecast(2, 1).split(frames, conditions)
    return Clip(whole.context, whole.target, whole.conditions, {"clean": torch.full((3, 1, 1, 2, 2), 9.0)})


def test_conditions_follow_the_clip_and_are_never_scaled():
    moved = clip().to("cpu")[1:]
    assert moved.context.dtype == torch.float32
    assert moved.conditions["actions"].dtype == torch.uint8
    assert moved.conditions["actions"].flatten().tolist() == [3, 4, 5, 6, 7, 8]
    assert moved.label.tolist() == [6, 7]
    assert moved.extras["clean"].shape == (2, 1, 1, 2, 2)
    assert len(moved) == 2
    again = pickle.loads(pickle.dumps(moved))  # as a loader's worker sends it
    assert torch.equal(again.conditions["actions"], moved.conditions["actions"])


def test_a_task_cuts_timed_conditions_like_frames():
    frames, actions = torch.zeros(1, 3, 1, 2, 2), torch.tensor([[[0.0], [1.0], [2.0]]])
    middle = Task.interpolate(1).split(frames, Conditions(timed={"actions": actions}))
    assert middle.conditions["actions"].flatten().tolist() == [0, 2, 1]  # context first, then target


@pytest.mark.parametrize(
    ("timed", "fixed", "says"),
    [
        ({"actions": torch.zeros(1, 2, 2)}, {}, "'actions' .* needs 3 entries, one for each frame .* not 2"),
        ({"actions": torch.zeros(2, 3, 2)}, {}, "'actions' .* has 2 clips, not 1"),
        ({}, {"label": torch.zeros(4)}, "'label' .* has 4 clips, not 1"),
        ({"label": torch.zeros(1)}, {}, r"'label' has a time axis, so it is \(B, T, ...\), not \(1,\)"),
        ({"a": torch.zeros(1, 3)}, {"a": torch.zeros(1)}, "'a' is given twice"),
    ],
)
def test_wrong_lengths_are_refused(timed, fixed, says):
    with pytest.raises(UserError, match=says):
        Clip(torch.zeros(1, 2, 1, 2, 2), torch.zeros(1, 1, 1, 2, 2), Conditions(timed, fixed))


def test_extras_have_the_clips_of_the_batch():
    with pytest.raises(UserError, match=r"extra 'flow' .* does not have 1 clips"):
        Clip(torch.zeros(1, 2, 1, 2, 2), torch.zeros(1, 1, 1, 2, 2), extras={"flow": torch.zeros(2, 2)})


class GainOptions(ModelOptions):
    gain: float = 1.0


class Adds(Predictor):
    """The last frame plus, frame by frame, the actions so far; a bias is added if there is one."""

    Options: ClassVar[type[ModelOptions]] = GainOptions

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(needs=("actions",), uses=("bias",))

    def forecast(self, request: Request) -> Tensor:
        assert isinstance(request.options, GainOptions)
        ahead = request.conditions["actions"][:, request.context.shape[1] :].cumsum(1) * request.options.gain
        bias = request.conditions.get("bias", torch.zeros(len(ahead)))
        return request.context[:, -1:] + ahead.view(*ahead.shape[:2], 1, 1, 1) + bias.view(-1, 1, 1, 1, 1)


def test_a_model_is_given_the_actions_of_past_and_future():
    model, context = Adds(ModelConfig()), torch.zeros(1, 2, 1, 1, 1)
    actions = Conditions(timed={"actions": torch.tensor([[0.0, 9.0, 0.1, 0.2]])})
    torch.testing.assert_close(model.predict(context, 2, conditions=actions).flatten(), torch.tensor([0.1, 0.3]))
    halved = model.predict(context, 2, conditions=actions, options={"gain": 0.5})
    torch.testing.assert_close(halved.flatten(), torch.tensor([0.05, 0.15]))
    more = actions.adding(Conditions(fixed={"bias": torch.tensor([0.5])}))
    torch.testing.assert_close(model(context, 2, more).flatten(), torch.tensor([0.6, 0.8]))


@pytest.mark.parametrize(
    ("conditions", "says"),
    [
        (None, "Adds cannot predict without the condition 'actions'"),
        (Conditions(timed={"actions": torch.zeros(1, 3)}), "needs 4 entries"),
        (
            Conditions(timed={"actions": torch.zeros(1, 4)}, fixed={"label": torch.zeros(1)}),
            r"does not know the condition 'label' \(it takes: actions, bias\)",
        ),
    ],
)
def test_conditions_that_a_model_does_not_take_are_refused(conditions, says):
    with pytest.raises(UserError, match=says):
        Adds(ModelConfig()).predict(torch.zeros(1, 2, 1, 1, 1), 2, conditions=conditions)


def test_what_a_data_set_has_beside_is_left_to_others():
    model = Adds(ModelConfig())
    assert set(model.wanted(clip().conditions)) == {"actions"}


def test_pushes_are_where_digits_go_and_walls_stop_them():
    pushes = np.array([[[0.0, 0.0], [2.0, -3.0], [9.0, 0.4], [-1.0, -9.0]]])
    path = pushed_path(np.array([[[0.5, 0.5]]]), pushes, (10, 10))
    assert path[0, :, 0].tolist() == [[5, 5], [7, 2], [10, 2], [9, 0]]


def test_pushed_digits_carry_their_actions():
    clips = open_data(DataConfig(name="pushed-digits", context=2, horizon=4, color="rgb"))
    read, again = clips.read("val", np.arange(3)), clips.read("val", np.array([2]))
    actions = read.conditions["actions"]
    assert actions.shape == (3, 6, 2)
    assert actions[:, 0].eq(0).all()
    assert 0.9 < actions.abs().max() <= 1
    assert torch.equal(again.conditions["actions"], actions[2:])
    assert torch.equal(again.frames, read.frames[2:])
    with pytest.raises(UserError, match="remove stride and gap"):
        open_data(DataConfig(name="pushed-digits", stride=2))
