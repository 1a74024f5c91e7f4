"""What a peer is: a module of plain torch layers that can do what a model can, from the model's weights."""

from __future__ import annotations

from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nextframe.core.clip import Clip

PEERS = {  # of which model: where it is
    "convlstm": "nextframe.models.peers.convlstm:PlainConvLSTM",
    "predrnn": "nextframe.models.peers.predrnn:PlainPredRNN",
    "simvp": "nextframe.models.peers.simvp:PlainSimVP",
    "compact": "nextframe.models.peers.compact:PlainCompact",
    "composite-lstm": "nextframe.models.peers.lstm:PlainLSTM",
    "flow": "nextframe.models.peers.flow:PlainFlow",
}


class Peer(nn.Module):
    """A plain form of a model: torch's own layers, one call a step, nothing rearranged for speed.

    A subclass is made of the model's config (`__init__(config)`), and has what of `loss`, `forecast` and `prime` with
    `step` the model has.
    """

    about: ClassVar[str] = "a plain eager port"
    fields: ClassVar[Mapping[str, Any]] = {}  # of the model's config, so that both compute the same
    batch: ClassVar[int] = 4  # clips of a training step, for two cores
    trainable: ClassVar[bool] = True
    same: ClassVar[bool] = True  # whether it computes what the model does: then their losses have to agree

    def take(self, state: Mapping[str, Tensor]) -> None:
        """Take over the weights of the model's state dict."""
        with torch.no_grad():
            self.load_state_dict(self.mapped(state))

    def mapped(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return a state dict of this module, of the model's own."""
        raise NotImplementedError

    def loss(self, clip: Clip) -> Tensor:
        """Return the model's loss of `clip`."""
        raise NotImplementedError

    def forecast(self, context: Tensor, horizon: int) -> Tensor:
        """Return the `horizon` frames (B, horizon, C, H, W) after `context` (B, T, C, H, W)."""
        raise NotImplementedError


class StreamingPeer(Peer):
    """A peer that reads frame after frame, and forecasts so."""

    def prime(self, context: Tensor) -> Any:
        """Read `context` (B, T, C, H, W), and return the state after it."""
        raise NotImplementedError

    def step(self, state: Any, frame: Tensor) -> tuple[Tensor, Any]:
        """Read `frame` (B, C, H, W); return the prediction of the next one, and the new state."""
        raise NotImplementedError

    def forecast(self, context: Tensor, horizon: int) -> Tensor:
        """Read the context, then feed each prediction back."""
        state, frame, future = self.prime(context[:, :-1]), context[:, -1], []
        for _ in range(horizon):
            frame, state = self.step(state, frame)
            future.append(frame)
        return torch.stack(future, dim=1)


def peer_of(model: str) -> type[Peer] | None:
    """Return the plain form of the model called `model`, None if it has none."""
    where = PEERS.get(model)
    found: type[Peer] | None = None if where is None else resolve_name(where)
    return found
