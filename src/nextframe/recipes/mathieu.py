"""The multi-scale adversarial predictor of Mathieu, Couprie & LeCun (ICLR 2016) and two ports of it.

All train on clips of 4 + 1 colour frames of 32x32 that `nextframe prepare` cut: give them with --data.

`mathieu-chainer` and `mathieu-tf` are the ports, `mathieu-paper` is what the paper means: each is a model of its own
(`models/originals/mathieu.py`), with its network, resizing, losses, optimisers, order and batches.
docs/multiscale-gan.md lists all differences.

`multiscale-gan-small` is our own: it trains on a CPU in minutes.
"""

from __future__ import annotations

from typing import Any

from nextframe.data import DataConfig
from nextframe.training.recipe import ModelSection, Recipe, TrainingConfig

PORT_STEPS = 500_000
CLIPS = DataConfig(name="clips", context=4, horizon=1)  # of `nextframe prepare FRAMES -o clips`


def _recipe(model: str, batch: int, steps: int = PORT_STEPS, **training: Any) -> Recipe:
    values = {"schedule": "constant", "log_every": 100, "val_every": 5000, "checkpoint_every": 1000, "keep": "last"}
    config = TrainingConfig.parse({"steps": steps, "batch": batch, **values, **training})
    return Recipe(model=ModelSection(name=model), data=CLIPS, training=config)


MATHIEU_CHAINER = _recipe("mathieu-chainer", 1, precision="32")
MATHIEU_TF = _recipe("mathieu-tf", 8, precision="32")
MATHIEU_PAPER = _recipe("mathieu-paper", 8, precision="32")
MULTISCALE_GAN_SMALL = _recipe(
    "multiscale-gan", 8, 3000, schedule="cosine", ema=0.995, grad_clip=1.0, val_every=500, checkpoint_every=250
)
