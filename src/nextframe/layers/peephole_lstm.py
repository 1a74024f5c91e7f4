"""LSTM layers with peepholes, fast on whole sequences: one product for all inputs, one for all weight gradients.

The cell is that of Srivastava, Mansimov & Salakhutdinov 2015 (arXiv 1502.04681), peepholes diagonal:
i = sig(W x + U h + p_i c + b), f = sig(... + p_f c + b), a = tanh(...), c' = f c + i a, o = sig(... + p_o c' + b),
h' = o tanh(c'). Sequences are time first, (T, B, features), so that a step is one block of memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LSTMState = tuple[Tensor, Tensor]  # hidden and cell, (B, hidden) each
Activation = Literal["tanh", "relu"]
PEEPHOLE_RANGE = 0.1  # peepholes start uniform in +-0.1, as in the original

aten = torch.ops.aten  # torch's own gradients of its activations, which can write where they are told


class PeepholeLSTM(nn.Module):
    """One layer. Its weights are plain tensors, so that another layer can start from them.

    `input_weight` (4 hidden, inputs), None where there is no input; `recurrent_weight` (4 hidden, hidden); `bias`
    (4 hidden); `peephole` (3, hidden). Gates lie in the order input, forget, output, candidate.
    """

    def __init__(
        self, inputs: int, hidden: int, activation: Activation = "tanh", scale: float | None = None, forget: float = 0.0
    ) -> None:
        """Start matrices uniform in +-`scale` (None: 1 / sqrt(hidden)), the forget gate's bias at `forget`."""
        super().__init__()
        self.hidden, self.activation = hidden, activation
        reach = hidden**-0.5 if scale is None else scale
        self.input_weight: nn.Parameter | None = None
        if inputs:
            self.input_weight = nn.Parameter(torch.empty(4 * hidden, inputs).uniform_(-reach, reach))
        self.recurrent_weight = nn.Parameter(torch.empty(4 * hidden, hidden).uniform_(-reach, reach))
        self.bias = nn.Parameter(torch.zeros(4 * hidden))
        self.peephole = nn.Parameter(torch.empty(3, hidden).uniform_(-PEEPHOLE_RANGE, PEEPHOLE_RANGE))
        with torch.no_grad():
            self.bias[hidden : 2 * hidden] = forget

    def forward(self, x: Tensor | None, state: LSTMState, steps: int) -> tuple[Tensor, LSTMState]:
        """Read x (steps, B, inputs), None for no input, from `state`; return all hidden (steps, B, hidden), the end."""
        h, c = state
        if x is None or self.input_weight is None:
            z = self.bias.expand(steps, len(h), -1)
        else:
            z = F.linear(x, self.input_weight, self.bias)  # every step in one product
        outputs, cell = Recurrence.apply(  # type: ignore[no-untyped-call]
            z, self.recurrent_weight, self.peephole, h, c, self.activation
        )
        return outputs, (outputs[-1], cell)


class LSTMStack(nn.Module):
    """Layers on top of each other; only the lowest reads the input."""

    def __init__(
        self,
        inputs: int,
        hidden: Sequence[int],
        activation: Activation = "tanh",
        scale: float | None = None,
        forget: float = 0.0,
    ) -> None:
        super().__init__()
        self.hidden = tuple(hidden)
        self.layers = nn.ModuleList(
            PeepholeLSTM(before, after, activation, scale, forget) for before, after in pairwise([inputs, *hidden])
        )

    def blank(self, batch: int, like: Tensor) -> list[LSTMState]:
        """Return the state of zeros that a sequence starts from, in the type and place of `like`."""
        return [(like.new_zeros(batch, n), like.new_zeros(batch, n)) for n in self.hidden]

    def forward(self, x: Tensor | None, states: Sequence[LSTMState], steps: int) -> tuple[Tensor, list[LSTMState]]:
        """Read x (steps, B, inputs) or None; return the top's hidden (steps, B, hidden[-1]) and all last states."""
        outputs, after = x, []
        for layer, state in zip(self.layers, states, strict=True):
            outputs, last = layer(outputs, state, steps)
            after.append(last)
        assert outputs is not None  # there is at least one layer
        return outputs, after


