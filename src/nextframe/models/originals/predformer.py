"""PredFormer's public code where it is at fault: its Fac-S-T reads time-major what is place-major."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from nextframe.models.contract import ModelConfig
from nextframe.models.predformer import Interleaving, PredFormer, PredFormerConfig


class PredFormerFacSTConfig(PredFormerConfig):
    """Fields of `PredFormerFacST`; 12 blocks over space, then 12 over time."""

    interleaving: Interleaving = Field("fac-st", pattern="^fac-st$", description="fac-st, the one at fault")
    layers: int = Field(12, ge=1, description="blocks over space, and blocks over time")


class PredFormerFacST(PredFormer):
    """`predformer` with fac-st whose tokens come out of the last transformer place by place.

    They are taken for frame by frame, so that a token is drawn elsewhere and at another time than it came from. The
    weights of such a checkpoint have learned to undo that.
    """

    Config: ClassVar[type[ModelConfig]] = PredFormerFacSTConfig
    config: PredFormerFacSTConfig
    original_of: ClassVar[str] = "predformer"
    idea: ClassVar[str] = "`predformer` with fac-st as its code has it: tokens are drawn in another place's turn."
    paper: ClassVar[str] = "github.com/yyyujintang/PredFormer, PredFormer_FacST.py"

    def drawn(self, tokens: Tensor) -> Tensor:
        """Return tokens (B, T, N, D) as the head gets them: in the order (N, T), called (T, N)."""
        return tokens.transpose(1, 2).reshape(tokens.shape)
