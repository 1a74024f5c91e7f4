from __future__ import annotations

import logging
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from nextframe.checkpoint import save_model
from nextframe.core.errors import BadInputError, UserError
from nextframe.data.from_torch import clips as clips_of
from nextframe.media.reader import open_source, read_video
from nextframe.models import MODELS
from nextframe.models.contract import Capabilities, Request, TrainedTask
from nextframe.prediction import Prediction, predict, write_prediction
from tiny import Tiny, TinyConfig


@pytest.fixture(autouse=True)
def _tiny_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS._entries, "tiny", "tiny:Tiny")
    monkeypatch.setitem(MODELS._entries, "noisy", Noisy)


class Noisy(Tiny):
    """Every future is the last frame plus noise of its own."""

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(stochastic=True)

    def forecast(self, request: Request) -> Tensor:
        context = request.context
        noise = torch.rand(context.shape[0], request.horizon, *context.shape[2:], generator=request.generator)
        return (context[:, -1:] + noise) / 2


def clip(path: Path, frames: int, channels: int = 1, size: tuple[int, int] = (10, 14)) -> Path:
    """Write a video whose frame t has the value t / 50 (grey), on the first channel only where it is coloured."""
    array = np.zeros((frames, *size, channels), dtype=np.uint8)
    array[..., 0] = (np.arange(frames) * 5).reshape(-1, 1, 1)
    np.save(path, array)
    return path


def values(frames: Tensor) -> list[int]:
    """Return the value of the first pixel of each frame, in fives."""
    return (frames[:, 0, 0, 0] * 255 / 5).round().int().tolist()


def trained(task: TrainedTask, any_size: bool = True) -> Tiny:
    model = Tiny(TinyConfig(any_size=any_size))
    model.trained = task
    return model


def test_the_prediction_goes_on_where_the_video_ends(tmp_path: Path) -> None:
    found = predict(clip(tmp_path / "v.npy", 20), "linear", 3)
    assert values(found.context) == list(range(10, 20))
    assert values(found.frames) == [20, 21, 22]
    assert found.truth is None
    assert (found.source, found.model, found.fps) == ("v.npy", "linear", 10.0)


def test_compare_keeps_the_last_frames_back(tmp_path: Path) -> None:
    found = predict(clip(tmp_path / "v.npy", 20), "copy-last", 4, compare=True)
    assert values(found.context) == list(range(6, 16))
    assert found.truth is not None
    assert values(found.truth) == [16, 17, 18, 19]
    assert values(found.frames) == [15] * 4


def test_any_place_of_the_video(tmp_path: Path) -> None:
    video = clip(tmp_path / "v.npy", 20)
    found = predict(video, "linear", 2, at=7, context=3, compare=True)
    assert values(found.context) == [4, 5, 6]
    assert found.truth is not None
    assert values(found.truth) == [7, 8] == values(found.frames)
    assert values(predict(video, "linear", 1, at=2).context) == [0, 1]
    assert values(predict(video, "linear", 1, at=20).frames) == [20]


def test_stride(tmp_path: Path) -> None:
    found = predict(clip(tmp_path / "v.npy", 20), "linear", 2, stride=3, context=2)
    assert values(found.context) == [16, 19]
    assert values(found.frames) == [22, 25]
    assert found.fps == pytest.approx(10 / 3)


def test_as_much_context_as_the_model_was_trained_with(tmp_path: Path) -> None:
    found = predict(clip(tmp_path / "v.npy", 20), trained(TrainedTask(context=4, horizon=2)), 5)
    assert values(found.context) == [16, 17, 18, 19]
    assert len(found.frames) == 5


def test_fewer_frames_are_said_of_a_model_that_would_look_at_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    predict(clip(tmp_path / "v.npy", 3), "linear", 1)
    assert "frames instead of" not in caplog.text  # it looks at the last two
    predict(clip(tmp_path / "v.npy", 3), trained(TrainedTask(context=4, horizon=2)), 1)
    assert "tiny gets 3 frames instead of 4" in caplog.text


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({}, r"v\.npy: has 1 frame\(s\), linear needs 2 context frame\(s\); give a longer video"),
        ({"context": 5}, r"has 1 frame\(s\), linear needs 5 context"),
        ({"compare": True}, r"has 1 frame\(s\), linear needs 2 context frame\(s\) and the comparison 10 more"),
        ({"at": 1}, r"there are 1 frames before frame 1, linear needs 2 .*; choose a later frame"),
        ({"at": 3}, r"v\.npy: asked for frames 0 to 2, there are 1; choose an earlier frame than 3"),
    ],
)
def test_too_few_frames_is_a_line_with_numbers(options: dict[str, int], line: str, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=line):
        predict(clip(tmp_path / "v.npy", 1), "linear", 10, **options)  # type: ignore[arg-type]


