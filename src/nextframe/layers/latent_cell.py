"""A peephole LSTM layer over vectors, as Lasagne has it: gates see the cell, and the first state is learned."""

from __future__ import annotations

import torch
from torch import Tensor, nn

CellState = tuple[Tensor, Tensor]  # hidden and cell, (B, hidden) each


class PeepholeLayer(nn.Module):
    """i, f = sigmoid(z + w c), c' = f c + i tanh(z), o = sigmoid(z + w c'), h' = o tanh(c') (Gers et al. 2002).

    `std` is the deviation of all weights, with no bias to forget: Lasagne's start. Without it input weights are
    Glorot uniform and recurrent ones orthogonal.
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

    def forward(self, inputs: Tensor, state: CellState | None) -> tuple[Tensor, CellState]:
        """Read inputs (B, T, inputs) from `state` on (None: the learned first one); return (B, T, hidden), state."""
        batch = inputs.shape[0]
        if state is None:
            state = (self.first_hidden.expand(batch, -1), self.first_cell.expand(batch, -1))
        hidden, cell = state
        found = []
        for z in self.input(inputs).unbind(1):  # unbind: indexing would cost a full-size zero-fill in the backward
            z = torch.addmm(z, hidden, self.recurrent.T)
            z = bounded_gradient(z, self.clip)
            hidden, cell = self._gates(z, cell)
            found.append(hidden)
        return torch.stack(found, dim=1), (hidden, cell)

    def _gates(self, z: Tensor, cell: Tensor) -> CellState:
        i, f, g, o = z.chunk(4, dim=1)
        see_i, see_f, see_o = self.peepholes.unbind()
        cell = torch.sigmoid(f + see_f * cell) * cell + torch.sigmoid(i + see_i * cell) * g.tanh()
        return torch.sigmoid(o + see_o * cell) * cell.tanh(), cell


def bounded_gradient(values: Tensor, limit: float | None) -> Tensor:
    """Return `values` as they are; each number of the gradient that comes back is clamped to plus or minus `limit`."""
    if limit is not None and values.requires_grad:
        values.register_hook(lambda gradient: gradient.clamp(-limit, limit))  # type: ignore[no-untyped-call]
    return values
