"""What goes to the Hub: the model folder, its recipe, its results, examples, and a model card."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from nextframe import __version__
from nextframe.checkpoint import load_model, model_name
from nextframe.checkpoint.folder import CONFIG, WEIGHTS, find_model_folder, read_config
from nextframe.core.errors import BadInputError
from nextframe.core.files.whole_file import sha256_of, write_whole
from nextframe.data import DATASETS, DataConfig
from nextframe.data.clipset import MixPart
from nextframe.evaluation import Evaluation, evaluate
from nextframe.evaluation.result import ZERO
from nextframe.evaluation.table import ARROW
from nextframe.evaluation.verdict import extremes, findings, headline, number, spread
from nextframe.media.writer import write_video
from nextframe.models.contract import Predictor
from nextframe.prediction.shown.panels import comparison_animation
from nextframe.training import Recipe, read_metrics, read_recipe

TEMPLATE = "card.md.j2"
EXAMPLES = 3
SLOWEST, FASTEST = 3.0, 12.0  # frames per second of the examples: slow enough to follow


def write_shared(
    run: str | os.PathLike[str],
    folder: Path,
    name: str,
    *,
    licence: str = "apache-2.0",
    clips: int | None = None,
    device: str = "auto",
) -> Path:
    """Write what the Hub gets of a run to the new `folder`: the model, README.md and its images.

    The model is measured on the test split of its own data, together with the baselines. Local paths stay private: of
    the path of the data only the last name is kept.

    Args:
        run: a run folder.
        folder: empty or missing.
        name: user/name, for the card's example.
        licence: an identifier of the Hub, such as apache-2.0 or cc-by-4.0.
        clips: measure this many clips only; None: the whole split.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        BadInputError: no run folder, or a `folder` that is not empty.
    """
    run = Path(run)
    if not (run / "recipe.yaml").is_file():
        raise BadInputError(run, "has no recipe.yaml, which the card needs", "give a run folder")
    if folder.is_dir() and any(folder.iterdir()):
        raise BadInputError(folder, "is not empty", "give a new folder")
    recipe, model = read_recipe(run), load_model(run)
    command = f"nextframe push {run.name} {name}" + (f" --clips {clips}" if clips else "")
    evaluation = evaluate(
        model, recipe.data, "test", clips=clips, device=device, seed=recipe.training.seed, examples=EXAMPLES,
        command=command,
    )  # fmt: skip
    evaluation = replace(evaluation, rows=[replace(row, data=told(row.data)) for row in evaluation.rows])
    folder.mkdir(parents=True, exist_ok=True)
    _write_model(run, folder)
    write_whole(folder / "recipe.yaml", _told_recipe(recipe).to_yaml())
    evaluation.write_json(folder / "results.json")
    images = _write_examples(evaluation, folder)
    write_whole(folder / "README.md", _card(run, name, licence, recipe, model, evaluation, images))
    return folder


def told(data: str) -> str:
    """Return the public name of a data set: of paths, the last part of each."""
    return data if data in DATASETS else ", ".join(Path(part.strip()).name for part in data.split(","))


def _told_recipe(recipe: Recipe) -> Recipe:
    mix = tuple(part.model_copy(update=_told_place(part)) for part in recipe.data.mix)
    data = recipe.data.model_copy(update={**_told_place(recipe.data), "mix": mix})
    return recipe.model_copy(update={"data": data})


def _told_place(data: DataConfig | MixPart) -> dict[str, Any]:
    options = {key: value for key, value in data.options.items() if key != "root"}
    return {"name": told(data.name), "options": options}


def _write_model(run: Path, folder: Path) -> None:
    """Copy the model's two files, without the local path of its data."""
    source = find_model_folder(run)
    facts = read_config(source)
    if facts.get("task"):
        facts["task"]["data"] = told(facts["task"].get("data") or "")
    facts["weights_sha256"] = facts["weights_sha256"] or sha256_of(source / WEIGHTS)  # format 1 had none
    write_whole(folder / CONFIG, json.dumps(facts, indent=2) + "\n")
    shutil.copyfile(source / WEIGHTS, folder / WEIGHTS)


def _write_examples(evaluation: Evaluation, folder: Path) -> list[tuple[str, str]]:
    """Write each example as a clip, from left: truth, model, best baseline; return file names and captions.

    The best and the worst clip come first; only they have captions.
    """
    ranked = [row.model for row in evaluation.ranked(evaluation.metrics[0])]
    beside = [name for name in ranked if name not in (evaluation.model, ZERO)][:1]
    ends = zip(("best", "worst"), extremes(evaluation), strict=False)
    told = [(f"{end}.gif", caption, each.example) for end, (caption, each) in ends]
    told += [(f"prediction-{index}.gif", "", example) for index, example in enumerate(evaluation.examples, 1)]
    for name, _, example in told:
        shown = {model: example.predictions[model] for model in (evaluation.model, *beside)}
        clip = comparison_animation(example.context, example.truth, shown)
        write_video(folder / name, clip, min(FASTEST, max(SLOWEST, evaluation.fps / 2)))
    return [(name, caption) for name, caption, _ in told]


def _card(
    run: Path,
    name: str,
    licence: str,
    recipe: Recipe,
    model: Predictor,
    evaluation: Evaluation,
    images: list[tuple[str, str]],
) -> str:
    environment = Environment(loader=PackageLoader("nextframe", "publish"), undefined=StrictUndefined, trim_blocks=True)
    environment.filters |= {"number": number, "spread": spread}
    return environment.get_template(TEMPLATE).render(
        front=_front_matter(name, licence, recipe, evaluation),
        name=name,
        title=name.split("/")[-1],
        licence=licence,
        kind=model_name(model),
        model=model,
        parameters=sum(p.numel() for p in model.parameters()),
        task=model.trained,
        recipe=recipe,
        data=told(recipe.data.name),
        trained=_trained(run),
        evaluation=evaluation,
        headline=headline(evaluation),
        findings=findings(evaluation),
        metrics=evaluation.distinct_metrics,
        arrow=ARROW,
        images=images,
        version=__version__,
    )


def _front_matter(name: str, licence: str, recipe: Recipe, evaluation: Evaluation) -> str:
    """Return the card's metadata as YAML, the results as the Hub's model index has them."""
    rows = [evaluation.row(evaluation.model, metric) for metric in evaluation.distinct_metrics]
    metrics = [{"type": row.metric, "name": row.metric, "value": row.mean} for row in rows]
    data = {"name": f"{rows[0].data} ({rows[0].split} split)", "type": rows[0].data.split(",")[0] or "video"}
    values = {
        "license": licence,
        "library_name": "nextframe",
        "tags": ["nextframe", "video-prediction", recipe.model.name],
        "metrics": [row.metric for row in rows],
        "model-index": [
            {
                "name": name.split("/")[-1],
                "results": [{"task": {"type": "video-prediction"}, "dataset": data, "metrics": metrics}],
            }
        ],
    }
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def _trained(run: Path) -> dict[str, Any]:
    """Return the last step and seconds in a run's log."""
    lines = [line for line in read_metrics(run) if "seconds" in line]
    if not lines:
        return {"steps": 0, "seconds": 0.0}
    return {"steps": int(lines[-1]["step"]), "seconds": float(lines[-1]["seconds"])}
