"""Baselines without an LSTM: logistic regression on features, and on single frames."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from numpy.typing import NDArray

from nextframe.core.seeds.seeding import numpy_generator
from nextframe.data.clipset import Indices
from nextframe.transfer.classifier import Probabilities, mean_by_video
from nextframe.transfer.videos import Make, Videos

BATCH = 256
MOST_ITERATIONS = 200
MOST_FRAMES = 5_000  # most frames that logistic regression is fitted to; a random subset of more
Rows = NDArray[np.float32]


def mean_features(features: Make, videos: Videos) -> Rows:
    """Return (V, D): each video's mean over its windows of `features` (N, D)."""
    windows, owners = videos.flat()
    rows = _rows(features, windows)
    return mean_by_video(rows, owners, len(videos)).astype(np.float32)


def probe(train: Rows, labels: Indices, test: Rows, classes: int) -> Probabilities:
    """Fit scikit-learn's logistic regression (C = 1, standardised columns); return probabilities (V, classes)."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(np.unique(labels)) < 2:  # only one class
        return np.asarray(np.eye(classes)[np.full(len(test), labels[0])])
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=MOST_ITERATIONS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the last digits of the weights do not matter
        model.fit(train, labels)
    whole = np.zeros((len(test), classes))
    whole[:, model[-1].classes_] = model.predict_proba(test)
    return whole


def single_frame(train: Videos, read_train: Make, test: Videos, read_test: Make, classes: int) -> Probabilities:
    """Classify videos by logistic regression on the first frame of each window, averaged over the windows."""
    windows, owners = train.flat()
    if len(windows) > MOST_FRAMES:
        kept = numpy_generator("single-frame").permutation(len(windows))[:MOST_FRAMES]
        windows, owners = windows[kept], owners[kept]
    rows = _rows(lambda own: read_train(own)[:, 0].flatten(1), windows)
    test_windows, test_owners = test.flat()
    test_rows = _rows(lambda own: read_test(own)[:, 0].flatten(1), test_windows)
    found = probe(rows, train.labels[owners], test_rows, classes)
    return mean_by_video(found, test_owners, len(test))


def _rows(make: Make, windows: Indices) -> Rows:
    with torch.no_grad():
        parts = [make(windows[first : first + BATCH]).float().cpu() for first in range(0, len(windows), BATCH)]
    return np.asarray(torch.cat(parts).numpy(), np.float32)
