"""How a latent predictor predicts the next latent, is trained and is sampled: a head for each loss.

A point is the distribution of a latent, (..., 2, D): mean and log deviation. Heads read points, turn hidden states
into outputs, score those against the true next points, and draw the point that is fed back.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, cast

import torch
from torch import Tensor, nn

from nextframe.core.seeds.noise import categorical, normal_like
from nextframe.losses.latent import diagonal_mixture_nll, kl_normal, mixture_nll

HeadName = Literal["mse", "kl", "differences", "kl-differences", "mixture"]
NARROW = math.log(0.05)  # log deviation of a point from a head that predicts none


@dataclass(frozen=True)
class HeadSettings:
    """Settings of the heads; each uses those that concern it."""

    latent: int
    hidden: int
    components: int = 5
    per_dimension: bool = False
    sigma_floor: float = 0.05
    drift: float = 1.0
    anchored: bool = True


class Head(nn.Module):
    """One linear layer on the hidden state, and the meaning of its outputs."""

    reads: int  # numbers that the LSTM reads for a point
    stochastic = False

    def __init__(self, settings: HeadSettings, outputs: int) -> None:
        super().__init__()
        self.settings = settings
        self.reads = settings.latent
        self.out = nn.Linear(settings.hidden, outputs)
        nn.init.xavier_uniform_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def read(self, points: Tensor, before: Tensor | None) -> Tensor:
        """Return the LSTM's inputs, (B, T, reads), for points (B, T, 2, D) after `before` (B, 1, 2, D)."""
        return points[:, :, 0]

    @abstractmethod
    def loss(self, hidden: Tensor, points: Tensor, targets: Tensor, truth: Tensor) -> Tensor:
        """Return the losses (B, T) of hidden states (B, T, hidden).

        Args:
            hidden: the top layer's, after reading `points`.
            points: (B, T, 2, D), those the LSTM has read: true ones, or its own where it ran free.
            targets: (B, T, 2, D), the true next points.
            truth: (B, T, 2, D), the true points at the times of `points`.
        """

    @abstractmethod
    def draw(self, hidden: Tensor, point: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        """Return the next point (B, 1, 2, D) after `point`; temperature 0: the most likely, 1: a sample."""


class MSEHead(Head):
    """The next mean itself, by squared error."""

    def __init__(self, settings: HeadSettings) -> None:
        super().__init__(settings, settings.latent)

    def loss(self, hidden: Tensor, points: Tensor, targets: Tensor, truth: Tensor) -> Tensor:
        """Return the squared error of the mean."""
        error: Tensor = self.out(hidden) - targets[:, :, 0]
        return error.square().mean(-1)

    def draw(self, hidden: Tensor, point: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        """Return the predicted mean."""
        return narrow(self.out(hidden))


class KLHead(Head):
    """Mean and deviation of the next latent, by KL(encoder's || predicted), as in the public code."""

    stochastic = True

    def __init__(self, settings: HeadSettings) -> None:
        super().__init__(settings, 2 * settings.latent)
        self.reads = 2 * settings.latent

    def read(self, points: Tensor, before: Tensor | None) -> Tensor:
        """Return mean and log deviation side by side."""
        return points.flatten(2)

    def loss(self, hidden: Tensor, points: Tensor, targets: Tensor, truth: Tensor) -> Tensor:
        """Return the divergence in nats, summed over the latent."""
        return divergence(targets, self._guess(hidden))

    def draw(self, hidden: Tensor, point: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        """Return the predicted mean and deviation; above temperature 0 the mean is a draw from them."""
        return drawn(self._guess(hidden), temperature, generator)

    def _guess(self, hidden: Tensor) -> Tensor:
        return bounded(cast(Tensor, self.out(hidden)).reshape(*hidden.shape[:-1], 2, self.settings.latent))


class DifferencesHead(Head):
    """The step to the next mean, added to the current one before decoding.

    Anchored, the LSTM reads the latent itself and the step that led there; else the steps alone, as in the
    public code, which never added them up.
    """

    def __init__(self, settings: HeadSettings) -> None:
        super().__init__(settings, settings.latent)
        self.reads = settings.latent * (2 if settings.anchored else 1)
        nn.init.zeros_(self.out.weight)  # starts as "nothing changes"

    def read(self, points: Tensor, before: Tensor | None) -> Tensor:
        """Return the steps that led to `points`, 0 for the very first, and where they led."""
        means = points[:, :, 0]
        first = means[:, :1] if before is None else before[:, :, 0]
        steps = means.diff(dim=1, prepend=first)
        return torch.cat([means, steps], dim=-1) if self.settings.anchored else steps

    def loss(self, hidden: Tensor, points: Tensor, targets: Tensor, truth: Tensor) -> Tensor:
        """Return the squared error of the step, and `drift` times that of the point it leads to."""
        step: Tensor = self.out(hidden)
        of_step = (step - (targets - truth)[:, :, 0]).square()
        of_place = (points[:, :, 0] + step - targets[:, :, 0]).square()
        return (of_step + self.settings.drift * of_place).mean(-1)

    def draw(self, hidden: Tensor, point: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        """Return the point that the step leads to."""
        return narrow(point[:, :, 0] + self.out(hidden))


class KLDifferencesHead(DifferencesHead):
    """The steps of mean and log deviation, added to the current point; the divergence of where they lead.

    The public code's two options together, which differences both numbers, but never adds the steps up.
    """

    stochastic = True

    def __init__(self, settings: HeadSettings) -> None:
        super().__init__(replace(settings, latent=2 * settings.latent))  # mean and log deviation alike

    def read(self, points: Tensor, before: Tensor | None) -> Tensor:
        """Return the steps of both numbers that led to `points`, 0 for the very first, and where they led."""
        return super().read(_as_means(points), None if before is None else _as_means(before))

    def loss(self, hidden: Tensor, points: Tensor, targets: Tensor, truth: Tensor) -> Tensor:
        """Return the divergence in nats after the step from `truth`, and `drift` times that from `points`."""
        from_truth, from_points = (divergence(targets, self._after(hidden, start)) for start in (truth, points))
        return from_truth + self.settings.drift * from_points

    def draw(self, hidden: Tensor, point: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        """Return the point that the step leads to; above temperature 0 its mean is a draw from it."""
        return drawn(self._after(hidden, point), temperature, generator)

    def _after(self, hidden: Tensor, start: Tensor) -> Tensor:
        """Return the points (B, T, 2, D) that the steps lead to from `start` (B, T, 2, D)."""
        return bounded(start + cast(Tensor, self.out(hidden)).reshape(start.shape))


class MixtureHead(Head):
    """A mixture of Gaussians over the next latent (Graves 2013; Ha & Schmidhuber 2018), by its likelihood.

    K diagonal Gaussians over the whole latent, so that a draw is one future and not a blend; or, `per_dimension`, a
    mixture for each dimension.
    """

    stochastic = True

    def __init__(self, settings: HeadSettings) -> None:
        self.weights = settings.components * (settings.latent if settings.per_dimension else 1)
        super().__init__(settings, self.weights + 2 * settings.components * settings.latent)

    def loss(self, hidden: Tensor, points: Tensor, targets: Tensor, truth: Tensor) -> Tensor:
        """Return the negative log likelihood in nats, summed over the latent."""
        nll = mixture_nll if self.settings.per_dimension else diagonal_mixture_nll
        return nll(*self._parts(hidden), targets[:, :, 0], self.settings.sigma_floor, "none")

    def draw(self, hidden: Tensor, point: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        """Draw a component by its weight, then the latent from it; temperature 0 takes the mean of the most likely."""
        logits, mean, log_sigma = self._parts(hidden)
        if temperature == 0:
            chosen = logits.argmax(-1, keepdim=True)
        else:
            weights = (logits / temperature).softmax(-1)
            chosen = categorical(weights.flatten(0, -2), generator).view(*logits.shape[:-1], 1)
        if not self.settings.per_dimension:  # one component for all of the latent
            chosen = chosen.unsqueeze(-1).expand(*mean.shape[:-2], 1, mean.shape[-1])
        axis = -1 if self.settings.per_dimension else -2
        picked, spread = (part.gather(axis, chosen).squeeze(axis) for part in (mean, log_sigma))
        if temperature > 0:
            spread = spread.clamp_min(math.log(self.settings.sigma_floor)).exp() * math.sqrt(temperature)
            picked = picked + spread * normal_like(picked, generator)
        return narrow(picked)

    def _parts(self, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits, means and log deviations: (..., K), (..., K, D) twice; or (..., D, K) each."""
        count, latent = self.settings.components, self.settings.latent
        shape = (latent, count) if self.settings.per_dimension else (count, latent)
        out = cast(Tensor, self.out(hidden))
        logits, mean, log_sigma = torch.tensor_split(out, (self.weights, self.weights + count * latent), -1)
        if self.settings.per_dimension:
            logits = logits.reshape(*out.shape[:-1], *shape)
        return logits, mean.reshape(*out.shape[:-1], *shape), log_sigma.reshape(*out.shape[:-1], *shape)


HEADS: dict[HeadName, Callable[[HeadSettings], Head]] = {
    "mse": MSEHead,
    "kl": KLHead,
    "differences": DifferencesHead,
    "kl-differences": KLDifferencesHead,
    "mixture": MixtureHead,
}


def narrow(means: Tensor) -> Tensor:
    """Return means (..., D) as points (..., 2, D) with a small deviation."""
    return torch.stack([means, torch.full_like(means, NARROW)], dim=-2)


def divergence(points: Tensor, guess: Tensor) -> Tensor:
    """Return KL(points || guess), (B, T), of points (B, T, 2, D) both: in nats, summed over the latent."""
    return kl_normal(points[:, :, 0], points[:, :, 1], guess[:, :, 0], guess[:, :, 1], reduction="none")


def bounded(points: Tensor) -> Tensor:
    """Return points (..., 2, D) whose log deviations are within -8 and 4."""
    mean, log_sigma = points.unbind(-2)
    return torch.stack([mean, log_sigma.clamp(-8, 4)], dim=-2)


def drawn(points: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
    """Return points (..., 2, D) with means drawn from them; temperature 0: as they are."""
    if temperature == 0:
        return points
    mean, log_sigma = points.unbind(-2)
    noise = normal_like(mean, generator) * log_sigma.exp() * math.sqrt(temperature)
    return torch.stack([mean + noise, log_sigma], dim=-2)


def _as_means(points: Tensor) -> Tensor:
    """Return both numbers of points (B, T, 2, D) as the means of wider ones, (B, T, 1, 2 D)."""
    return points.flatten(2).unsqueeze(2)
