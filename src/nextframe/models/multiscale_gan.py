"""Multiscale-gan: generators from coarse to fine, a discriminator at each scale, a loss that rewards sharp edges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Literal, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from nextframe.core.clip import Clip, Task
from nextframe.core.errors import UserError
from nextframe.layers.discriminators import discriminators, frozen
from nextframe.layers.scales import grow, scale_sizes, shrink
from nextframe.layers.stacks import SCALES, Weighted, painter, start_normal
from nextframe.losses.adversarial import Gan, accuracy, fooling, gradient_penalty, telling
from nextframe.losses.multiscale import Images, gradient_term, pixel_term
from nextframe.models.bases.rivals import Generated, in_turn
from nextframe.models.contract import Capabilities, ModelConfig, Objective, OptimizerDefaults, Predictor, Request, Stage
from nextframe.models.rollout import Block, roll_on

WON = 0.97  # a discriminator that is right this often has won
BETAS = (0.5, 0.999)  # of Adam, while there is an adversary


class MultiscaleGanConfig(ModelConfig):
    """Fields of `multiscale-gan`; the defaults train on a CPU. Frames are in [-1, 1] inside, losses too."""

    context: int = Field(4, ge=1, description="context frames, exactly")
    channels: int = Field(3, ge=1, description="1 grey, 3 RGB")
    scales: int = Field(SCALES, ge=1, le=SCALES, description="how many scales; 1: the finest generator alone")
    width: int = Field(16, ge=1, description="maps of each generator's first layer: 128 in the paper")
    p: Literal[1, 2] = Field(1, description="exponent of the pixel term")
    smooth: float = Field(0.2, ge=0, lt=1, description="with p 1 and in gradients: gaps much below, of 2, are squared")
    pixel_weight: float = Field(1.0, ge=0, description="weight of the pixel term")
    gradient_weight: float = Field(1.0, ge=0, description="weight of the gradient difference term")
    adversarial_weight: float = Field(0.05, ge=0, description="weight of the adversarial term; 0: no discriminators")
    gan: Gan = Field("hinge", description="form of the adversarial loss")
    spectral: bool = Field(True, description="spectral norm in the discriminators")
    r1: float = Field(0.0, ge=0, description="weight of the gradient penalty on real frames")
    unroll: int = Field(1, ge=1, description="frames of the content loss: after the first, from the model's own")
    pretrain: float = Field(0.5, ge=0, lt=1, description="the part of the run before the discriminators come in")
    g_lr: float = Field(6e-4, gt=0, description="learning rate of the generator")
    d_lr: float = Field(4e-4, gt=0, description="learning rate of the discriminators")

    @model_validator(mode="after")
    def _some_loss(self) -> MultiscaleGanConfig:
        if not self.pixel_weight + self.gradient_weight + self.adversarial_weight:
            raise ValueError("all three weights are zero: nothing is learned")
        return self


class Generator(nn.Module):
    """One stack of convolutions for each scale; each refines what the coarser one changed of the last frame."""

    def __init__(self, config: MultiscaleGanConfig) -> None:
        super().__init__()
        self.config = config
        first = SCALES - config.scales
        inputs = [(config.context + (scale > first)) * config.channels for scale in range(first, SCALES)]
        self.stacks = nn.ModuleList(
            painter(scale, count, config.channels, config.width, self.start)
            for scale, count in enumerate(inputs, first)
        )

    def forward(self, context: Tensor) -> list[Tensor]:
        """Return the next frame at every scale, coarse to fine, (B, C, h, w) each, of a context (B, T, C, H, W)."""
        return [image for image, _ in self.paint(context)]

    def paint(self, context: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return, of every scale, the next frame and the maps (B, maps, h, w) that its last layer made it from."""
        folded = context.flatten(1, 2)  # (B, T*C, H, W)
        painted: list[tuple[Tensor, Tensor]] = []
        last = guess = None
        sizes = scale_sizes(context.shape[-2], context.shape[-1], self.config.scales)
        for size, stack in zip(sizes, self.stacks, strict=True):
            given = self.shrink(folded, size)
            before, last = last, given[:, -self.config.channels :]
            if before is not None:
                guess = self.guess(before, last, painted[-1][0])
            seen = self.seen(given, guess)
            *hidden, painter = cast(nn.Sequential, stack)
            maps = seen.contiguous(memory_format=torch.channels_last)
            for layer in hidden:
                maps = layer(maps)
            painted.append((self.frame(painter(maps), last, guess), maps))
        return painted

    def shrink(self, frames: Tensor, size: tuple[int, int]) -> Tensor:
        """Return frames (B, C, H, W) at a smaller size."""
        return shrink(frames, size)

    def guess(self, before: Tensor, last: Tensor, image: Tensor) -> Tensor:
        """Add the coarser scale's change of its last frame, `before`, to this scale's, whose edges are sharp."""
        return last + grow(image - before, (last.shape[-2], last.shape[-1]))

    def seen(self, given: Tensor, guess: Tensor | None) -> Tensor:
        """Return what a stack reads: the steps from frame to frame, zero where nothing moves, the last frame, a guess.

        `given` (B, T*C, h, w) is the context at this scale.
        """
        channels = self.config.channels
        frames = torch.cat([given[:, channels:] - given[:, :-channels], given[:, -channels:]], dim=1)
        return frames if guess is None else torch.cat([frames, guess], dim=1)

    def frame(self, change: Tensor, last: Tensor, guess: Tensor | None) -> Tensor:
        """Return the frame of a scale, whose stack gave `change`."""
        return change + (last if guess is None else guess)

    def start(self, layers: Sequence[Weighted]) -> None:
        """Set the initial weights of a stack: He's, but small in the last layer, to start near the last frame."""
        start_normal(layers, gain=2)
        nn.init.normal_(layers[-1].weight, std=1e-3)


