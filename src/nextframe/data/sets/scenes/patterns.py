"""Textures that need no images: leaves over leaves, clouds, stripes, tiles, dots and gradients."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from nextframe.core.seeds.seeding import Floats

Colours = NDArray[np.float64]  # (side, side, 3) in [0, 1]
LEAVES = 500


def pattern(random: np.random.Generator, side: int) -> NDArray[np.uint8]:
    """Return a texture (side, side, 3), drawn with `random`."""
    chosen = PATTERNS[int(random.choice(len(PATTERNS), p=np.array(WEIGHTS) / sum(WEIGHTS)))]
    painted = chosen(random, side)
    if random.random() < 0.6:  # light that falls unevenly
        light = cv2.resize(clouds(random, side // 8, 1.6)[..., 0], (side, side), interpolation=cv2.INTER_CUBIC)
        painted = painted * (0.6 + 0.5 * light[..., None])
    return np.rint(np.clip(painted, 0, 1) * 255).astype(np.uint8)


def leaves(random: np.random.Generator, side: int) -> Colours:
    """Discs and boxes over one another, few large and many small: as often as in nature (Lee, Mumford & Huang 2001)."""
    sizes = np.sort(3.0 / np.maximum(random.random(LEAVES), 3.0 / (side / 3)))[::-1]  # density falls with the cube
    palette = 0.5 + random.uniform(0.25, 1) * (random.random((6, 3)) - 0.5)
    image = np.full((side, side, 3), 255 * palette[0]).astype(np.uint8)
    for size in sizes:
        x, y = random.uniform(0, side, 2)
        colour = (255 * np.clip(palette[random.integers(6)] + random.normal(0, 0.12, 3), 0, 1)).tolist()
        axes = (max(1, int(size)), max(1, int(size * random.uniform(0.3, 1))))
        cv2.ellipse(image, (int(x), int(y)), axes, random.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_AA)
    return image / 255


def clouds(random: np.random.Generator, side: int, steep: float = 0.0) -> Colours:
    """Noise whose amplitude falls with a power of the frequency, as in photographs (Field 1987)."""
    power = steep or random.uniform(1.2, 2.2)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    shape = 1 / np.maximum(frequency, 1 / side) ** power
    layers = []
    for _ in range(3):
        wave = np.fft.rfft2(random.normal(size=(side, side))) * shape
        wave[0, 0] = 0
        flat = np.fft.irfft2(wave, (side, side))
        layers.append(flat / flat.std())
    mixed = np.stack(layers, -1) @ (0.7 * random.normal(size=(3, 3)) / 2 + 0.35)
    return np.asarray(1 / (1 + np.exp(-1.5 * mixed)))


def stripes(random: np.random.Generator, side: int) -> Colours:
    """Two or three colours in stripes that bend."""
    y, x = np.mgrid[:side, :side] / side
    angle, count = random.uniform(0, np.pi), random.integers(4, 24)
    bent = 0.1 * random.random() * np.sin(2 * np.pi * (x * random.integers(1, 4) + random.random()))
    phase = (x * np.cos(angle) + y * np.sin(angle) + bent) * count
    sharp = random.uniform(1, 12)
    level = 1 / (1 + np.exp(-sharp * np.sin(2 * np.pi * phase)))
    return mix(random, level)


def tiles(random: np.random.Generator, side: int) -> Colours:
    """Bricks or squares with joints, each of its own shade."""
    y, x = np.mgrid[:side, :side]
    height, width = random.integers(8, 40, 2)
    row = y // height
    moved = x + (row % 2) * (width // 2) * int(random.random() < 0.6)
    column = moved // width
    shade = random.random((side // height + 2, 2 * side // width + 3))[row, column]
    joint = ((y % height < 2) | (moved % width < 2)).astype(float)
    return np.asarray(mix(random, shade) * (1 - joint[..., None]) + random.random(3) * joint[..., None])


def dots(random: np.random.Generator, side: int) -> Colours:
    """Round dots on a lattice that is turned."""
    y, x = np.mgrid[:side, :side]
    angle, step = random.uniform(0, np.pi), random.uniform(10, 40)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    distance = np.hypot(u % step - step / 2, v % step - step / 2)
    return mix(random, np.clip(0.5 + step * random.uniform(0.2, 0.4) - distance, 0, 1))


def gradient(random: np.random.Generator, side: int) -> Colours:
    """A colour that passes into another, with a little noise, as skies and walls have it."""
    y, x = np.mgrid[:side, :side] / side
    angle = random.uniform(0, 2 * np.pi)
    level = (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle) + 0.5
    return mix(random, level) + random.normal(0, random.choice([0, 0.02]), (side, side, 1))


def cells(random: np.random.Generator, side: int) -> Colours:
    """Stones: each pixel has the shade of the nearest of many points, with dark joints."""
    y, x = np.mgrid[:side:2, :side:2]
    points = random.uniform(-10, side + 10, (random.integers(30, 100), 2))
    distance = np.hypot(y[..., None] - points[:, 0], x[..., None] - points[:, 1])
    two = np.sort(np.partition(distance, 1, axis=2)[..., :2], axis=2)
    shade = random.random(len(points))[distance.argmin(2)]
    half = mix(random, shade) * np.clip((two[..., 1] - two[..., 0]) / random.uniform(2, 8), 0.2, 1)[..., None]
    return np.asarray(cv2.resize(half, (side, side), interpolation=cv2.INTER_CUBIC))


def mix(random: np.random.Generator, level: Floats) -> Colours:
    """Return levels (side, side) between two colours that are not too near to one another."""
    one, other = random.random((2, 3))
    if np.abs(one - other).max() < 0.4:
        other = 1 - one
    return np.asarray(one + level[..., None] * (other - one))


PATTERNS: tuple[Callable[[np.random.Generator, int], Colours], ...] = (
    leaves, clouds, stripes, tiles, dots, gradient, cells,
)  # fmt: skip
WEIGHTS = (8, 4, 2, 2, 1, 2, 2)
