"""Devices, processes and precision through Lightning Fabric."""

from __future__ import annotations

from typing import Any

import torch

from nextframe.core.device import resolve_device
from nextframe.core.errors import UserError
from nextframe.training.recipe import TrainingConfig


def native_bf16(device: str) -> bool:
    """Whether `device` ("cpu" or "cuda") multiplies bf16 in hardware: CUDA sm80+, CPUs with AMX or avx512_bf16."""
    if device == "cuda":
        return torch.cuda.is_available() and torch.cuda.get_device_capability() >= (8, 0)
    # torch before 2.10 cannot tell; float32 is right on any of them, only slower on a few
    probe = getattr(torch.cpu, "get_capabilities", dict)
    capabilities: dict[str, Any] = probe()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))


def check_devices(config: TrainingConfig, devices: int) -> None:
    """Refuse what the devices of `config` cannot do, before a process is started.

    Raises:
        UserError: more devices than there are, a strategy that they do not have, or a batch that they cannot share.
    """
    device = resolve_device(config.device)
    there = {"cuda": torch.cuda.device_count(), "mps": 1}.get(device, devices)
    if not 1 <= devices <= there:
        raise UserError(f"--devices {devices}: this machine has {there} device(s) of the kind '{device}'")
    if config.batch % devices:
        raise UserError(f"batch {config.batch} cannot be shared evenly by {devices} processes")
    if config.strategy == "fsdp" and device != "cuda":
        raise UserError(f"training.strategy=fsdp needs CUDA GPUs, not '{device}': use ddp, or auto")


def make_fabric(config: TrainingConfig, devices: int = 1) -> Any:
    """Return a launched Fabric for `config`: device, number of processes and precision.

    Under torchrun or SLURM the processes are those that were started; else `devices` are launched from here.
    """
    from lightning_fabric import Fabric

    accelerator = resolve_device(config.device)
    precision = config.precision
    if precision == "auto":
        precision = "bf16" if native_bf16(accelerator) else "32"
    fabric = Fabric(
        accelerator=accelerator,
        devices=devices,
        strategy=_strategy(config, devices),
        precision="bf16-mixed" if precision == "bf16" else "32-true",
    )
    fabric.launch()
    return fabric


def _strategy(config: TrainingConfig, devices: int) -> Any:
    """Return how processes work together; sharding wraps losses by itself, in the processes that this one sets up."""
    from lightning_fabric.strategies import DDPStrategy

    if devices == 1 and config.strategy == "auto":
        return "auto"
    # layers that keep statistics share them, or the run does when it reads them
    return DDPStrategy(broadcast_buffers=False)
