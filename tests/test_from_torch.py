"""Clips of tensors, arrays and torch Datasets: values worked out by hand, disjoint splits, one line for a mistake."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from nextframe.core.errors import UserError
from nextframe.data import ClipSet, DataConfig, MixedClips, clips
from nextframe.data.clipset import SPLITS
from nextframe.evaluation import evaluate
from nextframe.training.loader import Steps, training_batches


def videos(count: int, length: int, size: int = 4) -> torch.Tensor:
    """Every pixel of frame t of video i is 10 i + t."""
    levels = 10 * torch.arange(count)[:, None] + torch.arange(length)
    return levels.to(torch.uint8)[..., None, None, None].expand(-1, -1, 1, size, size).contiguous()


class Videos(Dataset):
    """A data set from a torch Dataset: all that a user writes. Ramps of brightness, each with its class and actions."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        speed = 1 + index % 2
        levels = (10 * index + speed * torch.arange(6)).to(torch.uint8)
        frames = levels[:, None, None, None].expand(-1, 1, 32, 32)
        return {"video": frames, "label": torch.tensor(speed - 1), "actions": torch.full((6, 2), float(speed))}


class Listed(Dataset):
    """Items as they are given, and how often each was read."""

    def __init__(self, items: list[object]) -> None:
        self.items, self.read = items, [0] * len(items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> object:
        self.read[index] += 1
        return self.items[index]


class Stream(IterableDataset):
    def __iter__(self):
        return iter(())


def first_levels(data: ClipSet, split: str) -> list[int]:
    count = data.count(split)
    return data.read(split, np.arange(count)).context[:, 0, 0, 0, 0].tolist()


def test_a_dataset_is_trained_on_and_measured() -> None:
    data = clips(Videos(), context=2, horizon=3, classes=("slow", "fast"), name="ramps")
    clip = data.read("test", np.array([0]))
    item = int(data.source("test", 0).removeprefix("item "))
    speed = 1 + item % 2
    assert clip.frames[0, :, 0, 0, 0].tolist() == [10 * item + speed * t for t in range(5)]
    assert clip.label.tolist() == [item % 2] == [data.label("test", 0)]
    assert torch.equal(clip.conditions["actions"], torch.full((1, 5, 2), float(speed)))
    rows = evaluate("copy-last", data, metrics=["mae"], baselines=["linear"]).rows
    speeds = [1 + int(data.source("test", i).removeprefix("item ")) % 2 for i in range(data.count("test"))]
    assert rows[0].per_step == pytest.approx([np.mean(speeds) * step / 255 for step in (1, 2, 3)])
    assert next(row for row in rows if row.model == "linear").mean == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("make", [lambda v: v, lambda v: v.numpy(), lambda v: list(v), lambda v: TensorDataset(v)])
def test_tensors_arrays_lists_and_datasets_give_the_same_clips(make: object) -> None:
    frames = videos(8, 4)
    data = clips(make(frames), context=1, horizon=2)
    same = clips(frames.double() / 255, context=1, horizon=2)
    assert data.frame_shape == (1, 4, 4)
    for split in SPLITS:
        every = np.arange(data.count(split))
        assert torch.equal(data.read(split, every).frames, same.read(split, every).frames)
        assert data.read(split, every).frames.dtype == torch.uint8


def test_splits_are_disjoint_by_item_and_stay_when_items_are_added() -> None:
    few, more = (clips(videos(count, 3), context=1, horizon=1) for count in (20, 25))
    sources = [{few.source(split, i) for i in range(few.count(split))} for split in SPLITS]
    assert len(set.union(*sources)) == sum(map(len, sources)) == 20
    assert all(sources)
    for split, own in zip(SPLITS, sources, strict=True):
        assert own <= {more.source(split, i) for i in range(more.count(split))}


def test_long_videos_give_several_clips() -> None:
    data = clips(videos(6, 5), context=1, horizon=1)
    train, test = ([int(data.source(s, i)[5:]) for i in range(data.count(s))] for s in ("train", "test"))
    assert train == [item for item in dict.fromkeys(train) for _ in range(4)]  # frames 0-1, 1-2, 2-3, 3-4
    assert test == [item for item in dict.fromkeys(test) for _ in range(2)]  # frames 0-1, 2-3
    assert first_levels(data, "train") == [10 * item + t for item in dict.fromkeys(train) for t in range(4)]
    assert first_levels(data, "test") == [10 * item + t for item in dict.fromkeys(test) for t in (0, 2)]
    ids = data.frame_ids("train", np.arange(2))
    assert ids[0, 1] == ids[1, 0]


def test_one_video_is_divided_by_time() -> None:
    data = clips(videos(1, 20)[0], context=1, horizon=1, val_share=0.2, test_share=0.2)
    # test: frames 16-19; val: 12-15 but for the 2 of a clip before test; train: 0-11 but for the 2 before val
    assert first_levels(data, "train") == list(range(9))
    assert first_levels(data, "val") == [12]
    assert first_levels(data, "test") == [16, 18]


def test_splits_that_are_given_are_taken() -> None:
    data = clips(videos(2, 2), 1, 1, val=videos(3, 2) + 100, test=videos(1, 4) + 200)
    assert [data.count(split) for split in SPLITS] == [2, 3, 2]
    assert [first_levels(data, split)[-1] for split in SPLITS] == [10, 120, 202]
    assert (data.source("val", 1), data.source("test", 1)) == ("val item 1", "test item 0")
    half = clips(videos(9, 2), 1, 1, val=videos(3, 2))
    assert half.count("train") + half.count("test") == 9


def test_pairs_say_the_task() -> None:
    video = videos(4, 5)
    data = clips(Listed([(frames[:2], frames[2:]) for frames in video]))
    assert (data.task.context, data.task.horizon) == (2, 3)
    clip = data.read("train", np.array([0]))
    assert clip.target[0, :, 0, 0, 0].tolist() == [clip.context[0, 0, 0, 0, 0].item() + t for t in (2, 3, 4)]
    with pytest.raises(UserError, match=r"items are pairs of 2 \+ 3 frames, not 2 \+ 2"):
        clips(Listed([(frames[:2], frames[2:]) for frames in video]), 2, 2)


def test_items_are_read_when_they_are_wanted_and_once_a_batch() -> None:
    listed = Listed(list(videos(5, 6)))
    data = clips(listed, 1, 1)
    assert listed.read == [1, 0, 0, 0, 0]  # the first says the shape
    item = int(data.source("train", 0)[5:])
    listed.read[item] = 0
    data.read("train", np.array([2, 0, 1]))
    assert listed.read[item] == 1


def test_workers_read_the_same_clips() -> None:
    data = clips(Videos(), context=2, horizon=2)
    ours, theirs = (list(training_batches(Steps(data, "train", 0, 4), 0, 3, workers=n)) for n in (0, 1))
    assert all(torch.equal(a.frames, b.frames) for a, b in zip(ours, theirs, strict=True))
    copy = pickle.loads(pickle.dumps(data))
    assert torch.equal(copy.read("val", np.arange(1)).frames, data.read("val", np.arange(1)).frames)


def test_clips_are_mixed_with_others() -> None:
    data = clips(videos(6, 2, size=32), 1, 1)
    assert MixedClips([data, data], [1, 2]).read("train", np.arange(6)).context.shape == (6, 1, 1, 32, 32)
    assert DataConfig().name == "moving-digits"


WRONG = {
    "shape": (torch.zeros(3, 4), r"frames must be \(N, T, C, H, W\), or \(T, C, H, W\) of one video, not \(3, 4\)"),
    "channels last": (torch.zeros(2, 3, 8, 8, 3), r"item 0: .*\(3, 8, 8, 3\) looks like \(T, H, W, C\): permute"),
    "range": (
        torch.full((4, 2, 1, 2, 2), 7.0),
        r"item 0: float frames must be in \[0, 1\], these range from 7 to 7: scale",
    ),
    "not a number": (torch.full((4, 2, 1, 2, 2), float("nan")), r"item 0: float frames .* nan to nan"),
    "integers": (torch.zeros(4, 2, 1, 2, 2, dtype=torch.int64), r"item 0: frames must be uint8 or float, not int64"),
    "nothing": (torch.zeros(0, 2, 1, 2, 2), "the data has no items"),
    "short": (torch.zeros(4, 1, 1, 2, 2), r"videos of 1 frames are too short for clips of 1 \+ 1; ask for a smaller"),
    "two short": (torch.zeros(2, 2, 1, 2, 2), r"videos of 2 frames .*; give at least 3 items, or val= and test="),
    "path": ("videos/", "clips are made of .*, not of str"),
    "stream": (Stream(), "__len__ and __getitem__, not of Stream"),
    "mapping": ([{"clip": 1}], "item 0: a mapping needs 'frames' or 'video', this one has 'clip'"),
    "label": ([(torch.zeros(2, 1, 2, 2), 0.5)], "item 0: a label must be an integer, not 0.5"),
    "actions": (
        [{"video": torch.zeros(2, 1, 2, 2), "actions": np.zeros(2)}],
        r"item 0: actions must be \(T, A\), one for",
    ),
    "text": (["a.mp4"], "item 0: a video must be a tensor or an array, not str"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_what_is_not_clips_is_refused_in_one_line(mistake: str) -> None:
    source, says = WRONG[mistake]
    with pytest.raises(UserError, match=says) as caught:
        clips(source, 1, 1)
    assert "\n" not in str(caught.value)


def test_an_item_that_is_not_like_the_first_is_named() -> None:
    items = list(videos(5, 2))
    data = clips(Listed([*items[:4], items[4].repeat(1, 1, 2, 1)]), 1, 1, val=items[:1], test=items[:1])
    assert data.count("train") == 5
    says = r"item 4 has frames \(2, 1, 8, 4\), item 0 frames \(2, 1, 4, 4\): they must be alike"
    with pytest.raises(UserError, match=says):
        data.read("train", np.array([0, 4]))
    with pytest.raises(UserError, match=r"val item 0 has frames \(2, 1, 4, 4\), a label, item 0 of train frames"):
        clips(items, 1, 1, val=[(items[0], 1)])
