"""Arrays: axes x kinds of numbers, one sequence or many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corpus.case import EXACT, ROUNDED, Case, Frames, in_grey, over_black, scene, veil

RGB = scene()  # (T, H, W, C)
GREY = in_grey(RGB)
RGBA = np.concatenate([RGB, veil()], -1)
BATCH = np.stack([RGB, RGB[::-1], 255 - RGB])  # (N, T, H, W, C)
# name, colours, kind of numbers, the axes that are guessed, what is set besides
ARRAYS: tuple[tuple[str, str, str, str, dict[str, Any]], ...] = (
    ("thw.npy", "grey", "uint8", "THW", {}),
    ("thwc.npy", "RGB", "uint8", "THWC", {}),
    ("tchw.npy", "RGB", "uint8", "TCHW", {}),
    ("thwc-1.npy", "grey", "uint8", "THWC", {}),
    ("thwc-4.npy", "RGBA", "uint8", "THWC", {}),
    ("hwt.npy", "grey", "uint8", "HWT", {"layout": "HWT"}),
    ("cthw.npy", "RGB", "uint8", "CTHW", {"layout": "CTHW"}),
    ("bool.npy", "black and white", "bool", "THW", {}),
    ("int64.npy", "RGB", "int64", "THWC", {}),
    ("uint16-low.npy", "grey", "uint16", "THW", {}),
    ("big-endian.npy", "grey", ">u2", "THW", {}),
    ("float16.npy", "RGB, 0 to 1", "float16", "THWC", {}),
    ("float32.npy", "RGB, 0 to 1", "float32", "THWC", {}),
    ("float64.npy", "grey, 0 to 1", "float64", "THW", {}),
    ("twelve-bits.npy", "grey, 0 to 4095", "uint16", "THW", {"range": (0, 4095)}),
    ("signed.npy", "RGB, -1 to 1", "float32", "THWC", {"range": (-1, 1)}),
    ("fortran.npy", "RGB", "uint8", "THWC", {}),
    ("one.npz", "RGB", "uint8", "THWC", {}),
    ("packed.npz", "grey", "uint8", "THW", {}),
    ("nthwc.npy", "3 sequences, RGB", "uint8", "NTHWC", {}),
    ("ntchw.npy", "3 sequences, RGB", "uint8", "NTCHW", {}),
    ("nthw.npy", "3 sequences, grey", "uint8", "NTHW", {}),
    ("tnhw.npy", "3 sequences, grey", "uint8", "TNHW", {"layout": "TNHW"}),
    ("tnhwc.npy", "3 sequences, RGB", "float32", "TNHWC", {"layout": "TNHWC"}),
)
QUICK = {"tchw.npy", "float32.npy", "nthw.npy"}


def shown(colours: str) -> NDArray[np.uint8]:
    """Return what must be seen of an array of these colours, (T, H, W, C), or (N, T, H, W, C) of many sequences."""
    if colours.startswith("black"):
        return np.where(GREY > 127, 255, 0).astype(np.uint8)
    frames = BATCH if colours.startswith("3") else RGBA if colours == "RGBA" else RGB
    return frames if "RGB" in colours else np.stack([in_grey(f) for f in frames]) if frames.ndim == 5 else GREY


def stored(row: tuple[str, str, str, str, dict[str, Any]]) -> NDArray[Any]:
    """Return the array that is written: the frames in its numbers, with its axes."""
    _, colours, kind, axes, reading = row
    values: NDArray[Any] = shown(colours)
    low, high = reading.get("range", (0, 1 if kind.startswith("float") else 255))
    if kind == "bool":
        values = values > 0
    elif (low, high) != (0, 255):
        values = values / 255 * (high - low) + low
        values = values if kind.startswith("float") else np.rint(values)
    order = "NTHWC"[5 - values.ndim :]
    array = np.einsum(f"{order}->{axes if 'C' in axes else axes + 'C'}", values) if kind != "bool" else values
    array = (array if "C" in axes else array[..., 0]).astype(kind)
    return np.asfortranarray(array) if row[0].startswith("fortran") else array


def _save(path: Path, array: NDArray[Any]) -> None:
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.stem == "packed":
        np.savez_compressed(path, frames=array, labels=np.arange(6))
    else:
        np.savez(path, array)


def _array(row: tuple[str, str, str, str, dict[str, Any]]) -> list[Case]:
    """Return a case for each sequence of the array."""
    name, colours, kind, axes, reading = row
    many = colours.startswith("3")

    def case(number: int) -> Case:
        def make(path: Path) -> Frames:
            _save(path, stored(row))
            frames = shown(colours)
            return over_black(frames[number] if many else frames)

        def second(path: Path) -> Frames:
            return by_numpy(path, row, number)

        near = ROUNDED if "range" in reading or kind == "float16" else EXACT
        said = "".join(f", {key}={list(v) if key == 'range' else v}" for key, v in reading.items())
        words = f"{colours}, {kind}, axes {axes}{said and ', with ' + said[2:]}"
        says = f"are read as {axes}"
        return Case(name, words, make, second, near, ROUNDED, None, says, reading, name in QUICK, number)

    return [case(number) for number in range(3 if many else 1)]


def by_numpy(path: Path, row: tuple[str, str, str, str, dict[str, Any]], number: int) -> Frames:
    """Read an array with NumPy, take sequence `number` and put the axes in order, one after another."""
    _, _, kind, axes, reading = row
    loaded = np.load(path)
    values = loaded if path.suffix == ".npy" else loaded[loaded.files[0]]
    if "N" in axes:
        values, axes = values.take(number, axes.index("N")), axes.replace("N", "")
    values = values if "C" in axes else np.expand_dims(values, -1)
    axes = axes if "C" in axes else axes + "C"
    values = np.moveaxis(values, [axes.index(axis) for axis in "THWC"], range(4)).astype(np.float64)
    low, high = reading.get("range", (0, 1 if kind.startswith(("float", "bool")) else 255))
    return over_black(np.rint((values - low) / (high - low) * 255).astype(np.uint8))


CASES = [case for row in ARRAYS for case in _array(row)]
