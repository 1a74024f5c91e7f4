"""What weights are trained on: clip sets that take turns, each batch a function of (seed, number)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from nextframe.core.clip import Clip
from nextframe.core.errors import UserError
from nextframe.core.seeds.noise import clip_noise
from nextframe.data.clipset import ClipSet, batch_indices

Sets = Mapping[str, ClipSet]
AHEAD, THREADS = 6, 8  # batches read ahead for a GPU, and threads that read at most


class Feed:
    """Batches by number; while one is trained on, threads read the next, or on a GPU the next six."""

    def __init__(
        self, sets: Callable[[int], Sets], turns: Sequence[str], size: int, seed: int, device: torch.device | str
    ) -> None:
        """Open the clip sets.

        Args:
            sets: for a number of target frames, the endless clip sets by name.
            turns: names of sets; batch n is of turn n, turn after turn, those of which there is no set are skipped.
            size: clips of a batch.
            seed: the random seed.
            device: where clips are finished.

        Raises:
            UserError: there is no set for any turn.
        """
        self.sets = {ahead: sets(ahead) for ahead in (1, 2, 3)}
        self.turns = [name for name in turns if name in self.sets[1]]
        if not self.turns:
            raise UserError(f"nothing to train on: needs one of {', '.join(dict.fromkeys(turns))}")
        self.size, self.seed, self.device = size, seed, torch.device(device)
        self.early, self.readers = (AHEAD, _readers()) if self.device.type == "cuda" else (1, ThreadPoolExecutor(1))
        self.waiting: dict[tuple[int, int], Future[tuple[ClipSet, Clip]]] = {}

    def batch(self, number: int, ahead: int) -> Clip:
        """Return batch `number` with `ahead` target frames, floats on the device.

        Those after it are expected with as many: when `ahead` changes, what was read early is read again.
        """
        wanted = [(later, ahead) for later in range(number, number + 1 + self.early)]
        for key in self.waiting.keys() - wanted:
            self.waiting.pop(key).cancel()
        for key in wanted:
            if key not in self.waiting:
                self.waiting[key] = self.readers.submit(self.read, *key)
        clips, clip = self.waiting.pop(wanted[0]).result()
        with clip_noise(self.seed, "weights", number, index=torch.arange(self.size)):
            return clips.on_device("train", clip, self.device)

    def read(self, number: int, ahead: int) -> tuple[ClipSet, Clip]:
        """Return the set whose turn batch `number` is, and what it reads."""
        clips = self.sets[ahead][self.turns[number % len(self.turns)]]
        clip = clips.read("train", batch_indices(clips, "train", self.seed, number, self.size))
        # what is drawn on the GPU is not sent there
        sent = self.device.type == "cuda" and not clips.finishes_on_device
        return clips, clip.pin_memory() if sent else clip

    def close(self) -> None:
        """Let the threads end; what nobody has asked for is not read."""
        self.readers.shutdown(wait=True, cancel_futures=True)


def _readers() -> ThreadPoolExecutor:
    """Return threads that read for a GPU, at most one for two processors; each computes on its own processor alone."""
    return ThreadPoolExecutor(max(1, min(THREADS, (os.cpu_count() or 1) // 2)), "reader", torch.set_num_threads, (1,))
