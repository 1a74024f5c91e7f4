"""What weights are trained on: clip sets that take turns, each batch a function of (seed, number)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from nextframe.core.clip import Clip
from nextframe.core.errors import UserError
from nextframe.core.seeds.noise import clip_noise
from nextframe.data.clipset import ClipSet, batch_indices

Sets = Mapping[str, ClipSet]


class Feed:
    """Batches by number; a thread reads the next one while this one is trained on."""

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
        self.size, self.seed, self.device = size, seed, device
        self.reader = ThreadPoolExecutor(1)
        self.next: tuple[int, Future[tuple[ClipSet, Clip]]] | None = None

    def batch(self, number: int, ahead: int) -> Clip:
        """Return batch `number` with `ahead` target frames, floats on the device.

        One that was read before it was asked for has as many target frames as the batch before it.
        """
        waiting = self.next[1] if self.next and self.next[0] == number else None
        clips, clip = waiting.result() if waiting else self.read(number, ahead)
        self.next = number + 1, self.reader.submit(self.read, number + 1, ahead)
        index = torch.arange(self.size, device=self.device)
        with clip_noise(self.seed, "weights", number, index=index):
            return clips.on_device("train", clip, self.device)

    def read(self, number: int, ahead: int) -> tuple[ClipSet, Clip]:
        """Return the set whose turn batch `number` is, and what it reads."""
        clips = self.sets[ahead][self.turns[number % len(self.turns)]]
        clip = clips.read("train", batch_indices(clips, "train", self.seed, number, self.size))
        return clips, clip.pin_memory() if torch.device(self.device).type == "cuda" else clip
