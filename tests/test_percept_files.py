"""Percept files that `nextframe extract-features` writes: what they hold, and how transfer reads them."""

import math
import sys

import h5py
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from nextframe.cli import app, main
from nextframe.core.errors import UserError
from nextframe.data import DATASETS, DataConfig, open_data
from nextframe.data.sets.motion_digits import open_motion_digits
from nextframe.transfer import ClassifierConfig, TransferConfig, transfer
from nextframe.transfer.backbones import filter_features, gabor_bank, open_backbone


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NEXTFRAME_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def films(tmp_path):
    """Films of moving stripes: across in one class, up in the other."""
    generator = np.random.default_rng(0)
    for split, count in {"train": 3, "val": 1, "test": 2}.items():
        for action in ("across", "up"):
            folder = tmp_path / "films" / split / action
            folder.mkdir(parents=True)
            for number in range(count):
                ramp = np.arange(64)[:, None] + 3 * np.arange(19)[:, None, None] + generator.integers(0, 12)
                film = np.broadcast_to((ramp % 12 < 6) * np.uint8(200), (19, 64, 64))
                film = film if action == "up" else film.swapaxes(1, 2)
                np.save(folder / f"{number}.npy", np.ascontiguousarray(film))
    return tmp_path / "films"


def wave(angle: float, wavelength: float = 8.0) -> torch.Tensor:
    """A plane wave (1, 3, 64, 64) that moves along `angle`."""
    line = torch.arange(64.0)
    y, x = torch.meshgrid(line, line, indexing="ij")
    phase = 2 * math.pi / wavelength * (x * math.cos(angle) + y * math.sin(angle))
    return (0.5 + 0.4 * phase.cos()).expand(1, 3, 64, 64)


@pytest.mark.parametrize("number", range(8))
def test_a_filter_answers_most_to_its_own_wave_wherever_the_wave_stands(number):
    bank = gabor_bank(8.0)
    angle = math.pi * number / 8
    found = filter_features(wave(angle), [bank])[0, 3 * 16 :].view(8, 4, 4)
    assert (found.argmax(0) == number).all()
    assert found[number, 1, 1] / found[number, 2, 2] == pytest.approx(1, abs=0.02)  # the phase does not matter


def test_plain_frames_have_their_colour_and_no_energy():
    frames = torch.tensor([0.2, 0.5, 0.8]).view(1, 3, 1, 1).expand(1, 3, 64, 64)
    found = open_backbone("filters").features(frames)
    assert found.shape == (1, 3 * 16 + 3 * 8 * 16)
    assert torch.allclose(found[0, :48].view(3, 16), torch.tensor([[0.2], [0.5], [0.8]]).expand(3, 16))
    assert float(found[0, 48:].max()) < 2e-3


def test_every_frame_of_every_video_is_written_in_order(films, tmp_path):
    out = tmp_path / "percepts"
    done = CliRunner().invoke(app, ["extract-features", str(films), "--classes", "-o", str(out), "-q"])
    assert done.exit_code == 0, done.output
    assert (out / "test_frames.txt").read_text().split() == ["19"] * 4
    assert (out / "test_labels.txt").read_text().split() == ["0", "0", "1", "1"]
    assert (out / "classes.txt").read_text().split() == ["across", "up"]
    names = (out / "test_names.txt").read_text().split()
    video = np.load(films / names[2])
    frames = torch.from_numpy(video)[:, None].expand(-1, 3, -1, -1) / 255
    with h5py.File(out / "test.h5") as file:
        assert file["hidden6"].shape == (76, 432)
        assert "nothing is trained" in file["hidden6"].attrs["definition"]
        rows = file["hidden6"][2 * 19 : 3 * 19]
    np.testing.assert_allclose(rows, open_backbone("filters").features(frames), atol=1e-5)


def test_transfer_learns_from_percept_files(films, tmp_path):
    out = tmp_path / "percepts"
    CliRunner().invoke(app, ["extract-features", str(films), "--classes", "-o", str(out), "-q"])
    config = TransferConfig(
        per_class=(1, None), draws=2, methods=("single-frame",), classifier=ClassifierConfig(steps=2)
    )
    found = transfer(["convlstm"], DataConfig(name="percepts", options={"root": str(out)}), config, show=False)
    assert [row.mean for row in found.rows] == [1.0, 1.0]  # the stripes' direction is in every frame
    assert found.settings["classes"] == ["across", "up"]
    clips = open_data(DataConfig(name="percepts", context=15, horizon=1, options={"root": str(out)}))
    assert clips.read("train", np.array([0])).context.shape == (1, 15, 432, 1, 1)


