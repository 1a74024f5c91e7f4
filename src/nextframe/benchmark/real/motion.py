"""What moves in a clip: nothing, the camera, or objects, judged by the optical flow to the first target frame."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from nextframe.flow.dis import dense_flow

Motion = Literal["still", "camera", "objects"]
MOTIONS: tuple[Motion, ...] = ("still", "camera", "objects")
SLOW = 0.5  # pixels a frame: what moves less is still
FEW = 0.05  # of the pixels: if fewer move, the frame is still
MOST = 0.7  # of the pixels: if as many agree with one motion of the whole frame, it is the camera's
LOOSE = 0.1  # of its length: how far a flow may be from that motion, besides SLOW
ROUNDS = 5  # fits, each to the pixels that agreed with the one before
Floats = NDArray[np.float64]


def class_of_motion(last: Tensor, following: Tensor) -> Motion:
    """Return the class of the motion from the last context frame to the first target frame, both uint8 (C, H, W).

    Still: under 5 % of the pixels move by more than half a pixel, by DIS flow. Camera: one affine motion (shift,
    zoom, rotation, shear) that is not still fits the flow of 70 % of the pixels, within half a pixel and 10 % of its
    length. Objects: all others.
    """
    flow = dense_flow(last[None], following[None])[0].double().numpy()
    return class_of_flow(flow)


def class_of_flow(flow: Floats) -> Motion:
    """Return the class of a flow (2, H, W) in pixels, as `class_of_motion` defines it."""
    if (np.hypot(*flow) > SLOW).mean() < FEW:
        return "still"
    whole, share = _whole_motion(flow)
    moves = np.hypot(*whole).mean() > SLOW
    return "camera" if moves and share >= MOST else "objects"


def _whole_motion(flow: Floats) -> tuple[Floats, float]:
    """Return the affine flow (2, H, W) that most pixels agree with, and the share of those that do.

    The fits start from the median flow.
    """
    height, width = flow.shape[1:]
    down, across = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].reshape(2, -1)
    places = np.stack([np.ones_like(down), across, down], 1)  # (N, 3)
    vectors = flow.reshape(2, -1).T  # (N, 2)
    fitted = np.broadcast_to(np.median(vectors, 0), vectors.shape)
    agree = _agree(vectors, fitted)
    for _ in range(ROUNDS):
        if agree.sum() < len(places[0]):
            break
        fitted = places @ np.linalg.lstsq(places[agree], vectors[agree], rcond=None)[0]
        agree = _agree(vectors, fitted)
    return fitted.T.reshape(flow.shape), float(agree.mean())


def _agree(vectors: Floats, fitted: Floats) -> NDArray[np.bool_]:
    distance = np.hypot(*(vectors - fitted).T)
    return np.asarray(distance < SLOW + LOOSE * np.hypot(*fitted.T))
