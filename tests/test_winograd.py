"""Winograd's convolution against torch's, in float64 and in float32."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from nextframe.layers.winograd import TILE, Winograd, transforms


@pytest.mark.parametrize("kernel", [3, 5])
def test_transforms_make_a_correlation(kernel):
    of_input, of_kernel, product = transforms(kernel)
    d, g = torch.arange(1.0, TILE + kernel, dtype=torch.float64) ** 2, torch.arange(kernel, dtype=torch.float64) - 1.5
    by_hand = torch.stack([d[i : i + kernel] @ g for i in range(TILE)])
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

    conv = Winograd(weight.to(dtype), height, width)
    padded = conv.blank(inputs)
    conv.inner(padded).copy_(image)
    entered = conv.enter(padded)
    got = padded.new_empty(TILE, TILE, height // TILE, width // TILE, outputs)
    conv.products(entered, inputs, got)
    sums, out = torch.zeros_like(conv.weight), conv.blank(inputs - skip)
    conv.back(conv.tiles(want_grad).to(dtype).contiguous(), entered, inputs, sums, out)

    assert (got - conv.tiles(want.detach().contiguous())).norm() < bound * want.norm()
    assert (conv.inner(out) - image_grad[..., skip:]).norm() < bound * image_grad.norm()
    assert (conv.of_weight(sums) - weight_grad).norm() < bound * weight_grad.norm()


def test_channels_that_are_zero_can_be_left_out():
    weight = torch.randn(3, 4, 3, 3, dtype=torch.float64)
    conv = Winograd(weight, 8, 8)
    padded = conv.blank(4)
    conv.inner(padded)[..., :2].copy_(torch.randn(8, 8, 2))
    entered = conv.enter(padded)
    full, part = (padded.new_empty(TILE, TILE, 2, 2, 3) for _ in range(2))
    conv.products(entered, 4, full)
    conv.products(entered, 2, part)
    torch.testing.assert_close(full, part)
