"""Mathieu, Couprie & LeCun (ICLR 2016) as the paper and two public ports have it.

All generate frames through a tanh, judge them by fully connected discriminators, for crops of one size, and train both
from the first step, by cross-entropy and without spectral norm. Two faults are not kept: the TensorFlow port's
discriminators gave the generator no gradient (here they do, as in its gradient-bug branch); its combined loss ignored
its weights (they are all 1 here too, which is what it trained with). docs/multiscale-gan.md lists all differences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from nextframe.core.clip import Clip
from nextframe.layers.discriminators import Table, discriminators
from nextframe.layers.scales import Resize, grow, scale_sizes, shrink
from nextframe.layers.stacks import Weighted, start_normal
from nextframe.losses.adversarial import Gan, fooling, telling
from nextframe.losses.gradient_difference import gdl_of_sums, gdl_padded
from nextframe.losses.multiscale import Images, distance
from nextframe.models.contract import ModelConfig, Objective, OptimizerDefaults
from nextframe.models.multiscale_gan import Generator, MultiscaleGan, MultiscaleGanConfig


class MathieuConfig(MultiscaleGanConfig):
    """Fields that all four have; the defaults are what is trained."""

    width: int = Field(128, ge=1)
    smooth: float = Field(0.0, ge=0, lt=1)
    gan: Gan = "bce"
    spectral: bool = False
    pretrain: float = Field(0.0, ge=0, lt=1)
    d_lr: float = Field(0.02, gt=0)
    d_table: Table = Field("ports", description="whose sizes the discriminators have")
    frame_height: int = Field(32, ge=1, description="height of the crops that the discriminators are made for")
    frame_width: int = Field(32, ge=1, description="width of the crops that the discriminators are made for")


class PortGenerator(Generator):
    """Each scale generates the frame itself, from the context frames and the enlarged coarser one; then a tanh."""

    resize: ClassVar[Resize]

    def shrink(self, frames: Tensor, size: tuple[int, int]) -> Tensor:
        """Return frames (B, C, H, W) at a smaller size, as the code at hand resizes."""
        return shrink(frames, size, self.resize)

    def guess(self, before: Tensor, last: Tensor, image: Tensor) -> Tensor:
        """Return the coarser image, enlarged."""
        return grow(image, (last.shape[-2], last.shape[-1]), self.resize)

    def seen(self, given: Tensor, guess: Tensor | None) -> Tensor:
        """Return what a stack reads: the context frames as they are, and the guess."""
        return given if guess is None else torch.cat([given, guess], dim=1)

    def frame(self, change: Tensor, last: Tensor, guess: Tensor | None) -> Tensor:
        """Return the frame of a scale: what its stack gave."""
        return change.tanh()


class Mathieu(MultiscaleGan):
    """What all four share."""

    original_of: ClassVar[str] = "multiscale-gan"
    config: MathieuConfig
    pooled: ClassVar[bool] = True  # 2x2 max-pooling before the fully connected layers

    def judges(self) -> list[nn.Module]:
        """Return a fully connected discriminator for each scale, coarse to fine, started as the generators are."""
        config, size = self.config, (self.config.frame_height, self.config.frame_width)
        inputs, start = self.judged_channels, self.generator.start
        return discriminators(config.d_table, config.scales, inputs, config.spectral, size, self.pooled, start)

    @property
    def judged_channels(self) -> int:
        """How many channels a discriminator sees: those of the context and the frame after it."""
        return self.config.channels * (self.config.context + 1)

    @property
    def generator_rate(self) -> OptimizerDefaults:
        """Stochastic gradient descent."""
        return OptimizerDefaults("sgd", self.config.g_lr)

    def rivals(self) -> list[Objective]:
        """Return both objectives, the generator first, both on the same clips."""
        generator, judges = super().rivals()
        return [generator, replace(judges, optimizer=OptimizerDefaults("sgd", self.config.d_lr))]


class MathieuPaperConfig(MathieuConfig):
    """Fields of `mathieu-paper`."""

    g_lr: float = Field(0.04, gt=0)


class CoarserGenerator(PortGenerator):
    """The paper's residual: Y_k = tanh(u(Y_(k-1)) + G_k), u doubles pixels."""

    resize: ClassVar[Resize] = "average"

    def frame(self, change: Tensor, last: Tensor, guess: Tensor | None) -> Tensor:
        """Return the frame of a scale: what its stack gave, on the enlarged coarser image."""
        return (change if guess is None else change + guess).tanh()

    def start(self, layers: Sequence[Weighted]) -> None:
        """Keep torch's initial weights."""


class MathieuPaper(Mathieu):
    """What the paper means, with details from the authors' script: stochastic gradient descent for both.

    The discriminators go first, on batches of their own; the generator's rate falls to an eighth.
    """

    Config: ClassVar[type[ModelConfig]] = MathieuPaperConfig
    GENERATOR: ClassVar[type[Generator]] = CoarserGenerator
    idea: ClassVar[str] = "`multiscale-gan` as the paper has it: each scale adds to the enlarged coarser prediction."

    @property
    def generator_rate(self) -> OptimizerDefaults:
        """Stochastic gradient descent at a rate that falls from 0.04 to 0.005."""
        return OptimizerDefaults("sgd", self.config.g_lr, final=0.125)

    def rivals(self) -> list[Objective]:
        """Return both objectives, the discriminators first, on other clips."""
        generator, judges = super().rivals()
        return [replace(judges, own_batch=True), generator]


