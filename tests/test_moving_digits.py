from __future__ import annotations

import gzip
import math
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from nextframe.core.errors import BadInputError, UserError
from nextframe.core.seeds.seeding import _mix, uniforms
from nextframe.data import DataConfig, open_data
from nextframe.data.clipset import SPLITS, batch_indices
from nextframe.data.sets.digits import open_digits, read_idx_images
from nextframe.data.sets.moving_digits import SLOTS, MovingDigits


def moving(**fields) -> MovingDigits:
    options = {key: fields.pop(key) for key in list(fields) if key not in DataConfig.model_fields}
    return open_data(DataConfig(options=options, **fields))


def numbers(*indices: int) -> np.ndarray:
    return np.array(indices, dtype=np.int64)


# --- the clips are a pure function of (seed, index)


def test_an_index_gives_the_same_clip_alone_in_any_batch_and_in_another_object():
    far = 2**40 + 12_345
    batch = moving().read("train", numbers(5, far, 7, *range(100, 140)))
    alone = moving().read("train", numbers(far))
    assert torch.equal(batch.frames[1:2], alone.frames)
    again = moving().read("train", numbers(7, 5)).frames
    assert torch.equal(again, batch.frames[[2, 0]])


def test_different_indices_and_seeds_differ_but_val_and_test_do_not_depend_on_the_seed():
    one, other = moving(seed=1), moving(seed=2)
    frames = one.read("train", np.arange(200)).frames.flatten(1)
    assert len(torch.unique(frames, dim=0)) == 200
    assert not torch.equal(frames, other.read("train", np.arange(200)).frames.flatten(1))
    for split in ("val", "test"):
        assert torch.equal(one.read(split, np.arange(20)).frames, other.read(split, np.arange(20)).frames)


def test_counts_and_batch_indices():
    clips = moving(val_clips=7, test_clips=9)
    assert [clips.count(split) for split in SPLITS] == [None, 7, 9]
    assert len(set(batch_indices(clips, "val", 0, 0, 7).tolist())) == 7
    with pytest.raises(IndexError):
        clips.read("val", numbers(7))
    with pytest.raises(IndexError):
        clips.read("train", numbers(-1))


def test_uniforms_are_splitmix64_and_flat():
    golden = np.uint64(0x9E3779B97F4A7C15)
    state = np.uint64(1234567) + np.arange(1, 4, dtype=np.uint64) * golden
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423]  # Vigna's reference, seed 1234567
    assert _mix(state).tolist() == published
    values = uniforms(3, np.arange(50_000), 4)
    assert values.min() >= 0
    assert values.max() < 1
    assert np.abs(values.mean(0) - 0.5).max() < 0.006  # five standard errors
    assert np.abs(np.corrcoef(values.T) - np.eye(4)).max() < 0.025
    assert abs(np.corrcoef(values[:-1, 0], values[1:, 0])[0, 1]) < 0.025


# --- motion, against a slow reading of the descriptions, one digit and one pixel at a time


def slow_srivastava(u, free, frames):
    y, x, theta = u[1], u[2], 2 * math.pi * u[3]
    vy, vx = math.sin(theta), math.cos(theta)
    for _ in range(frames):
        y += vy * 0.1
        x += vx * 0.1
        if x <= 0:
            x, vx = 0, -vx
        elif x >= 1:
            x, vx = 1, -vx
        if y <= 0:
            y, vy = 0, -vy
        elif y >= 1:
            y, vy = 1, -vy
        yield int(free[0] * y), int(free[1] * x)


def slow_additive(u, free, frames):
    theta, speed = math.pi * (2 * u[3] - 1), 2 + int(5 * u[4])
    place, velocity = [u[1] * free[0], u[2] * free[1]], [speed * math.sin(theta), speed * math.cos(theta)]
    for _ in range(frames):
        yield round(place[0]), round(place[1])
        for axis in range(2):
            if not -2 <= place[axis] + velocity[axis] <= free[axis] + 2:
                velocity[axis] = -velocity[axis]
            place[axis] += velocity[axis]


