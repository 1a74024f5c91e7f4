"""Digits for moving-digit clips: embedded ones, MNIST, Fashion-MNIST, or any idx file, in three disjoint splits."""

from __future__ import annotations

import gzip
import struct
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from nextframe.core.errors import BadInputError, UnknownNameError
from nextframe.data.clipset import Split
from nextframe.data.sets.download import fetch

Images = NDArray[np.uint8]

IDX_IMAGES = 0x0803  # unsigned bytes in three dimensions: how every idx file of images begins
MAX_BYTES = 1 << 30  # bytes of decoded images; a header that claims more is a mistake or an attack
MNIST_VAL = 5_000
EMBEDDED_SPLIT = (1_297, 1_497)  # train is before the first, validation between them, test after the second

DOWNLOADS = {  # name: (address, md5 of the training file, md5 of the test file)
    "mnist": (
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "9fb629c4189551a2d022fa330f9573f3",
    ),
    "fashion": (
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "bef4ecab320f06d8554ea6380940ec79",
    ),
}


@dataclass(frozen=True)
class DigitSplits:
    """Images (N, h, w) of each split; splits are disjoint, compared pixel by pixel."""

    train: Images
    val: Images
    test: Images

    def of(self, split: Split) -> Images:
        """Return the images of `split`."""
        return {"train": self.train, "val": self.val, "test": self.test}[split]


@cache
def open_digits(name: str) -> DigitSplits:
    """Return the digits called `name`, split into train, validation and test.

    * "embedded": scikit-learn's 1,797 handwritten digits, cut in file order into 1,297 / 200 / 300. Neighbours in the
      file are often by one writer, so blocks keep writers apart better than a shuffle would.
    * "mnist", "fashion": downloaded once. The t10k file is test, the last 5,000 of the train file validation.
    * a folder with train-images-idx3-ubyte(.gz) and t10k-images-idx3-ubyte(.gz): as mnist, with at most a tenth
      of the train file for validation.
    * a folder with one such file, or an idx file: in file order 80 % / 10 % / 10 %.

    Raises:
        UserError: an unknown name, a file that is not idx images, or no network for a download.
    """
    if name == "embedded":
        train, val, test = np.split(_embedded(), EMBEDDED_SPLIT)
        return _disjoint(train, val, test)
    if name in DOWNLOADS:
        return _from_two_files(*_download(name))
    path = Path(name).expanduser()
    if path.is_dir():
        return _from_folder(path)
    if path.is_file():
        return _from_one_file(path)
    raise UnknownNameError("digits or path", name, ["embedded", *DOWNLOADS])


def read_idx_images(path: Path) -> Images:
    """Return the images (N, h, w) of an idx file, plain or gzipped (told by content, not by name).

    Raises:
        BadInputError: another kind of file, a header that does not agree with the size, or a damaged gzip stream.
    """
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            return _read_idx(path, gzip.GzipFile(fileobj=raw) if zipped else raw)
    except EOFError:
        raise BadInputError(path, "the gzip stream ends too early", "fetch the file again") from None
    except (gzip.BadGzipFile, zlib.error):
        raise BadInputError(path, "the gzip stream is damaged", "fetch the file again") from None
    except OSError as error:
        raise BadInputError(path, f"could not be read ({error.strerror or error})") from None


def _read_idx(path: Path, file: BinaryIO | gzip.GzipFile) -> Images:
    header = file.read(16)
    if len(header) < 16 or header[:2] != b"\0\0":
        raise BadInputError(path, "not an idx file of images", "expected a file such as train-images-idx3-ubyte")
    magic, count, height, width = struct.unpack(">4I", header)
    if magic != IDX_IMAGES:
        raise BadInputError(path, f"idx magic {magic:#06x} is not images ({IDX_IMAGES:#06x})", "give the images")
    size = count * height * width
    if not 0 < size <= MAX_BYTES:
        raise BadInputError(path, f"the header says {count} images of {height}x{width}, which is impossible")
    body = file.read(size + 1)
    if len(body) != size:
        found = "more than that" if len(body) > size else f"{len(body):,}"
        raise BadInputError(path, f"the header says {size:,} bytes of images, the file has {found}")
    return np.frombuffer(body, np.uint8).reshape(count, height, width)


def _embedded() -> Images:
    """Scikit-learn's 8x8 digits (0..16), drawn about 20 px high in 28x28 like MNIST's, with MNIST's contrast."""
    from PIL import Image
    from sklearn.datasets import load_digits

    small = np.pad(load_digits().images.astype(np.float32) / 16, ((0, 0), (1, 1), (1, 1)))  # soft outer edges
    large = [Image.fromarray(digit).resize((26, 26), Image.Resampling.BICUBIC) for digit in small]
    sharp = np.clip((np.stack([np.asarray(digit) for digit in large]) - 0.35) / 0.5, 0, 1)
    return np.pad(np.rint(sharp * 255).astype(np.uint8), ((0, 0), (1, 1), (1, 1)))


def _download(name: str) -> tuple[Path, Path]:
    url, train, test = DOWNLOADS[name]
    return (
        fetch(f"{url}train-images-idx3-ubyte.gz", f"md5:{train}", name),
        fetch(f"{url}t10k-images-idx3-ubyte.gz", f"md5:{test}", name),
    )


def _from_folder(folder: Path) -> DigitSplits:
    files = sorted(folder.glob("*images[-.]idx3-ubyte*"))
    train = [file for file in files if file.name.startswith("train-")]
    test = [file for file in files if file.name.startswith("t10k-")]
    if train and test:
        return _from_two_files(train[0], test[0])
    if len(files) == 1:
        return _from_one_file(files[0])
    what = "no idx file of images" if not files else "several idx files of images, but not train-* and t10k-*"
    raise BadInputError(folder, what, "expected train-images-idx3-ubyte(.gz) and t10k-images-idx3-ubyte(.gz)")


def _from_two_files(train_file: Path, test_file: Path) -> DigitSplits:
    train, test = read_idx_images(train_file), read_idx_images(test_file)
    if train.shape[1:] != test.shape[1:]:
        raise BadInputError(test_file, f"images are {test.shape[1:]}, those of {train_file.name} {train.shape[1:]}")
    held = min(MNIST_VAL, max(1, len(train) // 10))
    return _disjoint(train[:-held], train[-held:], test, train_file)


def _from_one_file(path: Path) -> DigitSplits:
    images = read_idx_images(path)
    tenth = max(1, len(images) // 10)
    return _disjoint(images[: -2 * tenth], images[-2 * tenth : -tenth], images[-tenth:], path)


def _disjoint(train: Images, val: Images, test: Images, path: Path | str = "embedded") -> DigitSplits:
    """Drop from train what is in val or test, and from val what is in test, so that no test digit is trained on."""
    seen = {image.tobytes() for image in test}
    val = _without(val, seen)
    train = _without(train, seen | {image.tobytes() for image in val})
    if not (len(train) and len(val) and len(test)):
        raise BadInputError(path, "too few different images for three splits", "at least 3 are needed")
    return DigitSplits(train, val, test)


def _without(images: Images, seen: set[bytes]) -> Images:
    fresh = np.array([image.tobytes() not in seen for image in images], dtype=bool)
    return images if fresh.all() else images[fresh]
