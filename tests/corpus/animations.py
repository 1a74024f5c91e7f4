"""Animated GIF, PNG, WebP and AVIF."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from corpus.case import (
    COARSE,
    COUNT,
    EXACT,
    FINE,
    HEIGHT,
    ROUNDED,
    WIDTH,
    Case,
    Frames,
    in_grey,
    over_black,
    scene,
    veil,
)
from corpus.gif import COLOURS, Picture, composed, write_gif
from corpus.videos import UNEVEN, rgba, rgba_grey

# name, what is in it, how pictures are disposed of, whether parts are clear, interlaced, and one table for all
GIFS = (
    ("kept.gif", "parts of the screen, kept", (1, 1, 1, 1, 1, 1), False, False, False),
    ("unspecified.gif", "parts, disposal not specified", (0, 0, 0, 0, 0, 0), False, False, False),
    ("cleared.gif", "parts with transparency, cleared after each", (1, 2, 2, 2, 2, 2), True, False, False),
    ("cleared-opaque.gif", "parts without transparency, cleared after each", (2, 2, 2, 2, 2, 2), False, False, False),
    ("cleared-background.gif", "parts, one table, cleared after each", (1, 2, 2, 2, 2, 2), False, False, True),
    ("restored.gif", "parts, what was below restored", (1, 3, 3, 3, 3, 3), False, False, False),
    ("mixed.gif", "parts, all disposals, transparency", (1, 2, 3, 1, 3, 2), True, False, False),
    ("interlaced.gif", "parts, interlaced", (1, 1, 1, 1, 1, 1), False, True, False),
    ("one-table.gif", "parts, one colour table", (1, 1, 1, 1, 1, 1), True, False, True),
)
# name, pictures, options of Pillow, difference from what was written, note
OTHERS = (
    ("rgb.png", "rgb", {"duration": 40}, EXACT, ""),
    ("rgba.png", "rgba", {"duration": 40, "disposal": 1, "blend": 0}, EXACT, ""),
    ("grey.png", "grey", {"duration": 40}, EXACT, ""),
    ("grey-alpha.png", "la", {"duration": 40, "disposal": 1, "blend": 0}, EXACT, ""),
    ("uneven.png", "rgb", {"duration": [40, 80, 40, 40, 200, 40]}, EXACT, UNEVEN),
    ("lossless.webp", "rgb", {"duration": 40, "lossless": True}, EXACT, ""),
    ("alpha.webp", "rgba", {"duration": 40, "lossless": True, "exact": True}, EXACT, ""),
    ("lossy.webp", "rgb", {"duration": 40, "quality": 90}, FINE, ""),
    ("uneven.webp", "rgb", {"duration": [40, 80, 40, 40, 200, 40], "lossless": True}, EXACT, UNEVEN),
    ("444.avif", "rgb", {"duration": 40, "quality": 100, "subsampling": "4:4:4"}, FINE, ""),
    ("420.avif", "rgb", {"duration": 40, "quality": 100, "subsampling": "4:2:0"}, COARSE, ""),
    ("alpha.avif", "rgba", {"duration": 40, "quality": 100, "subsampling": "4:4:4"}, FINE, ""),
)
QUICK = {"mixed.gif", "cleared-opaque.gif", "rgba.png", "lossless.webp"}
TIMES = [40, 80, 40, 40, 200, 40]


def pictures_of(kind: str) -> tuple[list[Image.Image], Frames]:
    """Return the scene as Pillow's images, "rgb", "rgba", "grey" or "la", and as it must be shown."""
    frames = scene() if kind.startswith("rgb") else in_grey(scene())
    if kind in ("rgba", "la"):
        frames = np.concatenate([frames, veil()], -1)
    return [Image.fromarray(f[..., 0] if f.shape[-1] == 1 else f) for f in frames], over_black(frames)


def opencv(path: Path) -> Frames:
    """Read an animation with OpenCV."""
    read = [frame.reshape(*frame.shape[:2], -1) for frame in cv2.imreadanimation(str(path))[1].frames]
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}
    return np.stack([over_black(frame[..., order[frame.shape[2]]]) for frame in read])


def _gif(row: tuple[Any, ...]) -> Case:
    name, what, disposals, clear, interlaced, shared = row

    def make(path: Path) -> Frames:
        whole, pictures = scene() // 4 + 60, []
        for number, disposal in enumerate(disposals):
            colours = np.random.default_rng(0 if shared else number).integers(0, 256, (COLOURS, 3), np.uint8)
            x, y, w, h = (0, 0, WIDTH, HEIGHT) if number == 0 else (3 * number, 4 * number, 33, 20)
            values = whole[number, y : y + h, x : x + w, 0] % COLOURS
            pictures.append(Picture(values, colours, x, y, 4, disposal, 70 if clear else None, interlaced))
        write_gif(path, WIDTH, HEIGHT, pictures, shared)
        return composed(WIDTH, HEIGHT, pictures, shared)

    return Case(f"{name}", what, make, rgba, fps=25, quick=name in QUICK)


def _grey_gif(path: Path) -> Frames:
    greys = np.repeat(np.arange(COLOURS, dtype=np.uint8)[:, None] * 2, 3, axis=1)
    pictures = [Picture(frame[..., 0] // 2, greys, delay=4) for frame in in_grey(scene())]
    write_gif(path, WIDTH, HEIGHT, pictures)
    return composed(WIDTH, HEIGHT, pictures)[..., :1]


def _uneven_gif(path: Path) -> Frames:
    table = np.random.default_rng(0).integers(0, 256, (COLOURS, 3), np.uint8)
    pictures = [Picture(f[..., 0] // 2, table, delay=d // 10) for f, d in zip(scene(), TIMES, strict=True)]
    write_gif(path, WIDTH, HEIGHT, pictures)
    return composed(WIDTH, HEIGHT, pictures)


def _other(row: tuple[Any, ...]) -> Case:
    name, kind, options, near, says = row

    def make(path: Path) -> Frames:
        images, shown = pictures_of(kind)
        images[0].save(path, save_all=True, append_images=images[1:], **options)
        return shown

    fps = COUNT / (sum(TIMES) / 1000) if says else 25
    second = rgba_grey if kind in ("grey", "la") else opencv
    words = {"rgb": "RGB", "rgba": "RGBA over black", "grey": "grey", "la": "grey with alpha over black"}[kind]
    more = "".join(
        f", {key} {value}" for key, value in options.items() if key in ("lossless", "quality", "subsampling")
    )
    return Case(
        f"{name}", words + more.replace(" True", ""), make, second, near, ROUNDED, fps, says, quick=name in QUICK
    )


CASES = [
    *map(_gif, GIFS),
    Case("grey.gif", "all colour tables grey", _grey_gif, rgba_grey, fps=25),
    Case("uneven.gif", "delays differ", _uneven_gif, rgba, fps=COUNT / (sum(TIMES) / 1000), says=UNEVEN),
    *map(_other, OTHERS),
]
