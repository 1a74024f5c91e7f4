"""The standard Moving MNIST benchmark, and moving Fashion-MNIST.

Source: Srivastava et al. 2015, http://www.cs.toronto.edu/~nitish/unsupervised_video; the digits are MNIST's (usually
stated CC BY-SA 3.0), Fashion-MNIST is MIT. A local copy of the test file is `mnist_test_seq.npy`, (20, 10000, 64, 64)
uint8, time first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from nextframe.core.clip import Clip
from nextframe.core.errors import BadInputError, UserError
from nextframe.core.files.mapped import check_whole
from nextframe.data.clipset import DataConfig, Indices, Split, check_indices
from nextframe.data.sets.download import fetch
from nextframe.data.sets.moving_digits import MovingDigits, MovingDigitsConfig

TEST_FILE = "mnist_test_seq.npy"
OWN, VAL = 1_000, 100  # sequences of it that the Keras example trains on, and those of them for validation
TEST_URL = f"http://www.cs.toronto.edu/~nitish/unsupervised_video/{TEST_FILE}"
TEST_CHECKSUM = "md5:be083ec986bfe91a449d63653c411eb2"


class MovingMnistConfig(MovingDigitsConfig):
    """Options of the data set `moving-mnist`: by default train and val are generated, test is the fixed file."""

    digits: str = Field("mnist", description="embedded, mnist, fashion, or a path to idx files")
    train: Literal["generated", "file"] = Field(
        "generated", description="file: its first 900 sequences, the next 100 for val, and the others for test"
    )
    test: Literal["file", "generated"] = Field("file", description="file: the fixed file of the field")
    file: str | None = Field(None, description="mnist_test_seq.npy or its folder; null: downloaded once (820 MB)")


def open_moving_mnist(config: DataConfig) -> MovingMnist:
    """Return Moving MNIST as the field uses it; `config.options` are those of `MovingMnistConfig`."""
    return MovingMnist(config, MovingMnistConfig.parse(config.options, "options of moving-mnist"))


def open_fashion(config: DataConfig) -> MovingDigits:
    """Return moving digits with Fashion-MNIST's clothes for digits; options are those of `MovingDigitsConfig`."""
    options = MovingDigitsConfig.parse({"digits": "fashion", **config.options}, "options of fashion")
    clips = MovingDigits(config, options)
    clips.name = "fashion"
    return clips


class MovingMnist(MovingDigits):
    """Clips generated from MNIST's training digits for train and val; the standard 10,000 sequences for test.

    With `train=file` all three are of the file, as in the Keras example: no sequence is in two splits.
    """

    name = "moving-mnist"

    def __init__(self, config: DataConfig, options: MovingMnistConfig) -> None:
        super().__init__(config, options)
        if options.train == "file" and options.test != "file":
            raise UserError("moving-mnist: train=file takes test from the same file; omit test=generated")
        self._fixed = self._open_file(options.file) if options.test == "file" else None
        self._places: dict[Split, slice] = {}  # of the file's sequences
        if self._fixed is not None:
            self._places = self._parts(self._fixed.shape[1]) if options.train == "file" else {"test": slice(0, None)}

    @staticmethod
    def _parts(sequences: int) -> dict[Split, slice]:
        """Return the splits of the Keras example, and the rest of the file for test."""
        if sequences <= OWN:
            raise UserError(f"moving-mnist: train=file needs more than {OWN} sequences, the file has {sequences}")
        return {"train": slice(0, OWN - VAL), "val": slice(OWN - VAL, OWN), "test": slice(OWN, None)}

    def _sequences(self, split: Split) -> NDArray[np.uint8] | None:
        """Return the sequences (T, N, H, W) of a split that is of the file."""
        return None if self._fixed is None or split not in self._places else self._fixed[:, self._places[split]]

    def count(self, split: Split) -> int | None:
        """Return the sequences of the file for what is of the file."""
        fixed = self._sequences(split)
        return super().count(split) if fixed is None else int(fixed.shape[1])

    def read(self, split: Split, indices: Indices) -> Clip:
        """Return clips `indices`; those of the file are its sequences in its own order, from their first frame."""
        fixed = self._sequences(split)
        if fixed is None:
            return super().read(split, indices)
        check_indices(self, split, indices)
        check_whole(fixed, Path(str(getattr(fixed, "filename", self.name))))
        frames = fixed[: self._span : self.stride, indices]  # (T, B, H, W)
        clips = torch.from_numpy(np.ascontiguousarray(frames.swapaxes(0, 1))).unsqueeze(2)
        return self._clip(clips)

    @property
    def _span(self) -> int:
        return (self.task.length - 1) * self.stride + 1

    def _open_file(self, name: str | None) -> NDArray[np.uint8]:
        path = Path(name).expanduser() if name else fetch(TEST_URL, TEST_CHECKSUM, "moving-mnist")
        sequences = open_sequences(path / TEST_FILE if path.is_dir() else path)
        if self._span > len(sequences):
            raise UserError(f"moving-mnist has {len(sequences)} frames a sequence, the clips need {self._span}")
        if self.frame_shape[1:] != sequences.shape[2:]:
            height, width = sequences.shape[2:]
            raise UserError(f"the frames of {path.name} are {height}x{width}; omit size, or set test=generated")
        return sequences


def open_sequences(path: Path) -> NDArray[np.uint8]:
    """Return a time-first array file (T, N, H, W) uint8, mapped and not loaded.

    Raises:
        BadInputError: not a .npy file, damaged, or of another shape or type.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise BadInputError(path, f"could not be read ({error.strerror or error})") from None
    except (ValueError, EOFError):
        raise BadInputError(path, "not a .npy file of numbers, or truncated", f"expected {TEST_FILE}") from None
    if not isinstance(array, np.ndarray) or array.dtype != np.uint8 or array.ndim != 4 or 0 in array.shape:
        found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else "several arrays"
        raise BadInputError(path, f"holds {found}", "expected uint8 (20, sequences, 64, 64), time first")
    return array
