"""The classifier of Srivastava et al. 2015: a softmax on the encoder after every frame, averaged over time and windows.

Followed: section 4.3 of arXiv 1502.04681 and the authors' `lstm_classifier.py`: cross-entropy at every step; a video
is classified by the mean over its 16-frame windows, at stride 8, of the mean over time of the softmax.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field, field_validator
from torch import Tensor, nn

from nextframe.core.config import Config
from nextframe.core.errors import UserError
from nextframe.core.seeds.seeding import numpy_generator, seed_everything
from nextframe.data.clipset import Indices
from nextframe.layers.lstm import LSTMStack, PeepholeLSTM
from nextframe.training.optim.schedule import cosine
from nextframe.transfer.videos import Make, Videos

EVAL_WINDOWS = 128  # at a time
FALL, FALLS_AFTER = 0.9, 10_000  # of the original's rate, steps
Probabilities = NDArray[np.float64]


class ClassifierConfig(Config):
    """How a classifier is trained; the same for every encoder in a table."""

    steps: int = Field(200, ge=1, description="training steps of each classifier")
    batch: int = Field(32, ge=1, description="windows per step")
    optimizer: Literal["adam", "descent"] = Field(
        "adam", description="descent: the original's, plain, of summed losses, its rate a tenth less every 10,000 steps"
    )
    lr: float | None = Field(
        None, gt=0, description="rate of the encoder and the softmax; null: 1e-3 with adam, 1e-4 with descent"
    )
    weight_decay: float = Field(0.0, ge=0, description="decay of the weights; the original's is 1e-5")
    dropout: float = Field(0.0, ge=0, lt=1, description="of the encoder's outputs")
    layer_dropout: float = Field(
        0.0, ge=0, lt=1, description="between the LSTM layers of an encoder that is trained, as in the paper"
    )
    peepholes: Literal["trained", "zero"] = Field(
        "trained", description="zero: fixed at 0 in an encoder that is trained, as in the original's config"
    )
    standardised: bool = Field(True, description="the softmax reads standardised outputs; not in the original")
    grad_clip: float = Field(1.0, gt=0, description="with adam: largest global gradient norm")
    precision: Literal["auto", "32", "bf16"] = Field("auto", description="auto: bf16 where it is faster")

    @field_validator("precision", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        """Take --set transfer.classifier.precision=32, which is read as a number."""
        return f"{value:g}" if isinstance(value, int | float) else value


class Head(nn.Module):
    """A softmax on standardised outputs: (B, S, D) to logits (B, S, classes)."""

    mean: Tensor
    scale: Tensor

    def __init__(self, outputs: Tensor, classes: int, dropout: float, standardised: bool = True) -> None:
        super().__init__()
        flat = outputs.flatten(0, 1).float()
        self.register_buffer("mean", flat.mean(0))
        scale = flat.std(0, correction=0)
        least = 0.1 * scale.square().mean().sqrt() + 1e-6  # a unit that hardly varies must not dominate the others
        self.register_buffer("scale", scale.clamp(min=float(least)))
        if not standardised:
            self.mean, self.scale = torch.zeros_like(self.mean), torch.ones_like(self.scale)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(flat.shape[1], classes)
        nn.init.zeros_(self.linear.weight)  # all classes are equally likely before the first step
        nn.init.zeros_(self.linear.bias)

    def forward(self, outputs: Tensor) -> Tensor:
        """Return the logits at every step."""
        standard = (outputs - self.mean) / self.scale
        logits: Tensor = self.linear(self.dropout(standard))
        return logits


@dataclass(frozen=True)
class Fitting:
    """What a classifier is trained with: `inputs` gives a batch by window numbers, `key` seeds its order."""

    inputs: Make
    config: ClassifierConfig
    classes: int
    key: tuple[int | str, ...]
    bf16: bool = False


def fit(encoder: nn.Module, videos: Videos, fitting: Fitting) -> nn.Module:
    """Train `encoder` with a softmax on top, on the windows of `videos`, and return both as one module.

    With an encoder without parameters (`nn.Identity` on cached outputs) only the softmax is trained.
    """
    windows, owners = videos.flat()
    labels = torch.from_numpy(videos.labels[owners])
    seed_everything(*fitting.key, "fit")
    random = numpy_generator(*fitting.key, "windows")
    first = random.permutation(len(windows))[:EVAL_WINDOWS]
    outputs = _outputs(encoder, fitting.inputs(windows[first]))
    config = fitting.config
    head = Head(outputs, fitting.classes, config.dropout, config.standardised).to(outputs.device)
    prepare(encoder, config)
    classifier = nn.Sequential(encoder, head).train()
    descent = Descent(classifier, config)
    for step, rows in enumerate(_batches(random, len(windows), config)):
        logits = _logits(classifier, fitting, windows[rows])
        descent.step(step, step_loss(logits, labels[rows].to(outputs.device)), logits.shape[:2].numel())
    return classifier.eval()


def prepare(encoder: nn.Module, config: ClassifierConfig) -> None:
    """Fix the peepholes of an encoder that is trained, and let units drop out between its layers, as `config` says.

    Raises:
        UserError: nothing of the encoder lies between LSTM layers.
    """
    if not any(parameter.requires_grad for parameter in encoder.parameters()):
        return
    for layer in encoder.modules():
        if isinstance(layer, PeepholeLSTM) and config.peepholes == "zero":
            nn.init.zeros_(layer.peephole.requires_grad_(False))
    if config.layer_dropout:
        stacks = [part for part in encoder.modules() if isinstance(part, LSTMStack) and len(part.hidden) > 1]
        if not stacks:
            raise UserError("transfer.classifier.layer_dropout is for an encoder of several LSTM layers: set it to 0")
        for stack in stacks:
            stack.between.p = config.layer_dropout


class Descent:
    """Adam with a cosine schedule and bounded gradients, or the original's plain descent."""

    def __init__(self, classifier: nn.Module, config: ClassifierConfig) -> None:
        self.config, self.plain = config, config.optimizer == "descent"
        self.parameters = [p for p in classifier.parameters() if p.requires_grad]
        self.lr = config.lr or (1e-4 if self.plain else 1e-3)
        kind = torch.optim.SGD if self.plain else torch.optim.AdamW
        self.optimizer = kind(self.parameters, lr=self.lr, weight_decay=config.weight_decay)

    def step(self, number: int, loss: Tensor, terms: int) -> None:
        """Take step `number`, from 0, down the gradient of a mean of `terms` losses; plain descent of their sum."""
        factor = FALL ** (number // FALLS_AFTER) if self.plain else cosine((number + 1) / (self.config.steps + 1))
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * factor
        self.optimizer.zero_grad()
        (loss * terms if self.plain else loss).backward()  # type: ignore[no-untyped-call]
        if not self.plain:
            nn.utils.clip_grad_norm_(self.parameters, self.config.grad_clip)
        self.optimizer.step()


def step_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean over windows and steps of the cross-entropy; logits (B, S, classes), labels (B,)."""
    steps = logits.shape[1]
    return F.cross_entropy(logits.flatten(0, 1).float(), labels.repeat_interleave(steps))


@torch.no_grad()
def predict(classifier: nn.Module, videos: Videos, fitting: Fitting) -> Probabilities:
    """Return the class probabilities (V, classes) of videos: softmax averaged over steps, then over windows."""
    classifier.eval()
    windows, owners = videos.flat()
    parts = []
    for first in range(0, len(windows), EVAL_WINDOWS):
        logits = _logits(classifier, fitting, windows[first : first + EVAL_WINDOWS])
        parts.append(logits.float().softmax(-1).mean(1).cpu().numpy())
    return mean_by_video(np.concatenate(parts), owners, len(videos))


def mean_by_video(values: NDArray[np.floating], owners: Indices, videos: int) -> Probabilities:
    """Return the mean (V, ...) of the rows of each video; `owners` (N,) is the video of each row."""
    total = np.zeros((videos, *values.shape[1:]))
    np.add.at(total, owners, values)
    counts = np.bincount(owners, minlength=videos)
    return np.asarray(total / counts[:, None])


def _logits(classifier: nn.Module, fitting: Fitting, windows: Indices) -> Tensor:
    inputs = fitting.inputs(windows)
    with torch.autocast(inputs.device.type, torch.bfloat16, enabled=fitting.bf16):
        logits: Tensor = classifier(inputs)
    return logits


@torch.no_grad()
def _outputs(encoder: nn.Module, inputs: Tensor) -> Tensor:
    outputs: Tensor = encoder.eval()(inputs)
    return outputs


def _batches(random: np.random.Generator, count: int, config: ClassifierConfig) -> list[Indices]:
    """Return the rows of every step: whole epochs, each in its own order."""
    size = min(config.batch, count)
    needed = config.steps * size
    order = np.concatenate([random.permutation(count) for _ in range(-(-needed // count))])
    return [order[step * size : (step + 1) * size] for step in range(config.steps)]
