"""`nextframe import`: checkpoints that OpenSTL and programs like it wrote, and files that only look like them."""

import argparse
import json
import os
import pathlib
import shlex
import sys
from collections import OrderedDict

import numpy as np
import pytest
import torch

from foreign_states import HEADS, INNER, LAYERS, WIDTH, layered, predformer
from nextframe.checkpoint import load_model
from nextframe.checkpoint.foreign.reading import read_checkpoint
from nextframe.checkpoint.foreign.table import TRANSLATIONS, translation
from nextframe.checkpoint.foreign.translated import fitted
from nextframe.cli import main
from nextframe.core.errors import UserError
from nextframe.models import MODELS

SAYS = {"heads": HEADS, "context": 3}
ASKED = ["--set", "model.heads=2", "--set", "model.context=3"]


def run(*words):
    with pytest.raises(SystemExit) as done:
        main(list(map(str, words)))
    return done.value.code


# --- PredFormer's state dicts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", LAYERS)
def test_an_interleaving_is_told_from_names(order):
    found = translation("predformer")(layered(order, layers=2, depth=3), SAYS)
    sizes = {"context": 3, "channels": 1, "patch": 4, "layers": 2, "depth": 3, "width": WIDTH, "expansion": 2}
    assert found.fields == sizes | {"interleaving": order, "heads": HEADS, "head_width": INNER // HEADS}
    fitted(found)


def test_each_tensor_goes_where_it_belongs():
    state = layered("stts", layers=2)
    weights = translation("predformer")({f"model.{name}": value for name, value in state.items()}, SAYS).weights
    assert torch.equal(
        weights["transformers.6.branches.1.gate.weight"],
        state["blocks.1.ts_temporal_transformer.layers.0.1.fn.fc1_g.weight"],
    )
    assert torch.equal(
        weights["transformers.3.branches.0.mix.weight"],
        state["blocks.0.ts_space_transformer.layers.0.0.fn.to_qkv.weight"],
    )
    assert torch.equal(weights["transformers.4.norm.bias"], state["blocks.1.st_space_transformer.norm.bias"])


def test_what_names_do_not_tell_is_asked_for():
    translate = translation("predformer")
    both = predformer(["space_transformer", "temporal_transformer"], depth=4)
    with pytest.raises(UserError, match=r"may be fac-ts or fac-st: --set model.interleaving=fac-ts, or the other"):
        translate(both, SAYS)
    found = translate(both, SAYS | {"interleaving": "fac-ts"})
    assert (found.model, found.fields["layers"]) == ("predformer", 4)
    assert torch.equal(
        found.weights["transformers.0.branches.6.mix.weight"],
        both["temporal_transformer.layers.3.0.fn.to_qkv.weight"],
    )
    assert translate(both, SAYS | {"interleaving": "fac-st"}).model == "predformer-fac-st"
    assert fitted(translate(predformer(["space_temporal_transformer"], 2), SAYS)).config.interleaving == "full"
    with pytest.raises(UserError, match="how many context frames and attention heads"):
        translate(layered(), {})
    ordered = dict(sorted(layered("tsst").items()))
    with pytest.raises(UserError, match="may be tsst or stts"):
        translate(ordered, SAYS)
    assert translate(ordered, SAYS | {"interleaving": "tsst"}).fields["interleaving"] == "tsst"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda state: state.clear(), r"not the weights of PredFormer: its transformers are \(none\)"),
        (lambda state: state.pop("mlp_head.1.bias"), "it lacks what would be 'head.bias' of predformer"),
        (lambda state: state.update(odd=torch.zeros(1)), "not the weights of PredFormer: it has a tensor 'odd'"),
        (
            lambda state: state.update({"mlp_head.1.bias": torch.zeros(3)}),
            r"'head.bias' would be \(3,\)",
        ),
    ],
)
def test_another_state_is_one_line(change, line):
    state = layered()
    change(state)
    with pytest.raises(UserError, match=line):
        fitted(translation("predformer")(state, SAYS))


# --- files ------------------------------------------------------------------------------------------------------


