"""What a call of the command is asked for, and where weights start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nextframe.checkpoint import create_model, load_model
from nextframe.checkpoint.folder import find_model_folder, read_config
from nextframe.checkpoint.weights import SHIPPED
from nextframe.core.seeds.seeding import seed_everything
from nextframe.models.contract import Predictor

SCRATCH, SHIPS = "scratch", "shipped"  # where weights start, besides a folder


@dataclass(frozen=True)
class Asked:
    """One call: it has either `minutes` or `steps`."""

    name: str  # of the weights
    out: Path
    data: Path
    minutes: float | None = None
    steps: int | None = None
    listed: Path | None = None  # another list of files than the package's
    start: str | None = None  # scratch, shipped or a model folder; None: what suits the device
    lr: float | None = None
    seed: int = 0
    device: str = "auto"
    compile: bool = True

    @property
    def shipped(self) -> Path | None:
        """The folder of the weights of this name that come with the package; None: there are none yet."""
        folder = SHIPPED / self.name
        return folder if folder.is_dir() else None

    def command(self) -> str:
        """Return the command, without paths of this machine."""
        given = {"minutes": self.minutes, "steps": self.steps, "lr": self.lr, "seed": self.seed}
        words = [f"--{name} {value:g}" for name, value in given.items() if value is not None]
        if self.start is not None:
            words.append(f"--start {Path(self.start).name}")
        if not self.compile:
            words.append("--no-compile")
        return " ".join(["python -m nextframe.recipes.weights", self.name, *words])


def where_to_start(asked: Asked, device: str) -> str:
    """Return where weights start: as asked, else from scratch on a GPU, and from those that ship elsewhere."""
    return asked.start or (SCRATCH if device == "cuda" or asked.shipped is None else SHIPS)


def starting_model(asked: Asked, model: str, start: str) -> Predictor:
    """Return a new model with the weights of `start`.

    Raises:
        UserError: no such folder, or one of another model.
    """
    seed_everything(asked.seed, "weights")
    if start == SCRATCH:
        return create_model(model)
    stored = load_model(_folder(asked, start))
    fresh = create_model(model, **stored.config.model_dump())
    fresh.load_state_dict(stored.state_dict())
    return fresh


def origin(asked: Asked, start: str) -> dict[str, Any]:
    """Return what is known of the weights of `start`, and the runs that they were trained in."""
    if start == SCRATCH:
        return {"from": SCRATCH, "runs": []}
    facts = read_config(_folder(asked, start))
    return {"from": Path(start).name, "sha256": facts["weights_sha256"], "runs": runs_of(facts)}


def runs_of(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the runs that config.json of a model folder tells of; weights of one run may have its facts alone."""
    training = facts.get("training") or {}
    flat = {name: value for name, value in training.items() if name not in ("licence", "runs")}
    return list(training.get("runs", [flat] if flat else []))


def _folder(asked: Asked, start: str) -> Path:
    return find_model_folder(asked.shipped if start == SHIPS and asked.shipped else start)
