"""The pixel-wise half of an LSTM step and its gradient, in place: little is allocated, and no step is recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Activation = Literal["relu", "tanh"]
Gate = Literal["sigmoid", "hard_sigmoid"]

aten = torch.ops.aten  # torch's own gradients of its activations, which can write where they are told


@dataclass(frozen=True)
class Gates:
    """i, f, o = gate(z), g = act(z), c' = f c + i g, h' = o act(c'); z (..., 4 hidden) holds i, f, g, o.

    `gate` "hard_sigmoid" is that of Keras 2: clip(0.2 z + 0.5, 0, 1).
    """

    activation: Activation
    gate: Gate

    def forward(self, z: Tensor, before: Tensor, candidate: Tensor, cell: Tensor, hidden: Tensor) -> None:
        """Fill candidate, cell and hidden (..., hidden) from z and the cell map before; z becomes the gates.

        The third quarter of z is then of no use: one pass over all of z is faster than three with gaps.
        """
        i, f, g, o = z.chunk(4, dim=-1)
        self._activate(g, candidate)
        if self.gate == "sigmoid":
            z.sigmoid_()
        else:
            z.mul_(0.2).add_(0.5).clamp_(0, 1)
        torch.mul(f, before, out=cell)
        cell.addcmul_(i, candidate)
        hidden.copy_(self._activate(cell, torch.empty_like(cell)).mul_(o))

    def backward(
        self, hidden_grad: Tensor, cell_grad: Tensor, saved: tuple[Tensor, Tensor, Tensor, Tensor], z_grad: Tensor
    ) -> None:
        """Fill z_grad (..., 4 hidden); `saved` = (z, candidate, cell, before) as `forward` left them.

        `cell_grad` is that of the cell from later frames, and becomes that of the cell before.
        """
        z, candidate, cell, before = saved
        i, f, _, o = z.chunk(4, dim=-1)
        i_grad, f_grad, g_grad, o_grad = z_grad.chunk(4, dim=-1)
        shown = self._activate(cell, torch.empty_like(cell))
        scratch = torch.mul(hidden_grad, o)
        cell_grad.add_(self._activate_back(scratch, shown, scratch))
        self._squash_back(torch.mul(hidden_grad, shown, out=scratch), o, o_grad)
        self._activate_back(torch.mul(cell_grad, i, out=scratch), candidate, g_grad)
        self._squash_back(torch.mul(cell_grad, candidate, out=scratch), i, i_grad)
        self._squash_back(torch.mul(cell_grad, before, out=scratch), f, f_grad)
        cell_grad.mul_(f)

    def _activate(self, x: Tensor, out: Tensor) -> Tensor:
        return torch.clamp_min(x, 0, out=out) if self.activation == "relu" else torch.tanh(x, out=out)

    def _activate_back(self, grad: Tensor, value: Tensor, out: Tensor) -> Tensor:
        if self.activation == "relu":
            aten.threshold_backward.grad_input(grad, value, 0, grad_input=out)
        else:
            aten.tanh_backward.grad_input(grad, value, grad_input=out)
        return out

    def _squash_back(self, grad: Tensor, value: Tensor, out: Tensor) -> None:
        if self.gate == "sigmoid":
            aten.sigmoid_backward.grad_input(grad, value, grad_input=out)
        else:
            slope = (value > 0).logical_and_(value < 1).to(value.dtype).mul_(0.2)
            torch.mul(grad, slope, out=out)
