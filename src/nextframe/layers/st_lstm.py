"""The spatio-temporal LSTM cell of PredRNN: beside its own memory it changes one that runs through all layers."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from nextframe.layers.fast_conv import FastConv2d

FORGET = 1.0  # added to the forget gates, so that memories last at first


def gate_maps(inputs: int, outputs: int, kernel: int, norm: tuple[int, int] | None = None) -> nn.Sequential:
    """Return a convolution without bias that keeps the size; `kernel` is odd.

    With `norm` (height, width) a layer norm over channels, rows and columns follows, for maps of that size only.
    """
    convolution = FastConv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, *([nn.LayerNorm((outputs, *norm))] if norm else []))


def blend(kept: Tensor, new: Tensor, gate: Tensor) -> Tensor:
    """Return `kept` where `gate` is 0 and `new` where it is 1; all of the same shape, in the widest precision.

    `torch.lerp` stops with an error where autocast has made only some of them bfloat16.
    """
    dtype = torch.promote_types(torch.promote_types(kept.dtype, new.dtype), gate.dtype)
    return torch.lerp(kept.to(dtype), new.to(dtype), gate.to(dtype))


class Update(NamedTuple):
    """A cell's outcome; each map is (B, hidden, H, W)."""

    h: Tensor  # the output
    c: Tensor  # the layer's own memory
    m: Tensor  # the memory that all layers share
    added_c: Tensor  # what was written into each memory
    added_m: Tensor


class SpatioTemporalLSTMCell(nn.Module):
    """Two LSTM memories with gates of their own, c and m, and one output gate that sees both.

    c' = f c + i g, m' = f' m + i' g', h' = o tanh(1x1 convolution of (c', m')); i, f, g are convolutions of x and h,
    i', f', g' of x and m, and o of x, h and (c', m'). Wang et al. 2017 (PredRNN), arXiv 2103.09504, without its
    biases, as in the authors' code.
    """

    def __init__(self, inputs: int, hidden: int, kernel: int, norm: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.from_input = gate_maps(inputs, 7 * hidden, kernel, norm)
        self.from_hidden = gate_maps(hidden, 4 * hidden, kernel, norm)
        self.from_memory = gate_maps(hidden, 3 * hidden, kernel, norm)
        self.from_both = gate_maps(2 * hidden, hidden, kernel, norm)
        self.mix = nn.Conv2d(2 * hidden, hidden, 1, bias=False)

    def forward(self, x: Tensor, h: Tensor, c: Tensor, m: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Read x (B, inputs, H, W); return the new h, c and m, each (B, hidden, H, W)."""
        update = self.update(x, h, c, m)
        return update.h, update.c, update.m

    def update(self, x: Tensor, h: Tensor, c: Tensor, m: Tensor) -> Update:
        """Do what `forward` does, and return what was written into the memories too."""
        i_x, f_x, g_x, i_xm, f_xm, g_xm, o_x = self.from_input(x).chunk(7, dim=1)
        i_h, f_h, g_h, o_h = self.from_hidden(h).chunk(4, dim=1)
        i_m, f_m, g_m = self.from_memory(m).chunk(3, dim=1)
        added_c = torch.sigmoid(i_x + i_h) * torch.tanh(g_x + g_h)
        c = torch.sigmoid(f_x + f_h + FORGET) * c + added_c
        added_m = torch.sigmoid(i_xm + i_m) * torch.tanh(g_xm + g_m)
        m = torch.sigmoid(f_xm + f_m + FORGET) * m + added_m
        both = torch.cat([c, m], dim=1)
        h = torch.sigmoid(o_x + o_h + self.from_both(both)) * torch.tanh(self.mix(both))
        return Update(h, c, m, added_c, added_m)
