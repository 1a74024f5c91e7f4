"""Whether training in bfloat16 pays: on a GPU by what it is, on a CPU by a race."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F

from nextframe.core.kernels.choices import current
from nextframe.core.kernels.race import Ways, example

FLOAT32, BF16 = "float32", "bf16"


def bf16_pays(device: str) -> bool:
    """Whether a training step on `device` ("cpu", "cuda" or "mps") is faster in bfloat16 than in float32.

    On a CPU that has such products a race of a convolution and a linear layer, forward and back, says so: some have
    them and are slower with them. Where kernels are fixed, having them is enough.
    """
    if not native_bf16(device):
        return False
    if device == "cuda":
        return True
    what = f"training step of a convolution and a linear layer, {torch.get_num_threads()} threads"
    return current().pick(what, (FLOAT32, BF16), BF16, _ways) == BF16


def native_bf16(device: str) -> bool:
    """Whether `device` ("cpu", "cuda" or "mps") multiplies bf16 in hardware: CUDA sm80+, CPUs with AMX or avx512_bf16.

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


def _ways() -> Ways:
    maps, kernels = example(2, 64, 32, 32), example(64, 64, 3, 3)
    rows, weights = example(256, 512), example(512, 512)
    given = [value.requires_grad_() for value in (maps, kernels, rows, weights)]

    def step(low: bool) -> Callable[[], object]:
        def compute() -> object:
            with torch.enable_grad(), torch.autocast("cpu", torch.bfloat16, enabled=low):
                out = F.conv2d(maps, kernels, padding=1).relu(), F.linear(rows, weights).relu()
                loss = out[0].float().mean() + out[1].float().mean()
            return torch.autograd.grad(loss, given)

        return compute

    return {FLOAT32: step(False), BF16: step(True)}
