"""LSTM layers: the pixel-wise half of a step, and peephole layers over vectors that are fast on whole sequences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Activation = Literal["relu", "tanh"]
Gate = Literal["sigmoid", "hard_sigmoid"]
LSTMState = tuple[Tensor, Tensor]  # hidden and cell, (B, hidden) each
PEEPHOLE_RANGE = 0.1  # peepholes start uniform in +-0.1, as in Srivastava's original

aten = torch.ops.aten  # torch's own gradients of its activations, which can write into a given tensor


@dataclass(frozen=True)
class Gates:
    """i, f, o = gate(z), g = act(z), c' = f c + i g, h' = o act(c'); and the gradient, both in place.

    z (..., 4 hidden) holds i, f, g, o, or what `order` says. With peepholes (3, hidden) the gates see the cell:
    i = gate(z + p_i c), f = gate(z + p_f c), o = gate(z + p_o c'). `gate` "hard_sigmoid" is that of Keras 2:
    clip(0.2 z + 0.5, 0, 1). Little memory is allocated, and autograd records no step.
    """

    activation: Activation
    gate: Gate = "sigmoid"
    order: Literal["ifgo", "ifog"] = "ifgo"

    def split(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """View z (..., 4 hidden) as i, f, g, o."""
        i, f, third, last = z.chunk(4, dim=-1)
        return (i, f, third, last) if self.order == "ifgo" else (i, f, last, third)

    def forward(
        self, z: Tensor, before: Tensor, candidate: Tensor, cell: Tensor, hidden: Tensor, peephole: Tensor | None = None
    ) -> None:
        """Fill candidate, cell and hidden (..., hidden) from z and the cell before; z becomes the gates.

        With peepholes `candidate` may be g's own quarter of z. Without, that quarter is unused: one pass over
        all of z is faster than two with a gap.
        """
        i, f, g, o = self.split(z)
        self._activate(g, candidate)
        if peephole is None:
            self._squash(z)
        else:
            i.addcmul_(before, peephole[0])
            f.addcmul_(before, peephole[1])
            self._squash(z[..., : 2 * cell.shape[-1]])
        torch.mul(f, before, out=cell)
        cell.addcmul_(i, candidate)
        if peephole is not None:
            self._squash(o.addcmul_(cell, peephole[2]))
        hidden.copy_(self._activate(cell, torch.empty_like(cell)).mul_(o))

    def backward(
        self,
        hidden_grad: Tensor,
        cell_grad: Tensor,
        saved: tuple[Tensor, Tensor, Tensor, Tensor],
        z_grad: Tensor,
        peephole: Tensor | None = None,
    ) -> None:
        """Fill z_grad (..., 4 hidden); `saved` = (z, candidate, cell, before) as `forward` left them.

        `cell_grad` is that of the cell from later frames, and becomes that of the cell before.
        """
        z, candidate, cell, before = saved
        i, f, _, o = self.split(z)
        i_grad, f_grad, g_grad, o_grad = self.split(z_grad)
        shown = self._activate(cell, torch.empty_like(cell))
        scratch = torch.mul(hidden_grad, shown)
        self._squash_back(scratch, o, o_grad)
        torch.mul(hidden_grad, o, out=scratch)
        cell_grad.add_(self._activate_back(scratch, shown, scratch))
        if peephole is not None:
            cell_grad.addcmul_(o_grad, peephole[2])
        self._activate_back(torch.mul(cell_grad, i, out=scratch), candidate, g_grad)
        self._squash_back(torch.mul(cell_grad, candidate, out=scratch), i, i_grad)
        self._squash_back(torch.mul(cell_grad, before, out=scratch), f, f_grad)
        cell_grad.mul_(f)
        if peephole is not None:
            cell_grad.addcmul_(i_grad, peephole[0]).addcmul_(f_grad, peephole[1])

    def _activate(self, x: Tensor, out: Tensor) -> Tensor:
        return torch.clamp_min(x, 0, out=out) if self.activation == "relu" else torch.tanh(x, out=out)

    def _activate_back(self, grad: Tensor, value: Tensor, out: Tensor) -> Tensor:
        if self.activation == "relu":
            aten.threshold_backward.grad_input(grad, value, 0, grad_input=out)
        else:
            aten.tanh_backward.grad_input(grad, value, grad_input=out)
        return out

    def _squash(self, z: Tensor) -> None:
        if self.gate == "sigmoid":
            z.sigmoid_()
        else:
            z.mul_(0.2).add_(0.5).clamp_(0, 1)

    def _squash_back(self, grad: Tensor, value: Tensor, out: Tensor) -> None:
        if self.gate == "sigmoid":
            aten.sigmoid_backward.grad_input(grad, value, grad_input=out)
        else:
            slope = (value > 0).logical_and_(value < 1).to(value.dtype).mul_(0.2)
            torch.mul(grad, slope, out=out)


class PeepholeLSTM(nn.Module):
    """One layer as in Srivastava, Mansimov & Salakhutdinov 2015 (arXiv 1502.04681), peepholes diagonal.

    Its weights are plain tensors, so that another layer can start from them: `input_weight` (4 hidden, inputs), None
    without an input; `recurrent_weight` (4 hidden, hidden); `bias` (4 hidden); `peephole` (3, hidden). Gates
    are in the order input, forget, output, candidate. Sequences are time first, so that a step is one block of memory.
    """

    def __init__(
        self, inputs: int, hidden: int, activation: Activation = "tanh", scale: float | None = None, forget: float = 0.0
    ) -> None:
        """Start matrices uniform in +-`scale` (None: 1 / sqrt(hidden)), the forget gate's bias at `forget`."""
        super().__init__()
        self.hidden, self.gates = hidden, Gates(activation, order="ifog")
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
        """Read x (steps, B, inputs), None for no input, from `state`; return all hidden (steps, B, hidden), state."""
        h, c = state
        if x is None or self.input_weight is None:
            z = self.bias.expand(steps, len(h), -1)
        else:
            z = F.linear(x, self.input_weight, self.bias)  # every step in one product
        outputs, cell = Recurrence.apply(  # type: ignore[no-untyped-call]
            z, self.recurrent_weight, self.peephole, h, c, self.gates, None
        )
        return outputs, (outputs[-1], cell)


class LSTMStack(nn.Module):
    """Layers on top of each other; only the lowest reads the input."""

    def __init__(
        self, inputs: int, hidden: Sequence[int], activation: Activation = "tanh", scale: float | None = None,
        forget: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.hidden = tuple(hidden)
        self.between = nn.Dropout(0.0)  # of what goes from a layer to the next, never from a step to the next
        self.layers = nn.ModuleList(
            PeepholeLSTM(before, after, activation, scale, forget) for before, after in pairwise([inputs, *hidden])
        )

    def blank(self, batch: int, like: Tensor) -> list[LSTMState]:
        """Return the state of zeros that a sequence starts from, with the dtype and device of `like`."""
        return [(like.new_zeros(batch, n), like.new_zeros(batch, n)) for n in self.hidden]

    def forward(self, x: Tensor | None, states: Sequence[LSTMState], steps: int) -> tuple[Tensor, list[LSTMState]]:
        """Read x (steps, B, inputs) or None; return the top's hidden (steps, B, hidden[-1]) and all last states."""
        outputs, after = x, list[LSTMState]()
        for layer, state in zip(self.layers, states, strict=True):
            if after and outputs is not None and self.between.p:
                outputs = self.between(outputs)
            outputs, last = layer(outputs, state, steps)
            after.append(last)
        assert outputs is not None  # there is at least one layer
        return outputs, after


class LasagneLSTM(nn.Module):
    """One layer as in Lasagne: peepholes (Gers et al. 2002), a learned first state, clamped gradients.

    `std` is the standard deviation of all initial weights, with a forget bias of zero: Lasagne's defaults. Without it
    input weights are Glorot uniform and recurrent ones orthogonal. Each element of the gradient of a step's z is
    clamped to plus or minus `clip`.
    """

    def __init__(
        self, inputs: int, hidden: int, std: float | None, forget_bias: float = 1.0, clip: float | None = None
    ) -> None:
        super().__init__()
        self.hidden, self.clip = hidden, clip
        self.input = nn.Linear(inputs, 4 * hidden)  # i, f, g, o
        self.recurrent = nn.Parameter(torch.empty(4 * hidden, hidden))
        self.peepholes = nn.Parameter(torch.zeros(3, hidden))  # i, f, o
        self.first_hidden = nn.Parameter(torch.zeros(hidden))
        self.first_cell = nn.Parameter(torch.zeros(hidden))
        nn.init.zeros_(self.input.bias)
        with torch.no_grad():
            self.input.bias[hidden : 2 * hidden] = forget_bias
        if std is None:
            nn.init.xavier_uniform_(self.input.weight)
            for gate in self.recurrent.data.chunk(4):
                nn.init.orthogonal_(gate)
        else:
            for weight in (self.input.weight, self.recurrent, self.peepholes):
                nn.init.normal_(weight, std=std)

    def forward(self, inputs: Tensor, state: LSTMState | None) -> tuple[Tensor, LSTMState]:
        """Read inputs (B, T, inputs) from `state` on (None: the learned first one); return (B, T, hidden), state."""
        batch = inputs.shape[0]
        if state is None:
            state = (self.first_hidden.expand(batch, -1), self.first_cell.expand(batch, -1))
        z = self.input(inputs.transpose(0, 1))
        outputs, cell = Recurrence.apply(  # type: ignore[no-untyped-call]
            z, self.recurrent, self.peepholes, *state, Gates("tanh"), self.clip
        )
        return outputs.transpose(0, 1), (outputs[-1], cell)


class Recurrence(torch.autograd.Function):
    """All steps of a layer as one function: autograd records no step, and gates are computed in place.

    Under autocast the products run in its dtype; gates, cells and sums are in float32.
    """

    @staticmethod
    def forward(
        ctx: Any,
        z: Tensor,
        weight: Tensor,
        peephole: Tensor,
        h: Tensor,
        c: Tensor,
        gates: Gates,
        clip: float | None,
    ) -> tuple[Tensor, Tensor]:
        """Take the inputs' part z (T, B, 4n) of the gates; return all hidden (T, B, n) and the last cell (B, n)."""
        steps, batch, n = z.shape[0], z.shape[1], weight.shape[1]
        low = _product_type(z, weight)
        with torch.autocast(z.device.type, enabled=False):
            used = weight.to(low)
            opened = z.to(weight.dtype, copy=True, memory_format=torch.contiguous_format)
            hidden, cells = opened.new_empty(steps, batch, n), opened.new_empty(steps + 1, batch, n)
            cells[0] = c
            for t in range(steps):
                _add_product(opened[t], hidden[t - 1] if t else h, used)
                candidate = gates.split(opened[t])[2]
                gates.forward(opened[t], cells[t], candidate, cells[t + 1], hidden[t], peephole)
        ctx.save_for_backward(opened, hidden, cells, weight, peephole, h)
        ctx.gates, ctx.clip, ctx.low, ctx.z_type = gates, clip, low, z.dtype
        return hidden, cells[-1].clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, hidden_grad: Tensor, cell_grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of z, weight, peephole, h and c."""
        opened, hidden, cells, weight, peephole, h = ctx.saved_tensors
        gates, used = ctx.gates, weight.to(ctx.low)
        with torch.autocast(opened.device.type, enabled=False):
            z_grad, cell_grad = torch.empty_like(opened), cell_grad.clone()
            from_later = torch.zeros_like(h)
            for t in reversed(range(len(opened))):
                saved = (opened[t], gates.split(opened[t])[2], cells[t + 1], cells[t])
                gates.backward(from_later.add_(hidden_grad[t]), cell_grad, saved, z_grad[t], peephole)
                from_later = _product(_bounded(z_grad[t], ctx.clip), used)
            i_grad, f_grad, _, o_grad = gates.split(z_grad)
            seen = ((i_grad, cells[:-1]), (f_grad, cells[:-1]), (o_grad, cells[1:]))
            peephole_grad = torch.stack([(grad * cell).sum((0, 1)) for grad, cell in seen])
            z_grad = _bounded(z_grad, ctx.clip)
            weight_grad = _product(z_grad[0].T, h.to(ctx.low))
            if len(opened) > 1:  # one product for the whole sequence
                weight_grad += _product(z_grad[1:].flatten(0, 1).T, hidden[:-1].flatten(0, 1).to(ctx.low))
        return z_grad.to(ctx.z_type), weight_grad, peephole_grad, from_later, cell_grad, None, None


def _bounded(grad: Tensor, limit: float | None) -> Tensor:
    return grad if limit is None else grad.clamp(-limit, limit)


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
    """Return left @ right in the dtype of `left`, multiplied in the dtype of `right`."""
    return (left.to(right.dtype) @ right).to(left.dtype)
