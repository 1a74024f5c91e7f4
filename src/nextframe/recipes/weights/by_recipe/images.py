"""What is seen of weights: two GIFs of the prediction beside the truth, and a clip to try it on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nextframe.core.clip import as_uint8
from nextframe.core.errors import UserError
from nextframe.data import ClipSet, open_data
from nextframe.evaluation.evaluate import clip_indices
from nextframe.media.writer import write_video
from nextframe.models.contract import Predictor
from nextframe.prediction.shown.panels import (
    CONTEXT,
    PREDICTED,
    TRUTH,
    comparison_animation,
    comparison_strip,
    framed,
)
from nextframe.recipes.weights.by_recipe.plans import RecipePlan
from nextframe.training.recipe import Recipe

COUNT = 2
CLIP = "clip.gif"
RATE = 5.0  # frames per second: slow enough to follow


def write_images(model: Predictor, recipe: Recipe, plan: RecipePlan, name: str, folder: Path) -> None:
    """Write prediction-1.gif, prediction-2.gif and clip.gif of the first and the middle clip of the test split.

    Of real video there is one animation, small, and a clip only if the model knows nothing else: others made it, and
    weights lie in a repository.
    OUT/strip-1.png and strip-2.png, beside the folder, have all frames at once.
    """
    clips = open_data(plan.material.pictured(recipe.data.model_copy(update={"horizon": plan.shown})))
    for number, index in enumerate(_chosen(clips), 1):
        clip = clips.on_device("test", clips.read("test", index), "cpu")
        prediction = as_uint8(model.predict(clip.context, plan.shown)[0])
        context, truth = as_uint8(clip.context[0]), as_uint8(clip.target[0])
        write_video(folder.parent / f"strip-{number}.png", [comparison_strip(context, truth, prediction)], 1.0)
        if plan.material.real:
            if number == 1:
                write_video(folder / "prediction-1.gif", small_animation(context, truth, prediction), RATE)
        else:
            animation = comparison_animation(context, truth, {name: prediction})
            write_video(folder / f"prediction-{number}.gif", animation, RATE)
        if number == 1 and not plan.anywhere:
            write_video(folder / CLIP, torch.cat([context, truth]), RATE)


def small_animation(context: Tensor, truth: Tensor, prediction: Tensor) -> Tensor:
    """Return truth and prediction side by side in their own size, (T + n, 3, H', W') uint8, after the context."""
    left = torch.cat([framed(context, CONTEXT), framed(truth, TRUTH)])
    right = torch.cat([framed(context, CONTEXT), framed(prediction, PREDICTED)])
    return torch.cat([left, right], dim=3)


def _chosen(clips: ClipSet) -> list[np.ndarray[tuple[int, ...], np.dtype[np.int64]]]:
    """Return the first and the middle clip of the test split, each as indices of one."""
    found = clip_indices(clips, "test", COUNT)
    if len(found) < COUNT:
        raise UserError(f"{clips.name}: the test split has {len(found)} clip, images need {COUNT}")
    return [found[number : number + 1] for number in range(COUNT)]
