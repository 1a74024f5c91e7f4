from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from nextframe.core.errors import BadInputError, UserError
from nextframe.data import DataConfig, open_data
from nextframe.data.sets.digits import read_idx_images
from nextframe.data.sets.download import fetch
from nextframe.data.sets.moving_digits import MOTIONS, SLOTS, draw, srivastava_path
from nextframe.media.reader import open_source

DIGITS_OF_A = (6345, 9903)  # of MNIST's test file


@pytest.fixture
def sequence_a(shared: Path) -> np.ndarray:
    return np.load(shared / "moving_mnist" / "official_test_seq_A.npy")


@pytest.fixture
def images_of_a(shared: Path) -> np.ndarray:
    return read_idx_images(shared / "mnist" / "t10k-images-idx3-ubyte.gz")[list(DIGITS_OF_A)]


def places(film: np.ndarray, digit: np.ndarray) -> np.ndarray:
    """Where `digit` can be in each frame, (T, 2) as (y, x), if overlaps keep the brighter pixel: nowhere brighter."""
    windows = np.lib.stride_tricks.sliding_window_view(film, digit.shape, axis=(1, 2))
    found = [np.argwhere(frame) for frame in (windows >= digit).all((-1, -2))]
    assert [len(where) for where in found] == [1] * len(film)  # nothing is left to guess
    return np.concatenate(found)


# --- the genuine sequence of the standard test file


def test_the_genuine_sequence_is_the_same_in_gif_and_array(shared: Path, sequence_a):
    folder = shared / "moving_mnist"
    film = open_source(folder / "official_test_seq_A.gif", color="grey").clip(0, 20)
    assert film.shape == (20, 1, 64, 64)
    assert np.array_equal(film[:, 0].numpy(), sequence_a)
    assert torch.equal(film, open_source(folder / "official_test_seq_A.npy").clip(0, 20))


def test_the_genuine_sequence_is_two_mnist_digits_merged_by_maximum(sequence_a, images_of_a):
    paths = np.stack([places(sequence_a, digit) for digit in images_of_a], axis=1)  # (T, D, 2)
    which = np.array([[0, 1]])
    ours = draw(images_of_a, which, paths[None], (64, 64), MOTIONS["srivastava"])
    assert np.array_equal(ours[0], sequence_a)


def test_the_genuine_digits_step_and_bounce_as_srivastava_wrote(sequence_a, images_of_a):
    for digit in images_of_a:
        path = places(sequence_a, digit)
        assert path.min() == 0  # it stays inside and reaches a wall
        assert path.max() == 36
        for axis in (0, 1):
            step = np.diff(path[:, axis])
            turns = np.flatnonzero(np.sign(step[1:]) * np.sign(step[:-1]) < 0) + 1
            assert np.isin(path[turns, axis], (0, 36)).all()  # it turns at walls only
        away = ((path > 4) & (path < 32)).all(1)  # no wall can have been met between two such frames
        pairs = [t for t in range(16) if away[t : t + 5].all()]
        assert pairs
        speed = [np.linalg.norm(path[t + 4] - path[t]) / 4 for t in pairs]
        assert np.allclose(speed, 3.6, atol=0.36)  # a tenth of 36; truncation costs up to a pixel in four steps


def test_our_generator_reproduces_the_genuine_paths(sequence_a, images_of_a):
    """For some start and direction, every one of the 20 places of a digit comes out exactly."""
    for digit in images_of_a:
        path = places(sequence_a, digit)
        assert can_make(path)
        wrong = path.copy()
        wrong[10:] += np.where(path[10:] > 18, -1, 1)  # a path that is off by a pixel from its middle on
        assert not can_make(wrong)


def can_make(path: np.ndarray) -> bool:
    """Say whether some direction, with some start along each axis, gives `path` (T, 2)."""
    turn = np.linspace(0, 1, 2_000, endpoint=False)
    step = 3.6 * np.abs(np.stack([np.sin(2 * np.pi * turn), np.cos(2 * np.pi * turn)], axis=1))
    seen = np.median(np.abs(np.diff(path, axis=0)), axis=0)
    turn = turn[(np.abs(step - seen) < 0.8).all(1)]  # the others are far off: this only saves time
    fits = np.ones(len(turn), bool)
    for axis in (0, 1):
        start = np.clip((path[0, axis] + np.arange(-4, 5, 0.02)) / 36, 0, 1)
        random = np.zeros((len(turn), len(start), SLOTS))
        random[..., 1 + axis], random[..., 3] = start, turn[:, None]
        moved = srivastava_path(random, (36, 36), len(path))[..., axis]  # (directions, T, starts)
        fits &= (moved == path[None, :, axis, None]).all(1).any(1)
    return bool(fits.any())


# --- the registered data set


def time_first(folder: Path, sequences: int = 6) -> np.ndarray:
    array = np.random.default_rng(0).integers(0, 256, (20, sequences, 64, 64), np.uint8)
    np.save(folder / "mnist_test_seq.npy", array)
    return array


