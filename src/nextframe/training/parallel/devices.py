"""Devices, processes and precision through Lightning Fabric."""

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


def native_bf16(device: str) -> bool:
    """Whether `device` ("cpu" or "cuda") multiplies bf16 in hardware: CUDA sm80+, CPUs with AMX or avx512_bf16.

    A CPU's products are oneDNN's, which may be held to older instructions (ONEDNN_MAX_CPU_ISA) than the CPU has.
    """
    if device == "cuda":
        return torch.cuda.is_available() and torch.cuda.get_device_capability() >= (8, 0)
    # torch before 2.10 cannot tell; float32 is right on any of them, only slower on a few
    probe = getattr(torch.cpu, "get_capabilities", dict)
    capabilities: dict[str, Any] = probe()
    in_hardware = capabilities.get("amx_bf16") or capabilities.get("avx512_bf16")
    if not (in_hardware and hasattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported")):
        return False
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def check_devices(config: TrainingConfig, devices: int, machines: int = 1) -> None:
    """Refuse what the devices of `config`, so many on each machine, cannot do, before a process is started.

    Raises:
        UserError: more devices than there are, a strategy that they do not have, or a batch that they cannot share.
    """
    device = resolve_device(config.device)
    there = {"cuda": torch.cuda.device_count(), "mps": 1}.get(device, devices)
    if not 1 <= devices <= there:
        raise UserError(f"{devices} devices were asked for; this machine has {there} of the kind '{device}'")
    if config.batch % (devices * machines):
        raise UserError(f"batch {config.batch} cannot be shared evenly by {devices * machines} processes")
    if config.strategy == "fsdp" and device != "cuda":
        raise UserError(f"training.strategy=fsdp needs CUDA GPUs, not '{device}': use ddp, or auto")


def make_fabric(config: TrainingConfig, devices: int = 1, machines: int = 1) -> Any:
    """Return a launched Fabric for `config`: device, precision, and `devices` processes on each of the machines.

    The processes run already; this is one of them.
    """
    ready_fabric()
    from lightning_fabric import Fabric

    accelerator = resolve_device(config.device)
    precision = config.precision
    if precision == "auto":
        precision = "bf16" if native_bf16(accelerator) else "32"
    fabric = Fabric(
        accelerator=accelerator,
        devices=devices,
        num_nodes=machines,
        strategy=_strategy(config, devices * machines),
        precision="bf16-mixed" if precision == "bf16" else "32-true",
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
