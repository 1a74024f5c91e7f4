"""The multi-scale adversarial predictor of Mathieu, Couprie & LeCun (ICLR 2016) and two ports of it.

All train on clips of 4 + 1 colour frames of 32x32 that `nextframe prepare` cut: give them with --data.

`mathieu-chainer` and `mathieu-tf` are the ports, `mathieu-torch` is the script that the authors published (10,000
rounds of 100 steps, on UCF-101), `mathieu-paper` is what the paper means: each is a model of its own
(`models/originals/mathieu.py`), with its network, resizing, losses, optimisers, order and batches.
docs/multiscale-gan.md lists all differences.

`multiscale-gan-small` is our own: it trains on a CPU in minutes.
"""

from __future__ import annotations

from typing import Any

from nextframe.data import DataConfig
from nextframe.training.recipe import ModelSection, Recipe, TrainingConfig

PORT_STEPS = 500_000
AUTHORS = {  # of train_iclr_model.lua; its discriminators step by the whole of a loss of which half is reported
    "p": 2,
    "gradient_weight": 0.0,
    "adversarial_weight": 0.01,
    "g_lr": 0.02,
    "d_lr": 0.04,
    "extra_pairs": True,
}
CLIPS = DataConfig(name="clips", context=4, horizon=1)  # of `nextframe prepare FRAMES -o clips`


def _recipe(model: str, batch: int, steps: int = PORT_STEPS, **training: Any) -> Recipe:
    values = {"schedule": "constant", "log_every": 100, "val_every": 5000, "checkpoint_every": 1000, "keep": "last"}
    config = TrainingConfig.parse({"steps": steps, "batch": batch, **values, **training})
    return Recipe(model=ModelSection(name=model), data=CLIPS, training=config)


MATHIEU_CHAINER = _recipe("mathieu-chainer", 1, precision="32")
MATHIEU_TF = _recipe("mathieu-tf", 8, precision="32")
MATHIEU_PAPER = _recipe("mathieu-paper", 8, precision="32")
MATHIEU_TORCH = _recipe("mathieu-torch", 8, 1_000_000, precision="32").model_copy(
    update={"model": ModelSection(name="mathieu-torch", fields=AUTHORS)}
)
MULTISCALE_GAN_SMALL = _recipe(
    "multiscale-gan", 8, 3000, schedule="cosine", ema=0.995, grad_clip=1.0, val_every=500, checkpoint_every=250
)
