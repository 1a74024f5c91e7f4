"""What keeps a GPU busy while weights are trained: clips, batches that are read early, and compiled parts."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import nextframe
from nextframe.core.clip import Clip, Task
from nextframe.core.errors import BadInputError
from nextframe.core.files.cache import keep_compiled
from nextframe.core.seeds.seeding import numpy_generator
from nextframe.media.fit import fit_frame
from nextframe.recipes.weights import videos
from nextframe.recipes.weights.feed import AHEAD, Feed, _readers
from nextframe.recipes.weights.motion import MOTION
from nextframe.recipes.weights.videos import CUT, HELD, SMALLER, STILL, STRIDES, TRIES, VideoClips, held, turned

SIDE = 32
TURNS = ("walks", "real", "walks")


def film(seed: int, frames: int, shape: tuple[int, int] = (48, 64)) -> Tensor:
    """Frames of noise that moves by a pixel a frame, stands still for a third of the time, and is cut once."""
    noise = torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (2, 3, *shape), dtype=np.uint8))
    moved = [min(t, frames // 3) for t in range(frames)]
    late = [int(t > 3 * frames // 4) for t in range(frames)]
    return torch.stack([noise[late[t]].roll(moved[t], 2) // (3 - 2 * late[t]) for t in range(frames)])


def films() -> dict[int, dict[str, VideoClips]]:
    parts = {"walks": [film(0, 30), film(1, 45)], "real": [film(2, 60, (40, 50))]}
    return {n: {name: VideoClips(name, of, Task.forecast(3, n), SIDE) for name, of in parts.items()} for n in (1, 2, 3)}


def drawn(name: str, index: int, of: list[Tensor], task: Task) -> Tensor:
    """A clip, frame by frame in torch: each draw is scaled before it is judged."""
    random = numpy_generator(name, index)
    roots = np.array([len(video) for video in of]) ** 0.5
    video = of[random.choice(len(of), p=roots / roots.sum())]
    for last in range(TRIES):
        strides = [stride for stride in STRIDES if stride * (task.length - 1) < len(video)]
        stride = random.choice(strides)
        first = random.integers(len(video) - stride * (task.length - 1))
        side = random.integers(SIDE, min(video.shape[-2:]) + 1) if random.random() < SMALLER else SIDE
        top, left = (random.integers(size - side + 1) for size in video.shape[-2:])
        part = video[first::stride][: task.length, :, top : top + side, left : left + side]
        frames = torch.stack([fit_frame(frame, (SIDE, SIDE), "crop") for frame in part])
        steps = frames.float().diff(dim=0).abs().mean((1, 2, 3))
        if last < TRIES - 1 and steps.mean() > STILL and steps.max() < CUT:
            break
    if random.random() < HELD:
        frames = frames[held(task.length, random)]
    return turned(frames, random)


def test_clips_of_videos_are_those_of_simple_arithmetic():
    of, task = [film(0, 30), film(1, 45)], Task.forecast(3, 2)
    clip = VideoClips("walks", of, task, SIDE).read("train", np.arange(80))
    assert (clip.context.shape, clip.target.shape) == ((80, 3, 3, SIDE, SIDE), (80, 2, 3, SIDE, SIDE))
    for index in range(80):
        assert torch.equal(clip.frames[index], drawn("walks", index, of, task)), index


def test_a_video_may_lie_in_memory_either_way():
    of, task = film(0, 30), Task.forecast(3, 3)
    other = of.contiguous(memory_format=torch.channels_last)
    one, two = (VideoClips("walks", [video], task, SIDE).read("train", np.arange(20)) for video in (of, other))
    assert torch.equal(one.frames, two.frames)


def test_several_videos_are_read_in_their_order_and_a_bad_one_is_named(monkeypatch):
    def read(path: int) -> Tensor:
        time.sleep(0.02 * (5 - path))
        if path == 9:
            raise BadInputError("nine.mp4", "OpenCV cannot read a frame of it")
        return torch.full((1,), path)

    monkeypatch.setattr(videos, "read_video", read)
    assert [int(video) for video in videos.read_videos([0, 1, 2, 3, 4])] == [0, 1, 2, 3, 4]
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with pytest.raises(BadInputError, match="nine"):
        videos.read_videos([0, 9])


@pytest.fixture
def feed():
    """A feed that reads as far ahead as one for a GPU."""
    sets = films()
    made = Feed(lambda ahead: sets[ahead], TURNS, 4, 0, "cpu")
    made.readers.shutdown()
    made.early, made.readers = AHEAD, ThreadPoolExecutor(8)
    yield made
    made.close()


def test_batches_that_are_read_early_are_those_of_their_number_and_frames_ahead(feed):
    alone = Feed(lambda ahead: films()[ahead], TURNS, 4, 0, "cpu")
    frames = [1] * 7 + [2] * 4 + [3, 1, 1]
    for number, ahead in enumerate(frames, start=5):
        batch = feed.batch(number, ahead)
        clip = alone.read(number, ahead)[1].to("cpu")
        assert batch.horizon == ahead
        assert torch.equal(batch.frames, clip.frames)
        assert len(feed.waiting) == AHEAD
    alone.close()


def test_one_thread_reads_one_batch_ahead_elsewhere():
    sets, read = films(), []
    feed = Feed(lambda ahead: sets[ahead], TURNS, 2, 0, "cpu")
    one = feed.read
    feed.read = lambda number, ahead: (read.append((number, ahead)), one(number, ahead))[1]
    feed.batch(0, 1)
    feed.batch(1, 1)
    feed.batch(2, 2)
    feed.close()
    assert set(read) - {(3, 2)} <= {(0, 1), (1, 1), (2, 1), (2, 2)}
    assert read[:2] == [(0, 1), (1, 1)], "each batch once, in turn"


def test_an_error_of_a_thread_that_reads_is_that_of_the_batch(feed):
    def broken(number: int, ahead: int) -> None:
        raise BadInputError("film.mp4", "is broken")

    feed.read = broken
    with pytest.raises(BadInputError, match="is broken"):
        feed.batch(0, 1)


def test_threads_for_a_gpu_compute_on_one_processor_and_end():
    readers, before = _readers(), torch.get_num_threads()
    assert readers.submit(torch.get_num_threads).result() == 1
    readers.shutdown()
    assert torch.get_num_threads() == before
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("reader")]


def test_a_program_ends_while_batches_are_read():
    script = """
