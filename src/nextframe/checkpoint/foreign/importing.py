"""A checkpoint of another program becomes a model folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from nextframe.checkpoint.folder import model_name, save_model
from nextframe.checkpoint.foreign.reading import Checkpoint
from nextframe.checkpoint.foreign.table import TRANSLATIONS, reader, translation
from nextframe.checkpoint.foreign.translated import fitted
from nextframe.core.errors import BadInputError, UnknownNameError, UserError
from nextframe.models import MODELS
from nextframe.models.contract import ModelConfig, Predictor, TrainedTask


@dataclass(frozen=True)
class Imported:
    """A model folder made of a checkpoint.

    `dropped` are the tensors omitted, which the original never uses; `assumed` what the checkpoint does not say, as
    "FIELD=VALUE" of the model.
    """

    folder: Path
    model: Predictor
    dropped: tuple[str, ...]
    assumed: tuple[str, ...] = ()


def import_checkpoint(
    path: Path,
    name: str,
    folder: Path,
    fields: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Imported:
    """Write the model of a checkpoint as a model folder; nothing in the file is executed.

    Args:
        path: Lightning's .ckpt, a .pth of a state dict, or what Keras or TensorFlow wrote.
        name: what the checkpoint is of, one of `TRANSLATIONS`.
        folder: where the model folder goes.
        fields: of the model's config, over what the checkpoint says.
        settings: of the original, over those in the checkpoint, for one that has none.

    Raises:
        UserError: an unknown model or field, a file that cannot be read, or weights that are not that model's.
    """
    if name not in TRANSLATIONS:
        raise UnknownNameError("model of other programs", name, TRANSLATIONS)
    fields = dict(fields or {})
    MODELS.get(name).Config.parse(fields, f"model '{name}'")  # a field that it does not have, before any reading
    found = reader(name)(path)
    checkpoint = replace(found, settings={**found.settings, **(settings or {})})
    try:
        translated = translation(name)(checkpoint.state, {**checkpoint.settings, **fields})
        model = fitted(replace(translated, fields={**translated.fields, **fields}))
    except (UserError, ValueError, TypeError, ArithmeticError, LookupError) as error:  # settings may be anything
        raise BadInputError(path, f"is not read as {name}: {error}") from None
    bad = next((key for key, value in model.named_parameters() if not bool(torch.isfinite(value).all())), None)
    if bad is not None:
        raise BadInputError(path, f"what would be '{bad}' has values that are not finite")
    save_model(model, folder, task=_task(model, checkpoint), training={"imported_from": path.name})
    assumed = tuple(f"{name}={value}" for name, value in translated.assumed.items() if name not in fields)
    return Imported(folder, model, translated.dropped, assumed)


def describe(imported: Imported) -> str:
    """Return one line: what was made, how large it is, what was omitted, what was assumed and how to say otherwise."""
    size = sum(value.numel() for value in imported.model.parameters()) / 1e6
    dropped = f"; omitted, as never used: {', '.join(imported.dropped)}" if imported.dropped else ""
    said = f"; not said, so taken as {', '.join(imported.assumed)}: --set model.FIELD=VALUE" if imported.assumed else ""
    return f"{imported.folder}  ({model_name(imported.model)}, {size:.2f} M parameters{dropped}{said})"


def _task(model: Predictor, checkpoint: Checkpoint) -> TrainedTask | None:
    """Return what the model was trained for, as far as the checkpoint or the model's own fields say; else None."""
    settings, config = checkpoint.settings, model.config
    context = settings.get("pre_seq_length", getattr(config, "context", None))
    horizon = settings.get("aft_seq_length", getattr(config, "horizon", context))
    if not all(isinstance(frames, int) and frames > 0 for frames in (context, horizon)):
        return None
    return TrainedTask(
        context=context,
        horizon=horizon,
        size=_size(settings.get("in_shape"), config),
        channels=model.capabilities.channels,
        data=str(settings.get("dataname") or ""),
    )


def _size(shape: object, config: ModelConfig) -> tuple[int, int] | None:
    """Return (height, width) of the settings' shape (T, C, H, W), or that which the model is made for."""
    if isinstance(shape, list | tuple) and len(shape) == 4 and all(isinstance(side, int) for side in shape):
        return shape[2], shape[3]
    height, width = getattr(config, "frame_height", None), getattr(config, "frame_width", None)
    return None if height is None or width is None else (height, width)
