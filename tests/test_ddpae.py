"""Components with their own poses (DDPAE), the placing of their images, and how components are measured."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nextframe.checkpoint import create_model
from nextframe.core.errors import UserError
from nextframe.data import DataConfig, open_data
from nextframe.evaluation import evaluate
from nextframe.evaluation.besides.beside import OVERLAP, SEPARATED, matched, overlaps
from nextframe.layers.placing import cut_out, place
from nextframe.models.ddpae import Gaussian

SMALL = {
    "frame_height": 32,
    "frame_width": 32,
    "object_size": 16,
    "width": 4,
    "features": 16,
    "hidden": 8,
    "content": 4,
}


def model(**fields):
    torch.manual_seed(0)
    return create_model("ddpae", **SMALL, **fields).eval()


def digits(context=4, horizon=3, clips=2, **options):
    config = DataConfig(context=context, horizon=horizon, size=(32, 32), options={"count": 2, **options})
    return open_data(config).read("val", np.arange(clips)).to("cpu")


def numbers(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


def parameters(*modules):
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


# --- placing


def test_an_image_is_placed_by_hand_counted_pixels():
    image = numbers(1, 1, 4, 4)
    middle = F.pad(image, (2, 2, 2, 2))  # half of a frame of 8x8
    right_and_up = middle.roll((-2, 1), (2, 3))  # a pixel is 2 / 8 of the frame: 1 right is x = -2 * 0.25, 2 up y = +1
    half = (middle + middle.roll(1, 3)) / 2
    for pose, expected in (((2, 0, 0), middle), ((2, -0.5, 1), right_and_up), ((2, -0.25, 0), half)):
        found = place(image, torch.tensor([pose], dtype=torch.float32), (8, 8))
        torch.testing.assert_close(found, expected)


def test_what_was_placed_is_cut_out_again():
    image, pose = numbers(2, 3, 16, 16), torch.tensor([[2.0, -0.5, 0.25], [2.0, 0.75, 0.0]])
    torch.testing.assert_close(cut_out(place(image, pose, (32, 32)), pose, (16, 16)), image)


@pytest.mark.parametrize("way", [place, cut_out])
def test_placing_is_a_grid_of_samples(way):
    images, poses = numbers(5, 2, 12, 10), numbers(5, 3) + torch.tensor([1.0, -0.5, -0.5])
    scale, x, y = poses.unbind(1) if way is place else (1 / poses[:, 0], *(-poses[:, 1:] / poses[:, :1]).unbind(1))
    zero = torch.zeros_like(x)
    affine = torch.stack([scale, zero, x, zero, scale, y], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(affine, (5, 2, 20, 14), align_corners=False)
    torch.testing.assert_close(
        way(images, poses, (20, 14)), F.grid_sample(images, grid, align_corners=False), rtol=1e-4, atol=1e-5
    )


# --- the model


def test_it_has_the_parameters_of_the_public_code():
    net = create_model("ddpae")
    assert parameters(net.poses) == 488_044
    assert parameters(net.content_reader, net.content) == 66_304
    assert parameters(net.object_encoder) == 76_000
    assert parameters(net.decoder) == 76_016
    assert parameters(net) == 706_364


@pytest.mark.parametrize("coupled", [True, False])
def test_the_components_add_up_to_the_prediction(coupled):
    net, clip = model(coupled=coupled, components=3), digits()
    with torch.no_grad():
        components = net.components(clip.context, 5)
    assert components.shape == (2, 4 + 5, 3, 1, 32, 32)
    assert components.min() >= 0
    torch.testing.assert_close(components.sum(2).clamp(0, 1)[:, 4:], net.predict(clip.context, 5))


def test_a_pose_moves_a_component_by_hand_counted_pixels():
    net, image = model(components=1), numbers(1, 1, 1, 16, 16)
    # 5 pixels of 32 to the right: -x / scale = 5 * 2 / 32, and x = tanh(.) * (scale - 0.5) at scale 2
    right = math.atanh(-2 * 5 * 2 / 32 / 1.5)
    path = torch.tensor([[2.0, 0, 0], [2.0, right, 0], [2.0, 0, right]]).view(1, 3, 1, 3)
    still, moved, down = net.placed(image, path)[0, :, 0, 0]
    torch.testing.assert_close(still, F.pad(image[0, 0, 0], (8, 8, 8, 8)))
    torch.testing.assert_close(moved, still.roll(5, 1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(down, still.roll(5, 0), rtol=1e-4, atol=1e-5)


def test_poses_go_on_by_the_step_of_the_head_in_context_and_future():
    net, step = model(), torch.tensor([0.0, 0.02, -0.03])
    with torch.no_grad():
        net.poses.step.mean.weight.zero_()
        net.poses.step.mean.bias.copy_(step)
        path = net._latents(digits().context, 6, temperature=0.0)[0][1]
        first = net.poses.first(net.poses.read(digits().context)).mean
    times = torch.arange(1, 4 + 6 + 1).view(1, -1, 1, 1)  # the first frame is one step from the start
    torch.testing.assert_close(path, first.unsqueeze(1) + times * step)


def test_components_in_another_order_are_the_same_frames():
    net, images, path = model(components=3), numbers(2, 3, 1, 16, 16), numbers(2, 4, 3, 3) + 1
    order = [2, 0, 1]
    components, others = net.placed(images, path), net.placed(images[:, order], path[:, :, order])
    assert torch.equal(components[:, :, order], others)
    torch.testing.assert_close(net.frames(components), net.frames(others))


def test_the_divergence_is_as_worked_out_by_hand():
    net = model(components=1)
    expected = torch.tensor([net.config.scale, 0, 0])
    sigma = torch.tensor([0.2, 1, 1])
    content = Gaussian(torch.ones(2, 1, 4), torch.zeros(2, 1, 4))  # one deviation off: 1/2 each
    first = Gaussian((expected + sigma).expand(2, 1, 3), sigma.log().expand(2, 1, 3))
    steps = Gaussian(torch.zeros(2, 5, 1, 3), torch.full((2, 5, 1, 3), math.log(0.2)))  # twice as wide as 0.1
    wide = 5 * 3 * ((4 - 1) / 2 - math.log(2))
    assert float(net.divergence(content, first, steps)) == pytest.approx(4 / 2 + 3 / 2 + wide, rel=1e-5)
    still = Gaussian(torch.zeros(2, 5, 1, 3), torch.full((2, 5, 1, 3), math.log(0.1)))
    none = Gaussian(torch.zeros(2, 1, 4), torch.zeros(2, 1, 4)), Gaussian(first.mean - sigma, first.log_sigma)
    assert float(net.divergence(*none, still)) == pytest.approx(0, abs=1e-5)


def test_the_loss_is_the_error_in_deviations_of_a_pixel_and_the_divergence():
    net, clip = model(pixel_sigma=0.5), digits()
    loss, logs = net.stages()[0].objectives[0].loss(clip)
    assert float(loss.detach()) == pytest.approx(float(2 * logs["error"] + logs["kl"]), rel=1e-5)


def test_a_component_is_told_what_the_ones_before_it_read():
    """Without that the second would read the same as the first."""
    net = model()
    with torch.no_grad():
        reading = net.poses.read(digits().context)
    assert not torch.allclose(reading.outputs[:, :, 0], reading.outputs[:, :, 1])
    alone = model(components=1)
    alone.load_state_dict(net.state_dict())  # no weight belongs to one component
    with torch.no_grad():
        torch.testing.assert_close(alone.poses.read(digits().context).outputs[:, :, 0], reading.outputs[:, :, 0])


def test_futures_differ_above_temperature_zero_only():
    net, context = model(start_sigma=0.3), digits().context
    same = net.predict(context, 3, samples=2, options={"temperature": 0})
    assert torch.equal(same[0], same[1])
    one, other = net.predict(context, 3, samples=2, options={"temperature": 1.0})
    assert not torch.equal(one, other)


def test_other_sizes_are_refused():
    with pytest.raises(UserError, match="takes frames of 32x32, not 40x32"):
        model().predict(torch.zeros(1, 3, 1, 40, 32), 2)
    with pytest.raises(UserError, match="must be a power of 2"):
        create_model("ddpae", object_size=24)
    with pytest.raises(UserError, match="scale"):
        create_model("ddpae", scale=1.2)


# --- the objects of moving digits, and components measured by them


def test_the_objects_of_a_clip_are_its_digits_alone():
    clip = digits(objects=True, count=3)
    objects = clip.extras["objects"]
    assert objects.shape == (2, 7, 3, 1, 32, 32)
    assert objects.dtype == torch.uint8
    torch.testing.assert_close(objects.amax(2).float() / 255, clip.frames)
    assert (objects.flatten(3).sum(3) > 0).all()
    assert torch.equal(clip.frames, digits(count=3).frames)


def test_objects_are_in_the_colours_of_the_frames_and_not_drawn_on_a_device():
    config = DataConfig(context=2, horizon=1, size=(32, 32), color="rgb", options={"objects": True})
    assert open_data(config).read("val", np.arange(1)).extras["objects"].shape == (1, 3, 2, 3, 32, 32)
    with pytest.raises(UserError, match="objects are drawn while reading"):
        open_data(DataConfig(context=2, horizon=1, options={"objects": True, "draw": "device"}))


def test_overlaps_by_hand():
    components = torch.zeros(1, 1, 2, 1, 2, 4)
    components[0, 0, 0, 0, 0, :3] = 0.9
    components[0, 0, 1, 0, 1, :] = 0.6
    components[0, 0, 1, 0, 0, 3] = 0.4  # too dark to count
    objects = torch.zeros(1, 1, 2, 1, 2, 4)
    objects[0, 0, 0, 0, 1, 2:] = 1
    objects[0, 0, 1, 0, 0, 1:] = 1
    found = overlaps(components, objects)
    torch.testing.assert_close(found, torch.tensor([[[[0, 2 / 4], [2 / 4, 0]]]]))
    torch.testing.assert_close(matched(found), torch.tensor([[[0.5, 0.5]]]))


def test_components_are_matched_once_a_clip_in_any_order():
    objects = digits(objects=True, clips=4).extras["objects"].float() / 255
    assert torch.equal(matched(overlaps(objects[:, :, [1, 0]], objects)), torch.ones(4, 7, 2))
    swapping = objects.clone()
    swapping[:, 4:] = objects[:, 4:, [1, 0]]  # a component that turns into the other digit is wrong from there on
    found = matched(overlaps(swapping, objects))
    assert torch.equal(found[:, :4], torch.ones(4, 4, 2))
    assert (found[:, 4:] < 0.9).all()
    both = objects.amax(2, keepdim=True)  # one component with all in it: the other object has none
    assert (matched(overlaps(both, objects)).amin(2) == 0).all()


def test_an_evaluation_measures_components_where_the_objects_are_known():
    net = model()
    for objects in (True, False):
        config = DataConfig(context=3, horizon=2, size=(32, 32), options={"objects": objects})
        found = evaluate(net, config, "val", clips=3, metrics=["mse"], baselines=[])
        rows = {row.metric: row for row in found.beside}
        assert set(rows) == ({OVERLAP.name, SEPARATED.name} if objects else set())
    clip = open_data(DataConfig(context=3, horizon=2, size=(32, 32), options={"objects": True}))
    clip = clip.read("val", np.array([0, 333, 666])).to("cpu")
    with torch.no_grad():
        by_hand = matched(overlaps(net.components(clip.context, 2), clip.extras["objects"] / 255))
    config = DataConfig(context=3, horizon=2, size=(32, 32), options={"objects": True})
    found = evaluate(net, config, "val", clips=3, metrics=["mse"], baselines=[])
    row = next(row for row in found.beside if row.metric == OVERLAP.name)
    assert row.per_step == pytest.approx(by_hand.mean((0, 2)).tolist(), abs=1e-6)
    assert any(note.startswith(f"{SEPARATED.name}: ddpae ") for note in found.notes)


def test_images_of_components(tmp_path):
    from nextframe.media.reader import open_source
    from nextframe.prediction.latent_images import draw_latents

    config = DataConfig(context=3, horizon=2, size=(32, 32))
    paths = draw_latents(model(), open_data(config), "val", tmp_path, gifs=2)
    assert [path.name for path in paths] == ["components.png", "components-01.gif", "components-02.gif"]
    frames = open_source(paths[1]).last(20)
    assert len(frames) == 5
    panels = 4  # the truth, two components, their sum: of equal width beside one another
    assert frames.shape[-1] > panels * frames.shape[-2] * 0.8
