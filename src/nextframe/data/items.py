"""Items of a tensor, an array, a list or a torch Dataset: what each holds, checked to be alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nextframe.core.errors import UserError
from nextframe.media.memory import native

HALF = 0.5 / 255  # outside of [0, 1]: still rounds to the level at the end of the range


class Items(Protocol):
    """Anything with items by number: a torch Dataset, or a list."""

    def __getitem__(self, index: int, /) -> Any:
        """Return item `index`."""

    def __len__(self) -> int: ...


Source: TypeAlias = "Tensor | NDArray[Any] | Items"


@dataclass(frozen=True)
class Kind:
    """What all items have in common: their frames (T, C, H, W), the T of context and target, and the rest."""

    length: int
    frame: tuple[int, ...]
    pair: tuple[int, int] | None
    labelled: bool
    actions: tuple[int, ...]

    def __str__(self) -> str:
        pair = f" ({self.pair[0]} + {self.pair[1]})" if self.pair else ""
        actions = f", actions {self.actions}" if self.actions else ""
        return f"frames {(self.length, *self.frame)}{pair}{', a label' if self.labelled else ''}{actions}"


@dataclass(frozen=True)
class Item:
    """One video (T, C, H, W), uint8 or float in [0, 1], and what is known of it."""

    frames: Tensor
    pair: tuple[int, int] | None = None
    label: int | None = None
    actions: Tensor = field(default_factory=lambda: torch.empty(0))  # (T, A)

    @property
    def kind(self) -> Kind:
        """What all other items must have as well."""
        length, *frame = self.frames.shape
        return Kind(length, tuple(frame), self.pair, self.label is not None, tuple(self.actions.shape[1:]))


class Store:
    """Items by number, each checked when it is read."""

    def __init__(self, source: Source, prefix: str, like: Kind | None = None) -> None:
        """Read the first item of `source`.

        Raises:
            UserError: no items, or a first item that is not valid, or not `like` those of train except for its length.
        """
        self.items, self.prefix = _items(source), prefix
        if not len(self.items):
            raise UserError(f"{prefix}the data has no items")
        self.kind = self._parsed(0).kind
        if like is not None and replace(self.kind, length=like.length) != like:
            raise UserError(f"{prefix}item 0 has {self.kind}, item 0 of train {like}: they must be alike")

    def __len__(self) -> int:
        return len(self.items)

    def read(self, number: int) -> Item:
        """Return item `number`; UserError if it is not like the first."""
        item = self._parsed(number)
        if item.kind != self.kind:
            raise UserError(f"{self.prefix}item {number} has {item.kind}, item 0 {self.kind}: they must be alike")
        return item

    def _parsed(self, number: int) -> Item:
        try:
            return _item(self.items[number])
        except BadItemError as error:
            raise UserError(f"{self.prefix}item {number}: {error}") from None


class BadItemError(ValueError):
    """What is wrong with an item, without its number."""


def _items(source: Source) -> Items:
    if isinstance(source, Tensor | np.ndarray):
        if source.ndim not in (4, 5):
            raise UserError(f"frames must be (N, T, C, H, W), or (T, C, H, W) of one video, not {tuple(source.shape)}")
        return source if source.ndim == 5 else source[None]
    if isinstance(source, str | Mapping) or not (hasattr(source, "__len__") and hasattr(source, "__getitem__")):
        what = "a tensor, an array, a list of them or a torch Dataset with __len__ and __getitem__"
        raise UserError(f"clips are made of {what}, not of {type(source).__name__}")
    return source


def _item(value: Any) -> Item:
    if isinstance(value, Mapping):
        return _of_mapping(value)
    if isinstance(value, tuple | list) and len(value) in (1, 2):
        first, *rest = value
        if not rest:
            return Item(_frames(first))
        if np.ndim(rest[0]) == 0:
            return Item(_frames(first), label=_label(rest[0]))
        context, target = _frames(first), _frames(rest[0])
        if context.shape[1:] != target.shape[1:] or context.dtype != target.dtype:
            raise BadItemError(f"context {_words(context)} and target {_words(target)} do not fit together")
        return Item(torch.cat([context, target]), (len(context), len(target)))
    return Item(_frames(value))


def _of_mapping(value: Mapping[str, Any]) -> Item:
    name = "frames" if "frames" in value else "video"
    if name not in value:
        raise BadItemError(
            f"a mapping needs 'frames' or 'video', this one has {', '.join(map(repr, value)) or 'nothing'}"
        )
    frames = _frames(value[name])
    label = _label(value["label"]) if value.get("label") is not None else None
    if value.get("actions") is None:
        return Item(frames, label=label)
    actions = torch.as_tensor(np.asarray(value["actions"]), dtype=torch.float32)
    if actions.ndim != 2 or len(actions) != len(frames) or not actions.shape[1]:
        raise BadItemError(f"actions must be (T, A), one for each of {len(frames)} frames, not {tuple(actions.shape)}")
    return Item(frames, label=label, actions=actions)


def _label(value: Any) -> int:
    value = value.item() if isinstance(value, Tensor) else value
    if np.ndim(value) != 0 or np.asarray(value).dtype.kind not in "iu":
        raise BadItemError(f"a label must be an integer, not {value!r}")
    return int(value)


def _frames(value: Any) -> Tensor:
    """Return `value` as a video (T, C, H, W) on the CPU; UserError if it is not one."""
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(native(np.array(value)))  # a copy: the array may be read-only
    if not isinstance(value, Tensor):
        raise BadItemError(f"a video must be a tensor or an array, not {type(value).__name__}")
    frames = value.detach().cpu()
    if frames.ndim != 4 or not frames.numel():
        raise BadItemError(f"a video must be (T, C, H, W), not {tuple(frames.shape)}")
    if frames.shape[3] in (1, 3, 4) and frames.shape[1] > 4:
        raise BadItemError(f"a video must be (T, C, H, W); {tuple(frames.shape)} looks like (T, H, W, C): permute it")
    if frames.dtype != torch.uint8 and not frames.is_floating_point():
        raise BadItemError(f"frames must be uint8 or float, not {str(frames.dtype).removeprefix('torch.')}")
    if frames.is_floating_point():
        low, high = (float(edge) for edge in frames.aminmax())
        if not (low >= -HALF and high <= 1 + HALF):  # written this way, it refuses NaN too
            raise BadItemError(f"float frames must be in [0, 1], these range from {low:.3g} to {high:.3g}: scale them")
    return frames


def _words(frames: Tensor) -> str:
    return f"{str(frames.dtype).removeprefix('torch.')} {tuple(frames.shape)}"
