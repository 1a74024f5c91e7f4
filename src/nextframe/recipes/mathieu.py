"""The multi-scale adversarial predictor of Mathieu, Couprie & LeCun (ICLR 2016) and two ports of it.

All train on clips of 4 + 1 colour frames of 32x32 that `nextframe prepare` cut: give them with --data.

`mathieu-chainer` and `mathieu-tf` keep the ports' networks (no residual), resizing, losses, optimisers, order and
batches; `mathieu-paper` is what the paper means. Two faults are not kept: the TensorFlow port's discriminators gave
the generator no gradient (here they do, as in its gradient-bug branch), and its combined loss left its weights out
(they are all 1 here too, which is what it trained with). docs/multiscale-gan.md lists all differences.

`multiscale-gan-small` is our own: it trains on a CPU in minutes.
"""

from __future__ import annotations

from typing import Any

from nextframe.data import DataConfig
from nextframe.training.recipe import ModelSection, Recipe, TrainingConfig

PORT_STEPS = 500_000
CLIPS = DataConfig(name="clips", context=4, horizon=1)  # of `nextframe prepare FRAMES -o clips`


def _recipe(batch: int, steps: int = PORT_STEPS, *, training: dict[str, Any] | None = None, **fields: Any) -> Recipe:
    values = {"schedule": "constant", "log_every": 100, "val_every": 5000, "checkpoint_every": 1000, "keep": "last"}
    config = TrainingConfig.parse({"steps": steps, "batch": batch, **values, **(training or {})})
    return Recipe(model=ModelSection(name="multiscale-gan", fields=fields), data=CLIPS, training=config)


_ORIGINAL: dict[str, Any] = {
    "width": 128,
    "output": "tanh",
    "smooth": 0.0,
    "discriminator": "dense",
    "gan": "bce",
    "spectral": False,
    "pretrain": 0.0,
}

# batch 1; the generator first, both on the same clips
MATHIEU_CHAINER = _recipe(
    1,
    **_ORIGINAL,
    residual="none",
    resize="bilinear-corners",
    init="lecun",
    form="chainer",
    p=2,
    gradient_weight=0.1,
    adversarial_weight=0.05,
    d_table="ports",
    conditional=False,
    g_optimizer="sgd",
    g_lr=4e-5,
    d_optimizer="sgd",
    d_lr=0.02,
)

# the discriminators first, on a batch of their own
MATHIEU_TF = _recipe(
    8,
    **(_ORIGINAL | {"gan": "clipped"}),
    residual="none",
    resize="bilinear-legacy",
    init="tf",
    form="tf",
    p=2,
    alpha=2,
    gradient_weight=1.0,
    adversarial_weight=1.0,
    d_table="ports",
    d_pool=True,
    conditional=False,
    own_batches=True,
    first="discriminator",
    g_optimizer="adam",
    g_lr=4e-5,
    d_optimizer="sgd",
    d_lr=0.02,
)

# stochastic gradient descent for both, on different batches; the generator's rate falls from 0.04 to 0.005
MATHIEU_PAPER = _recipe(
    8,
    **_ORIGINAL,
    residual="coarser",
    resize="average",
    init="torch",
    form="paper",
    p=1,
    alpha=1,
    gradient_weight=1.0,
    adversarial_weight=0.05,
    d_table="ports",
    d_pool=True,
    conditional=True,
    own_batches=True,
    first="discriminator",
    g_optimizer="sgd",
    g_lr=0.04,
    g_final=0.125,
    d_optimizer="sgd",
    d_lr=0.02,
)

MULTISCALE_GAN_SMALL = _recipe(
    8,
    3000,
    training={"schedule": "cosine", "ema": 0.995, "grad_clip": 1.0, "val_every": 500, "checkpoint_every": 250},
)
