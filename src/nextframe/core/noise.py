"""Random numbers that belong to a clip: the same whatever batch the clip is in and however many processes share it.

A training step opens a scope with `clip_noise`. Inside it each number is a pure function of the scope's keys, the
clip's position in the global batch, how many draws the scope has served before, and the number's place within the
clip. Outside a scope, or with a generator of the caller's, the functions draw as torch does.

The bits are Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), in integer arithmetic
that gives the same on every device; torch's own generator gives other numbers on a GPU than on a CPU.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

from nextframe.core.seeding import derive_seed

MASK = 0xFFFFFFFF
MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
BUMPS = 0x9E3779B9, 0xBB67AE85  # what the key grows by from round to round
ROUNDS = 10


class _Scope:
    """The clips that this process holds, their key, and the number of draws so far."""

    def __init__(self, seed: int, index: Tensor, total: int) -> None:
        self.key, self.index, self.total, self.draws = (seed & MASK, seed >> 32), index, total, 0

    def words(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Return the next draw's integers in [0, 2^32): (B, n), n a multiple of 4 with enough for each clip's part."""
        clips, items = len(self.index), shape[0]
        if items % clips if clips else items:
            raise ValueError(
                f"noise for {items} items cannot be shared by {clips} clips: the first dimension must be a multiple of "
                "the clips, clip by clip, as flatten(0, 1) of (B, T, ...) gives it"
            )
        index = self.index.to(device, torch.int64).unsqueeze(1)
        block = torch.arange(-(-math.prod(shape) // max(clips, 1) // 4), device=device)
        words = philox((block, self.draws, index & MASK, index >> 32), self.key)
        self.draws += 1
        return torch.stack(words, dim=2).flatten(1)


_SCOPE: ContextVar[_Scope | None] = ContextVar("clip_noise", default=None)


@contextmanager
def clip_noise(*keys: int | str, index: Tensor, total: int | None = None) -> Iterator[None]:
    """Draw all noise inside the block clip by clip, from `keys` and each clip's place in the global batch.

    Inside another scope this one holds until it ends. Threads started inside see no scope.

    Args:
        keys: what the noise is for, for example (seed, "step", step, objective).
        index: (B,) integers, the positions in the global batch of the clips that this process holds, in their order.
        total: clips in the global batch; None: B, this process holds them all.

    Raises:
        ValueError: `index` is not a vector of integers, or holds more clips than `total`.
    """
    if index.ndim != 1 or index.is_floating_point():
        raise ValueError(f"index must be a vector of integers, not {index.dtype} of shape {tuple(index.shape)}")
    total = len(index) if total is None else total
    if len(index) > total:
        raise ValueError(f"index has {len(index)} clips, more than the {total} of the global batch")
    token = _SCOPE.set(_Scope(derive_seed(*keys), index, total))
    try:
        yield
    finally:
        _SCOPE.reset(token)


def global_batch(clips: int) -> int:
    """Return how many clips all processes hold together; outside a scope `clips`, this process's own number."""
    scope = _SCOPE.get()
    return clips if scope is None else scope.total


def normal_like(values: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return standard normal numbers of the shape, device and dtype of `values`.

    Two words make two normals (Box & Muller 1958), in float64 where the device has it and then rounded, so the numbers
    agree to the last bits between precisions and processors. They reach 6.7 deviations.

    Args:
        values: (k * B, ...), floats; inside a scope item i belongs to clip i // k of its B clips.
        generator: the caller's own, which goes before the scope.

    Raises:
        ValueError: inside a scope, a first dimension that is not a multiple of B.
    """
    scope = _scope(generator)
    if scope is None:
        return torch.randn(values.shape, generator=generator, device=values.device, dtype=values.dtype)
    numbers = _normal(scope.words(values.shape, values.device)).to(values.dtype)
    return _items(numbers, values.shape)


def uniform(shape: Sequence[int], device: torch.device | str, generator: torch.Generator | None = None) -> Tensor:
    """Return float32 numbers of `shape` in [0, 1), multiples of 2^-24; inside a scope as `normal_like` does."""
    scope = _scope(generator)
    if scope is None:
        return torch.rand(*shape, generator=generator, device=device, dtype=torch.float32)
    words = scope.words(shape, torch.device(device))
    return _items((words >> 8).to(torch.float32) * 2.0**-24, shape)


def integers(
    high: int, shape: Sequence[int], device: torch.device | str, generator: torch.Generator | None = None
) -> Tensor:
    """Return int64 numbers of `shape` in [0, high), high at most 2^31; inside a scope as `normal_like` does.

    No number is likelier than another by more than high / 2^32 of its share.
    """
    scope = _scope(generator)
    if scope is None:
        return torch.randint(high, tuple(shape), generator=generator, device=device)
    words = scope.words(shape, torch.device(device))
    return _items((words * high) >> 32, shape)


def categorical(weights: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return (N,) int64: for each row of `weights` (N, K) a column, drawn with its weight; scopes as `normal_like`."""
    if _scope(generator) is None:
        return torch.multinomial(weights, 1, generator=generator).squeeze(1)
    edges = weights.detach().to(_wide(weights.device)).cumsum(1)
    reached = uniform((len(weights), 1), weights.device).to(edges.dtype) * edges[:, -1:]
    # an edge equal to what was reached is passed, so that a column without weight is never drawn
    return torch.searchsorted(edges, reached, right=True).squeeze(1)


def philox(counter: tuple[Tensor, Tensor | int, Tensor, Tensor | int], key: tuple[int, int]) -> list[Tensor]:
    """Return the four words of Philox4x32-10 for each counter: int64 tensors of values in [0, 2^32).

    Args:
        counter: four words in [0, 2^32) whose shapes broadcast; the tensors are int64.
        key: two words in [0, 2^32).
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        # the 64-bit products wrap, which leaves their bits as they are: >> 32 copies the sign, & drops the copies
        first, second = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0, c1 = ((second >> 32) ^ c1 ^ k0) & MASK, second
        c2, c3 = ((first >> 32) ^ c3 ^ k1) & MASK, first
        k0, k1 = (k0 + BUMPS[0]) & MASK, (k1 + BUMPS[1]) & MASK
    return list(torch.broadcast_tensors(c0, c1 & MASK, c2, c3 & MASK))  # type: ignore[no-untyped-call]


def _scope(generator: torch.Generator | None) -> _Scope | None:
    return _SCOPE.get() if generator is None else None


def _items(numbers: Tensor, shape: Sequence[int]) -> Tensor:
    """Return numbers (B, n) as a tensor of `shape`, each clip's first ones as its items."""
    wanted = math.prod(shape) // max(len(numbers), 1)
    return numbers[:, :wanted].reshape(*shape)


def _normal(words: Tensor) -> Tensor:
    """Return as many normals (B, n) as there are words (B, n), n even."""
    first, second = words.view(len(words), words.shape[1] // 2, 2).to(_wide(words.device)).unbind(2)
    radius = ((first + 0.5) * 2.0**-32).log_().mul_(-2).sqrt_()  # + 0.5: never the logarithm of 0
    angle = second * (2 * math.pi * 2.0**-32)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=2).flatten(1)


def _wide(device: torch.device) -> torch.dtype:
    """Return float64, or float32 on Apple's GPUs, which have nothing wider."""
    return torch.float32 if device.type == "mps" else torch.float64
