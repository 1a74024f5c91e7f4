"""Tasks, clips, configs and seeds."""

import numpy as np
import pytest
import torch

from nextframe.core.clip import Clip, Task, as_float, as_uint8
from nextframe.core.config import Config
from nextframe.core.errors import UserError
from nextframe.core.seeds.seeding import derive_seed, numpy_generator, seed_everything, torch_generator


def test_a_forecast_gives_the_first_frames_and_asks_the_next():
    task = Task.forecast(2, 3)
    frames = torch.arange(5).view(1, 5, 1, 1, 1).expand(1, 5, 1, 2, 2)
    clip = task.split(frames)
    assert task.length == 5
    assert task.is_forecast
    assert clip.context[0, :, 0, 0, 0].tolist() == [0, 1]
    assert clip.target[0, :, 0, 0, 0].tolist() == [2, 3, 4]
    assert torch.equal(clip.frames, frames)


def test_interpolation_is_a_task_like_any_other():
    task = Task.interpolate(gap=2)
    clip = task.split(torch.arange(5).view(1, 5, 1, 1, 1))
    assert clip.context.flatten().tolist() == [0, 4]
    assert clip.target.flatten().tolist() == [2]
    assert not task.is_forecast
    assert clip.conditions["offsets"].tolist() == [[-2, 2]]
    assert not Task.forecast(3, 2).split(torch.zeros(1, 5, 1, 2, 2)).conditions


def test_a_span_that_is_too_short_is_refused_with_both_numbers():
    with pytest.raises(UserError, match="needs 5 frames, the span has 4"):
        Task.forecast(2, 3).split(torch.zeros(1, 4, 1, 2, 2))


def test_a_clip_refuses_frames_of_two_sizes():
    with pytest.raises(UserError, match="do not match"):
        Clip(torch.zeros(1, 2, 1, 4, 4), torch.zeros(1, 2, 1, 4, 5))


def test_uint8_becomes_float_on_the_way_and_comes_back_unchanged():
    values = torch.arange(256, dtype=torch.uint8).view(1, 1, 1, 16, 16)
    clip = Clip(values, values).to("cpu")
    assert clip.context.dtype == torch.float32
    assert clip.context.min() == 0
    assert clip.context.max() == 1
    assert torch.equal(as_uint8(as_float(values)), values)


def test_floats_are_clamped_and_rounded_to_uint8():
    assert as_uint8(torch.tensor([-0.5, 0.5 / 255 + 1e-4, 2.0])).tolist() == [0, 1, 255]


class _Config(Config):
    hidden: int = 4
    layers: int = 2


def test_a_wrong_field_is_one_line_with_the_nearest_field():
    with pytest.raises(UserError, match=r"model: unknown field 'hiden'; did you mean 'hidden'\?"):
        _Config.parse({"hiden": 3}, where="model")


def test_a_wrong_value_names_its_field():
    with pytest.raises(UserError, match=r"field 'hidden' of _Config: .*integer.*'x'"):
        _Config.parse({"hidden": "x"})


def test_random_numbers_depend_on_their_keys_alone():
    first = numpy_generator(1, "crops", 7).random(4)
    numpy_generator(2, "other").random(100)
    assert np.array_equal(first, numpy_generator(1, "crops", 7).random(4))
    assert not np.array_equal(first, numpy_generator(1, "crops", 8).random(4))
    assert derive_seed(0, "a") != derive_seed(0, "b")
    a = torch.rand(3, generator=torch_generator(5))
    assert torch.equal(a, torch.rand(3, generator=torch_generator(5)))
    seed_everything(3, "weights")
    b = torch.rand(3)
    seed_everything(3, "weights")
    assert torch.equal(b, torch.rand(3))
