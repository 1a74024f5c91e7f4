"""The trained models of recipes: which recipe, how it differs, on what, and where the folder goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nextframe.core.device import resolve_device
from nextframe.recipes.weights.by_recipe.material import (
    MDN,
    MNIST_DIGITS,
    SKLEARN_DIGITS,
    VIDEOS,
    Material,
    Videos,
)


@dataclass(frozen=True)
class RecipePlan:
    """What the weights of one name are, and how they come about."""

    about: str  # one sentence for the card and `nextframe models`
    recipe: str  # a recipe's or a model's name
    material: Material
    settings: Mapping[str, Any] = field(default_factory=dict)  # dotted, where it differs from the recipe
    on: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # more of them, by device: cpu, cuda or mps
    whole: int | None = None  # steps of the original's training, or of the recipe's
    shown: int = 10  # frames that the images predict
    clips: int = 256  # of the test split that are measured
    anywhere: bool = False  # whether it predicts videos of other things than it was trained on
    ships: bool = False  # with the package, instead of in `weights/` of the repository

    @property
    def licence(self) -> str:
        """That of the weights: the material's."""
        return self.material.licence

    def for_device(self, device: str) -> RecipePlan:
        """Return the plan whose `settings` are those on `device`, which may be auto.

        Raises:
            UserError: no such device here.
        """
        return replace(self, settings={**self.settings, **self.on.get(resolve_device(device), {})}, on={})


KERAS_CONVLSTM = RecipePlan(
    about="The ConvLSTM of the Keras example of 2021 on two moving digits, its head without the example's leak.",
    recipe="keras-convlstm",
    material=SKLEARN_DIGITS,
    settings={
        "model.name": "convlstm",
        "training.precision": "auto",
        "training.batch": 2,
        "training.optimizer": "muon-kernels",  # after 45 steps its loss is 0.11, that of Keras's Adam at 1e-3 0.17
        "training.lr": 0.004,  # at 0.01 it is lost after 300 steps
        "training.schedule": "trapezoid",
        "training.grad_clip": 1.0,
        "training.early_stopping": None,
        "training.val_every": 200,
        "training.val_clips": 10,
        "training.checkpoint_every": 50,
    },
    clips=100,
)
MNIST_LATENT = RecipePlan(
    about="A latent for what a digit is and where it is, and an LSTM that predicts where: one moving digit.",
    recipe="mnist-latent",
    material=SKLEARN_DIGITS,
    settings={"model.cache_clips": 2000, "training.val_every": 500, "training.val_clips": 32},
    whole=10_000,
    shown=20,
)
COMPOSITE_LSTM = RecipePlan(
    about="An LSTM reads whole frames into one state; decoders draw the past backwards and the future: one digit.",
    recipe="composite-lstm",
    material=SKLEARN_DIGITS,
    settings={
        "data.options.count": 1,
        "data.size": (48, 48),
        "model.hidden": (384,),
        "model.conditional": False,
        "model.forget_bias": 4.0,
        "training.lr": 1e-3,
        "training.batch": 32,
        "training.schedule": "cosine",
        "training.grad_clip": 1.0,
    },
)
MULTISCALE_GAN_SMALL = RecipePlan(
    about="Generators from coarse to fine and a discriminator at each scale, on free videos.",
    recipe="multiscale-gan-small",
    material=VIDEOS,
    anywhere=True,
    settings={"data.size": (64, 64), "data.color": "rgb", "data.stride": 2, "training.balance": "sources"},
    whole=3000,
    shown=4,
)
CATZ_MIXTURE = RecipePlan(
    about="The best model of the catz task: it weighs the last frame, the flow's and its own for every pixel.",
    recipe="mixture",
    material=VIDEOS,
    anywhere=True,
    settings={
        "data.context": 5,
        "data.horizon": 1,
        "data.size": (96, 96),
        "data.color": "rgb",
        "data.stride": 3,
        "training.balance": "changes",
        "training.val_every": 100,
        "training.val_clips": 64,
    },
    shown=4,
)
FILM_LATENT_SMALL = RecipePlan(
    about="A latent map of whole frames and an LSTM that predicts it, of short videos: toys on a table.",
    recipe="film-latent-small",
    material=Videos(
        f"real_crystal, real_elf, real_frog and real_monster.mp4 of {MDN}",
        licence="CC0-1.0",
        splits={
            "train": ("real_crystal.mp4", "real_elf.mp4", "real_frog.mp4", "real_monster.mp4"),
            "val": ("real_pig.mp4",),
            "test": ("real_rabbit.mp4",),
        },
    ),
    settings={
        "model.autoencoder": {
            "name": "vae",
            "fields": {"layout": "spatial", "latent": 8, "widths": (32, 64, 128), "frames": 64},
        },
        "data.stride": 1,
        "training.shares": {"vae": 2400, "lstm": 400},
        "training.balance": "sources",
        "training.val_every": 400,
    },
    whole=2800,
)
DDPAE = RecipePlan(
    about="Two components with their own poses, an image each: a digit in each of them, without being told of digits.",
    recipe="ddpae-moving-mnist",
    material=MNIST_DIGITS,
    settings={"training.val_every": 100_000, "training.checkpoint_every": 500},
    on={"cpu": {"training.batch": 16, "training.lr": 5e-4}},
    whole=200_000,
)
DIGITS = RecipePlan(
    about="Two moving digits, each cut out of the context, found in its frames, and moved on along its path.",
    recipe="moving-mnist-sprites",
    material=MNIST_DIGITS,
    settings={"training.val_every": 2000, "training.checkpoint_every": 1000, "training.log_every": 100},
    on={"cuda": {"data.options.draw": "device", "training.batch": 64}},
    clips=1000,
    ships=True,
)
