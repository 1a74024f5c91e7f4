"""Random numbers as pure functions of (seed, purpose): nothing depends on what was drawn before."""

from __future__ import annotations

import zlib

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def _entropy(keys: tuple[int | str, ...]) -> list[int]:
    return [zlib.crc32(key.encode()) if isinstance(key, str) else int(key) & 0xFFFFFFFFFFFFFFFF for key in keys]


def numpy_generator(*keys: int | str) -> np.random.Generator:
    """Return a NumPy generator that depends on `keys` alone, for example (seed, "crops", step)."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(_entropy(keys))))


def derive_seed(*keys: int | str) -> int:
    """Return a 63-bit seed that depends on `keys` alone."""
    state = np.random.SeedSequence(_entropy(keys)).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))


def torch_generator(*keys: int | str, device: str | torch.device = "cpu") -> torch.Generator:
    """Return a torch generator on `device` that depends on `keys` alone."""
    return torch.Generator(device=device).manual_seed(derive_seed(*keys))


def seed_everything(*keys: int | str) -> None:
    """Set torch's global generators (every device) from `keys`; dropout and noise layers draw from them."""
    torch.manual_seed(derive_seed(*keys))


def uniforms(key: int, indices: NDArray[np.int64], slots: int) -> Floats:
    """Return numbers (N, slots), uniform in [0, 1), that depend on (key, index, slot) alone.

    A counter-based generator (SplitMix64, Steele et al. 2014): one pass over the batch instead of one generator
    per clip, and index i costs the same at any i.
    """
    golden = np.uint64(0x9E3779B97F4A7C15)
    start = _mix(indices.astype(np.uint64) * golden + np.uint64(key))  # (N,)
    counter = np.arange(1, slots + 1, dtype=np.uint64) * golden  # wraps at 2**64, as intended
    bits = _mix(start[:, None] + counter)  # (N, slots)
    return np.asarray((bits >> np.uint64(11)) * 2.0**-53)


def _mix(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
