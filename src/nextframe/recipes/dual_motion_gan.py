"""The dual motion GAN (`models/dual_motion_gan.py`) on walks through game maps and on real clips, small.

Give a folder of videos with --data: docs/studies/dual-motion-gan.md says which were taken. A local copy of KITTI and
Caltech, the data of the paper, is --data kitti-caltech --root COPY --size 128x160; its test videos are Caltech's.
"""

from __future__ import annotations

from nextframe.data import DataConfig
from nextframe.training.recipe import ModelSection, Recipe, TrainingConfig

DUAL_MOTION_GAN_WALKS = Recipe(
    model=ModelSection(name="dual-motion-gan"),
    data=DataConfig(name="walks", context=4, horizon=2, size=(48, 64), color="rgb"),
    training=TrainingConfig(
        steps=6000,
        batch=8,
        balance="sources",
        schedule="cosine",
        ema=0.995,
        grad_clip=1.0,
        log_every=50,
        val_every=500,
        val_clips=64,
        checkpoint_every=250,
    ),
)
