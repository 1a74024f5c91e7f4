"""ConvLSTM: a stack of convolutional LSTMs that reads frames and predicts the next one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, cast

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from nextframe.core.clip import Clip
from nextframe.layers.batch_norm import BatchNorm1d
from nextframe.layers.convlstm import ConvLSTMLayer, LayerState
from nextframe.layers.lstm import Activation
from nextframe.models.contract import (
    Capabilities,
    ModelConfig,
    Objective,
    OptimizerDefaults,
    Stage,
    StreamingPredictor,
)

DARKEST = 0.02  # the residual starts from the last frame's logit, which must be finite for black and white


class ConvLSTMConfig(ModelConfig):
    """Settings of `ConvLSTM`; the sizes are the Keras example's."""

    channels: int = Field(1, ge=1, description="1 grey, 3 RGB")
    hidden: tuple[int, ...] = Field((64, 64, 64), min_length=1, description="hidden maps of each layer, lowest first")
    kernels: tuple[int, ...] = Field((5, 3, 1), description="side of each layer's square kernel, in pixels, odd")
    activation: Activation = Field("relu", description="function of the candidate and of the output")
    norm: Literal["batch", "batch-all", "none"] = Field(
        "batch", description="batch norm after each layer but the last; batch-all: after the last too"
    )
    norm_momentum: float = Field(0.01, gt=0, le=1, description="share of the new batch; Keras writes it 0.99")
    residual: bool = Field(False, description="the head changes the last frame's logit instead of generating it")
    loss: Literal["bce", "mse"] = Field("bce", description="bce: cross-entropy of pixels; mse: squared error")

    @model_validator(mode="after")
    def _layers_match(self) -> ConvLSTMConfig:
        if len(self.hidden) != len(self.kernels):
            raise ValueError(f"hidden has {len(self.hidden)} layers and kernels {len(self.kernels)}")
        if any(kernel < 1 or kernel % 2 == 0 for kernel in self.kernels) or min(self.hidden) < 1:
            raise ValueError("kernels must be odd and hidden sizes positive")
        return self


@dataclass(frozen=True)
class ConvLSTMState:
    """The streaming state: each layer's hidden and cell maps, and the two latest feature maps for the head."""

    layers: tuple[LayerState, ...]
    recent: Tensor  # (B, 2, hidden[-1], H, W)


