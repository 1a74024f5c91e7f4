"""A second forecast: the last real frame, moved on along its own optical flow."""

from __future__ import annotations

import torch
from torch import Tensor

import nextframe
from nextframe.layers.drift import Drift
from nextframe.layers.momentum import Coming, Newest
from texture import texture

STEP = 3.0  # pixels to the right, a frame


def moving(*places: float, channels: int = 3) -> Tensor:
    """Return (1, K, C, 96, 128): a texture at each of these places."""
    return torch.stack([texture(96, 128, dx=place, channels=channels) for place in places], dim=1)


def speed(pixels: float) -> Tensor:
    """Return the flow (1, 2, 96, 128) back along a move of as many pixels to the right."""
    return torch.tensor([-pixels, 0.0]).view(1, 2, 1, 1).expand(1, 2, 96, 128)


def inner(maps: Tensor) -> Tensor:
    return maps[..., 16:-16, 32:-32]


def held(is_held: bool) -> Tensor:
    return torch.tensor([is_held])


def test_far_ahead_the_last_frame_is_still_sampled_once():
    drift, apart = Drift.after(moving(0)[:, 0], speed(2.5)), []
    for step in range(1, 5):
        assert torch.allclose(drift.back(), step * speed(2.5))
        apart.append(float(inner(drift.shown() - moving(2.5 * step)[:, 0]).abs().mean()))
        drift = drift.then(held(False))
    assert apart[2] < 1.05 * apart[0], "half a pixel off as the first is, and no more blurred"
    assert max(apart[1], apart[3]) < 1e-4, "whole pixels: no value is a mean of others"


def test_a_pixel_carries_its_own_speed_along():
    back = speed(0).clone()
    back[..., :64] = -2.0  # the left half moves to the lower right, the rest stands still
    drift = Drift.after(torch.rand(1, 3, 96, 128), back).then(held(False)).then(held(False))
    assert torch.allclose(drift.back()[..., 20:-20, 20:60], torch.tensor(-6.0))
    assert not drift.back()[..., 90:].any()


def test_a_held_frame_leaves_what_comes_next_as_it_is():
    first = Drift.after(moving(0).expand(2, -1, -1, -1, -1)[:, 0], speed(STEP).expand(2, -1, -1, -1))
    after = first.then(torch.tensor([True, False]))
    assert torch.equal(after.shown()[0], first.shown()[0])
    assert torch.allclose(after.back()[1], 2 * speed(STEP)[0])


def test_it_is_seen_in_the_last_two_frames_of_any_colour():
    for channels in (1, 3, 4):
        frames = moving(0, STEP, 2 * STEP, channels=min(channels, 3))
        frames = torch.cat([frames, frames[:, :, :1]], 2) if channels == 4 else frames
        found = inner(Drift.along(frames).shown())
        assert (found - inner(torch.roll(frames[:, -1], int(STEP), 3))).abs().mean() < 0.01


def test_it_goes_on_beside_the_motion_of_a_roll_out():
    drift = Drift.after(moving(0)[:, 0], speed(STEP))
    newest = Newest(speed(STEP), held(False), drift)
    first = Coming.first(newest, None, held(True))
    second = first.then(Newest(speed(STEP), held(False), first.drift))
    assert second.drift is not None
    assert torch.allclose(second.drift.back(), 3 * speed(STEP))
    assert Coming.first(newest._replace(drift=None), None, held(True)).drift is None


def test_where_it_foresaw_the_context_better_motion_shows_it():
    net, video = nextframe.load("motion"), moving(*(STEP * frame for frame in range(8)))
    with torch.no_grad():
        net.get_parameter("coarse.leave.bias").add_(0.2)  # as if everything flew away to one side
    lost, found = (
        float(inner(net.predict(video[:, :4], 4, options={"fuse": fuse}) - video[:, 4:]).abs().mean())
        for fuse in (False, True)
    )
    assert found < 0.2 * lost
