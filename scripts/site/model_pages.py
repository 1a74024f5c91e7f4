"""Write docs/models/: a card for each registered model and each that comes trained; `make docs` runs it.

Usage: python scripts/site/model_pages.py [FOLDER]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from evidence import COSTS, ROOT, Finding, cost_words, costs, findings, read

from nextframe.benchmark.cells import markdown_table, short_count
from nextframe.checkpoint import create_model, find_here, load, needs_training, trained_models
from nextframe.checkpoint.folder import read_config
from nextframe.core.clip import Task
from nextframe.models import CITED, MODELS, ORIGINALS

PAGES = {
    "baselines": ("Baselines", "Nothing is trained. Every table of `nextframe evaluate` has those that fit."),
    "trainable": (
        "Trainable models",
        "Models in sizes that train on a laptop or one GPU: `nextframe train NAME --data my_videos/`.",
    ),
    "published": (
        "Published, large",
        "Networks of papers in their sizes, equal to the authors' code to rounding "
        "([how that is tested](../cited-models.md)). They want a GPU and hours; [the protocols](../protocols.md) have "
        "the recipes and the figures that others published. None was trained here to those figures.",
    ),
    "originals": (
        "Originals",
        "The forms that papers, notebooks and public codes have, with their faults, to repeat them. For anything else "
        "take the model that each is a form of.",
    ),
}
WRITTEN = "Written by `make docs` from the registry and the results files."
NOT_MEASURED = "not measured here"
FEWEST = 5  # sources of a verdict, as in evaluations


def group(name: str) -> str:
    """Return the page of a model."""
    if name in ORIGINALS:
        return "originals"
    return "published" if name in CITED else "trainable" if needs_training(name) else "baselines"


def page(kind: str, known: Iterable[Finding]) -> str:
    """Return the page of all models of a kind: what the figures are, a table of all, a card of each."""
    title, about = PAGES[kind]
    names = [name for name in MODELS if group(name) == kind]
    cards = [card(name, [found for found in known if found.model == name]) for name in names]
    return "\n\n".join([f"# {title}", about, WRITTEN, overview(names), how(), *cards]) + "\n"


def overview(names: list[str]) -> str:
    """Return a table of models with what they cost."""
    known, rows = costs(), []
    for name in names:
        cost = cost_words(known[name]) if name in known else {}
        cells = [cost.get(head, "").partition(" of one")[0].partition(" beside")[0] for head in ("Time", "Memory")]
        figures = [cell.replace(" ", "&nbsp;") for cell in (cost.get("Parameters", ""), *cells)]  # a unit stays beside
        rows.append([f"[`{name}`](#{anchor(name)})", MODELS.get(name).idea, *figures])
    return markdown_table(["model", "idea", "parameters", "time", "memory"], rows)


def how() -> str:
    """Return what the costs are of."""
    run = read(COSTS).get("run", {})
    if not run:
        return "Costs were not measured yet."
    return (
        "Time and memory: one clip of 64x64 in the model's default size, untrained, ten frames from ten unless its "
        f"card says otherwise, on one core of {run['machine']} (processor time; load {run['load'][0]:.1f} to "
        f"{run['load'][1]:.1f}); memory is what the process holds at most beyond what it held before. From "
        f"[{COSTS}](../../results/{COSTS})."
    )


def anchor(name: str) -> str:
    """Return what GitHub calls a heading `name`."""
    return "".join(letter for letter in name.lower() if letter.isalnum() or letter in "-_")


def card(name: str, known: list[Finding]) -> str:
    """Return the card of a registered model."""
    model = MODELS.get(name)
    facts = {"Choose it": model.when}
    if name in ORIGINALS:
        whole = f"[`{model.original_of}`]({group(model.original_of)}.md#{anchor(model.original_of)})"
        facts = {"Choose it": f"To repeat its source, faults included; for anything else {whole}."}
    facts |= {"Paper or source": model.paper} if model.paper else {}
    cost = costs().get(name)
    if cost:
        other = "" if (cost["context"], cost["horizon"]) == (10, 10) else f" ({cost['what']})"
        words = cost_words(cost)
        facts |= {"Parameters": words["Parameters"], "Compute": words["Compute"]}
        facts |= {"Time, memory": f"{words['Time']}, {words['Memory']}{other}"}
    facts |= {} if cost else {"Time, memory": NOT_MEASURED}
    facts |= {} if known else {"Quality": NOT_MEASURED}
    facts["Try"] = f"`{command(name)}`"
    parts = [f"## `{name}`", f"*{model.idea}*", markdown_table(["", ""], [[f"**{k}**", v] for k, v in facts.items()])]
    return "\n\n".join([*parts, quality(known)] if known else parts)


def command(name: str) -> str:
    """Return a command that uses the model."""
    if needs_training(name):
        return f"nextframe train {name} --data my_videos/ --minutes 10"
    between = not create_model(name).capabilities.serves(Task.forecast(2, 1))
    return f"nextframe {'interpolate' if between else 'predict'} cat.mp4 --model {name}"


def quality(known: list[Finding]) -> str:
    """Return what was measured of a model as a table."""
    rows = [[f.task, f.figure, f.last_frame, f.gain, f.training, f"[file](../../{f.file})"] for f in known]
    return markdown_table(
        ["task, metric", "mean ± half the 95 % interval", "last frame", "gain over it", "training", "from"], rows
    )


# --- those that come trained


def weights_page() -> str:
    """Return the page of the models that come trained."""
    about = (
        "Ready for `nextframe predict VIDEO --model NAME`. The first two are in the package, the others come with a "
        "clone of the repository. [How they are trained again](../weights.md)."
    )
    cards = [trained_card(name) for name in trained_models()]
    return "\n\n".join(["# Weights that come trained", about, WRITTEN, *filter(None, cards)]) + "\n"


def trained_card(name: str) -> str:
    """Return the card of a trained model that is in this checkout, "" of one that is elsewhere."""
    folder = find_here(name)
    if folder is None:
        return ""
    facts = read_config(folder)
    task, training = facts.get("task") or {}, facts.get("training") or {}
    kind = str(facts["model"])
    below = folder.relative_to(ROOT).as_posix()
    size = (folder / "model.safetensors").stat().st_size / 1e6
    count = sum(parameter.numel() for parameter in load(name).parameters())
    rows = {
        "Model": f"[`{kind}`]({group(kind)}.md#{anchor(kind)})",
        "Frames": frames(task),
        "Trained on": str(task.get("data")),
        "Parameters": f"{short_count(count)}, {size:.1f} MB",
        "Time, memory": cost_of(f"weights/{name}" if task.get("size") else kind),
        "Licence": str(training.get("licence")),
        "Quality": trained_quality(folder, name),
        "Card": f"[training, every figure, where it loses](../../{below}/README.md)",
    }
    idea = training.get("about") or MODELS.get(kind).idea
    table = markdown_table(["", ""], [[f"**{head}**", value] for head, value in rows.items()])
    images = sorted(folder.glob("prediction-1.gif"))
    shown = [f"![{name}: truth and prediction](../../{below}/{image.name})" for image in images]
    return "\n\n".join([f"## `{name}`", f"*{idea}*", *shown, table])


def cost_of(name: str) -> str:
    """Return what a prediction of the task that a model was trained for takes, in words."""
    cost = costs().get(name)
    if cost is None:
        return NOT_MEASURED
    words = cost_words(cost)
    return f"{words['Time']}, {words['Memory']} ({cost['what']})"


def frames(task: dict[str, Any]) -> str:
    """Return what goes in and out, in words."""
    size = "x".join(map(str, task["size"])) if task.get("size") else "any size"
    color = {1: ", grey", 3: ", colour"}.get(task.get("channels") or 0, "")
    return f"{task['context']} in, {task['horizon']} out, {size}{color}; further frames are rolled out"


def trained_quality(folder: Path, name: str) -> str:
    """Return a trained model's MSE and that of the best baseline, with the interval of their difference."""
    path = folder / "results.json"
    if not path.exists():
        return "; ".join(f"{f.task}: {f.figure}, the last frame {f.last_frame}" for f in findings() if f.model == name)
    found = json.loads(path.read_text(encoding="utf-8"))
    means = {row["model"]: row["mean"] for row in found["rows"] if row["metric"] == "mse"}
    best = min((model for model in means if model != name), key=lambda model: means[model])
    gaps = {row["baseline"]: row for row in found.get("differences", []) if row["metric"] == "mse"}
    said = verdict(gaps[best]) if best in gaps else "the difference was not measured"
    return f"MSE of a pixel {means[name]:.4f}, the best baseline (`{best}`) {means[best]:.4f}: {said}"


def verdict(gap: dict[str, Any]) -> str:
    """Return what a difference over sources says, in words."""
    if gap["ci95"] is None or gap["n"] < FEWEST:
        return f"{gap['n']} sources are too few to tell"
    low, high = sorted(abs(end) for end in gap["ci95"])
    if gap["ci95"][0] < 0 < gap["ci95"][1]:
        return "the difference may be chance"
    return f"{'better' if gap['mean'] > 0 else 'worse'} by {abs(gap['mean']):.2g} ({low:.2g} to {high:.2g})"


def main() -> int:
    """Write every page."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "models"
    folder.mkdir(parents=True, exist_ok=True)
    known = findings()
    for kind in PAGES:
        (folder / f"{kind}.md").write_text(page(kind, known), encoding="utf-8")
    (folder / "weights.md").write_text(weights_page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
