from __future__ import annotations

import pytest
import torch

from nextframe.core.errors import UserError
from nextframe.models import MODELS
from nextframe.models.contract import Predictor
from texture import texture


def baseline(name: str, **fields) -> Predictor:
    model = MODELS.get(name)
    return model(model.Config.parse(fields))


def test_copy_last_is_the_last_frame_at_every_step():
    context = torch.rand(3, 4, 2, 5, 7)
    future = baseline("copy-last").predict(context, 6)
    assert future.shape == (3, 6, 2, 5, 7)
    assert all(torch.equal(frame, context[:, -1]) for frame in future.unbind(1))
    future.zero_()
    assert context[:, -1].max() > 0  # the prediction is not a view of what was given


def test_linear_by_hand():
    context = torch.tensor([[0.9, 0.2, 0.5], [0.1, 0.3, 0.4]]).view(1, 2, 1, 1, 3)  # two frames of three pixels
    future = baseline("linear").predict(context, 3)[0, :, 0, 0]
    expected = torch.tensor([[0.0, 0.4, 0.3], [0.0, 0.5, 0.2], [0.0, 0.6, 0.1]])
    assert torch.allclose(future, expected, atol=1e-6)


def test_linear_uses_the_last_two_frames_only_and_is_exact_on_a_ramp():
    ramp = torch.arange(8.0).mul(0.1).view(1, 8, 1, 1, 1).expand(1, 8, 3, 2, 2)
    future = baseline("linear").predict(ramp[:, :4], 4)
    assert torch.allclose(future, ramp[:, 4:], atol=1e-6)
    noise = torch.cat([torch.rand(1, 5, 3, 2, 2), ramp[:, 2:4]], dim=1)
    assert torch.equal(baseline("linear").predict(noise, 4), future)


@pytest.mark.parametrize(("dx", "dy"), [(1.6, -0.9), (-3.2, 1.5)])
@pytest.mark.parametrize("channels", [1, 3])
def test_flow_beats_the_others_on_a_moving_texture_at_every_step(dx, dy, channels):
    film = torch.cat([texture(90, 70, t * dx, t * dy, channels) for t in range(7)]).unsqueeze(0)
    context, target = film[:, :2], film[:, 2:]
    errors = {}
    for name in ("copy-last", "linear", "flow"):
        difference = baseline(name).predict(context, 5) - target
        errors[name] = difference[..., 16:-16, 16:-16].square().mean((0, 2, 3, 4))  # what comes in is nobody's guess
    assert (errors["flow"] < 0.2 * errors["copy-last"]).all()
    assert (errors["flow"] < 0.2 * errors["linear"]).all()


def test_flow_carries_a_small_object_along_over_a_still_background():
    film = torch.zeros(1, 7, 1, 48, 64)
    for t in range(7):
        film[0, t, 0, 18:30, 8 + 3 * t : 20 + 3 * t] = texture(12, 12)[0, 0]
    future = baseline("flow").predict(film[:, :2], 5)
    x = torch.arange(64.0)
    centre = (future.sum((2, 3)) * x).sum(-1) / future.sum((2, 3, 4))
    truth = (film[:, 2:].sum((2, 3)) * x).sum(-1) / film[:, 2:].sum((2, 3, 4))
    assert (centre - truth).abs().max() < 2.5  # of 15 pixels
    copied = (film[:, 1:2] - film[:, 2:]).square().mean((0, 2, 3, 4))
    assert ((future - film[:, 2:]).square().mean((0, 2, 3, 4)) < 0.25 * copied).all()


def test_flow_leaves_a_still_film_alone():
    still = texture(33, 47, channels=3).unsqueeze(1).expand(1, 3, 3, 33, 47)
    future = baseline("flow").predict(still, 4)
    assert torch.allclose(future, still[:, :1].expand_as(future), atol=1e-5)


@pytest.mark.parametrize("name", ["linear", "flow"])
def test_two_frames_are_needed_and_the_line_says_so(name):
    with pytest.raises(UserError, match="needs at least 2 context frames, there are 1"):
        baseline(name).predict(torch.rand(1, 1, 1, 8, 8), 1)


@pytest.mark.parametrize("name", ["copy-last", "linear", "flow"])
def test_any_size_and_any_film_stay_in_range(name):
    for height, width in ((1, 1), (3, 50), (37, 20)):
        future = baseline(name).predict(torch.rand(2, 3, 1, height, width), 3)
        assert future.shape == (2, 3, 1, height, width)
        assert future.isfinite().all()
        assert future.min() >= 0
        assert future.max() <= 1


def test_baselines_have_nothing_to_train():
    for name in ("copy-last", "linear", "flow"):
        model = baseline(name)
        assert not model.capabilities.trainable
        assert model.stages() == list(model.parameters()) == []
