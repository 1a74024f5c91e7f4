"""Format numbers and checksums: files of format 1 still load, newer and damaged ones are refused.

fixtures/format-1 was written by the code of before there were numbers on recipes and checkpoints and checksums on
weights: a run of 3 steps that is gone on with, and a model with a model inside. values.json holds what that code
predicted from them, and the losses of the run when it went on with it. Other kernels of the processor change those by
less than 5e-7 of the value.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from nextframe.checkpoint import load_model
from nextframe.checkpoint.formats import MODEL_FORMATS
from nextframe.core.errors import BadInputError, UserError
from nextframe.core.files.formats import Formats, NewerFormatError
from nextframe.core.files.whole_file import sha256_of
from nextframe.data import DataConfig
from nextframe.models.cae import CAE
from nextframe.publish import write_shared
from nextframe.recipes import load_recipe
from nextframe.training import ModelSection, Recipe, TrainingConfig, override, read_metrics, train
from nextframe.training.folder.checkpoints import load_state, save_state
from nextframe.training.recipe import read_recipe

TESTS = Path(__file__).parent
OLD = TESTS / "fixtures" / "format-1"
MIXTURE = TESTS.parent / "results" / "gif-next-30-minutes" / "mixture"
VALUES: dict[str, Any] = json.loads((OLD / "values.json").read_text())
CLOSE = {"rtol": 1e-5, "atol": 1e-6}
COUNTERS = {"step": 1, "stage_step": 1, "stage_index": 0, "seconds": 0.5, "stage_seconds": 0.5, "scale": 1.0}
FORMAT_3 = TESTS / "fixtures" / "format-3"  # by the code of before a `cae` shared biases
NUMBERS = {"cae": 4 * 5 * 5, "latent-lstm": 4 * 5 * 5, "vae-on-features": 2 * 3 * 3}  # that the dense layer reads
PREDICTED_3: dict[str, list[float]] = json.loads((FORMAT_3 / "values.json").read_text())


@pytest.fixture
def old_run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(OLD / "run", tmp_path / "run"))


def frames(*shape: int) -> Tensor:
    """Return numbers in [0, 1] that no random generator has to repeat."""
    count = torch.Size(shape).numel()
    return (torch.arange(count) * 37 % 101 / 100).reshape(shape)


def check(found: Tensor, name: str) -> None:
    torch.testing.assert_close(found, torch.tensor(VALUES[name]), **CLOSE)


def state(step: int) -> dict[str, Any]:
    return {"counters": COUNTERS | {"step": step}, "model": {"weight": torch.arange(1000.0) + step}}


def flip(path: Path, byte: int) -> None:
    """Turn over the lowest bit of a byte, as a failing disk would."""
    data = bytearray(path.read_bytes())
    data[byte] ^= 1
    path.write_bytes(data)


def set_format(path: Path, number: int) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": number}))


# --- numbers ----------------------------------------------------------------------------------------------------


def third(facts: dict[str, Any]) -> dict[str, Any]:
    renamed = {"thin": "narrow"}.get(facts["model"], facts["model"])
    return {**facts, "model": renamed, "config": {"units": facts["config"]["hidden"]}}


THREE = Formats({1: lambda facts: facts | {"config": facts["config"] | {"hidden": 4}}, 2: third})


def test_each_format_is_brought_to_the_next_until_the_newest() -> None:
    first = {"model": "thin", "config": {}}
    newest = {"model": "narrow", "config": {"units": 4}}
    assert THREE.newest == 3
    assert THREE.migrate(first, "x") == newest, "without a number it is the first"
    assert THREE.migrate({"format": 1, **first}, "x") == newest
    assert THREE.migrate({"format": 2, "model": "other", "config": {"hidden": 7}}, "x") == {
        "model": "other",
        "config": {"units": 7},
    }
    assert THREE.migrate({"format": 3, **newest}, "x") == newest
    assert first == {"model": "thin", "config": {}}, "what was read stays as it is"


def test_a_newer_format_and_what_is_no_format_are_refused() -> None:
    with pytest.raises(NewerFormatError, match=r"^x: has format 4 .* newer nextframe: .* 1 to 3; upgrade: pip install"):
        THREE.migrate({"format": 4}, "x")
    for wrong in (0, -1, "1", 1.0, True, None, [1]):
        with pytest.raises(BadInputError, match=r"^x: has format .* is not a format of nextframe: .* 1 to 3; do this$"):
            THREE.migrate({"format": wrong}, "x", "do this")


def test_a_gap_in_the_numbers_is_a_mistake_of_the_programmer() -> None:
    for numbers in ((2,), (1, 3), (0, 1)):
        with pytest.raises(ValueError, match="number them"):
            Formats(dict.fromkeys(numbers, dict))


def test_the_checksum_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")  # the first example of FIPS 180
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


# --- models -----------------------------------------------------------------------------------------------------


def test_models_of_format_1_predict_what_they_predicted(tmp_path: Path) -> None:
    check(load_model(OLD / "run").predict(frames(1, 3, 1, 32, 32), 2)[0, :, 0, 8, ::4], "run")
    check(load_model(OLD / "latent-lstm").predict(frames(1, 4, 1, 8, 8), 3)[0, :, 0, 4, ::2], "latent-lstm")
    old = tmp_path / "mixture"  # the weights of today's file, under the config that the first of them had
    shutil.copytree(MIXTURE / "model", old)
    shutil.copyfile(OLD / "mixture.json", old / "config.json")
    context = frames(1, 5, 3, 16, 16)
    assert torch.equal(load_model(old).predict(context, 1), load_model(MIXTURE).predict(context, 1))
    assert load_model(OLD / "latent-lstm").trained.size == (8, 8)


def test_a_shared_model_of_format_1_gets_a_checksum(old_run: Path, tmp_path: Path) -> None:
    shared = write_shared(old_run, tmp_path / "shared", "user/old", clips=1)
    facts = json.loads((shared / "config.json").read_text())
    assert facts["format"] == MODEL_FORMATS.newest
    assert facts["weights_sha256"] == hashlib.sha256((shared / "model.safetensors").read_bytes()).hexdigest()
    flip(shared / "model.safetensors", -1)
    with pytest.raises(BadInputError, match=r"model\.safetensors: is damaged"):
        load_model(shared)


# --- recipes ----------------------------------------------------------------------------------------------------

OLD_RECIPE = Recipe(
    model=ModelSection(name="compact", fields={"patch": 4, "width": 4, "blocks": 1, "kernel": 3}),
    data=DataConfig(context=3, horizon=2, size=(32, 32), options={"count": 1, "val_clips": 4}),
    training=TrainingConfig(
        steps=3, batch=2, log_every=1, val_every=3, checkpoint_every=3, val_clips=4,
        ema=0.9, schedule="constant", precision="32", device="cpu",
    ),
)  # fmt: skip


def test_a_recipe_of_format_1_is_the_same_recipe() -> None:
    assert read_recipe(OLD / "run") == OLD_RECIPE


def test_a_recipe_is_written_with_its_format_first_and_read_with_or_without(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(OLD_RECIPE.to_yaml())
    assert path.read_text().splitlines()[0] == "format: 2"
    assert load_recipe(str(path)) == OLD_RECIPE
    path.write_text("model: {name: conv2d}\ntraining: {steps: 5}\n")
    assert load_recipe(str(path)) == Recipe(model=ModelSection(name="conv2d"), training=TrainingConfig(steps=5))


@pytest.mark.parametrize(
    ("number", "says"), [(99, "newer nextframe: this one reads 1 to 2;"), ("two", "is not a format of nextframe")]
)
def test_a_recipe_of_an_unknown_format_is_refused_in_one_line(number: object, says: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"format": number, "further": {"section": 1}}))
    with pytest.raises(UserError, match=rf"recipe\.yaml: has format .*{says}") as caught:
        load_recipe(str(path))
    assert "\n" not in str(caught.value)


# --- training checkpoints ---------------------------------------------------------------------------------------


def test_a_checkpoint_of_format_1_gets_names_for_its_counters() -> None:
    found = load_state(OLD / "run" / "checkpoints")
    assert found is not None
    seconds = found["counters"]["seconds"]
    assert 0 < seconds < 60
    assert found["counters"] == {
        "step": 3, "stage_step": 3, "stage_index": 0, "seconds": seconds, "stage_seconds": seconds, "scale": 1.0,
    }  # fmt: skip


def test_a_run_of_format_1_goes_on_with_the_losses_it_had(old_run: Path) -> None:
    train(override(read_recipe(old_run), {"training.steps": 6}), old_run, resume=True, show=False)
    lines = read_metrics(old_run)
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert [line["train/loss"] for line in lines] == pytest.approx(VALUES["losses"], rel=1e-5)
    assert [line["val/mse"] for line in lines if "val/mse" in line] == pytest.approx(VALUES["validation"], rel=1e-5)
    check(load_model(old_run).predict(frames(1, 3, 1, 32, 32), 2)[0, :, 0, 8, ::4], "resumed")
    assert json.loads((old_run / "checkpoints" / "last" / "checkpoint.json").read_text())["format"] == 2
    assert (old_run / "recipe.yaml").read_text().startswith("format: 2\n")


@pytest.mark.parametrize("part", [0.0, 0.3, 0.5, 0.7, 0.999])
def test_a_flipped_bit_falls_back_to_the_checkpoint_before(part: float, tmp_path: Path, caplog) -> None:
    save_state(tmp_path, state(1))
    save_state(tmp_path, state(2))
    whole = load_state(tmp_path)
    assert whole is not None
    assert whole["counters"]["step"] == 2
    path = tmp_path / "last" / "state.pt"
    flip(path, int(part * path.stat().st_size))
    found = load_state(tmp_path)
    assert found is not None
    assert found["counters"] == COUNTERS
    assert torch.equal(found["model"]["weight"], state(1)["model"]["weight"])
    assert "the checksum of state.pt differs from the one in checkpoint.json): trying the one before it" in caplog.text


def test_without_its_checksum_the_flipped_bit_would_have_been_read(tmp_path: Path) -> None:
    """Torch does not see it: the test before this one is of the checksum and of nothing else."""
    save_state(tmp_path, state(1))
    path = tmp_path / "last" / "state.pt"
    flip(path, path.stat().st_size // 2)
    read = torch.load(path, weights_only=True)
    assert not torch.equal(read["model"]["weight"], state(1)["model"]["weight"])


DAMAGE = {
    "not json": lambda last: (last / "checkpoint.json").write_text("{"),
    "no checksum": lambda last: (last / "checkpoint.json").write_text('{"format": 2}'),
    "no format": lambda last: (last / "checkpoint.json").write_text("{}"),
    "a list": lambda last: (last / "checkpoint.json").write_text("[2]"),
    "facts gone": lambda last: (last / "checkpoint.json").unlink(),
    "state gone": lambda last: (last / "state.pt").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_falls_back_and_two_end_in_one_line(damage: str, tmp_path: Path, caplog) -> None:
    save_state(tmp_path, state(1))
    save_state(tmp_path, state(2))
    DAMAGE[damage](tmp_path / "last")
    found = load_state(tmp_path)
    assert found is not None
    assert found["counters"]["step"] == 1
    assert "trying the one before it" in caplog.text
    DAMAGE[damage](tmp_path / ".last.previous")
    with pytest.raises(BadInputError, match="no checkpoint in it can be read") as caught:
        load_state(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_a_newer_format_is_refused_and_nothing_older_taken(tmp_path: Path) -> None:
    save_state(tmp_path, state(1))
    save_state(tmp_path, state(2))
    set_format(tmp_path / "last" / "checkpoint.json", 99)
    with pytest.raises(UserError, match=r"last: has format 99 and was written by a newer nextframe.*upgrade"):
        load_state(tmp_path)


@pytest.mark.parametrize("name", PREDICTED_3)
def test_autoencoders_of_format_3_keep_a_bias_for_each_number(name: str) -> None:
    model = load_model(FORMAT_3 / name)
    cae = next(part for part in model.modules() if isinstance(part, CAE))
    assert cae.config.dense_biases == "number"
    assert [len(bias) for layer, bias in cae.back_biases.items() if layer.startswith("dense")] == [NUMBERS[name]]
    context = torch.linspace(0, 1, 2 * 3 * 144).reshape(2, 3, 1, 12, 12)
    torch.testing.assert_close(model.predict(context, 2).flatten()[::29], torch.tensor(PREDICTED_3[name]), **CLOSE)
