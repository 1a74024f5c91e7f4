"""Winograd's arithmetic for batches: the same numbers and gradients as torch's convolution, to rounding."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from nextframe.layers import fast_conv
from nextframe.layers.fast_conv import FastConv2d, winograd_conv


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("padding", [(0, 0), (1, 2)])
@pytest.mark.parametrize(("height", "width"), [(16, 16), (19, 10)])
def test_the_result_and_both_gradients_are_those_of_a_direct_convolution(kernel, padding, height, width):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 4, height, width, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(5, 4, kernel, kernel, generator=generator, dtype=torch.float64, requires_grad=True)
    found, expected = winograd_conv(x, weight, padding), F.conv2d(x, weight, padding=padding)
    torch.testing.assert_close(found, expected)
    above = torch.randn(expected.shape, generator=generator, dtype=torch.float64)
    for a, b in zip(
        torch.autograd.grad(found, (x, weight), above),
        torch.autograd.grad(expected, (x, weight), above),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_gradients_of_gradients_are_those_of_a_direct_convolution(kernel):
    """R1 trains a discriminator by the gradient of its gradient: that must not be zero."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 12, 13, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 3, kernel, kernel, generator=generator, dtype=torch.float64, requires_grad=True)
    seconds = []
    for convolved in (winograd_conv(x, weight, (1, 1)), F.conv2d(x, weight, padding=1)):
        above = convolved.detach().cos()
        firsts = torch.autograd.grad(convolved.sin(), (x, weight), above, create_graph=True)
        seconds.append(torch.autograd.grad(sum(first.square().sum() for first in firsts), (x, weight)))
    for found, expected in zip(*seconds, strict=True):
        assert expected.abs().max() > 0.1
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_without_gradients_it_works_in_stripes(kernel, monkeypatch):
    x, weight = torch.randn(2, 4, 50, 21, dtype=torch.float64), torch.randn(3, 4, kernel, kernel, dtype=torch.float64)
    expected = F.conv2d(x, weight, padding=kernel // 2)
    for stripe in (8, 32, 100):
        monkeypatch.setattr(fast_conv, "STRIPE", stripe)
        torch.testing.assert_close(winograd_conv(x, weight, (kernel // 2, kernel // 2)), expected)


def test_in_single_precision_the_rounding_is_small():
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, 128, 32, 32, generator=generator)
    weight = 0.02 * torch.randn(64, 128, 5, 5, generator=generator)
    expected = F.conv2d(x.double(), weight.double(), padding=2)
    gap = (winograd_conv(x, weight, (2, 2)) - expected).abs().max() / expected.abs().max()
    assert gap < 2e-5


@pytest.mark.parametrize(
    ("layer", "fast"),
    [
        (FastConv2d(64, 64, 5, padding=2), True),
        (FastConv2d(128, 96, 3), True),
        (FastConv2d(3, 64, 5), False),
        (FastConv2d(64, 64, 5, stride=2), False),
        (FastConv2d(64, 64, 5, dilation=2), False),
        (FastConv2d(64, 64, 5, groups=2), False),
        (FastConv2d(64, 64, (5, 3)), False),
        (FastConv2d(64, 64, 1), False),
    ],
)
def test_a_layer_is_torchs_layer_and_takes_the_fast_way_where_it_can(layer, fast):
    x = torch.randn(1, layer.in_channels, 40, 40)
    assert layer._suits(x) == fast
    assert not layer._suits(x.double())
    assert not layer._suits(x[..., :16, :16]) or layer.kernel_size[0] == 7  # too few tiles
    torch.testing.assert_close(layer(x), nn.Conv2d.forward(layer, x), rtol=1e-4, atol=1e-4)
