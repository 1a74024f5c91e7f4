"""What forecasts in an evaluation: the model, and every baseline that can take its clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from nextframe.checkpoint import baseline_names, create_model
from nextframe.core.clip import Clip
from nextframe.core.errors import UserError
from nextframe.data import ClipSet
from nextframe.evaluation.result import ZERO
from nextframe.models.contract import ModelOptions, Predictor, Request, check_request, check_task

Forecaster = Callable[[Clip, torch.Generator], Tensor]


def make_runners(
    net: Predictor, name: str, baselines: Literal["all"] | Sequence[str], data: ClipSet, clip: Clip, device: str
) -> tuple[dict[str, Forecaster], list[str]]:
    """Return what forecasts for the model and the baselines that take `clip`, and a note for each that does not."""
    check_task(net, data.task, name)
    _check(net, clip, name)
    runners, notes = {name: forecaster(net, device)}, []
    for other in [*baseline_names(data.task), ZERO] if baselines == "all" else baselines:
        if other in runners:
            continue
        if other == ZERO:
            runners[ZERO] = _zero
            continue
        rival = create_model(other)
        try:
            check_task(rival, data.task, other)
            _check(rival, clip, other)
        except UserError as error:
            notes.append(f"baseline {other} is skipped: {error}")
            continue
        runners[other] = forecaster(rival, device)
    return runners, notes


def _check(net: Predictor, clip: Clip, name: str) -> None:
    check_request(net.capabilities, Request(clip.context, clip.horizon, net.wanted(clip.conditions)), name)


def forecaster(net: Predictor, device: str, options: ModelOptions | None = None, samples: int = 1) -> Forecaster:
    """Return a function that predicts (B, T, C, H, W) for a clip, or several futures (S, B, T, C, H, W).

    Frames are as the model computes them, not clipped: what is measured or shown of them says whether it clips.
    """
    net = net.to(device)  # `predict` puts it into eval mode, and back: the caller may be training it

    def forecast(clip: Clip, generator: torch.Generator) -> Tensor:
        given = net.wanted(clip.conditions)
        return net.predict(
            clip.context,
            clip.horizon,
            conditions=given,
            samples=samples,
            generator=generator,
            options=options,
            clamp=False,
        )

    return forecast


def _zero(clip: Clip, generator: torch.Generator) -> Tensor:
    return torch.zeros_like(clip.context[:, :1]).expand(-1, clip.horizon, -1, -1, -1)
