"""What a state has kept of a context, drawn and measured: the context again, the future, and one object of two."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from nextframe.core.clip import Clip
from nextframe.core.errors import NotSupportedError, UserError
from nextframe.core.files.whole_file import write_whole
from nextframe.data import ClipSet
from nextframe.data.clipset import Split, count_some
from nextframe.evaluation.run_facts import run_facts
from nextframe.evaluation.verdict import number
from nextframe.media.writer import write_video
from nextframe.models.contract import Predictor, predicting
from nextframe.models.protocols import StateCoder
from nextframe.prediction.shown.panels import CONTEXT, PREDICTED, SHOWABLE, TRUTH, Row, strip

SHOWN = 3  # clips in an image
MEASURED = 64  # pairs of clips of which an object is taken away


@dataclass(frozen=True)
class Drawing:
    """An image that was written, and lines that say what was measured for it."""

    path: Path
    lines: list[str]


def draw_both_ways(model: Predictor, clips: ClipSet, split: Split, folder: Path) -> Drawing:
    """Write both-ways.png: some clips, and under each the context reconstructed and the future predicted.

    The original's `display_results.py` draws the same: original, reconstructed and future frames side by side.

    Args:
        model: one whose state can be decoded, such as `composite-lstm`.
        clips: what to draw; context and horizon are the numbers of frames on the left and on the right.
        split: of the clips.
        folder: where; it is made.

    Raises:
        UserError: a model without such a state, a split without clips, or frames that are not images.
    """
    clip = _clip(clips, split, SHOWN)
    coder = _coder(model)
    with predicting(model):
        past, future = coder.decode_state(coder.state(clip.context), clip.context.shape[1], clip.horizon)
    parts = [
        [("original", clip.context[b], clip.target[b], True), ("decoded", past[b], future[b], False)]
        for b in range(len(clip))
    ]
    mean = clip.context.mean(dim=1, keepdim=True).expand_as(clip.context)
    last = clip.context[:, -1:].expand_as(clip.target)
    lines = [
        f"reconstruction of {clip.context.shape[1]} frames: mse {_mse(past, clip.context)}, "
        f"mean frame {_mse(mean, clip.context)}",
        f"prediction of {clip.horizon} frames: mse {_mse(future, clip.target)}, last frame {_mse(last, clip.target)}",
    ]
    return Drawing(_write(parts, folder / "both-ways.png"), lines)


def draw_separation(model: Predictor, clips: ClipSet, split: Split, folder: Path, seed: int = 0) -> Drawing:
    """Write separated.png and separated.json: from the state of two objects, less that of one, the other is decoded.

    A and B are clips of one object each, "A and B" shows both: the lighter of the two at every pixel. Were a state the
    sum of what is in it, state(A and B) - state(B) would be state(A) less the state of empty frames, which all have.

    Args:
        model: one whose state can be decoded, such as `composite-lstm`.
        clips: with one object on black in each, such as `moving-digits` with the option count=1.
        split: of the clips.
        folder: where; it is made.
        seed: for the record.

    Raises:
        UserError: a model without such a state, fewer than four clips, or frames that are not images.
    """
    started, coder = time.monotonic(), _coder(model)
    clip = _clip(clips, split, 2 * MEASURED)
    if len(clip) < 4:
        raise UserError(f"{clips.name}: two pairs of clips are needed, the {split} split has {len(clip)} clips")
    half = len(clip) // 2
    pair = Pair(clip[:half], clip[half : 2 * half])
    with predicting(model):
        found, errors = _separated(coder, pair)
    rows = [
        [(name, part.context[b], part.target[b], True) for name, part in pair.shown().items()]
        + [(name, found[name][0][b], found[name][1][b], False) for name in (ALONE, LESS)]
        for b in range(min(SHOWN, half))
    ]
    path = _write(rows, folder / "separated.png")
    result = {"pairs": half, "data": clips.name, "split": split, **errors, "run": run_facts(None, seed, started)}
    write_whole(folder / "separated.json", json.dumps(result, indent=1) + "\n")
    lines = [
        f"{title}: " + ", ".join(f"{k} {number(v)}" for k, v in values.items()) for title, values in errors.items()
    ]
    return Drawing(path, lines)


ALONE, LESS, PLAIN = "decoded from A", "A and B less B", "A and B less B, without the empty state"
BOTH, OTHER = "A and B, nothing less", "A and B less another B"


@dataclass(frozen=True)
class Pair:
    """Clips of object A, and as many of object B."""

    a: Clip
    b: Clip

    @property
    def both(self) -> Clip:
        """Both objects in one clip, the lighter at every pixel."""
        return Clip(torch.maximum(self.a.context, self.b.context), torch.maximum(self.a.target, self.b.target))

    def shown(self) -> dict[str, Clip]:
        """The true clips of an image, from the top."""
        return {"A and B": self.both, "B": self.b, "A": self.a}


def _separated(coder: StateCoder, pair: Pair) -> tuple[dict[str, tuple[Tensor, Tensor]], dict[str, dict[str, float]]]:
    """Return what each way to get A decodes to, (context, future), and the errors and cosines."""
    a, b, both = (coder.state(part.context) for part in (pair.a, pair.b, pair.both))
    empty = coder.state(torch.zeros_like(pair.a.context[:1]))
    other = both - b.roll(1, 0) + empty
    states = {ALONE: a, LESS: both - b + empty, PLAIN: both - b, OTHER: other, BOTH: both}
    steps = pair.a.context.shape[1], pair.a.horizon
    found = {name: coder.decode_state(state, *steps) for name, state in states.items()}
    frames = pair.a.frames
    errors = {name: float((torch.cat(made, dim=1) - frames).square().mean()) for name, made in found.items()}
    left, alone = both - b, a - empty
    cosines = {"A": _cosine(left, alone), "another A": _cosine(left, alone.roll(1, 0))}
    return found, {"mse to the true A": errors, "cosine of what is left and of what is added by": cosines}


def _coder(model: Predictor) -> StateCoder:
    if not isinstance(model, StateCoder):
        raise NotSupportedError(f"{type(model).__name__} keeps no state that can be decoded: use composite-lstm")
    return model


def _clip(clips: ClipSet, split: Split, most: int) -> Clip:
    """Return up to `most` clips of `split`, evenly chosen, as floats."""
    count = count_some(clips, split)
    if clips.frame_shape[0] > SHOWABLE:
        raise NotSupportedError(f"{clips.name}: {clips.frame_shape[0]} channels are not an image")
    shown = min(most, count or most)
    chosen = np.arange(shown, dtype=np.int64) * (count or shown) // shown
    return clips.on_device(split, clips.read(split, chosen), "cpu")


def _write(parts: list[list[tuple[str, Tensor, Tensor, bool]]], path: Path) -> Path:
    """Write clips under one another: rows of (name, context, future, whether they are true)."""
    drawn = []
    for rows in parts:
        left = [Row(name, past, CONTEXT if true else PREDICTED, 1 - len(past)) for name, past, _, true in rows]
        right = [Row("", future, TRUTH if true else PREDICTED, 1) for _, _, future, true in rows]
        drawn.append(torch.cat([strip(left), strip(right)], dim=2))
    write_video(path, torch.cat(drawn, dim=1).unsqueeze(0), fps=1.0)
    return path


def _mse(frames: Tensor, truth: Tensor) -> str:
    return number(float((frames - truth).square().mean()))


def _cosine(a: Tensor, b: Tensor) -> float:
    return float(cosine_similarity(a, b).mean())
