"""Batch norm over the whole batch of a training step, however many processes share it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from nextframe.layers.processes import process_count, sum_over_processes


class _Synchronised(_BatchNorm):
    """Batch norm whose statistics are those of all processes' batches while it is trained.

    Each item counts equally, whichever process holds it, so shares may differ in size. With one process, and in
    evaluation, it is torch's own layer bit for bit; settings and state dict are always torch's. Unlike
    nn.SyncBatchNorm it works on CPUs (gloo).

    Ioffe & Szegedy 2015, arXiv 1502.03167.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name for it
        """Return `input` (N, C, ...) with each channel normalised, scaled and shifted."""
        if not self.training or process_count() == 1:
            return super().forward(input)
        self._check_input_dim(input)  # type: ignore[no-untyped-call]
        wide = input if input.dtype == torch.float64 else input.float()
        count, mean, variance, centred = _statistics(wide)
        self._track(count, mean.detach(), variance.detach())
        shape = (1, -1, *[1] * (input.ndim - 2))
        scale = (variance + self.eps).rsqrt().to(wide.dtype)
        if not self.affine:
            return (centred * scale.view(shape)).to(input.dtype)
        return (centred * (scale * self.weight).view(shape) + self.bias.view(shape)).to(input.dtype)

    @torch.no_grad()
    def _track(self, count: Tensor, mean: Tensor, variance: Tensor) -> None:
        """Update the running statistics; the variance is the unbiased one, as in torch."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1 / self.num_batches_tracked.double() if self.momentum is None else self.momentum
        for running, value in ((self.running_mean, mean), (self.running_var, variance * count / (count - 1))):
            running.copy_((1 - share) * running + share * value)


class BatchNorm1d(_Synchronised, nn.BatchNorm1d):
    """nn.BatchNorm1d over all processes' batches: (N, C) or (N, C, L)."""


class BatchNorm2d(_Synchronised, nn.BatchNorm2d):
    """nn.BatchNorm2d over all processes' batches: (N, C, H, W)."""


class BatchNorm3d(_Synchronised, nn.BatchNorm3d):
    """nn.BatchNorm3d over all processes' batches: (N, C, D, H, W)."""


OURS: dict[type[nn.Module], type[_Synchronised]] = {
    nn.BatchNorm1d: BatchNorm1d,
    nn.BatchNorm2d: BatchNorm2d,
    nn.BatchNorm3d: BatchNorm3d,
}


def synchronise(module: nn.Module) -> None:
    """Make torch's own batch norm layers inside `module` those of this file, in place; its state dict stays the same.

    Layers of other classes, subclasses of torch's too, stay as they are.
    """
    for layer in module.modules():
        if type(layer) in OURS:
            layer.__class__ = OURS[type(layer)]  # the layer itself may be held elsewhere, and have hooks


def _statistics(values: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return count, mean and biased variance of each channel, float64, and `values` minus their mean.

    Squares are summed around the mean of all processes, in a second message: a sum of plain squares loses every digit
    of the variance where the mean is large.
    """
    others = [axis for axis in range(values.ndim) if axis != 1]
    sums = values.sum(others).double()
    count = sums.new_tensor([values.numel() // values.shape[1]])
    sums, count = sum_over_processes(torch.cat([sums, count])).split_with_sizes([len(sums), 1])
    mean = sums / count
    centred = values - mean.to(values.dtype).view(1, -1, *[1] * (values.ndim - 2))
    variance = sum_over_processes(centred.square().sum(others).double()) / count
    return count, mean, variance, centred
