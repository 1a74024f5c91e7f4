"""LSTM encoder-decoders (Srivastava, Mansimov & Salakhutdinov 2015), with the original's sizes and training.

2048 units, composite and conditional; losses summed over pixels, frames and clips; gradient descent with clipped
updates at 1e-4, a tenth less every 10,000 updates, decay 1e-4 but not of biases. Matrices start uniform in +-0.01,
peepholes in +-0.1, biases at zero. Not kept: at test the reconstruction is fed its own frames (the original
fed it the true ones: `--set evaluate.compat=srivastava` measures both). The last weights are kept; the original
stopped by hand.

Sizes are those of the public configs: 10 + 10 frames, of digits and of patches. The paper's clips of patches have
16 + 13 (`--context 16 --horizon 13`), as those of percepts and flow here, of which no config is public.

The percepts are files of features in the folder that `--root` names; flow is made from any videos given with --data.
"""

from __future__ import annotations

from typing import Any

from nextframe.data import DataConfig
from nextframe.training.recipe import ModelSection, Recipe, TrainingConfig

LONG, SHORT = 10_000_000, 100_000  # updates: of digits, of patches


def _recipe(data: DataConfig, steps: int, batch: int, hidden: tuple[int, ...] = (2048,), **fields: Any) -> Recipe:
    training = TrainingConfig(
        precision="32",
        steps=steps,
        batch=batch,
        optimizer="clipped-sgd",
        lr=1e-4,
        weight_decay=1e-4,
        schedule="constant",
        seed=42,
        log_every=100,
        val_every=500,
        checkpoint_every=500,
        keep="last",
    )
    section = ModelSection(name="srivastava-composite", fields={"hidden": list(hidden), **fields})
    return Recipe(model=section, data=data, training=training)


_DIGITS = DataConfig(name="moving-digits", context=10, horizon=10, size=(64, 64), options={"digits": "mnist"})
_PATCHES = DataConfig(name="clips", context=10, horizon=10, size=(32, 32), color="rgb")
_PERCEPTS = DataConfig(name="percepts", context=16, horizon=13)
_FLOW = DataConfig(name="clips", context=16, horizon=13, size=(32, 32), color="rgb", kind="flow")

SRIVASTAVA_MNIST = _recipe(_DIGITS, LONG, 80)
SRIVASTAVA_MNIST_2LAYER = _recipe(_DIGITS, LONG, 80, hidden=(2048, 2048))
SRIVASTAVA_PATCHES = _recipe(_PATCHES, SHORT, 100, loss="squared")
SRIVASTAVA_PERCEPTS = _recipe(_PERCEPTS, SHORT, 100)  # squashed to [0, 1), taken as probabilities
SRIVASTAVA_FLOW = _recipe(_FLOW, SHORT, 100, loss="squared", zero=128 / 255)  # 128: no motion
