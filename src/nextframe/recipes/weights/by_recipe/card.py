"""The card of a recipe's weights: what it is, its material, its training, its figures and where it loses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from nextframe.checkpoint import model_name
from nextframe.checkpoint.folder import WEIGHTS, read_config
from nextframe.core.files.whole_file import write_whole
from nextframe.evaluation import Evaluation
from nextframe.evaluation.table import ARROW
from nextframe.evaluation.verdict import findings, headline, number, spread
from nextframe.models.contract import Predictor
from nextframe.recipes.load import load_recipe
from nextframe.recipes.weights.by_recipe.images import CLIP
from nextframe.recipes.weights.by_recipe.plans import RecipePlan
from nextframe.recipes.weights.card import environment
from nextframe.training.recipe import Recipe

FREE_VIDEO = "docs/media/stream-of-water.mp4"  # of the repository
RESULTS, CARD, TEMPLATE = "results.json", "README.md", "by_recipe/card.md.j2"


def write_card(
    plan: RecipePlan,
    name: str,
    model: Predictor,
    recipe: Recipe,
    evaluation: Evaluation,
    calls: list[dict[str, Any]],
    folder: Path,
) -> None:
    """Write results.json and README.md of the model folder `folder`, without paths of this machine."""
    evaluation = replace(evaluation, rows=[replace(row, data=_told(plan, recipe)) for row in evaluation.rows])
    evaluation.write_json(folder / RESULTS)
    made = environment()
    made.filters |= {"number": number, "spread": spread}
    whole = load_recipe(plan.recipe).training.batch
    clips = sum(call["steps"] * call.get("batch", recipe.training.batch) for call in calls)
    text = made.get_template(TEMPLATE).render(
        name=name,
        plan=plan,
        kind=model_name(model),
        model=model,
        task=model.trained,
        any_size=model.capabilities.any_size,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        megabytes=(folder / WEIGHTS).stat().st_size / 1e6,
        sha256=read_config(folder)["weights_sha256"],
        calls=calls,
        whole=whole,
        batch=recipe.training.batch,
        share=None if plan.whole is None else 100 * clips / (plan.whole * whole),
        evaluation=evaluation,
        headline=headline(evaluation),
        findings=findings(evaluation),
        arrow=ARROW,
        clip=FREE_VIDEO if plan.anywhere else f"{place(plan, name)}/{CLIP}",
    )
    write_whole(folder / CARD, text)


def place(plan: RecipePlan, name: str) -> str:
    """Return where the folder is in the repository."""
    return f"src/nextframe/checkpoint/shipped/{name}" if plan.ships else f"weights/{name}"


def _told(plan: RecipePlan, recipe: Recipe) -> str:
    """Return the name of the data without a path."""
    named = recipe.data.name
    return named if "/" not in named and "\\" not in named else plan.material.told
