"""How many clips a model predicts in a second."""

from __future__ import annotations

import time

import torch

from nextframe.core.clip import Clip
from nextframe.core.device import resolve_device, wait_for
from nextframe.data import ClipSet
from nextframe.data.clipset import Split
from nextframe.evaluation import clip_indices
from nextframe.models.contract import Predictor

BATCH = 16
SECONDS = 2.0  # that are measured, at least
SPEED = (
    f"clips whose whole horizon is predicted in a second, {BATCH} at a time, in 32 bits, on the machine, device and "
    "threads of the row; on a CPU a second that the process works, so that it is the same on a busy machine"
)


def clips_per_second(
    model: Predictor, clips: ClipSet, split: Split, device: str = "auto", seconds: float | None = None
) -> float:
    """Return how many clips of `split` the model predicts in a second; reading and moving them is not counted.

    Args:
        model: moved to `device`.
        clips: whose first clips are predicted again and again.
        split: the split that they are of.
        device: auto, cpu, cuda or mps.
        seconds: how long to measure, at least; None: SECONDS.
    """
    where = resolve_device(device)
    indices = clip_indices(clips, split, None)[:BATCH]
    clip = clips.on_device(split, clips.read(split, indices), where)
    model.to(where)
    seconds = SECONDS if seconds is None else seconds
    read = _worked if where == "cpu" else time.perf_counter
    _predict(model, clip)  # what is made ready once does not count
    done, started = 0, read()
    while not done or read() - started < seconds:
        _predict(model, clip)
        done += len(indices)
    return done / (read() - started)


def _worked() -> float:
    """Return the seconds that each thread of this process has worked."""
    return time.process_time() / torch.get_num_threads()


def _predict(model: Predictor, clip: Clip) -> None:
    """Predict, and wait until a GPU has done so."""
    future = model.predict(clip.context, clip.horizon, conditions=model.wanted(clip.conditions))
    wait_for(future.device)
