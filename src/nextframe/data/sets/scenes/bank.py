"""The images that scenes are made of, on the device where they are drawn: stills, patterns and outlines."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from nextframe.core.seeds.seeding import numpy_generator
from nextframe.data.clipset import Split
from nextframe.data.sets.scenes.looks import Counts
from nextframe.data.sets.scenes.patterns import pattern
from nextframe.data.sets.scenes.shapes import PAGES, SHAPES, outlines
from nextframe.data.sets.scenes.stills import SIDE, stacked

PATTERNS = 40


@dataclass(frozen=True)
class Bank:
    """Textures (M, 3, S, S) uint8 and outlines (N, side, side), signed distances to the edge in steps of the mask."""

    textures: Tensor
    outlines: Tensor


def counts_of(stills: Tensor) -> Counts:
    """Return how much a bank with these stills has of everything."""
    return Counts(len(stills), len(stills) + PATTERNS, SHAPES, PAGES)


def bank_of(split: Split, stills: Tensor, device: torch.device | str) -> Bank:
    """Return the stills of `split` and patterns of its own, with the outlines that all splits share, on `device`."""
    textures = torch.cat([stills, patterns(split, stills.shape[-1])])
    masks = torch.from_numpy(outlines("moving-scenes"))
    return Bank(textures.to(device), masks.to(device))


@cache
def patterns(split: Split, side: int = SIDE) -> Tensor:
    """Return PATTERNS textures (N, 3, side, side) of `split`."""
    return stacked([pattern(numpy_generator("moving-scenes", split, "pattern", n), side) for n in range(PATTERNS)])
