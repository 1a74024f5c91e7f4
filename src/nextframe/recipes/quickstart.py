"""The first three minutes with nextframe: `compact` on two moving digits, 10 frames in, 10 frames out."""

from __future__ import annotations

import logging
from pathlib import Path

from nextframe.checkpoint import load_model
from nextframe.checkpoint.weights import SHIPPED
from nextframe.core.clip import as_float, as_uint8
from nextframe.data import DataConfig
from nextframe.evaluation import Evaluation
from nextframe.media.writer import write_video
from nextframe.prediction.shown.panels import comparison_animation
from nextframe.training.folder.report import report_run
from nextframe.training.recipe import ModelSection, Recipe, TrainingConfig, override
from nextframe.training.run import train

LOG = logging.getLogger(__name__)
LONGER, BESIDE = "digits", "beside-digits.gif"  # the weights that ship for these clips, and where both are seen
QUICKSTART = Recipe(
    model=ModelSection(name="compact"),
    data=DataConfig(name="moving-digits", context=10, horizon=10),
    training=TrainingConfig(minutes=3, batch=8, schedule="cosine", ema=0.99, grad_clip=1.0, val_every=500),
)


def quickstart(
    folder: Path,
    *,
    digits: str | None = None,
    minutes: float | None = None,
    seed: int = 0,
    device: str = "auto",
    show: bool = True,
) -> Evaluation:
    """Train the recipe `quickstart` into `folder` and evaluate it on the whole test split, together with the baselines.

    Args:
        folder: a new run folder; report.html is written there, and beside-digits.gif: the first clip of the report,
            predicted by the new model and by `digits`, which ships and was trained for some minutes of a GPU.
        digits: embedded (default), mnist, fashion, or a path to idx files.
        minutes: how long to train; the recipe's three by default.
        seed: the random seed.
        device: auto, cpu, cuda or mps.
        show: progress on a terminal, log lines elsewhere.
    """
    settings = {
        "data.options.digits": digits,
        "training.minutes": minutes,
        "training.seed": seed,
        "training.device": device,
    }
    recipe = override(QUICKSTART, {name: value for name, value in settings.items() if value is not None})
    train(recipe, folder, show=show)
    evaluation = report_run(folder, "test", device=device)
    _show_beside(evaluation, folder)
    return evaluation


def _show_beside(evaluation: Evaluation, folder: Path) -> None:
    """Write what the weights that ship predict of the first clip, beside what the new ones do."""
    example = evaluation.examples[0]
    longer = load_model(SHIPPED / LONGER).predict(as_float(example.context)[None], len(example.truth))[0]
    predictions = {"this run": example.predictions[evaluation.model], LONGER: as_uint8(longer)}
    write_video(folder / BESIDE, comparison_animation(example.context, example.truth, predictions), evaluation.fps / 2)
    LOG.info("beside the weights that ship: %s", folder / BESIDE)
