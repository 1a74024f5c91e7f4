"""The standard protocol of Moving MNIST, as OpenSTL's benchmark has it (Tan et al. 2023, arXiv 2306.11249).

Two of MNIST's digits in 64x64, 10 frames in, 10 out; 10,000 fresh sequences an epoch in batches of 16, one cycle of the
learning rate. OpenSTL keeps the weights that are best on the test set; here they are best on a val split of its own.
Its one-cycle schedule also moves Adam's first beta, between 0.95 and 0.85; here it stays at 0.9.

The test split is generated from MNIST's test digits; `--data moving-mnist` measures on the file of the field.
"""

from __future__ import annotations

from typing import Any

from nextframe.data import DataConfig
from nextframe.training.recipe import ModelSection, Recipe, TrainingConfig

EPOCH = 625  # steps of 16 sequences


def standard(model: str, lr: float, epochs: int = 200, **fields: Any) -> Recipe:
    """Return the protocol for `model`, with `fields` that differ from its defaults, at OpenSTL's highest rate `lr`."""
    return Recipe(
        model=ModelSection(name=model, fields=fields),
        data=DataConfig(
            name="moving-digits", context=10, horizon=10, options={"digits": "mnist", "test_clips": 10_000}
        ),
        training=TrainingConfig(
            steps=epochs * EPOCH,
            batch=16,
            optimizer="adam",
            lr=lr,
            schedule="onecycle",
            warmup=0.3,
            precision="32",
            val_every=10 * EPOCH,
            val_clips=1_000,
        ),
    )


CONVLSTM_S = standard("convlstm-openstl", lr=5e-4)
