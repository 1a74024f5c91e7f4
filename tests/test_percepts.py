"""Percept files: which rows a clip takes, labels, and one line for what does not fit."""

import pickle
import shutil

import h5py
import numpy as np
import pytest
import torch

from nextframe.checkpoint import load_model
from nextframe.core.errors import UserError
from nextframe.data import DataConfig, open_data
from nextframe.recipes import load_recipe
from nextframe.training.recipe import override
from nextframe.training.run import train


@pytest.fixture
def root(tmp_path):
    """Two videos of 5 and 4 frames in train, one of 6 in test; row r holds (r, r + 100) tenths."""
    for split, lengths in {"train": [5, 4], "test": [6]}.items():
        rows = np.arange(sum(lengths), dtype=np.float32)
        with h5py.File(tmp_path / f"{split}.h5", "w") as file:
            file["hidden6"] = np.stack([rows, rows + 100], axis=1) / 10
        (tmp_path / f"{split}_frames.txt").write_text("\n".join(map(str, lengths)) + "\n")
    (tmp_path / "train_labels.txt").write_text("3\n7\n")
    return tmp_path


def opened(root, **options):
    return open_data(DataConfig(name="percepts", context=2, horizon=1, options={"root": str(root), **options}))


def test_no_clip_crosses_from_one_video_into_the_next(root):
    clips = opened(root)
    assert clips.frame_shape == (2, 1, 1)
    assert [clips.count(split) for split in ("train", "val", "test")] == [3 + 2, 0, 4]
    clip = clips.read("train", np.array([2, 3]))  # rows 2-4 of the first video, rows 5-7 of the second
    rows = torch.tensor([[2.0, 3, 4], [5, 6, 7]]) / 10
    squashed = 2 / (1 + torch.exp(-2 * rows)) - 1
    assert torch.allclose(clip.frames[:, :, 0, 0, 0], squashed)
    assert clip.context.shape == (2, 2, 2, 1, 1)
    assert clip.label.tolist() == [3, 7]
    assert clips.read("test", np.array([0])).label is None
    assert [clips.source("train", index) for index in (2, 3)] == ["train/0", "train/1"]


def test_clips_travel_to_another_process(root):
    clips = opened(root)
    copy = pickle.loads(pickle.dumps(clips))
    index = np.array([4])
    assert torch.equal(copy.read("train", index).frames, clips.read("train", index).frames)


def test_what_does_not_fit_is_one_line(root, tmp_path):
    with pytest.raises(UserError, match="needs a local copy: --root FOLDER"):
        opened(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no readable data set 'fc7'"):
        opened(root, dataset="fc7")
    (root / "train_frames.txt").write_text("5\n5\n")
    with pytest.raises(UserError, match=r"train_frames\.txt: adds up to 10 frames, train\.h5 has 9"):
        opened(root)


def test_a_truncated_file_is_one_line(root):
    path = root / "train.h5"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match=r"train\.h5: has no readable data set 'hidden6' .*truncated"):
        opened(root)


def test_a_missing_label_is_one_line(root):
    (root / "train_labels.txt").write_text("3\n")
    with pytest.raises(UserError, match=r"train_labels\.txt: has 1 labels, train_frames\.txt 2 videos"):
        opened(root)


def test_features_of_two_widths_are_one_line(root):
    with h5py.File(root / "test.h5", "w") as file:
        file["hidden6"] = np.zeros((6, 3), np.float32)
    with pytest.raises(UserError, match=r"features of one width are needed .* found \[2, 3\]"):
        opened(root)


def test_a_group_in_place_of_the_data_set_is_one_line(root):
    with h5py.File(root / "test.h5", "w") as file:
        file["hidden6/inside"] = np.zeros((6, 2), np.float32)
    with pytest.raises(UserError, match=r"test\.h5: 'hidden6' is not a data set"):
        opened(root)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("train_frames.txt", b"12\n-8\n5\n", r"train_frames\.txt: a video of -8 frames"),
        ("train_frames.txt", b"5\n" + b"1" * 30, r"train_frames\.txt: must hold one integer per line"),
        ("train_frames.txt", b"9223372036854775807\n9223372036854775807\n11\n", "adds up to 18446744073709551625 fr"),
        ("train_labels.txt", b"3\n" + b"7" * 30, r"train_labels\.txt: must hold one integer per line"),
        ("train_labels.txt", b"3\n20000000\n", r"train_labels\.txt: class 20000000: there are 100,000 at most"),
        ("train_labels.txt", b"3\n\xff\n", r"train_labels\.txt: is not a readable text file; write it as UTF-8"),
        ("classes.txt", b"caf\xe9\n", r"classes\.txt: is not a readable text file; write it as UTF-8"),
    ],
)
def test_a_bad_text_file_is_one_line(root, name, content, says):
    (root / name).write_bytes(content)
    with pytest.raises(UserError, match=says):
        opened(root)


@pytest.mark.parametrize("value", [-0.5, np.nan, np.inf])
def test_features_that_no_relu_gives_are_named_by_file_and_row(root, value):
    with h5py.File(root / "train.h5", "r+") as file:
        file["hidden6"][6, 1] = value
    clips = opened(root)
    assert len(clips.read("train", np.arange(3)).frames) == 3  # rows 0 to 4
    with pytest.raises(UserError, match=rf"train\.h5: row 6 of 'hidden6' holds {value}; .* finite and at least 0"):
        clips.read("train", np.arange(5))


@pytest.mark.parametrize("squash", [0, -1, float("inf")])
def test_a_squash_that_tells_nothing_apart_is_refused(root, squash):
    with pytest.raises(UserError, match="field 'squash' of PerceptConfig"):
        opened(root, squash=squash)


@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
def test_classes_have_the_names_of_the_file_however_it_ends(root, end):
    (root / "train_labels.txt").write_text("0\n2\n")
    (root / "classes.txt").write_text("sit\nstand\nwalk a dog" + end)
    assert opened(root).classes == ("sit", "stand", "walk a dog")


def test_labels_and_starts_are_known_without_reading(root):
    clips = opened(root, clip_step=2)  # starts 0 and 2 of the first video, 0 of the second
    assert clips.count("train") == 3
    assert [clips.label("train", index) for index in range(3)] == [3, 3, 7]
    assert clips.label("test", 0) is None
    assert clips.classes == tuple(str(number) for number in range(8))


def test_a_model_trains_on_percepts_and_refuses_those_of_another_width(root, tmp_path):
    for split, rows in {"train": 9, "val": 6, "test": 6}.items():
        with h5py.File(root / f"{split}.h5", "w") as file:
            file["hidden6"] = np.random.default_rng(rows).random((rows, 5), np.float32)
    shutil.copy(root / "test_frames.txt", root / "val_frames.txt")
    settings = {
        "model.hidden": [4],
        "training.precision": "32",
        "training.steps": 4,
        "training.batch": 2,
        "training.val_every": 2,
    }
    settings |= {"data.context": 2, "data.horizon": 1, "data.options.root": str(root)}
    train(override(load_recipe("srivastava-percepts"), settings), tmp_path / "run", show=False)
    model = load_model(tmp_path / "run")
    assert model.config.channels == 5
    with pytest.raises(UserError, match="takes 5 channel"):
        model.predict(torch.zeros(1, 2, 3, 1, 1), 1)
