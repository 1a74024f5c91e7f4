"""One limit of memory, checked before anything is allocated, and predictions that are numbers."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from nextframe.checkpoint import create_model, load_model, save_model
from nextframe.cli import main
from nextframe.core.errors import BadInputError, NextframeError
from nextframe.core.files.whole_file import sha256_of
from nextframe.media.limits import Limits
from nextframe.media.reader import open_source
from nextframe.prediction import predict

LITTLE = {"patch": 8, "width": 8, "blocks": 1, "kernel": 3, "context": 3}


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (12, 48, 64), np.uint8))
    return path


def test_the_default_is_two_gib():
    assert Limits().bytes == 2 * 2**30


@pytest.mark.skipif(sys.platform != "linux", reason="counts the largest memory in KiB, as Linux does")
@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"frames": 1_000_000_000}, "1,000,000,000 frames of 64x48 takes about 11,444"),  # 4 bytes a value
        ({"size": (100_000, 100_000)}, "10 frames of 100000x100000 takes about"),
        ({"frames": 100_000, "samples": 100}, "10,000,000 frames of 64x48"),
        ({"frames": 20_000_000, "at": 5}, "20,000,000 frames of 64x48"),
    ],
)
def test_what_would_not_fit_is_refused_before_it_is_allocated(clip, asked, message):
    import resource

    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadInputError, match=message) as caught:
        predict(clip, "copy-last", **asked)
    assert "the limit is 2.0 GiB; predict fewer frames or smaller ones (--size), or one future" in str(caught.value)
    assert "--set predict.memory=" in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB
    assert time.monotonic() - started < 10


def test_a_model_that_takes_more_than_the_limit_is_refused_and_tiles_are_not(tmp_path):
    """A frame of 384x384 through gates of 4 x 32 channels takes 72 MiB for them alone, a tile of 96 takes 5."""
    model = create_model("convlstm", channels=1, hidden=[32], kernels=[3])
    path = tmp_path / "large.npy"
    np.save(path, np.zeros((2, 384, 384), np.uint8))
    limits = Limits(bytes=70 * 2**20)
    with pytest.raises(BadInputError, match=r"running ConvLSTM on 384x384 takes about 0\.\d GiB"):
        predict(path, model, 1, limits=limits, device="cpu")
    tiled = predict(path, model, 1, limits=limits, device="cpu", tile=192, overlap=16)
    assert tiled.frames.shape == (1, 1, 384, 384)


@pytest.mark.parametrize("names", ["a b c d", "frames b c d"])
def test_an_archive_that_unpacks_to_more_than_the_limit_is_not_unpacked(tmp_path, names):
    """Each of its arrays is within the limit, all of them are not, whether one of them would be read or none."""
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, **{name: np.zeros((6, 1000, 1000), np.uint8) for name in names.split()})
    assert path.stat().st_size < 100_000
    with pytest.raises(BadInputError, match=r"this would take 0\.0 GiB of memory, the limit is 0\.0 GiB"):
        open_source(path, limits=Limits(bytes=20_000_000))


@pytest.mark.any_processor
def test_the_limit_is_a_setting_of_the_command_line(clip, tmp_path, capsys):
    words = ["predict", str(clip), "-m", "copy-last", "-o", str(tmp_path / "next.gif")]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--set", "predict.memory=0.0001"])
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert "takes about" in told
    assert told.count("\n") == 1


# --- predictions that are numbers -------------------------------------------------------------------------------


def test_weights_that_are_not_finite_are_refused(tmp_path):
    model = create_model("compact", **LITTLE, channels=1)
    save_model(model, tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    tensors = load_file(weights)
    name = next(iter(dict(model.named_parameters())))
    tensors[name].view(-1)[0] = float("nan")
    save_file(tensors, weights)
    config = tmp_path / "model" / "config.json"
    text = config.read_text()
    old = text[text.index('"weights_sha256": "') :].split('"')[3]
    config.write_text(text.replace(old, sha256_of(weights)))  # the file is as it was written
    with pytest.raises(BadInputError, match=f"tensor '{name}' has values that are not finite; train it again"):
        load_model(tmp_path / "model")


def test_a_prediction_that_is_no_number_is_an_error_and_not_black(clip):
    model = create_model("compact", **LITTLE, channels=1)
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] = float("nan")
    with pytest.raises(NextframeError, match="compact predicts values that are not finite"):
        predict(clip, model, 2)


def test_the_shipped_model_carries_its_checksum():
    import json

    from nextframe.checkpoint import shipped_models

    for name in shipped_models():
        folder = Path(__file__).parents[1] / "src" / "nextframe" / "checkpoint" / "shipped" / name
        facts = json.loads((folder / "config.json").read_text())
        assert facts["weights_sha256"] == sha256_of(folder / "model.safetensors")


def test_floats_that_rounding_took_over_one_are_read(tmp_path):
    path = tmp_path / "over.npy"
    np.save(path, np.full((3, 8, 8), np.float32(1.0000001)))
    assert int(next(open_source(path).frames()).min()) == 255
    np.save(path, np.full((3, 8, 8), np.float32(1.002)))
    with pytest.raises(BadInputError, match=r"values from 1\.00199997 to 1\.00199997; float32 must be in 0\.\.1"):
        next(open_source(path).frames())


LOOKED = """
import sys, torch, nextframe
nextframe.predict(torch.rand(3, 1, 260, 260), "copy-last", frames=1)
print("torch._dynamo" in sys.modules)
"""


@pytest.mark.any_processor
def test_a_look_at_the_memory_does_not_load_a_compiler():
    done = subprocess.run([sys.executable, "-c", LOOKED], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
