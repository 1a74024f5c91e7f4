"""The cat-gif notebook and the catz benchmark (L. Biewald, Weights & Biases, 2019), model by model.

Each recipe is the original: its network with its faults (`models/originals/catz.py`), mean squared error, Keras's
Adam at 1e-3, batches of 32, its epochs as steps, and after each the perceptual distance and images of 15 clips. Each
`-fixed` recipe is the same budget with the faults corrected; docs/catz.md lists them. An epoch of the notebook is 52
steps, a quarter of its data; one of the benchmark's script is 200.

The data is a folder `catz` with train/ID/cat_0.jpg ... cat_4.jpg, cat_result.jpg, or any other with --data PATH.
"""

from __future__ import annotations

from typing import Any

from nextframe.data import DataConfig
from nextframe.models import ORIGINALS
from nextframe.training.recipe import ModelSection, Recipe, TrainingConfig

NOTEBOOK_EPOCH, BENCHMARK_EPOCH = 52, 200


def _recipe(model: str, steps: int, epoch: int = NOTEBOOK_EPOCH, **fields: Any) -> Recipe:
    training = TrainingConfig(
        balance="redrawn" if model in ORIGINALS else "clips",
        precision="32" if model in ORIGINALS else "auto",
        steps=steps,
        batch=32,
        optimizer="keras-adam",
        lr=1e-3,
        schedule="constant",
        val_every=epoch,
        checkpoint_every=epoch,
        val_clips=416,  # a quarter of the validation clips, in batches of 32
        metrics=("perceptual-distance",),
        samples=15,
        monitor="val/loss",
        keep="best",
    )
    options = {"across_cuts": True}  # each folder is one sequence, as it is
    data = DataConfig(name="catz", context=5, horizon=1, size=(96, 96), color="rgb", options=options)
    return Recipe(model=ModelSection(name=model, fields=fields), data=data, training=training)


CATZ_BASELINE = _recipe("catz-baseline-original", 2 * BENCHMARK_EPOCH, BENCHMARK_EPOCH)
CATZ_BASELINE_FIXED = _recipe("catz-baseline", 2 * BENCHMARK_EPOCH, BENCHMARK_EPOCH)
CATZ_CONV2D = _recipe("catz-conv2d", 10 * NOTEBOOK_EPOCH)
CATZ_CONV2D_FIXED = _recipe("conv2d", 10 * NOTEBOOK_EPOCH)
CATZ_CONV3D = _recipe("catz-conv3d", 100 * NOTEBOOK_EPOCH)
CATZ_CONV3D_FIXED = _recipe("conv3d", 100 * NOTEBOOK_EPOCH)
CATZ_CONV3D_NOISE = _recipe("catz-conv3d", 100 * NOTEBOOK_EPOCH, noise=0.1)
CATZ_CONV3D_NOISE_FIXED = _recipe("conv3d", 100 * NOTEBOOK_EPOCH, noise=0.1)
CATZ_CONVLSTM = _recipe("catz-convlstm", 40 * NOTEBOOK_EPOCH)
CATZ_CONVLSTM_FIXED = _recipe("convlstm-residual", 40 * NOTEBOOK_EPOCH)
CATZ_AUTOENCODER = _recipe("catz-autoencoder", 10 * NOTEBOOK_EPOCH)
CATZ_AUTOENCODER_FIXED = _recipe("convlstm-autoencoder", 10 * NOTEBOOK_EPOCH)
