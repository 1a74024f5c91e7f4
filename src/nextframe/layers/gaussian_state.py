"""The last state of an LSTM as one vector, and as a Gaussian from which states are drawn."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nextframe.layers.lstm import LSTMState
from nextframe.layers.sampling import precise


def joined(states: Sequence[LSTMState]) -> Tensor:
    """Return the hidden state and the cell of every layer as one vector (B, 2 * sum of units)."""
    return torch.cat([part for state in states for part in state], dim=-1)


def parted(vector: Tensor, hidden: Sequence[int]) -> list[LSTMState]:
    """Return the states of layers of `hidden` units that `joined` made `vector` (B, 2 * sum of units) of."""
    parts = torch.split(vector, [units for units in hidden for _ in range(2)], dim=-1)
    return list(zip(parts[::2], parts[1::2], strict=True))


class GaussianState(nn.Module):
    """A state becomes mean and log deviation of a few numbers, and numbers drawn from them a state again.

    The variational form of an encoder (Kingma & Welling 2014): both maps are linear.
    """

    def __init__(self, hidden: Sequence[int], latent: int) -> None:
        """Make the maps between states of layers of `hidden` units and `latent` numbers."""
        super().__init__()
        self.hidden, width = tuple(hidden), 2 * sum(hidden)
        self.encode = nn.Linear(width, 2 * latent)
        self.decode = nn.Linear(latent, width)
        nn.init.zeros_(self.encode.bias)
        nn.init.zeros_(self.decode.bias)

    def forward(self, states: Sequence[LSTMState]) -> tuple[Tensor, Tensor]:
        """Return mean and log deviation, (B, latent) each, in float32 at least."""
        mean, log_sigma = precise(self.encode(joined(states))).chunk(2, dim=-1)
        return mean, log_sigma

    def states(self, numbers: Tensor) -> list[LSTMState]:
        """Return the states that `numbers` (B, latent) stand for."""
        return parted(self.decode(numbers).to(numbers.dtype), self.hidden)  # wide, where products are in bfloat16
