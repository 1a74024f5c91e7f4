"""The card of weights: what they were trained on, how, with what result, and where they lose; all from files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

import nextframe
from nextframe.checkpoint.folder import CONFIG, WEIGHTS, find_model_folder, load_model, read_config
from nextframe.core.errors import BadInputError, UserError
from nextframe.core.files.atomic import replaced_folder
from nextframe.core.files.whole_file import write_whole
from nextframe.recipes.weights.asked import runs_of
from nextframe.recipes.weights.material import read_list
from nextframe.recipes.weights.plans import Plan

MODEL, RESULTS, CARD, LICENCE = "model", "results.json", "README.md", "LICENSE"
REAL_NEXT = Path(nextframe.__file__).parents[2] / "results" / "real-next.json"  # in a checkout
WORST = 5  # sources that a card names


def write_card(plan: Plan, folder: Path, real_next: Path = REAL_NEXT) -> Path:
    """Write README.md of `folder`, which holds a model or a call's OUT, and return its path.

    Figures of validation are from results.json, if there is one, and those on real videos from `real_next`.

    Raises:
        BadInputError: no model in the folder.
    """
    place = find_model_folder(folder)
    facts, results = read_config(place), read_json(folder / RESULTS)
    listed = read_list(plan.listed)
    sums = {name: digest for files in listed.kinds.values() for name, digest in files.items()}
    data: dict[str, Any] = results["data"] if results else {"used": sums, "missing": [], "validation": []}
    text = (
        environment()
        .get_template(f"{plan.model}.md.j2")
        .render(
            name=plan.model,
            parameters=sum(parameter.numel() for parameter in load_model(place).parameters()),
            runs=runs_of(facts),
            sha256=facts["weights_sha256"],
            licence=plan.licence,
            task=plan.task,
            results=results,
            data=data,
            elsewhere=any(sums.get(name) != digest for name, digest in data["used"].items()),
            real=real_figures(read_json(real_next), plan.model),
        )
    )
    write_whole(folder / CARD, text)
    return folder / CARD


def environment() -> Environment:
    """Return how cards are written: an unknown name is an error."""
    loader = PackageLoader("nextframe.recipes", "weights")
    made = Environment(loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters["thousands"] = "{:,}".format
    return made


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the object in a JSON file, None if there is no file.

    Raises:
        BadInputError: it is not JSON.
    """
    if not path.is_file():
        return None
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadInputError(path, f"is not JSON ({error})") from None
    return found


def real_figures(values: dict[str, Any] | None, model: str) -> dict[str, Any] | None:
    """Return what a card shows of a result of real-next, and where `model` is worst; None if it has no row."""
    row = next((row for row in values["rows"] if row["model"] == model), None) if values else None
    if values is None or row is None:
        return None
    losses = [
        (source, gain, rival)
        for rival, compared in row["compared"].items()
        for source, gain in compared.get("per_source", {}).items()
        if gain is not None and gain < 0
    ]
    return {**values, "row": row, "worst": sorted(losses, key=lambda loss: loss[1])[:WORST]}


def ship(out: Path, shipped: Path) -> Path:
    """Replace the folder `shipped` of weights that come with the package by those in `out`, with results and card.

    A licence file that is there stays.

    Raises:
        BadInputError: `out` has no results.
        UserError: they are no better on the validation clips than those that ship.
    """
    results, licence = read_json(out / RESULTS), shipped / LICENCE
    if results is None:
        raise BadInputError(out, f"has no {RESULTS}", "train first")
    if not results["validation"]["improved"]:
        raise UserError(f"{out}: no better on the validation clips than the weights that ship, which stay as they are")
    with replaced_folder(shipped) as new:
        for path in (out / MODEL / CONFIG, out / MODEL / WEIGHTS, out / RESULTS, out / CARD):
            shutil.copyfile(path, new / path.name)
        if licence.is_file():
            shutil.copyfile(licence, new / LICENCE)
    return shipped
