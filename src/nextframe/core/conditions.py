"""What is known of a clip besides its frames and may be used to predict: actions, a class, a text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from nextframe.core.errors import UserError

OFFSETS = "offsets"  # (B, T): how far each context frame is from the first target frame; not there for a forecast


class Conditions(Mapping[str, Tensor]):
    """A frozen mapping of named tensors; the first dimension of each is the batch.

    `timed` ones are (B, T, ...) with one entry for each frame, those of the context first and then those of the
    target: a model may read them also for the frames it is to predict. `fixed` ones are (B, ...), one for each clip.
    Names that several data sets share: `actions` (B, T, A), where entry t is the action that led to frame t;
    `label` (B,) int64; `text`; `offsets` (B, T), which clips of a task that is not a forecast have: how many frames
    each context frame is after the first target frame, -1 and 1 of a frame between two.

    Conditions are never scaled or converted, whatever their type: only frames are.
    """

    __slots__ = ("_fixed", "_timed")

    def __init__(self, timed: Mapping[str, Tensor] | None = None, fixed: Mapping[str, Tensor] | None = None) -> None:
        self._timed, self._fixed = dict(timed or {}), dict(fixed or {})
        for name in self._timed.keys() & self._fixed.keys():
            raise UserError(f"the condition '{name}' is given twice, with a time axis and without")
        for name, value in self._timed.items():
            if value.ndim < 2:
                raise UserError(f"the condition '{name}' has a time axis, so it is (B, T, ...), not {_shape(value)}")
        for name, value in self._fixed.items():
            if value.ndim < 1:
                raise UserError(f"the condition '{name}' needs an entry for each clip, (B, ...): it is a single number")

    def __getitem__(self, name: str) -> Tensor:
        return self._timed[name] if name in self._timed else self._fixed[name]

    def __iter__(self) -> Iterator[str]:
        yield from self._timed
        yield from self._fixed

    def __len__(self) -> int:
        return len(self._timed) + len(self._fixed)

    def __eq__(self, other: object) -> bool:
        return self is other  # tensors do not compare to one truth

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"Conditions({', '.join(f'{name} {_shape(value)}' for name, value in self.items())})"

    def check(self, batch: int, frames: int) -> None:
        """Raise unless all conditions have `batch` clips, and timed ones `frames` frames.

        Raises:
            UserError: which condition, and what it should be.
        """
        for name, value in self.items():
            if value.shape[0] != batch:
                raise UserError(f"the condition '{name}' {_shape(value)} has {value.shape[0]} clips, not {batch}")
        for name, value in self._timed.items():
            if value.shape[1] != frames:
                needs = f"{frames} entries, one for each frame of context and target"
                raise UserError(f"the condition '{name}' {_shape(value)} needs {needs}, not {value.shape[1]}")

    def map(self, change: Callable[[Tensor], Tensor]) -> Conditions:
        """Return the conditions with every tensor changed."""
        return Conditions(
            {name: change(value) for name, value in self._timed.items()},
            {name: change(value) for name, value in self._fixed.items()},
        )

    def to(self, device: torch.device | str) -> Conditions:
        """Return the conditions on `device`; dtypes are kept."""
        return self.map(lambda value: moved(value, device))

    @property
    def timed(self) -> frozenset[str]:
        """The names of the conditions that have a time axis."""
        return frozenset(self._timed)

    @classmethod
    def join(cls, several: Sequence[Conditions]) -> Conditions:
        """Return the conditions of several batches, all of the same names, as those of one."""
        first = several[0]
        return cls(
            {name: torch.cat([each[name] for each in several]) for name in first._timed},
            {name: torch.cat([each[name] for each in several]) for name in first._fixed},
        )

    def rows(self, index: slice | Tensor) -> Conditions:
        """Return the conditions of clips `index` of the batch."""
        return self.map(lambda value: value[index])

    def at(self, frames: Iterable[int]) -> Conditions:
        """Return the conditions with the timed ones at `frames` only, in that order."""
        places = list(frames)
        return Conditions({name: value[:, places] for name, value in self._timed.items()}, self._fixed)

    def only(self, names: Iterable[str]) -> Conditions:
        """Return the conditions called one of `names`; names that are missing are ignored."""
        wanted = set(names)
        return Conditions(
            {name: value for name, value in self._timed.items() if name in wanted},
            {name: value for name, value in self._fixed.items() if name in wanted},
        )

    def adding(self, more: Conditions) -> Conditions:
        """Return these conditions and `more`; if a name is in both, that of `more` counts."""
        kept = self.only(self.keys() - more.keys())
        return Conditions({**kept._timed, **more._timed}, {**kept._fixed, **more._fixed})


NO_CONDITIONS = Conditions()


def moved(values: Tensor, device: torch.device | str) -> Tensor:
    """Return values on `device`; CUDA fetches pinned ones while the processor goes on.

    Not Apple's GPUs: there torch reads what may be gone by then (pytorch issue 189690).
    """
    return values.to(device, non_blocking=torch.device(device).type == "cuda")


def _shape(value: Tensor) -> str:
    return str(tuple(value.shape))
