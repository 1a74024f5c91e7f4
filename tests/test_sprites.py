"""Sprites: maps as waves, paths of points, and objects that are cut out, found again and moved on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from nextframe.checkpoint import create_model
from nextframe.core.errors import UserError
from nextframe.data import DataConfig
from nextframe.evaluation import evaluate
from nextframe.evaluation.besides.beside import OVERLAP, SEPARATED
from nextframe.layers.paths import Ahead, PathPredictor, mirrored, surprise
from nextframe.layers.waves import Plane
from nextframe.models.sprites import Cutter, merged

SMALL = {"object_size": 8, "width": 8, "blocks": 2, "pairs": 4, "hidden": 8, "context": 4, "horizon": 3}


def model(**fields):
    torch.manual_seed(0)
    return create_model("sprites", **SMALL | fields).eval()


def numbers(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


# --- maps as waves


def test_an_image_at_a_spot_is_that_image_shifted():
    plane, image = Plane(12, 14), numbers(4, 4)
    drawn = plane.maps(plane.image_waves(image) * plane.spots(torch.tensor([5.0, 9.0]), torch.tensor(0.0)))
    expected = torch.zeros(12, 14)
    expected[3:7, 7:11] = image  # its middle is its third pixel
    torch.testing.assert_close(drawn, expected, atol=1e-6, rtol=0)


def test_what_leaves_at_one_side_comes_in_at_the_other():
    plane, image = Plane(8, 8), numbers(4, 4)
    drawn = plane.maps(plane.image_waves(image) * plane.spots(torch.tensor([4.0, 0.0]), torch.tensor(0.0)))
    torch.testing.assert_close(drawn[2:6].roll(2, 1)[:, :4], image, atol=1e-6, rtol=0)


def test_a_frame_seen_from_a_place_is_what_lies_around_it():
    plane, frame, where = Plane(10, 12), numbers(10, 12), torch.zeros(10, 12)
    where[6, 5] = 1
    seen = plane.images(plane.waves(frame) * plane.waves(where).conj(), 4)
    torch.testing.assert_close(seen, frame[4:8, 3:7], atol=1e-5, rtol=0)


def test_a_wide_spot_is_a_gaussian_and_sums_to_one():
    plane = Plane(32, 32)
    spot = plane.maps(plane.spots(torch.tensor([10.25, 20.5]), torch.tensor(2.0)))
    rows, columns = np.mgrid[:32, :32]
    expected = stats.multivariate_normal([10.25, 20.5], 4.0).pdf(np.dstack([rows, columns]))
    torch.testing.assert_close(spot, torch.tensor(expected, dtype=torch.float32), atol=1e-5, rtol=0)
    torch.testing.assert_close(plane.places(spot[None])[0], torch.tensor([10.25, 20.5]), atol=1e-3, rtol=0)


# --- paths


def test_a_path_goes_on_as_it_was_before_training():
    start, step = torch.tensor([[3.0, 40.0], [50.0, 9.0]]), torch.tensor([[2.0, -1.5], [0.0, 3.0]])
    path = start[:, None] + torch.arange(9)[:, None] * step[:, None]
    found = PathPredictor(8)(path[:, :4], torch.ones(2, 4), (64, 64), 5)
    torch.testing.assert_close(found.places[:, 1:], path[:, 2:])  # what follows one place alone is that place
    torch.testing.assert_close(found.places[:, 0], path[:, 0])


def test_surprise_is_that_of_students_distribution_with_two_degrees():
    sigma, far = torch.tensor([0.5, 3.0, 3.0]), torch.tensor([[0.0, 0.0], [2.0, -1.0], [30.0, 30.0]])
    found = surprise(Ahead(torch.zeros(1, 3, 2), sigma[None]), far[None])[0]
    expected = [
        -stats.multivariate_t(np.zeros(2), np.eye(2) * s**2, df=2).logpdf(x) - np.log(2 * np.pi)
        for s, x in zip(sigma.tolist(), far.numpy(), strict=True)
    ]
    torch.testing.assert_close(found.double(), torch.tensor(expected), atol=1e-5, rtol=0)


def test_mirrored_paths_of_a_square_are_its_eight_symmetries():
    one = torch.tensor([[[0.0, 2.0]]])
    assert sorted(mirrored(one, (10, 10))[:, 0].tolist()) == sorted(
        [[0, 2], [0, 7], [9, 2], [9, 7], [2, 0], [7, 0], [2, 9], [7, 9]]
    )
    assert mirrored(one, (10, 20))[:, 0].tolist() == [[0, 2], [0, 17], [9, 2], [9, 17]], "a long frame is not turned"


# --- the model


def test_an_image_is_likeliest_where_it_is_and_not_where_the_other_one_is():
    net, plane = model(object_size=8), Plane(32, 32)
    images = plane.image_waves(numbers(1, 2, 1, 8, 8) ** 4).unsqueeze(2)  # (B, K, 1, C, H, W)
    places = torch.tensor([[[[8.0, 9.0]], [[20.0, 23.0]]]])  # (B, K, T, 2)
    spots = plane.spots(places, torch.zeros(1, 2, 1)).unsqueeze(3)
    frames = merged(plane.maps(images * spots))
    logits = net.likeness(plane, frames, images, spots)
    assert [divmod(int(one.argmax()), 32) for one in logits[0, :, 0]] == [(8, 9), (20, 23)]


def test_what_is_drawn_of_two_objects_is_dark_where_both_are():
    drawn = torch.tensor([[0.0, 0.5, 1.0], [0.0, 0.5, 1.0]]).view(1, 2, 1, 1, 1, 3)
    torch.testing.assert_close(merged(drawn).flatten(), torch.tensor([0.0, 0.75, 1.0]))


def test_an_image_starts_as_the_mean_of_what_was_seen():
    seen = numbers(2, 4, 1, 8, 8)
    torch.testing.assert_close(Cutter(4, 1)(seen), seen.mean(1))


def test_the_order_of_frames_does_not_change_an_image():
    cutter, seen = Cutter(4, 1), numbers(2, 4, 1, 8, 8)
    torch.nn.init.normal_(cutter.last.weight)
    torch.testing.assert_close(cutter(seen[:, [2, 0, 3, 1]]), cutter(seen))
    assert (cutter(seen) - seen.mean(1)).abs().max() > 0.1


def test_a_forecast_is_what_its_components_make():
    net, context = model(), numbers(2, 4, 1, 30, 42)  # padded to 32 x 44
    parts = net.components(context, 5)
    assert parts.shape == (2, 9, 2, 1, 30, 42)
    future = net.predict(context, 5)
    torch.testing.assert_close(merged(parts.transpose(1, 2))[:, 4:], future, atol=1e-5, rtol=0)


def test_a_shorter_future_is_the_beginning_of_a_longer_one():
    net, context = model(), numbers(1, 4, 1, 32, 32)
    torch.testing.assert_close(net.predict(context, 2), net.predict(context, 7)[:, :2])


def one_object_on_a_line():
    """A model that is not trained, a clip (1, 7, 1, 32, 32) of one object, and where its image's middle is."""
    net, plane = model(objects=1), Plane(32, 32)
    image = (numbers(1, 1, 1, 8, 8) > 0.5).float()
    places = torch.tensor([8.0, 6.0]) + torch.arange(7.0)[:, None] * torch.tensor([1.0, 3.0])
    spots = plane.spots(places[None, None], torch.zeros(1, 1, 7)).unsqueeze(3)
    return net, merged(plane.maps(plane.image_waves(image).unsqueeze(2) * spots)), places


