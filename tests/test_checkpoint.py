from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from nextframe.checkpoint import (
    baseline_names,
    create_model,
    list_models,
    load_model,
    model_name,
    replaced_folder,
    resolve_model,
    save_model,
    settled,
)
from nextframe.core.errors import BadInputError, UnknownNameError, UserError
from nextframe.core.registry import Registry
from nextframe.models import MODELS
from nextframe.models.contract import TrainedTask
from tiny import Tiny, TinyConfig


@pytest.fixture(autouse=True)
def _tiny_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS._entries, "tiny", "tiny:Tiny")


def tiny(width: int = 3) -> Tiny:
    torch.manual_seed(0)
    return Tiny(TinyConfig(width=width)).eval()


def context() -> Tensor:
    return torch.rand(2, 3, 1, 9, 7, generator=torch.Generator().manual_seed(1))


FRESH = """
import sys, torch
sys.path.insert(0, sys.argv[1])
from nextframe.models import MODELS
MODELS.add("tiny", "tiny:Tiny")
from nextframe.checkpoint import load_model
given = torch.load(sys.argv[3], weights_only=True)
torch.save(load_model(sys.argv[2]).predict(given, 4), sys.argv[4])
"""


def test_a_fresh_process_predicts_the_same(tmp_path: Path) -> None:
    model = tiny(width=5)
    model.seen.fill_(7)  # a buffer belongs to the state too
    save_model(model, tmp_path / "m")
    torch.save(context(), tmp_path / "in.pt")
    arguments = [str(Path(__file__).parent), *(str(tmp_path / name) for name in ("m", "in.pt", "out.pt"))]
    subprocess.run([sys.executable, "-c", FRESH, *arguments], check=True)
    assert torch.equal(torch.load(tmp_path / "out.pt", weights_only=True), model.predict(context(), 4))
    assert load_model(tmp_path / "m").state_dict()["seen"].item() == 7


def test_config_says_what_the_model_is(tmp_path: Path) -> None:
    task = TrainedTask(context=10, horizon=5, size=(9, 7), channels=1, fps=12.5, data="moving-digits")
    save_model(tiny(), tmp_path / "m", task=task, training={"steps": 20})
    facts = json.loads((tmp_path / "m" / "config.json").read_text())
    assert facts["model"] == "tiny"
    assert facts["config"] == {"channels": 1, "width": 3, "any_size": True}
    assert facts["training"] == {"steps": 20}
    model = load_model(tmp_path / "m")
    assert model.trained == task
    assert not model.training
    save_model(model, tmp_path / "again")  # the task goes on with the model
    assert load_model(tmp_path / "again").trained == task


def test_run_folder_holds_the_model_inside(tmp_path: Path) -> None:
    save_model(tiny(), tmp_path / "run" / "model")
    (tmp_path / "run" / "metrics.jsonl").write_text("")
    assert torch.equal(load_model(tmp_path / "run").predict(context(), 2), tiny().predict(context(), 2))


def test_saving_again_replaces_the_model(tmp_path: Path) -> None:
    save_model(tiny(3), tmp_path / "m")
    save_model(tiny(6), tmp_path / "m")
    assert load_model(tmp_path / "m").config == TinyConfig(width=6)
    assert os.listdir(tmp_path) == ["m"]