def slow_clip(clips: MovingDigits, index: int, key: int, frames: int, motion: str) -> np.ndarray:
    _, height, width = clips.frame_shape
    count, images = clips.options.count, clips.digits.train
    u = uniforms(key, numbers(index), count * SLOTS).reshape(count, SLOTS)
    canvas = np.zeros((frames, height, width), int)
    path = {"srivastava": slow_srivastava, "additive": slow_additive}[motion]
    for digit in u:
        image = images[int(digit[0] * len(images))]
        for t, (top, left) in enumerate(path(digit, (height - 28, width - 28), frames)):
            for y in range(max(0, top), min(height, top + 28)):
                for x in range(max(0, left), min(width, left + 28)):
                    value, old = image[y - top, x - left], canvas[t, y, x]
                    canvas[t, y, x] = max(old, value) if motion == "srivastava" else min(255, old + int(value))
    return canvas


@pytest.mark.parametrize("motion", ["srivastava", "additive"])
@pytest.mark.parametrize(("size", "count"), [(None, 2), ((41, 70), 3), ((28, 30), 1)])
def test_clips_equal_a_slow_drawing(motion, size, count):
    from nextframe.core.seeds.seeding import derive_seed

    clips = moving(motion=motion, size=size, count=count, context=12, horizon=13)
    frames = clips.read("train", np.arange(40)).frames
    for index in (0, 39):
        expected = slow_clip(clips, index, derive_seed("moving-digits", "train", 0), 25, motion)
        assert np.array_equal(frames[index, :, 0].numpy(), expected)


def test_srivastava_digits_stay_inside_and_reach_the_walls():
    clips = moving(count=1, context=20, horizon=20)
    random = uniforms(0, np.arange(2_000), SLOTS).reshape(2_000, 1, SLOTS)
    _, path = clips._plan("train", random)
    assert path.min() == 0
    assert path.max() == 36
    assert np.abs(np.diff(path, axis=1)).max() <= 4  # 3.6 px a frame, truncated


def test_overlap_keeps_the_maximum_or_the_clipped_sum():
    pair = {motion: moving(motion=motion, count=30, context=1, horizon=1) for motion in ("srivastava", "additive")}
    crowded = pair["additive"].read("train", np.arange(50)).frames
    assert (crowded == 255).float().mean() > 0.2  # sums do not wrap around
    digits = pair["srivastava"].digits.train
    assert pair["srivastava"].read("train", np.arange(50)).frames.max() <= digits.max()


def test_stride_size_colour_and_lengths():
    whole = moving(context=3, horizon=6).read("test", numbers(4)).frames
    thinned = moving(context=2, horizon=3, stride=2).read("test", numbers(4))
    assert torch.equal(thinned.frames, whole[:, ::2])
    assert thinned.context.shape == (1, 2, 1, 64, 64)
    assert thinned.target.shape == (1, 3, 1, 64, 64)
    assert thinned.frames.dtype == torch.uint8
    rgb = moving(color="rgb", size=(33, 47)).read("test", numbers(4)).frames
    assert rgb.shape == (1, 20, 3, 33, 47)
    assert torch.equal(rgb[:, :, 0], rgb[:, :, 2])


# --- drawn where the model is


@pytest.mark.parametrize("motion", ["srivastava", "additive"])
@pytest.mark.parametrize(
    ("count", "fields"), [(2, {}), (1, {"size": (28, 30)}), (3, {"size": (41, 70), "stride": 2, "color": "rgb"})]
)
def test_clips_that_are_drawn_on_the_device_are_the_same_to_the_last_bit(motion, count, fields):
    indices = numbers(3, 2**40, *range(10, 30))
    clips = moving(motion=motion, count=count, draw="device", **fields)
    for split, some in (("train", indices), ("test", indices[3:5])):
        plan = clips.read(split, some)
        drawn, read = (
            clips.on_device(split, plan, "cpu"),
            moving(motion=motion, count=count, **fields).read(split, some),
        )
        assert plan.frames.sum() == 0
        assert drawn.extras == {}
        assert torch.equal(drawn.context, read.to("cpu").context)
        assert torch.equal(drawn.target, read.to("cpu").target)


