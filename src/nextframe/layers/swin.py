"""Attention inside windows of a map, and the block of Swin Transformer that is made of it.

Liu et al. 2021, arXiv 2103.14030.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from nextframe.layers.drop_path import DropPath


class WindowAttention(nn.Module):
    """Each position attends to those of its own square window; where a position lies in the window adds to the score.

    With a `shift` the map is first rolled up and to the left by that much, so that the windows of one block straddle
    the borders between those of the block before. What rolling brings together from opposite sides of the map stays
    apart if `masked`. A map with a side of no more than one window is not shifted.
    """

    offsets: Tensor  # (window^2, window^2), of each pair of positions the row of `bias`

    def __init__(self, width: int, heads: int, window: int, shift: int = 0, masked: bool = True) -> None:
        super().__init__()
        self.heads, self.window, self.shift, self.masked = heads, window, shift, masked
        self.bias = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads))
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.register_buffer("offsets", _offsets(window), persistent=False)
        nn.init.trunc_normal_(self.bias, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Return what each position of x (B, H, W, width) gathers; H and W are multiples of the window."""
        height, width = x.shape[1:3]
        shift = self.shift if min(height, width) > self.window else 0
        windows = self._cut(x.roll((-shift, -shift), (1, 2)) if shift else x)  # (B, windows, window^2, width)
        q, k, v = self.qkv(windows).unflatten(-1, (3, self.heads, -1)).permute(3, 0, 1, 4, 2, 5)
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1) + self.bias[self.offsets].permute(2, 0, 1)
        if shift and self.masked:
            scores = scores.masked_fill(self._strangers(height, width, shift, x.device).unsqueeze(1), -torch.inf)
        mixed = self.out((scores.softmax(-1) @ v).transpose(2, 3).flatten(3))
        joined = self._join(mixed, height, width)
        return joined.roll((shift, shift), (1, 2)) if shift else joined

    def _cut(self, x: Tensor) -> Tensor:
        """Return the windows (B, windows, window^2, C) of x (B, H, W, C), row by row."""
        batch, height, width, channels = x.shape
        side = self.window
        tall = x.reshape(batch, height // side, side, width // side, side, channels)
        return tall.transpose(2, 3).reshape(batch, -1, side * side, channels)

    def _join(self, windows: Tensor, height: int, width: int) -> Tensor:
        """Undo `_cut`."""
        batch, _, _, channels = windows.shape
        side = self.window
        tall = windows.reshape(batch, height // side, width // side, side, side, channels)
        return tall.transpose(2, 3).reshape(batch, height, width, channels)

    def _strangers(self, height: int, width: int, shift: int, device: torch.device) -> Tensor:
        """Return which pairs of each window, (windows, window^2, window^2), only rolling has made neighbours."""
        rows, columns = (torch.arange(side, device=device) >= side - shift for side in (height, width))
        parts = self._cut((2 * rows[:, None] + columns)[None, :, :, None])[0, :, :, 0]
        return parts[:, :, None] != parts[:, None, :]


class SwinBlock(nn.Module):
    """Window attention, then two layers at each position; both are added to their input, which is normed first."""

    def __init__(
        self, width: int, heads: int, window: int, shift: int = 0, *, drop_path: float = 0.0, masked: bool = True
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = WindowAttention(width, heads, window, shift, masked)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Return x (B, H, W, width), changed."""
        return self.add(x, self.norm(x))

    def add(self, x: Tensor, read: Tensor) -> Tensor:
        """Add to `x` what attention makes of `read`, then what the layers make of the sum."""
        x = x + self.drop_path(self.attention(read))
        return cast(Tensor, x + self.drop_path(self.mlp(self.mlp_norm(x))))


def _offsets(window: int) -> Tensor:
    """Return for positions p and q of a window the number of the offset p - q, counted row by row: (N, N)."""
    places = torch.cartesian_prod(torch.arange(window), torch.arange(window))
    rows, columns = (places[:, None] - places[None, :] + window - 1).unbind(-1)
    return rows * (2 * window - 1) + columns