def lightning(**settings):
    """A checkpoint as Lightning writes it, with settings as OpenSTL and its forks have them."""
    return {
        "epoch": 199,
        "pytorch-lightning_version": "1.9.0",
        "state_dict": OrderedDict((f"model.{name}", value) for name, value in layered().items()),
        "hparams_name": "kwargs",
        "hyper_parameters": {
            "args": argparse.Namespace(method="PredFormer", pre_seq_length=3, aft_seq_length=5, dataname="mmnist"),
            "in_shape": (3, 1, 16, 24),
            "save_dir": pathlib.PurePosixPath("work_dirs/mine"),
            "lr": np.float64(1e-3),
            "epoch": np.int32(200),
            "dist": np.bool_(False),
            "gpus": [0],
            **settings,
        },
        # what older versions of torch keep of OneCycle
        "lr_schedulers": [{"anneal_func": torch.optim.lr_scheduler.OneCycleLR._annealing_cos, "last_epoch": 3}],
        "callbacks": {"BestCheckpointCallback": {"best_model_score": torch.tensor(1.0), "dirpath": "somewhere"}},
    }


def test_settings_of_usual_types_are_read_as_plain_values(tmp_path):
    torch.save(lightning(), tmp_path / "best.ckpt")
    settings = read_checkpoint(tmp_path / "best.ckpt").settings
    assert settings["pre_seq_length"] == 3
    assert (settings["lr"], settings["epoch"], settings["dist"]) == (1e-3, 200, False)
    assert (type(settings["lr"]), type(settings["epoch"]), type(settings["dist"])) == (float, int, bool)
    assert settings["save_dir"] == "work_dirs/mine"
    assert settings["in_shape"] == (3, 1, 16, 24)
    assert read_checkpoint(tmp_path / "best.ckpt").state.keys() == {f"model.{name}" for name in layered()}


def test_the_reader_lets_nothing_through_afterwards(tmp_path):
    torch.save(lightning(), tmp_path / "best.ckpt")
    before = set(torch.serialization.get_safe_globals())
    read_checkpoint(tmp_path / "best.ckpt")
    assert set(torch.serialization.get_safe_globals()) == before


