"""A recipe is a whole experiment in one typed object: model, data and training, read from and written to YAML."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationInfo, field_validator, model_validator

from nextframe.core.config import Config
from nextframe.core.errors import BadInputError, UnknownNameError, UserError
from nextframe.core.registry import Registry
from nextframe.core.settings import MOST_CHARACTERS, read_yaml, set_dotted
from nextframe.data import ClipSet, DataConfig
from nextframe.data.clipset import batch_indices
from nextframe.data.order import Balance
from nextframe.metrics import METRICS, MOVING
from nextframe.models import MODELS
from nextframe.models.contract import ModelConfig, Predictor
from nextframe.models.request import check_conditions
from nextframe.training.folder.formats import RECIPE_FORMATS
from nextframe.training.optim.optimizer import OPTIMIZERS
from nextframe.training.optim.schedule import SCHEDULES
from nextframe.training.track.registry import TRACKERS


class ModelSection(Config):
    """Which model, and the fields of its own config that differ from the defaults."""

    name: str
    fields: dict[str, Any] = Field(default_factory=dict)


class TrainingConfig(Config):
    """How to train. Optimiser fields left at None take what the model's objective asks for."""

    steps: int | None = Field(None, ge=1, description="training steps; or give minutes")
    minutes: float | None = Field(None, gt=0, description="training time; or give steps")
    clock: Literal["wall", "processor"] = Field(
        "wall", description="what minutes are; processor: those that this process works on a CPU, all threads together"
    )
    batch: int = Field(16, ge=1, description="clips per step; with accumulate, per part of a step")
    accumulate: int = Field(
        1, ge=1, description="parts of a step, each of batch clips: as a batch that many times as large, in less memory"
    )
    balance: Balance = Field(
        "clips",
        description="clips: epochs in random order; sources: sources take turns; changes: more often where more moves; "
        "redrawn: each batch from all clips; in-order: as in the files",
    )
    in_order: tuple[str, ...] = Field((), description="stages whose clips come as in the files, whatever balance says")
    seed: int = Field(0, description="the random seed")
    optimizer: str | None = Field(None, description="a registered optimizer; null: the model's default")
    lr: float | None = Field(None, gt=0, description="the highest learning rate; null: the model's default")
    weight_decay: float | None = Field(None, ge=0, description="null: the model's default")
    schedule: str = Field("onecycle", description="a registered schedule of the learning rate")
    warmup: float = Field(0.1, ge=0, lt=1, description="part of the run in which the rate rises")
    plateau_patience: int = Field(5, ge=0, description="validations without improvement before the rate is cut")
    plateau_factor: float = Field(0.1, gt=0, lt=1, description="what the rate is multiplied by when it is cut")
    grad_clip: float | None = Field(None, gt=0, description="largest global gradient norm; null: no clipping")
    ema: float = Field(0.0, ge=0, lt=1, description="decay of the averaged weights; 0: no averaging")
    precision: Literal["auto", "32", "bf16"] = Field("auto", description="auto: bf16 where it is faster")
    kernels: Literal["race", "fixed"] = Field(
        "race",
        description="of convolutions on a CPU; race: the fastest, measured at first use; fixed: the same anywhere",
    )
    log_every: int = Field(50, ge=1, description="steps between log lines")
    val_every: int | None = Field(
        None, ge=1, description="steps between validations; null: 500, and at each tenth of a run that is given minutes"
    )
    checkpoint_every: int = Field(500, ge=1, description="steps between checkpoints")
    val_clips: int = Field(128, ge=1, description="clips of the val split that a validation measures")
    metrics: tuple[str, ...] = Field(
        (), description="registered metrics that validations log and evaluations have before their usual ones"
    )
    samples: int = Field(2, ge=1, description="clips in the image that a validation writes")
    track: tuple[str, ...] = Field(
        ("tensorboard",), description="registered trackers, such as wandb,mlflow, that the log goes to too"
    )
    monitor: Literal["val/mse", "val/loss"] = Field(
        "val/mse", description="what decides which weights are best; lower is better"
    )
    keep: Literal["best", "last"] = Field("best", description="which weights go to model/")
    early_stopping: int | None = Field(
        None, ge=1, description="validations without improvement before the run stops; null: never"
    )
    workers: int = Field(0, ge=0, description="processes that read clips; the batches are the same")
    device: str = Field("auto", description="auto, cpu, cuda or mps")
    strategy: Literal["auto", "ddp", "fsdp"] = Field(
        "auto", description="of several devices; fsdp spreads the weights over GPUs"
    )
    compile: bool | Literal["graphs"] = Field(
        False,
        description="true: torch.compile, faster steps after a slow first one; graphs: kernels as they are, launched "
        "together as CUDA graphs",
    )
    checkpoint_activations: bool = Field(
        False, description="recurrent models compute each frame again backwards: less memory, a third more time"
    )
    shares: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(
        default_factory=dict, description="steps of each stage, by its name; 0: skipped; empty: what the model says"
    )
    stage_from: dict[str, str] = Field(
        default_factory=dict, description="{part: run folder or a model that ships}: parts that are taken, not trained"
    )
    start_from: str | None = Field(
        None, description="a run folder of the same model, or one that ships, from whose weights training starts"
    )

    @field_validator("precision", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        """Take --set training.precision=32, which is read as a number."""
        return f"{value:g}" if isinstance(value, int | float) else value

    @field_validator("optimizer", "schedule")
    @classmethod
    def _registered(cls, name: str | None, field: ValidationInfo) -> str | None:
        registry: Registry[Any] = OPTIMIZERS if field.field_name == "optimizer" else SCHEDULES
        if name is not None and name not in registry:
            raise ValueError(str(UnknownNameError(registry.kind, name, registry)))
        return name

    @field_validator("metrics")
    @classmethod
    def _measured(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name.removesuffix(MOVING) not in METRICS:
                raise ValueError(str(UnknownNameError(METRICS.kind, name, METRICS)))
        return names

    @field_validator("track", mode="before")
    @classmethod
    def _listed(cls, names: object) -> object:
        """Take --set training.track=wandb,mlflow, which is read as text."""
        return [name.strip() for name in names.split(",")] if isinstance(names, str) else names

    @field_validator("track")
    @classmethod
    def _tracked(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in TRACKERS:
                raise ValueError(str(UnknownNameError(TRACKERS.kind, name, TRACKERS)))
        return tuple(dict.fromkeys(names))

    @model_validator(mode="after")
    def _one_budget(self) -> TrainingConfig:
        if (self.steps is None) == (self.minutes is None):
            raise ValueError("give either steps or minutes")
        return self

    @model_validator(mode="after")
    def _checkpoints_or_graphs(self) -> TrainingConfig:
        if self.compile and self.checkpoint_activations:
            raise ValueError("compile and checkpoint_activations do not go together: set one of them to false")
        if self.compile == "graphs" and self.accumulate > 1:
            raise ValueError("compile=graphs and accumulate do not go together: a graph's gradients last for one part")
        return self

    @property
    def clips(self) -> int:
        """Clips of a whole step, of all parts and all processes."""
        return self.batch * self.accumulate

    @property
    def length(self) -> str:
        """How long the training is, in words."""
        return f"{self.minutes:g} minutes" if self.steps is None else f"{self.steps} training steps"


class Recipe(Config):
    """Model, data and training: all that a run needs, and all that repeats it."""

    model: ModelSection
    data: DataConfig = DataConfig()
    training: TrainingConfig

    def to_yaml(self) -> str:
        """Return the recipe as YAML that `read_recipe` reads back to an equal recipe."""
        return yaml.safe_dump({"format": RECIPE_FORMATS.newest, **self.model_dump(mode="json")}, sort_keys=False)


def read_recipe(path: Path) -> Recipe:
    """Read a recipe of any format from the YAML file `path`, which needs no format number.

    Raises:
        UserError: no such file, a newer format, or a mistake in it; the line names the field.
    """
    if path.is_dir():
        path = path / "recipe.yaml"
    try:
        with path.open(encoding="utf-8") as file:
            values = read_yaml(file.read(MOST_CHARACTERS + 1))
    except FileNotFoundError:
        raise BadInputError(path, "there is no such recipe") from None
    except (UserError, UnicodeDecodeError, OSError) as error:
        raise BadInputError(path, f"is not a readable recipe: {str(error).splitlines()[0]}") from None
    if not isinstance(values, dict):
        raise BadInputError(path, "is not a recipe", "it needs the sections model, data and training")
    return Recipe.parse(RECIPE_FORMATS.migrate(values, path), where=str(path))


def override(recipe: Recipe, settings: Mapping[str, Any]) -> Recipe:
    """Return `recipe` with dotted `settings` replaced, for example {"model.hidden": 64, "training.lr": 1e-3}.

    Fields of the model are written `model.FIELD`. Setting steps drops minutes, and vice versa.
    """
    values = recipe.model_dump()
    choose_data(values["data"], settings)
    for key, value in settings.items():
        section, _, name = key.partition(".")
        if section not in values or not name:
            form = 'SECTION.FIELD=VALUE (in Python {"SECTION.FIELD": VALUE})'
            raise UserError(f"setting '{key}': write {form}, with section model, data or training")
        _set(values[section], section, name, value)
    return Recipe.parse(values)


def _set(values: dict[str, Any], section: str, name: str, value: Any) -> None:
    if section == "model" and name != "name":
        values = values["fields"]
    if section == "training" and name in ("steps", "minutes"):
        values["steps"] = values["minutes"] = None
    set_dotted(values, name, value)


def choose_data(values: dict[str, Any], settings: Collection[str]) -> None:
    """Make room in the values of a DataConfig for dotted `settings`: a name and a mix are mutually exclusive."""
    if "data.name" in settings:
        values.pop("mix", None)
    if "data.mix" in settings:
        values.pop("name", None)
        values.pop("options", None)


def check_known(model: Predictor, clips: ClipSet, name: str) -> None:
    """Refuse clips without a condition that the model needs; one clip is read if it needs any.

    Raises:
        UserError: which condition is missing.
    """
    if model.capabilities.needs:
        clip = clips.read("train", batch_indices(clips, "train", 0, 0, 1))
        check_conditions(model.capabilities, model.wanted(clip.conditions), name)


def model_fields(section: ModelSection, clips: ClipSet) -> dict[str, Any]:
    """Return the model's fields, with those that the data determines filled in if the recipe does not set them.

    A model's config has a field of that name for each that it wants: context, horizon, channels,
    frame_height, frame_width.
    """
    channels, height, width = clips.frame_shape
    from_data = {
        "context": clips.task.context,
        "horizon": clips.task.horizon,
        "channels": channels,
        "frame_height": height,
        "frame_width": width,
    }
    config: type[ModelConfig] = MODELS.get(section.name).Config
    wanted = {name: value for name, value in from_data.items() if name in config.model_fields}
    return wanted | section.fields
