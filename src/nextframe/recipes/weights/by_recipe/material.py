"""What the weights of a recipe are trained on: free digits, or free videos whose every file is known."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from nextframe.core.errors import BadInputError, UserError
from nextframe.data import DataConfig
from nextframe.recipes.weights.material import REBUILD, find, read_list

LISTED = Path(__file__).parents[1] / "motion.json"
KIND = "real"
INTEL = "intel-iot-devkit/sample-videos (CC-BY-4.0)"
MDN = "mdn/learning-area (CC0-1.0)"
FREE_VIDEOS = f"short videos of {INTEL} and {MDN}"


class Material(Protocol):
    """Where clips come from, and under which licence."""

    @property
    def told(self) -> str:
        """What it is and whose, for the card."""

    @property
    def licence(self) -> str:
        """The licence of weights that are trained on it."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Texts in the names of the published videos among it: no test has them."""

    @property
    def real(self) -> bool:
        """Whether it is video of others."""

    def pictured(self, data: DataConfig) -> DataConfig:
        """Return which clips the card shows, for the `data` of a training."""

    def usual(self, videos: Path) -> Path | None:
        """Return where it is if the user does not say: `videos`, or None for what needs no path."""

    def settings(self, data: Path | None, folder: Path) -> dict[str, Any]:
        """Return the recipe's settings that open it; `data` is where the user has it, None: the usual place.

        Args:
            data: a path.
            folder: where files that the clips are read from may be put.
        """


@dataclass(frozen=True)
class Digits:
    """Generated clips of moving digits: those that scikit-learn brings, or a local copy of MNIST's files."""

    name: str  # embedded or mnist
    told: str
    licence: str
    sources: tuple[str, ...] = ()

    @property
    def real(self) -> bool:
        """Return False: clips are generated."""
        return False

    def pictured(self, data: DataConfig) -> DataConfig:
        """Return the same motion of the digits that come along, whichever are trained on."""
        return data.model_copy(update={"options": {**data.options, "digits": "embedded"}})

    def usual(self, videos: Path) -> Path | None:
        """Return None: digits come along, or are downloaded."""
        return None

    def settings(self, data: Path | None, folder: Path) -> dict[str, Any]:
        """Return which digits; UserError for a path to some that come along."""
        if data is not None and self.name == "embedded":
            raise UserError(f"--data {data}: these weights are trained on digits that come along; omit it")
        return {"data.options.digits": self.name if data is None else str(data)}


@dataclass(frozen=True)
class Videos:
    """The real videos of the list of `motion`; those that it keeps for validation are the test split.

    With `splits` it is those files alone, of each split.
    """

    told: str
    licence: str = "CC-BY-4.0"
    val: Sequence[str] = ("real_monster.mp4",)
    splits: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sources: tuple[str, ...] = ("intel-iot-devkit", "learning-area", "dom-examples")

    @property
    def real(self) -> bool:
        """Return True: others made them."""
        return True

    def pictured(self, data: DataConfig) -> DataConfig:
        """Return the same clips."""
        return data

    def usual(self, videos: Path) -> Path | None:
        """Return the folder of videos."""
        return videos

    def settings(self, data: Path | None, folder: Path) -> dict[str, Any]:
        """Copy the files into `folder`, each split by itself, and return where they are.

        Raises:
            BadInputError: they are absent, or differ from the list.
        """
        if data is None:
            raise UserError(f"these weights are trained on videos: give their folder; {REBUILD}")
        parts = self._parts(data)
        for part, paths in parts.items():
            (folder / part).mkdir(parents=True, exist_ok=True)
            for path in paths:
                if not (folder / part / path.name).exists():
                    shutil.copyfile(path, folder / part / path.name)
        return {"data.name": str(folder), "data.options": dict[str, Any]()}

    def _parts(self, data: Path) -> Mapping[str, Sequence[Path]]:
        material = find(data, read_list(LISTED))
        for name in chain.from_iterable(self.splits.values()):
            if name not in material.used:
                raise BadInputError(data / name, "there is no such file", REBUILD)
        if self.splits:
            return {part: [data / name for name in names] for part, names in self.splits.items()}
        training = material.training(KIND)
        return {
            "train": [path for path in training if path.name not in self.val],
            "val": [path for path in training if path.name in self.val],
            "test": [path for path in material.validation() if path.name in material.listed.kinds[KIND]],
        }


SKLEARN_DIGITS = Digits(
    "embedded", "scikit-learn's 1,797 handwritten digits: E. Alpaydin and C. Kaynak, UCI, 1998 (CC-BY-4.0)", "CC-BY-4.0"
)
MNIST_DIGITS = Digits(
    "mnist", "MNIST: Y. LeCun, C. Cortes and C. Burges (usually stated as CC-BY-SA-3.0)", "CC-BY-SA-3.0"
)
VIDEOS = Videos(FREE_VIDEOS)
