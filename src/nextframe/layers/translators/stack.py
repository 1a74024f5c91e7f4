"""The translators by name: blocks one after another, at the width of the maps first, then at one of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, cast

import torch
from torch import Tensor, nn

from nextframe.layers.translators import attention, convolutional, hornet, large_kernel, moganet
from nextframe.layers.translators.blocks import BlockPlan
from nextframe.layers.translators.incepu import IncepU

Name = Literal[
    "convmixer",
    "convnext",
    "gsta",
    "hornet",
    "incepu",
    "mlp-mixer",
    "moganet",
    "poolformer",
    "swin",
    "tau",
    "uniformer",
    "van",
    "vit",
]
BLOCKS: dict[str, Callable[[BlockPlan], nn.Module]] = {
    "convmixer": convolutional.convmixer,
    "convnext": convolutional.convnext,
    "gsta": large_kernel.gsta,
    "hornet": hornet.hornet,
    "mlp-mixer": attention.mlp_mixer,
    "moganet": moganet.moganet,
    "poolformer": convolutional.poolformer,
    "swin": attention.swin,
    "tau": large_kernel.tau,
    "uniformer": attention.uniformer,
    "van": large_kernel.van,
    "vit": attention.vit,
}
GROUPED = dict.fromkeys(("hornet", "moganet", "swin", "uniformer", "vit"), (8, 8))
MULTIPLES = {"incepu": (8, 16), "tau": (4, 4), **GROUPED}  # of maps and of width, which are split among groups or heads


@dataclass(frozen=True)
class TranslatorPlan:
    """What a translator is made for; `drop_path` is that of the first block and of the last."""

    name: Name
    maps: int  # channels in and out: those of all frames of a clip
    width: int
    blocks: int
    ratio: float
    dropout: float
    drop_path: tuple[float, float]
    grid: tuple[int, int]
    window: int


class Step(nn.Module):
    """A block, and a change of the number of channels after it where there is one."""

    def __init__(self, block: nn.Module, before: int, after: int) -> None:
        super().__init__()
        self.block = block
        self.resize = nn.Conv2d(before, after, 1) if before != after else nn.Identity()

    def forward(self, maps: Tensor) -> Tensor:
        """Return (B, `after`, h, w) of maps (B, `before`, h, w)."""
        return cast(Tensor, self.resize(self.block(maps)))


def check_widths(plan: TranslatorPlan) -> None:
    """Raise ValueError if the translator cannot have the channels of `plan`."""
    maps, width = MULTIPLES.get(plan.name, (1, 1))
    if plan.maps % maps or plan.width % width:
        raise ValueError(
            f"{plan.name} needs a multiple of {width} for width, and one of {maps} for context * encoder_width, "
            f"not {plan.width} and {plan.maps}"
        )


def build_translator(plan: TranslatorPlan) -> nn.Module:
    """Return the translator that `plan` describes: maps (B, D, h, w) to maps of the same shape."""
    if plan.name == "incepu":
        return IncepU(plan.maps, plan.width, plan.blocks)
    rates = torch.linspace(*plan.drop_path, plan.blocks, dtype=torch.float64, device="cpu").tolist()
    widths = [plan.maps, *[plan.width] * (plan.blocks - 1), plan.maps]
    steps = []
    for index, (before, after) in enumerate(pairwise(widths)):
        block = BlockPlan(
            index, before, before != after, plan.ratio, plan.dropout, rates[index], plan.grid, plan.window
        )
        steps.append(Step(BLOCKS[plan.name](block), before, after))
    return nn.Sequential(*steps)
