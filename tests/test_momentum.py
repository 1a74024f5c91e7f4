"""What moves on in a roll-out, and a second forecast beside the network's."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import nextframe
from nextframe.flow.warp import landed
from nextframe.layers.drift import Drift
from nextframe.layers.momentum import (
    CARRIED,
    LEAST,
    STILL,
    UNEVEN,
    Coming,
    Newest,
    evenly,
    followed,
    steadiness,
)
from nextframe.models.motion import MotionOptions
from texture import texture

STEP = 3.0  # pixels to the right, a frame


def moving(places: list[float], width: int = 128) -> Tensor:
    """Return (1, K, 3, 96, width): a texture at each of these places."""
    return torch.stack([texture(96, width, dx=place, channels=3) for place in places], dim=1)


def along(*places: float, width: int = 128) -> Tensor:
    """Return flows (1, 2K, 96, width) whose x are `places`."""
    return torch.tensor([[x, 0.0] for x in places]).flatten().view(1, -1, 1, 1).expand(1, -1, 96, width)


def even_flow(frames: Tensor) -> Tensor:
    """Return what DIS optical flow says of the coming frame, as flows to all of these."""
    return evenly(Drift.along(frames).back(), frames)


def came(flow: Tensor) -> Newest:
    return Newest(flow, torch.zeros(len(flow), dtype=torch.bool))


def psnr(prediction: Tensor, truth: Tensor) -> float:
    return -10 * math.log10(float(inner(prediction - truth).square().mean()))


def inner(maps: Tensor) -> Tensor:
    return maps[..., 16:-16, 24:-24]


def test_a_place_that_everything_leaves_at_one_speed_is_that_far_back():
    back = torch.zeros(1, 2, 8, 12)
    back[:, 0] = -2.0
    assert torch.equal(landed(back), back)


def test_what_comes_next_is_from_where_the_velocity_brings_it_here():
    back = -0.1 * torch.arange(40.0).expand(1, 2, 8, 40).clone()  # the further to the right, the faster
    back[:, 1] = 0
    # -2 at 20; there, at 18, it is -1.8, and at 18.2 it is -1.82: what moves on from 18.18 comes to 20
    assert torch.allclose(landed(back)[0, 0, 4, 20], torch.tensor(-1.82))


def test_even_flow_reaches_as_far_back_as_each_frame_is_old():
    found = inner(even_flow(moving([0, STEP, 2 * STEP])))
    expected = inner(along(-3 * STEP, -2 * STEP, -STEP))
    assert (found - expected).abs().mean() < 0.1  # pixels


def test_a_frame_that_stands_for_a_missing_one_is_where_its_copy_is():
    found = inner(even_flow(moving([0, 0, STEP])))
    assert (found - inner(along(-2 * STEP, -2 * STEP, -STEP))).abs().mean() < 0.1


def test_motion_follows_it_unless_told_otherwise():
    net, video = nextframe.load("motion"), moving([0, 2, 4, 6, 8])
    with_it, without = (net.predict(video[:, :4], 1, options={"fuse": fuse}) for fuse in (True, False))
    assert torch.equal(net.predict(video[:, :4], 1), with_it)
    assert not torch.equal(with_it, without)
    for found in (with_it, without):
        assert inner(found - video[:, 4:]).abs().mean() < 0.25 * inner(video[:, 3:4] - video[:, 4:]).abs().mean()


def test_as_much_of_a_motion_goes_on_as_did_before():
    assert torch.allclose(steadiness(along(-2), along(-2)), torch.ones(()))
    half = steadiness(along(-2 - (STILL**2 + UNEVEN * 4) ** 0.5), along(-2))
    assert torch.allclose(half, torch.tensor(LEAST + (1 - LEAST) / 2))
    assert steadiness(along(20), along(-2)).max() < LEAST + 0.01
    known, both = torch.tensor([True, False]), came(along(-2).expand(2, -1, -1, -1))
    share = Coming.first(both, both, known).share
    assert torch.equal(share[:1], steadiness(along(-2), along(-2)))
    assert torch.equal(share[1:], torch.full_like(share[1:], CARRIED)), "what was before a cut says nothing"


def test_after_a_predicted_frame_a_share_of_its_motion_goes_on():
    frames, coming = moving([0, STEP, 2 * STEP]), Coming.first(came(along(-2)), None, torch.tensor([True]))
    found = followed(along(-3, -2, -1), frames, coming)
    assert torch.allclose(found, along(*(CARRIED * -2 * steps + (1 - CARRIED) * -steps for steps in (3, 2, 1))))
    held = followed(along(-3, -2, -1), moving([0, 0, STEP]), coming)
    assert torch.allclose(held, along(-3.5, -3, -1.5)), "a frame that is its copy is where that is"
    assert torch.equal(followed(along(-3, -2, -1), frames, None), along(-3, -2, -1))


def test_a_frame_that_is_held_leaves_the_coming_motion_where_it_is():
    net = nextframe.load("motion")
    steady, held = moving([0, 2, 4, 6]), moving([0, 3, 3, 6])
    with torch.no_grad():
        frame, _, coming = net.next_frame(net.look(steady), MotionOptions())
        again, _, waiting = net.next_frame(net.look(held), MotionOptions())
    assert (coming.held.tolist(), waiting.held.tolist()) == ([False], [True])
    assert torch.equal(waiting.going_on(), waiting.flow)
    assert torch.equal(again, held[:, -1])
    assert not torch.equal(frame, steady[:, -1])
    for flow, speed in ((coming.going_on(), -2), (waiting.going_on(), -3)):
        assert (inner(flow) - inner(along(speed))).abs().mean() < 0.5


@pytest.mark.parametrize(("speed", "decibels"), [(0.5, 33.0), (2.5, 28.5)])
def test_a_pan_keeps_its_speed_in_a_roll_out(speed, decibels):
    video = moving([speed * frame for frame in range(9)])
    last = nextframe.load("motion").predict(video[:, :4], 5, options={"fuse": False})[:, -1]
    assert psnr(last, video[:, -1]) > decibels  # 31.8 and 27.0 if each step sees it anew


@pytest.mark.parametrize(("speed", "decibels"), [(0.5, 45.0), (4.0, 37.0)])
def test_a_pan_is_nearly_exact_with_the_second_forecast(speed, decibels):
    video = moving([speed * frame for frame in range(9)])
    future = nextframe.load("motion").predict(video[:, :4], 5)
    assert psnr(future[:, 0], video[:, 4]) > 55  # 41 to 46 without
    assert psnr(future[:, -1], video[:, -1]) > decibels  # 33.9, 26.9 without


@pytest.mark.slow
def test_on_real_video_the_next_frame_is_better_for_it(shared):
    net, gains = nextframe.load("motion"), []
    for name in ("bottle-detection", "car-detection", "store-aisle-detection"):
        video, _ = nextframe.read_video(shared.parent / "motion" / "data" / f"real_{name}.mp4", frames=60)
        for start in range(0, 55, 11):
            clip = video[start : start + 5].float().div(255).unsqueeze(0)
            ways = [net.predict(clip[:, :4], 1, options={"fuse": fuse}) for fuse in (True, False)]
            fused_error, own_error = (float((way - clip[:, 4:]).square().mean()) for way in ways)
            gains.append(10 * math.log10(own_error / fused_error))
    assert sum(gains) / len(gains) > 0.05  # dB
