"""nextframe predict: the frames that come after a video's end."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nextframe.cli.inputs import Input, Outputs, inputs_of, note_size
from nextframe.cli.options import (
    Device,
    Plugin,
    Quiet,
    Seed,
    Set,
    begin,
    check_files,
    complete_models,
    parse_size,
)
from nextframe.cli.sections import read_settings, section

if TYPE_CHECKING:
    from nextframe.models.contract import Predictor
    from nextframe.prediction import Asked, Stream

LOG = logging.getLogger(__name__)
LONG = 30.0  # seconds of a prediction: what takes longer is not done again for the clip's own past

Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="A trained model (nextframe models), a baseline, a run folder, or user/name on the Hub.",
        autocompletion=complete_models,
    ),
]
Sources = Annotated[
    list[Path],
    typer.Argument(
        metavar="INPUT...", help="Videos, GIFs, array files, folders of images (one video each) or of videos."
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        help="A .gif, .mp4, .png (strip) or .npy file, or a folder: of images, or a file for each of several inputs.",
        show_default="NAME-next.gif, or .mp4 above 20 million pixels in all",
    ),
]
Compare = Annotated[
    bool,
    typer.Option(
        "--compare", help="Hold back the last frames and show them next to the prediction.", show_default="no"
    ),
]
Adapt = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        help="First train a copy of the model on the context frames; used if that helps.",
        show_default="no",
    ),
]
JsonFile = Annotated[
    Path | None,
    typer.Option(
        "--json", metavar="FILE", help="Write how sure each frame is, and how far to trust them.", show_default="no"
    ),
]
ContextFrames = Annotated[
    int | None, typer.Option(min=1, help="Context frames.", show_default="as many as in training")
]
At = Annotated[
    int | None, typer.Option(min=1, help="Number of the first predicted frame.", show_default="after the last")
]
Size = Annotated[
    str | None, typer.Option(help="HEIGHTxWIDTH of the frames, such as 64x64.", show_default="the video's own")
]
Fit = Annotated[
    bool,
    typer.Option(
        "--fit", help="Scale frames to the size of the model's training, and what it predicts back.", show_default="no"
    ),
]


def predict(
    sources: Sources,
    model: Model = "motion",
    frames: Annotated[int, typer.Option("--frames", "-n", min=1, help="How many frames to predict.")] = 10,
    output: Output = None,
    samples: Annotated[int, typer.Option(min=1, help="How many futures, of a stochastic model.")] = 1,
    compare: Compare = False,
    context: ContextFrames = None,
    at: At = None,
    size: Size = None,
    fit: Fit = False,
    adapt: Adapt = None,
    json_file: JsonFile = None,
    setting: Set = None,
    seed: Seed = 0,
    device: Device = "auto",
    plugin: Plugin = None,
    quiet: Quiet = False,
) -> None:
    """Predict the next frames of videos, by default after the last frame.

    Examples:
    nextframe predict cat.mp4 -o next.gif
    nextframe predict cat.mp4 dog.mp4 videos/ -o out/
    nextframe predict cat.mp4 --adapt 20 --set options.mirror=true --json sure.json
    nextframe predict cat.mp4 --model runs/mine -n 20 --compare --fit -o next.mp4
    nextframe predict frames/ --model runs/mine --at 300 --set predict.tile=96 -o out/
    """
    from nextframe.checkpoint import resolve_model
    from nextframe.cli.configs import PredictConfig
    from nextframe.core.errors import UserError
    from nextframe.media.limits import Limits
    from nextframe.prediction import Asked

    begin(quiet, plugin)
    started = time.monotonic()
    check_files(json_file)
    more = read_settings("predict", setting)
    config = PredictConfig.parse(section(more, "predict"), "predict")
    found, several = inputs_of(sources, config.reading)
    outputs = Outputs.of(output, found, several)  # before any work
    if json_file is not None:
        outputs.check_beside(json_file, found)
    asked = Asked(
        samples=samples,
        compare=compare,
        one_step=config.one_step,
        context=context,
        at=at,
        stride=config.stride,
        size=parse_size(size),
        fps=config.fps,
        fit=fit,
        tile=config.tile,
        overlap=config.overlap,
        limits=Limits(bytes=round(config.memory * 2**30)),
        seed=seed,
        device=device,
        options=section(more, "options"),
        reading=config.reading,
        adapt=adapt,
        trust=config.trust,
    )
    job = Job(resolve_model(model), frames, asked, outputs, config.with_context, json_file is not None)
    done = [job.tried(given) if several else job.of(given) for given in found]
    if json_file is not None:
        _write_json(done if several else done[0], json_file, seed, started)
    if failed := sum("error" in each for each in done):
        raise UserError(f"{failed} of {len(done)} inputs could not be predicted")


@dataclass(frozen=True)
class Job:
    """What is done with each input."""

    net: Predictor
    frames: int
    asked: Asked
    outputs: Outputs
    with_context: bool
    told: bool  # whether the facts are written to a file

    def tried(self, given: Input) -> dict[str, Any]:
        """Do it, or say in one line why that is not possible; return the facts."""
        from nextframe.core.errors import NextframeError

        try:
            return self.of(given)
        except (NextframeError, OSError) as error:
            line = " ".join(str(error).split())
            LOG.error("%s", line if isinstance(error, NextframeError) else f"{given.path}: {line}")
            return {"source": given.path.name, "error": line}

    def of(self, given: Input) -> dict[str, Any]:
        """Predict what follows an input, write it, print where, and return the facts."""
        from nextframe.core.files.whole_file import check_file
        from nextframe.prediction import stream, write_stream
        from nextframe.prediction.context import opened

        source = opened(given.path, self.asked.stride, self.asked.limits, None, self.asked.reading)
        height, width = self.asked.size or (source.height, source.width)
        output = self.outputs.choose(given, self.frames * height * width)
        if output.suffix:
            check_file(output)
        prediction, started = stream(source, self.net, self.frames, self.asked, output), time.monotonic()
        write_stream(prediction, output, with_context=self.with_context)
        typer.echo(str(output))
        note_size(output)
        self._measure(prediction, time.monotonic() - started)
        return {**prediction.as_json(), "output": str(output)}

    def _measure(self, prediction: Stream, seconds: float) -> None:
        """Say how far the prediction is to be trusted, if somebody reads it and it took little time."""
        wanted = self.told or LOG.isEnabledFor(logging.INFO)
        if prediction.past is not None and wanted and seconds < LONG:
            prediction.trust = prediction.past.measure()
            LOG.info("%s", prediction.trust)


def _write_json(facts: Any, path: Path, seed: int, started: float) -> None:
    from nextframe.core.files.whole_file import write_whole
    from nextframe.evaluation.run_facts import run_facts  # evaluation is not needed but for this

    known = {"inputs": facts} if isinstance(facts, list) else facts
    write_whole(path, json.dumps({**known, "run": run_facts(None, seed, started)}, indent=1) + "\n")
