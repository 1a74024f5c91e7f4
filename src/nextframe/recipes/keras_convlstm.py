"""The Keras example "Next-Frame Video Prediction with Convolutional LSTMs" (A. Joshi, 2021).

Faithful to the example, its leak included: the last Conv3D is padded on both sides in time, so in training the
output at t sees frame t + 1, its own target. `convlstm` trains the causal form.

900 training clips in batches of 5 are 180 steps an epoch, 20 epochs; both callbacks of the example act once an epoch
on the validation loss. The example trains on the first 1,000 sequences of the public test file, 900 of them for
training: `--data moving-mnist --set data.options.train=file` does, and measures on the other 9,000. The default is the
same motion from generated digits, and so is what `--data moving-mnist` alone trains on.

`keras-convlstm-2016` is its predecessor (jeammimi, 2016) as last revised in 2020: four layers of 40 maps on 900 clips
of moving squares, 200 epochs of 90 steps, Adadelta at the rate of 1e-3 that tf.keras has by default and that its
printed losses are of; the Keras of 2016 had 1 (`--lr 1`). 15 noisy frames are read, the clean one after each is
predicted; the example's figure shows seven frames and what follows them.
"""

from __future__ import annotations

from nextframe.data import DataConfig
from nextframe.training.recipe import ModelSection, Recipe, TrainingConfig

KERAS_CONVLSTM = Recipe(
    model=ModelSection(name="convlstm-keras"),
    data=DataConfig(name="moving-digits", context=10, horizon=10),
    training=TrainingConfig(
        precision="32",
        steps=3600,
        batch=5,
        optimizer="keras-adam",
        lr=1e-3,
        schedule="plateau",
        plateau_patience=5,
        plateau_factor=0.1,
        early_stopping=10,
        monitor="val/loss",
        keep="last",
        val_every=180,
        checkpoint_every=20,
        log_every=10,
        val_clips=100,
    ),
)

KERAS_CONVLSTM_2016 = Recipe(
    model=ModelSection(
        name="convlstm-keras",
        fields={
            "hidden": [40] * 4,
            "kernels": [3] * 4,
            "activation": "tanh",
            "gate": "hard_sigmoid",
            "norm": "batch-all",
        },
    ),
    data=DataConfig(name="moving-squares", context=7, horizon=9),
    training=TrainingConfig(
        precision="32",
        steps=200 * 90,
        batch=10,
        optimizer="adadelta",
        lr=1e-3,
        schedule="constant",
        monitor="val/loss",
        keep="last",
        val_every=90,
        checkpoint_every=90,
        log_every=10,
        val_clips=100,
    ),
)
