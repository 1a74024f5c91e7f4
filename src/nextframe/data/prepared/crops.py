"""Which crop of which span clip i is: a rule of motion, as a pure function of (seed, split, i).

The rule (the data code of the Ms. Pac-Man adversarial predictors, after Mathieu et al. 2016): a random source, a
random span of it, then random crops of that span until one moves enough; one time in twenty the first crop is kept
whatever it shows, and after a hundred tries the last one is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nextframe.core.seeds.seeding import Floats, derive_seed, uniforms
from nextframe.data.clipset import Indices, Split
from nextframe.data.prepared.motion import UNIT, CropMotion, Ints
from nextframe.media.source import Image

Rule = Literal["chance", "motion", "gave-up"]
RULES: tuple[Rule, ...] = ("chance", "motion", "gave-up")
FIRST_TRIES = 8  # tried before the rest: many clips need no more


@dataclass(frozen=True)
class MotionRule:
    """When a crop is kept: `threshold` in units of [-1, 1] squared, `keep` the chance, `tries` the most crops."""

    size: tuple[int, int]
    threshold: float
    keep: float
    tries: int


@dataclass(frozen=True)
class Draws:
    """Random numbers, uniform in [0, 1), of N clips: source, start and chance (N,), places of crops (N, tries)."""

    source: Floats
    start: Floats
    chance: Floats
    tops: Floats
    lefts: Floats

    def choose(self, row: int, frames: Sequence[Image], rule: MotionRule) -> Choice:
        """Return the crop of clip `row` that the rule keeps, cut from its span `frames`."""
        return choose_crop(frames, self.tops[row], self.lefts[row], float(self.chance[row]), rule)


@dataclass(frozen=True)
class Choice:
    """The crop that was kept: its position, the rule, the try (from 1), its motion and that of the first crop."""

    top: int
    left: int
    rule: Rule
    tried: int
    motion: float
    first_motion: float


def draw_clips(seed: int, split: Split, indices: Indices, tries: int) -> Draws:
    """Return the random numbers of clips `indices`; each depends on (seed, split, its own index) alone."""
    numbers = uniforms(derive_seed("prepare", split, seed), indices, 3 + 2 * tries)
    return Draws(numbers[:, 0], numbers[:, 1], numbers[:, 2], numbers[:, 3::2], numbers[:, 4::2])


def pick(uniform: Floats, count: int | Ints) -> Ints:
    """Return integers from 0 to count - 1, all equally likely."""
    return np.asarray(np.minimum(np.floor(uniform * count), np.asarray(count) - 1), np.int64)


def choose_crop(frames: Sequence[Image], tops: Floats, lefts: Floats, chance: float, rule: MotionRule) -> Choice:
    """Return the crop of a span that the rule keeps.

    Args:
        frames: the span, (H, W, C) uint8 each, not smaller than `rule.size`.
        tops: uniform numbers (tries,): how far down each crop lies.
        lefts: the same, across.
        chance: uniform; below `rule.keep` the first crop is kept whatever it shows.
        rule: what decides.
    """
    height, width = frames[0].shape[:2]
    y, x = pick(tops, height - rule.size[0] + 1), pick(lefts, width - rule.size[1] + 1)
    motion, by_chance = CropMotion(frames, rule.size), chance < rule.keep
    sums = motion.sums(y[:1], x[:1])
    first, limit = int(sums[0]), rule.threshold * UNIT
    done = 1
    while not by_chance and not (sums > limit).any() and done < rule.tries:
        more = slice(done, rule.tries if done >= FIRST_TRIES else FIRST_TRIES)
        sums = motion.sums(y[more], x[more])
        done += len(sums)
    moving = np.flatnonzero(sums > limit)
    at = 0 if by_chance else int(moving[0]) if len(moving) else len(sums) - 1
    kept: Rule = "chance" if by_chance else "motion" if len(moving) else "gave-up"
    tried = done - len(sums) + at
    return Choice(int(y[tried]), int(x[tried]), kept, tried + 1, float(sums[at]) / UNIT, first / UNIT)
