"""nextframe train: a model or a recipe, on any data, into a run folder."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nextframe.cli.options import (
    AUTO,
    Context,
    Horizon,
    Plugin,
    Quiet,
    Root,
    Set,
    Size,
    TrainData,
    What,
    begin,
    check_files,
    data_settings,
    parse_batch,
    say_start,
    training_settings,
)
from nextframe.cli.sections import only, read_settings, section
from nextframe.core.progress import tell

if TYPE_CHECKING:
    from nextframe.cli.configs import TrainRun
    from nextframe.training import Recipe

LOG = logging.getLogger(__name__)


def train(
    what: What,
    data: TrainData = None,
    root: Root = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The run folder.", show_default="runs/NAME, runs/NAME-2, ...")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Training steps; or give --minutes.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Training time in minutes; or give --steps.")] = None,
    batch: Annotated[str | None, typer.Option(help="Clips per step; auto: as many as fit into memory.")] = None,
    lr: Annotated[float | None, typer.Option(help="The highest learning rate.")] = None,
    size: Size = None,
    context: Context = None,
    horizon: Horizon = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue exactly from the last checkpoint.")] = False,
    setting: Set = None,
    device: Annotated[str | None, typer.Option(hidden=True)] = None,
    seed: Annotated[int | None, typer.Option(hidden=True)] = None,
    plugin: Plugin = None,
    quiet: Quiet = False,
) -> None:
    """Train a model or a recipe into a run folder. Without an option, the recipe's own setting is used.

    Examples:
    nextframe train compact --data my_videos/ --size 64x64 --minutes 30 -o runs/mine
    nextframe train compact --data my_videos/ --size 64x64 --minutes 30 -o runs/mine --resume
    nextframe train keras-convlstm --set training.val_every=90 --set model.hidden=[32,32]
    """
    begin(quiet, plugin)
    say_start(f"{Path(what).stem}: starting", quiet)
    from nextframe.cli.configs import TrainRun
    from nextframe.recipes import load_recipe, recipe_to_resume
    from nextframe.training import override
    from nextframe.training import train as train_run
    from nextframe.training.folder.run_folder import check_folder, newest_run, next_folder
    from nextframe.training.parallel.largest_batch import with_largest_batch

    more = read_settings("train", setting)
    run = TrainRun.parse(section(more, "run"), "run")
    check_files(run.json_file)
    asked, name = load_recipe(what), Path(what).stem
    folder = output or (newest_run(name) if resume else None) or next_folder(name)
    base = recipe_to_resume(folder, asked) if resume else asked
    settings: dict[str, Any] = data_settings(data, root, context, horizon, size)
    clips = parse_batch(batch)
    settings |= training_settings(steps=steps, minutes=minutes, batch=clips, lr=lr, seed=seed, device=device)
    settings |= only(more, "model", "data", "training")
    if base is asked:
        check_data(what, settings)
        settings |= size_unsaid(what, base, settings)
    recipe = override(base, settings)
    if batch == AUTO and base is asked:  # a run that goes on has its number
        check_folder(recipe, folder, resume)
        recipe = with_largest_batch(recipe, run.devices, show=not quiet)
    trained = train_run(recipe, folder, resume=resume, devices=run.devices, show=not quiet)
    if trained.processes.first:  # of those that torchrun started
        channels = trained.model.capabilities.channels
        _finish(folder, run, device or recipe.training.device, predicts=channels in (None, 1, 3))


def check_data(what: str, settings: Mapping[str, Any]) -> None:
    """Refuse a model without data: what trains by default would not be what its user has in mind."""
    from nextframe.core.errors import UserError

    if _is_model(what) and not {"data.name", "data.mix"} & settings.keys():
        raise UserError(f"{what} is a model, so give its data: --data my_videos/ (a path) or --data moving-digits")


def size_unsaid(what: str, recipe: Recipe, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the size that a model reads frames of any size at where nobody says one, and say it.

    Not of a recipe: one that names no size, as those of Mathieu et al., cuts its patches from whole frames.
    """
    from nextframe.api.data import SIZE, any_size

    name = settings.get("data.name")
    said = recipe.data.size is not None or "data.size" in settings
    if name is None or said or not _is_model(what) or not any_size(str(name)):
        return {}
    height, width = SIZE
    tell(LOG, f"{name}: frames are read at {height}x{width}; --size HEIGHTxWIDTH chooses another size")
    return {"data.size": SIZE}


def _is_model(what: str) -> bool:
    from nextframe.models import MODELS
    from nextframe.recipes import RECIPES

    return what in MODELS and what not in RECIPES


def _finish(folder: Path, run: TrainRun, device: str, predicts: bool) -> None:
    """Write the requested files next to the run, and say where everything is; `predicts`: a video's own frames."""
    import json

    from nextframe.core.files.whole_file import write_whole
    from nextframe.training import read_metrics
    from nextframe.training.folder.report import report_validation

    if run.json_file is not None:
        write_whole(run.json_file, json.dumps(read_metrics(folder)[-1]) + "\n")
    if run.report and report_validation(folder, device=device) is not None:
        typer.echo(f"{folder}/report.html")
    more = f"; nextframe predict VIDEO --model {folder} -o out.gif" if predicts else ""
    typer.echo(f"{folder}/model  (nextframe evaluate {folder}{more})")
