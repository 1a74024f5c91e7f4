"""The predictor of real video: its parts by hand, and the weights that come with the package."""

import math
from copy import deepcopy

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import nextframe
from nextframe.checkpoint.weights import SHIPPED
from nextframe.core.clip import Clip, Task
from nextframe.core.conditions import Conditions
from nextframe.core.errors import UserError
from nextframe.flow.warp import backward_warp
from nextframe.layers.correlation import correlation
from nextframe.layers.guess import agreement, mixed
from nextframe.layers.guess_loss import FLOW_WEIGHTS
from nextframe.layers.offsets import scaled
from nextframe.layers.sampling import enlarged, fewer, sampled, shrunk
from nextframe.layers.window import Seen, as_many, thumbnails
from nextframe.losses.flow_error import flow_error
from nextframe.losses.pyramid import laplacian, pyramid_loss
from nextframe.models.contract import Request
from nextframe.models.motion import Guess, Motion, MotionConfig, MotionOptions, blend
from nextframe.models.protocols import Confident
from texture import texture


@pytest.fixture(scope="module")
def shipped() -> Motion:
    return nextframe.load("motion")


def panned(count: int, height: int, width: int, step: float, channels: int = 3) -> Tensor:
    """Return (1, count, channels, H, W): a texture seen by a camera that moves `step` pixels to the right a frame."""
    return torch.stack([texture(height, width, dx=-step * t, channels=channels) for t in range(count)], dim=1)


def since_cut(frames: Tensor) -> Tensor:
    """Return the frames that stand for (B, K, C, H, W), and check that features go with them."""
    seen = Seen(frames, frames.mean(2, keepdim=True), thumbnails(frames)).shot(frames.shape[1])
    assert torch.equal(seen.features, seen.frames.mean(2, keepdim=True))
    return seen.frames


def psnr(prediction: Tensor, truth: Tensor) -> float:
    return -10 * math.log10(float((prediction - truth).square().mean()))


def test_correlation_is_largest_where_the_maps_agree():
    maps = torch.randn(1, 256, 12, 14, generator=torch.Generator().manual_seed(0))
    others = torch.roll(maps, (1, -2), (2, 3))  # what stands at x in `maps` stands at x + (1, -2) in `others`
    found = correlation(maps, others, 3)
    assert found.shape == (1, 49, 12, 14)
    assert (found[0, :, 3:-3, 3:-3].argmax(0) == (3 + 1) * 7 + (3 - 2)).all()
    assert torch.allclose(
        found[0, 29, 4, 5], (maps[0, :, 4, 5] * others[0, :, 5, 3]).mean()
    )  # 29: one down, two to the left


def test_the_laplacian_pyramid_adds_up_and_its_loss_counts_what_it_says():
    frame = torch.rand(1, 3, 24, 16, generator=torch.Generator().manual_seed(0))
    levels = laplacian(frame)
    assert [tuple(level.shape[-2:]) for level in levels] == [(24, 16), (12, 8), (6, 4), (3, 2)]
    assert pyramid_loss(frame, frame) == pytest.approx(1e-3)  # the bottom of sqrt(0 + 1e-6)
    # a constant difference stands in the last level alone: 0.1 of pixels and twice 0.1 of what is left
    assert pyramid_loss(frame * 0.5, frame * 0.5 + 0.1) == pytest.approx(math.sqrt(0.01 + 1e-6) + 0.2, abs=1e-5)


def test_blend_is_the_chosen_frame():
    frames = torch.rand(2, 3, 3, 5, 6)
    paint = torch.rand(2, 3, 5, 6)
    for number, expected in enumerate([frames[:, 0], frames[:, 1], frames[:, 2], frames[:, 2], paint]):
        choice = torch.full((2, 5, 5, 6), -100.0)
        choice[:, number] = 100
        assert torch.allclose(blend(Guess(torch.zeros(2, 6, 5, 6), choice, paint), frames), expected, atol=1e-5)


