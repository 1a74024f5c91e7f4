"""What layers look like: which texture or flat colour through which outline, and how it waves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nextframe.core.seeds.seeding import Floats
from nextframe.data.clipset import Indices
from nextframe.data.sets.scenes.draws import Draws, Flags, Table


@dataclass(frozen=True)
class Counts:
    """How many images there are to choose from: the first `stills` of the textures are stills."""

    stills: int
    textures: int
    shapes: int
    pages: int  # outlines of text, after those of shapes


@dataclass(frozen=True)
class Looks(Table):
    """The looks of each layer; a layer's colour is its texture * gain + offset."""

    texture: Indices  # (B, L)
    texel: Floats  # (B, L, 2) texels of a texture of `SIDE` a pixel; the first is negative where it is mirrored
    shift: Floats  # (B, L, 2) of the texture from its middle, in halves of its side
    gain: Floats  # (B, L, 3)
    offset: Floats  # (B, L, 3)
    outline: Indices  # (B, L) which mask; that of layer 0 is not used
    size: Floats  # (B, L) pixels of a step in the mask
    soft: Floats  # (B, L) pixels from nothing to full at the edge
    opacity: Floats  # (B, L)
    line: Floats  # (B, L) pixels of a drawn edge
    ink: Floats  # (B, L) its brightness
    wave: Floats  # (B, L, 2, 4) of each shear: pixels, radians a pixel, radians a frame, phase


def draw_looks(draws: Draws, flat: Flags, counts: Counts, pixel: float) -> Looks:
    """Return looks; layers in `flat` (B, L) have one colour. `pixel` is the scale of the frame, 1 at the usual size."""
    layers = flat.shape[1]
    gain, offset = draw_colours(draws, flat)
    lined = flat & draws.chance("lined", 0.5, layers)
    mirrored = np.where(draws.chance("mirrored", 0.5, layers), -1, 1)
    texel = draws.between("texel", 0.5, 1.05, layers) / pixel
    return Looks(
        texture=draw_textures(draws, counts, layers),
        texel=texel[..., None] * np.stack([mirrored, np.ones_like(mirrored)], 2),
        shift=draws.between("shift", -0.3, 0.3, layers, 2),
        gain=gain,
        offset=offset,
        outline=draws.among("outline", counts.shapes, layers),
        size=pixel * (0.12 + 0.75 * draws.unit("size", layers) ** 1.5),
        soft=np.where(draws.chance("soft", 0.15, layers), draws.between("softness", 1.5, 5.0, layers), 1.2),
        opacity=np.where(draws.chance("glassy", 0.07, layers), 0.7, 1.0),
        line=np.where(lined, pixel * draws.between("line", 1.0, 3.0, layers), 0.0),
        ink=np.where(draws.chance("dark ink", 0.8, layers), 0.05, 0.95),
        wave=draw_waves(draws, layers, pixel),
    )


def draw_waves(draws: Draws, layers: int, pixel: float) -> Floats:
    """Return the waves (B, L, 2, 4) of layers, of which a third waves."""
    wavy = draws.chance("wavy", 0.3, layers)[..., None]
    amplitude = 4 * pixel * wavy * draws.unit("wave", layers, 2)
    length = pixel * draws.between("wave length", 25, 90, layers, 2)
    rate = draws.between("wave rate", -0.9, 0.9, layers, 2)
    return np.stack([amplitude, 2 * np.pi / length, rate, 2 * np.pi * draws.unit("wave phase", layers, 2)], 3)


def draw_textures(draws: Draws, counts: Counts, layers: int) -> Indices:
    """Return which texture each layer has: two thirds are stills, if there are many, else by their number."""
    patterns = counts.textures - counts.stills
    share = max(2 / 3, counts.stills / counts.textures) if counts.stills > patterns else 0.4 * bool(counts.stills)
    still = draws.chance("still", share, layers)
    return np.where(
        still,
        draws.among("which still", max(1, counts.stills), layers),
        counts.stills + draws.among("which pattern", max(1, patterns), layers),
    )


def draw_colours(draws: Draws, flat: Flags) -> tuple[Floats, Floats]:
    """Return gains and offsets of colours, (B, L, 3) each: half of the textures stay as they are."""
    layers = flat.shape[1]
    tinted = draws.chance("tinted", 0.5, layers)[..., None]
    gain = np.where(tinted, draws.between("gain", 0.6, 1.3, layers, 3), 1.0)
    offset = np.where(tinted, draws.between("offset", -0.12, 0.12, layers, 3), 0.0)
    colour = draws.unit("colour", layers, 3)
    return np.where(flat[..., None], 0.0, gain), np.where(flat[..., None], colour, offset)


def write_text(looks: Looks, draws: Draws, text: Flags, top: Indices, counts: Counts, pixel: float) -> None:
    """Make the topmost layer `top` (B,) of the clips `text` (B,) a page of text, readable on what is behind it."""
    clips = np.flatnonzero(text)
    at = clips, top[clips]
    dark = draws.chance("dark on light", 0.5)[clips]
    paper = draws.between("paper", 0.75, 1.0, 3)[clips]
    paper = np.where(dark[:, None], paper, 1 - paper)
    plain = draws.chance("plain paper", 0.6)[clips]
    looks.gain[clips, 0] = np.where(plain[:, None], 0, 0.5 * looks.gain[clips, 0])
    looks.offset[clips, 0] = np.where(plain[:, None], paper, paper / 2)
    looks.outline[at] = counts.shapes + draws.among("page", counts.pages)[clips]
    looks.size[at] = pixel * draws.between("page size", 0.7, 1.5)[clips]
    ink = draws.unit("ink", 3)[clips]
    looks.gain[at], looks.offset[at] = 0.0, np.where(dark[:, None], 0.15 * ink, 1 - 0.3 * ink)
    looks.soft[at], looks.opacity[at], looks.line[at], looks.wave[at] = 1.0, 1.0, 0.0, np.array([0.0, 0.1, 0.0, 0.0])
