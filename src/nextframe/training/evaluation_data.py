"""Which clips a model is measured on by default: those of its own run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nextframe.core.settings import set_dotted
from nextframe.data import DataConfig
from nextframe.data.open import check_there
from nextframe.training.recipe import choose_data, read_recipe


def evaluation_data(model: str, settings: Mapping[str, Any]) -> DataConfig:
    """Return the data of the run folder `model`, or the default data of a baseline, with `settings` replaced.

    Another data set starts from its own options; context, horizon and size stay those that the model was trained for.

    Args:
        model: a run folder, a model folder or a baseline's name.
        settings: dotted, as {"data.horizon": 20}.

    Raises:
        UserError: the data of the run is no longer where it was, and no other is given.
    """
    folder = Path(model)
    own = read_recipe(folder).data if (folder / "recipe.yaml").exists() else DataConfig()
    if "data.name" not in settings and "data.mix" not in settings:
        check_there(own, model)
    values = own.model_dump()
    if settings.get("data.name", values["name"]) != values["name"]:
        values["options"] = {}
    choose_data(values, settings)
    for key, value in settings.items():
        set_dotted(values, key.removeprefix("data."), value)
    return DataConfig.parse(values)
