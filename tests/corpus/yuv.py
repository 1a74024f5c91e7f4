"""Frames for encoders in any pixel format, by the formulas of ITU-R BT.601, 709 and 2020, and the way back."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from corpus.case import Frames, in_grey

KR_KB = {"601": (0.299, 0.114), "709": (0.2126, 0.0722), "2020": (0.2627, 0.0593)}
TAGS = {"601": 5, "709": 1, "2020": 9}  # ISO 23091-2, matrix coefficients; without constant luminance
PACKED = ("rgb24", "bgr24", "bgr0", "rgb48le")
Plane = NDArray[Any]


def to_frame(image: Frames, form: str, matrix: str = "601", full: bool = False, alpha: Frames | None = None) -> Any:
    """Return a PyAV frame in pixel format `form` that shows `image` (H, W, 3), its planes computed here."""
    height, width = image.shape[:2]
    if form in PACKED:
        return av.VideoFrame.from_ndarray(image, "rgb24").reformat(format=form)
    if form in ("bgra", "argb"):
        assert alpha is not None
        return av.VideoFrame.from_ndarray(np.concatenate([image, alpha], -1), "rgba").reformat(format=form)
    frame = av.VideoFrame(width, height, form)
    components = frame.format.components
    planes = _planes(image, form, components[0].bits, matrix, full)
    if alpha is not None:
        planes.append(alpha[..., 0] / 255 * (2 ** components[-1].bits - 1))
    if form == "ya8":
        _fill(frame.planes[0], np.stack(planes, -1).reshape(height, -1), 8)
        return frame
    for part, plane in zip(components, planes, strict=True):
        _fill(frame.planes[part.plane], _shrunk(plane, part.height, part.width), part.bits)
    return frame


def _planes(image: Frames, form: str, bits: int, matrix: str, full: bool) -> list[Plane]:
    """Return the components of an image at full resolution, not rounded."""
    top = 2**bits - 1
    values = image / 255
    if form.startswith("gbr"):
        return [values[..., channel] * top for channel in range(3)]
    if form.startswith(("gray", "ya")):
        return [in_grey(image[None])[0, ..., 0] / 255 * top]
    kr, kb = KR_KB[matrix]
    red, green, blue = np.moveaxis(values, -1, 0)
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    chroma = (blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr)
    if full or form.startswith("yuvj"):
        return [luma * top, *(part * top + 2 ** (bits - 1) for part in chroma)]
    step = 2 ** (bits - 8)
    return [(16 + 219 * luma) * step, *((128 + 224 * part) * step for part in chroma)]


def _shrunk(plane: Plane, height: int, width: int) -> Plane:
    """Return the means of blocks, so that `height` x `width` are left."""
    tall, wide = -(-plane.shape[0] // height), -(-plane.shape[1] // width)
    padded = np.pad(plane, ((0, height * tall - plane.shape[0]), (0, width * wide - plane.shape[1])), mode="edge")
    return np.asarray(padded.reshape(height, tall, width, wide).mean((1, 3)))


def _fill(plane: Any, values: Plane, bits: int) -> None:
    form = np.dtype("u1" if bits <= 8 else "<u2")
    rows = np.ascontiguousarray(np.rint(values).clip(0, 2**bits - 1).astype(form)).view(np.uint8)
    whole = np.zeros((plane.buffer_size // plane.line_size, plane.line_size), np.uint8)
    whole[: len(rows), : rows.shape[1]] = rows
    plane.update(whole.tobytes())


def from_frame(frame: Any) -> Frames:
    """Return a decoded frame of YUV planes, limited BT.601, as RGB (H, W, 3); each chroma value covers its block."""
    parts = []
    for part in frame.format.components:
        plane = frame.planes[part.plane]
        values = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: part.height].copy()
        values = values.view("u1" if part.bits <= 8 else "<u2")[:, : part.width] / 2 ** (part.bits - 8)
        tall, wide = -(-frame.height // part.height), -(-frame.width // part.width)
        parts.append(values.repeat(tall, 0).repeat(wide, 1)[: frame.height, : frame.width])
    luma, blue, red = (parts[0] - 16) / 219, (parts[1] - 128) / 224, (parts[2] - 128) / 224
    kr, kb = KR_KB["601"]
    red, blue = luma + red * (2 - 2 * kr), luma + blue * (2 - 2 * kb)
    green = (luma - kr * red - kb * blue) / (1 - kr - kb)
    return np.rint(np.stack([red, green, blue], -1).clip(0, 1) * 255).astype(np.uint8)
