"""Training batches as a pure function of (seed, step): the same for any number of workers or processes."""

from __future__ import annotations

from collections.abc import Iterator

from torch.utils.data import DataLoader, Dataset

from nextframe.core.clip import Clip
from nextframe.core.errors import UserError
from nextframe.data import ClipSet
from nextframe.data.clipset import Indices, Split, batch_indices
from nextframe.data.order import Balance, order_of


class Steps(Dataset[Clip]):
    """Item s is the batch of training step s, or this process's share of it."""

    def __init__(
        self,
        clips: ClipSet,
        split: Split,
        seed: int,
        size: int,
        rank: int = 0,
        world: int = 1,
        balance: Balance = "clips",
    ) -> None:
        if size % world:
            raise UserError(f"batch {size} cannot be shared evenly by {world} processes")
        self.clips, self.split, self.seed, self.size = clips, split, seed, size
        self.rank, self.world = rank, world
        self.order = order_of(balance, clips, split, seed)

    def __getitem__(self, step: int) -> Clip:
        return self.clips.read(self.split, self._indices(step)[self.rank :: self.world])

    def _indices(self, step: int) -> Indices:
        if self.order is not None:
            return self.order.indices(step, self.size)
        return batch_indices(self.clips, self.split, self.seed, step, self.size)


def training_batches(steps: Steps, first: int, last: int, workers: int = 0, *, pinned: bool = False) -> Iterator[Clip]:
    """Yield the uint8 batches of steps first..last-1 in order, read ahead by `workers` processes (0: none).

    `pinned` ones lie where a GPU can fetch them while the processor goes on.
    """
    loader: DataLoader[Clip] = DataLoader(
        steps,
        batch_size=None,
        sampler=range(first, last),
        num_workers=workers,
        pin_memory=pinned,
        # a forked worker inherits locks of OpenCV's and FFmpeg's threads, held for ever: it hangs now and then
        multiprocessing_context="spawn" if workers else None,
        prefetch_factor=4 if workers else None,
    )
    return iter(loader)
