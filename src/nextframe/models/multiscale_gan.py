"""System 3: generators from coarse to fine, a discriminator at each scale, and a loss that rewards sharp edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from nextframe.core.clip import Clip, Task
from nextframe.core.errors import UserError
from nextframe.layers.discriminators import Table, discriminators, frozen
from nextframe.layers.scales import Resize, grow, scale_sizes, shrink
from nextframe.layers.stacks import SCALES, Init, painter
from nextframe.losses.adversarial import Gan, accuracy, fooling, gradient_penalty, telling
from nextframe.losses.multiscale import FORMS, add_scales, gradient_term, pixel_term
from nextframe.models.contract import Capabilities, ModelConfig, Objective, OptimizerDefaults, Predictor, Request, Stage
from nextframe.models.rollout import roll_out

WON = 0.97  # a discriminator that is right so often has won

Residual = Literal["last-frame", "coarser", "none"]
Optimizer = Literal["adamw", "adam", "sgd", "muon"]


class MultiscaleGanConfig(ModelConfig):
    """Fields of `multiscale-gan`; the defaults train on a CPU. Frames are in [-1, 1] inside, losses too."""

    context: int = Field(4, ge=1)  # frames given, exactly
    channels: int = Field(3, ge=1)
    scales: int = Field(SCALES, ge=1, le=SCALES)  # 1: the finest generator alone
    width: int = Field(16, ge=1)  # maps of each generator's first layer: 16 in the authors' script, 128 in the paper
    residual: Residual = "last-frame"  # what a generator's output is added to; "coarser" is the paper's
    output: Literal["linear", "tanh"] = "linear"  # tanh, after that addition, is the authors'
    resize: Resize = "average"
    init: Init = "he"
    form: Literal["paper", "torch", "chainer", "tf"] = "paper"  # whose sums and means
    p: Literal[1, 2] = 1  # exponent of the pixel term
    alpha: Literal[1, 2] = 1  # exponent of the gradient difference
    smooth: float = Field(0.2, ge=0, lt=1)  # with p and alpha 1: what is much below it, of 2, costs its square
    pixel_weight: float = Field(1.0, ge=0)
    gradient_weight: float = Field(1.0, ge=0)
    adversarial_weight: float = Field(0.05, ge=0)
    discriminator: Literal["patch", "dense", "none"] = "patch"  # dense: the original, for crops of one size
    d_table: Table = "light"
    d_pool: bool = False  # dense only: 2x2 max-pooling before the fully connected layers
    conditional: bool = True  # the discriminator sees the context too
    frame_height: int = Field(32, ge=1)  # of the crops: dense discriminators are made for them
    frame_width: int = Field(32, ge=1)
    gan: Gan = "hinge"
    spectral: bool = True  # spectral norm in the discriminators
    r1: float = Field(0.0, ge=0)  # weight of the gradient penalty on real frames
    unroll: int = Field(1, ge=1)  # frames that the content loss reads: after the first, from the model's own frames
    pretrain: float = Field(0.5, ge=0, lt=1)  # the part of the run before the discriminators come in
    own_batches: bool = False  # the discriminators train on batches of their own
    first: Literal["generator", "discriminator"] = "generator"  # who is stepped first
    g_optimizer: Optimizer = "adam"
    g_lr: float = Field(6e-4, gt=0)
    g_final: float = Field(1.0, gt=0, le=1)  # the rate falls to this part of itself, beside the schedule
    d_optimizer: Optimizer = "adam"
    d_lr: float = Field(4e-4, gt=0)
    beta1: float = Field(0.5, ge=0, lt=1)  # of Adam, while there is an adversary

    @model_validator(mode="after")
    def _some_loss(self) -> MultiscaleGanConfig:
        if not self.pixel_weight + self.gradient_weight + self.adversarial_weight:
            raise ValueError("all three weights are zero: nothing is learned")
        return self


class Generator(nn.Module):
    """One stack of convolutions for each scale; each refines the enlarged prediction of the coarser one."""

    def __init__(self, config: MultiscaleGanConfig) -> None:
        super().__init__()
        self.config = config
        first = SCALES - config.scales
        quiet = config.residual == "last-frame"  # start from the last frame, nearly
        inputs = [(config.context + (scale > first)) * config.channels for scale in range(first, SCALES)]
        self.stacks = nn.ModuleList(
            painter(scale, count, config.channels, config.width, config.init, quiet)
            for scale, count in enumerate(inputs, first)
        )

    def forward(self, context: Tensor) -> list[Tensor]:
        """Return the next frame at every scale, coarse to fine, (B, C, h, w) each, of a context (B, T, C, H, W)."""
        return [picture for picture, _ in self.paint(context)]

    def paint(self, context: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return, of every scale, the next frame and the maps (B, maps, h, w) that its last layer made it from."""
        folded, how = context.flatten(1, 2), self.config.resize  # (B, T*C, H, W)
        painted: list[tuple[Tensor, Tensor]] = []
        last = guess = None
        for size, stack in zip(
            scale_sizes(context.shape[-2], context.shape[-1], self.config.scales), self.stacks, strict=True
        ):
            given = shrink(folded, size, how)
            before, last = last, given[:, -self.config.channels :]
            if before is not None:
                guess = self._guess(before, last, painted[-1][0])
            seen = self._seen(given, guess)
            *hidden, painter = cast(nn.Sequential, stack)
            maps = seen.contiguous(memory_format=torch.channels_last)
            for layer in hidden:
                maps = layer(maps)
            painted.append((self._add(painter(maps), last, guess), maps))
        return painted

    def _guess(self, before: Tensor, last: Tensor, picture: Tensor) -> Tensor:
        """Enlarge the coarser prediction; or only what it changed, on the last frame, whose edges are sharp."""
        size = last.shape[-2], last.shape[-1]
        if self.config.residual == "last-frame":
            return last + grow(picture - before, size, self.config.resize)
        return grow(picture, size, self.config.resize)

    def _seen(self, given: Tensor, guess: Tensor | None) -> Tensor:
        """Put together what a generator reads; of a motion, steps from frame to frame: zero where nothing moves."""
        channels = self.config.channels
        if self.config.residual == "last-frame":
            given = torch.cat([given[:, channels:] - given[:, :-channels], given[:, -channels:]], dim=1)
        return given if guess is None else torch.cat([given, guess], dim=1)

    def _add(self, change: Tensor, last: Tensor, guess: Tensor | None) -> Tensor:
        if self.config.residual == "last-frame":
            change = change + (last if guess is None else guess)
        elif self.config.residual == "coarser" and guess is not None:
            change = change + guess
        return change.tanh() if self.config.output == "tanh" else change  # tanh comes after the addition


