"""Convolutions of maps whose channels lie last, and their gradients, as a recurrence needs them step by step."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def add_conv(z: Tensor, maps: Tensor, weight: Tensor) -> None:
    """Add the 'same' convolution of maps (B, H, W, C) with weight (N, C, k, k) to z (B, H, W, N)."""
    if weight.shape[-1] == 1:
        z.flatten(0, 2).addmm_(maps.flatten(0, 2), weight.flatten(1).T)
    else:
        z += F.conv2d(maps.permute(0, 3, 1, 2), weight, padding=weight.shape[-1] // 2).permute(0, 2, 3, 1)


def conv_input_grad(grad: Tensor, weight: Tensor) -> Tensor:
    """Return the gradient (B, H, W, C) of the maps, from that of the output (B, H, W, N)."""
    if weight.shape[-1] == 1:
        return grad @ weight.flatten(1)
    back = F.conv_transpose2d(grad.permute(0, 3, 1, 2), weight, padding=weight.shape[-1] // 2)
    return back.permute(0, 2, 3, 1)


def conv_weight_grad(maps: Tensor, grad: Tensor, weight: Tensor) -> Tensor:
    """Return the gradient (N, C, k, k) of the weight from maps (T, B, H, W, C) and grad (T, B, H, W, N)."""
    if maps.numel() == 0:
        return torch.zeros_like(weight)
    if weight.shape[-1] == 1:
        return (grad.flatten(0, 3).T @ maps.flatten(0, 3)).view_as(weight)
    pad = [weight.shape[-1] // 2] * 2
    found: tuple[Tensor, ...] = torch.ops.aten.convolution_backward(
        grad.flatten(0, 1).permute(0, 3, 1, 2), maps.flatten(0, 1).permute(0, 3, 1, 2), weight,
        None, [1, 1], pad, [1, 1], False, [0, 0], 1, [False, True, False],
    )  # fmt: skip
    return found[1]
