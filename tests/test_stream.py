"""Predictions and interpolations that are written as they are made: the same frames, few of them held."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from nextframe.checkpoint import create_model
from nextframe.core.errors import BadInputError, NextframeError
from nextframe.media.limits import Limits
from nextframe.media.reader import read_video
from nextframe.media.writer import write_video
from nextframe.models.contract import Block, Predictor, Request
from nextframe.models.protocols import unrolled, unrolls
from nextframe.models.rollout import roll_on, roll_out
from nextframe.prediction import Asked, interpolate, predict, stream, write_prediction, write_stream
from nextframe.prediction.interpolate import between
from own_models import registered
from texture import texture
from tiny import Tiny, TinyConfig

HEIGHT, WIDTH, ASKED = 24, 30, 7
FRAME = HEIGHT * WIDTH * 3  # bytes


@lru_cache
def pan(frames: int) -> Tensor:
    """A texture that moves, (T, 3, H, W)."""
    return torch.cat([texture(HEIGHT, WIDTH, 1.5 * t, 0.5 * t, channels=3) for t in range(frames)])


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write_video(tmp_path / "film.npy", pan(16))


class Breaks(Predictor):
    """Predicts the last frame four times, and then no number."""

    def unroll(self, request: Request) -> Iterator[Block]:
        for number in range(request.horizon):
            yield Block(request.context[:, -1:] * (1.0 if number < 4 else float("nan")))


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    with registered({"breaks": Breaks, "tiny": Tiny}):
        yield


def blocks() -> Predictor:
    """A model that predicts three frames at once, so that seven are two passes and a part of the third."""
    return create_model("compact", patch=8, width=8, blocks=1, kernel=3, context=3, horizon=3, channels=3)


# --- models ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("block", "horizon"), [(1, 1), (1, 5), (2, 5), (3, 9), (4, 2)])
def test_a_roll_out_is_what_predicting_on_the_growing_sequence_gives(block: int, horizon: int) -> None:
    context = torch.rand(2, 3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    seen = []

    def advance(frames: Tensor) -> Tensor:
        seen.append(frames)
        return torch.stack([frames.mean(1) * (1.3 + 0.2 * n) - 0.1 for n in range(block)], dim=1)

    grown = context
    for _ in range(-(-horizon // block)):
        grown = torch.cat([grown, advance(grown[:, -3:]).clamp(0, 1)], dim=1)
    seen.clear()
    assert torch.equal(roll_out(advance, context, horizon), grown[:, 3 : 3 + horizon])
    assert all(frames.shape == context.shape for frames in seen)
    first = next(roll_on(advance, context, 1_000_000_000))
    assert torch.equal(first.frames, grown[:, 3 : 3 + block])


def test_whoever_says_last_what_is_predicted_is_asked() -> None:
    class Older(Breaks):
        def forecast(self, request: Request) -> Tensor:
            return super().forecast(request) / 2

    context = torch.full((1, 1, 1, 2, 2), 0.8)
    assert unrolls(Breaks(Breaks.Config()))
    net = Older(Older.Config())
    assert not unrolls(net)
    assert [float(block.frames[0, 0, 0, 0, 0]) for block in unrolled(net, net.request(context, 2))] == [
        pytest.approx(0.4)
    ] * 2


def test_a_long_future_of_latents_is_decoded_in_parts() -> None:
    net = create_model("latent-lstm", channels=1, frame_height=16, frame_width=16, hidden=[8]).eval()
    context = torch.rand(2, 3, 1, 16, 16)
    state, start = net.prime(context[:, :-1]), net._encoded(context[:, -1:])
    with torch.no_grad():
        at_once = net.decode(net.imagine(state, start, 40)).clamp(0, 1)
    torch.testing.assert_close(net.predict(context, 40), at_once)


def test_the_caller_s_mode_and_gradients_stay_while_frames_come() -> None:
    net = Tiny(TinyConfig()).train()
    frames = unrolled(net, net.request(torch.rand(1, 2, 1, 8, 8), 3))
    assert not next(frames).frames.requires_grad
    assert net.training
    assert torch.is_grad_enabled()
    assert len(list(frames)) == 2


# --- files -------------------------------------------------------------------------------------------------------


def models() -> dict[str, str | Predictor]:
    """One of each kind: steps, a flow, blocks by roll-out, and one that makes all frames at once."""
    return {"copy": "copy-last", "flow": "flow", "blocks": blocks(), "whole": Tiny(TinyConfig(channels=3))}


CASES = [
    *(("out.npy", name, Asked()) for name in ("copy", "flow", "blocks", "whole")),
    *(("out.npy", "blocks", asked) for asked in (Asked(compare=True), Asked(one_step=True))),
    *((output, "flow", Asked()) for output in ("out.gif", "out.mp4", "out.png", "out")),
    *((output, "blocks", Asked(compare=True)) for output in ("out.gif", "out.mp4", "out.png", "out")),
    ("out.gif", "copy", Asked(one_step=True)),
]


@pytest.mark.parametrize(("output", "name", "asked"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_what_is_written_as_it_is_made_is_what_is_written_at_the_end(
    film: Path, output: str, name: str, asked: Asked, tmp_path: Path
) -> None:
    model = models()[name]
    whole = predict(film, model, ASKED, compare=asked.compare, one_step=asked.one_step)
    write_prediction(whole, tmp_path / "whole" / output, with_context=True)
    coming = stream(film, model, ASKED, asked, Path(output))
    write_stream(coming, tmp_path / "coming" / output, with_context=True)
    assert whole.as_json() == coming.as_json()
    if output.endswith("mp4"):  # x264 does not write the same bytes twice of small frames
        one, other = (read_video(tmp_path / folder / output)[0].float() for folder in ("whole", "coming"))
        assert one.shape == other.shape
        assert (one - other).abs().mean() < 4
        return
    assert contents(tmp_path / "coming") == contents(tmp_path / "whole")


def contents(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")}


@pytest.mark.parametrize("name", sorted(models()))
def test_frames_that_come_are_those_that_the_model_predicts(film: Path, name: str) -> None:
    net = models()[name]
    net = create_model(net) if isinstance(net, str) else net
    coming = stream(film, net, ASKED, Asked(context=3), Path("a.npy"))
    truth = net.predict(coming.context.unsqueeze(0), ASKED)[0]
    assert torch.equal(torch.stack([step.futures[0] for step in coming]), truth)
    assert torch.equal(predict(film, net, ASKED, context=3).frames, truth)


def test_tiles_come_frame_by_frame_too(tmp_path: Path) -> None:
    path = write_video(tmp_path / "film.npy", torch.cat([texture(80, 96, 2.0 * t, channels=3) for t in range(4)]))
    asked, whole = Asked(tile=48, overlap=16), predict(path, "flow", 3, tile=48, overlap=16)
    endless = stream(path, "flow", 1_000_000_000, asked, Path("a.gif"))
    assert torch.equal(torch.stack([step.futures[0] for step in islice(endless, 3)]), whole.frames)


@pytest.mark.parametrize("name", ["out.npy", "out.gif", "out.mp4", "out.png", "out"])
def test_a_failure_on_the_way_leaves_what_was_there(film: Path, name: str, tmp_path: Path) -> None:
    output = tmp_path / "there" / name
    write_prediction(predict(film, "copy-last", 9), output)
    before = contents(output.parent)
    with pytest.raises(NextframeError, match="predicts values that are not finite"):
        write_stream(stream(film, Breaks(Breaks.Config()), ASKED, Asked(), output), output)
    assert contents(output.parent) == before
    with pytest.raises(NextframeError):
        write_stream(stream(film, Breaks(Breaks.Config()), ASKED, Asked(), output), tmp_path / "new" / name)
    assert not list((tmp_path / "new").rglob("*"))


# --- memory ------------------------------------------------------------------------------------------------------


def test_a_horizon_that_would_not_fit_is_predicted_as_far_as_it_is_asked_for(film: Path) -> None:
    endless = stream(film, "copy-last", 1_000_000_000, Asked(), Path("a.mp4"))
    assert len(list(islice(endless, 3))) == 3
    assert len(endless.as_json()["rows"]) == 3
    at_once = Tiny(TinyConfig(channels=3))
    for model, output in (("copy-last", None), ("copy-last", Path("a.png")), (at_once, Path("a.mp4"))):
        with pytest.raises(BadInputError, match="1,000,000,000 frames of 30x24 takes about"):
            stream(film, model, 1_000_000_000, Asked(), output)


def test_the_command_line_holds_what_the_format_needs(film: Path, tmp_path: Path) -> None:
    from nextframe.cli import main

    words = ["predict", str(film), "-m", "copy-last", "-n", "60", "--set", f"predict.memory={150 * FRAME / 2**30}"]
    for name, code in (("a.npy", 0), ("a.gif", 0), ("a", 0), ("a.png", 2)):
        with pytest.raises(SystemExit) as done:
            main([*words, "-o", str(tmp_path / name)])
        assert done.value.code == code, name
    assert np.load(tmp_path / "a.npy").shape == (60, HEIGHT, WIDTH, 3)
    assert not (tmp_path / "a.png").exists()


def test_frames_between_others_are_made_as_they_are_asked_for() -> None:
    read = []

    def frames() -> Iterator[Tensor]:
        for number, frame in enumerate((pan(16) * 255).byte()):
            read.append(number)
            yield frame

    made = between(frames(), create_model("mean-neighbours"), 4)
    for count in range(1, 62):
        next(made)
        assert len(read) == 1 + -(-(count - 1) // 4)


def test_an_interpolation_needs_no_memory_for_the_film(tmp_path: Path) -> None:
    film = write_video(tmp_path / "film.npy", pan(30))
    few = Limits(bytes=60 * FRAME)
    interpolate(film, tmp_path / "slow.npy", "mean-neighbours", 4, limits=few)
    slow, given = np.load(tmp_path / "slow.npy"), np.load(film)
    np.testing.assert_array_equal(slow[::4], given)
    mean = (given[:-1].astype(float) + given[1:]) / 2
    assert np.abs(slow[2::4] - mean).max() < 0.501
    with pytest.raises(BadInputError, match=r"one image of 117 frames of 30x24 takes about .* write an \.mp4, \.gif"):
        interpolate(film, tmp_path / "slow.png", "mean-neighbours", 4, limits=few)


PEAK = """
import sys
from nextframe.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert not end.code, end.code
import re
print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
"""


def peak(*words: object) -> int:
    """Return the most bytes that a process with such a command line held."""
    run = [sys.executable, "-c", PEAK, *map(str, words)]
    return 1024 * int(subprocess.run(run, capture_output=True, text=True, check=True).stdout.split()[-1])


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from /proc")
@pytest.mark.parametrize("name", ["out.mp4", "out.gif", "out.npy", "out"])
def test_the_memory_of_a_process_does_not_grow_with_the_horizon(name: str, tmp_path: Path) -> None:
    """1000 frames of 96x128 are 37 MB as bytes and 147 MB as floats; 50 are 2 MB: not even the bytes are held.

    A colour GIF holds 16 MiB of them before they go to a file.
    """
    film = write_video(tmp_path / "film.npy", torch.cat([texture(96, 128, t, channels=3) for t in range(5)]))
    few, many = (peak("predict", film, "-m", "flow", "-n", n, "-o", tmp_path / f"{n}-{name}") for n in (50, 1000))
    assert many - few < 950 * 96 * 128 * 3 * (0.75 if name.endswith("gif") else 0.25)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from /proc")
def test_the_memory_of_a_process_does_not_grow_with_the_film(tmp_path: Path) -> None:
    films = [torch.cat([texture(96, 128, t, channels=3) for t in range(5)]).repeat(n, 1, 1, 1) for n in (10, 200)]
    paths = [write_video(tmp_path / f"{len(film)}.mp4", film) for film in films]
    few, many = (peak("interpolate", path, "-m", "mean-neighbours", "-o", tmp_path / "out.mp4") for path in paths)
    assert many - few < 950 * 96 * 128 * 3 * 0.25