def test_a_plan_of_clips_takes_no_memory_for_their_frames():
    clip = moving(draw="device").read("train", np.arange(64))
    assert clip.context.untyped_storage().nbytes() <= 64 * clip.context.shape[1]
    assert clip.target.shape[2:] == clip.context.shape[2:] == (1, 64, 64)


def test_training_on_digits_drawn_on_the_device_takes_the_same_steps(tmp_path):
    from nextframe.training import ModelSection, Recipe, TrainingConfig, read_metrics, train

    losses = []
    for where in ("reading", "device"):
        data = DataConfig(context=2, horizon=1, size=(28, 28), options={"draw": where, "val_clips": 4})
        training = TrainingConfig(steps=3, batch=2, log_every=1, device="cpu", precision="32", workers=1)
        train(Recipe(model=ModelSection(name="conv2d"), data=data, training=training), tmp_path / where, show=False)
        losses.append([line["train/loss"] for line in read_metrics(tmp_path / where)])
    assert losses[0] == losses[1]
    assert len(losses[0]) == 3


def test_digits_that_are_drawn_on_the_device_are_not_turned_into_flow():
    with pytest.raises(UserError, match="finished on the device"):
        open_data(DataConfig(kind="flow", options={"draw": "device"}))


def test_what_cannot_be_is_one_line():
    with pytest.raises(UserError, match=r"unknown field 'digit'.*did you mean 'digits'"):
        moving(digit="mnist")
    with pytest.raises(UserError, match="at least 28x28"):
        moving(size=(20, 64))
    with pytest.raises(UserError, match=r"unknown digits or path 'mnsit'; did you mean 'mnist'"):
        moving(digits="mnsit")


# --- digits


def splits_are_disjoint(name: str) -> None:
    digits = open_digits(name)
    sets = [{image.tobytes() for image in digits.of(split)} for split in SPLITS]
    assert all(sets)
    assert not sets[0] & sets[1]
    assert not sets[0] & sets[2]
    assert not sets[1] & sets[2]


def test_embedded_digits_are_disjoint_and_look_like_mnist():
    splits_are_disjoint("embedded")
    digits = open_digits("embedded")
    assert [len(digits.of(split)) for split in SPLITS] == [1_297, 200, 300]
    images = digits.train
    assert images.shape[1:] == (28, 28)
    assert images.dtype == np.uint8
    assert images[:, :2].max() == images[:, -2:].max() == images[:, :, :2].max() == images[:, :, -2:].max() == 0
    assert (images.reshape(len(images), -1).max(1) == 255).all()
    assert 0.08 < (images / 255.0).__pow__(2).mean() < 0.13  # MNIST: 0.10


def test_the_same_picture_in_two_files_counts_for_the_test_split_only(tmp_path):
    images = np.random.default_rng(0).integers(0, 255, (30, 28, 28), np.uint8)
    write_idx(tmp_path / "train-images-idx3-ubyte", np.concatenate([images[:20], images[5:6], images[25:26]]))
    write_idx(tmp_path / "t10k-images-idx3-ubyte", images[24:])
    splits_are_disjoint(str(tmp_path))
    digits = open_digits(str(tmp_path))
    assert len(digits.test) == 6
    assert len(digits.val) == 1  # the last two of train, less the one that is in test
    assert len(digits.train) == 19  # less the one that is in val


def test_real_mnist_has_its_own_splits(shared: Path):
    splits_are_disjoint(str(shared / "mnist"))
    digits = open_digits(str(shared / "mnist"))
    assert [len(digits.of(split)) for split in SPLITS] == [55_000, 5_000, 10_000]
    clip = moving(digits=str(shared / "mnist")).read("test", np.arange(500)).frames
    assert 100 < (clip / 255.0).square().sum((-1, -2)).mean() < 215  # the field's all-zero MSE is about 170


