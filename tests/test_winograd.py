"""Winograd's convolution against torch's, in float64 and in float32: the steps, the function and the layer."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nextframe.layers import winograd
from nextframe.layers.fast_conv import FastConv2d
from nextframe.layers.winograd import TILES, Winograd, spread_weight, transforms, winograd_conv


def same_conv(weight: Tensor, height: int, width: int) -> Winograd:
    kernel = weight.shape[-1]
    return Winograd(spread_weight(weight), kernel, (1, height, width), (kernel // 2, kernel // 2))


@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_transforms_make_a_correlation(kernel):
    tile = TILES[kernel]
    of_input, of_kernel, product = transforms(kernel, tile)
    d, g = torch.arange(1.0, tile + kernel, dtype=torch.float64) ** 2, torch.arange(kernel, dtype=torch.float64) - 1.5
    by_hand = torch.stack([d[i : i + kernel] @ g for i in range(tile)])
    torch.testing.assert_close(product @ ((of_kernel @ g) * (of_input @ d)), by_hand)


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("skip", [0, 2])
def test_outputs_and_gradients_equal_those_of_conv2d(kernel, dtype, bound, skip):
    torch.manual_seed(0)
    height, width, inputs, outputs = 12, 20, 24, 16
    image, weight = torch.randn(height, width, inputs), torch.randn(outputs, inputs, kernel, kernel)
    image_64, weight_64 = image.double().requires_grad_(), weight.double().requires_grad_()
    want = F.conv2d(image_64.permute(2, 0, 1), weight_64, padding=kernel // 2).permute(1, 2, 0)
    want_grad = torch.randn(height, width, outputs, dtype=torch.float64)
    image_grad, weight_grad = torch.autograd.grad(want, (image_64, weight_64), want_grad)

    conv = same_conv(weight.to(dtype), height, width)
    padded = conv.blank(inputs)
    conv.inner(padded).copy_(image)
    entered = conv.enter(padded)
    got = padded.new_empty(*conv.order, outputs)
    conv.products(entered, inputs, got)
    sums, out = torch.zeros_like(conv.weight), conv.blank(inputs - skip)
    conv.back(conv.tiles(want_grad).to(dtype).contiguous(), entered, sums, out)

    assert (got - conv.tiles(want.detach().contiguous())).norm() < bound * want.norm()
    assert (conv.inner(out) - image_grad[..., skip:]).norm() < bound * image_grad.norm()
    assert (conv.of_weight(sums) - weight_grad).norm() < bound * weight_grad.norm()


def test_channels_that_are_zero_can_be_left_out():
    weight = torch.randn(3, 4, 3, 3, dtype=torch.float64)
    conv = same_conv(weight, 8, 8)
    padded = conv.blank(4)
    conv.inner(padded)[..., :2].copy_(torch.randn(8, 8, 2))
    entered = conv.enter(padded)
    full, part = (padded.new_empty(*conv.order, 3) for _ in range(2))
    conv.products(entered, 4, full)
    conv.products(entered, 2, part)
    torch.testing.assert_close(full, part)


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
        monkeypatch.setattr(winograd, "STRIPE", stripe)
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
    assert layer._kernel(x).startswith("Winograd") == fast
    assert layer._kernel(x.double()) == "direct"
    assert layer._kernel(x[..., :16, :16]) == "direct"  # too few tiles
    torch.testing.assert_close(layer(x), nn.Conv2d.forward(layer, x), rtol=1e-4, atol=1e-4)


def forced() -> FastConv2d:
    torch.manual_seed(0)
    return FastConv2d(48, 56, 5, padding=2, bias=False)


def test_a_recurrence_keeps_one_transform_of_its_weights_and_its_gradient_is_that_of_direct_steps():
    """Three steps by the same weights: a transform, not three; the input's transform is made again backwards."""
    conv, x = forced(), torch.randn(1, 48, 12, 12)
    mix = torch.randn(48, 56, 1, 1) / 20
    grads = []
    for way in ("Winograd, tile 4", "direct"):
        conv.zero_grad()
        state, kept = x, []
        for _ in range(3):
            state = torch.tanh(F.conv2d(conv.by(way, state), mix))
            kept.append(conv._kept[2] if conv._kept else None)
        assert kept[0] is kept[2]
        state.sum().backward()
        grads.append(conv.weight.grad.clone())
    torch.testing.assert_close(*grads, atol=2e-3, rtol=1e-3)


def test_transformed_weights_are_made_again_after_a_step_and_for_computed_weights():
    """An optimiser's step changes weights in place; a parametrisation makes others, maybe at the same address."""
    conv, x = forced(), torch.randn(1, 48, 12, 12)
    for change in range(3):
        found, direct = conv.by("Winograd, tile 4", x), conv.by("direct", x)
        torch.testing.assert_close(found, direct, atol=1e-4, rtol=1e-4, msg=f"change {change}")
        found.sum().backward()
        torch.optim.SGD(conv.parameters(), lr=0.1).step()
    nn.utils.parametrizations.weight_norm(conv)
    for scale in (1.0, 3.0, 0.2):
        with torch.no_grad():
            conv.parametrizations.weight.original0.mul_(scale)
            found, direct = conv.by("Winograd, tile 4", x), conv.by("direct", x)
        torch.testing.assert_close(found, direct, atol=1e-4, rtol=1e-4, msg=f"scale {scale}")
