"""nextframe latent: images of a model's latent space."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nextframe.cli.options import (
    Context,
    Horizon,
    Plugin,
    Quiet,
    Root,
    Seed,
    Set,
    Size,
    begin,
    check_split,
    data_settings,
)
from nextframe.cli.sections import read_settings

if TYPE_CHECKING:
    from nextframe.data import ClipSet, DataConfig
    from nextframe.data.clipset import Split
    from nextframe.models.contract import Predictor


def latent(
    model: Annotated[
        str, typer.Argument(metavar="RUN", help="A run folder of composite-lstm, an autoencoder or latent-lstm.")
    ],
    clip: Annotated[
        Path | None, typer.Option(metavar="VIDEO", help="Draw this video from its start, instead of a data set.")
    ] = None,
    separate: Annotated[
        bool, typer.Option("--separate", help="Take one of two objects out of a state, and decode the other.")
    ] = False,
    output: Annotated[Path, typer.Option("-o", "--output", help="A folder for the images.")] = Path("latent"),
    data: Annotated[str | None, typer.Option(help="A data set or a path; the run's own by default.")] = None,
    root: Root = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "val",
    gifs: Annotated[
        int, typer.Option(min=1, help="Animations of primed and free frames, of clips that --seed chooses.")
    ] = 1,
    context: Context = None,
    horizon: Horizon = None,
    size: Size = None,
    setting: Set = None,
    seed: Seed = 0,
    plugin: Plugin = None,
    quiet: Quiet = False,
) -> None:
    """Draw what a state or a latent space keeps: reconstructed and predicted frames beside the true ones.

    Of a model like composite-lstm both-ways.png: the original frames, and under them the context reconstructed and the
    future predicted; with --separate also separated.png. Of an autoencoder or latent-lstm what lies between two
    latents too, and primed and free predictions.

    Examples:
    nextframe latent runs/lstm -o images
    nextframe latent runs/lstm --clip cat.gif -o images
    nextframe latent runs/lstm --separate -o images
    nextframe latent runs/digits -o images --context 30 --horizon 30 --gifs 30
    """
    from nextframe.checkpoint import resolve_model
    from nextframe.core.errors import UserError
    from nextframe.data import open_data
    from nextframe.models.protocols import StateCoder
    from nextframe.prediction.latent_images import draw_latents

    begin(quiet, plugin)
    part = check_split(split)
    settings = data_settings(data, root, context, horizon, size) | read_settings("latent", setting)
    if clip is not None:
        if data is not None:
            raise UserError("--clip and --data both say what to draw: give one of them")
        settings, part = settings | _whole(clip), "train"
    net = resolve_model(model)
    config = _config(model, net, settings, separate)
    if isinstance(net, StateCoder):
        _draw_states(net, open_data(config), part, output, separate, seed)
        return
    if separate:
        raise UserError(f"--separate is for a model whose state can be decoded, such as composite-lstm: not {model}")
    for path in draw_latents(net, open_data(config), part, output, seed, gifs):
        typer.echo(str(path))


def _whole(clip: Path) -> dict[str, Any]:
    """Return the settings with which all of a video is the train split, cuts included."""
    shares = {"data.options.val_share": 0.0, "data.options.test_share": 0.0}
    return {"data.name": str(clip), "data.options.across_cuts": True, **shares}


def _config(model: str, net: Predictor, settings: dict[str, Any], single: bool) -> DataConfig:
    """Return the clips to draw: cut as the model was trained; with `single` one digit in each, where digits move."""
    from nextframe.cli.sections import data_options
    from nextframe.evaluation.evaluate import clips_for
    from nextframe.training import evaluation_data

    known = clips_for(net)
    if known is not None and not (Path(model) / "recipe.yaml").exists():
        settings = {"data.context": known.context, "data.horizon": known.horizon} | settings
    config = evaluation_data(model, settings)
    if known is not None:  # what a recipe leaves to its own data is no longer so with another
        frames = {name: getattr(config, name) or getattr(known, name) for name in ("size", "color")}
        config = config.model_copy(update=frames)
    options = data_options(config.name)
    if single and options is not None and "count" in options.model_fields:
        config = config.model_copy(update={"options": {**config.options, "count": 1}})
    return config


def _draw_states(net: Predictor, clips: ClipSet, split: Split, folder: Path, separate: bool, seed: int) -> None:
    """Write the images of a state, and say what was measured."""
    from nextframe.evaluation.states import draw_both_ways, draw_separation

    drawings = [draw_both_ways(net, clips, split, folder)]
    drawings += [draw_separation(net, clips, split, folder, seed)] if separate else []
    for drawing in drawings:
        typer.echo("\n".join([*drawing.lines, str(drawing.path)]))
