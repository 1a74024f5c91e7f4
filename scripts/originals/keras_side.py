"""Keras's part of keras_convlstm.py, run by an interpreter that has TensorFlow: python keras_side.py FOLDER VERSION.

Reads given.npz of FOLDER and writes what Keras 3, or Keras 2 (tf_keras), makes of it, and the files that it saves.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

VERSION = sys.argv[2]
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["KERAS_BACKEND"] = "tensorflow"
if VERSION == "2":
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import tf_keras as keras
else:
    import keras
import tensorflow as tf  # noqa: E402


def network(hidden: list[int], kernels: list[int], shape: list[int]) -> Any:
    """Return the example's network, line by line, in other sizes."""
    layers = keras.layers
    frames = layers.Input((None, *shape))
    x = frames
    for index, (width, kernel) in enumerate(zip(hidden, kernels, strict=True)):
        x = layers.BatchNormalization()(x) if index else x
        options = {"padding": "same", "return_sequences": True, "activation": "relu"}
        x = layers.ConvLSTM2D(filters=width, kernel_size=(kernel, kernel), **options)(x)
    x = layers.Conv3D(filters=1, kernel_size=(3, 3, 3), activation="sigmoid", padding="same")(x)
    return keras.models.Model(frames, x)


def compute_in(dtype: str) -> None:
    """Make layers from now on of `dtype`, and their constants too."""
    keras.backend.set_floatx(dtype)
    keras.mixed_precision.set_global_policy(dtype)


def predicted(model: Any, context: np.ndarray, horizon: int) -> np.ndarray:
    """Return what the example's loop gives: the whole sequence is predicted, and its last frame joins it."""
    frames = tf.constant(context)
    for _ in range(horizon):
        frames = tf.concat([frames, model(frames, training=False)[:, -1:]], axis=1)
    return frames.numpy()[:, context.shape[1] :]


def trained(model: Any, frames: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the loss of one training step and the gradient of the first kernel."""
    with tf.GradientTape() as tape:
        made = model(tf.constant(frames[:, :-1]), training=True)
        loss = tf.reduce_mean(keras.losses.binary_crossentropy(tf.constant(frames[:, 1:]), made))
    return float(loss), tape.gradient(loss, model.trainable_weights[0]).numpy()


def save(model: Any, folder: Path) -> None:
    """Save the network in each form, as its users do."""
    model.compile(loss="binary_crossentropy", optimizer=keras.optimizers.Adam())
    if VERSION == "2":
        model.save(folder / "saved-2", save_format="tf")
        model.save_weights(folder / "weights-2.h5", save_format="h5")
        return
    model.save_weights(folder / "convlstm.weights.h5")
    model.save(folder / "convlstm.keras")
    model.save(folder / "convlstm.h5")
    model.export(folder / "exported")
    tf.saved_model.save(model, str(folder / "saved"))


def main() -> None:
    """Compute in float64, then save and compute in float32."""
    folder = Path(sys.argv[1])
    given = np.load(folder / "given.npz")
    sizes = json.loads(str(given["sizes"]))
    frames, weights = given["frames"], [given[f"weight{index}"] for index in range(sizes.pop("weights"))]
    context, horizon = sizes.pop("context"), frames.shape[1]
    compute_in("float64")
    model = network(**sizes)
    model.set_weights(weights)
    output = predicted(model, frames[:, :context], horizon - context)
    loss, gradient = trained(model, frames)
    compute_in("float32")
    model = network(**sizes)
    model.set_weights(weights)
    save(model, folder / "files")
    single = predicted(model, frames[:, :context].astype(np.float32), horizon - context)
    versions = np.array(f"Keras {keras.__version__}, TensorFlow {tf.__version__}")
    made = {"output": output, "loss": loss, "gradient": gradient, "single": single, "versions": versions}
    np.savez(folder / f"keras-{VERSION}.npz", **made)


if __name__ == "__main__":
    main()
