"""Random numbers that belong to a clip: the same whatever batch the clip is in and however many processes share it.

A training step opens a scope with `clip_noise`. Inside it each number is a pure function of the scope's keys, the
clip's position in the global batch, how many draws the scope has served before, and the number's position within
the clip. Outside a scope, or with the caller's own generator, the functions draw as torch does.

The bits are SplitMix64's (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators"): output i of a
seed is computed without those before it. The keys' outputs are the clips' seeds, a clip's are its draws' seeds, and a
draw's are its numbers. 64 bits take some 10 integer operations, where Philox4x32-10 takes 50, and are the same on every
device; torch's own generator gives other numbers on a GPU than on a CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from copy import copy
from functools import cache

import torch
from torch import Tensor

from nextframe.core.seeds.seeding import derive_seed

MASK = 0xFFFFFFFF
CACHED = 2**16  # outputs; more than torch's grain of 2**15, so that threads share them
WRAP = 2**64  # constants from 2^63 on are written as the int64 of the same bits, and products wrap
GAMMA = 0x9E3779B97F4A7C15 - WRAP
MIX = (30, 0xBF58476D1CE4E5B9 - WRAP), (27, 0x94D049BB133111EB - WRAP)
Finish = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # two words to two numbers


class _Scope:
    """The clips that this process holds, their key, and the number of draws so far."""

    def __init__(self, seed: int, index: Tensor, total: int, ends: bool = True) -> None:
        self.clips, self.total, self.draws, self.ends = splitmix(seed, index.long()), total, 0, ends

    def closes(self) -> bool:
        """Whether no part of the step's batch follows."""
        return self.ends

    def numbers(self, shape: Sequence[int], device: torch.device, finish: Finish) -> Tensor:
        """Return the next draw as a tensor of `shape`: each clip's first numbers that `finish` makes of its words."""
        clips, items = len(self.clips), shape[0]
        if items % clips if clips else items:
            raise ValueError(
                f"noise for {items} items cannot be shared by {clips} clips: the first dimension must be a multiple of "
                "the clips, clip by clip, as flatten(0, 1) of (B, T, ...) gives it"
            )
        wanted = math.prod(shape) // max(clips, 1)  # numbers of a clip
        clip_seeds = self.clips.to(device, non_blocking=device.type == "cuda")  # without waiting for a GPU
        seeds = splitmix(clip_seeds.unsqueeze(1), self.draws)
        numbers = torch.arange(-(-wanted // 2), device=device)
        self.draws += 1
        # a GPU takes all clips together; a CPU is faster with what fits into its caches
        at_once, parts = max(1, CACHED // max(1, len(numbers)) if device.type == "cpu" else clips), []
        for some in torch.split(seeds, at_once):
            bits = splitmix(some, numbers)
            parts.append(torch.stack(finish(_shifted(bits, 32), bits & MASK), dim=2).flatten(1)[:, :wanted])
        return torch.cat(parts).reshape(*shape)


_SCOPE: ContextVar[_Scope | None] = ContextVar("clip_noise", default=None)


@contextmanager
def clip_noise(*keys: int | str, index: Tensor, total: int | None = None, ends: bool = True) -> Iterator[None]:
    """Draw all noise inside the block clip by clip, from `keys` and each clip's position in the global batch.

    Inside another scope this one holds until it ends. Threads started inside see no scope.

    Args:
        keys: what the noise is for, for example (seed, "step", step, objective).
        index: (B,) integers, the positions in the global batch of the clips that this process holds, in their order.
        total: clips in the global batch; None: B, this process holds them all.
        ends: False for a part of a step's batch that others follow; see `ends_step`.

    Raises:
        ValueError: `index` is not a vector of integers, or holds more clips than `total`.
    """
    if index.ndim != 1 or index.is_floating_point():
        raise ValueError(f"index must be a vector of integers, not {index.dtype} of shape {tuple(index.shape)}")
    total = len(index) if total is None else total
    if len(index) > total:
        raise ValueError(f"index has {len(index)} clips, more than the {total} of the global batch")
    token = _SCOPE.set(_Scope(derive_seed(*keys), index, total, ends))
    try:
        yield
    finally:
        _SCOPE.reset(token)


@contextmanager
def noise_of(rows: Tensor) -> Iterator[None]:
    """Draw the noise inside the block for some clips of the scope: those at `rows` (b,) of the clips that it holds.

    They get the numbers that they would get among all; blocks for other clips may follow. Outside a scope it does
    nothing.
    """
    scope = _SCOPE.get()
    if scope is None:
        yield
        return
    some = copy(scope)
    some.clips = scope.clips[rows.to(scope.clips.device)]
    token = _SCOPE.set(some)
    try:
        yield
    finally:
        _SCOPE.reset(token)


def repeatable() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Return a block for a computation, and one in which it is computed again and draws the same noise.

    For `torch.utils.checkpoint`, which computes again while the gradient is, maybe in another thread.
    """
    scope = _SCOPE.get()
    return nullcontext(), _within(None if scope is None else copy(scope))


@contextmanager
def _within(scope: _Scope | None) -> Iterator[None]:
    token = _SCOPE.set(None if scope is None else copy(scope))
    try:
        yield
    finally:
        _SCOPE.reset(token)


def ends_step() -> bool:
    """Whether what is computed belongs to the last part of a step's batch: then a layer counts the step."""
    scope = _SCOPE.get()
    return scope is None or scope.closes()


@cache
def keep_out_of_graphs() -> None:
    """Let torch.compile not look into a scope: its key is another constant in every step, its end in every part."""
    _Scope.numbers = torch.compiler.disable(_Scope.numbers)  # type: ignore
    _Scope.closes = torch.compiler.disable(_Scope.closes)  # type: ignore


def global_batch(clips: int) -> int:
    """Return how many clips all processes hold together; outside a scope `clips`, this process's own number."""
    scope = _SCOPE.get()
    return clips if scope is None else scope.total


def drawn_normal(
    mean: Tensor, log_sigma: Tensor, temperature: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    """Return numbers of normal distributions, their deviations times `temperature`; at 0 the means.

    Args:
        mean: (k * B, ...), floats, as in `normal_like`; gradients reach it and `log_sigma` (Kingma & Welling 2014).
        log_sigma: logarithms of the deviations, of the same shape.
        temperature: 0 or more.
        generator: as in `normal_like`.
    """
    if temperature == 0:
        return mean
    return mean + temperature * log_sigma.exp() * normal_like(mean, generator)


def normal_like(values: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return standard normal numbers of the shape, device and dtype of `values`.

    Two words make two normals (Box & Muller 1958), in float64 if the device has it and then rounded, so the numbers
    agree to the last bits between precisions and processors. They reach 6.7 deviations.

    Args:
        values: (k * B, ...), floats; inside a scope item i belongs to clip i // k of its B clips.
        generator: the caller's own, which takes precedence over the scope.

    Raises:
        ValueError: inside a scope, a first dimension that is not a multiple of B.
    """
    scope = _scope(generator)
    if scope is None:
        return torch.randn(values.shape, generator=generator, device=values.device, dtype=values.dtype)
    return scope.numbers(values.shape, values.device, lambda a, b: _normal(a, b, values.dtype))


def uniform(shape: Sequence[int], device: torch.device | str, generator: torch.Generator | None = None) -> Tensor:
    """Return float32 numbers of `shape` in [0, 1), multiples of 2^-24; inside a scope as `normal_like` does."""
    scope = _scope(generator)
    if scope is None:
        return torch.rand(*shape, generator=generator, device=device, dtype=torch.float32)
    return scope.numbers(shape, torch.device(device), lambda a, b: (_unit(a), _unit(b)))


def integers(
    high: int, shape: Sequence[int], device: torch.device | str, generator: torch.Generator | None = None
) -> Tensor:
    """Return int64 numbers of `shape` in [0, high), high at most 2^31; inside a scope as `normal_like` does.

    No number is more likely than another by more than high / 2^32 of its share.
    """
    scope = _scope(generator)
    if scope is None:
        return torch.randint(high, tuple(shape), generator=generator, device=device)
    return scope.numbers(shape, torch.device(device), lambda a, b: ((a * high) >> 32, (b * high) >> 32))


def categorical(weights: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return (N,) int64: for each row of `weights` (N, K) a column, drawn with its weight; scopes as `normal_like`."""
    if _scope(generator) is None:
        return torch.multinomial(weights, 1, generator=generator).squeeze(1)
    edges = weights.detach().to(widest(weights.device)).cumsum(1)
    reached = uniform((len(weights), 1), weights.device).to(edges.dtype) * edges[:, -1:]
    # an edge equal to the random number is passed, so that a column without weight is never drawn
    return torch.searchsorted(edges, reached, right=True).squeeze(1)


def splitmix(seed: Tensor | int, number: Tensor | int) -> Tensor:
    """Return output `number`, counted from 0, of SplitMix64 from `seed`; both are int64 and broadcast, one a tensor.

    All 64 bits of the result are random, so it may be negative.
    """
    steps = (number + 1) * GAMMA
    bits = torch.as_tensor(seed + (_wrapped(steps) if isinstance(steps, int) else steps))
    for shift, factor in MIX:  # in place: most of the time goes to memory
        bits = _shifted(bits, shift).bitwise_xor_(bits).mul_(factor)
    return _shifted(bits, 31).bitwise_xor_(bits)


def widest(device: torch.device) -> torch.dtype:
    """Return float64, or float32 on Apple's GPUs, which have nothing wider."""
    return torch.float32 if device.type == "mps" else torch.float64


def _wrapped(number: int) -> int:
    """Return the int64 of the same lowest 64 bits."""
    return (number + WRAP // 2) % WRAP - WRAP // 2


def _scope(generator: torch.Generator | None) -> _Scope | None:
    return _SCOPE.get() if generator is None else None


def _shifted(bits: Tensor, by: int) -> Tensor:
    """Return int64 `bits` shifted right as unsigned ones: without copies of the sign."""
    return (bits >> by).bitwise_and_(2 ** (64 - by) - 1)


def _unit(words: Tensor) -> Tensor:
    return (words >> 8).to(torch.float32) * 2.0**-24


def _normal(first: Tensor, second: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return two normals for two words."""
    wide = widest(first.device)
    radius = first.to(wide).add_(0.5).mul_(2.0**-32).log_().mul_(-2).sqrt_()  # + 0.5: never the logarithm of 0
    angle = second.to(wide).mul_(2 * math.pi * 2.0**-32)
    return angle.cos().mul_(radius).to(dtype), angle.sin_().mul_(radius).to(dtype)
