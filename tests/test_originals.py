"""The forms of papers, notebooks and public codes are what they were when they were fields of a config.

The golden losses of the originals (test_contract.py), fixtures/format-2 and fixtures/format-1/recipes.json were made by
the code of before: models with the old names and fields, what they predicted, and the model of every recipe.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from nextframe.benchmark import default_names, read_row
from nextframe.benchmark.tasks import GIF_NEXT
from nextframe.checkpoint import create_model, load_model
from nextframe.checkpoint.folder import model_name
from nextframe.checkpoint.renames import renamed, renamed_section
from nextframe.core.errors import UserError
from nextframe.data import DataConfig, open_data
from nextframe.models import MODELS, ORIGINALS
from nextframe.recipes import RECIPES, load_recipe
from nextframe.training.recipe import read_recipe
from test_contract import fields as fields_of_contract
from test_formats import frames

FIXTURES = Path(__file__).parent / "fixtures"
ROWS = Path(__file__).parents[1] / "results" / "gif-next"
OLD_RECIPES: dict[str, Any] = json.loads((FIXTURES / "format-1" / "recipes.json").read_text())
OLD_MODELS = FIXTURES / "format-2"
PREDICTED: dict[str, Any] = json.loads((OLD_MODELS / "values.json").read_text())

GANS = {
    name: OLD_RECIPES[name]["fields"] | {"width": 4, "d_table": "light"}
    for name in ("mathieu-paper", "mathieu-chainer", "mathieu-tf")
}
SMALL_VAE = {"name": "vae", "fields": {"widths": [8, 8], "latent": 8}}
LATENT = OLD_RECIPES["mnist-latent-original"]["fields"]
# what the golden losses were made with, by the names and fields of before
OLD: dict[str, tuple[str, dict[str, Any]]] = {
    "convlstm-keras": ("convlstm", {"hidden": [6, 6], "kernels": [3, 3], "head": "same"}),
    "catz-conv2d": ("conv2d", {"head": "relu", "loss": "mse"}),
    "catz-baseline-original": ("catz-baseline", {"levels": "0-255", "head": "relu", "loss": "mse"}),
    "catz-conv3d": ("conv3d-residual", {"noise": 0.1, "noise_on_last": True, "loss": "mse"}),
    "conv3d": ("conv3d-residual", {"axes": "time"}),
    "catz-convlstm": ("convlstm-residual", {"noise_on_last": True, "loss": "mse"}),
    "catz-autoencoder": ("convlstm-autoencoder", {"noise_on_last": True, "early_dropout": False, "loss": "mse"}),
    **{name: ("multiscale-gan", fields) for name, fields in GANS.items()},
    "mathieu-torch": ("multiscale-gan", {**GANS["mathieu-paper"], "form": "torch"}),
    "tencia-vcae": ("vcae", {"hidden": 16, "filters": 4, "latent": 8, "shared_output": False}),
    "tencia-latent-lstm": (
        "latent-lstm",
        {**LATENT, "autoencoder": SMALL_VAE, "hidden": [16, 16], "dropout": 0.0, "lr": 0.01},
    ),
    "srivastava-composite": (
        "composite-lstm",
        {"hidden": [24], "reduction": "sum", "start": 0.01, "forget_bias": 0.0},
    ),
}


@pytest.mark.parametrize("name", OLD)
def test_a_config_with_the_old_fields_is_the_one_whose_golden_losses_are_those_of_before(name: str) -> None:
    old, given = OLD[name]
    found, fields = renamed(old, given)
    assert found == name
    config, sizes = MODELS.get(name).Config, ("context", "channels", "frame_height", "frame_width")
    sizes = {key: value for key, value in fields_of_contract(name).items() if key in sizes}
    assert config.parse({**sizes, **fields}) == config.parse(fields_of_contract(name))


def test_every_original_is_held_to_its_losses_and_fixtures() -> None:
    ever = {"predformer-fac-st"}  # never fields of another config
    assert ORIGINALS.keys() - ever | {"conv3d"} == OLD.keys()
    inside = {"tencia-vcae"}  # of the latent LSTM
    assert ORIGINALS.keys() - ever <= PREDICTED.keys() | inside


@pytest.mark.parametrize("name", OLD_RECIPES)
def test_recipes_train_the_model_that_they_did(name: str) -> None:
    old, new = renamed_section(OLD_RECIPES[name]), RECIPES.get(name).model
    assert old["name"] == new.name
    config = MODELS.get(new.name).Config
    expected, found = (_whole(config.parse(fields)) for fields in (old["fields"], new.fields))
    assert found == expected


def _whole(config: Any) -> dict[str, Any]:
    """Return a config with that of the autoencoder in it at full length, whatever was written."""
    values = config.model_dump()
    if part := values.get("autoencoder"):
        values["autoencoder"] = (part["name"], MODELS.get(part["name"]).Config.parse(part["fields"]))
    return values


@pytest.mark.parametrize("name", PREDICTED)
def test_models_of_format_2_predict_what_they_predicted(name: str) -> None:
    model = load_model(OLD_MODELS / name)
    assert model_name(model) == name
    count = model.capabilities.max_context or getattr(model.config, "context", 3)
    side = len(PREDICTED[name][0])  # the middle row of each of three frames is kept
    found = model.predict(frames(1, count, model.config.channels, side, side), 3)[0, :, 0, side // 2]
    torch.testing.assert_close(found, torch.tensor(PREDICTED[name]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", MODELS.names())
def test_what_is_written_today_stays_as_it_is(name: str) -> None:
    written = create_model(name).config.model_dump(mode="json")
    assert renamed(name, written) == (name, written)


def test_members_of_a_mixture_and_an_autoencoder_are_renamed_too() -> None:
    old = {"members": [{"name": "copy-last"}, {"name": "conv3d-residual", "fields": {}}], "width": 2}
    assert renamed("mixture", old)[1]["members"] == [
        {"name": "copy-last"},
        {"name": "catz-conv3d", "fields": {"loss": "perceptual"}},
    ]
    inside = {"autoencoder": {"name": "vcae", "fields": {"shared_output": True, "latent": 3}}}
    assert renamed("latent-lstm", inside) == (
        "latent-lstm",
        {"autoencoder": {"name": "vcae", "fields": {"latent": 3}}},
    )


def test_a_generator_without_an_adversary_is_the_same_whatever_its_discriminators_would_be() -> None:
    given = {"discriminator": "none", "d_table": "ports", "conditional": False, "width": 8}
    assert renamed("multiscale-gan", given) == ("multiscale-gan", {"width": 8, "adversarial_weight": 0.0})


@pytest.mark.parametrize(
    ("name", "fields", "says"),
    [
        ("conv2d", {"head": "linear"}, "'head'"),
        ("convlstm", {"gate": "hard_sigmoid"}, "'gate'"),
        ("multiscale-gan", {"residual": "coarser"}, "'residual'"),
    ],
)
def test_what_no_model_of_today_is_is_refused_by_its_field(name: str, fields: Any, says: str, tmp_path: Path) -> None:
    found, kept = renamed(name, fields)
    with pytest.raises(UserError, match=f"unknown field {says}"):
        create_model(found, **kept)


def test_a_recipe_by_hand_may_be_of_either_format(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    for written in ({"name": "convlstm", "fields": {"head": "same"}}, {"name": "convlstm-keras"}):
        path.write_text(yaml.safe_dump({"model": written, "training": {"steps": 5}}))
        assert read_recipe(path).model.name == "convlstm-keras"
    written = load_recipe("keras-convlstm").to_yaml()
    path.write_text(written)
    assert read_recipe(path).to_yaml() == written


@pytest.mark.parametrize("path", sorted(ROWS.glob("*.json")), ids=lambda path: path.stem)
def test_rows_of_format_1_name_the_model_of_today(path: Path) -> None:
    row = read_row(path)
    written = MODELS.get(row.model).Config.parse(row.config).model_dump(mode="json")
    assert {name: written[name] for name in row.config} == row.config  # fields of later have their defaults
    assert (row.model in ORIGINALS) == (row.entry.startswith("catz-") and not row.entry.endswith("-fixed"))
    if row.training is not None and row.entry in RECIPES:
        trained, recipe = row.training.recipe["model"], RECIPES.get(row.entry).model
        assert trained["name"] == row.model == recipe.name
        config = MODELS.get(row.model).Config
        assert config.parse(trained["fields"]) == config.parse(recipe.fields)


@pytest.mark.slow
def test_originals_take_part_in_a_task_by_their_recipes_only() -> None:
    clips = open_data(DataConfig(context=5, horizon=1, size=(96, 96), color="rgb"))
    assert set(default_names(GIF_NEXT, clips)) & ORIGINALS.keys() <= set(RECIPES)
    task = GIF_NEXT.model_copy(update={"recipes": ()})
    assert not set(default_names(task, clips)) & ORIGINALS.keys()


@pytest.mark.parametrize("name", ORIGINALS)
def test_an_original_is_a_subclass_in_a_room_of_its_own(name: str) -> None:
    kind = MODELS.get(name)
    assert issubclass(kind, MODELS.get(kind.original_of))
    assert kind.__module__.startswith("nextframe.models.originals.")
    assert not any(MODELS.get(other).original_of for other in MODELS if other not in ORIGINALS)


def test_nothing_is_built_on_an_original() -> None:
    source = Path(__file__).parents[1] / "src" / "nextframe"
    for path in source.rglob("*.py"):
        if path.parent.name != "originals" and path.name != "registry.py":
            assert "models.originals" not in path.read_text(encoding="utf-8"), path


FAITHFUL = sorted(
    name
    for name in RECIPES
    if load_recipe(name).model.name in ORIGINALS or name in ("keras-convlstm", "film-latent-original")
)


@pytest.mark.parametrize("name", FAITHFUL)
def test_a_recipe_that_repeats_a_source_computes_as_it_did(name: str) -> None:
    assert load_recipe(name).training.precision == "32"


def test_which_recipes_repeat_a_source() -> None:
    expected = {"keras-convlstm", "mnist-latent-original", "film-latent-original", "mathieu-chainer", "mathieu-tf"}
    assert expected | {"mathieu-paper", "srivastava-mnist", "catz-conv2d", "catz-conv3d"} <= set(FAITHFUL)
    assert not {"quickstart", "multiscale-gan-small", "catz-conv2d-fixed", "mnist-latent"} & set(FAITHFUL)
    assert load_recipe("mnist-latent-original").data.options["digits"] == "mnist"  # never scikit-learn's in silence


def test_adam_of_the_tensorflow_port_has_tensorflows_moments() -> None:
    generator = create_model("mathieu-tf", width=4, d_table="light").rivals()[1]
    assert (generator.optimizer.name, generator.optimizer.lr, generator.optimizer.betas) == ("adam", 4e-5, (0.9, 0.999))
