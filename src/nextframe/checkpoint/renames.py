"""Models as they were written when the forms of papers and notebooks were fields of a config.

`renamed` gives what a model and its fields are now. `SPLITS` has, for every model that lost fields, the forms that it
was split into. What none of them is keeps its fields, and so is refused where it is built, by the name of the field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Fields = Mapping[str, Any]
ANY = object()  # a field whose value makes no difference


@dataclass(frozen=True)
class Form:
    """One model of today, by the values that the fields which are gone had for it."""

    name: str
    when: Fields
    judges: Fields = field(default_factory=dict)  # the same, of fields that matter only if there are discriminators
    defaults: Fields = field(default_factory=dict)  # the old ones, where today's differ


@dataclass(frozen=True)
class Split:
    """The fields that a model had, with their defaults, which are gone or stand in a `when`; and its forms."""

    old: Fields
    forms: tuple[Form, ...]
    gone: frozenset[str]
    renamed: bool = False  # the old name means nothing today, with or without a field that is gone


def renamed(name: str, fields: Fields) -> tuple[str, dict[str, Any]]:
    """Return the name and fields of a model as they are now, those of the models inside it too.

    What is as it is now stays so: only a name or a field that is gone is seen as old.
    """
    values = {key: _inside(value) for key, value in fields.items()}
    split = SPLITS.get(name)
    if split is None or not (split.renamed or split.gone & values.keys()):
        return name, values
    values = _without_judges(values) if name == "multiscale-gan" else values
    for form in split.forms:
        wanted = {**form.when, **({} if values.get("adversarial_weight") == 0 else form.judges)}
        if all(value is ANY or values.get(key, split.old[key]) == value for key, value in wanted.items()):
            dropped = split.gone & {*form.when, *form.judges}
            return form.name, {**form.defaults, **{key: v for key, v in values.items() if key not in dropped}}
    return split.forms[0].name, values


def renamed_section(section: Any) -> Any:
    """Return {"name": ..., "fields": ...} as `renamed` has it; anything else as it is."""
    if not isinstance(section, dict) or not isinstance(section.get("name"), str):
        return section
    fields = section.get("fields", {})
    if not isinstance(fields, dict):
        return section
    name, fields = renamed(section["name"], fields)
    return {**section, "name": name, **({"fields": fields} if fields or "fields" in section else {})}


def _inside(value: Any) -> Any:
    """Return a field's value with the models in it renamed: one section, or a list of them."""
    if isinstance(value, list | tuple):
        return [renamed_section(part) for part in value] if any(isinstance(part, dict) for part in value) else value
    return renamed_section(value)


