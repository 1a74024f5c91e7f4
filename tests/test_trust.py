"""How far a prediction is to be trusted: the model on the clip's own last frames."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from nextframe.checkpoint import create_model, save_model
from nextframe.cli import main
from nextframe.media.limits import Limits
from nextframe.media.writer import write_video
from nextframe.prediction import Asked, stream
from nextframe.prediction.past.trust import MOST, Trust
from nextframe.prediction.stream import Stream
from own_models import registered
from texture import texture
from tiny import Tiny, TinyConfig

pytestmark = pytest.mark.numeric


def pan(frames: int, size: tuple[int, int] = (24, 30)) -> torch.Tensor:
    return torch.cat([texture(*size, 1.5 * t, 0.5 * t) for t in range(frames)])


def film(tmp_path: Path, frames: int) -> Path:
    return write_video(tmp_path / "film.npy", pan(frames))


def asked_of(path: Path, model: object = "linear", frames: int = 4, **more: object) -> Stream:
    return stream(path, model, frames, Asked(trust=True, **more), Path("a.gif"))


@pytest.mark.parametrize(("frames", "steps"), [(30, 4), (6, 4), (5, 3), (3, 1), (2, 0)])
def test_as_many_last_frames_are_predicted_as_asked_or_as_there_are(tmp_path, frames, steps):
    """The linear baseline reads two frames."""
    past = asked_of(film(tmp_path, frames)).past
    assert (0 if past is None else past.steps) == steps


def test_the_errors_are_those_of_predicting_the_last_frames_from_those_before(tmp_path):
    path, model = film(tmp_path, 20), create_model("flow")
    frames = torch.from_numpy(np.load(path))[:, None].float() / 255
    trust = asked_of(path, model, 5).past.measure()
    ours = model.predict(frames[None, 5:15], 5)[0]
    assert trust.predicted == pytest.approx((ours - frames[15:]).square().mean((1, 2, 3)).tolist())
    assert trust.repeated == pytest.approx((frames[14] - frames[15:]).square().mean((1, 2, 3)).tolist())
    assert trust.better_until == 5  # an even motion is what it knows


def test_the_prediction_itself_is_the_same(tmp_path):
    path = film(tmp_path, 20)
    plain = stream(path, "flow", 4, Asked(), Path("a.gif"))
    beside = asked_of(path, "flow")
    beside.past.measure()
    for one, other in zip(plain, beside, strict=True):
        assert torch.equal(one.futures, other.futures)
    assert plain.past is None


@pytest.mark.parametrize("more", [{"compare": True}, {"one_step": True}, {"at": 2}])
def test_nothing_is_measured_where_the_truth_is_known_or_too_little_is_there(tmp_path, more):
    assert asked_of(film(tmp_path, 30), **more).past is None


def test_the_last_frame_is_not_compared_with_itself(tmp_path):
    assert asked_of(film(tmp_path, 30), "copy-last").past is None


def test_before_another_frame_it_is_the_past_of_that_one(tmp_path):
    path = film(tmp_path, 30)
    past = asked_of(path, at=16).past
    assert torch.equal(past.frames, torch.from_numpy(np.load(path))[2:16, None])


def test_a_long_horizon_takes_no_more_than_a_bounded_look(tmp_path):
    assert asked_of(film(tmp_path, 60), frames=1000).past.steps == MOST


def test_where_memory_is_short_nothing_is_measured_and_all_is_predicted(tmp_path):
    path = film(tmp_path, 30)
    frame = 24 * 30
    enough = next(n for n in range(1, 1000) if _fits(path, n * frame))
    assert asked_of(path, frames=8, limits=Limits(bytes=enough * frame)).past is None
    assert asked_of(path, frames=8, limits=Limits(bytes=(enough + 100) * frame)).past is not None


def _fits(path: Path, size: int) -> bool:
    from nextframe.core.errors import BadInputError

    try:
        stream(path, "linear", 8, Asked(limits=Limits(bytes=size)), Path("a.gif"))
    except BadInputError:
        return False
    return True


def test_frames_before_that_cannot_be_read_are_not_needed(tmp_path, monkeypatch):
    from nextframe.core.errors import BadInputError
    from nextframe.media.arrays import ArraySource

    last = ArraySource.last

    def fails(self: ArraySource, n: int) -> torch.Tensor:
        if n > 10:
            raise BadInputError(self.path, "frame 3 is damaged")
        return last(self, n)

    monkeypatch.setattr(ArraySource, "last", fails)
    with registered({"tiny": Tiny}):
        found = asked_of(film(tmp_path, 30), Tiny(TinyConfig()))
        assert found.past is None
        assert len(list(found)) == 4


def line(predicted: list[float], repeated: list[float], asked: int = 3) -> str:
    return str(Trust("a.mp4", "flow", asked, tuple(predicted), tuple(repeated))).partition(" flow is ")[2]


def test_what_is_said():
    assert line([1, 1, 1], [2, 2, 2]) == "better than the last frame up to step 3, all that are predicted"
    assert line([1, 1, 1], [2, 2, 2], 9) == "better than the last frame up to step 3, the longest that the clip allows"
    tried = f"better than the last frame up to step {MOST}, the longest that is tried"
    assert line([1] * MOST, [2] * MOST, 99) == tried
    assert line([1, 2, 2], [2, 2, 2]) == "no better than the last frame from step 2 on"
    assert line([3, 2, 2], [2, 2, 2]) == "no better than the last frame from step 1 on"
    assert line([1, 2, 1], [2, 2, 2]) == "better than the last frame up to step 1, and at 1 of the next 2"
    assert line([3, 2, 1], [2, 2, 2]) == "no better than the last frame at step 1, better at 1 of the next 2"
    assert str(Trust("a.mp4", "flow", 1, (1.0,), (2.0,))).startswith("a.mp4: on its own last frame flow is better")


def predicted(caplog, *words: object) -> list[str]:
    """Run `nextframe predict` and return what it says."""
    caplog.set_level(logging.INFO, logger="nextframe")  # a test with --quiet may have raised it
    caplog.clear()
    with pytest.raises(SystemExit) as done:
        main(["predict", *map(str, words)])
    assert not done.value.code
    return list(caplog.messages)


def test_the_command_line_says_it_in_one_line_and_writes_it(tmp_path, caplog):
    files = ("-o", tmp_path / "next.gif", "--json", tmp_path / "facts.json")
    words = (film(tmp_path, 20), "-m", "flow", "-n", "3", *files)
    said = "film.npy: on its own last 3 frames flow is better than the last frame up to step 3, all that are predicted"
    assert predicted(caplog, *words) == [said]
    facts = json.loads((tmp_path / "facts.json").read_text())["trust"]
    assert (facts["steps"], facts["better_until"]) == (3, 3)
    assert all(ours < other for ours, other in zip(facts["mse"]["predicted"], facts["mse"]["last_frame"], strict=True))
    assert predicted(caplog, *words, "--set", "predict.trust=false") == []
    assert json.loads((tmp_path / "facts.json").read_text())["trust"] is None


def test_a_warning_of_the_prediction_is_not_repeated(tmp_path, caplog):
    with registered({"tiny": Tiny}):
        model = Tiny(TinyConfig())
        save_model(model, tmp_path / "model")
        err = predicted(caplog, film(tmp_path, 30), "-m", tmp_path / "model", "-o", tmp_path / "a.npy")
    assert len(err) == len(set(err))
    assert sum("on its own last" in line for line in err) == 1


def test_what_takes_long_is_not_done_again(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("nextframe.cli.predict.LONG", 0.0)
    assert predicted(caplog, film(tmp_path, 20), "-m", "flow", "-o", tmp_path / "next.gif") == []
