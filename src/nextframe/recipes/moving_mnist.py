"""The speed run: the lowest error on Moving MNIST, 10 frames in and 10 out, in a stated time; ten minutes by default.

What makes it fast, each tried on MNIST's training digits with clips of validation, none of test: products instead of
GELU (blocks and stem), few clips a step and so many steps, Muon for matrices, and a rate that reaches zero when the
budget ends, whatever it is. docs/studies/moving-mnist-fast.md has the figures, and what did not help.

`moving-mnist-sprites` has another model: it knows that a clip is a few objects that keep their looks, and nothing else
about digits. It draws them sharp ten frames ahead, where the other has blots.
"""

from __future__ import annotations

from nextframe.data import DataConfig
from nextframe.training.recipe import ModelSection, Recipe, TrainingConfig

MOVING_MNIST_FAST = Recipe(
    model=ModelSection(name="compact", fields={"gated": True, "pairs": 64}),
    data=DataConfig(name="moving-digits", context=10, horizon=10, options={"digits": "mnist"}),
    training=TrainingConfig(
        minutes=10,
        batch=8,
        optimizer="muon-kernels",
        lr=0.01,
        weight_decay=0.01,
        schedule="trapezoid",
        warmup=0.03,
        ema=0.995,
        grad_clip=1.0,
        val_every=1000,
    ),
)

MOVING_MNIST_SPRITES = Recipe(
    model=ModelSection(name="sprites"),
    data=MOVING_MNIST_FAST.data,
    training=MOVING_MNIST_FAST.training.model_copy(update={"lr": 0.004, "ema": 0.99}),
)
