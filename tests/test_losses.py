from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, Normal, kl_divergence

from nextframe.losses.latent import gaussian_nll, kl_normal, kl_standard_normal, mixture_nll
from nextframe.losses.pixel import bce, bce_logits, charbonnier, gdl, mae, mse


def values(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


@pytest.mark.parametrize(
    ("loss", "mean", "total"),
    [
        (mse, (0.25 + 0 + 1) / 3, 1.25),
        (mae, 0.5, 1.5),
        (charbonnier, (math.sqrt(0.250001) + math.sqrt(1.000001) - 0.002) / 3, None),
        (bce, (math.log(2) + math.log(2) + 100) / 3, None),
    ],
)
def test_pixel_losses_by_hand(loss, mean, total):
    prediction, target = values(0.5, 0.5, 1.0), values(1.0, 0.5, 0.0)
    assert loss(prediction, target).item() == pytest.approx(mean)
    assert loss(prediction, target, reduction="sum").item() == pytest.approx(total or 3 * mean)


def test_charbonnier_is_zero_and_smooth_where_equal():
    same = values(0.3, 0.7).requires_grad_()
    loss = charbonnier(same, values(0.3, 0.7))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(same.grad, values(0, 0))


def test_cross_entropy_of_logits_is_that_of_their_sigmoid_and_survives_extremes():
    logits, target = torch.linspace(-8, 8, 33, dtype=torch.float64), torch.linspace(0, 1, 33, dtype=torch.float64)
    assert torch.allclose(bce_logits(logits, target), bce(torch.sigmoid(logits), target))
    assert bce_logits(values(1e4, -1e4), values(0.0, 1.0)).item() == pytest.approx(1e4)


@pytest.mark.parametrize(("alpha", "expected"), [(1, 6.0), (2, 14.0)])
def test_gradient_difference_by_hand(alpha, expected):
    target = torch.tensor([[0.0, 3.0], [1.0, 1.0]]).view(1, 1, 1, 2, 2)
    # Steps of the target: down 1 and 2 (3 -> 1), across 3 and 0. The flat prediction has none: 1 + 2 + 3 + 0.
    flat = torch.full_like(target, 0.4)
    assert gdl(flat, target, alpha, "sum").item() == pytest.approx(expected)
    assert gdl(flat, target, alpha).item() == pytest.approx(expected / 4)
    # It looks at sizes of steps only, so the negative picture costs nothing.
    assert gdl(3 - target, target, alpha).item() == 0


def test_gradient_difference_treats_channels_apart_and_takes_thin_frames():
    target = torch.tensor([0.0, 1.0, 0.0, -1.0]).view(1, 1, 2, 1, 2)  # opposite steps: their sum over channels is flat
    assert gdl(torch.zeros_like(target), target, reduction="sum").item() == 2
    assert gdl(torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1)).item() == 0


def test_kl_to_the_standard_normal_by_hand():
    mean, log_sigma = values(1.0, 0.0).view(1, 2), values(0.0, math.log(2)).view(1, 2)
    by_hand = 0.5 + (0.5 * (4 - 1) - math.log(2))
    assert kl_standard_normal(mean, log_sigma).item() == pytest.approx(by_hand)
    assert kl_standard_normal(torch.zeros(3, 5), torch.zeros(3, 5)).item() == 0
    pair = kl_standard_normal(mean.expand(4, 2), log_sigma.expand(4, 2), reduction="sum")
    assert pair.item() == pytest.approx(4 * by_hand)


def test_kl_of_gaussians_agrees_with_torch_and_is_not_symmetric():
    torch.manual_seed(0)
    mean, log_sigma, other_mean, other_log_sigma = torch.randn(4, 6, 3, dtype=torch.float64).unbind(0)
    reference = kl_divergence(Normal(mean, log_sigma.exp()), Normal(other_mean, other_log_sigma.exp()))
    ours = kl_normal(mean, log_sigma, other_mean, other_log_sigma)
    assert torch.allclose(ours, reference.sum(-1).mean())
    assert not torch.allclose(ours, kl_normal(other_mean, other_log_sigma, mean, log_sigma))
    zero = torch.zeros_like(mean)
    assert torch.allclose(kl_normal(mean, log_sigma, zero, zero), kl_standard_normal(mean, log_sigma))


def test_likelihoods_agree_with_torch():
    torch.manual_seed(1)
    target = torch.randn(7, 4, dtype=torch.float64)
    logits, mean, log_sigma = torch.randn(3, 7, 4, 5, dtype=torch.float64).unbind(0)
    reference = MixtureSameFamily(Categorical(logits=logits), Normal(mean, log_sigma.exp())).log_prob(target)
    assert torch.allclose(mixture_nll(logits, mean, log_sigma, target), -reference.sum(-1).mean())
    assert torch.allclose(mixture_nll(logits, mean, log_sigma, target, reduction="sum"), -reference.sum())
    single = Normal(mean[..., 0], log_sigma[..., 0].exp()).log_prob(target)
    assert torch.allclose(gaussian_nll(mean[..., 0], log_sigma[..., 0], target), -single.sum(-1).mean())


def test_a_mixture_by_hand_and_its_floor():
    # Two equal halves at 0 and 2 with sigma 1, seen at 1: each has density exp(-1/2) / sqrt(2 pi).
    loss = mixture_nll(values(0, 0).view(1, 2), values(0, 2).view(1, 2), values(0, 0).view(1, 2), values(1))
    assert loss.item() == pytest.approx(0.5 + 0.5 * math.log(2 * math.pi))
    sharp = mixture_nll(values(0).view(1, 1), values(1).view(1, 1), values(-500).view(1, 1), values(1), floor=0.01)
    assert sharp.item() == pytest.approx(math.log(0.01) + 0.5 * math.log(2 * math.pi))
    far = mixture_nll(values(0, 0).view(1, 2), values(0, 1e4).view(1, 2), values(-50, -50).view(1, 2), values(9e9))
    assert far.isfinite()
