from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nextframe.core.errors import UserError
from nextframe.flow.dis import dense_flow
from nextframe.flow.warp import backward_warp, compose
from nextframe.flow.wheel import flow_image
from texture import texture

# --- estimating


@pytest.mark.parametrize(("height", "width"), [(64, 64), (97, 130), (200, 61)])
@pytest.mark.parametrize(("dx", "dy"), [(1.3, -0.6), (3.7, 2.2), (-0.25, 0.0)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_known_translation_is_found_to_a_tenth_of_a_pixel(height, width, dx, dy, channels):
    first, second = texture(height, width, channels=channels), texture(height, width, dx, dy, channels)
    flow = dense_flow(first, second)
    assert flow.shape == (1, 2, height, width)
    inner = flow[0, :, 8:-8, 8:-8].flatten(1)
    assert torch.allclose(inner.median(1).values, torch.tensor([dx, dy]), atol=0.1)
    assert (inner - torch.tensor([[dx], [dy]])).abs().mean() < 0.1


@pytest.mark.parametrize(("dx", "dy"), [(1.3, -0.6), (3.7, 2.2), (-0.25, 0.0)])
def test_a_fine_flow_is_right_to_a_hundredth_of_a_pixel(dx, dy):
    first, second, true = texture(97, 130), texture(97, 130, dx, dy), torch.tensor([dx, dy]).view(2, 1, 1)
    fine, medium = (
        (dense_flow(first, second, preset=preset)[0, :, 8:-8, 8:-8] - true).abs().mean()
        for preset in ("fine", "medium")
    )
    assert fine < 0.012
    assert fine < 0.5 * medium


def test_large_frames_are_estimated_small_and_scaled_back():
    first, second = texture(161, 240), texture(161, 240, 6.0, -4.0)
    flow = dense_flow(first, second, max_side=130)
    assert flow.shape == (1, 2, 161, 240)
    assert torch.allclose(flow[0, :, 20:-20, 20:-20].flatten(1).median(1).values, torch.tensor([6.0, -4.0]), atol=0.3)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 2, 3, 4]), st.integers(0, 2**31))
def test_equal_frames_of_any_size_have_no_flow(height, width, channels, seed):
    frames = torch.randint(0, 256, (2, channels, height, width), generator=torch.Generator().manual_seed(seed))
    flow = dense_flow(frames.byte(), frames.byte())
    assert flow.shape == (2, 2, height, width)
    assert flow.abs().max() == 0


def test_a_batch_is_its_parts_and_floats_are_bytes():
    first, second = texture(50, 70), texture(50, 70, 2.0, 1.0)
    pair = dense_flow(torch.cat([first, second]), torch.cat([second, first]))
    assert torch.equal(pair[:1], dense_flow(first, second))
    assert torch.equal(pair[1:], dense_flow(second, first))
    as_bytes = [(frames * 255).round().byte() for frames in (first, second)]
    assert torch.equal(pair[:1], dense_flow(*as_bytes))


def test_frames_that_do_not_match_are_refused():
    with pytest.raises(UserError, match=r"\(1, 1, 8, 9\)"):
        dense_flow(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 9))


# --- warping


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 3))
def test_no_flow_changes_nothing(height, width, channels):
    frames = torch.rand(2, channels, height, width, dtype=torch.float64)
    still = torch.zeros(2, 2, height, width, dtype=torch.float64)
    assert torch.allclose(backward_warp(frames, still), frames, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(-4, 4), st.integers(-4, 4))
def test_a_whole_pixel_flow_is_a_shift_with_repeated_edges(dx, dy):
    frames = torch.rand(1, 2, 5, 7, dtype=torch.float64)
    flow = torch.tensor([float(dx), float(dy)], dtype=torch.float64).view(1, 2, 1, 1).expand(1, 2, 5, 7)
    rows = torch.arange(5).add(dy).clamp(0, 4)
    columns = torch.arange(7).add(dx).clamp(0, 6)
    assert torch.allclose(backward_warp(frames, flow), frames[:, :, rows][..., columns], atol=1e-12)


def test_half_a_pixel_is_the_mean_of_two_by_hand():
    frames = torch.tensor([[[[0.0, 1.0, 4.0]]]])
    flow = torch.tensor([0.5, 0.0]).view(1, 2, 1, 1).expand(1, 2, 1, 3)
    assert torch.allclose(backward_warp(frames, flow), torch.tensor([[[[0.5, 2.5, 4.0]]]]))


def test_the_gradients_are_right():
    torch.manual_seed(0)
    frames = torch.rand(1, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    flow = (torch.rand(1, 2, 4, 5, dtype=torch.float64) * 0.6 + 0.2).requires_grad_()  # away from the kinks
    assert torch.autograd.gradcheck(backward_warp, (frames, flow))


def test_warping_back_along_the_flow_restores_the_frame():
    first, second = texture(80, 90), texture(80, 90, 2.4, -1.7)
    restored = backward_warp(second, dense_flow(first, second))
    error = (restored - first)[..., 8:-8, 8:-8].abs().mean()
    assert error < 0.05 * (second - first)[..., 8:-8, 8:-8].abs().mean()


def test_composed_translations_add_up_and_a_flow_and_its_inverse_cancel():
    one = torch.tensor([1.5, -2.0]).view(1, 2, 1, 1).expand(1, 2, 20, 30)
    other = torch.tensor([0.5, 3.0]).view(1, 2, 1, 1).expand(1, 2, 20, 30)
    assert torch.allclose(compose(one, other), one + other)
    ramp = torch.zeros(1, 2, 20, 30)
    ramp[:, 0] = 0.5 * torch.arange(30.0)  # x goes to 1.5 x
    back = torch.zeros(1, 2, 20, 30)
    back[:, 0] = -torch.arange(30.0) / 3  # and back
    assert torch.allclose(compose(ramp, back)[..., :19], torch.zeros(19), atol=1e-4)


# --- pictures


@pytest.mark.parametrize(
    ("direction", "color"),
    [
        ((1, 0), (1.0, 0.0, 0.0)),  # right: red
        ((0, 0), (1.0, 1.0, 1.0)),
        ((-1, 0), (0.0, 0.773, 1.0)),  # left: half of 55 steps is 2.5 of 11 from cyan to blue
        ((0, 1), (1.0, 0.917, 0.0)),  # down: 13.75 of 15 from red to yellow
        ((0, -1), (0.404, 0.0, 1.0)),  # up: 5.25 of 13 from blue to magenta
        ((0.5, 0), (1.0, 0.5, 0.5)),
        ((2, 0), (0.75, 0.0, 0.0)),
        ((float("nan"), 0), (0.0, 0.0, 0.0)),
    ],
)
def test_colours_of_the_wheel_by_hand(direction, color):
    flow = torch.tensor(direction, dtype=torch.float32).view(1, 2, 1, 1)
    assert torch.allclose(flow_image(flow, 1.0).flatten(), torch.tensor(color), atol=1e-3)


def test_the_wheel_is_continuous_and_in_range():
    angle = torch.linspace(-torch.pi, torch.pi, 2_000)
    flow = torch.stack([angle.cos(), angle.sin()]).view(1, 2, 1, -1)
    picture = flow_image(flow)
    assert picture.min() >= 0
    assert picture.max() <= 1
    assert picture.diff(dim=-1).abs().max() < 0.05
    assert torch.allclose(picture[..., 0], picture[..., -1], atol=1e-3)
