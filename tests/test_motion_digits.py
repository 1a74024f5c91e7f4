"""Motion digits: the class is the motion and nothing that one frame shows; splits share no digit."""

import numpy as np
import pytest
import torch

from nextframe.core.errors import UserError
from nextframe.data import DataConfig, open_data
from nextframe.data.sets.motion_digits import CLASSES, motion_path


def opened(context=15, size=None, **options):
    return open_data(DataConfig(name="motion-digits", context=context, horizon=1, size=size, options=options))


def paths(label, videos=2_000, frames=16, free=99):
    random = np.random.default_rng(0).random((videos, 4))
    return motion_path(random, np.full(videos, label), np.arange(frames)[None].repeat(videos, 0), (free, free))


@pytest.mark.parametrize("label", range(8))
def test_places_are_uniform_in_every_class_so_one_frame_says_nothing(label):
    for frame in (0, 9):
        for axis in (0, 1):
            counts = np.bincount(paths(label, 20_000, free=18)[:, frame, axis], minlength=19)
            expected = 20_000 / 19
            # 18 degrees of freedom: a value above 42.3 has a chance of 0.1 % where places are uniform
            assert ((counts - expected) ** 2 / expected).sum() < 42.3


@pytest.mark.parametrize(("label", "name"), list(enumerate(CLASSES)))
def test_each_class_moves_as_its_name_says(label, name):
    axis, speed, wall = name.split()
    steps = np.abs(np.diff(paths(label), axis=1))  # (N, 15, 2)
    along, beside = (0, 1) if axis == "down" else (1, 0)
    assert not steps[..., beside].any()
    typical = np.median(steps[..., along], axis=1)  # most steps meet no wall
    assert ((typical > 11) == (speed == "fast")).all()
    jumps = (steps[..., along] > 50).any(axis=1)  # from one wall to the other
    assert jumps.all() if wall == "wrap" else not jumps.any()


def test_windows_of_a_video_are_cut_from_one_motion_and_share_their_class():
    clips = opened()
    assert [clips.count(split) for split in ("train", "val", "test")] == [4800, 1200, 1200]
    clip = clips.read("test", np.array([0, 1, 2, 3]))
    frames = clip.frames
    assert torch.equal(frames[0, 8:], frames[1, :8])  # windows of 16 frames start every 8
    assert torch.equal(frames[0, 8:][0], frames[1, 0])
    assert clip.label.tolist() == [0, 0, 0, 1] == [clips.label("test", index) for index in range(4)]
    assert [clips.source("test", index) for index in (2, 3)] == ["test/0", "test/1"]


def test_a_clip_depends_on_its_index_alone():
    clips = opened(size=(33, 47))
    one = clips.read("train", np.array([7])).frames
    assert torch.equal(clips.read("train", np.array([900, 7])).frames[1:], one)
    assert one.shape == (1, 16, 1, 33, 47)
    assert int((one > 0).flatten(2).sum(2).min()) > 5  # the digit is whole in every frame


def test_splits_share_no_digit():
    clips = opened()
    seen = [{digit.tobytes() for digit in clips.digits[split]} for split in ("train", "val", "test")]
    assert not seen[0] & seen[2]
    assert not seen[1] & seen[2]
    assert not seen[0] & seen[1]


def test_train_without_labels_is_endless():
    assert opened(train_videos=None).count("train") is None


def test_what_does_not_fit_is_one_line():
    with pytest.raises(UserError, match="videos have 32 frames, a clip needs 41"):
        opened(context=40)
    with pytest.raises(UserError, match="too small for a digit"):
        opened(size=(12, 40))