def test_a_lightning_checkpoint_becomes_a_model_folder_that_predicts(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.save(lightning(model_config={"heads": HEADS, "pre_seq": 3}), "best.ckpt")
    assert run("import", "best.ckpt", "--as", "predformer", "-o", "imported") == 0
    assert capsys.readouterr().out == "imported  (predformer, 0.01 M parameters)\n"
    facts = json.loads(pathlib.Path("imported/config.json").read_text())
    assert facts["task"]["horizon"] == 5
    assert facts["task"]["size"] == [16, 24]
    np.save("clip.npy", np.random.default_rng(0).integers(0, 256, (3, 16, 24), dtype=np.uint8))
    assert run("predict", "clip.npy", "--model", "imported", "--frames", "5", "-o", "next.npy", "-q") == 0
    assert len(np.load("next.npy")) == 5


def test_a_plain_state_dict_takes_its_fields_from_set(tmp_path, capsys):
    torch.save(layered("tst"), tmp_path / "checkpoint.pth")
    words = ["import", tmp_path / "checkpoint.pth", "--as", "predformer", "-o", tmp_path / "made"]
    assert run(*words) == 2
    assert "--set model.context=10 --set model.heads=8 are those of Moving MNIST" in capsys.readouterr().err
    assert not (tmp_path / "made").exists()
    assert run(*words, *ASKED, "--set", "model.dropout=0.1") == 0
    config = load_model(tmp_path / "made").config
    assert (config.interleaving, config.heads, config.dropout) == ("tst", 2, 0.1)
    assert run(*words, *ASKED, "--set", "model.hedas=2") == 2
    assert "unknown field 'hedas'; did you mean 'heads'" in capsys.readouterr().err


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("executed",)


class OwnSettings:
    """A class of the checkpoint's author, which only their own code can read."""


@pytest.mark.parametrize("held", [Hostile(), OwnSettings()])
def test_what_would_have_to_be_executed_is_refused_with_a_way_out(held, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.save(lightning(odd=held), "best of all.ckpt")
    assert run("import", "best of all.ckpt", "--as", "predformer", "-o", "made") == 2
    assert sorted(os.listdir()) == ["best of all.ckpt"]
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert f"holds {'posix.mkdir' if type(held) is Hostile else 'test_import.OwnSettings'}, which only running" in line


def test_the_command_of_that_line_extracts_the_weights(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.save(lightning(odd=OwnSettings()), "best of all.ckpt")
    run("import", "best of all.ckpt", "--as", "predformer", "-o", "made")
    python, flag, code, *words = shlex.split(capsys.readouterr().err.partition("where it was made: ")[2])
    assert (python, flag, words) == ("python", "-c", ["best of all.ckpt", "best of all.weights.pth"])
    monkeypatch.setattr(sys, "argv", ["-c", *words])
    exec(code, {})
    assert run("import", words[-1], "--as", "predformer", "-o", "made", *ASKED) == 0


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 cut", b"\x80\x02}q\x00(X\x01"])
def test_what_is_no_checkpoint_is_one_line(content, tmp_path, capsys):
    (tmp_path / "odd.pth").write_bytes(content)
    assert run("import", tmp_path / "odd.pth", "--as", "predformer", "-o", tmp_path / "made") == 2
    line = capsys.readouterr().err
    assert "odd.pth: is not a checkpoint of torch, or is damaged (" in line
    assert line.count("\n") == 1


@pytest.mark.parametrize("held", [[1, 2], {"epoch": 3}, {"state_dict": {"a": 1}}, {"state_dict": {}}, torch.zeros(2)])
def test_a_file_without_weights_is_one_line(held, tmp_path, capsys):
    torch.save(held, tmp_path / "odd.pth")
    assert run("import", tmp_path / "odd.pth", "--as", "predformer", "-o", tmp_path / "made") == 2
    assert "odd.pth: h" in capsys.readouterr().err


def test_a_wrong_model_and_a_wrong_state_are_one_line(tmp_path, capsys):
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "other.pth")
    assert run("import", tmp_path / "other.pth", "--as", "predfromer", "-o", tmp_path / "made") == 2
    assert "unknown model of other programs 'predfromer'; did you mean 'predformer'" in capsys.readouterr().err
    assert run("import", tmp_path / "other.pth", "--as", "predformer", "-o", tmp_path / "made") == 2
    assert "other.pth: is not read as predformer: these are not the weights of PredFormer" in capsys.readouterr().err
    assert run("import", tmp_path / "none.pth", "--as", "predformer", "-o", tmp_path / "made") == 2
    assert "none.pth: no such file" in capsys.readouterr().err


def test_weights_that_are_not_finite_are_refused(tmp_path, capsys):
    state = layered()
    state["mlp_head.1.bias"][0] = torch.nan
    torch.save(state, tmp_path / "nan.pth")
    assert run("import", tmp_path / "nan.pth", "--as", "predformer", "-o", tmp_path / "made", *ASKED) == 2
    assert "nan.pth: what would be 'head.bias' has values that are not finite" in capsys.readouterr().err


def test_what_weights_alone_do_not_say_can_be_said_and_dead_tensors_are_named(tmp_path, capsys):
    cell = {"conv_x.0": (16, 12, 5, 5), "conv_h.0": (16, 4, 5, 5), "conv_o.0": (4, 8, 5, 5), "conv_last": (4, 8, 1, 1)}
    state = {f"cell_list.0.{name}.weight": torch.rand(shape) for name, shape in cell.items()}
    torch.save(state | {"conv_last.weight": torch.rand(12, 4, 1, 1)}, tmp_path / "weights.pth")
    words = ["import", tmp_path / "weights.pth", "--as", "convlstm-openstl", "-o", tmp_path / "made"]
    assert run(*words) == 2
    assert "does not say its 'patch_size', which" in (line := capsys.readouterr().err)
    assert line.endswith("--set settings.patch_size=VALUE\n")
    for odd in ("0", "four", "[2]", "null"):
        assert run(*words, "--set", f"settings.patch_size={odd}") == 2
        assert "weights.pth: is not read as convlstm-openstl: " in capsys.readouterr().err
    assert run(*words, "--set", "settings.patch_size=2") == 0
    line = capsys.readouterr().out
    assert line.endswith("; omitted, as never used: cell_list.0.conv_o.0.weight, cell_list.0.conv_last.weight)\n")
    config = load_model(tmp_path / "made").config
    assert (config.patch, config.channels, config.hidden) == (2, 3, 4)


@pytest.mark.parametrize("name", TRANSLATIONS)
def test_every_translation_is_of_a_registered_model(name):
    assert name in MODELS
    assert callable(translation(name))
    with pytest.raises(UserError):
        translation(name)({}, {})
