"""Composite LSTM: an encoder reads the frames into one state; decoders generate them backwards, and the future."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from nextframe.core.clip import Clip
from nextframe.core.errors import NotSupportedError
from nextframe.core.seeds.noise import drawn_normal
from nextframe.layers.frame_judge import FrameJudge
from nextframe.layers.frame_vectors import FrameVectors
from nextframe.layers.gaussian_state import GaussianState, joined, parted
from nextframe.layers.lstm import Activation, LSTMStack, LSTMState
from nextframe.layers.state_decoder import StateDecoder
from nextframe.losses.latent import kl_standard_normal
from nextframe.models.bases.rivals import Generated, in_turn
from nextframe.models.contract import (
    Capabilities,
    ModelConfig,
    ModelOptions,
    Objective,
    OptimizerDefaults,
    Predictor,
    Request,
    Stage,
)


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
    latent: int = Field(
        0, ge=0, description="numbers of the Gaussian that the state goes through; 0: decoders get the state itself"
    )
    kl_weight: float = Field(0.1, ge=0, description="with latent: weight of its divergence from a standard normal")
    adversarial_weight: float = Field(0.0, ge=0, description="weight of a discriminator's loss on predicted frames")
    pretrain: float = Field(0.5, ge=0, lt=1, description="the part of the run before a discriminator comes in")

    @model_validator(mode="after")
    def _sizes(self) -> CompositeLSTMConfig:
        if min(self.hidden) < 1:
            raise ValueError("hidden sizes must be positive")
        if self.adversarial_weight and self.decoders == "autoencoder":
            raise ValueError("an autoencoder predicts no frames to judge: set adversarial_weight to 0")
        return self

    @property
    def frame_size(self) -> int:
        """The number of values in a frame."""
        return self.channels * self.frame_height * self.frame_width


class CompositeLSTMOptions(ModelOptions):
    """What may be chosen when futures are drawn."""

    temperature: float = Field(0.0, ge=0, description="with latent: 0 the mean future, 1 draws as learned")


class CompositeLSTM(Predictor):
    """One encoder and up to two decoders of LSTM layers with peepholes, on whole frames as vectors.

    Each decoder starts from the encoder's last state, layer by layer; its first step reads zeros, never a frame. At
    test both are fed their own outputs, in [0, 1].
    """

    Config: ClassVar[type[ModelConfig]] = CompositeLSTMConfig
    Options: ClassVar[type[ModelOptions]] = CompositeLSTMOptions
    idea: ClassVar[str] = "An LSTM reads the frames into one state; two more generate them backwards, and the future."
    when = "Features of videos to recognise actions by, or to predict percepts instead of pixels."
    paper: ClassVar[str] = "Srivastava, Mansimov & Salakhutdinov 2015, arXiv 1502.04681"
    loss_fields: ClassVar[frozenset[str]] = frozenset({"train_on", "kl_weight", "adversarial_weight", "pretrain"})
    added: ClassVar[Mapping[str, str]] = {"latent": "gaussian", "adversarial_weight": "judge"}
    config: CompositeLSTMConfig

    def __init__(self, config: CompositeLSTMConfig) -> None:
        super().__init__(config)
        sizes = config.channels, config.frame_height, config.frame_width
        self.pixels = FrameVectors(*sizes, config.loss, config.zero)
        self.encoder = self._stack(config.frame_size)
        self.backward_decoder = self._decoder() if config.decoders != "future" else None
        self.future_decoder = self._decoder() if config.decoders != "autoencoder" else None
        self.gaussian = GaussianState(config.hidden, config.latent) if config.latent else None
        self.judge = FrameJudge(config.channels) if config.adversarial_weight else None
        self._made: Generated[Tensor] = Generated()

    def _stack(self, inputs: int) -> LSTMStack:
        config = self.config
        return LSTMStack(inputs, config.hidden, config.activation, config.start, config.forget_bias)

    def _decoder(self) -> StateDecoder:
        config = self.config
        return StateDecoder(
            self._stack(config.frame_size if config.conditional else 0),
            config.frame_size,
            self.pixels.levels,
            conditional=config.conditional,
            copy_state=config.copy_state,
            start=config.start,
        )

    @property
    def capabilities(self) -> Capabilities:
        """One frame size; any context and horizon. The causal part is the encoder."""
        return Capabilities(any_size=False, channels=self.config.channels)

    def draws(self, options: ModelOptions) -> bool:
        """Whether futures differ: with a Gaussian, at a temperature above 0."""
        return self.gaussian is not None and self._temperature(options) > 0

    def _temperature(self, options: ModelOptions) -> float:
        assert isinstance(options, CompositeLSTMOptions)
        if options.temperature and self.gaussian is None:
            raise NotSupportedError("temperature is for a variational model: train one with model.latent=64")
        return options.temperature

    def encode(self, frames: Tensor) -> tuple[Tensor, list[LSTMState]]:
        """Return the top layer's outputs (T, B, hidden[-1]) for frames (B, T, C, H, W), and every layer's last state.

        Raises:
            UserError: frames of another size than the model's.
        """
        x = self.pixels.read(frames)
        outputs, states = self.encoder(x, self.encoder.blank(x.shape[1], x), len(x))
        return outputs, states

    def step_features(self, frames: Tensor) -> Tensor:
        """Return (B, T, hidden[-1]): the encoder's output after every frame; that at t has seen frames up to t."""
        return self.encode(frames)[0].transpose(0, 1)

    def features(self, clip: Clip) -> Tensor:
        """Return (B, hidden[-1]): the encoder's output after the last frame of the context."""
        return self.encode(clip.context)[1][-1][0]

    def state(self, context: Tensor) -> Tensor:
        """Return the state (B, D) that decoders get of a context (B, T, C, H, W): with `latent`, the Gaussian's mean.

        Without, it is every layer's hidden state and cell, side by side.
        """
        states = self.encode(context)[1]
        return joined(states) if self.gaussian is None else self.gaussian(states)[0]

    def decode_state(self, state: Tensor, context: int, horizon: int) -> tuple[Tensor, Tensor]:
        """Return what a state (B, D) says: `context` frames in their own order, and the `horizon` after them.

        Both are (B, T, C, H, W) in [0, 1]. An autoencoder's future is its last frame again.

        Raises:
            NotSupportedError: a future predictor, which has no decoder for the context.
        """
        states = self._states(state)
        return self._backward(states, context), self._future(states, horizon)

    def _states(self, state: Tensor) -> list[LSTMState]:
        return parted(state, self.config.hidden) if self.gaussian is None else self.gaussian.states(state)

    def _backward(self, states: list[LSTMState], steps: int) -> Tensor:
        if self.backward_decoder is None:
            raise NotSupportedError("a future predictor does not reconstruct: train decoders=composite or autoencoder")
        return self.pixels.frames(self.backward_decoder.generate(states, steps)).flip(1)

    def _future(self, states: list[LSTMState], horizon: int) -> Tensor:
        if self.future_decoder is None:
            return self._backward(states, 1).expand(-1, horizon, -1, -1, -1)
        return self.pixels.frames(self.future_decoder.generate(states, horizon))

    def forecast(self, request: Request) -> Tensor:
        """Predict the future; an autoencoder, which has none, repeats its reconstruction of the last frame."""
        temperature = self._temperature(request.options)
        return self._future(self._kept(request.context, temperature, request.generator)[0], request.horizon)

    def _kept(
        self, context: Tensor, temperature: float, generator: torch.Generator | None = None
    ) -> tuple[list[LSTMState], Tensor | None]:
        """Return the states that the decoders start from, and with a Gaussian its divergence of each clip, (B,)."""
        states = self.encode(context)[1]
        if self.gaussian is None:
            return states, None
        mean, log_sigma = self.gaussian(states)
        drawn = drawn_normal(mean, log_sigma, temperature, generator)
        return self.gaussian.states(drawn), kl_standard_normal(mean, log_sigma, "none")

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
        states = self._kept(context, 0.0)[0]
        if not leak or self.backward_decoder is None:
            return self._backward(states, context.shape[1])
        return self.pixels.frames(self.backward_decoder(states, self.pixels.read(context).flip(0))).flip(1)

    def loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        """Add the losses of both decoders with equal weight; logs are per frame, summed over its pixels.

        With a Gaussian its state is drawn, and `kl_weight` times the divergence of a clip is added.
        """
        total, logs, _ = self._generated(clip)
        return total, logs

    def _generated(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor], Tensor | None]:
        """Return the loss, its logs, and the logits (T, B, D) of the future."""
        states, divergence = self._kept(clip.context, 1.0)
        total, logs, logits = clip.context.new_zeros(()), {}, None
        for name, decoder, frames in (
            ("reconstruction", self.backward_decoder, clip.context.flip(1)),
            ("future", self.future_decoder, clip.target),
        ):
            if decoder is not None:
                target = self.pixels.read(frames)
                own = self.config.train_on == "own"
                logits = decoder.generate(states, len(target)) if own else decoder(states, target)
                summed = self.pixels.distance(logits, target)
                mean = summed / (target.shape[0] * target.shape[1])
                logs[name] = mean.detach()
                total = total + self.reduced(summed, mean)
        if divergence is not None:
            logs["kl"] = divergence.mean().detach()
            total = total + self.config.kl_weight * self.reduced(divergence.sum(), divergence.mean())
        return total, logs, logits

    def reduced(self, summed: Tensor, mean: Tensor) -> Tensor:
        """Return a decoder's loss, given its sum over everything and its mean over clips and frames: the mean."""
        return mean

    def generator_loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        """Return `loss` plus what the discriminator makes of the predicted frames."""
        assert self.judge is not None
        total, logs, logits = self._generated(clip)
        frames = self._predicted(logits)
        self._made.keep(clip, frames.detach())
        cost = self.judge.fooled(clip.context[:, -1:], frames)
        return total + self.config.adversarial_weight * cost, {**logs, "adversarial": cost.detach()}

    def judge_loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the discriminator's loss on true and predicted frames, and how often it is right, in [0, 1]."""
        assert self.judge is not None
        made = self._made.take(clip, lambda: self._predicted(self._generated(clip)[2]))
        loss, right = self.judge.told(clip.context[:, -1:], clip.target, made)
        return loss, {"accuracy": right.detach()}

    def _predicted(self, logits: Tensor | None) -> Tensor:
        """Return the frames (B, T, C, H, W) in [0, 1] of the future's logits."""
        assert logits is not None  # an autoencoder has none, and is refused a discriminator
        return self.pixels.frames(logits)

    def stages(self) -> list[Stage]:
        """One stage, one objective, by Adam; with a discriminator first without it, then in turn with it."""
        adam, judge = OptimizerDefaults(name="adam", lr=1e-3), self.judge
        if judge is None:
            return [Stage("train", [Objective("frames", list(self.parameters()), self.loss, adam)])]
        own = [parameter for name, parameter in self.named_parameters() if not name.startswith("judge.")]
        alone, rivals = (Objective("frames", own, loss, adam) for loss in (self.loss, self.generator_loss))
        rate = OptimizerDefaults(name="adam", lr=4e-4, betas=(0.5, 0.999))
        told = Objective("discriminator", list(judge.parameters()), self.judge_loss, rate)
        return in_turn(alone, [rivals, told], self.config.pretrain)
