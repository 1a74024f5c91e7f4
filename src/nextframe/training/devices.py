"""Devices, processes and precision through Lightning Fabric."""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import nn

from nextframe.core.device import resolve_device
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


def make_fabric(config: TrainingConfig, devices: int = 1) -> Any:
    """Return a launched Fabric for `config`: device, number of processes and precision.

    Under torchrun or SLURM the processes are those that were started; else `devices` are launched from here.
    """
    from lightning_fabric import Fabric

    _silence_fabric()
    accelerator = resolve_device(config.device)
    precision = config.precision
    if precision == "auto":
        precision = "bf16" if native_bf16(accelerator) else "32"
    fabric = Fabric(
        accelerator=accelerator,
        devices=devices,
        strategy="ddp" if devices > 1 else "auto",
        precision="bf16-mixed" if precision == "bf16" else "32-true",
    )
    fabric.launch()
    return fabric


def _silence_fabric() -> None:
    """Keep Fabric's information (precision, processes) and its guesses (an `srun` on the path) from the user.

    Its warnings of what is wrong still come. To be called after its import, which asks for its information.
    """
    from lightning_fabric.utilities.warnings import disable_possible_user_warnings

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    disable_possible_user_warnings()


def average_gradients(fabric: Any, parameters: list[nn.Parameter]) -> None:
    """Average the gradients of `parameters` over all processes, in one message.

    The loop does this itself, instead of wrapping models, because an objective's loss may call any method of its
    model: the gradient of the mean over equal shares is the gradient of the global batch.
    """
    if fabric.world_size == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients])
    mean = fabric.all_reduce(flat, reduce_op="mean")
    for gradient, part in zip(gradients, mean.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))
