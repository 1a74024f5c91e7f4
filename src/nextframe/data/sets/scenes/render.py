"""Layers as images at given times, and the true flow between times; the same numbers on every device, to rounding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from nextframe.core.device import sent
from nextframe.core.seeds.seeding import Floats
from nextframe.data.sets.scenes.bank import Bank
from nextframe.data.sets.scenes.looks import Looks
from nextframe.data.sets.scenes.motion import inverse, matrices
from nextframe.data.sets.scenes.plan import Scene
from nextframe.data.sets.scenes.stills import SIDE

Maps = tuple[Tensor, Tensor]  # x and y, (B, S, H, W) each, in pixels
SUB_FRAMES = 6  # images of which a blurred one is the mean


@dataclass(frozen=True)
class Renderer:
    """Draws scenes in frames of `size`, (height, width), from the images of `bank`; `frames` is how long they are."""

    bank: Bank
    size: tuple[int, int]
    frames: float

    @property
    def device(self) -> torch.device:
        """Where the images are, and are drawn."""
        return self.bank.textures.device

    def blurred(self, scene: Scene, times: Floats, shutter: Floats) -> Tensor:
        """Return images as `drawn` does, each the mean over `shutter` (B,) frames around its time, where above 0."""
        moments, which = np.unique(times, axis=1, return_inverse=True)
        parts = torch.zeros(len(times), moments.shape[1], 3, *self.size, device=self.device)
        for rows, steps in ((shutter == 0, 1), (shutter > 0, SUB_FRAMES)):
            if rows.any():
                within = shutter[rows, None, None] * ((np.arange(steps) + 0.5) / steps - 0.5)
                images = self.drawn(scene.rows(rows), (moments[rows, :, None] + within).reshape(rows.sum(), -1))
                parts[_index(rows, self.device)] = images.view(len(images), -1, steps, 3, *self.size).mean(2)
        return parts[:, sent(which.reshape(-1), self.device)]

    def drawn(self, scene: Scene, times: Floats) -> Tensor:
        """Return images (B, S, 3, H, W) of the scenes at times (B, S)."""
        frames = torch.empty(0)
        places = self._places(scene, times)
        for layer in range(int(scene.count.max())):
            rows = scene.count > layer
            looks = scene.looks.rows((rows, layer))
            at = material(inverse(places[rows, layer]), looks.wave, times[rows], self.size, self.device)
            colour = self._colour(looks, at)
            if layer == 0:
                frames = colour
                continue
            cover, edge = self._cover(looks, at)
            colour = torch.lerp(colour, self._tensor(looks.ink).view(-1, 1, 1, 1, 1), edge)
            index = _index(rows, self.device)
            frames[index] = torch.lerp(frames[index], colour, cover * self._tensor(looks.opacity).view(-1, 1, 1, 1, 1))
        return frames

    def flow(self, scene: Scene, now: Floats, then: Floats) -> Tensor:
        """Return where what is seen at `now` (B, S) was at `then` (B, S, K): (B, S, 2 K, H, W) in pixels, x first.

        What is seen is the topmost layer that covers at least half of the pixel. The place is given where another layer
        hides it, or where it is outside the frame, too.
        """
        flow = torch.empty(0)
        places, before = self._places(scene, now), self._places(scene, then.reshape(len(then), -1))
        for layer in range(int(scene.count.max())):
            rows = scene.count > layer
            looks = scene.looks.rows((rows, layer))
            at = material(inverse(places[rows, layer]), looks.wave, now[rows], self.size, self.device)
            back = self._back(before[rows, layer].reshape(*then[rows].shape, 2, 3), looks.wave, then[rows], at)
            if layer == 0:
                flow = back
                continue
            index = _index(rows, self.device)
            seen = self._cover(looks, at)[0] > 0.5  # (b, S, 1, H, W)
            flow[index] = torch.where(seen, back, flow[index])
        return flow

    def _back(self, places: Floats, wave: Floats, times: Floats, at: Maps) -> Tensor:
        """Return the flow of points `at` (b, S, H, W) to where they are at `times` (b, S, K)."""
        x, y = (part.unsqueeze(2) for part in at)
        count = times.shape[2]
        then = seen(places, wave, times, (x.expand(-1, -1, count, -1, -1), y.expand(-1, -1, count, -1, -1)))
        columns, lines = _pixels(self.size, self.device)
        return torch.stack([then[0] - columns, then[1] - lines], dim=3).flatten(2, 3)

    def _places(self, scene: Scene, times: Floats) -> Floats:
        return matrices(scene.paths, scene.camera, times, self.frames / 2, self.size[0] / 2)

    def _colour(self, looks: Looks, at: Maps) -> Tensor:
        """Return the colours (b, S, 3, H, W) of points of a layer."""
        gain, offset = (self._tensor(part).view(-1, 1, 3, 1, 1) for part in (looks.gain, looks.offset))
        if not looks.gain.any():
            return offset.expand(-1, at[0].shape[1], -1, *self.size).contiguous()
        textures = self.bank.textures[sent(looks.texture, self.device)].float() / 255
        scale, shift = self._tensor(looks.texel * 2 / SIDE), self._tensor(looks.shift)
        return (_sampled(textures, at, scale, shift, "bicubic", "reflection").clamp(0, 1) * gain + offset).clamp(0, 1)

    def _cover(self, looks: Looks, at: Maps) -> tuple[Tensor, Tensor]:
        """Return how much of points a layer covers and how much of that is its drawn edge, (b, S, 1, H, W) each."""
        masks = self.bank.outlines[sent(looks.outline, self.device)].unsqueeze(1)
        scale = self._tensor(2 / (looks.size * masks.shape[-1])).unsqueeze(1).expand(-1, 2)
        size, soft, line = (self._tensor(part).view(-1, 1, 1, 1, 1) for part in (looks.size, looks.soft, looks.line))
        inside = _sampled(masks, at, scale, torch.zeros_like(scale), "bilinear", "border") * size  # pixels
        return (0.5 + inside / soft).clamp(0, 1), (0.5 + line - inside).clamp(0, 1) * (line > 0)

    def _tensor(self, values: NDArray[np.generic]) -> Tensor:
        return _tensor(values, self.device)


def material(places: Floats, wave: Floats, times: Floats, size: tuple[int, int], device: torch.device) -> Maps:
    """Return which point of a layer is seen at each pixel of frames: `places` (b, S, 2, 3) undo where the layer is."""
    x, y = _affine(places, _pixels(size, device), device)
    if not wave[..., 0].any():
        return x, y
    x = x + _sine(wave[:, 0], times, y)
    return x, y + _sine(wave[:, 1], times, x)


def seen(places: Floats, wave: Floats, times: Floats, at: Maps) -> Maps:
    """Return the pixels at which points `at` are seen: the reverse of `material`, exactly; `places` are the layer's."""
    x, y = at
    if wave[..., 0].any():
        y = y - _sine(wave[:, 1], times, x)
        x = x - _sine(wave[:, 0], times, y)
    return _affine(places, (x, y), x.device)