def test_frames_before_a_cut_are_replaced_by_the_first_after_it():
    scene, other = panned(3, 48, 64, 2), 1 - panned(3, 48, 64, 0) * torch.tensor([1.0, 0.2, 0.1]).view(3, 1, 1)
    assert torch.equal(since_cut(scene), scene)  # motion is not a cut
    cut = torch.cat([other[:, :1], scene[:, :2]], dim=1)
    assert torch.equal(since_cut(cut), as_many(scene[:, :2], 3))
    late = torch.cat([other[:, :2], scene[:, :1]], dim=1)
    assert torch.equal(since_cut(late), scene[:, :1].expand(-1, 3, -1, -1, -1))
    both = since_cut(torch.cat([cut, scene]))  # each clip of a batch for itself
    assert torch.equal(both, torch.cat([since_cut(cut), scene]))


def test_the_shipped_weights_are_whole_and_small(shipped):
    assert nextframe.load("motion").config == MotionConfig()
    assert sum(parameter.numel() for parameter in shipped.parameters()) == 3_370_064 <= 4_000_000
    assert (SHIPPED / "motion" / "model.safetensors").stat().st_size < 8e6
    assert "CC-BY-4.0" in (SHIPPED / "motion" / "README.md").read_text()


@pytest.mark.parametrize(("height", "width"), [(96, 128), (130, 70), (33, 47)])  # wide, portrait, no multiple of 32
def test_the_shipped_model_follows_a_camera(shipped, height, width):
    video = panned(8, height, width, 2.5)
    future = shipped.predict(video[:, :4], 4)
    for step in range(4):
        truth, last = video[:, 4 + step], video[:, 3]
        inner = (..., slice(8, -8), slice(8, -24))  # what comes into view at the right cannot be known
        assert psnr(future[:, step][inner], truth[inner]) > psnr(last[inner], truth[inner]) + 6
    assert psnr(future[:, 0][inner], video[:, 4][inner]) > 30


def test_two_frames_are_enough_and_what_stands_still_stays(shipped):
    video = panned(3, 64, 96, 2)
    inner = (..., slice(8, -8), slice(8, -16))
    future = shipped.predict(video[:, :2], 1)[:, 0]
    assert psnr(future[inner], video[:, 2][inner]) > psnr(video[:, 1][inner], video[:, 2][inner]) + 6
    still = panned(4, 64, 96, 0)
    assert psnr(shipped.predict(still, 5)[:, -1], still[:, -1]) > 38


def test_after_a_cut_only_the_new_shot_counts(shipped):
    scene, other = panned(2, 64, 96, 2), 0.2 * panned(1, 64, 96, 0)  # another shot, at night
    # but for rounding: the features of two frames are made in one go, those of one alone
    assert torch.allclose(shipped.predict(torch.cat([other, scene], 1), 2), shipped.predict(scene, 2), atol=1e-5)


def test_grey_is_the_mean_of_equal_channels_and_alpha_moves_with_the_colours(shipped):
    grey = panned(4, 64, 96, 2, channels=1)
    rgb = shipped.predict(grey.expand(-1, -1, 3, -1, -1), 2)
    assert torch.allclose(shipped.predict(grey, 2), rgb.mean(2, keepdim=True), atol=1e-3)
    video = panned(5, 64, 96, 2)
    alpha = (video[:, :, :1] > 0.5).float()
    future = shipped.predict(torch.cat([video, alpha], 2)[:, :4], 1)[:, 0]
    inner = (..., slice(8, -8), slice(8, -16))
    assert torch.allclose(future[:, :3], shipped.predict(video[:, :4], 1)[:, 0], atol=1e-6)
    moved, stayed = (future[:, 3:] - alpha[:, 4]).abs()[inner].mean(), (alpha[:, 3] - alpha[:, 4]).abs()[inner].mean()
    assert moved < 0.5 * stayed


# --- confidence, and the mean with the mirrored clip


