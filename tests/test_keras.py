"""Networks that Keras saved: each of its files, made by Keras itself, gives the same model and what Keras predicts.

scripts/originals/keras_convlstm.py wrote the files of the fixture with Keras 3.15 and tf_keras 2.21.
"""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

import equal
from nextframe.checkpoint import create_model, load_model
from nextframe.checkpoint.foreign.keras.reading import read_keras
from nextframe.checkpoint.foreign.keras.tensors import in_order
from nextframe.checkpoint.foreign.keras.wire import DamagedError, masked_crc32c, read_message, read_varint
from nextframe.cli import main
from nextframe.core.errors import BadInputError

KEPT = Path(__file__).parent / "fixtures" / "keras.tar.xz"
THREE = ["convlstm.weights.h5", "convlstm.keras", "convlstm.h5", "exported", "saved"]
TWO = ["weights-2.h5", "saved-2"]
SILENT = ["convlstm.weights.h5", "exported", "saved", "weights-2.h5"]  # they hold numbers alone


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("keras")
    with tarfile.open(KEPT) as archive:
        for kept in (member for member in archive.getmembers() if member.isfile()):  # Python 3.11 may have no filter=
            stored = archive.extractfile(kept)
            assert stored is not None
            place = folder / kept.name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(stored.read())
    return folder


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as done:
        main(list(map(str, words)))
    return done.value.code


def refused(path: Path, capsys) -> str:
    """The one line that refuses a file; no model folder is left."""
    made = path.parent / "made"
    assert run("import", path, "--as", "convlstm-keras", "-o", made) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert not made.exists()
    return line


# --- what Keras saves --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", THREE + TWO)
def test_each_file_gives_the_weights_and_what_keras_predicts(name, files, tmp_path, capsys):
    assert run("import", files / name, "--as", "convlstm-keras", "-o", tmp_path / "made") == 0
    line = capsys.readouterr().out
    version = 2 if name in TWO else 3
    gate = "hard_sigmoid" if version == 2 else "sigmoid"
    assert (f"not said, so taken as activation=relu, gate={gate}: --set model.FIELD=VALUE" in line) == (name in SILENT)
    model = load_model(tmp_path / "made")
    assert (model.config.hidden, model.config.kernels, model.config.gate) == ((4, 3, 2), (5, 3, 1), gate)
    same = create_model("convlstm-keras", **model.config.model_dump())
    equal.fill(same)
    state = model.state_dict()
    for key, value in same.state_dict().items():
        assert "num_batches" in key or torch.equal(state[key], value), key
    context = equal.frames(2, 7, 1, 12, 16)[:, :4].float()
    keras = torch.from_numpy(np.load(files / f"output-{version}.npy"))
    with torch.no_grad():
        assert torch.allclose(model(context, 3), keras, rtol=0, atol=1e-6)


def test_an_imported_network_predicts_a_clip(files, tmp_path):
    assert run("import", files / "convlstm.keras", "--as", "convlstm-keras", "-o", tmp_path / "made") == 0
    np.save(tmp_path / "clip.npy", np.random.default_rng(0).integers(0, 256, (6, 12, 16), dtype=np.uint8))
    words = ["--model", tmp_path / "made", "-n", 4, "-o", tmp_path / "next.npy", "-q"]
    assert run("predict", tmp_path / "clip.npy", *words) == 0
    assert np.load(tmp_path / "next.npy").shape == (4, 12, 16)


def test_what_a_file_does_not_say_can_be_said(files, tmp_path, capsys):
    words = ["import", files / "saved", "--as", "convlstm-keras", "-o", tmp_path / "made"]
    assert run(*words, "--set", "model.gate=hard_sigmoid", "--set", "model.activation=tanh") == 0
    assert "not said" not in capsys.readouterr().out
    config = load_model(tmp_path / "made").config
    assert (config.gate, config.activation) == ("hard_sigmoid", "tanh")


# --- the bundle --------------------------------------------------------------------------------------------------


def unmasked(masked: int) -> int:
    turned = (masked - 0xA282EAD8) & 0xFFFFFFFF
    return (turned >> 17 | turned << 15) & 0xFFFFFFFF


@pytest.mark.parametrize(
    ("data", "known"),  # RFC 3720, appendix B.4, and the check value of the Castagnoli polynomial
    [
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"123456789", 0xE3069283),
        (b"", 0),
    ],
)
def test_checksums_are_crc32c(data, known):
    assert unmasked(masked_crc32c(data)) == known


def test_varints_and_messages():
    assert read_varint(b"\x00\xac\x02", 1) == (300, 3)
    assert read_message(b"\x08\x96\x01\x12\x07testing\x35\x01\x00\x00\x00") == {1: [150], 2: [b"testing"], 6: [1]}
    for odd in (b"\x08", b"\x12\x07test", b"\x0b", b"\x08" + b"\xff" * 12):
        with pytest.raises(DamagedError):
            read_message(odd)


def test_numbers_in_places_count_as_numbers():
    places = [
        "x/10/cell/kernel",
        "x/2/_kernel",
        "x/10/cell/bias",
        "x/2/bias",
        "conv_1/vars/0",
        "conv/vars/10",
        "conv/vars/9",
    ]
    arrays = {place: np.array(number) for number, place in enumerate(places)}
    assert [int(array) for array in in_order(arrays)] == [6, 5, 4, 1, 3, 0, 2]