class MultiscaleGan(Predictor):
    """Mathieu, Couprie & LeCun's predictor: pixel, gradient difference and adversarial losses at four scales."""

    Config: ClassVar[type[ModelConfig]] = MultiscaleGanConfig
    GENERATOR: ClassVar[type[Generator]] = Generator
    config: MultiscaleGanConfig
    idea: ClassVar[str] = "Refine the next frame from coarse to fine; adversaries and edge losses keep it sharp."
    when = "Sharp predictions rather than the mean of what may happen; trains longer."
    paper: ClassVar[str] = "Mathieu, Couprie & LeCun, ICLR 2016"

    def __init__(self, config: MultiscaleGanConfig) -> None:
        super().__init__(config)
        self.generator = self.GENERATOR(config)
        self.discriminators = nn.ModuleList(self.judges() if config.adversarial_weight else [])
        self._made: Generated[list[Tensor]] = Generated()

    def judges(self) -> list[nn.Module]:
        """Return a discriminator for each scale, coarse to fine; they see the context and the frame after it."""
        inputs = self.config.channels * (self.config.context + 1)
        return discriminators("light", self.config.scales, inputs, self.config.spectral)

    @property
    def capabilities(self) -> Capabilities:
        """Exactly the configured context and channels; any size, any horizon by roll-out."""
        return Capabilities.exactly(self.config.context, self.config.channels)

    def unroll(self, request: Request) -> Iterator[Block]:
        """Feed each predicted frame back."""
        return roll_on(self.next_frame, request.context, request.horizon)

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
        alone = Objective("generator", list(self.generator.parameters()), self.content_loss, self.generator_rate)
        if not self.discriminators:
            return [Stage("train", [alone])]
        return in_turn(alone, self.rivals(), self.config.pretrain)

    @property
    def generator_rate(self) -> OptimizerDefaults:
        """How the generator is stepped while it is alone."""
        return OptimizerDefaults("adam", self.config.g_lr)

    def rivals(self) -> list[Objective]:
        """Return the objectives of generator and discriminators, in the order in which they are stepped."""
        generator, judges = list(self.generator.parameters()), list(self.discriminators.parameters())
        rate = OptimizerDefaults("adam", self.config.d_lr, betas=BETAS)
        return [
            Objective("generator", generator, self.generator_loss, replace(self.generator_rate, betas=BETAS)),
            Objective("discriminator", judges, self.discriminator_loss, rate),
        ]

    def content_loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted pixel and gradient difference terms, and each term to log.

        They are means over the first `unroll` target frames. Each is predicted from the frames before it, the model's
        own after the context; no gradient flows back through those.

        Raises:
            UserError: there are fewer target frames than are unrolled.
        """
        return self._further(self.generator(clip.context * 2 - 1), clip)

    def generator_loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the content loss plus what the discriminators cost the generator; its gradient reaches it."""
        images = self.generator(clip.context * 2 - 1)
        self._made.keep(clip, [image.detach() for image in images])
        loss, logs = self._further(images, clip)
        with frozen(self.discriminators.parameters()):
            scores = self._scores(clip, images)
        adversarial = self.fooling(scores)
        return loss + self.config.adversarial_weight * adversarial, {**logs, "adversarial": adversarial.detach()}

    def discriminator_loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the discriminators' loss at all scales, and their accuracy in [0, 1]."""
        truths = self.real(clip)
        penalized = self.config.r1 > 0 and torch.is_grad_enabled()
        if penalized:
            truths = [truth.requires_grad_() for truth in truths]
        real, fake = self._scores(clip, truths), self._scores(clip, self._fakes(clip))
        loss = self.telling(real, fake)
        right = torch.stack([accuracy(a, b) for a, b in zip(real, fake, strict=True)]).mean()
        logs = {"accuracy": right.detach()}
        if penalized:
            slope = torch.stack([gradient_penalty(a, b) for a, b in zip(real, truths, strict=True)]).sum()
            loss, logs["r1"] = loss + self.config.r1 * slope, slope.detach()
        return loss, logs

    def warning(self, logs: Mapping[str, float]) -> str | None:
        """Warn if the discriminators have won, by the means of a log line."""
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
        if (steps := self.config.unroll) > horizon:
            raise UserError(f"model.unroll is {steps}, the clips have {horizon} frame(s) to predict: ask for more")

    def _further(self, images: list[Tensor], clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the content loss of `images`, the first frame of `clip`, and of those predicted after them."""
        steps = self.config.unroll
        self._check_horizon(clip.horizon)
        loss, logs = self._content(images, clip)
        for _ in range(1, steps):
            own = (images[-1].detach().unsqueeze(1) + 1) / 2
            given = torch.cat([clip.context[:, 1:], own.clamp(0, 1)], dim=1)
            clip = Clip(given, clip.target[:, 1:])
            images = self.generator(given * 2 - 1)
            more, terms = self._content(images, clip)
            loss, logs = loss + more, {name: logs[name] + term for name, term in terms.items()}
        return loss / steps, {name: term / steps for name, term in logs.items()}

    def _content(self, images: Images, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        config, truths = self.config, self._truths(clip)
        pixel = self.pixel_term(images, truths)
        loss, logs = config.pixel_weight * pixel, {f"l{config.p}": pixel.detach()}
        if config.gradient_weight:
            gradient = self.gradient_term(images, truths)
            loss, logs["gdl"] = loss + config.gradient_weight * gradient, gradient.detach()
        return loss, logs

    def pixel_term(self, images: Images, truths: Images) -> Tensor:
        """Return the mean of |difference|^p at each scale, added up."""
        return pixel_term(images, truths, self.config.p, self.config.smooth)

    def gradient_term(self, images: Images, truths: Images) -> Tensor:
        """Return the gradient difference at each scale, added up."""
        return gradient_term(images, truths, smooth=self.config.smooth)

    def fooling(self, scores: Sequence[Tensor]) -> Tensor:
        """Return what every scale's scores of made frames cost the generator, added up."""
        return torch.stack([fooling(score, self.config.gan) for score in scores]).sum()

    def telling(self, real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
        """Return what every scale's scores of real and made frames cost the discriminators, added up."""
        return torch.stack([telling(a, b, self.config.gan) for a, b in zip(real, fake, strict=True)]).sum()

    def _truths(self, clip: Clip) -> list[Tensor]:
        """Return the first target frame, (B, C, h, w) at every scale, in [-1, 1]."""
        return self._at_scales(clip.target[:, 0] * 2 - 1)

    def real(self, clip: Clip) -> Images:
        """Return the true frames that the discriminators see, (B, C, h, w) at every scale, in [-1, 1]."""
        return self._truths(clip)

    def _at_scales(self, frames: Tensor) -> list[Tensor]:
        sizes = scale_sizes(frames.shape[-2], frames.shape[-1], self.config.scales)
        return [self.generator.shrink(frames, size) for size in sizes]

    def _fakes(self, clip: Clip) -> list[Tensor]:
        """Return the generator's frames of `clip`: those it made for its own loss a moment ago, or new ones."""
        return self._made.take(clip, lambda: cast(list[Tensor], self.generator(clip.context * 2 - 1)))

    def _scores(self, clip: Clip, images: Images) -> list[Tensor]:
        """Return every scale's logits for frames of that scale."""
        shown = self.shown(clip, images)
        return [judge(frames) for judge, frames in zip(self.discriminators, shown, strict=True)]

    def shown(self, clip: Clip, images: Images) -> Images:
        """Return what the discriminators see for frames of every scale: the context, and the frame after it."""
        given = self._at_scales(clip.context.flatten(1, 2) * 2 - 1)
        return [torch.cat([a, b], dim=1) for a, b in zip(given, images, strict=True)]
