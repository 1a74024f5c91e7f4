"""A prediction that is made while it is written: frame after frame, each held no longer than it takes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from nextframe.checkpoint import model_name
from nextframe.core.clip import as_float
from nextframe.core.device import resolve_device
from nextframe.core.errors import NextframeError
from nextframe.core.seeds.seeding import torch_generator
from nextframe.models.contract import ModelOptions, Predictor, Request
from nextframe.models.protocols import unrolled
from nextframe.prediction.adapt import Adaptation
from nextframe.prediction.sizes.tiles import Tiled
from nextframe.prediction.sizes.trained import Working, as_it_takes, fit_to_trained

if TYPE_CHECKING:
    from nextframe.prediction.past.trust import Past, Trust

LOG = logging.getLogger(__name__)


class Step(NamedTuple):
    """What is at one time after the context; of a batch of videos each has a batch axis before its frame."""

    futures: Tensor  # (S, C, H, W), on the CPU, float in [0, 1]; of a batch (S, B, C, H, W)
    truth: Tensor | None  # (C, H, W), uint8 or float in [0, 1]; of a batch (B, C, H, W)
    sure: Tensor | None  # () in [0, 1]; of a batch (B,): how sure the frame is, if the model knows

    def first(self) -> Step:
        """Return that of the first video of a batch; it has no truth yet."""
        return Step(self.futures[:, 0], None, None if self.sure is None else self.sure[0])


@dataclass
class Stream:
    """What `Prediction` has, but for the frames, which `steps` makes as they are asked for; they can be read once."""

    context: Tensor  # (T, C, H, W); of a batch (B, T, C, H, W)
    steps: Iterator[Step]
    count: int  # of steps
    samples: int
    compared: bool  # whether the truth is known
    fps: float
    source: str
    model: str
    adaptation: Adaptation | None = None
    past: Past | None = None  # what to measure the model on besides, if it was asked for and there is enough
    trust: Trust | None = None  # what that said
    sure: list[float | None] = field(default_factory=list)  # of one video, for each frame that was read

    def __iter__(self) -> Iterator[Step]:
        for step in self.steps:
            one_video = self.context.ndim == 4
            self.sure.append(None if step.sure is None or not one_video else float(step.sure))
            yield step

    @property
    def names(self) -> list[str]:
        """The names of the futures."""
        if self.samples == 1:
            return [self.model]
        return [f"{self.model} {number}" for number in range(1, self.samples + 1)]

    def as_json(self) -> dict[str, Any]:
        """Return, as plain JSON values, what was predicted and how sure each frame that was read is."""
        rows = [{"frame": n, "seconds": n / self.fps, "confidence": sure} for n, sure in enumerate(self.sure, start=1)]
        done = None if self.adaptation is None else {**asdict(self.adaptation), "used": self.adaptation.used}
        facts = {"source": self.source, "model": self.model, "context": len(self.context), "fps": self.fps}
        trust = None if self.trust is None else self.trust.as_json()
        return {**facts, "adaptation": done, "trust": trust, "rows": rows}


@dataclass(frozen=True)
class Drawing:
    """How futures are drawn, and where."""

    samples: int
    seed: int
    device: str
    options: ModelOptions
    name: str  # of the model
    fit: bool = False  # whether frames are resized to those of the training, and back

    def working(self, net: Predictor, frames: Tensor) -> Working:
        """Return at which size `net` predicts from frames (..., C, H, W)."""
        own = frames.shape[-2], frames.shape[-1]
        return fit_to_trained(net, own) if self.fit else as_it_takes(net, own)


def one_steps(net: Predictor, given: Tensor, truth: Tensor | None, how: Drawing) -> Iterator[Step]:
    """Predict each frame of `truth` (..., n, C, H, W) from as many true frames before it as are given."""
    assert truth is not None
    for number, frame in enumerate(torch.split(truth, 1, dim=-4)):
        yield from futures(net, given, 1, replace(how, seed=how.seed + number))
        given = torch.cat([given, as_float(frame)], dim=-4).narrow(-4, 1, given.shape[-4])


def futures(net: Predictor, given: Tensor, frames: int, how: Drawing) -> Iterator[Step]:
    """Run the model on ([B,] T, C, H, W); yield its frames on the CPU, in the size of what was given."""
    where, working, one_video = resolve_device(how.device), how.working(net, given), given.ndim == 4
    batch = working.into(given.unsqueeze(0) if one_video else given).to(where)  # (B, T, C, H, W)
    generator = torch_generator(how.seed, "predict", device=where)
    net = net.to(where)
    request = net.request(batch, frames, generator=generator, options=how.options)
    for shown, sure in _drawn(net, request, how.samples):
        if not bool(torch.isfinite(shown).all()):
            what = "predicts values that are not finite: train it again, or take another copy"
            raise NextframeError(f"{_name(net)} {what}")
        step = Step(working.back(shown.float().cpu()), None, None if sure is None else sure.float().cpu())
        yield step.first() if one_video else step


def _drawn(net: Predictor, request: Request, samples: int) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield, for each time, the frames of all futures, (S, B, C, H, W), and how sure the model is of them, (B,).

    Of a model that draws, several futures are made one after another and held.
    """
    if not net.draws(request.options):
        for frame, sure in unrolled(net, request):
            yield frame[:, 0].expand(samples, *frame[:, 0].shape), None if sure is None else sure[:, 0]
    elif samples == 1:
        yield from ((frame[None, :, 0], None) for frame, _ in unrolled(net, request))
    else:
        held = [[frame[:, 0] for frame, _ in unrolled(net, request)] for _ in range(samples)]
        yield from ((torch.stack(each), None) for each in zip(*held, strict=True))


def _name(net: Predictor) -> str:
    return model_name(net.model if isinstance(net, Tiled) else net)
