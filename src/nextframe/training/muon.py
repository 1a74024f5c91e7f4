"""Muon for matrices with AdamW for everything else, as one optimiser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from nextframe.core.errors import UserError

REST = 0.2  # AdamW's rate for the other parameters, as a part of Muon's


class MuonWithAdamW(torch.optim.Optimizer):
    """Orthogonalised momentum for 2-D weights (torch.optim.Muon, its step scaled to AdamW's size), AdamW for the rest.

    Jordan et al. 2024 (kellerjordan.github.io/posts/muon); the scaling is that of Liu et al. 2025, arXiv 2502.16982.
    Kernels, biases, norms and embeddings are not matrices of a linear map, so they stay with AdamW at `REST` of the
    rate.
    """

    def __init__(
        self, parameters: list[nn.Parameter], lr: float, weight_decay: float, betas: tuple[float, float]
    ) -> None:
        if not hasattr(torch.optim, "Muon"):
            raise UserError("optimizer 'muon' needs torch 2.9 or newer (or --set training.optimizer=adamw)")
        matrices = [p for p in parameters if p.ndim == 2]
        others = [p for p in parameters if p.ndim != 2]
        self.parts: list[torch.optim.Optimizer] = []
        if matrices:
            muon = torch.optim.Muon(matrices, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
            self.parts.append(muon)
        if others:
            self.parts.append(torch.optim.AdamW(others, lr=REST * lr, betas=betas, weight_decay=0.0, fused=True))
        super().__init__(parameters, {})
        self.param_groups = [group for part in self.parts for group in part.param_groups]

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for part in self.parts:
            part.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of both parts."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self.parts for group in part.param_groups]
