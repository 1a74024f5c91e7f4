"""Images of a latent space: reconstructions, interpolations, traversals of its dimensions, futures, components."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nextframe.checkpoint import resolve_model
from nextframe.core.clip import Clip, as_float
from nextframe.core.errors import NotSupportedError, UserError
from nextframe.core.seeds.seeding import numpy_generator, torch_generator
from nextframe.data import ClipSet
from nextframe.data.clipset import Split, count_some
from nextframe.media.writer import write_video
from nextframe.models.contract import Predictor
from nextframe.models.protocols import Decomposer, LatentPredictor, Reconstructor
from nextframe.prediction.shown.panels import (
    CONTEXT,
    PREDICTED,
    TRUTH,
    Rgb,
    enlarge,
    framed,
    label,
    panel_size,
    surround,
)

SHOWN = 10  # frames of a sheet, columns of the others
NUMBERS = 8  # rows of a traversal: the latent dimensions that differ most between frames
REACH = 2.0  # of a traversal, in deviations of the dimension
SECONDS = 0.1  # a frame of the animation
ENDLESS = 1_000_000  # clips of an endless split that animations are drawn from


def draw_latents(
    model: str | Predictor, clips: ClipSet, split: Split, folder: Path, seed: int = 0, gifs: int = 1
) -> list[Path]:
    """Write images of a model's latent space to `folder` and return their paths.

    reconstructions.png (frames above their reconstructions), interpolation.png and traversal.png; for a
    latent predictor also `gifs` animations primed-01.gif, ...: truth next to one-step predictions in the context, then
    free ones. For a model of components components.png, and `gifs` animations components-01.gif, ..., instead: each
    component by itself, in context and future.

    Args:
        model: a run or model folder, or a model.
        clips: what to draw; context and horizon are the numbers of primed and free frames.
        split: of the clips.
        folder: where; it is made.
        seed: chooses the clips of the animations, and is that of a model with randomness.
        gifs: how many animations, each of another clip.

    Raises:
        UserError: a model without a latent space, or a split with fewer clips than animations.
    """
    net = resolve_model(model).eval()
    count = count_some(clips, split)
    chosen = chosen_clips(count, gifs, seed, f"{clips.name}: the {split} split")
    shown = min(SHOWN, count or SHOWN)
    clip = clips.on_device(split, clips.read(split, np.arange(shown, dtype=np.int64)), "cpu")
    paths = []
    for name, image in sheets(net, clip).items():
        write_video(folder / name, image.unsqueeze(0), fps=1.0)
        paths.append(folder / name)
    kind = "components" if isinstance(net, Decomposer) else "primed"
    if isinstance(net, Decomposer | LatentPredictor):
        for number, index in enumerate(chosen, start=1):  # one after another: thirty at once are not held
            clip = clips.on_device(split, clips.read(split, np.array([index], dtype=np.int64)), "cpu")
            paths.append(folder / f"{kind}-{number:0{max(2, len(str(gifs)))}}.gif")
            write_video(paths[-1], animation(net, clip, seed), fps=1 / SECONDS)
    return paths


def sheets(model: Predictor, clip: Clip) -> dict[str, Tensor]:
    """Return still images (3, H', W') uint8 of what `model` makes of `clip`, by the names of their files."""
    if isinstance(model, Decomposer):
        return {"components.png": grid(component_rows(model, clip[:1]))}
    encoder, frames = reconstructor_of(model), clip.frames[:, -1]
    return {
        "reconstructions.png": reconstruction_sheet(encoder, frames),
        "interpolation.png": interpolation(encoder, frames[:2]),
        "traversal.png": traversal(encoder, clip.frames.flatten(0, 1)),
    }


def animation(model: Decomposer | LatentPredictor, clip: Clip, seed: int) -> Tensor:
    """Return the animation (T, 3, H', W') uint8 of the first of `clip`."""
    if isinstance(model, Decomposer):
        return side_by_side(component_rows(model, clip), clip.context.shape[1])
    return primed_animation(model, clip, seed)


def chosen_clips(count: int | None, wanted: int, seed: int, where: str) -> list[int]:
    """Return the numbers of `wanted` different clips, drawn by `seed` from `count`; None: of endlessly many.

    Raises:
        UserError: there are fewer; `where` begins the line.
    """
    if count is not None and wanted > count:
        raise UserError(f"{where} has {count} clips, not {wanted}: ask for at most {count}")
    drawn = numpy_generator(seed, "animations").choice(ENDLESS if count is None else count, wanted, replace=False)
    return [int(number) for number in drawn]


def reconstructor_of(model: Predictor) -> Reconstructor:
    """Return the reconstructor that `model` is or predicts the latents of; NotSupportedError if there is none."""
    if isinstance(model, LatentPredictor):
        return model.reconstructor
    if isinstance(model, Reconstructor):
        return model
    raise NotSupportedError(f"{type(model).__name__} has no latent space to draw")


@torch.no_grad()
def reconstruction_sheet(encoder: Reconstructor, frames: Tensor) -> Tensor:
    """Return (3, H', W') uint8: `frames` (N, C, H, W) above their reconstructions."""
    return grid([("truth", frames, TRUTH), ("decoded", encoder.reconstruct(frames), PREDICTED)])


@torch.no_grad()
def interpolation(encoder: Reconstructor, ends: Tensor, steps: int = SHOWN) -> Tensor:
    """Return (3, H', W') uint8: frames decoded from a straight line between two latents, and the frames mixed.

    Args:
        encoder: turns frames into latents and back.
        ends: (2, C, H, W), the first and the last frame.
        steps: frames on the line, both ends among them.
    """
    mean, _ = encoder.encode(ends)
    weight = torch.linspace(0, 1, steps).unsqueeze(1)
    line = encoder.decode(torch.lerp(mean[:1], mean[-1:], weight)).clamp(0, 1)
    mixed = torch.lerp(ends[:1], ends[-1:], weight.view(-1, 1, 1, 1))
    return grid([("latent", line, PREDICTED), ("pixels", mixed, CONTEXT)])


@torch.no_grad()
def traversal(encoder: Reconstructor, frames: Tensor, steps: int = SHOWN) -> Tensor:
    """Return (3, H', W') uint8: the first of `frames` (N, C, H, W) with one dimension of its latent changed per row.

    The dimensions that differ most between the frames are changed, from -2 to +2 of their deviations.
    """
    mean, _ = encoder.encode(frames)
    spread = mean.std(0)
    rows = []
    for number in spread.argsort(descending=True)[:NUMBERS].tolist():
        moved = mean[:1].repeat(steps, 1)
        moved[:, number] += torch.linspace(-REACH, REACH, steps) * spread[number]
        rows.append((f"z{number}", encoder.decode(moved).clamp(0, 1), PREDICTED))
    return grid(rows)


@torch.no_grad()
def primed_animation(model: LatentPredictor, clip: Clip, seed: int = 0) -> Tensor:
    """Return a clip (T, 3, H', W') uint8 of the first of `clip`: truth left, predictions right, context first."""
    predicted, truth = model.primed(clip, torch_generator(seed, "latents"))[0], as_float(clip.frames[0])
    return side_by_side([("truth", truth, TRUTH), ("predicted", predicted, PREDICTED)], clip.context.shape[1])


@torch.no_grad()
def component_rows(model: Decomposer, clip: Clip) -> list[tuple[str, Tensor, Rgb]]:
    """Return the truth of the first of `clip`, its components each by itself, and their sum, (T + H, C, H, W) each."""
    components = model.components(as_float(clip.context), clip.horizon)[0]  # (T + H, K, C, H, W)
    shown = [(f"part {number + 1}", components[:, number], PREDICTED) for number in range(components.shape[1])]
    total = components.sum(1).clamp(max=1)
    return [("truth", as_float(clip.frames[0]), TRUTH), *shown, ("sum", total, PREDICTED)]


def side_by_side(columns: list[tuple[str, Tensor, Rgb]], given: int) -> Tensor:
    """Return a clip (T, 3, H', W') uint8 of frames (T, C, H, W) beside one another, the first `given` as context."""
    size = panel_size(columns[0][1], low=128, high=256)
    panels = []
    for name, frames, color in columns:
        shown = enlarge(frames, size)
        bordered = torch.cat([framed(shown[:given], CONTEXT), framed(shown[given:], color)])
        words = [f"{name} {t + 1}" if t < given else f"{name} +{t + 1 - given}" for t in range(len(frames))]
        captions = torch.stack([label(text, bordered.shape[3], 20) for text in words])
        panels.append(torch.cat([captions, bordered], dim=2))
    return surround(torch.cat(panels, dim=3))


def grid(rows: list[tuple[str, Tensor, Rgb]]) -> Tensor:
    """Return (3, H', W') uint8: rows of frames (N, C, H, W) under one another, each with its name before it."""
    size = panel_size(rows[0][1], low=64, high=128)
    strips = []
    for name, frames, color in rows:
        cells = framed(enlarge(frames, size), color)  # (N, 3, h, w)
        strip = cells.permute(1, 2, 0, 3).flatten(2)  # (3, h, N * w)
        strips.append(torch.cat([label(name, 72, strip.shape[1]), strip], dim=2))
    return surround(torch.cat(strips, dim=1))
