"""Train the rows of docs/multiscale-gan.md at one budget, measure them, write results/mspacman-gan.json.

    python bench/mspacman_gan.py ../shared/data/mspacman_dataset/Ms_Pacman_Train_8episodes.zip

Of the archive's episodes the last two are the test split, the one before them is val, the others are train. Crops of
32x32 in which something moves are cut once by `nextframe.data.prepared.prepare`; every model trains on the same ones,
with the same seed, steps, batch and optimiser, and is measured on whole frames of the test episodes: two from four.
Everything lies in one folder, and a run that was killed goes on with the same command.
"""

from __future__ import annotations

import argparse
import json
import time
import zipfile
from pathlib import Path
from typing import Any

from nextframe.core.files.whole_file import write_whole
from nextframe.data import DataConfig
from nextframe.data.prepared.config import PrepareConfig
from nextframe.data.prepared.prepare import prepare
from nextframe.evaluation import evaluate, run_facts
from nextframe.recipes import RECIPES
from nextframe.training import Recipe, override, train

METRICS = ("psnr", "psnr-moving", "ssim", "ssim-moving", "sharpness-difference", "sharpness-difference-moving")
BASELINES = ("copy-last", "flow")
L2 = {"model.p": 2, "model.gradient_weight": 0.0, "model.adversarial_weight": 0.0}
ROWS: dict[str, dict[str, Any]] = {
    "single-scale l2": L2 | {"model.scales": 1},
    "multi-scale l2": L2,
    "multi-scale l1": {"model.gradient_weight": 0.0, "model.adversarial_weight": 0.0},
    "multi-scale GDL + l1": {"model.adversarial_weight": 0.0},
    "multi-scale Adv + GDL + l1": {},
}


def main() -> None:
    """Make what is not there yet: frames, clips, runs, measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path, help="the archive of episodes, folders of PNG frames")
    parser.add_argument("--work", type=Path, default=Path("runs/mspacman-gan"), help="everything but the results")
    parser.add_argument("--steps", type=int, default=1500, help="of every trained row")
    parser.add_argument("--test-clips", type=int, default=80, help="evenly chosen of the test episodes")
    parser.add_argument("--rows", nargs="*", choices=list(ROWS), default=list(ROWS), help="train these only")
    parser.add_argument("--train-only", action="store_true", help="measure nothing")
    parser.add_argument("--json", type=Path, default=Path("results/mspacman-gan.json"))
    given = parser.parse_args()
    started = time.monotonic()
    frames = unpack(given.archive, given.work / "frames")
    clips = given.work / "clips"
    prepare(frames, clips, PrepareConfig(clips=20_000, held_out=512), show=False)
    runs = {name: given.work / f"{folder_name(name)}-{given.steps}" for name in given.rows}
    trained = {name: train_row(name, clips, runs[name], given.steps) for name in given.rows}
    if not given.train_only:
        table = measure(runs, frames, given.test_clips)
        facts = run_facts(None, 0, started) | {"training": trained}
        write_whole(given.json, json.dumps({"rows": table, "run": facts}, indent=1) + "\n")


def folder_name(row: str) -> str:
    """Return a row's name as that of a folder."""
    return row.replace(" + ", "-").replace(" ", "-").lower()


def unpack(archive: Path, folder: Path) -> Path:
    """Write the frames of `archive` to folder/SPLIT/EPISODE/; nothing where they are there already."""
    done = folder.with_name(f"{folder.name}.complete")
    if done.exists():
        return folder
    with zipfile.ZipFile(archive) as file:
        names = [name for name in file.namelist() if name.endswith(".png")]
        episodes = sorted({Path(name).parent.name for name in names})
        splits = dict.fromkeys(episodes, "train") | {episodes[-3]: "val"} | dict.fromkeys(episodes[-2:], "test")
        for name in names:
            path = folder / splits[Path(name).parent.name] / Path(name).parent.name / Path(name).name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.read(name))
    done.touch()
    return folder


def recipe_of(row: str, clips: Path, steps: int) -> Recipe:
    """Return the recipe of a row: `multiscale-gan-small` with another loss, or one scale."""
    settings = {"data.name": str(clips), "training.steps": steps, "training.log_every": 50, **ROWS[row]}
    return override(RECIPES.get("multiscale-gan-small"), settings)


def train_row(row: str, clips: Path, folder: Path, steps: int) -> dict[str, Any]:
    """Train a row, or go on with it; return its budget."""
    recipe = recipe_of(row, clips, steps)
    run = train(recipe, folder, resume=True, show=True)
    facts = {"steps": run.trainer.step, "batch": recipe.training.batch, "seconds": round(run.trainer.seconds, 1)}
    return facts | {"generator parameters": sum(p.numel() for p in run.model.generator.parameters())}


def measure(runs: dict[str, Path], frames: Path, clips: int) -> list[dict[str, Any]]:
    """Return the rows of the baselines and of every run, on whole frames of the test split.

    What a run has measured already is read from its folder.
    """
    data = DataConfig(name=str(frames), context=4, horizon=2, options={"across_cuts": True})
    models = {name: (name, frames.parent) for name in BASELINES} | {
        name: (str(runs[name]), runs[name]) for name in runs
    }
    rows: list[dict[str, Any]] = []
    for name, (model, folder) in models.items():
        path = folder / f"measured-{folder_name(name)}-{clips}.json"
        if not path.exists():
            evaluate(model, data, "test", metrics=METRICS, baselines=(), clips=clips, batch=4, name=name).write_json(
                path
            )
        rows += json.loads(path.read_text())["rows"]
    return rows


if __name__ == "__main__":
    main()
