"""Many rows over many processes: each process that torchrun or SLURM starts takes every n-th row, and works alone."""

from __future__ import annotations

import logging
import os
from collections.abc import MutableMapping
from dataclasses import dataclass

from nextframe.core.errors import UserError

LOG = logging.getLogger(__name__)
STARTERS = {"RANK": "torchrun", "SLURM_PROCID": "srun"}  # the variables that give a process its number
RANKS = (("RANK", "WORLD_SIZE", "LOCAL_RANK"), ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"))
# With these in the environment, training would treat the other processes as part of its own run.
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

    Call it before CUDA is used. A process without a number takes all rows.

    Raises:
        UserError: a process number that is not valid.
    """
    share = Share()
    for rank, world, local in RANKS:
        if rank in environment and world in environment:
            share = Share(_number(environment, rank), max(1, _number(environment, world)))
            _check(share, rank, world)
            if share.world > 1:
                _take_gpu(environment, _number(environment, local))
            break
    for name in GROUP:
        environment.pop(name, None)
    return share


def _number(environment: MutableMapping[str, str], name: str) -> int:
    text = environment.get(name, "0")
    try:
        return int(text)
    except ValueError:
        raise UserError(f"{name} is '{text}' in the environment: it must be an integer; unset it") from None


def _check(share: Share, rank: str, world: str) -> None:
    """Refuse an empty share, and report a partial one: one process alone would never make the other rows."""
    if not 0 <= share.rank < share.world:
        what = f"{rank} is {share.rank} and {world} {share.world} in the environment"
        raise UserError(f"{what}: processes are numbered from 0; unset both")
    if share.world > 1:
        first = ", ".join(str(share.rank + 1 + share.world * turn) for turn in range(3))
        LOG.info(
            "process %d of %d takes rows %s, ...; the others are for the other processes "
            "(%s and %s say so; start them with %s, or unset both)",
            share.rank + 1, share.world, first, rank, world, STARTERS[rank],
        )  # fmt: skip


def _take_gpu(environment: MutableMapping[str, str], local: int) -> None:
    """Show this process one of the visible GPUs only, by its number on the machine."""
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        import torch

        visible = ",".join(str(number) for number in range(torch.cuda.device_count()))
    devices = [device for device in visible.split(",") if device]
    if devices:
        environment["CUDA_VISIBLE_DEVICES"] = devices[local % len(devices)]
