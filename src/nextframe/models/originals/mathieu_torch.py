"""Mathieu, Couprie & LeCun (ICLR 2016) as the Torch script has it that the authors published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from pydantic import Field
from torch import Tensor

from nextframe.core.clip import Clip
from nextframe.core.errors import UserError
from nextframe.layers.discriminators import Table
from nextframe.models.contract import ModelConfig, OptimizerDefaults
from nextframe.models.originals.mathieu import MathieuPaper, MathieuPaperConfig


class MathieuTorchConfig(MathieuPaperConfig):
    """Fields of `mathieu-torch`."""

    width: int = Field(16, ge=1)
    d_table: Table = "authors"
    extra_pairs: bool = Field(
        False,
        description="discriminators see real pairs again, and true frames after another clip as false",
    )


class MathieuTorch(MathieuPaper):
    """The authors' Torch script: an eighth of the paper's width, a constant rate, and half of the discriminators' loss.

    The script reports that half; its steps are of the whole, as at twice `d_lr`. Its extra pairs are of two more
    batches, here of the same one: a context, and the true frame of the clip before it.
    """

    Config: ClassVar[type[ModelConfig]] = MathieuTorchConfig
    idea: ClassVar[str] = "`multiscale-gan` as the authors' script has it: `mathieu-paper` at an eighth of the width."
    paper: ClassVar[str] = "Mathieu, Couprie & LeCun, ICLR 2016: the authors' Torch script"
    config: MathieuTorchConfig

    @property
    def generator_rate(self) -> OptimizerDefaults:
        """Stochastic gradient descent at one rate."""
        return OptimizerDefaults("sgd", self.config.g_lr)

    def discriminator_loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and the accuracy of real and made frames, and with `extra_pairs` the loss of those too.

        Raises:
            UserError: extra pairs of a batch of one clip, which has no other.
        """
        loss, logs = super().discriminator_loss(clip)
        if not self.config.extra_pairs:
            return loss, logs
        if len(clip) < 2:
            raise UserError("model.extra_pairs takes true frames of another clip: set training.batch to 2 or more")
        others = replace(clip, target=clip.target.roll(1, 0))
        real, foreign = (self._scores(clip, self.real(frames)) for frames in (clip, others))
        extra = self.telling(real, foreign)
        return loss + extra, {**logs, "extra": extra.detach()}

    def telling(self, real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
        """Return half of what the scores of real and made frames cost."""
        return super().telling(real, fake) / 2
