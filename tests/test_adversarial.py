"""Losses of multiscale-gan by hand: gradient differences, scores of discriminators, how codes add them up."""

import math

import pytest
import torch
from torch import nn

from nextframe.checkpoint import create_model
from nextframe.losses.adversarial import accuracy, fooling, gradient_penalty, telling
from nextframe.losses.gradient_difference import gdl_of_sums, gdl_padded, gdl_paper
from nextframe.losses.multiscale import gradient_term, pixel_term


def picture(*rows: list[float], channels: int = 1) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64).expand(1, channels, -1, -1).clone()


# steps of the target: 1 across (row 0), 0.5 across (row 1), 0 and -0.5 down
TARGET = picture([0.0, 1.0], [0.0, 0.5])
FLAT = torch.zeros_like(TARGET)


def test_the_papers_gradient_difference():
    assert gdl_paper(FLAT, TARGET, 1).item() == pytest.approx((1 + 0.5 + 0 + 0.5) / 4)
    assert gdl_paper(FLAT, TARGET, 2).item() == pytest.approx((1 + 0.25 + 0.25) / 4)
    assert gdl_paper(-TARGET, TARGET, 1).item() == 0  # only the size of a step counts


def test_the_chainer_ports_gradient_difference_sees_the_sum_of_the_channels_with_its_sign():
    assert gdl_of_sums(FLAT, TARGET).item() == pytest.approx(2.0)
    assert gdl_of_sums(-TARGET, TARGET).item() == pytest.approx(4.0)  # reversed edges cost twice as much
    red_up, green_down = TARGET, -TARGET
    both = torch.cat([red_up, green_down], dim=1)
    assert gdl_of_sums(torch.zeros_like(both), both).item() == 0  # the channels cancel


def test_the_tensorflow_ports_gradient_difference_counts_steps_to_zero_at_two_borders():
    # to the right: |1|, |-1| and |0.5|, |-0.5|; down: |0|, |0| (left column), |-0.5|, |-0.5| (right column)
    assert gdl_padded(FLAT, TARGET, 1).item() == pytest.approx(1 + 1 + 0.5 + 0.5 + 0.5 + 0.5)
    assert gdl_padded(FLAT, TARGET, 2).item() == pytest.approx(2 + 4 * 0.25)


@pytest.mark.parametrize("name", ["paper", "torch", "chainer", "tf"])
def test_how_each_code_adds_up_pixels_batch_and_scales(name):
    """Gaps of 2 at a coarse scale of 1x1 and of 3 at a fine one of 2x2, two clips of one channel."""
    fields = {"width": 1, "pixel_weight": 1.0, "adversarial_weight": 0.0}
    squares, absolutes = (create_model(f"mathieu-{name}", p=p, **fields) for p in (2, 1))
    pictures = [torch.full((2, 1, 1, 1), 2.0), torch.full((2, 1, 2, 2), 3.0)]
    truths = [torch.zeros_like(p) for p in pictures]
    expected = {"paper": 4 + 9, "torch": 4 + 9, "chainer": 8 * 9, "tf": (2 * 4 + 8 * 9) / 2}
    assert squares.pixel_term(pictures, truths).item() == pytest.approx(expected[name])
    absolute = {"paper": 2 + 3, "torch": 2 + 3, "chainer": 8 * 3, "tf": (2 * 2 + 8 * 3) / 2}
    assert absolutes.pixel_term(pictures, truths).item() == pytest.approx(absolute[name])
    flat = {
        "paper": 0,
        "torch": 0,
        "chainer": 0,
        "tf": (2 * 2 * 4 + 2 * 4 * 9) / 2,
    }  # only steps to the border, squared
    assert squares.gradient_term(pictures, truths).item() == pytest.approx(flat[name])
    even = [torch.zeros(2, 1), torch.zeros(2, 2)]  # 2 and 4 scores, each of probability one half
    bit = {"paper": math.log(2) * 2, "torch": math.log(2) * 2, "chainer": math.log(2) * 6, "tf": math.log10(2) * 6 / 2}
    assert squares.fooling(even).item() == pytest.approx(bit[name])
    halved = 1 if name in ("torch", "chainer") else 2  # the discriminators' mean over both kinds, or their sum
    assert squares.telling(even, even).item() == pytest.approx(halved * bit[name])


def test_smoothed_terms_cost_little_gaps_their_square_and_large_ones_themselves():
    pictures, truths = [torch.full((1, 1, 1, 1), 0.3)], [torch.full((1, 1, 1, 1), 0.7)]
    expected = math.sqrt(0.4**2 + 0.3**2) - 0.3
    assert pixel_term(pictures, truths, 1, smooth=0.3).item() == pytest.approx(expected)
    flat = [FLAT], [TARGET]  # gaps of steps: 1 and 0.5 across, 0 and 0.5 down
    expected = sum(math.sqrt(gap**2 + 0.2**2) - 0.2 for gap in (1, 0.5, 0.5)) / 4
    assert gradient_term(*flat, 1, smooth=0.2).item() == pytest.approx(expected)


def logit(probability: float) -> torch.Tensor:
    return torch.tensor([math.log(probability / (1 - probability))], dtype=torch.float64)


def test_cross_entropy_of_scores():
    assert fooling(logit(0.2), "bce").item() == pytest.approx(-math.log(0.2))
    assert telling(logit(0.9), logit(0.2), "bce").item() == pytest.approx(-math.log(0.9) - math.log(0.8))
    sure = torch.tensor([-1000.0], requires_grad=True)
    fooling(sure, "bce").backward()
    assert sure.grad.item() == pytest.approx(-1)  # a sure discriminator still gives a gradient, and no NaN


def test_the_tensorflow_port_counts_in_tens_and_keeps_probabilities_away_from_0_and_1():
    assert fooling(logit(0.2), "clipped").item() == pytest.approx(-math.log10(0.2))
    assert fooling(logit(0.01), "clipped").item() == pytest.approx(1.0)
    assert telling(logit(0.99), logit(0.5), "clipped").item() == pytest.approx(-math.log10(0.9) - math.log10(0.5))


def test_hinge():
    scores = torch.tensor([-2.0, 0.5])
    assert fooling(scores, "hinge").item() == pytest.approx(0.75)
    assert telling(torch.tensor([3.0, 0.5]), scores, "hinge").item() == pytest.approx((0 + 0.5) / 2 + (0 + 1.5) / 2)
    assert fooling(scores, "hinge", "sum").item() == pytest.approx(1.5)


def test_accuracy_is_the_share_of_clips_with_a_right_mean_score():
    real, fake = torch.tensor([[3.0, -1.0], [-1.0, -1.0]]), torch.tensor([[-2.0, 1.0], [-2.0, 0.0]])
    assert accuracy(real, fake).item() == 0.75


def test_r1_of_a_linear_discriminator_is_half_its_squared_weights():
    weights = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0))
    frames = torch.rand(5, 3, 4, 4, requires_grad=True)
    scores = (frames * weights).sum((1, 2, 3), keepdim=True)
    assert gradient_penalty(scores, frames).item() == pytest.approx(weights.square().sum().item() / 2, rel=1e-5)
    layer = nn.Conv2d(3, 1, 1)
    gradient_penalty(layer(frames), frames).backward()
    assert layer.weight.grad.abs().sum() > 0  # it can be trained on
