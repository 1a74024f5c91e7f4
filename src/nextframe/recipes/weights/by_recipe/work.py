"""One call for the weights of a recipe: trains on in OUT, measures on the test split, writes the model folder."""

from __future__ import annotations

import json
import logging
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nextframe.checkpoint import load_model, model_name, save_model
from nextframe.checkpoint.folder import CONFIG, WEIGHTS
from nextframe.checkpoint.weights import SHIPPED, weights_folder
from nextframe.core.errors import BadInputError, UserError
from nextframe.core.files.atomic import replaced_folder
from nextframe.core.files.whole_file import check_folder, write_whole
from nextframe.evaluation import evaluate
from nextframe.evaluation.run_facts import run_facts
from nextframe.models.contract import Predictor, TrainedTask
from nextframe.recipes.load import load_recipe
from nextframe.recipes.weights.asked import Asked
from nextframe.recipes.weights.by_recipe.card import RESULTS, write_card
from nextframe.recipes.weights.by_recipe.images import write_images
from nextframe.recipes.weights.by_recipe.plans import RecipePlan
from nextframe.training.folder.checkpoints import load_state
from nextframe.training.recipe import Recipe, override
from nextframe.training.run import train

LOG = logging.getLogger(__name__)
MODEL, RUN, MATERIAL, CALLS = "model", "run", "material", "calls.json"
METRICS = ("mse", "mae", "psnr", "ssim")


@dataclass(frozen=True)
class Spent:
    """What the run in OUT has had so far."""

    steps: int = 0
    seconds: float = 0.0


def train_recipe_weights(plan: RecipePlan, asked: Asked, data: Path | None) -> Path:
    """Train for the budget of one call, and write OUT/model, whose path is returned.

    OUT gets run/ (an ordinary run folder, which a later call goes on with), calls.json, and model/: weights in half
    precision, config.json, results.json, README.md, two GIFs of the test split and a clip to try it on.

    Raises:
        UserError: the material is absent, or OUT holds something else or a run of other settings.
    """
    plan = plan.for_device(asked.device)  # what is stored tells these settings alone
    check_folder(asked.out)
    before = spent(asked.out / RUN)
    if not before.steps and asked.out.is_dir() and _others(asked.out):
        raise BadInputError(asked.out, "holds other things", "give a new folder as OUT")
    recipe = recipe_for(plan, asked, data, before)
    began = time.monotonic()
    try:
        train(recipe, asked.out / RUN, resume=(asked.out / RUN / "recipe.yaml").exists())
    finally:
        calls = _add_call(asked, before, began, recipe.training.batch)  # of one that is interrupted too
    return write_weights(plan, asked, recipe, calls)


def recipe_for(plan: RecipePlan, asked: Asked, data: Path | None, before: Spent) -> Recipe:
    """Return the recipe of a call: the plan's, with the budget of the call added to what was spent `before`."""
    budget = {"training.minutes": before.seconds / 60 + (asked.minutes or 0)}
    if asked.steps is not None:
        budget = {"training.steps": before.steps + asked.steps}
    own = {"training.seed": asked.seed, "training.device": asked.device}
    if not asked.compile:
        own["training.compile"] = False
    rate = {} if asked.lr is None else {"training.lr": asked.lr}
    material = plan.material.settings(data, asked.out / MATERIAL)
    return override(load_recipe(plan.recipe), {**material, **plan.settings, **own, **rate, **budget})


def spent(run: Path) -> Spent:
    """Return the steps and seconds of the run folder `run`, none if there is no checkpoint."""
    state = load_state(run / "checkpoints")
    if state is None:
        return Spent()
    counters = state["counters"]
    return Spent(int(counters["step"]), float(counters["seconds"]))


def _others(out: Path) -> list[str]:
    return [path.name for path in out.iterdir() if path.name not in (RUN, MATERIAL)]


def _add_call(asked: Asked, before: Spent, began: float, batch: int) -> list[dict[str, Any]]:
    """Store what this call did, if it took a step, beside those before it, and return all."""
    path, after = asked.out / CALLS, spent(asked.out / RUN)
    calls: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    if after.steps == before.steps:
        return calls
    facts = run_facts(asked.command(), asked.seed, began)
    did = {"steps": after.steps - before.steps, "seconds": round(after.seconds - before.seconds, 1), "batch": batch}
    calls.append(facts | did)
    write_whole(path, json.dumps(calls, indent=1) + "\n")
    return calls


def write_weights(plan: RecipePlan, asked: Asked, recipe: Recipe, calls: list[dict[str, Any]]) -> Path:
    """Write OUT/model from the run in OUT: weights, figures, images and card."""
    folder = asked.out / MODEL
    with replaced_folder(folder) as new:
        trained = load_model(asked.out / RUN)
        save_model(trained, new / MODEL, task=_task(plan, trained), training=_training(plan, calls), half=True)
        for name in (CONFIG, WEIGHTS):
            (new / MODEL / name).rename(new / name)
        (new / MODEL).rmdir()
        model = load_model(new)  # what is measured is what was stored
        evaluation = evaluate(
            model, recipe.data, metrics=METRICS, clips=plan.clips, device=asked.device, seed=asked.seed,
            name=asked.name, command=asked.command(),
        )  # fmt: skip
        write_images(model.to("cpu"), recipe, plan, asked.name, new)  # the evaluation took it to its own device
        write_card(plan, asked.name, model, recipe, evaluation, calls, new)
    LOG.info("%s: %s", folder, (folder / RESULTS).name)
    return folder


def _task(plan: RecipePlan, model: Predictor) -> TrainedTask:
    """Return what the model was trained for, in words instead of paths."""
    if model.trained is None:
        raise UserError(f"{model_name(model)} does not say what it was trained for")
    return model.trained.model_copy(update={"data": plan.material.told, "sources": plan.material.sources})


def _training(plan: RecipePlan, calls: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "about": plan.about,
        "recipe": plan.recipe,
        "settings": {name: list(value) if isinstance(value, tuple) else value for name, value in plan.settings.items()},
        "material": plan.material.told,
        "licence": plan.licence,
        "runs": calls,
    }


def ship_recipe_weights(plan: RecipePlan, out: Path, name: str) -> Path:
    """Put what OUT holds into the package or into `weights/` of the checkout, over what is there, and return where.

    Raises:
        BadInputError: OUT has no model folder with results.
        UserError: it belongs into a checkout, and none runs.
    """
    if not (out / MODEL / RESULTS).is_file():
        raise BadInputError(out, f"has no {MODEL}/{RESULTS}", "train first")
    beside = SHIPPED if plan.ships else weights_folder()
    if beside is None:
        raise UserError("--ship: these weights belong into weights/ of a checkout of the repository: run it there")
    with replaced_folder(beside / name) as new:
        for path in (out / MODEL).iterdir():
            shutil.copyfile(path, new / path.name)
    return beside / name
