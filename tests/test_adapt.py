"""A short fine-tune on the frames given: what is trained on, what is kept back, and when it is used."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import nextframe
from nextframe.core.clip import Clip
from nextframe.core.errors import NotSupportedError, UserError
from nextframe.models import MODELS
from nextframe.models.contract import Capabilities, Objective, OptimizerDefaults, Stage, TrainedTask
from nextframe.prediction.adapt import READS, Adaptation, adapt
from tiny import Tiny, TinyConfig

FOREVER = 1e6
NOTES: list[tuple[list[int], list[int]]] = []


@pytest.fixture(autouse=True)
def _are_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, kind in {"quick": Quick, "watched": Watched, "contrary": Contrary}.items():
        monkeypatch.setitem(MODELS._entries, name, kind)


class Quick(Tiny):
    """Learns in a few steps, though it is adapted at a small part of its rate."""

    def stages(self) -> list[Stage]:
        rates = OptimizerDefaults("adam", lr=1.0)
        return [Stage("train", [Objective("pixels", list(self.parameters()), self.loss, rates)])]


class Watched(Quick):
    """Notes which values of pixels it is trained on, in twentieths, context and target apart."""

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(min_context=3)

    def loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        values = [(part[0, :, 0, 0, 0] * 20).round().int().tolist() for part in (clip.context, clip.target)]
        NOTES.append((values[0], values[1]))
        return super().loss(clip)


class Contrary(Quick):
    """Learns to be wrong."""

    def loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        loss, logs = super().loss(clip)
        return -loss, logs


def built(kind: Callable[[TinyConfig], Tiny] = Quick) -> Tiny:
    torch.manual_seed(0)
    model = kind(TinyConfig())
    model.trained = TrainedTask(context=3, horizon=2)
    return model


def numbered(frames: int) -> Tensor:
    """A video whose frame t has the value t / 20."""
    return torch.arange(frames).div(20).view(-1, 1, 1, 1).expand(-1, 1, 12, 16)


@pytest.mark.parametrize(
    ("given", "horizon", "ahead", "kept"),
    [
        (6, 10, 2, 1),  # the fewest: two ahead, one kept back
        (8, 10, 4, 1),
        (12, 5, 5, 4),
        (20, 5, 5, 5),
        (20, 1, 1, 5),  # a quarter of them, where one frame is asked for
    ],
)
def test_as_many_steps_ahead_as_asked_for_and_never_on_the_frames_kept_back(given, horizon, ahead, kept):
    NOTES.clear()
    _, done = adapt(built(Watched), numbered(given), horizon, FOREVER, context=3)
    assert done.kept_back == kept
    assert {len(target) for _, target in NOTES} == {ahead}
    for context, target in NOTES:
        assert context + target == list(range(context[0], context[0] + 3 + ahead))
        assert target[-1] < given - kept
    assert len(NOTES) == done.tried


def test_it_is_used_where_it_helps_and_the_model_given_stays_as_it_was():
    model = built()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    film = torch.full((12, 1, 12, 16), 0.9)
    better, done = adapt(model, film, 3, FOREVER, context=3)
    assert done.used
    assert done.after > done.before + 0.01
    assert 0 < done.steps <= done.tried
    error, own = ((net.predict(film[None, :3], 3) - 0.9).square().mean() for net in (better, model))
    assert error < own
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    again, same = adapt(model, film, 3, FOREVER, context=3)
    assert (same.steps, same.after) == (done.steps, done.after)
    pairs = zip(again.state_dict().values(), better.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_what_does_not_help_is_not_used(caplog):
    film = torch.full((12, 1, 12, 16), 0.9)
    model = built(Contrary)
    same, done = adapt(model, film, 3, FOREVER, context=3)
    assert same is model
    assert (done.used, done.steps, done.after) == (False, 0, done.before)
    assert done.tried == 12  # three measurements without a gain
    with caplog.at_level(logging.INFO, logger="nextframe"):
        found = nextframe.predict(film, model, 2, adapt=FOREVER)
    assert "adapting did not help" in caplog.text
    assert "not used" in caplog.text
    assert torch.equal(found.frames, nextframe.predict(film, model, 2).frames)


def test_too_few_frames_are_said_and_nothing_is_done(caplog):
    film = torch.rand(5, 1, 12, 16, generator=torch.Generator().manual_seed(0))
    with caplog.at_level(logging.INFO, logger="nextframe"):
        found = nextframe.predict(film, built(), 2, adapt=9)
    assert "not adapted: 5 frames are given, it takes 6" in caplog.text
    assert torch.equal(found.frames, nextframe.predict(film, built(), 2).frames)
    assert found.adaptation == Adaptation(given=5, needed=6)


def test_no_time_is_said():
    _, done = adapt(built(), numbered(12), 2, 1e-9, context=3)
    assert (done.tried, done.used) == (0, False)
    assert "give it more time" in str(done)


def test_prediction_adapts_to_up_to_32_frames_before_it_and_gives_the_model_its_own_context():
    NOTES.clear()
    film = torch.arange(60).div(60).view(-1, 1, 1, 1).expand(-1, 1, 12, 16)
    model = built(Watched)
    found = nextframe.predict(film, model, 5, compare=True, adapt=FOREVER)
    assert len(found.context) == 3
    assert found.adaptation.given == READS == 32
    seen = [value / 20 for context, target in NOTES for value in (context[0], target[-1])]
    assert min(seen) > 23 / 60 - 0.03
    assert max(seen) < 55 / 60 - 8 / 60 + 0.03  # five frames are predicted, a quarter of 32 kept back
    NOTES.clear()
    sliding = nextframe.predict(film, model, 5, one_step=True, adapt=FOREVER)
    assert {len(target) for _, target in NOTES} == {1}
    assert len(sliding.context) == 3


def test_of_a_long_context_as_many_frames_are_read_as_it_takes_to_adapt():
    film = torch.arange(60).div(60).view(-1, 1, 1, 1).expand(-1, 1, 12, 16)
    model = built()
    model.trained = TrainedTask(context=40, horizon=2)
    assert nextframe.predict(film, model, 1, adapt=FOREVER).adaptation.given == 43
    assert nextframe.predict(film, built(), 1, context=50, adapt=FOREVER).adaptation.given == 53


def test_what_cannot_be_adapted_is_one_line():
    film = numbered(12)
    with pytest.raises(NotSupportedError, match="copy-last has nothing to train"):
        nextframe.predict(film, "copy-last", 2, adapt=1)
    with pytest.raises(UserError, match="more than 0 seconds, not -1"):
        nextframe.predict(film, built(), 2, adapt=-1)
    with pytest.raises(UserError, match="more than 0 seconds, not nan"):
        nextframe.predict(film, built(), 2, adapt=float("nan"))
    with pytest.raises(UserError, match="one video at a time"):
        nextframe.predict(film.unsqueeze(0).expand(2, -1, -1, -1, -1), built(), 2, adapt=1)
