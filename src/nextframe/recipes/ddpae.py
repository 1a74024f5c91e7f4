"""DDPAE on Moving MNIST (Hsieh et al. 2018): one component for each digit.

`ddpae-moving-mnist` has the public code's sizes, prior and number of updates; its rate falls with half a cosine, where
the public code divided it by ten after half of the updates.
"""

from __future__ import annotations

from nextframe.data import DataConfig
from nextframe.training.recipe import ModelSection, Recipe, TrainingConfig

DDPAE_MOVING_MNIST = Recipe(
    model=ModelSection(name="ddpae"),
    data=DataConfig(name="moving-digits", context=10, horizon=10, size=(64, 64), options={"digits": "mnist"}),
    training=TrainingConfig(
        precision="32",
        steps=200_000,
        batch=64,
        schedule="cosine",
        warmup=0.0,
        keep="last",
        val_every=2000,
        checkpoint_every=2000,
    ),
)