def test_nonsense_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least 1"):
        predict(clip(tmp_path / "v.npy", 5), "copy-last", 0)
    for fps in (0, -1, float("nan"), float("inf")):
        with pytest.raises(UserError, match="fps must be a number above 0, not"):
            predict(clip(tmp_path / "v.npy", 5), "copy-last", fps=fps)
    for size in ((0, 8), (8, -1)):
        with pytest.raises(UserError, match="a height and a width of at least 1, not"):
            predict(clip(tmp_path / "v.npy", 5), "copy-last", size=size)


def test_a_grey_model_on_a_colour_video_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        found = predict(clip(tmp_path / "v.npy", 5, channels=3), trained(TrainedTask(context=2, horizon=1)), 2)
    assert found.context.shape == (2, 1, 10, 14)
    assert found.context[1, 0, 0, 0].item() * 255 == pytest.approx(0.299 * 20, abs=0.5)  # luma of pure red
    assert "tiny takes grey frames: v.npy is predicted in grey" in caplog.text


def test_a_model_trained_at_another_size_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    video = clip(tmp_path / "v.npy", 5)
    with caplog.at_level(logging.INFO):
        found = predict(video, trained(TrainedTask(context=2, horizon=1, size=(8, 8))), 2)
    assert found.frames.shape == (2, 1, 10, 14)
    assert "trained on 8x8, the video is 10x14" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO):
        found = predict(video, trained(TrainedTask(context=2, horizon=1, size=(8, 8)), any_size=False), 2)
    assert found.frames.shape == (2, 1, 10, 14)
    assert "frames are scaled to 8x8 and back; --fit (in Python fit=True) keeps their aspect ratio" in caplog.text


def test_a_size_that_is_asked_for(tmp_path: Path) -> None:
    found = predict(clip(tmp_path / "v.npy", 5), "copy-last", 2, size=(6, 5))
    assert found.context.shape == (5, 1, 6, 5)
    assert found.frames.shape == (2, 1, 6, 5)


@pytest.mark.parametrize("kind", [">f4", "longdouble", "f2"])
def test_arrays_of_any_floats_are_frames(kind: str) -> None:
    film = np.random.default_rng(0).random((4, 8, 9, 3)).round(2).astype(kind)
    found = predict(film, "copy-last", 1).frames
    torch.testing.assert_close(found[0].permute(1, 2, 0), torch.from_numpy(film[-1].astype(np.float32)))
    clips = clips_of(film.transpose(0, 3, 1, 2)[None], 2, 2, val_share=0, test_share=0)
    assert clips.read("train", np.zeros(1, np.int64)).frames[0, 3, 0, 0, 0] == round(float(film[3, 0, 0, 0]) * 255)


