"""The first three minutes with nextframe: `compact` on two moving digits, 10 frames in, 10 frames out."""

from __future__ import annotations

from pathlib import Path

from nextframe.data import DataConfig
from nextframe.evaluation import Evaluation
from nextframe.training.folder.report import report_run
from nextframe.training.recipe import ModelSection, Recipe, TrainingConfig, override
from nextframe.training.run import train

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
        folder: a new run folder; report.html is written there.
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
    return report_run(folder, "test", device=device)
