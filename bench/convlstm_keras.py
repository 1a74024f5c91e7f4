"""Keras's side of bench/convlstm.py: obeys "start N", "step", "memory" and "predict" on standard input.

The network of the Keras example, trained as `fit` would: a compiled `train_on_batch`.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import tensorflow
from keras import layers


def network() -> keras.Model:
    """Return the example's network, compiled with its loss and optimiser."""
    frames = layers.Input((None, 64, 64, 1))
    options = {"padding": "same", "return_sequences": True, "activation": "relu"}
    x = layers.ConvLSTM2D(64, (5, 5), **options)(frames)
    x = layers.BatchNormalization()(x)
    x = layers.ConvLSTM2D(64, (3, 3), **options)(x)
    x = layers.BatchNormalization()(x)
    x = layers.ConvLSTM2D(64, (1, 1), **options)(x)
    x = layers.Conv3D(1, (3, 3, 3), activation="sigmoid", padding="same", dtype="float32")(x)
    model = keras.Model(frames, x)
    model.compile(loss=keras.losses.binary_crossentropy, optimizer=keras.optimizers.Adam())
    return model


class Side:
    """The compiled network and one batch, channels last."""

    def __init__(self, precision: str, folder: Path, batch: int) -> None:
        if precision == "bfloat16":
            keras.mixed_precision.set_global_policy("mixed_bfloat16")
        self.folder, self.given = folder, np.load(folder / "start.npz")
        frames = np.moveaxis(self.given["frames"], 2, -1)
        if len(frames) != batch:
            raise SystemExit("start nextframe's side first: it writes the batch")
        self.x, self.y = frames[:, :-1], frames[:, 1:]
        self.model = network()
        self.set_weights()

    def set_weights(self) -> None:
        """Take over nextframe's starting weights, and the normalisation as new."""
        recurrent = [layer for layer in self.model.layers if isinstance(layer, layers.ConvLSTM2D)]
        for index, layer in enumerate(recurrent):
            layer.set_weights([self.given[f"lstm{3 * index + part}"] for part in range(3)])
        self.model.layers[-1].set_weights([self.given["head0"], self.given["head1"]])
        for layer in self.model.layers:
            if isinstance(layer, layers.BatchNormalization):
                size = layer.gamma.shape[0]
                layer.set_weights([np.ones(size), np.zeros(size), np.zeros(size), np.ones(size)])

    def step(self) -> dict[str, float]:
        """Do one training step."""
        began, used = time.perf_counter(), time.process_time()
        loss = float(self.model.train_on_batch(self.x, self.y))
        return {
            "seconds": time.perf_counter() - began,
            "processor": time.process_time() - used,
            "loss": loss,
        }

    def predict(self) -> dict[str, float]:
        """Write the output of the starting weights on the batch, as at inference."""
        self.set_weights()
        out = self.model.predict_on_batch(self.x)
        np.save(self.folder / "keras.npy", np.moveaxis(np.asarray(out), -1, 2))
        return {}


def main() -> None:
    """Answer each line of standard input with one line of JSON."""
    precision, folder = sys.argv[1], Path(sys.argv[2])
    for line in sys.stdin:
        word, *rest = line.split()
        if word == "start":
            side = Side(precision, folder, int(rest[0]))
            answer = {"tensorflow": tensorflow.__version__, "keras": keras.__version__}
        elif word == "memory":
            answer = {"bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
        else:
            answer = side.step() if word == "step" else side.predict()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
