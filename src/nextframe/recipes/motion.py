"""`motion` trained on from the weights that ship, on videos of your own: `nextframe train motion-tuned --data videos/`.

`motion-tuned`: everything is trained, at an eighth of the rate that the weights were made with, two frames ahead;
frames are scaled and cropped to 160x160, which is less than a prediction has, but enough to keep what was learned of
large motion.

`motion-mixture`: nothing of `motion` is. A `mixture` learns where to take what `motion` predicts, the last frame, an
earlier one, flow, or a colour of its own: for GIFs and drawings, which blink, loop and stand still as no real video
does. It takes many steps to learn colours, so `motion`, which takes most of the time, rests for four clips of five, and
squares of 64 pixels are trained on. Muon came further in 500 steps than AdamW.
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

MOTION_MIXTURE = Recipe(
    model=ModelSection(
        name="mixture",
        fields={
            "members": [
                {"name": "copy-last"},
                {"name": "flow"},
                {"name": "motion", "options": {"fuse": False, "rehearse": False}, "rest": 0.8},
            ],
            "crop": 64,
        },
    ),
    data=DataConfig(name="videos", context=5, horizon=1, size=(96, 96), color="rgb"),
    training=TrainingConfig(
        minutes=30,
        stage_from={"members.2": "motion"},
        batch=8,
        optimizer="muon-kernels",
        lr=0.01,
        weight_decay=0.01,
        grad_clip=1.0,
        balance="changes",
        schedule="cosine",
        ema=0.99,
        val_every=2000,
        checkpoint_every=500,
        monitor="val/loss",
        keep="last",
        workers=1,
    ),
)