class Recurrence(torch.autograd.Function):
    """All steps of a layer, as one function: no step is recorded, and gates are computed in place.

    Under autocast the products run in its type; gates, cells and sums stay in float32.
    """

    @staticmethod
    def forward(
        ctx: Any, z: Tensor, weight: Tensor, peephole: Tensor, h: Tensor, c: Tensor, activation: Activation
    ) -> tuple[Tensor, Tensor]:
        """Take the inputs' share z (T, B, 4n) of the gates; return all hidden (T, B, n) and the last cell (B, n)."""
        steps, batch, n = z.shape[0], z.shape[1], weight.shape[1]
        low = _product_type(z, weight)
        with torch.autocast(z.device.type, enabled=False):
            used = weight.to(low)
            gates = z.to(weight.dtype, copy=True, memory_format=torch.contiguous_format)
            hidden, cells = gates.new_empty(steps, batch, n), gates.new_empty(steps + 1, batch, n)
            cells[0] = c
            shown = torch.empty_like(cells[0])
            before = h
            for t in range(steps):
                _add_product(gates[t], before, used)
                _open_gates(gates[t], peephole, cells[t], cells[t + 1], activation)
                before = torch.mul(gates[t, :, 2 * n : 3 * n], _act(cells[t + 1], shown, activation), out=hidden[t])
        ctx.save_for_backward(gates, hidden, cells, weight, peephole, h)
        ctx.activation, ctx.low, ctx.z_type = activation, low, z.dtype
        return hidden, cells[-1].clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, hidden_grad: Tensor, cell_grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of z, weight, peephole, h and c."""
        gates, hidden, cells, weight, peephole, h = ctx.saved_tensors
        steps, n, used = len(gates), weight.shape[1], weight.to(ctx.low)
        with torch.autocast(gates.device.type, enabled=False):
            z_grad, cell_grad = torch.empty_like(gates), cell_grad.clone()
            from_later = torch.zeros_like(h)
            for t in reversed(range(steps)):
                saved = (gates[t], cells[t + 1], cells[t])
                _close_gates(from_later.add_(hidden_grad[t]), cell_grad, saved, peephole, z_grad[t], ctx.activation)
                from_later = _product(z_grad[t], used)
            weight_grad = _product(z_grad[0].T, h.to(ctx.low))
            if steps > 1:  # one product for the whole sequence
                weight_grad += _product(z_grad[1:].flatten(0, 1).T, hidden[:-1].flatten(0, 1).to(ctx.low))
            peephole_grad = torch.stack(
                [
                    (z_grad[..., :n] * cells[:-1]).sum((0, 1)),
                    (z_grad[..., n : 2 * n] * cells[:-1]).sum((0, 1)),
                    (z_grad[..., 2 * n : 3 * n] * cells[1:]).sum((0, 1)),
                ]
            )
        return z_grad.to(ctx.z_type), weight_grad, peephole_grad, from_later, cell_grad, None


def _product_type(z: Tensor, weight: Tensor) -> torch.dtype:
    kind = z.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype


def _add_product(z: Tensor, h: Tensor, weight: Tensor) -> None:
    """Add h @ weight.T (B, 4n) to z."""
    if weight.dtype == z.dtype:
        z.addmm_(h, weight.T)
    else:
        z.add_(h.to(weight.dtype) @ weight.T)


def _product(left: Tensor, right: Tensor) -> Tensor:
    """Return left @ right in the type of `left`, multiplied in the type of `right`."""
    return (left.to(right.dtype) @ right).to(left.dtype)


def _act(x: Tensor, out: Tensor, activation: Activation) -> Tensor:
    return torch.clamp_min(x, 0, out=out) if activation == "relu" else torch.tanh(x, out=out)


def _act_back(grad: Tensor, value: Tensor, out: Tensor, activation: Activation) -> Tensor:
    if activation == "relu":
        aten.threshold_backward.grad_input(grad, value, 0, grad_input=out)
    else:
        aten.tanh_backward.grad_input(grad, value, grad_input=out)
    return out


def _open_gates(z: Tensor, peephole: Tensor, before: Tensor, cell: Tensor, activation: Activation) -> None:
    """Turn z (B, 4n) into the gates and the candidate, and fill `cell` (B, n) from the cell before."""
    n = cell.shape[1]
    i, f, o, a = z.chunk(4, dim=1)
    i.addcmul_(before, peephole[0])
    f.addcmul_(before, peephole[1])
    z[:, : 2 * n].sigmoid_()
    _act(a, a, activation)
    torch.mul(f, before, out=cell).addcmul_(i, a)
    o.addcmul_(cell, peephole[2]).sigmoid_()


def _close_gates(
    hidden_grad: Tensor,
    cell_grad: Tensor,
    saved: tuple[Tensor, Tensor, Tensor],
    peephole: Tensor,
    z_grad: Tensor,
    activation: Activation,
) -> None:
    """Fill z_grad (B, 4n); saved = (gates, cell, cell before). `cell_grad` becomes that of the cell before."""
    gates, cell, before = saved
    i, f, o, a = gates.chunk(4, dim=1)
    i_grad, f_grad, o_grad, a_grad = z_grad.chunk(4, dim=1)
    shown = _act(cell, torch.empty_like(cell), activation)
    scratch = torch.mul(hidden_grad, shown)
    aten.sigmoid_backward.grad_input(scratch, o, grad_input=o_grad)
    torch.mul(hidden_grad, o, out=scratch)
    cell_grad.add_(_act_back(scratch, shown, scratch, activation)).addcmul_(o_grad, peephole[2])
    _act_back(torch.mul(cell_grad, i, out=scratch), a, a_grad, activation)
    aten.sigmoid_backward.grad_input(torch.mul(cell_grad, a, out=scratch), i, grad_input=i_grad)
    aten.sigmoid_backward.grad_input(torch.mul(cell_grad, before, out=scratch), f, grad_input=f_grad)
    cell_grad.mul_(f).addcmul_(i_grad, peephole[0]).addcmul_(f_grad, peephole[1])