def test_a_folder_with_other_things_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(BadInputError, match=r"thesis\.txt"):
        save_model(tiny(), tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_failed_save_keeps_the_old_model(tmp_path: Path) -> None:
    save_model(tiny(3), tmp_path / "m")
    with pytest.raises(TypeError):
        save_model(tiny(6), tmp_path / "m", training={"not json": object()})
    with pytest.raises(FileNotFoundError), replaced_folder(tmp_path / "m") as new:
        (new / "nowhere" / "config.json").write_text("half")
    assert load_model(tmp_path / "m").config == TinyConfig(width=3)
    assert os.listdir(tmp_path) == ["m"]


def test_a_kill_between_the_renames_loses_nothing(tmp_path: Path) -> None:
    save_model(tiny(3), tmp_path / "m")
    os.rename(tmp_path / "m", tmp_path / ".m.previous")  # what a kill at that moment leaves
    assert load_model(tmp_path / "m").config == TinyConfig(width=3)
    assert settled(tmp_path / "m").name == ".m.previous"
    save_model(tiny(6), tmp_path / "m")
    assert load_model(tmp_path / "m").config == TinyConfig(width=6)


def test_the_replaced_folder_can_be_kept(tmp_path: Path) -> None:
    for word in ("first", "second", "third"):
        with replaced_folder(tmp_path / "last", keep_previous=True) as new:
            (new / "word").write_text(word)
    assert (tmp_path / "last" / "word").read_text() == "third"
    assert (tmp_path / ".last.previous" / "word").read_text() == "second"


def test_loading_draws_no_random_numbers(tmp_path: Path) -> None:
    save_model(tiny(), tmp_path / "m")
    before = torch.get_rng_state()
    load_model(tmp_path / "m")
    assert torch.equal(torch.get_rng_state(), before)


def edit_config(folder: Path, **fields: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def edit_weights(folder: Path, **tensors: Tensor | None) -> None:
    path = folder / "model.safetensors"
    state = load_file(path) | {name.replace("__", "."): value for name, value in tensors.items()}
    save_file({name: value for name, value in state.items() if value is not None}, path)


def drop_field(folder: Path, name: str) -> None:
    path = folder / "config.json"
    facts = json.loads(path.read_text())
    del facts[name]
    path.write_text(json.dumps(facts))


def flip_last_bit(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def truncate(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


DAMAGE = {
    "no config": (lambda m: (m / "config.json").unlink(), r"has no config\.json"),
    "no weights": (lambda m: (m / "model.safetensors").unlink(), r"model\.safetensors: is missing"),
    "cut weights": (lambda m: truncate(m / "model.safetensors", 200), "is damaged or truncated"),
    "cut header": (lambda m: truncate(m / "model.safetensors", 5), "is damaged or truncated"),
    "empty weights": (lambda m: truncate(m / "model.safetensors", 0), "is damaged or truncated"),
    "not json": (lambda m: truncate(m / "config.json", 30), "is not JSON"),
    "deep json": (lambda m: (m / "config.json").write_text("[" * 100_000), "is not JSON"),
    "a list": (lambda m: (m / "config.json").write_text("[1]"), "no field 'format'"),
    "binary": (lambda m: (m / "config.json").write_bytes(b"\xff\xfe\x00"), "is not JSON"),
    "huge": (lambda m: (m / "config.json").write_text(" " * 2_000_000), "over 1 MiB"),
    "newer format": (lambda m: edit_config(m, format=99), r"has format 99 .* reads 1"),
    "unknown model": (lambda m: edit_config(m, model="tinny"), "unknown model 'tinny'; did you mean 'tiny'"),
    "no model": (lambda m: edit_config(m, model=None), "needs a text field 'model'"),
    "unknown field": (lambda m: edit_config(m, config={"widht": 3}), "did you mean 'width'"),
    "bad value": (lambda m: edit_config(m, config={"width": 10**9}), "field 'width'"),
    "bad task": (lambda m: edit_config(m, task={"context": "ten"}), "field 'context'"),
    "other width": (
        lambda m: edit_config(m, config={"width": 4}),
        r"tensor 'mix.weight' is \(3, .* asks for \(4, ",
    ),
    "missing tensor": (lambda m: edit_weights(m, out__bias=None), r"lacks tensor 'out.bias'"),
    "further tensor": (
        lambda m: edit_weights(m, extra=torch.ones(1)),
        r"has tensor 'extra', which the model does not",
    ),
    "flipped bit": (
        lambda m: flip_last_bit(m / "model.safetensors"),
        r"model\.safetensors: is damaged or of another save: its checksum",
    ),
    "weights of another save": (
        lambda m: edit_weights(m, out__bias=torch.ones(1)),
        r"model\.safetensors: is damaged or of another save: its checksum",
    ),
    "no checksum": (lambda m: drop_field(m, "weights_sha256"), "lacks the field 'weights_sha256'"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_one_clear_line(damage: str, tmp_path: Path) -> None:
    model = save_model(tiny(), tmp_path / "m")
    harm, line = DAMAGE[damage]
    harm(model)
    with pytest.raises(BadInputError, match=line) as caught:
        load_model(model)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    model = save_model(tiny(), tmp_path / "m")
    torch.save(tiny().state_dict(), model / "model.safetensors")
    with pytest.raises(BadInputError, match="is damaged"):
        load_model(model)


def test_paths_that_are_no_model(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInputError, match="no such model or run folder"):
        load_model(tmp_path / "nowhere")
    with pytest.raises(BadInputError, match="is a file"):
        load_model(tmp_path / "file")


def test_create_model_answers_typos() -> None:
    assert create_model("tiny", width=7).config == TinyConfig(width=7)
    with pytest.raises(UnknownNameError, match="did you mean 'tiny'"):
        create_model("tini")
    with pytest.raises(UserError, match=r"model 'tiny': unknown field 'widht'.*did you mean 'width'"):
        create_model("tiny", widht=7)


def test_names() -> None:
    assert model_name(tiny()) == "tiny"
    assert {"copy-last", "linear", "flow", "tiny"} <= set(list_models())

    class Mine(Tiny):
        pass

    with pytest.raises(UserError, match="Mine is not a registered model"):
        model_name(Mine(TinyConfig()))


def test_name_of_prefers_the_first_name() -> None:
    registry: Registry[type[Tiny]] = Registry("model")
    registry.add("a", "tiny:Tiny")
    registry.add("b", Tiny)
    assert registry.name_of(Tiny) == "a"
    assert registry.name_of(TinyConfig) is None


def test_resolve_model(tmp_path: Path) -> None:
    save_model(tiny(), tmp_path / "run" / "model")
    assert model_name(resolve_model("copy-last")) == "copy-last"
    assert model_name(resolve_model(tmp_path / "run")) == "tiny"
    model = tiny()
    assert resolve_model(model) is model
    with pytest.raises(UserError, match=r"'tiny' has to be trained first: .*train tiny .* run folder"):
        resolve_model("tiny")
    with pytest.raises(UnknownNameError, match="unknown model or run folder 'copy-lats'; did you mean 'copy-last'"):
        resolve_model("copy-lats")
    with pytest.raises(BadInputError, match="no such model or run folder"):
        resolve_model("runs/nothing")


def test_baselines_are_the_models_that_need_no_training() -> None:
    assert {"copy-last", "linear", "flow"} <= set(baseline_names())
    assert not {"tiny", "convlstm", "compact"} & set(baseline_names())
    for name in baseline_names():
        assert not create_model(name).capabilities.trainable
