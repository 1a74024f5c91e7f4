"""PredFormer: gated transformers over space and over time, in one of nine orders; nothing recurrent or convolved."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from nextframe.core.clip import Clip
from nextframe.layers.drop_path import DropPath
from nextframe.layers.grid import pad_to_multiple
from nextframe.layers.patches import fold
from nextframe.models.contract import Capabilities, ModelConfig, Objective, OptimizerDefaults, Predictor, Request, Stage
from nextframe.models.rollout import Block, roll_on, roll_out

Interleaving = Literal["full", "fac-st", "fac-ts", "st", "ts", "sts", "tst", "tsst", "stts"]
LONG = ("full", "fac-st", "fac-ts")  # each letter once, all its blocks in a row


class PredFormerConfig(ModelConfig):
    """Fields of `predformer`; the defaults are those of Moving MNIST, 24 blocks in 6 layers."""

    context: int = Field(10, ge=1, description="context frames, exactly; one pass predicts as many")
    channels: int = Field(1, ge=1, description="1 grey, 3 RGB")
    patch: int = Field(8, ge=1, description="side of the square of pixels that is one token")
    interleaving: Interleaving = Field(
        "tsst",
        description="order of attention over (s)pace and (t)ime in a layer; fac-: all of one, then all of the other; "
        "full: over both at once",
    )
    layers: int = Field(6, ge=1, description="how often the order is repeated; fac- and full: blocks in a row")
    depth: int = Field(1, ge=1, description="blocks in a row for each letter; unused by fac- and full")
    width: int = Field(256, ge=2, multiple_of=2, description="channels of a token, even")
    heads: int = Field(8, ge=1, description="attention heads")
    head_width: int = Field(32, ge=1, description="channels of a head")
    expansion: int = Field(4, ge=1, description="hidden channels of the gated layer, in widths")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout in the gated layer")
    attention_dropout: float = Field(0.0, ge=0, lt=1, description="dropout of what attention gives")
    drop_path: float = Field(0.0, ge=0, lt=1, description="chance that a branch is skipped while training")

    def plan(self) -> list[tuple[str, int]]:
        """Return the transformers in their order: what each attends over, s, t or all, and how many blocks it has."""
        if self.interleaving == "full":
            return [("all", self.layers)]
        if self.interleaving in LONG:
            return [(letter, self.layers) for letter in self.interleaving.removeprefix("fac-")]
        return [(letter, self.depth) for letter in self.interleaving * self.layers]


class Attention(nn.Module):
    """Multi-head self-attention, normalised before; queries, keys and values have no bias."""

    def __init__(self, config: PredFormerConfig) -> None:
        super().__init__()
        inner = config.heads * config.head_width
        self.heads = config.heads
        self.norm = nn.LayerNorm(config.width)
        self.mix = nn.Linear(config.width, 3 * inner, bias=False)
        self.out = nn.Linear(inner, config.width)
        self.dropout = nn.Dropout(config.attention_dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Mix the tokens of each sequence (N, L, D)."""
        parts = self.mix(self.norm(tokens)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(*parts)  # (N, heads, L, head width)
        return cast(Tensor, self.dropout(self.out(mixed.transpose(1, 2).flatten(2))))


class Gated(nn.Module):
    """SwiGLU, normalised before: one projection, times the SiLU of another. After Shazeer 2020, arXiv 2002.05202."""

    def __init__(self, config: PredFormerConfig) -> None:
        super().__init__()
        hidden = config.expansion * config.width
        self.norm = nn.LayerNorm(config.width)
        self.gate, self.value = nn.Linear(config.width, hidden), nn.Linear(config.width, hidden)
        self.out = nn.Linear(hidden, config.width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Change each token (N, L, D) by itself."""
        tokens = self.norm(tokens)
        hidden = self.dropout(F.silu(self.gate(tokens)) * self.value(tokens))
        return cast(Tensor, self.dropout(self.out(hidden)))


class GatedTransformer(nn.Module):
    """Blocks of attention and a gated layer, each added to its input; a last norm."""

    def __init__(self, config: PredFormerConfig, blocks: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(kind(config) for _ in range(blocks) for kind in (Attention, Gated))
        self.drop_path = DropPath(config.drop_path)
        self.norm = nn.LayerNorm(config.width)
        self.apply(_small)

    def forward(self, tokens: Tensor) -> Tensor:
        """Mix the tokens of each sequence (N, L, D)."""
        for branch in self.branches:
            tokens = tokens + self.drop_path(branch(tokens))
        return cast(Tensor, self.norm(tokens))


class PredFormer(Predictor):
    """Patches of the context become tokens, transformers mix them, each token becomes a patch of a future frame.

    Tang et al. 2024. Their code is followed: each transformer ends with a norm of its own, and gates start like all
    other weights (their identity start is never called). Where a request is longer than the context, whole passes
    are fed back as they are, in training too. Positions are fixed sinusoids over (time, row, column) in one row, so
    weights fit any size; but what was learned at one size need not hold at another. The residual connection around a
    layer that their comments mention for Human3.6M is not here. Their Fac-S-T has a fault, which `predformer-fac-st`
    has too.
    """

    Config: ClassVar[type[ModelConfig]] = PredFormerConfig
    config: PredFormerConfig
    idea: ClassVar[str] = "Gated transformers over space and time, interleaved; every future frame in one pass."
    when = "To compare with its paper: a transformer, for a GPU and long training."
    paper: ClassVar[str] = "Tang et al. 2024, PredFormer, arXiv 2410.04733"

    def __init__(self, config: PredFormerConfig) -> None:
        super().__init__(config)
        pixels = config.channels * config.patch**2
        self.embed = nn.Linear(pixels, config.width)
        self.axes = [axis for axis, _ in config.plan()]
        self.transformers = nn.ModuleList(GatedTransformer(config, blocks) for _, blocks in config.plan())
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, pixels)

    @property
    def capabilities(self) -> Capabilities:
        """Exactly the configured context and channels; any size, any horizon."""
        return Capabilities.exactly(self.config.context, self.config.channels)

    def unroll(self, request: Request) -> Iterator[Block]:
        """Predict in passes of as many frames as the context has, each on the frames of the one before."""
        return roll_on(self.next_frames, request.context, request.horizon, clamp=False)

    def next_frames(self, context: Tensor) -> Tensor:
        """Return as many frames as `context` (B, T, C, H, W) has, the ones after it, not clamped."""
        height, width = context.shape[3:]
        maps = fold(pad_to_multiple(context, self.config.patch), self.config.patch)  # (B, T, D, h, w)
        tokens = self.embed(maps.flatten(3).transpose(2, 3))  # (B, T, h w, width)
        tokens = tokens + positions(tokens)
        for axis, transformer in zip(self.axes, self.transformers, strict=True):
            tokens = attend(transformer, tokens, axis)
        out = self.head(self.norm(self.drawn(tokens))).transpose(2, 3).unflatten(3, maps.shape[3:])
        return F.pixel_shuffle(out, self.config.patch)[..., :height, :width]  # its patches count channels first

    def drawn(self, tokens: Tensor) -> Tensor:
        """Return tokens (B, T, N, D) as the head gets them: as they are, but in an original with a fault."""
        return tokens

    def stages(self) -> list[Stage]:
        """One objective, by AdamW, the mean squared error of all frames."""
        adamw = OptimizerDefaults("adamw", lr=1e-3, weight_decay=1e-2)
        return [Stage("predict", [Objective("mse", list(self.parameters()), self._loss, adamw)])]

    def _loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        loss = F.mse_loss(roll_out(self.next_frames, clip.context, clip.horizon, clamp=False), clip.target)
        return loss, {"loss": loss.detach()}


def attend(transformer: nn.Module, tokens: Tensor, axis: str) -> Tensor:
    """Apply `transformer` to sequences along an axis of `tokens` (B, T, N, D): s, space; t, time; all, both."""
    if axis == "all":
        return cast(Tensor, transformer(tokens.flatten(1, 2))).reshape(tokens.shape)
    if axis == "t":
        return attend(transformer, tokens.transpose(1, 2), "s").transpose(1, 2)
    return cast(Tensor, transformer(tokens.flatten(0, 1))).reshape(tokens.shape)


def positions(tokens: Tensor) -> Tensor:
    """Return sinusoids (T, N, D) that number the `tokens` (B, T, N, D) through, frame by frame.

    After Vaswani et al. 2017: channels 2 i and 2 i + 1 are the sine and cosine of p / 10000^(2 i / D).
    """
    _, frames, places, width = tokens.shape
    at = tokens.device
    wide = torch.float32 if at.type == "mps" else torch.float64
    speed = 10000 ** (-torch.arange(0, width, 2, dtype=wide, device=at) / width)
    angles = torch.arange(frames * places, dtype=wide, device=at)[:, None] * speed
    return torch.stack([angles.sin(), angles.cos()], dim=-1).reshape(frames, places, width).to(tokens.dtype)


def _small(module: nn.Module) -> None:
    """Start a linear layer near zero, as ViT does."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
