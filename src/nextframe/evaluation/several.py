"""Scores of several sampled futures: what one costs on average, the best of them, and their mean frame."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def score_samples(
    name: str, futures: Tensor, target: Tensor, measure: Callable[[Tensor, Tensor], Tensor], better: str
) -> dict[str, Tensor]:
    """Return values (B, T) by the name of their row; of one sample, its own alone.

    Of several: the model's name has the mean of the samples' values, "(best of k)" the values of the sample that is
    best over its whole horizon, chosen for each clip and each metric, "(mean of k)" those of the mean frame.

    Args:
        name: the model's name in the rows.
        futures: (S, B, T, C, H, W).
        target: (B, T, C, H, W).
        measure: a metric's function.
        better: "lower" or "higher".
    """
    values = torch.stack([measure(future, target) for future in futures])  # (S, B, T)
    count = len(futures)
    if count == 1:
        return {name: values[0]}
    whole = values.mean(dim=2)  # (S, B)
    best = whole.argmin(0) if better == "lower" else whole.argmax(0)
    of_best, of_mean = sample_names(name, count)
    return {
        name: values.mean(0),
        of_best: values[best, torch.arange(values.shape[1], device=values.device)],
        of_mean: measure(futures.mean(0), target),
    }


def sample_names(name: str, count: int) -> tuple[str, str]:
    """Return the names of the rows for the best of `count` samples and for their mean frame."""
    return f"{name} (best of {count})", f"{name} (mean of {count})"


def differences(futures: Tensor) -> Tensor:
    """Return (B, T): the mean squared difference between two of the sampled futures (S, B, T, C, H, W), S > 1."""
    spread = 2 * futures.var(dim=0)  # E|x - y|^2 of two independent draws is twice their variance
    return spread.mean(dim=(-3, -2, -1))