def test_an_array_that_is_mapped_is_read_without_a_warning(tmp_path: Path) -> None:
    np.save(tmp_path / "film.npy", np.full((4, 8, 9, 3), 7, np.uint8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = predict(np.load(tmp_path / "film.npy", mmap_mode="r"), "copy-last", 1)
    assert (found.frames * 255).round().unique().tolist() == [7]


def test_several_futures_differ_and_the_seed_decides(tmp_path: Path) -> None:
    video, model = clip(tmp_path / "v.npy", 5), Noisy(TinyConfig())
    first, again, other = (predict(video, model, 2, samples=3, seed=seed).samples for seed in (1, 1, 2))
    assert first.shape == (3, 2, 1, 10, 14)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first[0], first[1])


def test_memory_does_not_grow_with_the_video(tmp_path: Path) -> None:
    np.lib.format.open_memmap(tmp_path / "v.npy", "w+", np.uint8, (20_000, 64, 64)).flush()  # 80 MB, sparse on disk
    tracemalloc.start()
    predict(tmp_path / "v.npy", "copy-last", 2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6


def test_a_saved_model_predicts_what_it_did_before(tmp_path: Path) -> None:
    video, model = clip(tmp_path / "v.npy", 6), trained(TrainedTask(context=3, horizon=2, size=(10, 14), channels=1))
    save_model(model, tmp_path / "run" / "model")
    assert torch.equal(predict(video, tmp_path / "run", 4).samples, predict(video, model, 4).samples)


def random_prediction(samples: int = 1, truth: bool = False, channels: int = 3) -> Prediction:
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand(samples, 4, channels, 11, 13, generator=generator)
    context = torch.rand(3, channels, 11, 13, generator=generator)
    return Prediction(context, frames, frames[0].flip(0) if truth else None, 12.5, "v.mp4", "flow")


@pytest.mark.parametrize("ending", ["gif", "mp4", "png", "npy"])
@pytest.mark.parametrize("with_context", [False, True])
def test_files_hold_exactly_the_frames(ending: str, with_context: bool, tmp_path: Path) -> None:
    path = write_prediction(random_prediction(), tmp_path / f"out.{ending}", with_context=with_context)
    count = 7 if with_context else 4
    if ending == "png":
        assert Image.open(path).size == (13 * count, 11)
        return
    frames, fps = read_video(path)
    assert len(frames) == count
    size = (12, 14) if ending == "mp4" else (11, 13)  # H.264 needs even sizes
    assert tuple(frames.shape[1:]) == (3, *size)
    assert fps == pytest.approx(10 if ending == "npy" else 12.5)
    if ending == "npy":
        assert torch.equal(frames[-4:].float(), (random_prediction().frames * 255).round())


def test_comparisons_are_panels(tmp_path: Path) -> None:
    found = random_prediction(truth=True)
    animation, _ = read_video(write_prediction(found, tmp_path / "out.gif"))
    assert len(animation) == 7  # context and future
    assert animation.shape[3] > 2 * 13  # truth and prediction side by side
    picture = Image.open(write_prediction(found, tmp_path / "out.png"))
    assert picture.height > 3 * 11
    assert np.load(write_prediction(found, tmp_path / "out.npy")).shape == (4, 11, 13, 3)


def test_several_futures_side_by_side_or_stacked(tmp_path: Path) -> None:
    one = read_video(write_prediction(random_prediction(1, truth=True), tmp_path / "1.gif"))[0]
    three = read_video(write_prediction(random_prediction(3, truth=True), tmp_path / "3.gif"))[0]
    assert three.shape[3] > one.shape[3] * 1.5
    stacked = np.load(write_prediction(random_prediction(3), tmp_path / "3.npy"))
    assert stacked.shape == (3, 4, 11, 13, 3)
    assert np.array_equal(stacked, np.rint(random_prediction(3).samples.permute(0, 1, 3, 4, 2).numpy() * 255))
    assert open_source(tmp_path / "3.npy").sequences == 3  # and it can be read again
    longer = np.load(write_prediction(random_prediction(3), tmp_path / "4.npy", with_context=True))
    assert longer.shape == (3, 7, 11, 13, 3)


def test_unknown_ending_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'\.avi'"):
        write_prediction(random_prediction(truth=True), tmp_path / "out.avi")


VIDEOS = [
    ("videos/imageio__test_images/realshort.mp4", (240, 320)),
    ("videos/damianomal__Shearlet-Framework/person01_handwaving_d1_uncomp.avi", (120, 160)),
    ("gifs_misc/malik-ali__DeepGIFs/0_real.gif", (64, 64)),
    ("gifs_misc/jmhobbs__cultofthepartyparrot.com/angelparrot.gif", (63, 128)),
]


@pytest.mark.parametrize(("name", "size"), VIDEOS)
@pytest.mark.parametrize("model", ["copy-last", "flow"])
def test_real_videos(shared: Path, name: str, size: tuple[int, int], model: str, tmp_path: Path) -> None:
    source = shared / name
    found = predict(source, model, 5)
    tail = open_source(source).last(2).float() / 255
    assert torch.equal(found.context[-2:], tail)
    assert found.frames.shape == (5, tail.shape[1], *size)
    assert found.fps == open_source(source).fps
    if model == "copy-last":
        assert torch.equal(found.frames, tail[-1:].expand(5, -1, -1, -1))
    written, fps = read_video(write_prediction(found, tmp_path / "out.gif"))
    assert len(written) == 5
    assert written.shape[2:] == size
    assert fps == pytest.approx(found.fps, rel=0.06)  # delays of a GIF are whole hundredths of a second


def test_real_comparison(shared: Path, tmp_path: Path) -> None:
    source = shared / VIDEOS[0][0]
    found = predict(source, "flow", 6, compare=True, context=4)
    tail = open_source(source).last(10).float() / 255
    assert torch.equal(found.context, tail[:4])
    assert found.truth is not None
    assert torch.equal(found.truth, tail[4:])
    frames, _ = read_video(write_prediction(found, tmp_path / "out.mp4"))
    assert len(frames) == 10


@pytest.mark.parametrize(("ending", "fps"), [("gif", 4.0), ("mp4", 7.5)])
def test_the_rate_of_what_is_written_can_be_chosen(ending: str, fps: float, tmp_path: Path) -> None:
    from nextframe.cli import main

    np.save(tmp_path / "clip.npy", np.random.default_rng(0).integers(0, 256, (5, 16, 16), dtype=np.uint8))
    words = ["predict", str(tmp_path / "clip.npy"), "--model", "linear", "-n", "3", "-q", "--set"]
    for rate, code in ((str(fps), 0), ("0", 2), ("nan", 2), ("inf", 2)):
        path = tmp_path / f"{rate}.{ending}"
        with pytest.raises(SystemExit) as done:
            main([*words, f"predict.fps={rate}", "-o", str(path)])
        assert done.value.code == code
        assert path.exists() == (code == 0)
    written, found = read_video(tmp_path / f"{fps}.{ending}")
    assert (len(written), found) == (3, pytest.approx(fps))