def _without_judges(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields with "no discriminators" said in one way: by their weight."""
    if fields.get("discriminator") == "none":
        return {**fields, "adversarial_weight": 0.0}
    return fields


PERCEPTUAL = {"loss": "perceptual"}
CONV2D = {"head": "residual"}
BASELINE = {"levels": "0-1", "head": "residual"}
CONV3D = {"axes": "colour", "noise_on_last": False}
AUTOENCODER = {"noise_on_last": False, "early_dropout": True}
CONVLSTM = {"head": "causal", "gate": "sigmoid"}
LATENT = {"sampler": "carried", "weight_std": None, "gate_clip": None}
LATENT_DEFAULTS = {
    "autoencoder": {"name": "vae", "fields": {}},
    "hidden": [384, 384],
    "dropout": 0.0,
    "weight_std": None,
    "forget_bias": 1.0,
    "gate_clip": None,
    "head": "differences",
    "feedback": True,
    "optimizer": "muon",
    "lr": 0.02,
}

GAN = {
    "residual": "last-frame",
    "output": "linear",
    "resize": "average",
    "init": "he",
    "form": "paper",
    "alpha": 1,
    "g_optimizer": "adam",
    "g_final": 1.0,
}
JUDGES = {
    "discriminator": "patch",
    "d_table": "light",
    "d_pool": False,
    "conditional": True,
    "own_batches": False,
    "first": "generator",
    "d_optimizer": "adam",
    "beta1": 0.5,
}
SIZES = {"frame_height": ANY, "frame_width": ANY}
GAN_DEFAULTS = {
    "width": 16,
    "p": 1,
    "smooth": 0.2,
    "gradient_weight": 1.0,
    "adversarial_weight": 0.05,
    "gan": "hinge",
    "spectral": True,
    "pretrain": 0.5,
    "g_lr": 6e-4,
    "d_lr": 4e-4,
    "d_table": "light",
}
DENSE = {"discriminator": "dense", "d_pool": True, "d_optimizer": "sgd"}
FIRST = {"own_batches": True, "first": "discriminator"}
PAPER = {"residual": "coarser", "output": "tanh", "resize": "average", "init": "torch", "alpha": 1}
PAPER_RATE = {"g_optimizer": "sgd", "g_final": 0.125}
PORT = {"residual": "none", "output": "tanh", "g_final": 1.0}
PAPER_JUDGES = {**DENSE, **FIRST, "conditional": True, "beta1": ANY}
GAN_FORMS = (
    Form("multiscale-gan", {**GAN, **SIZES}, JUDGES),
    Form("mathieu-paper", {**PAPER, **PAPER_RATE, "form": "paper"}, PAPER_JUDGES, GAN_DEFAULTS),
    Form("mathieu-torch", {**PAPER, **PAPER_RATE, "form": "torch"}, PAPER_JUDGES, GAN_DEFAULTS),
    Form(
        "mathieu-chainer",
        {**PORT, "resize": "bilinear-corners", "init": "lecun", "form": "chainer", "alpha": ANY, "g_optimizer": "sgd"},
        {**DENSE, "d_pool": False, "conditional": False, "own_batches": False, "first": "generator", "beta1": ANY},
        GAN_DEFAULTS,
    ),
    Form(
        "mathieu-tf",
        {**PORT, "resize": "bilinear-legacy", "init": "tf", "form": "tf", "g_optimizer": "adam"},
        {**DENSE, **FIRST, "conditional": False, "beta1": 0.5},
        {**GAN_DEFAULTS, "alpha": 1},
    ),
)

SPLITS = {
    "conv2d": Split(
        CONV2D,
        (Form("conv2d", CONV2D), Form("catz-conv2d", {"head": "relu"}, defaults=PERCEPTUAL)),
        frozenset(CONV2D),
    ),
    "catz-baseline": Split(
        BASELINE,
        (
            Form("catz-baseline", BASELINE),
            Form("catz-baseline-original", {"levels": "0-255", "head": "relu"}, defaults=PERCEPTUAL),
        ),
        frozenset(BASELINE),
    ),
    "conv3d-residual": Split(
        {**CONV3D, "noise": 0.0},
        (
            Form("conv3d", {"axes": "time", "noise_on_last": False}),
            Form("conv3d", {"axes": "time", "noise_on_last": ANY, "noise": 0.0}),
            Form("catz-conv3d", {"axes": "colour", "noise_on_last": True}, defaults=PERCEPTUAL),
            Form("catz-conv3d", {"axes": "colour", "noise_on_last": ANY, "noise": 0.0}, defaults=PERCEPTUAL),
        ),
        frozenset(CONV3D),
        renamed=True,
    ),
    "convlstm-residual": Split(
        {"noise_on_last": False},
        (
            Form("convlstm-residual", {"noise_on_last": False}),
            Form("catz-convlstm", {"noise_on_last": True}, defaults=PERCEPTUAL),
        ),
        frozenset({"noise_on_last"}),
    ),
    "convlstm-autoencoder": Split(
        AUTOENCODER,
        (
            Form("convlstm-autoencoder", AUTOENCODER),
            Form("catz-autoencoder", {"noise_on_last": True, "early_dropout": False}, defaults=PERCEPTUAL),
        ),
        frozenset(AUTOENCODER),
    ),
    "convlstm": Split(
        CONVLSTM, (Form("convlstm", CONVLSTM), Form("convlstm-keras", {"head": "same"})), frozenset(CONVLSTM)
    ),
    "vcae": Split(
        {"shared_output": True},
        (Form("vcae", {"shared_output": True}), Form("tencia-vcae", {"shared_output": False})),
        frozenset({"shared_output"}),
    ),
    "latent-lstm": Split(
        LATENT,
        (Form("latent-lstm", LATENT), Form("tencia-latent-lstm", {"sampler": "restarted"}, defaults=LATENT_DEFAULTS)),
        frozenset(LATENT),
    ),
    "composite-lstm": Split(
        {"reduction": "frame"},
        (
            Form("composite-lstm", {"reduction": "frame"}),
            Form("srivastava-composite", {"reduction": "sum"}, defaults={"start": None, "forget_bias": 1.0}),
        ),
        frozenset({"reduction"}),
    ),
    "multiscale-gan": Split({**GAN, **JUDGES}, GAN_FORMS, frozenset({*GAN, *JUDGES, *SIZES})),
}
