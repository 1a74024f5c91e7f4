"""Many rows over many processes: each process that torchrun or SLURM starts takes every n-th row, and works alone."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from dataclasses import dataclass

RANKS = (("RANK", "WORLD_SIZE", "LOCAL_RANK"), ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"))
# With these in the environment, training would take the other processes for parts of its own run.
GROUP = (
    "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT",
    "TORCHELASTIC_RUN_ID", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID",
)  # fmt: skip


@dataclass(frozen=True)
class Share:
    """This process is number `rank` of `world`."""

    rank: int = 0
    world: int = 1

    def takes(self, index: int) -> bool:
        """Whether row `index` is this process's."""
        return index % self.world == self.rank


def take_share(environment: MutableMapping[str, str] = os.environ) -> Share:
    """Return this process's share, and make it a process of its own: on one GPU, in no group.

    Call it before CUDA is used. A process that nobody numbered takes all rows.
    """
    share = Share()
    for rank, world, local in RANKS:
        if rank in environment and world in environment:
            share = Share(int(environment[rank]), max(1, int(environment[world])))
            if share.world > 1:
                _take_gpu(environment, int(environment.get(local, "0")))
            break
    for name in GROUP:
        environment.pop(name, None)
    return share


def _take_gpu(environment: MutableMapping[str, str], local: int) -> None:
    """Show this process one of the visible GPUs only, by its number on the machine."""
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        import torch

        visible = ",".join(str(number) for number in range(torch.cuda.device_count()))
    devices = [device for device in visible.split(",") if device]
    if devices:
        environment["CUDA_VISIBLE_DEVICES"] = devices[local % len(devices)]
