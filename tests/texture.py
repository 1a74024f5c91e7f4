"""A texture that moves by exactly as much as is asked, for tests of motion."""

from __future__ import annotations

import numpy as np
import torch


def texture(height: int, width: int, dx: float = 0.0, dy: float = 0.0, channels: int = 1) -> torch.Tensor:
    """A smooth random texture in [0, 1], (1, C, H, W), moved by exactly (dx, dy): the shift is a phase."""
    rng = np.random.default_rng(0)
    ky, kx = np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256)[None]
    smooth = np.exp(-8 * np.pi**2 * (kx**2 + ky**2)) * np.exp(-2j * np.pi * (kx * dx + ky * dy))
    planes = []
    for _ in range(channels):
        plane = np.fft.ifft2(np.fft.fft2(rng.normal(size=(256, 256))) * smooth).real
        planes.append(np.clip(plane / plane.std() * 0.15 + 0.5, 0, 1))
    return torch.from_numpy(np.stack(planes)[None, :, :height, :width]).float()