def moving_mnist(shared: Path, **fields):
    options = {key: fields.pop(key) for key in list(fields) if key not in DataConfig.model_fields}
    options.setdefault("digits", str(shared / "mnist"))
    return open_data(DataConfig(name="moving-mnist", options=options, **fields))


def test_test_is_the_file_and_train_is_generated(shared: Path, tmp_path):
    array = time_first(tmp_path)
    clips = moving_mnist(shared, file=str(tmp_path))
    assert [clips.count(split) for split in ("train", "val", "test")] == [None, 1_000, 6]
    clip = clips.read("test", np.array([4, 1]))
    assert np.array_equal(clip.frames[:, :, 0].numpy(), array[:, [4, 1]].swapaxes(0, 1))
    assert clip.context.shape == clip.target.shape == (2, 10, 1, 64, 64)
    thinned = moving_mnist(shared, file=str(tmp_path), stride=3, context=2, horizon=4).read("test", np.array([5]))
    assert np.array_equal(thinned.frames[0, :, 0].numpy(), array[:16:3, 5])
    plain = open_data(DataConfig(options={"digits": str(shared / "mnist")}))
    for split in ("train", "val"):
        assert torch.equal(clips.read(split, np.arange(3)).frames, plain.read(split, np.arange(3)).frames)
    with pytest.raises(IndexError):
        clips.read("test", np.array([6]))


def test_the_other_generators_need_no_file(shared: Path):
    first, second = (
        moving_mnist(shared, test="generated", motion=motion, size=(48, 80)).read("test", np.arange(2)).frames
        for motion in ("srivastava", "additive")
    )
    assert first.shape == second.shape == (2, 20, 1, 48, 80)
    assert not torch.equal(first, second)


def test_what_the_file_cannot_give_is_one_line(shared: Path, tmp_path, sequence_a):
    time_first(tmp_path)
    with pytest.raises(UserError, match="20 frames a sequence, the clips need 25"):
        moving_mnist(shared, file=str(tmp_path), horizon=15)
    with pytest.raises(UserError, match="are 64x64; omit size"):
        moving_mnist(shared, file=str(tmp_path), size=(32, 32))
    for name in ("derived/pickled_object.npy", "derived/zero_byte.npy", "derived/text_named.avi"):
        with pytest.raises(BadInputError, match=r"not a \.npy file"):
            moving_mnist(shared, file=str(shared / "malformed" / name))
    cut = tmp_path / "cut.npy"
    cut.write_bytes((tmp_path / "mnist_test_seq.npy").read_bytes()[:100_000])
    with pytest.raises(BadInputError, match="truncated"):
        moving_mnist(shared, file=str(cut))
    with pytest.raises(BadInputError, match=r"uint8 \(20, 64, 64\).*time first"):
        moving_mnist(shared, file=str(shared / "moving_mnist" / "official_test_seq_A.npy"))
    with pytest.raises(BadInputError, match="could not be read"):
        moving_mnist(shared, file=str(tmp_path / "nowhere.npy"))


def test_fashion_takes_a_local_file(shared: Path):
    name = shared / "mnist_variants" / "fashion-train-first3615-images-idx3-ubyte.gz"
    clips = open_data(DataConfig(name="fashion", options={"digits": str(name)}))
    assert clips.name == "fashion"
    frames = clips.read("test", np.arange(50)).frames
    assert frames.float().mean() > 20  # clothes fill more than digits do


def test_the_splits_of_the_keras_example_are_of_the_file(shared: Path, tmp_path):
    array = time_first(tmp_path, sequences=1_010)
    clips = moving_mnist(shared, file=str(tmp_path), train="file")
    assert [clips.count(split) for split in ("train", "val", "test")] == [900, 100, 10]
    for split, first in (("train", 0), ("val", 900), ("test", 1_000)):
        assert np.array_equal(clips.read(split, np.array([3])).frames[0, :, 0].numpy(), array[:, first + 3])
    with pytest.raises(IndexError):
        clips.read("train", np.array([900]))
    with pytest.raises(UserError, match="omit test=generated"):
        moving_mnist(shared, file=str(tmp_path), train="file", test="generated")
    time_first(tmp_path, sequences=1_000)
    with pytest.raises(UserError, match="needs more than 1000 sequences, the file has 1000"):
        moving_mnist(shared, file=str(tmp_path), train="file")


def test_a_file_that_is_there_needs_nothing_that_downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXTFRAME_CACHE", str(tmp_path))
    monkeypatch.setitem(sys.modules, "pooch", None)  # cannot be imported
    (tmp_path / "numbers").mkdir()
    (tmp_path / "numbers" / "one.txt").write_bytes(b"1")
    url, md5 = "https://example.org/one.txt", "c4ca4238a0b923820dcc509a6f75849b"
    assert fetch(url, f"md5:{md5}", "numbers") == tmp_path / "numbers" / "one.txt"
    with pytest.raises(ImportError):
        fetch(url, f"md5:{md5[::-1]}", "numbers")  # another file of that name: it is fetched again