class Port(Mathieu):
    """A public port: terms are sums over pixels and clips, and the discriminators see one frame alone."""

    @property
    def judged_channels(self) -> int:
        """Those of one frame."""
        return self.config.channels

    def shown(self, clip: Clip, images: Images) -> Images:
        """Return what the discriminators see: the frame alone."""
        return images

    def fooling(self, scores: Sequence[Tensor]) -> Tensor:
        """Return the sum of what all scores of made frames cost the generator."""
        return torch.stack([fooling(score, self.config.gan, "sum") for score in scores]).sum()

    def telling(self, real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
        """Return the sum of what all scores of real and made frames cost the discriminators."""
        return torch.stack([telling(a, b, self.config.gan, "sum") for a, b in zip(real, fake, strict=True)]).sum()

    def distance(self, image: Tensor, truth: Tensor) -> Tensor:
        """Return the sum of |difference|^p at one scale."""
        return distance(image, truth, self.config.p, self.config.smooth, "sum")


class MathieuChainerConfig(MathieuConfig):
    """Fields of `mathieu-chainer`."""

    p: Literal[1, 2] = 2
    gradient_weight: float = Field(0.1, ge=0)
    g_lr: float = Field(4e-5, gt=0)


class ChainerGenerator(PortGenerator):
    """Bilinear resizing with the corners on the corners, and Chainer's initial weights (LeCun's)."""

    resize: ClassVar[Resize] = "bilinear-corners"

    def start(self, layers: Sequence[Weighted]) -> None:
        """Set LeCun's normal initial weights."""
        start_normal(layers, gain=1)


class MathieuChainer(Port):
    """The Chainer port (alokwhitewolf): one clip a step, the generator first.

    Squares of the finest scale alone, and a gradient difference of the sum of the channels that keeps signs.
    """

    Config: ClassVar[type[ModelConfig]] = MathieuChainerConfig
    GENERATOR: ClassVar[type[Generator]] = ChainerGenerator
    pooled: ClassVar[bool] = False
    idea: ClassVar[str] = "`multiscale-gan` as the Chainer port has it: no residual, sums, the finest scale's pixels."
    paper: ClassVar[str] = "Mathieu, Couprie & LeCun, ICLR 2016: alokwhitewolf's Chainer port"

    def pixel_term(self, images: Images, truths: Images) -> Tensor:
        """Return the sum of |difference|^p at the finest scale."""
        return self.distance(images[-1], truths[-1])

    def gradient_term(self, images: Images, truths: Images) -> Tensor:
        """Return the gradient difference of the channels' sum at the finest scale."""
        return gdl_of_sums(images[-1], truths[-1])

    def telling(self, real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
        """Return half of the sum."""
        return super().telling(real, fake) / 2


class MathieuTfConfig(MathieuConfig):
    """Fields of `mathieu-tf`."""

    p: Literal[1, 2] = 2
    alpha: Literal[1, 2] = Field(2, description="exponent of the gradient difference")
    adversarial_weight: float = Field(1.0, ge=0)
    gan: Gan = "clipped"
    g_lr: float = Field(4e-5, gt=0)


class TfGenerator(PortGenerator):
    """Bilinear resizing from multiples of the ratio, as old TensorFlow's, and the port's initial weights."""

    resize: ClassVar[Resize] = "bilinear-legacy"

    def start(self, layers: Sequence[Weighted]) -> None:
        """Set truncated normal weights of 0.01, and biases of 0.1."""
        for layer in layers:
            nn.init.trunc_normal_(layer.weight, std=0.01, a=-0.02, b=0.02)
            nn.init.constant_(cast(Tensor, layer.bias), 0.1)


class MathieuTf(Port):
    """The TensorFlow port (dyelax): the discriminators first, on batches of their own; Adam for the generator.

    Terms are means over scales; probabilities are kept in [0.1, 0.9], and steps over two borders count as edges.
    """

    Config: ClassVar[type[ModelConfig]] = MathieuTfConfig
    config: MathieuTfConfig
    GENERATOR: ClassVar[type[Generator]] = TfGenerator
    idea: ClassVar[str] = "`multiscale-gan` as the TensorFlow port has it: no residual, sums, means over scales."
    paper: ClassVar[str] = "Mathieu, Couprie & LeCun, ICLR 2016: dyelax's TensorFlow port"

    @property
    def generator_rate(self) -> OptimizerDefaults:
        """Adam."""
        return OptimizerDefaults("adam", self.config.g_lr)

    def rivals(self) -> list[Objective]:
        """Return both objectives, the discriminators first, on other clips; Adam has TensorFlow's own moments."""
        generator, judges = super().rivals()
        return [replace(judges, own_batch=True), replace(generator, optimizer=self.generator_rate)]

    def real(self, clip: Clip) -> Images:
        """Return the true frames as this port shrinks them for its discriminators: by another library's filter."""
        frames = clip.target[:, 0] * 2 - 1
        sizes = scale_sizes(frames.shape[-2], frames.shape[-1], self.config.scales)
        return [shrink(frames, size, "bilinear-centres") for size in sizes]

    def pixel_term(self, images: Images, truths: Images) -> Tensor:
        """Return the mean over scales of the sum of |difference|^p."""
        return self._mean(images, truths, self.distance)

    def gradient_term(self, images: Images, truths: Images) -> Tensor:
        """Return the mean over scales of the gradient difference with steps to zero at two borders."""
        return self._mean(images, truths, lambda a, b: gdl_padded(a, b, self.config.alpha))

    def fooling(self, scores: Sequence[Tensor]) -> Tensor:
        """Return the mean over scales of what the scores of made frames cost the generator."""
        return super().fooling(scores) / len(scores)

    def telling(self, real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
        """Return the mean over scales of what the scores of real and made frames cost the discriminators."""
        return super().telling(real, fake) / len(real)

    def _mean(self, images: Images, truths: Images, term: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        return torch.stack([term(a, b) for a, b in zip(images, truths, strict=True)]).sum() / len(truths)