class MultiscaleGan(Predictor):
    """Mathieu, Couprie & LeCun's predictor: pixel, gradient difference and adversarial losses at four scales."""

    Config = MultiscaleGanConfig
    config: MultiscaleGanConfig
    idea: ClassVar[str] = "Refine the next frame from coarse to fine; adversaries and edge losses keep it sharp."
    paper: ClassVar[str] = "Mathieu, Couprie & LeCun, ICLR 2016"

    def __init__(self, config: MultiscaleGanConfig) -> None:
        super().__init__(config)
        self.form = FORMS[config.form]
        self.generator = Generator(config)
        self.discriminators = nn.ModuleList()
        if config.discriminator != "none" and config.adversarial_weight:
            inputs = config.channels * (config.context + 1 if config.conditional else 1)
            size = (config.frame_height, config.frame_width) if config.discriminator == "dense" else None
            judges = discriminators(config.d_table, config.scales, inputs, config.spectral, size, config.d_pool)
            self.discriminators.extend(judges)
        self._made: tuple[Clip, list[Tensor]] | None = None  # what the generator made of a clip, for its adversary

    @property
    def capabilities(self) -> Capabilities:
        """Exactly the configured context and channels; any size, any horizon by roll-out."""
        return Capabilities.exactly(self.config.context, self.config.channels)

    def forecast(self, request: Request) -> Tensor:
        """Feed each predicted frame back."""
        return roll_out(self.next_frame, request.context, request.horizon)

    def next_frame(self, context: Tensor) -> Tensor:
        """Return the next frame (B, 1, C, H, W), not clamped, of a context (B, T, C, H, W) in [0, 1]."""
        finest: Tensor = self.generator(context * 2 - 1)[-1]
        return (finest.unsqueeze(1) + 1) / 2

    def features(self, clip: Clip) -> Tensor:
        """Return (B, D): every scale's last hidden maps for the next frame, averaged over space, coarse to fine."""
        painted = self.generator.paint(clip.context * 2 - 1)
        return torch.cat([maps.mean(dim=(-2, -1)) for _, maps in painted], dim=1)

    def stages(self) -> list[Stage]:
        """Without discriminators one stage; with them the generator alone first, then both in turn."""
        config = self.config
        rates = OptimizerDefaults(config.g_optimizer, config.g_lr, final=config.g_final)
        parameters = list(self.generator.parameters())
        alone = Objective("generator", parameters, self.content_loss, rates)
        if not self.discriminators:
            return [Stage("train", [alone])]
        betas = (config.beta1, 0.999)
        rates = OptimizerDefaults(config.g_optimizer, config.g_lr, betas=betas, final=config.g_final)
        rival = OptimizerDefaults(config.d_optimizer, config.d_lr, betas=betas)
        pair = [
            Objective("generator", parameters, self.generator_loss, rates),
            Objective(
                "discriminator",
                list(self.discriminators.parameters()),
                self.discriminator_loss,
                rival,
                own_batch=config.own_batches,
            ),
        ]
        adversarial = Stage("adversarial", pair[:: 1 if config.first == "generator" else -1], share=1 - config.pretrain)
        return [Stage("pretrain", [alone], share=config.pretrain), adversarial] if config.pretrain else [adversarial]

    def content_loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted pixel and gradient difference terms, and each term to log.

        They are means over the first `unroll` frames asked. Each is predicted from the frames before it, the model's
        own where they were not given; no gradient flows back through those.

        Raises:
            UserError: fewer frames are asked than are unrolled.
        """
        return self._further(self.generator(clip.context * 2 - 1), clip)

    def generator_loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the content loss plus what the discriminators cost the generator; its gradient reaches it."""
        pictures = self.generator(clip.context * 2 - 1)
        self._made = (clip, [picture.detach() for picture in pictures])
        loss, logs = self._further(pictures, clip)
        with frozen(self.discriminators.parameters()):
            scores = self._scores(clip, pictures)
        costs = [fooling(score, self.config.gan, self.form.reduction) for score in scores]
        adversarial = add_scales(self.form, costs)
        return loss + self.config.adversarial_weight * adversarial, {**logs, "adversarial": adversarial.detach()}

    def discriminator_loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what telling real frames from the generator's costs at all scales, and its accuracy in [0, 1]."""
        truths = self._truths(clip)
        penalized = self.config.r1 > 0 and torch.is_grad_enabled()
        if penalized:
            truths = [truth.requires_grad_() for truth in truths]
        real, fake = self._scores(clip, truths), self._scores(clip, self._fakes(clip))
        pairs = list(zip(real, fake, strict=True))
        loss = add_scales(self.form, [telling(a, b, self.config.gan, self.form.reduction) for a, b in pairs])
        loss = loss / 2 if self.form.halved else loss
        right = torch.stack([accuracy(a, b) for a, b in pairs]).mean()
        logs = {"accuracy": right.detach()}
        if penalized:
            slope = torch.stack([gradient_penalty(a, b) for a, b in zip(real, truths, strict=True)]).sum()
            loss, logs["r1"] = loss + self.config.r1 * slope, slope.detach()
        return loss, logs

    def warning(self, logs: Mapping[str, float]) -> str | None:
        """Say when the discriminators have won, going by the means of a log line."""
        if logs.get("train/discriminator/accuracy", 0.0) < WON:
            return None
        return (
            "the discriminator wins: the generator learns little from it; "
            "try a lower model.d_lr, model.gan=hinge with model.spectral=true, or model.r1=1"
        )

    def check_data(self, task: Task, frame_shape: tuple[int, int, int]) -> None:
        """Refuse clips with fewer frames to predict than are unrolled."""
        self._check_horizon(task.horizon)

    def _check_horizon(self, horizon: int) -> None:
        steps = self.config.unroll
        if steps > horizon:
            raise UserError(f"model.unroll is {steps}, the clips have {horizon} frame(s) to predict: ask for more")

    def _further(self, pictures: list[Tensor], clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the content loss of `pictures`, the first frame of `clip`, and of those predicted after them."""
        steps = self.config.unroll
        self._check_horizon(clip.horizon)
        loss, logs = self._content(pictures, clip)
        for _ in range(1, steps):
            own = (pictures[-1].detach().unsqueeze(1) + 1) / 2
            given = torch.cat([clip.context[:, 1:], own.clamp(0, 1)], dim=1)
            clip = Clip(given, clip.target[:, 1:])
            pictures = self.generator(given * 2 - 1)
            more, terms = self._content(pictures, clip)
            loss, logs = loss + more, {name: logs[name] + term for name, term in terms.items()}
        return loss / steps, {name: term / steps for name, term in logs.items()}

    def _content(self, pictures: Sequence[Tensor], clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        config, truths = self.config, self._truths(clip)
        pixel = pixel_term(self.form, pictures, truths, config.p, config.smooth)
        loss, logs = config.pixel_weight * pixel, {f"l{config.p}": pixel.detach()}
        if config.gradient_weight:
            gradient = gradient_term(self.form, pictures, truths, config.alpha, config.smooth)
            loss, logs["gdl"] = loss + config.gradient_weight * gradient, gradient.detach()
        return loss, logs

    def _truths(self, clip: Clip) -> list[Tensor]:
        """Return the first frame asked, (B, C, h, w) at every scale, in [-1, 1]."""
        return self._at_scales(clip.target[:, 0] * 2 - 1)

    def _at_scales(self, frames: Tensor) -> list[Tensor]:
        sizes = scale_sizes(frames.shape[-2], frames.shape[-1], self.config.scales)
        return [shrink(frames, size, self.config.resize) for size in sizes]

    def _fakes(self, clip: Clip) -> list[Tensor]:
        """Return the generator's frames of `clip`: those it made for its own loss a moment ago, or new ones."""
        made, self._made = self._made, None
        if made is not None and made[0] is clip:
            return made[1]
        with torch.no_grad():
            return cast(list[Tensor], self.generator(clip.context * 2 - 1))

    def _scores(self, clip: Clip, pictures: Sequence[Tensor]) -> list[Tensor]:
        """Return every scale's logits for frames of that scale."""
        if self.config.conditional:
            given = self._at_scales(clip.context.flatten(1, 2) * 2 - 1)
            pictures = [torch.cat([a, b], dim=1) for a, b in zip(given, pictures, strict=True)]
        return [judge(frames) for judge, frames in zip(self.discriminators, pictures, strict=True)]
