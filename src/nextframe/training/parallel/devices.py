"""Devices and processes through Lightning Fabric."""

from __future__ import annotations

import atexit
import inspect
import warnings
from typing import Any

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from nextframe.core.device import resolve_device
from nextframe.core.errors import UserError
from nextframe.training.parallel.fabric import ready_fabric
from nextframe.training.recipe import TrainingConfig


def check_devices(config: TrainingConfig, devices: int, machines: int = 1) -> None:
    """Refuse what the devices of `config`, so many on each machine, cannot do, before a process is started.

    Raises:
        UserError: more devices than there are, a strategy or graphs that they lack, or a batch that they cannot share.
    """
    device = resolve_device(config.device)
    there = {"cuda": torch.cuda.device_count(), "mps": 1}.get(device, devices)
    if not 1 <= devices <= there:
        raise UserError(f"{devices} devices were asked for; this machine has {there} of the kind '{device}'")
    if config.batch % (devices * machines):
        raise UserError(f"batch {config.batch} cannot be shared evenly by {devices * machines} processes")
    if config.strategy == "fsdp" and device != "cuda":
        raise UserError(f"training.strategy=fsdp needs CUDA GPUs, not '{device}': use ddp, or auto")
    if config.compile == "graphs" and device != "cuda":
        raise UserError(f"training.compile=graphs needs a CUDA device, and this is {device}: set it to true or false")


def make_fabric(config: TrainingConfig, devices: int = 1, machines: int = 1) -> Any:
    """Return a launched Fabric for `config`: its device, and `devices` processes on each of the machines.

    The processes run already; this is one of them. Precision is the trainer's.
    """
    ready_fabric()
    from lightning_fabric import Fabric

    accelerator = resolve_device(config.device)
    fabric = Fabric(
        accelerator=accelerator,
        devices=devices,
        num_nodes=machines,
        strategy=_strategy(config, devices * machines),
    )
    fabric.launch()
    return fabric


def _strategy(config: TrainingConfig, processes: int) -> Any:
    """Return how processes work together; sharding wraps losses by itself, in the processes that this one sets up."""
    from lightning_fabric.strategies import DDPStrategy  # make_fabric has made it ready

    if processes == 1 and config.strategy == "auto":
        return "auto"
    atexit.register(_leave_group)
    # a layout that a kernel chose for a gradient of one channel is as good as the bucket's
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    # layers that keep statistics share them, or the run does when it reads them
    known = inspect.signature(DistributedDataParallel).parameters
    name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    return DDPStrategy(**{name: False})


def _leave_group() -> None:
    """Take leave of the other processes, which torch else asks for on stderr."""
    if dist.is_initialized():
        dist.destroy_process_group()