def test_agreement_by_hand():
    same, black, white = torch.full((1, 3, 4, 4), 0.3), torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)
    half = torch.full((1, 1, 4, 4), 0.5)
    assert agreement([same, same], [half, half], same).item() == pytest.approx(1)
    assert agreement([black, white], [half, half], (black + white) / 2).item() == pytest.approx(0)
    # a quarter of white on black: 0.75 away with weight 0.25, 0.25 away with weight 0.75
    quarter = [0.5 * half, 1.5 * half]
    assert agreement([white, black], quarter, mixed([white, black], quarter)).item() == pytest.approx(1 - 2 * 0.375)


def test_what_stands_still_is_surer_than_what_moves_and_that_than_what_jumps(shipped):
    video = panned(4, 64, 96, 2)
    options = shipped.read_options({})
    clips = torch.cat(
        [video, video[:, [3, 1, 2, 0]], video[:, :1].expand(-1, 4, -1, -1, -1)]
    )  # smooth, shuffled, still
    with torch.no_grad():
        future, sure = shipped.forecast_with_confidence(Request(clips, 3, options=options))
    assert torch.equal(future, shipped.predict(clips, 3))
    assert isinstance(shipped, Confident)
    smooth, shuffled, still = sure.tolist()
    assert still[0] > smooth[0] > shuffled[0] > 0
    assert max(still) <= 1


def test_mirror_is_the_mean_of_both_ways(shipped):
    video = panned(4, 40, 56, 2)
    alone, mirrored = shipped.predict(video, 2), shipped.predict(video.flip(-1), 2).flip(-1)
    both = shipped.predict(video, 2, options={"mirror": True})
    assert torch.equal(both, (alone + mirrored) / 2)
    assert torch.equal(shipped.predict(video.flip(-1), 2, options={"mirror": True}).flip(-1), both)
    with pytest.raises(UserError, match=r"has no option 'miror'.*mirror"):
        shipped.predict(video, 1, options={"miror": True})


# --- the frame between two


def with_index(model: Motion) -> Motion:
    """Return a copy of `model` whose weights of the offsets are as if they were trained: large and no two alike."""
    model = deepcopy(model)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        if name.endswith("index"):
            parameter.data.normal_(generator=generator)
    return model


def test_what_is_learned_of_offsets_changes_no_forecast_by_a_bit(shipped):
    video, changed = panned(4, 40, 56, 2), with_index(shipped)
    assert torch.equal(changed.predict(video, 2), shipped.predict(video, 2))
    future = shipped.predict(video, 2, options={"rehearse": False, "fuse": False})
    told = Conditions(fixed={"offsets": torch.tensor([[-4, -3, -2, -1]])})
    assert torch.equal(changed.predict(video, 1, conditions=told), future[:, :1])
    pair = video[:, [1, 3]]
    middle = Task.interpolate().told(pair)
    assert not torch.equal(changed.predict(pair, 1, conditions=middle), shipped.predict(pair, 1, conditions=middle))


def test_flows_to_the_frame_between_two_are_a_quarter_and_half_of_a_forecasts_and_back():
    flow = torch.tensor([8.0, 4.0] * 3).view(1, 6, 1, 1)
    found = scaled(
        flow, torch.tensor([[-0.5, -0.5, 0.5]])
    )  # even motion: the second of three is 2 steps from a forecast
    assert torch.allclose(found.flatten(), torch.tensor([8 / 6, 4 / 6, 2, 1, -4, -2]))
    assert torch.allclose(scaled(found, torch.tensor([[-0.5, -0.5, 0.5]]), -1), flow)
    assert torch.equal(scaled(flow, torch.tensor([[-3.0, -2.0, -1.0]])), flow)


@pytest.mark.parametrize("gap", [1, 2])
def test_before_any_training_on_it_the_middle_of_a_pan_is_nearer_than_the_mean(shipped, gap):
    video = panned(2 * gap + 1, 96, 128, 1.5 / gap)
    clip = Task.interpolate(gap).split(video)
    middle = shipped.predict(clip.context, 1, conditions=clip.conditions)[:, 0]
    inner = (..., slice(16, -16), slice(16, -16))
    truth, mean = clip.target[:, 0][inner], clip.context.mean(1)[inner]
    assert psnr(middle[inner], truth) > psnr(mean, truth) + 6
    pair, still = clip.context, clip.context[:, :1].expand(-1, 2, -1, -1, -1)
    assert psnr(shipped.predict(still, 1, conditions=clip.conditions)[:, 0], still[:, 0]) > 35
    with pytest.raises(UserError, match="one frame between others, not 2"):
        shipped.predict(pair, 2, conditions=clip.conditions)
    with pytest.raises(UserError, match=r"'offsets' \(1, 3\) needs 2 entries"):
        shipped.predict(pair, 1, conditions=Conditions(fixed={"offsets": torch.ones(1, 3)}))


