"""The first three minutes with nextframe: `compact` on two moving digits, 10 frames in, 10 frames out."""

from __future__ import annotations

from nextframe.data import DataConfig
from nextframe.training.recipe import ModelSection, Recipe, TrainingConfig

QUICKSTART = Recipe(
    model=ModelSection(name="compact"),
    data=DataConfig(name="moving-digits", context=10, horizon=10),
    training=TrainingConfig(minutes=3, batch=8, schedule="cosine", ema=0.99, grad_clip=1.0, val_every=500),
)
