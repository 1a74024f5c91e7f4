"""An encoder-decoder of `torch.nn.LSTM`: what a user would take for the systems of LSTM layers over whole frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nextframe.core.clip import Clip
from nextframe.models.peers.peer import Peer

if TYPE_CHECKING:
    from nextframe.models.composite_lstm import CompositeLSTMConfig


class PlainLSTM(Peer):
    """One encoder and two decoders of torch's layers, which have no peepholes: less to compute, other losses."""

    about = "torch.nn.LSTM, which has no peepholes"
    batch = 16
    same = False

    def __init__(self, config: CompositeLSTMConfig) -> None:
        super().__init__()
        size, units, layers = config.frame_size, config.hidden[0], len(config.hidden)
        self.encoder, self.back, self.ahead = (nn.LSTM(size, units, layers) for _ in range(3))
        self.back_out, self.ahead_out = nn.Linear(units, size), nn.Linear(units, size)

    def take(self, state: Mapping[str, Tensor]) -> None:
        """Keep its own weights: there are none for peepholes."""

    def loss(self, clip: Clip) -> Tensor:
        """Return the cross-entropy of the context backwards and of the future, each after the true frames."""
        parts = (self.back, self.back_out, clip.context.flip(1)), (self.ahead, self.ahead_out, clip.target)
        _, state = self.encoder(clip.context.flatten(2).transpose(0, 1))
        losses = []
        for decoder, out, frames in parts:
            target = frames.flatten(2).transpose(0, 1)
            outputs, _ = decoder(torch.cat([torch.zeros_like(target[:1]), target[:-1]]), state)
            errors = F.binary_cross_entropy_with_logits(out(outputs), target, reduction="sum")
            losses.append(errors / (target.shape[0] * target.shape[1]))
        return torch.stack(losses).sum()

    def forecast(self, context: Tensor, horizon: int) -> Tensor:
        """Feed each frame back to the decoder of the future."""
        _, state = self.encoder(context.flatten(2).transpose(0, 1))
        frame, future = torch.zeros_like(context[:, 0]).flatten(1)[None], []
        for _ in range(horizon):
            outputs, state = self.ahead(frame, state)
            frame = self.ahead_out(outputs).sigmoid()
            future.append(frame[0])
        return torch.stack(future, dim=1).reshape(len(context), horizon, *context.shape[2:])