def test_middles_are_learned_by_the_same_loss(shipped):
    model, clip = deepcopy(shipped), Task.interpolate().split(panned(3, 48, 64, 1.5))
    before = model.predict(clip.context, 2)
    optimizer = torch.optim.Adam([block.index for block in (model.coarse, *model.refine)], lr=0.02)
    losses = []
    for _ in range(5):
        loss, _ = model.loss(clip)
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.75 * losses[0]
    assert torch.equal(model.predict(clip.context, 2), before)


def test_the_true_flow_of_a_clip_joins_the_loss():
    torch.manual_seed(0)
    model = Motion(MotionConfig(widths=(8, 8, 8, 8), depths=(2, 2, 2, 2)))
    context, target = panned(3, 40, 48, 2), panned(4, 40, 48, 2)[:, 3:]
    with torch.no_grad():
        without, _ = model.loss(Clip(context, target))
        flow = torch.stack([guess.flow for guess in model.guesses(context, model.look(context, whole=True).features)])
        off = flow[-1] + 3  # three pixels beside what the model finds last
        with_flow, _ = model.loss(Clip(context, target, extras={"flow": off.unsqueeze(1)}))
    expected = sum(weight * flow_error(each, off) for weight, each in zip(FLOW_WEIGHTS, flow, strict=True))
    assert float(with_flow - without) == pytest.approx(float(expected), rel=1e-3)
    assert flow_error(flow[-1], off) == pytest.approx(3.01**0.7, rel=1e-4)
    assert flow_error(flow[-1], off + 1000) == pytest.approx(40.01**0.7, rel=1e-4)