def test_training_on_percepts_ends_with_a_report_without_images(films, tmp_path):
    out, run = tmp_path / "percepts", tmp_path / "run"
    CliRunner().invoke(app, ["extract-features", str(films), "--classes", "-o", str(out), "-q"])
    words = ["train", "composite-lstm", "--data", "percepts", "--root", str(out), "--context", "8", "--horizon", "8"]
    words += ["--steps", "1", "--set", "model.hidden=[4]", "--set", "model.loss=squared", "-q", "-o", str(run)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.exception
    page = (run / "report.html").read_text()
    assert "copy-last" in page, "the figures are there"
    assert 'class="example"' not in page
    assert not (run / "prediction.gif").exists()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--backbone", "vgg19"], "unknown backbone or run folder 'vgg19'; did you mean 'vgg16'"),
        (["-o", "FILMS"], "is the input itself, which would be lost; give another output"),
    ],
)
def test_what_does_not_fit_is_one_line(films, tmp_path, words, line):
    words = [str(films) if word == "FILMS" else word for word in words]
    done = CliRunner().invoke(app, ["extract-features", str(films), "-o", str(tmp_path / "p"), *words, "-q"])
    assert line in str(done.exception)
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("extract-features --json x.json", "No such option: --json"),
        ("extract-features --memory 1", "No such option: --memory"),
        ("extract-features --picture x.png", "No such option: --picture"),
        ("extract-features --workers 2", "No such option: --workers"),
        ("extract-features --set prepare.across_cuts=true", "setting 'prepare.across_cuts': write data.FIELD=VALUE"),
        ("extract-features --classes --root x", "--root is for a data set with a name"),
        ("prepare --classes", "No such option: --classes"),
        ("prepare --root x", "--root is for a data set with a name"),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(films, tmp_path, words, line, capsys):
    verb, *more = words.split()
    with pytest.raises(SystemExit) as stopped:
        main([verb, str(films), "-o", str(tmp_path / "p"), *more, "-q"])
    assert stopped.value.code == 2
    assert line in capsys.readouterr().err
    assert not (tmp_path / "p").exists()


def test_shares_go_where_they_mean_something(tmp_path, monkeypatch):
    """Not to videos that are generated, which have splits of their own; to a folder without splits they do."""
    few = {"train_videos": 8, "val_videos": 8, "test_videos": 8, "frames": 4}

    def opened(config):
        return open_motion_digits(config.model_copy(update={"options": {**config.options, **few}}))

    monkeypatch.setitem(DATASETS._entries, "motion-digits", opened)
    words = ["extract-features", "motion-digits", "-q", "-o"]
    done = CliRunner().invoke(app, [*words, str(tmp_path / "digits")])
    assert done.exit_code == 0, done.exception
    assert (tmp_path / "digits" / "val_frames.txt").read_text().split() == ["4"] * 8
    done = CliRunner().invoke(app, [*words, str(tmp_path / "more"), "--set", "data.options.val_share=0.5"])
    assert "motion-digits has splits of its own: skip data.options.val_share" in str(done.exception)


def test_given_shares_divide_a_folder(tmp_path):
    (tmp_path / "films").mkdir()
    for number in range(6):
        np.save(tmp_path / "films" / f"{number}.npy", np.full((3, 64, 64), number, np.uint8))
    words = ["extract-features", str(tmp_path / "films"), "-q", "--set", "data.options.val_share=0", "-o"]
    done = CliRunner().invoke(app, [*words, str(tmp_path / "percepts"), "--set", "data.options.test_share=0.5"])
    assert done.exit_code == 0, done.exception
    assert not (tmp_path / "percepts" / "val.h5").exists()
    assert (tmp_path / "percepts" / "test.h5").exists()


def test_vgg_without_torchvision_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    with pytest.raises(UserError, match=r"vgg16 needs torchvision .*: install the extra nextframe\[lpips\]"):
        open_backbone("vgg16")


def test_percepts_of_another_width_or_without_labels_are_one_line(films, tmp_path):
    out, narrow = tmp_path / "percepts", tmp_path / "narrow"
    CliRunner().invoke(app, ["extract-features", str(films), "--classes", "-o", str(out), "-q"])
    train = ["train", "composite-lstm", "--data", "percepts", "--context", "8", "--horizon", "8", "--steps", "1", "-q"]
    train += ["--set", "model.hidden=[4]", "--set", "run.report=false", "-o", str(tmp_path / "run")]
    narrow.mkdir()
    for split in ("train", "test"):
        with h5py.File(narrow / f"{split}.h5", "w") as file:
            file["hidden6"] = np.zeros((38, 3), np.float32)
        (narrow / f"{split}_frames.txt").write_text("19\n19\n")
    done = CliRunner().invoke(app, [*train, "--root", str(out)])
    assert done.exit_code == 0, done.output
    words = ["transfer", str(tmp_path / "run"), "--data", "percepts", "-q", "--root"]
    done = CliRunner().invoke(app, [*words, str(narrow)])
    assert "run takes 432 features per frame, percepts has 3" in str(done.exception)
    (out / "test_labels.txt").unlink()
    done = CliRunner().invoke(app, [*words, str(out)])
    assert "no clip of the test split has a class: there is no test_labels.txt" in str(done.exception)
