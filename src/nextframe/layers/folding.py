"""Batch norm folded into the convolutions beside it, for models that only predict."""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise
from typing import TypeGuard, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.utils.fusion import fuse_conv_bn_weights

from nextframe.layers.translators.blocks import FeedForward, Residual

Model = TypeVar("Model", bound=nn.Module)


def folded(model: Model) -> Model:
    """Return a copy of `model` whose batch norms are part of the convolutions beside them, if it has any such.

    It predicts the same to rounding and cannot be trained; `model`, in eval mode, stays as it is. Folded are a norm
    after a convolution in a sequence, and one before a 1x1 convolution at the start of a residual branch.
    """
    if model.training or not any(_pairs(module) for module in model.modules()):
        return model
    copy = deepcopy(model)
    with torch.no_grad():
        for module in list(copy.modules()):
            for name, norm, conv in _pairs(module):
                after = isinstance(module, nn.Sequential)
                weight, bias = _after(conv, norm) if after else _before(conv, norm)
                conv.weight, conv.bias = nn.Parameter(weight, False), nn.Parameter(bias, False)
                setattr(module, name, nn.Identity())
    return copy


def _pairs(module: nn.Module) -> list[tuple[str, _BatchNorm, _ConvNd]]:
    """Return the norms of `module` that can be folded: the name of each, the norm and the convolution."""
    if isinstance(module, nn.Sequential):
        beside = pairwise(module.named_children())
        return [
            (name, norm, conv) for (_, conv), (name, norm) in beside if isinstance(conv, _ConvNd) and _is_known(norm)
        ]
    if isinstance(module, Residual) and isinstance(module.branch, FeedForward) and _is_known(module.norm):
        return [("norm", module.norm, module.branch.expand)]
    return []


def _is_known(norm: nn.Module) -> TypeGuard[_BatchNorm]:
    """Whether `norm` is a batch norm with statistics of its training."""
    return isinstance(norm, _BatchNorm) and norm.running_mean is not None


def _after(conv: _ConvNd, norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """Return the weight and bias of `conv` with `norm` after it."""
    statistics = (norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias)
    turned = isinstance(conv, _ConvTransposeNd)
    weight, bias = fuse_conv_bn_weights(conv.weight, conv.bias, *statistics, transpose=turned)  # type: ignore[arg-type]
    return weight.detach(), bias.detach()


def _before(conv: _ConvNd, norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """Return the weight and bias of the 1x1 convolution `conv` with `norm` before it."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.running_var + norm.eps).rsqrt() * norm.weight
    shift = norm.bias - norm.running_mean * scale
    weight = conv.weight * scale[:, None, None]
    bias = conv.weight.flatten(1) @ shift
    return weight, bias if conv.bias is None else conv.bias + bias