import sys
import time
from nextframe.recipes.weights import feed
class Slow(feed.Feed):
    def read(self, number, ahead):
        time.sleep(0.3)
        return super().read(number, ahead)
sys.path.insert(0, sys.argv[1])
from test_weights_feed import TURNS, films
sets = films()
made = Slow(lambda ahead: sets[ahead], TURNS, 2, 0, "cpu")
made.early, made.readers = 6, feed._readers()
made.batch(0, 1)
raise KeyboardInterrupt
"""
    words = [sys.executable, "-c", script, str(Path(__file__).parent)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert "KeyboardInterrupt" in done.stderr


@pytest.mark.slow
def test_each_compiled_part_has_two_graphs_and_validation_has_none():
    """For context frames alone, and with frames that are fed back, whose gradient is wanted; no part breaks in two."""
    torch._dynamo.reset()
    made = []

    def backend(graph, examples):
        made.append(graph)
        return graph.forward

    model = nextframe.create_model("motion", widths=(8, 8, 8, 8), depths=(2, 2, 2, 2)).train()
    parts = MOTION.compiled(model)
    for part in parts:
        part.compile(dynamic=False, fullgraph=True, backend=backend)
    graphs = []
    for ahead in (1, 1, 2, 3, 1):
        for extras in ({}, {"flow": torch.zeros(2, ahead, 6, 64, 64), "clean": torch.rand(2, ahead, 3, 64, 64)}):
            clip = Clip(torch.rand(2, 3, 3, 64, 64), torch.rand(2, ahead, 3, 64, 64), extras=extras)
            with torch.autocast("cpu", torch.bfloat16):
                model.loss(clip)[0].backward()
        graphs.append(len(made))
    assert graphs == [len(parts), len(parts), 2 * len(parts), 2 * len(parts), 2 * len(parts)]
    viewer = nextframe.create_model("motion", **model.config.model_dump()).eval()
    with torch.no_grad():
        for size in ((48, 64), (64, 80)):
            viewer.predict(torch.rand(1, 4, 3, *size), 3)
    assert len(made) == 2 * len(parts)
    torch._dynamo.reset()


def test_compiling_for_a_gpu_needs_no_pooch(monkeypatch):
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    monkeypatch.delenv("NEXTFRAME_CACHE", raising=False)
    monkeypatch.setitem(sys.modules, "pooch", None)  # so that it cannot be imported
    keep_compiled()
    assert "TORCHINDUCTOR_CACHE_DIR" not in os.environ
    monkeypatch.setenv("NEXTFRAME_CACHE", "kept")
    keep_compiled()
    assert Path(os.environ["TORCHINDUCTOR_CACHE_DIR"]) == Path("kept/compiled")