class ConvLSTM(StreamingPredictor):
    """ConvLSTM layers with batch norm between them and a 3x3x3 convolution over space and time as head.

    Trained to predict frame t + 1 from frames up to t, on whole sequences; the head looks back only.
    """

    Config: ClassVar[type[ModelConfig]] = ConvLSTMConfig
    idea: ClassVar[str] = "A stack of convolutional LSTMs reads the frames; a 3D convolution predicts the next one."
    when = "A recurrent network to start from: any number of context frames, and each further frame costs the same."
    paper: ClassVar[str] = "Shi et al. 2015, arXiv 1506.04214"
    config: ConvLSTMConfig

    def __init__(self, config: ConvLSTMConfig) -> None:
        super().__init__(config)
        widths = (config.channels, *config.hidden)
        self.layers = nn.ModuleList(
            self.layer(before, after, kernel)
            for before, after, kernel in zip(widths, widths[1:], config.kernels, strict=False)
        )
        norms = {"batch": config.hidden[:-1], "batch-all": config.hidden, "none": ()}[config.norm]
        self.norms = nn.ModuleList(BatchNorm1d(n, eps=1e-3, momentum=config.norm_momentum) for n in norms)
        self.head = nn.Conv3d(config.hidden[-1], config.channels, 3, padding=(0, 1, 1))
        nn.init.xavier_uniform_(self.head.weight)
        nn.init.zeros_(cast(Tensor, self.head.bias))

    def layer(self, before: int, after: int, kernel: int) -> ConvLSTMLayer:
        """Return a layer that reads `before` maps and has `after` hidden maps."""
        return ConvLSTMLayer(before, after, kernel, self.config.activation)

    @property
    def capabilities(self) -> Capabilities:
        """Any size, any context from one frame on."""
        return Capabilities(channels=self.config.channels, causal=True)

    def logits(self, frames: Tensor) -> Tensor:
        """Return the logits (B, T, C, H, W) of the frame after each of `frames` (B, T, C, H, W)."""
        maps, _ = self._encode(frames, None)
        return self._paint(self.window(F.pad(maps, (0, 0, 0, 0, 0, 0, 2, 0))), frames)

    def window(self, maps: Tensor) -> Tensor:
        """Return what the head reads, (B, T + 2, hidden, H, W), of maps preceded by those of two frames."""
        return maps

    def _encode(self, frames: Tensor, states: tuple[LayerState, ...] | None) -> tuple[Tensor, tuple[LayerState, ...]]:
        """Run every layer over the sequence; the top's maps (B, T, hidden, H, W) and all final states."""
        maps, after = frames, []
        for index, layer in enumerate(self.layers):
            maps, state = layer(maps, states[index] if states else None)
            after.append(state)
            if index < len(self.norms):
                maps = _per_pixel(self.norms[index], maps)
        return maps, tuple(after)

    def _paint(self, maps: Tensor, frames: Tensor) -> Tensor:
        """Turn maps (B, T + 2, hidden, H, W) into the logits after `frames` (B, T, C, H, W).

        The 3D convolution as a 2D one with an output per weight frame, summed over time: many times faster on a CPU.
        """
        length, channels = frames.shape[1:3]
        weight = self.head.weight.permute(2, 0, 1, 3, 4).flatten(0, 1)  # (3 C, hidden, 3, 3)
        parts = F.conv2d(maps.flatten(0, 1), weight, padding=1)
        parts = parts.reshape(*maps.shape[:2], -1, *maps.shape[3:])  # (B, T + 2, 3 C, H, W)
        first, second, third = torch.split(parts, channels, dim=2)
        logits: Tensor = first[:, :length] + second[:, 1 : length + 1] + third[:, 2:]
        logits = logits + cast(Tensor, self.head.bias).view(-1, 1, 1)
        return logits + torch.logit(frames, DARKEST) if self.config.residual else logits

    def loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        """Score every next frame of the sequence, context included; the mean over everything.

        Of clips with the extras `noisy_frames` and `clean_frames` the former are read, the latter predicted.
        """
        frames = clip.frames
        logits = self.logits(clip.extra("noisy_frames", frames)[:, :-1])
        target = clip.extra("clean_frames", frames)[:, 1:]
        if self.config.loss == "bce":
            value = F.binary_cross_entropy_with_logits(logits, target)
        else:
            value = F.mse_loss(logits.sigmoid(), target)
        return value, {self.config.loss: value.detach()}

    def stages(self) -> list[Stage]:
        """One objective; Adam at 1e-3 as in the Keras example."""
        adam = OptimizerDefaults(name="adam", lr=1e-3)
        return [Stage("train", [Objective("next-frame", list(self.parameters()), self.loss, adam)])]

    def prime(self, context: Tensor) -> ConvLSTMState:
        """Read `context` (B, T, C, H, W), T >= 0, in one call per layer."""
        batch, frames, _, height, width = context.shape
        if frames == 0:
            blank = [(context.new_zeros(batch, n, height, width),) * 2 for n in self.config.hidden]
            return ConvLSTMState(tuple(blank), context.new_zeros(batch, 2, self.config.hidden[-1], height, width))
        maps, layers = self._encode(context, None)
        return ConvLSTMState(layers, F.pad(maps, (0, 0, 0, 0, 0, 0, 2, 0))[:, -2:])

    def step(self, state: ConvLSTMState, frame: Tensor) -> tuple[Tensor, ConvLSTMState]:
        """Read `frame` (B, C, H, W); return the next one and the new state."""
        maps, layers = self._encode(frame[:, None], state.layers)
        seen = torch.cat([state.recent, maps], dim=1)  # (B, 3, hidden, H, W)
        return self._paint(self.window(seen), frame[:, None])[:, 0].sigmoid(), ConvLSTMState(layers, seen[:, 1:])

    def features(self, clip: Clip) -> Tensor:
        """Return the top layer's last hidden map of the context, averaged over space (B, hidden[-1])."""
        maps, _ = self._encode(clip.context, None)
        return maps[:, -1].mean(dim=(-2, -1))


def _per_pixel(norm: nn.Module, maps: Tensor) -> Tensor:
    """Apply a norm over channels to every pixel of maps (B, T, C, H, W), in their memory order."""
    pixels = maps.permute(1, 0, 3, 4, 2)  # (T, B, H, W, C)
    normed: Tensor = norm(pixels.reshape(-1, pixels.shape[-1])).view(pixels.shape)
    return normed.permute(1, 0, 4, 2, 3)