@pytest.mark.parametrize(
    ("size", "seen"),
    [((360, 640), (256, 448)), ((144, 256), (96, 176)), ((96, 96), (96, 96)), ((50, 100), (50, 96))],
)
def test_large_frames_are_seen_at_seven_tenths_and_small_ones_as_they_are(shipped, size, seen):
    video = torch.rand(1, 1, 3, *size)
    assert fewer(video, 16).shape[-2:] == seen
    assert torch.equal(fewer(video, 16), video) == (size == seen)
    assert torch.allclose(fewer(torch.full_like(video, 0.3), 16), torch.tensor(0.3))
    assert shipped.look(video).features.shape[-2:] == tuple(-(-side // 16) * 2 for side in seen)


def test_fine_texture_is_found_again_if_all_pixels_are_seen(shipped):
    video = panned(9, 160, 240, 2.5)
    predicted = [shipped.predict(video[:, :4], 5, options={"fuse": False, "whole": whole}) for whole in (False, True)]
    fewer_error, error = ((frames - video[:, 4:])[..., 16:-16].square().mean() for frames in predicted)
    assert error < 0.9 * fewer_error


def test_a_guess_of_fewer_pixels_is_applied_at_the_whole_size():
    """Half as wide and a third as high, half a pixel to the right and one down are one pixel and three."""
    frames = torch.rand(1, 2, 3, 24, 32)
    flow = torch.tensor([0.5, 1.0] * 2).view(1, 4, 1, 1).expand(1, 4, 8, 16)
    choice = torch.tensor([-9.0, 9, -9, -9]).view(1, 4, 1, 1).expand(1, 4, 8, 16)
    guess = Guess(flow, choice, torch.zeros(1, 3, 8, 16)).at(frames)
    assert torch.allclose(guess.flow, torch.tensor([1.0, 3.0] * 2).view(1, 4, 1, 1))
    assert torch.allclose(blend(guess, frames)[..., :-3, :-1], frames[:, 1, :, 3:, 1:], atol=1e-3)


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_frames_are_sampled_at_a_smaller_size_as_if_shrunk_after_it(scale):
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand(2, 3, 3, 32, 48, generator=generator)
    flow = torch.randn(2, 6, 32, 48, generator=generator) * 4
    whole = backward_warp(frames.flatten(0, 1), flow.view(6, 2, 32, 48))
    expected = F.interpolate(whole, scale_factor=1 / scale, mode="bilinear").unflatten(0, (2, 3))
    assert torch.allclose(sampled(flow, frames, scale), expected, atol=1e-5)
    small = F.interpolate(frames.flatten(1, 2), scale_factor=1 / scale, mode="bilinear").unflatten(1, (3, 3))
    assert torch.allclose(shrunk(frames, scale), small, atol=1e-6)


def test_each_frame_is_looked_at_once_and_counts_as_if_with_the_others(shipped):
    video = panned(3, 64, 96, 2)
    together = shipped.look(video)
    apart = shipped.look(video[:, :1]).then(shipped.look(video[:, 1:2])).then(shipped.look(video[:, 2:]))
    assert torch.allclose(together.features, apart.features, atol=1e-5)
    with torch.no_grad():
        assert torch.allclose(*(shipped.next_frame(seen, MotionOptions())[0] for seen in (together, apart)), atol=1e-5)


def test_what_is_added_to_a_guess_is_a_change_of_the_whole_one():
    # at half of the size a guess made of changes at an eighth is what the whole guess is, shrunk
    change = torch.randn(1, 14, 4, 6, generator=torch.Generator().manual_seed(0))
    for scale in (4, 2):
        whole = shrunk(enlarged(change, (32, 48)).unsqueeze(0), scale).squeeze(0)
        assert torch.allclose(enlarged(change, (32 // scale, 48 // scale)), whole, atol=1e-5)


def test_alpha_is_nothing_to_learn_from():
    torch.manual_seed(0)
    model = Motion(MotionConfig(widths=(8, 8, 8, 8), depths=(2, 2, 2, 2)))
    video = panned(5, 40, 48, 2)
    with_alpha = torch.cat([video, torch.rand(1, 5, 1, 40, 48)], dim=2)
    with torch.no_grad():
        losses = [float(model.loss(Clip(clip[:, :3], clip[:, 3:]))[0]) for clip in (video, with_alpha)]
    assert losses[0] == losses[1]


def test_no_pixel_is_lost_at_any_size_or_precision(shipped):
    """Shares are enlarged from cells of 8x8 pixels: rounding must not lead beyond 1, of which no root is taken."""
    for height, width in ((50, 70), (46, 82), (43, 75)):
        future = shipped.predict(panned(4, height, width, 2), 3)
        assert future.isfinite().all()
        assert future.min() >= 0
        assert future.max() <= 1
    maps = torch.nn.functional.interpolate(torch.ones(1, 1, 7, 9), size=(50, 70), mode="bilinear")
    assert maps.max() > 1, "if this is no longer so, the sizes above test nothing"
    video = panned(4, 48, 64, 2)
    double = deepcopy(shipped).double().predict(video.double(), 2)
    assert torch.allclose(double.float(), shipped.predict(video, 2), atol=1e-3)


def test_each_clip_of_a_batch_has_its_own_second_forecast(shipped):
    steady, cut = panned(4, 64, 96, 2), torch.cat([0.2 * panned(2, 64, 96, 0), panned(2, 64, 96, 2)], 1)
    both = shipped.predict(torch.cat([steady, cut]), 2)
    assert torch.allclose(both, torch.cat([shipped.predict(steady, 2), shipped.predict(cut, 2)]), atol=1e-5)


def test_a_moving_alpha_mask_is_no_cut(shipped):
    alpha = torch.zeros(1, 2, 1, 64, 96)
    alpha[:, 1] = 1
    seen = shipped.look(torch.cat([panned(2, 64, 96, 1), alpha], 2))
    assert torch.equal(seen.changes(), shipped.look(panned(2, 64, 96, 1)).changes())
