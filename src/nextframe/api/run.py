"""A finished run for a notebook: the model, its losses, its images and its report."""

from __future__ import annotations

import html
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nextframe.checkpoint import save_model
from nextframe.core.errors import UserError
from nextframe.data import ClipSet
from nextframe.models.contract import Predictor
from nextframe.prediction.shown.charts import Chart
from nextframe.prediction.shown.show import Page, Shown
from nextframe.training.folder.logs import read_metrics
from nextframe.training.folder.report import report_validation, training_curve
from nextframe.training.recipe import Recipe


@dataclass(frozen=True)
class FittedRun:
    """What `fit` returns. It is also the path of its folder: `nextframe.predict("cat.mp4", run)` works.

    `model` has the weights that were kept, on the CPU and in eval mode; `clips` are those it was trained on.
    """

    folder: Path
    model: Predictor
    clips: ClipSet
    recipe: Recipe

    def __fspath__(self) -> str:
        return str(self.folder)

    @property
    def losses(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl, one a dict: step, train/loss, and val/mse where it was validated.

        `pandas.DataFrame(run.losses)` is a table of them.
        """
        return read_metrics(self.folder)

    @property
    def report(self) -> Page:
        """The page report.html of the run: its model on the val split beside every baseline; made on first access.

        Raises:
            UserError: the val split has no clips.
        """
        page = self.folder / "report.html"
        if not page.is_file():
            device = self.recipe.training.device
            if report_validation(self.folder, device, data=self.clips, model=self.model) is None:
                raise UserError(f"{self.folder}: no report, because the val split has no clips")
        return Page(page)

    def show(self) -> Shown:
        """Return the newest images of the training: context, truth and prediction of validation clips.

        As an animation they are the samples of the whole training, one after another; the strip is the last.

        Raises:
            UserError: there are none: the val split has no clips, or its frames are not images.
        """
        images = [_read_image(path) for path in self._samples]
        if not images:
            raise UserError(f"{self.folder}: there are no samples, because the val split has no clips to show")
        caption = f"{self.folder}: {len(images)} samples of its training"
        return Shown(torch.stack(images), images[-1], 1.0, caption)

    def plot(self) -> Chart:
        """Return a chart of the losses: of training, and of validation where there is one."""
        lines = {name: points for name, points in training_curve(self.folder).items() if points}
        return Chart(lines, "step", "loss", from_zero=True)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the model as a folder, which `nextframe.load` takes.

        Raises:
            BadInputError: `path` exists and holds something else than a model.
        """
        return save_model(self.model, path)

    def _repr_html_(self) -> str:
        samples = self.show()._repr_html_() if self._samples else ""
        return f"<p>{html.escape(repr(self))}</p>{self.plot()._repr_html_()}{samples}"

    @property
    def _samples(self) -> list[Path]:
        return sorted((self.folder / "samples").glob("step-*.png"))

    def __repr__(self) -> str:
        best = min((line["val/mse"] for line in self.losses if "val/mse" in line), default=None)
        return f"<run {self.folder}: {type(self.model).__name__}{'' if best is None else f', best val/mse {best:.5f}'}>"


def _read_image(path: Path) -> Tensor:
    """Return an image file as uint8 (3, H, W)."""
    with Image.open(path) as image:
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
