"""How much memory a prediction takes, told before anything is allocated."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nextframe.core.errors import BadInputError
from nextframe.media.limits import Limits
from nextframe.media.memory import Held
from nextframe.media.source import Source
from nextframe.models.contract import Predictor

SMALL = (64, 128)  # sides of the frames from which the memory of larger ones is told
READ, PREDICTED = 5, 9  # bytes of a value: uint8 and float32; for a future the float32 twice, for a moment
ADVICE = "predict fewer frames, smaller ones (--size) or tiles (--set predict.tile=256), or allow more"


def check_frames(source: Source | Held, size: tuple[int, int] | None, read: int, predicted: int, limits: Limits) -> int:
    """Return the bytes of `read` frames of a source, scaled to `size`, and of `predicted` ones.

    Raises:
        BadInputError: they are more than the limit.
    """
    height, width = size or (source.height, source.width)
    needed = source.channels * height * width * (READ * read + PREDICTED * predicted)
    _check(source, f"{predicted:,} frames of {width}x{height}", needed, limits)
    return needed


def check_model(
    net: Predictor, source: Source | Held, given: Tensor, tile: int | None, held: int | None, limits: Limits
) -> None:
    """Refuse to run `net` on `given` (..., T, C, H, W), in tiles or whole, beside `held` bytes of frames.

    Small frames need no look: what the model takes is measured on two sizes of them and grows with the pixels. With
    `held` None it runs on a GPU, whose memory is not counted.

    Raises:
        BadInputError: it takes more than the limit.
    """
    height, width = (side if tile is None else min(side, tile) for side in given.shape[-2:])
    if held is None or min(height, width) <= 2 * SMALL[1] or not net.capabilities.any_size:
        return
    less, more = (_peak(net, given[..., :side, :side]) for side in SMALL)
    slope = max(more - less, 0) / (SMALL[1] ** 2 - SMALL[0] ** 2)
    what = f"running {type(net).__name__} on {given.shape[-1]}x{given.shape[-2]}"
    _check(source, what, held + int(more + slope * (height * width - SMALL[1] ** 2)), limits)


def _check(source: Source | Held, what: str, needed: int, limits: Limits) -> None:
    if needed > limits.bytes:
        have, gib = limits.bytes / 2**30, needed / 2**30
        fix = f"{ADVICE} (--set predict.memory={gib * 1.1:.0f}, in Python limits=)"
        raise BadInputError(
            source.path, f"{what} takes about {gib:,.1f} GiB of memory, the limit is {have:.1f} GiB", fix
        )


def _peak(net: Predictor, given: Tensor) -> int:
    """Return the most bytes that tensors held while one frame was predicted from `given`."""
    batch = given if given.ndim == 5 else given.unsqueeze(0)
    with _Live() as live:
        net.predict(batch[:1], 1)
    return int(live.most)


def _storages(values: Any) -> list[torch.UntypedStorage]:
    return [value.untyped_storage() for value in tree_leaves(values) if isinstance(value, Tensor)]


class _Live(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of the tensors that operations make, until they are gone."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = 0
        self.most = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Return False: to skip its compiler, torch would first import it, which takes longer than most predictions."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        known = {storage.data_ptr() for storage in _storages((args, kwargs))}
        for storage in _storages(out):
            if storage.data_ptr() not in known:  # else a view, or done in place
                self._add(storage)
        return out

    def _add(self, storage: torch.UntypedStorage) -> None:
        size = storage.nbytes()
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._forget, size)

    def _forget(self, size: int) -> None:
        self.now -= size
