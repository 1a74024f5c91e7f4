"""Outlines of layers as distances to their edge: blobs, polygons, stars, rings, bars, letters and pages of text."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from nextframe.core.seeds.seeding import numpy_generator

SIDE = 256  # of a mask
FINER = 2  # drawn at so many times the size
FARTHEST = 40.0  # distances are cut off there
SHAPES, PAGES = 56, 20
LETTERS = "etaoinshrdlucmfwypvbgk"
SIGNS = "ABCDEFGHKMNPRSTXYZ2345789?&@#"


@cache
def outlines(seed: str) -> NDArray[np.float32]:
    """Return SHAPES masks of things and then PAGES of text, (N, SIDE, SIDE): signed distances, positive inside."""
    things = [distances(shape(numpy_generator(seed, "shape", number), number)) for number in range(SHAPES)]
    return np.stack([*things, *(distances(page(numpy_generator(seed, "page", n), n)) for n in range(PAGES))])


def distances(image: Image.Image) -> NDArray[np.float32]:
    """Return the signed distance of each pixel of a mask to its edge, in pixels of the result."""
    inside = (np.asarray(image) > 127).astype(np.uint8)
    near = [cv2.distanceTransform(part, cv2.DIST_L2, cv2.DIST_MASK_5) for part in (inside, 1 - inside)]
    signed = (near[0] - near[1]) / FINER
    small = cv2.resize(signed, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(np.clip(small, -FARTHEST, FARTHEST), np.float32)


def shape(random: np.random.Generator, number: int) -> Image.Image:
    """Return the outline of a thing, white on black; kinds take turns by `number`."""
    image = Image.new("L", (SIDE * FINER,) * 2)
    draw, middle, reach = ImageDraw.Draw(image), SIDE * FINER / 2, SIDE * FINER * 0.36
    kind = ("blob", "polygon", "blob", "star", "letter", "bar", "ring", "blob")[number % 8]
    if kind == "letter":
        sign = SIGNS[random.integers(len(SIGNS))]
        draw.text((middle, middle), sign, fill=255, font=ImageFont.load_default(reach * 1.9), anchor="mm")
    elif kind == "ring":
        width = int(reach * random.uniform(0.2, 0.6))
        draw.ellipse([middle - reach, middle - reach, middle + reach, middle + reach], outline=255, width=width)
    else:
        draw.polygon([tuple(point) for point in middle + reach * contour(random, kind)], fill=255)
    return image


def contour(random: np.random.Generator, kind: str) -> NDArray[np.float64]:
    """Return the corners (N, 2) of a blob, polygon, star or bar, within 1.25 of the middle."""
    if kind == "bar":
        half = random.uniform(0.08, 0.45)
        return np.array([[-1, -half], [1, -half], [1, half], [-1, half]])
    count = {"blob": 160, "polygon": int(random.integers(3, 8)), "star": 2 * int(random.integers(4, 9))}[kind]
    angle = 2 * np.pi * (np.arange(count) + 0.3 * random.random(count) * (kind == "polygon")) / count
    radius = np.ones(count)
    if kind == "star":
        radius[1::2] = random.uniform(0.35, 0.7)
    if kind == "blob":
        for wave in range(2, 8):
            radius += 0.4 * random.normal() / wave * np.sin(wave * angle + random.uniform(0, 6.28))
        radius *= 1.1 / radius.max()
    squeezed = random.uniform(0.6, 1) if kind != "star" else 1.0
    return np.stack([radius * np.cos(angle), squeezed * radius * np.sin(angle)], axis=1)


def page(random: np.random.Generator, number: int) -> Image.Image:
    """Return lines of made-up words, white on black; every fourth page is a headline."""
    side = SIDE * FINER
    image = Image.new("L", (side, side))
    draw = ImageDraw.Draw(image)
    size = random.uniform(70, 130) if number % 4 == 0 else random.uniform(24, 48)
    font, margin = ImageFont.load_default(size), 24
    y = margin + (random.uniform(0.2, 0.5) * side if number % 4 == 0 else 0)
    lines = 1 + number % 8 // 4 if number % 4 == 0 else 99
    while lines and y + size < side - margin:
        words = line(random, font, side - 2 * margin)
        draw.text((margin, y), words, fill=255, font=font)
        y, lines = y + size * random.choice([1.25, 1.25, 1.25, 2.2]), lines - 1
    return image


def line(random: np.random.Generator, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> str:
    """Return as many made-up words as fit into `width`."""
    words = ""
    while True:
        word = "".join(LETTERS[int(len(LETTERS) * random.random() ** 1.6)] for _ in range(random.integers(2, 10)))
        longer = f"{words} {word.capitalize() if random.random() < 0.15 else word}".strip()
        if font.getlength(longer) > width:
            return words or longer[:4]
        words = longer