def test_one_bright_object_is_found_and_goes_on_straight_before_training():
    net, clip, places = one_object_on_a_line()
    scene = net.scene(clip[:, :4], looks=1)
    apart = scene.places[0, 0] - places[:4]  # where an image's middle is, is the model's to say
    torch.testing.assert_close(apart, apart[:1].expand(4, 2), atol=0.5, rtol=0)
    assert apart.abs().max() < 2
    torch.testing.assert_close(net.ahead(scene, 3).places[0, 0] - places[4:], apart[:3], atol=1.0, rtol=0)


def test_each_look_draws_the_context_better():
    net, clip, _ = one_object_on_a_line()
    errors = []
    for looks in (0, 1, 4):
        with torch.no_grad():
            scene = net.scene(clip[:, :4], looks)
        errors.append(float((merged(scene.plane.maps(scene.where * scene.images)) - clip[:, :4]).square().mean()))
    assert errors[0] > errors[1] > errors[2]


@pytest.mark.parametrize("field", ["kernel", "reach", "object_size"])
def test_sides_without_a_middle_are_refused(field):
    with pytest.raises(UserError, match="must be"):
        model(**{field: 6 if field != "object_size" else 7})


def test_objects_are_measured_where_clips_know_them():
    config = DataConfig(name="moving-digits", context=4, horizon=3, size=(32, 32), options={"objects": True})
    found = evaluate(model(), config, metrics=("mse",), clips=4, name="sprites")
    assert {OVERLAP.name, SEPARATED.name} <= {row.metric for row in found.beside}