@pytest.mark.parametrize("name", ["saved", "exported", "saved-2"])
def test_any_damage_to_a_bundle_is_one_line(name, files, tmp_path):
    whole = files / name / "variables"
    data, index = (next(whole.glob(f"*{ending}")).read_bytes() for ending in ("-00001", ".index"))
    variables = tmp_path / "variables"
    for number in range(60):
        shutil.rmtree(variables, ignore_errors=True)
        shutil.copytree(whole, variables)
        place = number * len(index) // 60
        flipped = index[:place] + bytes([index[place] ^ 0x55]) + index[place + 1 :]
        (variables / "variables.index").write_bytes(flipped if number % 2 else index[:place])
        if place < len(index) - 48 or number % 2 == 0:  # the end of the file has padding
            with pytest.raises(BadInputError, match="variables"):
                read_keras(tmp_path)
    (variables / "variables.index").write_bytes(index)
    shard = next(variables.glob("*-00001"))
    for changed, line in ((data[: len(data) // 20], "cut short"), (bytes(byte ^ 1 for byte in data), "checksum")):
        shard.write_bytes(changed)
        with pytest.raises(BadInputError, match=line):
            read_keras(tmp_path)
    shard.unlink()
    with pytest.raises(BadInputError, match="a bundle is its index and data"):
        read_keras(tmp_path)


# --- what is refused ---------------------------------------------------------------------------------------------


def test_what_is_no_file_of_keras_is_one_line(files, tmp_path, capsys):
    (tmp_path / "odd.h5").write_bytes(b"no network")
    assert "odd.h5: is not an HDF5 file of Keras, or is damaged" in refused(tmp_path / "odd.h5", capsys)
    (tmp_path / "folder").mkdir()
    assert "folder: has no variables/variables.index; give a .keras" in refused(tmp_path / "folder", capsys)
    assert "none.keras: no such file" in refused(tmp_path / "none.keras", capsys)
    with zipfile.ZipFile(tmp_path / "odd.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    assert "is a zip, but not of Keras: There is no item named 'metadata.json'" in refused(
        tmp_path / "odd.keras", capsys
    )


def rewritten(files: Path, path: Path, change) -> Path:
    """A .keras file whose config is changed."""
    with zipfile.ZipFile(files / "convlstm.keras") as whole, zipfile.ZipFile(path, "w") as archive:
        for name in whole.namelist():
            content = whole.read(name)
            archive.writestr(name, change(content.decode()) if name == "config.json" else content)
    return path


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            '"padding": "same"',
            '"padding": "valid"',
            "a ConvLSTM2D has padding 'valid', and can be read with 'same' only",
        ),
        ('"epsilon": 0.001', '"epsilon": 0.01', "a BatchNormalization has epsilon 0.01"),
        ('"activation": "sigmoid"', '"activation": "linear"', "a Conv3D has activation 'linear'"),
        ('"recurrent_activation": "sigmoid"', '"recurrent_activation": "hard_sigmoid"', "Keras 3's hard_sigmoid"),
        ('"class_name": "Conv3D"', '"class_name": "Conv2D"', "its layers are ['ConvLSTM2D', "),
        ('"activation": "relu"', '"activation": "elu"', "activation"),
        ("{", "[", "the network's config cannot be read"),
    ],
)
def test_another_network_is_refused_by_what_differs(old, new, line, files, tmp_path, capsys):
    path = rewritten(files, tmp_path / "other.keras", lambda text: text.replace(old, new))
    assert line in refused(path, capsys)


def test_weights_of_another_network_are_refused(tmp_path, capsys):
    shapes = {"dense/vars/0": (3, 4), "dense/vars/1": (4,)}
    with h5py.File(tmp_path / "dense.weights.h5", "w") as file:
        for name, shape in shapes.items():
            file[f"layers/{name}"] = np.zeros(shape, np.float32)
    line = refused(tmp_path / "dense.weights.h5", capsys)
    assert "is not the Keras example's ConvLSTM: no layer of the network begins with a tensor of 2 axes" in line


@pytest.mark.parametrize("kind", ["external link", "soft link", "external data", "loop"])
def test_an_hdf5_file_reaches_nothing_outside_itself(kind, files, tmp_path, capsys):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["x"] = np.ones(1, np.float32)
    with h5py.File(tmp_path / "odd.weights.h5", "w") as file:
        group = file.create_group("layers/conv3d/vars")
        if kind == "external link":
            group["0"] = h5py.ExternalLink(str(secret), "x")
        elif kind == "soft link":
            group["0"] = h5py.SoftLink("/layers")
        elif kind == "external data":
            group.create_dataset("0", (2,), np.float32, external=[(str(secret), 0, 8)])
        else:
            group["0"] = file["layers"]
    line = refused(tmp_path / "odd.weights.h5", capsys)
    assert {"loop": "more than", "external data": "in another file"}.get(kind, "is a link") in line


def test_saved_models_need_no_h5py(files, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    assert read_keras(files / "saved").state.keys() == read_keras(files / "exported").state.keys()
    assert "pip install 'nextframe[keras]'" in refused(files / "convlstm.weights.h5", capsys)
