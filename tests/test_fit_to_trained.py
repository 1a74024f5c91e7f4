"""Predicting at the size of a model's training, there and back: `--fit`, `nf.predict(fit=True)`."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import nextframe as nf
from nextframe.checkpoint import save_model
from nextframe.cli import main
from nextframe.core.errors import BadInputError
from nextframe.media.limits import Limits
from nextframe.media.reader import read_video
from nextframe.models import MODELS
from nextframe.models.contract import Request, TrainedTask
from nextframe.prediction import Asked, predict, stream
from nextframe.prediction.sizes.trained import fit_to_trained
from tiny import Tiny, TinyConfig

OWN = (368, 480)
REAL = Path(__file__).parents[1] / "docs" / "media" / "stream-of-water.mp4"


class Same(Tiny):
    """Repeats the last frame, and notes the size of what it is given and trained on."""

    def __init__(self, config: TinyConfig) -> None:
        super().__init__(config)
        self.sizes: list[tuple[int, int]] = []

    def forecast(self, request: Request) -> Tensor:
        self.sizes.append(tuple(request.context.shape[-2:]))
        weight = self.out.weight.sum() * 0  # as if it had learned something
        return request.context[:, -1:].repeat(1, request.horizon, 1, 1, 1) + weight


@pytest.fixture(autouse=True)
def _same_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS._entries, "same", Same)


def same(size: tuple[int, int] | None = (64, 64), any_size: bool = True, channels: int = 3) -> Same:
    model = Same(TinyConfig(channels=channels, any_size=any_size))
    model.trained = TrainedTask(context=2, horizon=2, size=size)
    return model


@pytest.fixture(scope="module")
def video() -> Tensor:
    """Three frames of a real video, uint8 (3, 3, 368, 480)."""
    return read_video(REAL, size=OWN)[0][:3]


def there_and_back(frame: Tensor, small: tuple[int, int]) -> Tensor:
    """Return a frame as Pillow scales it to `small` and back: bilinear, and areas are averaged where it shrinks."""
    channels = [Image.fromarray(channel.float().numpy()) for channel in frame]  # 32 bits: nothing is rounded
    for size in (small, OWN):
        channels = [channel.resize(size[::-1], Image.Resampling.BILINEAR) for channel in channels]
    return torch.stack([torch.from_numpy(np.array(channel)) for channel in channels])


def test_a_model_of_any_size_gets_whole_frames_that_cover_its_training(video):
    model = same()
    found = predict(video, model, 2, fit=True)
    assert found.frames.shape == (2, 3, *OWN)
    assert model.sizes == [(64, 83)]  # 480 * 64 / 368 = 83.48
    assert (found.frames * 255 - there_and_back(video[-1], (64, 83))).abs().max() < 0.01


def test_a_model_of_one_size_gets_them_amid_edge_pixels():
    column = torch.arange(1, 5) / 10
    frames = column.view(1, 1, 4, 1).expand(1, 1, 4, 2)
    working = fit_to_trained(same((4, 6), any_size=False, channels=1), (4, 2))
    assert (working.scaled, working.whole) == ((4, 2), (4, 6))
    given = working.into(frames + torch.tensor([0.0, 0.5]))
    assert torch.equal(given[0, 0, 0], torch.tensor([0.1, 0.1, 0.1, 0.6, 0.6, 0.6]))
    assert torch.equal(working.back(given), frames + torch.tensor([0.0, 0.5]))


def test_what_is_around_is_cut_off_again(video):
    model = same(any_size=False)
    found = predict(video, model, 1, fit=True)
    assert model.sizes == [(64, 64)]
    assert (found.frames[0] * 255 - there_and_back(video[-1], (49, 64))).abs().max() < 0.01


@pytest.mark.parametrize(
    ("own", "any_size", "given"),
    [
        ((368, 480), True, (64, 83)),
        ((480, 368), True, (83, 64)),
        ((480, 368), False, (64, 64)),
        ((16, 32), True, (64, 128)),
        ((64, 83), True, (64, 83)),  # it is of that scale
        ((64, 64), False, (64, 64)),
        ((1, 1000), False, (64, 64)),
    ],
)
def test_every_size_goes_there_and_back(own, any_size, given):
    model = same(any_size=any_size, channels=1)
    found = predict(torch.zeros(2, 1, *own), model, 1, fit=True)
    assert (model.sizes, found.frames.shape) == ([given], (1, 1, *own))


def test_a_batch_and_frames_that_are_even_stay_so():
    grey = torch.full((2, 3, 1, 40, 60), 0.25)
    grey[1] = 0.75
    found = predict(grey, same((32, 32), any_size=False, channels=1), 2, fit=True)
    assert found.frames.shape == (2, 2, 1, 40, 60)
    assert torch.allclose(found.frames, grey[:, :2], atol=1e-6)


def test_the_past_is_measured_and_a_copy_trained_at_that_size(video):
    model = same()
    made = stream(torch.cat([video, video]), model, 2, Asked(fit=True, trust=True))
    list(made)
    assert made.past is not None
    made.past.measure()
    assert set(model.sizes) == {(64, 83)}
    model.sizes.clear()
    predict(torch.cat([video, video]), model, 1, fit=True, adapt=0.3)
    assert set(model.sizes) == {(64, 83)}


def lines(caplog: pytest.LogCaptureFixture, word: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if word in record.getMessage()]


def test_the_line_is_said_once_and_names_what_to_do(video, caplog):
    predict(video, same(), 1, one_step=True)
    predict(video, same(), 3, context=1)
    assert lines(caplog, "trained") == 2 * [
        "same was trained on 64x64, the video is 368x480: predicting at the video's size; "
        "--fit (in Python fit=True) scales to the trained size and back"
    ]


def test_every_step_says_it_once(caplog):
    predict(torch.zeros(6, 1, 32, 32), same(channels=1), 4, one_step=True, samples=2)
    assert len(lines(caplog, "trained")) == 1
    assert len(lines(caplog, "no randomness")) == 1


def test_with_fit_it_says_what_is_done(video, caplog):
    caplog.set_level(logging.INFO, logger="nextframe")
    predict(video, same(), 1, fit=True)
    predict(video, same(any_size=False), 1, fit=True)
    start = "same was trained on 64x64, the video is 368x480: frames are scaled to "
    assert lines(caplog, "trained") == [f"{start}64x83 and back", f"{start}49x64, with edge pixels around, and back"]


def test_a_model_without_a_size_says_that_nothing_is_resized(video, caplog):
    found = predict(video, "copy-last", 1, fit=True)
    assert torch.equal(found.frames[0], video[-1].float() / 255)
    assert lines(caplog, "resized") == ["copy-last was not trained at one size: nothing is resized"]


def test_frames_of_the_trained_size_need_no_line(caplog):
    caplog.set_level(logging.INFO, logger="nextframe")
    for asked in (True, False):
        predict(torch.zeros(2, 1, 64, 64), same(channels=1), 1, fit=asked)
    assert lines(caplog, "trained") == []


def test_large_frames_take_no_more_memory_than_small_ones():
    model = nf.create_model("convlstm", channels=1, hidden=[32], kernels=[3])
    model.trained = TrainedTask(context=2, horizon=1, size=(64, 64))
    frames, limits = torch.zeros(2, 1, 384, 384), Limits(bytes=70 * 2**20)
    with pytest.raises(BadInputError, match="running ConvLSTM on 384x384"):
        predict(frames, model, 1, limits=limits, device="cpu")
    assert predict(frames, model, 1, limits=limits, device="cpu", fit=True).frames.shape == (1, 1, 384, 384)


def test_the_command_line_offers_and_does_it(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="nextframe")
    save_model(same(channels=1), tmp_path / "model")
    np.save(tmp_path / "v.npy", np.zeros((4, 30, 40, 1), np.uint8))
    words = ["predict", str(tmp_path / "v.npy"), "-m", str(tmp_path / "model"), "-n", "2", "-o"]
    for name, more, line in [("a.npy", [], "; --fit"), ("b.npy", ["--fit"], "frames are scaled to 64x85 and back")]:
        with pytest.raises(SystemExit) as ended:
            main([*words, str(tmp_path / name), *more])
        assert ended.value.code == 0
        assert np.load(tmp_path / name).shape[:3] == (2, 30, 40)
        assert caplog.text.count(line) == 1
