"""What becomes of images on their way to a file: light, grain, compression, palettes; all continuous functions.

Quantisers and palettes have steps that rise within a small part of their width instead of at once: then a difference
in the last bit, as between two devices, stays a small one.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nextframe.core.device import sent
from nextframe.core.seeds.noise import clip_noise, normal_like
from nextframe.data.clipset import Indices
from nextframe.data.sets.scenes.draws import Flags
from nextframe.data.sets.scenes.plan import Recording

BLOCK = 8  # side of the blocks of compression and of the tile of ordered dithering
STEEP = 8.0, 64.0  # of the steps of compression and palettes: they rise within 1 / STEEP of their width
LUMA = (0.299, 0.587, 0.114)
COARSER = 0.5  # how much coarser each next frequency is quantised
TOWARDS_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))  # of luma and two differences


def lit(frames: Tensor, recording: Recording) -> Tensor:
    """Return frames (B, T, 3, H, W) with the light of the moment, and grey where the recording is grey.

    The light grows or fades evenly, and a curtain of one colour is drawn over the image or away from it.
    """
    device, last = frames.device, recording.first.shape[1] - 1
    rate = recording.light[:, 1:]
    behind = np.where(rate > 0, rate * recording.first, -rate * (last - recording.first)).clip(0, 1)
    gain = (1 + recording.light[:, :1] * recording.first)[..., None] * (1 - behind)[..., None]
    add = behind[..., None] * recording.curtain[:, None]
    if recording.light.any():
        frames = frames * _tensor(gain, device)[..., None, None] + _tensor(add, device)[..., None, None]
    return _changed(frames, recording.grey, lambda some, _: luma(some).expand_as(some)).clamp(0, 1)


def grained(frames: Tensor, recording: Recording, indices: Indices, *key: int | str) -> Tensor:
    """Return frames with grain, which belongs to `key` and each clip's index."""

    def noisy(some: Tensor, rows: Flags) -> Tensor:
        with clip_noise(*key, "grain", index=torch.from_numpy(indices[rows])):
            noise = normal_like(some)
        sigma, alike, coarse = (_tensor(part, some.device).view(-1, 1, 1, 1, 1) for part in recording.grain[rows].T)
        noise = torch.lerp(noise, noise.mean(2, keepdim=True) * math.sqrt(3), alike)
        smooth = F.avg_pool2d(noise.flatten(0, 1), 3, 1, 1, count_include_pad=False).view_as(noise) * 3
        return some + sigma * torch.where(coarse > 0, smooth, noise)

    return _changed(frames, recording.grain[:, 0] > 0, noisy)


def compressed(frames: Tensor, quantiser: np.ndarray) -> Tensor:
    """Return frames (B, T, 3, H, W) as blocks of 8x8 whose frequencies are quantised by `quantiser` (B, T); 0: not.

    As in JPEG: the cosine transform of luma and two differences of colour, these with twice the step.
    """

    def coded(some: Tensor, rows: Flags) -> Tensor:
        steps = _tensor(quantiser[rows], some.device).view(-1, some.shape[1], 1, 1, 1, 1, 1)
        return quantised(some, steps)

    return _changed(frames, quantiser.max(1) > 0, coded)


def quantised(frames: Tensor, step: Tensor) -> Tensor:
    """Return frames (b, T, 3, H, W) coded in blocks with steps (b, T, 1, 1, 1, 1, 1)."""
    height, width = frames.shape[-2:]
    towards = torch.tensor(TOWARDS_RGB)
    apart, together = (_tensor(part.numpy(), frames.device) for part in (torch.linalg.inv(towards), towards))
    padded = F.pad(frames.flatten(0, 1), (0, -width % BLOCK, 0, -height % BLOCK), mode="replicate")
    tall, wide = padded.shape[-2:]
    channels = torch.einsum("ij,njhw->nihw", apart, padded)
    blocks = channels.view(*frames.shape[:3], tall // BLOCK, BLOCK, wide // BLOCK, BLOCK).transpose(4, 5)
    cosine = cosines(frames.device)
    coefficients = cosine @ blocks @ cosine.T  # (b, T, 3, rows, columns, 8, 8)
    frequency = torch.arange(BLOCK, device=frames.device)
    table = 1 + COARSER * (frequency[:, None] + frequency)
    steps = step * table * _tensor(np.array([1.0, 2.0, 2.0]), frames.device).view(3, 1, 1, 1, 1)
    kept = staircase(coefficients / steps, STEEP[0]) * steps
    back = (cosine.T @ kept @ cosine).transpose(4, 5).reshape(-1, 3, tall, wide)
    return torch.einsum("ij,njhw->nihw", together, back)[..., :height, :width].reshape(frames.shape).clamp(0, 1)


def with_palette(frames: Tensor, recording: Recording) -> Tensor:
    """Return frames in few colours, where the recording has a palette: `levels` of each channel, dithered or nearest.

    Ordered dithering: Bayer 1973, an 8x8 tile that stays where it is on the screen.
    """

    def few(some: Tensor, rows: Flags) -> Tensor:
        steps = _tensor(recording.levels[rows] - 1, some.device).view(-1, 1, 1, 1, 1)
        dither = _tensor(recording.dither[rows], some.device).view(-1, 1, 1, 1, 1)
        height, width = some.shape[-2:]
        tile = bayer(some.device).repeat(-(-height // BLOCK), -(-width // BLOCK))[:height, :width]
        return staircase(some.clamp(0, 1) * steps + dither * tile, STEEP[1]).clamp(min=0).minimum(steps) / steps

    return _changed(frames, recording.levels > 0, few)


def staircase(values: Tensor, steep: float) -> Tensor:
    """Return values rounded to the nearest whole number, but continuously: steps rise over 1 / `steep`."""
    low = values.floor()
    return low + ((values - low - 0.5) * steep + 0.5).clamp(0, 1)


def bayer(device: torch.device) -> Tensor:
    """Return the thresholds (8, 8) of ordered dithering, between -0.5 and 0.5."""
    tile = torch.zeros(1, 1, device=device)
    while len(tile) < BLOCK:
        tile = torch.cat([torch.cat([4 * tile, 4 * tile + 2], 1), torch.cat([4 * tile + 3, 4 * tile + 1], 1)])
    return (tile + 0.5) / BLOCK**2 - 0.5


def cosines(device: torch.device) -> Tensor:
    """Return the orthonormal cosine transform (8, 8): frequency, place."""
    place = np.arange(BLOCK)
    matrix = np.cos(np.pi * (2 * place + 1) * place[:, None] / (2 * BLOCK)) * math.sqrt(2 / BLOCK)
    matrix[0] /= math.sqrt(2)
    return _tensor(matrix, device)


def luma(frames: Tensor) -> Tensor:
    """Return the brightness (..., 1, H, W) of frames (..., 3, H, W)."""
    red, green, blue = frames.unbind(-3)
    return (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue).unsqueeze(-3)


def _changed(frames: Tensor, rows: Flags, change: Callable[[Tensor, Flags], Tensor]) -> Tensor:
    """Return frames (B, ...), those of `rows` changed."""
    if not rows.any():
        return frames
    if rows.all():
        return change(frames, rows)
    index = sent(np.flatnonzero(rows), frames.device)
    return frames.index_copy(0, index, change(frames[index], rows))


def _tensor(values: np.ndarray, device: torch.device) -> Tensor:
    return sent(values.astype(np.float32), device)
