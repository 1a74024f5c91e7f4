"""Codes on disk: every frame that training clips are cut from is encoded once, and clips of codes are read back.

The file is mapped and not loaded, and frames are encoded as they are read, so a long video needs no more memory than
a short one.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nextframe.core.clip import Clip, EncodedClip
from nextframe.core.files.mapped import check_whole
from nextframe.core.files.room import room_for
from nextframe.data.clipset import ClipSet, Indices, Split
from nextframe.models.contract import Encode, Predictor

LOG = logging.getLogger(__name__)
LOOK = 1024  # clips whose frame ids are looked up at a time
READ = 16  # clips read at a time
ENCODE = 256  # frames encoded at a time
SAY_EVERY = 10.0  # seconds between lines


class EncodedClips(ClipSet):
    """The training clips of another clip set as latents; `path` holds them by frame id, (rows, 2, D) float32."""

    def __init__(self, clips: ClipSet, path: Path, count: int) -> None:
        self.name, self.task, self.fps = clips.name, clips.task, clips.fps
        self.clips, self.path, self._count = clips, path, count
        self._rows = self._open()
        self.frame_shape = (2, 1, int(self._rows.shape[2]))

    def _open(self) -> NDArray[np.float32]:
        rows: NDArray[np.float32] = np.load(self.path, mmap_mode="r", allow_pickle=False)
        return rows

    def count(self, split: Split) -> int:
        """Return how many clips there are; only those of train were encoded."""
        return self._count if split == "train" else 0

    def source(self, split: Split, index: int) -> str:
        """Return the source that the frames of clip `index` came from."""
        return self.clips.source(split, index)

    def read(self, split: Split, indices: Indices) -> Clip:
        """Return clips `indices` of train, in that order."""
        if split != "train":
            raise ValueError("latents of train only are kept on disk")
        check_whole(self._rows, self.path)
        rows = self._rows[self.clips.frame_ids("train", indices)]  # (B, T, 2, D)
        latents = torch.from_numpy(np.ascontiguousarray(rows)).to(torch.get_default_dtype()).unsqueeze(3)
        return EncodedClip(latents[:, list(self.task.given)], latents[:, list(self.task.asked)])

    def __getstate__(self) -> dict[str, Any]:
        """Drop the mapped file when this is pickled: another process opens it again."""
        return {name: value for name, value in self.__dict__.items() if name != "_rows"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._rows = self._open()


def encode_clips(clips: ClipSet, folder: Path, encode: Encode, device: torch.device | str = "cpu") -> EncodedClips:
    """Return the training clips of `clips` as codes, encoded into `folder`/FINGERPRINT-COUNT.npy unless that is there.

    Args:
        clips: what to encode; of an endless split the first `encode.limit` clips.
        folder: where the file is written, under a temporary name until it is whole.
        encode: the encoder; another one's codes are never taken.
        device: where the encoder's weights are.
    """
    count = clips.count("train")
    count = encode.limit if count is None else count
    path = folder / f"{_fingerprint(encode.encoder)}-{count}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        _write(temporary, clips, count, lambda indices, fresh: _encoded(clips, indices, fresh, encode, device))
        os.replace(temporary, path)
    return EncodedClips(clips, path, count)


def _fingerprint(encoder: nn.Module) -> str:
    """Return a hash of the weights of `encoder`, and of its settings if it is a predictor."""
    digest = hashlib.sha256(encoder.config.model_dump_json().encode() if isinstance(encoder, Predictor) else b"")
    for name, value in sorted([*encoder.named_parameters(), *encoder.named_buffers()], key=itemgetter(0)):
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


@torch.no_grad()
def _encoded(clips: ClipSet, indices: Indices, fresh: NDArray[np.bool_], encode: Encode, device: Any) -> Tensor:
    """Return the codes (N, 2, D) of the `fresh` frames (B, T) of clips `indices` (B,)."""
    clip = clips.on_device("train", clips.read("train", indices), device)
    frames = in_order(clip, clips)[torch.from_numpy(fresh).to(device)]
    return torch.cat([encode.frames(part).float().cpu() for part in torch.split(frames, ENCODE)])


def _write(path: Path, clips: ClipSet, count: int, encoded: Callable[[Indices, NDArray[np.bool_]], Tensor]) -> None:
    """Write the latents of every frame to `path`, or the rest of them if a killed run left a part."""
    started = said = time.monotonic()
    total = 1 + max(int(ids.max()) for _, ids in _looked_up(clips, count))
    reached = path.with_suffix(".reached")  # how many frames are written for certain
    done, before = 0, int(reached.read_text() or 0) if reached.exists() and path.exists() else 0
    rows = np.lib.format.open_memmap(path, mode="r+") if before else None
    for indices, ids, fresh in _new_frames(clips, count, total):
        done += int(fresh.sum())
        if done <= before:
            continue
        latents = encoded(indices, fresh)
        if rows is None:
            shape = (total, *latents.shape[1:])
            rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
            _take_room(path)
        rows[ids[fresh]] = latents.numpy()
        if time.monotonic() - said > SAY_EVERY:
            said = time.monotonic()
            rows.flush()
            reached.write_text(str(done))
            LOG.info("latents: %d frames of %d encoded", done, total)
    assert rows is not None  # a split without clips was refused before
    rows.flush()
    reached.unlink(missing_ok=True)
    LOG.info("latents: %d frames encoded in %.0f s", done - before, time.monotonic() - started)


def _take_room(path: Path) -> None:
    """Take the disk's room for all of the file now: where it is missing later, a mapped file ends the process."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file, room_for(path, path.stat().st_size):
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _looked_up(clips: ClipSet, count: int) -> Iterator[tuple[Indices, Indices]]:
    """Yield clips and their frame ids (N, T), a bounded number at a time."""
    for first in range(0, count, LOOK):
        indices = np.arange(first, min(first + LOOK, count), dtype=np.int64)
        yield indices, clips.frame_ids("train", indices)


def _new_frames(clips: ClipSet, count: int, total: int) -> Iterator[tuple[Indices, Indices, NDArray[np.bool_]]]:
    """Yield clips to read (N,), their frames' ids (N, T) and which of those are new (N, T): every id once.

    Clips overlap: those that hold no frame of another come first, then those with any frame that is still missing.
    """
    seen = np.zeros(total, dtype=bool)
    for enough in (np.all, np.any):
        for indices, ids in _looked_up(clips, count):
            fresh = np.zeros(ids.shape, dtype=bool)
            for row, clip_ids in enumerate(ids):
                if enough(~seen[clip_ids]):
                    fresh[row] = ~seen[clip_ids]
                    seen[clip_ids] = True
            wanted = np.flatnonzero(fresh.any(axis=1))
            for first in range(0, len(wanted), READ):
                part = wanted[first : first + READ]
                yield indices[part], ids[part], fresh[part]


def in_order(clip: Clip, clips: ClipSet) -> Tensor:
    """Return a clip's frames (B, T, C, H, W) in the order of `frame_ids`, by their offsets."""
    offsets = clips.task.given + clips.task.asked
    if sorted(offsets) != list(range(clips.task.length)):
        raise ValueError("latents are kept of tasks that use every frame of their span")
    return clip.frames[:, np.argsort(offsets).tolist()]
