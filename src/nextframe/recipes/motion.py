"""`motion` trained on from the weights that ship, on videos of your own: `nextframe train motion-tuned --data videos/`.

Everything is trained, at an eighth of the rate that the weights were made with, two frames ahead; frames are scaled
and cropped to 160x160, which is less than a prediction has, but enough to keep what was learned of large motion.
"""

from __future__ import annotations

from nextframe.data import DataConfig
from nextframe.training.recipe import ModelSection, Recipe, TrainingConfig

MOTION_TUNED = Recipe(
    model=ModelSection(name="motion"),
    data=DataConfig(name="videos", context=4, horizon=2, size=(160, 160), color="rgb"),
    training=TrainingConfig(
        minutes=30,
        start_from="motion",
        batch=8,
        lr=1e-4,
        balance="changes",
        schedule="cosine",
        ema=0.99,
        val_every=200,
        checkpoint_every=200,
    ),
)
