"""A decoder that has nothing but an encoder's last state, and generates frames as vectors from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from nextframe.layers.lstm import LSTMStack, LSTMState


class StateDecoder(nn.Module):
    """An LSTM that starts from the encoder's state and generates one frame per step from its top layer.

    Srivastava, Mansimov & Salakhutdinov 2015. A conditional one reads the frame before the one that it generates, zeros
    in its first step; another reads nothing.
    """

    def __init__(
        self,
        lstm: LSTMStack,
        frame_size: int,
        shown: Callable[[Tensor], Tensor],
        *,
        conditional: bool,
        copy_state: bool,
        start: float | None,
    ) -> None:
        """Take the layers, and say what is generated.

        Args:
            lstm: reads `frame_size` numbers if the decoder is conditional, else none.
            frame_size: numbers in a frame.
            shown: turns logits into what the next step reads.
            conditional: whether a step reads the frame before.
            copy_state: the first frame comes from the encoder's state itself, without a step.
            start: the output matrix starts uniform in +-`start`; None: as torch starts it.
        """
        super().__init__()
        self.shown, self.conditional, self.copy_state = shown, conditional, copy_state
        self.lstm = lstm
        self.output = nn.Linear(lstm.hidden[-1], frame_size)
        if start is not None:
            nn.init.uniform_(self.output.weight, -start, start)
        nn.init.zeros_(self.output.bias)

    def forward(self, states: list[LSTMState], frames: Tensor) -> Tensor:
        """Return the logits (T, B, D) of `frames` (T, B, D), each generated after the true ones before it."""
        if not self.conditional:
            return self._unconditional(states, len(frames))
        known = frames[:-1] if self.copy_state else torch.cat([torch.zeros_like(frames[:1]), frames[:-1]])
        outputs = [states[-1][0][None]] if self.copy_state else []
        if len(known):
            outputs.append(self.lstm(known, states, len(known))[0])
        return cast(Tensor, self.output(torch.cat(outputs)))

    def generate(self, states: list[LSTMState], steps: int) -> Tensor:
        """Return the logits (steps, B, D) of frames that are generated after the decoder's own."""
        if not self.conditional:
            return self._unconditional(states, steps)
        hidden = states[-1][0]
        blank = hidden.new_zeros(len(hidden), self.output.out_features)
        logits: list[Tensor] = [self.output(hidden)] if self.copy_state else []
        while len(logits) < steps:
            before = self.shown(logits[-1]) if logits else blank
            outputs, states = self.lstm(before[None], states, 1)
            logits.append(self.output(outputs[0]))
        return torch.stack(logits)

    def _unconditional(self, states: list[LSTMState], steps: int) -> Tensor:
        first = states[-1][0][None]
        ahead = steps - 1 if self.copy_state else steps
        outputs = self.lstm(None, states, ahead)[0] if ahead else first[:0]
        return cast(Tensor, self.output(torch.cat([first, outputs]) if self.copy_state else outputs))
