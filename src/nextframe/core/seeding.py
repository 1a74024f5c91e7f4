"""Random numbers as pure functions of (seed, what they are for): nothing depends on what was drawn before."""

from __future__ import annotations

import zlib

import numpy as np
import torch


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