def test_one_file_is_split_in_blocks(shared: Path, tmp_path):
    name = str(shared / "mnist_variants" / "fashion-train-first3615-images-idx3-ubyte.gz")
    splits_are_disjoint(name)
    images, digits = read_idx_images(Path(name)), open_digits(name)
    assert len(digits.test) == 361
    assert np.array_equal(digits.test, images[-361:])
    assert len(open_digits(str(Path(name).parent)).test) == 361  # a folder with that one file


def write_idx(path: Path, images: np.ndarray, magic: int = 0x803, dims: tuple[int, ...] | None = None) -> Path:
    data = struct.pack(">4I", magic, *(dims or images.shape)) + images.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def test_idx_files_plain_and_gzipped_read_the_same(tmp_path):
    images = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    for name in ("a-images-idx3-ubyte", "a-images-idx3-ubyte.gz"):
        assert np.array_equal(read_idx_images(write_idx(tmp_path / name, images)), images)
    misnamed = tmp_path / "plain.gz"
    misnamed.write_bytes((tmp_path / "a-images-idx3-ubyte").read_bytes())
    assert np.array_equal(read_idx_images(misnamed), images)


@pytest.mark.parametrize(
    ("dims", "magic", "line"),
    [
        ((3, 3, 4), 0x803, "the header says 36 bytes of images, the file has 24"),
        ((1, 3, 4), 0x803, "the header says 12 bytes of images, the file has more than that"),
        ((0, 3, 4), 0x803, "which is impossible"),
        ((2**31, 2**31, 2**31), 0x803, "which is impossible"),
        ((2, 3, 4), 0x801, "not images"),
        ((2, 3, 4), 0x89504E47, "not an idx file"),
    ],
)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_lying_header_is_refused(tmp_path, dims, magic, line, suffix):
    path = write_idx(tmp_path / f"x-images-idx3-ubyte{suffix}", np.zeros((2, 3, 4), np.uint8), magic, dims)
    with pytest.raises(BadInputError, match=line) as error:
        read_idx_images(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("malformed/truncated_corrupt/Felix301__AFL/train-images-idx3-ubyte.gz", "ends too early"),
        ("malformed/wrong_content/datasets-mila__datasets--mnist/t10k-images-idx3-ubyte.gz", "not an idx file"),
        ("malformed/derived/idx_header_says_60000_has_100.idx3-ubyte", "47,040,000 bytes of images, the file has 78,4"),
        ("malformed/derived/zero_byte.npy", "not an idx file"),
        ("malformed/derived/text_named.avi", "not an idx file"),
        ("mnist/t10k-labels-idx1-ubyte.gz", "not images"),
        ("mnist", "could not be read"),
    ],
)
def test_real_damaged_files_are_refused_with_one_line(shared: Path, file, line):
    with pytest.raises(BadInputError, match=line) as error:
        read_idx_images(shared / file)
    assert "\n" not in str(error.value)


def test_bit_errors_in_a_gzip_stream_are_refused(tmp_path):
    path = write_idx(tmp_path / "x.gz", np.random.default_rng(0).integers(0, 255, (9, 28, 28), np.uint8))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(BadInputError, match=r"damaged|too early"):
        read_idx_images(path)


def test_a_tiny_file_reads_and_too_few_images_are_refused(shared: Path, tmp_path):
    ten = shared / "malformed/idx/Kowaine__JPG-PNG-to-MNIST-NN-Format/t10k-images-idx3-ubyte.gz"
    assert len(read_idx_images(ten)) == 10
    two = write_idx(tmp_path / "two-images-idx3-ubyte", np.arange(2 * 9, dtype=np.uint8).reshape(2, 3, 3))
    with pytest.raises(BadInputError, match="at least 3"):
        open_digits(str(two))
    with pytest.raises(BadInputError, match="no idx file"):
        open_digits(str(shared / "videos"))
