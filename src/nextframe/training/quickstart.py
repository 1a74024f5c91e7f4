"""The main job in one call: train `compact` for three minutes, measure it on the test split, write the report."""

from __future__ import annotations

from pathlib import Path

from nextframe.evaluation import Evaluation
from nextframe.training.recipe import load_recipe, override
from nextframe.training.report import report_run
from nextframe.training.run import train


def quickstart(
    folder: Path,
    *,
    digits: str | None = None,
    minutes: float | None = None,
    seed: int = 0,
    device: str = "auto",
    show: bool = True,
) -> Evaluation:
    """Train the recipe `quickstart` into `folder` and evaluate it on the whole test split, baselines beside it.

    Args:
        folder: a new run folder; report.html is written there.
        digits: embedded (default), mnist, fashion, or a path to idx files.
        minutes: how long to train; the recipe's three by default.
        seed: decides everything random.
        device: auto, cpu, cuda or mps.
        show: progress on a terminal, log lines elsewhere.
    """
    settings = {
        "data.options.digits": digits,
        "training.minutes": minutes,
        "training.seed": seed,
        "training.device": device,
    }
    recipe = override(load_recipe("quickstart"), {name: value for name, value in settings.items() if value is not None})
    train(recipe, folder, show=show)
    return report_run(folder, "test", device=device)
