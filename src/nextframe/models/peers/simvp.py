"""A plain SimVP with gated spatiotemporal attention, in the form of OpenSTL."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nextframe.core.clip import Clip
from nextframe.models.peers.peer import Peer

if TYPE_CHECKING:
    from nextframe.models.simvp import SimVPConfig


def block(before: int, after: int, kernel: int, stride: int = 1, double: bool = False) -> nn.Sequential:
    """Return convolution, norm and SiLU; the first may halve or double the size."""
    conv = nn.Conv2d(before, 4 * after if double else after, kernel, stride, kernel // 2)
    resize = nn.PixelShuffle(2) if double else nn.Identity()
    return nn.Sequential(conv, resize, nn.GroupNorm(2, after), nn.SiLU())


class Attention(nn.Module):
    """A large kernel in three parts, one half of whose maps gates the other."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.enter, self.leave = nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 1)
        self.near = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.far = nn.Conv2d(width, width, 7, padding=9, dilation=3, groups=width)
        self.mix = nn.Conv2d(width, 2 * width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Change x (B, D, h, w)."""
        values, gates = self.mix(self.far(self.near(F.gelu(self.enter(x))))).chunk(2, dim=1)
        change: Tensor = self.leave(torch.sigmoid(gates) * values)
        return x + change


class Feed(nn.Module):
    """Wider, a 3x3 look around, GELU, and back."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.expand, self.reduce = nn.Conv2d(width, hidden, 1), nn.Conv2d(hidden, width, 1)
        self.local = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Change x (B, D, h, w)."""
        out: Tensor = self.reduce(F.gelu(self.local(self.expand(x))))
        return out


class Block(nn.Module):
    """Attention and feed-forward, each on batch norm and scaled, and a change of width where there is one."""

    def __init__(self, before: int, after: int, hidden: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(before) for _ in range(2))
        self.parts = nn.ModuleList([Attention(before), Feed(before, hidden)])
        self.scales = nn.ParameterList(torch.full((before, 1, 1), 1e-2) for _ in range(2))
        self.resize = nn.Conv2d(before, after, 1) if before != after else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Change x (B, D, h, w)."""
        for norm, part, scale in zip(self.norms, self.parts, self.scales, strict=True):
            x = x + scale * part(norm(x))
        out: Tensor = self.resize(x)
        return out


RENAMED = {  # of a block of the translator
    "block.0.norm.": "norms.0.", "block.1.norm.": "norms.1.", "block.0.scale": "scales.0", "block.1.scale": "scales.1",
    "block.0.branch.gate.seen.": "parts.0.", "block.0.branch.": "parts.0.", "block.1.branch.": "parts.1.",
}  # fmt: skip


class PlainSimVP(Peer):
    """Encoder, blocks over all frames' maps at once, decoder."""

    fields: ClassVar[Mapping[str, Any]] = {"translator": "gsta", "drop_path": (0.0, 0.0)}
    batch = 2

    def __init__(self, config: SimVPConfig) -> None:
        super().__init__()
        width, layers, self.context = config.encoder_width, config.encoder_layers, config.context
        self.encoder = nn.ModuleList(
            block(width if i else config.channels, width, config.encoder_kernel, stride=1 + i % 2)
            for i in range(layers)
        )
        maps = config.context * width
        widths = [maps, *[config.width] * (config.blocks - 1), maps]
        self.translator = nn.Sequential(*(Block(a, b, int(a * config.ratio)) for a, b in pairwise(widths)))
        self.decoder = nn.ModuleList(
            block(width, width, config.decoder_kernel, double=i % 2 == 0) for i in range(layers)
        )
        self.paint = nn.Conv2d(width, config.channels, 1)

    def mapped(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Rename the layers."""
        return {self._renamed(name): value for name, value in state.items()}

    def _renamed(self, name: str) -> str:
        for part, others in (("encoder", "rest"), ("decoder", "first")):
            shift = 1 if part == "encoder" else 0
            for index in range(len(self.encoder)):
                name = name.replace(f"{part}.{others}.{index}.", f"{part}.{index + shift}.")
        name = name.replace("encoder.first.", "encoder.0.").replace(
            "decoder.last.", f"decoder.{len(self.decoder) - 1}."
        )
        for ours, own in RENAMED.items():
            name = name.replace(ours, own)
        return name.replace("decoder.paint.", "paint.")

    def next_frames(self, context: Tensor) -> Tensor:
        """Return as many frames as `context` (B, T, C, H, W) has."""
        x = fine = self.encoder[0](context.flatten(0, 1))
        for layer in self.encoder[1:]:
            x = layer(x)
        x = self.translator(x.reshape(len(context), -1, *x.shape[2:])).reshape(x.shape)
        for layer in self.decoder[:-1]:
            x = layer(x)
        painted: Tensor = self.paint(self.decoder[-1](x + fine))
        return painted.reshape(context.shape)

    def forecast(self, context: Tensor, horizon: int) -> Tensor:
        """Predict in whole passes."""
        future: list[Tensor] = []
        while len(future) * self.context < horizon:
            future.append(self.next_frames(future[-1] if future else context))
        return torch.cat(future, dim=1)[:, :horizon]

    def loss(self, clip: Clip) -> Tensor:
        """Return the squared error of the future."""
        return F.mse_loss(self.forecast(clip.context, clip.horizon), clip.target)
