"""Composite LSTM: an encoder reads the frames into one state; decoders generate them backwards, and the future."""

from __future__ import annotations

from typing import ClassVar, Literal, cast

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from nextframe.core.clip import Clip
from nextframe.core.errors import NotSupportedError, UserError
from nextframe.layers.lstm import Activation, LSTMStack, LSTMState
from nextframe.models.contract import Capabilities, ModelConfig, Objective, OptimizerDefaults, Predictor, Request, Stage


class CompositeLSTMConfig(ModelConfig):
    """Fields of `composite-lstm`; the sizes are those of the paper's network for Moving MNIST."""

    channels: int = Field(1, ge=1, description="1 grey, 3 RGB; percepts have as many as features, and frames of 1x1")
    frame_height: int = Field(64, ge=1, description="height of a frame in pixels")
    frame_width: int = Field(64, ge=1, description="width of a frame in pixels")
    hidden: tuple[int, ...] = Field((2048,), min_length=1, description="units of each layer, the lowest first")
    decoders: Literal["composite", "future", "autoencoder"] = Field(
        "composite", description="what is generated: the future, the context backwards (autoencoder), or both"
    )
    conditional: bool = Field(True, description="a decoder reads the frame before the one that it generates")
    loss: Literal["bce", "squared"] = Field(
        "bce", description="bce: sigmoid outputs; squared: linear ones, half the squared distance"
    )
    train_on: Literal["truth", "own"] = Field("truth", description="what a conditional decoder reads in training")
    copy_state: bool = Field(
        False, description="a decoder's first frame comes from the encoder's state itself, without a step"
    )
    zero: float = Field(
        0.0, ge=0, le=1, description="the level of frames that the network sees as 0; 0.5 for optical flow"
    )
    activation: Activation = Field("tanh", description="function of the candidate and of the output")
    start: float | None = Field(None, gt=0, description="matrices start uniform in +-start; None: 1 / sqrt(hidden)")
    forget_bias: float = Field(1.0, description="forget gates' bias before training")

    @model_validator(mode="after")
    def _sizes(self) -> CompositeLSTMConfig:
        if min(self.hidden) < 1:
            raise ValueError("hidden sizes must be positive")
        return self

    @property
    def frame_size(self) -> int:
        """The number of values in a frame."""
        return self.channels * self.frame_height * self.frame_width


class Decoder(nn.Module):
    """An LSTM that starts from the encoder's state and generates one frame per step from its top layer."""

    def __init__(self, config: CompositeLSTMConfig) -> None:
        super().__init__()
        self.config = config
        inputs = config.frame_size if config.conditional else 0
        self.lstm = LSTMStack(inputs, config.hidden, config.activation, config.start, config.forget_bias)
        self.output = nn.Linear(config.hidden[-1], config.frame_size)
        if config.start is not None:
            nn.init.uniform_(self.output.weight, -config.start, config.start)
        nn.init.zeros_(self.output.bias)

    def forward(self, states: list[LSTMState], frames: Tensor) -> Tensor:
        """Return the logits (T, B, D) of `frames` (T, B, D), each generated after the true ones before it."""
        if not self.config.conditional:
            return self._unconditional(states, len(frames))
        known = frames[:-1] if self.config.copy_state else torch.cat([torch.zeros_like(frames[:1]), frames[:-1]])
        outputs = [states[-1][0][None]] if self.config.copy_state else []
        if len(known):
            outputs.append(self.lstm(known, states, len(known))[0])
        return cast(Tensor, self.output(torch.cat(outputs)))

    def generate(self, states: list[LSTMState], steps: int) -> Tensor:
        """Return the logits (steps, B, D) of frames that are generated after the decoder's own."""
        if not self.config.conditional:
            return self._unconditional(states, steps)
        hidden = states[-1][0]
        blank = hidden.new_zeros(len(hidden), self.config.frame_size)
        logits: list[Tensor] = [self.output(hidden)] if self.config.copy_state else []
        while len(logits) < steps:
            before = levels(logits[-1], self.config) if logits else blank
            outputs, states = self.lstm(before[None], states, 1)
            logits.append(self.output(outputs[0]))
        return torch.stack(logits)

    def _unconditional(self, states: list[LSTMState], steps: int) -> Tensor:
        first = states[-1][0][None]
        ahead = steps - 1 if self.config.copy_state else steps
        outputs = self.lstm(None, states, ahead)[0] if ahead else first[:0]
        return cast(Tensor, self.output(torch.cat([first, outputs]) if self.config.copy_state else outputs))