def _affine(places: Floats, at: Maps, device: torch.device) -> Maps:
    rows = _tensor(places, device)[..., None, None].unbind(-4)  # two of (..., 3, 1, 1)
    x, y = ((row.select(-3, 0) * at[0] + row.select(-3, 1) * at[1]) + row.select(-3, 2) for row in rows)
    return x, y


def _sine(wave: Floats, times: Floats, along: Tensor) -> Tensor:
    """Return the shear (b, ..., H, W) in pixels of points at `along`; wave (b, 4), times (b, ...)."""
    shape = (-1, *([1] * (times.ndim - 1)))
    amplitude, number, rate, phase = (wave[:, part].reshape(shape) for part in range(4))
    angle, factor, size = (
        _tensor(part, along.device)[..., None, None] for part in (rate * times + phase, number, amplitude)
    )
    return torch.sin(along * factor + angle) * size


def _sampled(images: Tensor, at: Maps, scale: Tensor, shift: Tensor, mode: str, edges: str) -> Tensor:
    """Return images (b, C, h, w) at scale * at + shift, where -1 and 1 are their edges: (b, S, C, H, W)."""
    moments = at[0].shape[1]
    grid = torch.stack(at, dim=-1) * scale.view(-1, 1, 1, 1, 2) + shift.view(-1, 1, 1, 1, 2)
    found = F.grid_sample(images, grid.flatten(1, 2), mode=mode, padding_mode=edges, align_corners=False)
    return found.view(*found.shape[:2], moments, -1, found.shape[3]).transpose(1, 2)


def _pixels(size: tuple[int, int], device: torch.device) -> Maps:
    """Return x (1, W) and y (H, 1) of pixels, from the frame's middle."""
    x = torch.arange(size[1], device=device, dtype=torch.float32) - (size[1] - 1) / 2
    y = torch.arange(size[0], device=device, dtype=torch.float32) - (size[0] - 1) / 2
    return x.view(1, -1), y.view(-1, 1)


def _tensor(values: NDArray[np.generic], device: torch.device) -> Tensor:
    return sent(values.astype(np.float32), device)


def _index(rows: NDArray[np.bool_], device: torch.device) -> Tensor:
    return sent(np.flatnonzero(rows), device)