class CompositeLSTM(Predictor):
    """One encoder and up to two decoders of LSTM layers with peepholes, on whole frames as vectors.

    Each decoder starts from the encoder's last state, layer by layer; its first step reads zeros, never a frame. At
    test both are fed their own outputs, in [0, 1].
    """

    Config: ClassVar[type[ModelConfig]] = CompositeLSTMConfig
    idea: ClassVar[str] = "An LSTM reads the frames into one state; two more generate them backwards, and the future."
    paper: ClassVar[str] = "Srivastava, Mansimov & Salakhutdinov 2015, arXiv 1502.04681"
    config: CompositeLSTMConfig

    def __init__(self, config: CompositeLSTMConfig) -> None:
        super().__init__(config)
        self.encoder = LSTMStack(config.frame_size, config.hidden, config.activation, config.start, config.forget_bias)
        self.backward_decoder = Decoder(config) if config.decoders != "future" else None
        self.future_decoder = Decoder(config) if config.decoders != "autoencoder" else None

    @property
    def capabilities(self) -> Capabilities:
        """One frame size; any context and horizon. The causal part is the encoder."""
        return Capabilities(any_size=False, channels=self.config.channels)

    def encode(self, frames: Tensor) -> tuple[Tensor, list[LSTMState]]:
        """Return the top layer's outputs (T, B, hidden[-1]) for frames (B, T, C, H, W), and every layer's last state.

        Raises:
            UserError: frames of another size than the model's.
        """
        x = self._vectors(frames)
        outputs, states = self.encoder(x, self.encoder.blank(x.shape[1], x), len(x))
        return outputs, states

    def step_features(self, frames: Tensor) -> Tensor:
        """Return (B, T, hidden[-1]): the encoder's output after every frame; that at t has seen frames up to t."""
        return self.encode(frames)[0].transpose(0, 1)

    def features(self, clip: Clip) -> Tensor:
        """Return (B, hidden[-1]): the encoder's output after the last frame of the context."""
        return self.encode(clip.context)[1][-1][0]

    def forecast(self, request: Request) -> Tensor:
        """Predict the future; an autoencoder, which has none, repeats its reconstruction of the last frame."""
        states, horizon = self.encode(request.context)[1], request.horizon
        if self.future_decoder is None:
            assert self.backward_decoder is not None
            last = self._frames(self.backward_decoder.generate(states, 1))
            return last.expand(-1, horizon, -1, -1, -1)
        return self._frames(self.future_decoder.generate(states, horizon))

    @property
    def reconstructs(self) -> bool:
        """Whether there is a decoder for the context."""
        return self.backward_decoder is not None

    @torch.no_grad()
    def reconstruct(self, context: Tensor, *, leak: bool = False) -> Tensor:
        """Return the context (B, T, C, H, W) as the state has kept it, in [0, 1] and in its own order.

        Args:
            context: (B, T, C, H, W) in [0, 1].
            leak: as the original's test: a conditional decoder is given the true frames that it should generate.

        Raises:
            NotSupportedError: a future predictor, which has no decoder for it.
        """
        if self.backward_decoder is None:
            raise NotSupportedError("a future predictor does not reconstruct: train decoders=composite or autoencoder")
        states = self.encode(context)[1]
        if leak:
            logits = self.backward_decoder(states, self._vectors(context).flip(0))
        else:
            logits = self.backward_decoder.generate(states, context.shape[1])
        return self._frames(logits).flip(1)

    def loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        """Add the losses of both decoders with equal weight; logs are per frame, summed over its pixels."""
        states = self.encode(clip.context)[1]
        total, logs = clip.context.new_zeros(()), {}
        for name, decoder, frames in (
            ("reconstruction", self.backward_decoder, clip.context.flip(1)),
            ("future", self.future_decoder, clip.target),
        ):
            if decoder is not None:
                target = self._vectors(frames)
                own = self.config.train_on == "own"
                logits = decoder.generate(states, len(target)) if own else decoder(states, target)
                summed = distance(logits, target, self.config)
                mean = summed / (target.shape[0] * target.shape[1])
                logs[name] = mean.detach()
                total = total + self.reduced(summed, mean)
        return total, logs

    def reduced(self, summed: Tensor, mean: Tensor) -> Tensor:
        """Return a decoder's loss, given its sum over everything and its mean over clips and frames: the mean."""
        return mean

    def stages(self) -> list[Stage]:
        """One stage, one objective, by Adam."""
        adam = OptimizerDefaults(name="adam", lr=1e-3)
        return [Stage("train", [Objective("frames", list(self.parameters()), self.loss, adam)])]

    def _vectors(self, frames: Tensor) -> Tensor:
        """Return frames (B, T, C, H, W) as vectors (T, B, D), around the config's zero."""
        shape = (self.config.channels, self.config.frame_height, self.config.frame_width)
        if tuple(frames.shape[2:]) != shape:
            made, found = "x".join(map(str, shape)), "x".join(map(str, frames.shape[2:]))
            raise UserError(f"this composite-lstm takes frames of {made} (channels x height x width), not {found}")
        vectors = frames.flatten(2).transpose(0, 1)
        return vectors - self.config.zero if self.config.zero else vectors

    def _frames(self, logits: Tensor) -> Tensor:
        """Return the frames (B, T, C, H, W) in [0, 1] of logits (T, B, D)."""
        shown = levels(logits, self.config) + self.config.zero
        shape = (self.config.channels, self.config.frame_height, self.config.frame_width)
        return shown.transpose(0, 1).reshape(shown.shape[1], len(shown), *shape)


def levels(logits: Tensor, config: CompositeLSTMConfig) -> Tensor:
    """Return what a decoder shows, and reads in its next step: its outputs as frames in [0, 1], minus the zero."""
    if config.loss == "bce":
        return logits.sigmoid() - config.zero
    return logits.clamp(-config.zero, 1 - config.zero)


def distance(logits: Tensor, target: Tensor, config: CompositeLSTMConfig) -> Tensor:
    """Return the cross-entropy, or half the squared distance, summed over everything; (T, B, D) both."""
    if config.loss == "bce":
        return F.binary_cross_entropy_with_logits(logits, target + config.zero, reduction="sum")
    return (logits - target).square().sum() / 2
