"""The first Keras example of a ConvLSTM: its squares, its network, its optimizer, and what its loss compares."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nextframe.checkpoint import create_model
from nextframe.core.errors import UserError
from nextframe.data import DataConfig, open_data
from nextframe.data.sets import moving_squares
from nextframe.data.sets.moving_squares import CLEAN, NOISY
from nextframe.recipes import load_recipe
from nextframe.training.optim.optimizer import adadelta
from nextframe.training.recipe import model_fields

DATA = DataConfig(name="moving-squares", context=7, horizon=9)


def box(frame: np.ndarray) -> tuple[int, int, int, int]:
    """Where a square stands: its first row, the one after its last, and the same of its columns."""
    rows, columns = np.nonzero(frame)
    return int(rows.min()), int(rows.max()) + 1, int(columns.min()), int(columns.max()) + 1


def within(frame: np.ndarray) -> bool:
    """Whether all of a square is in sight, and the pixel around it."""
    return bool(frame.any()) and min(box(frame)) >= 2 and max(box(frame)) <= 38


def test_a_square_moves_in_a_line_and_its_noise_is_a_pixel_wider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving_squares, "FEWEST", 1)
    monkeypatch.setattr(moving_squares, "MOST", 1)
    clip = open_data(DATA).read("train", np.arange(60))
    sizes, steps, noise = set(), set(), []
    for noisy, clean in zip(clip.extras[NOISY][:, :, 0].numpy(), clip.extras[CLEAN][:, :, 0].numpy(), strict=True):
        seen = [box(square) for square in clean if within(square)]
        sizes |= {(bottom - top, right - left) for top, bottom, left, right in seen}
        own = {(after[0] - before[0], after[2] - before[2]) for before, after in pairwise(seen)}
        assert len(own) < 2
        steps |= own
        for change, square in ((a - b, b) for a, b in zip(noisy, clean, strict=True) if within(b)):
            noise.append(round(float(change[box(square)[0] - 1, box(square)[2] - 1]), 3))
            if noise[-1]:  # of all of the wider square, and of nothing else; light noise is cut off within it
                assert [a - b for a, b in zip(box(change), box(square), strict=True)] == [-1, 1, -1, 1]
    assert sizes == {(4, 4), (6, 6)}
    assert steps == {(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)}
    assert set(noise) == {0, 0.1, -0.1}
    assert noise.count(0) / len(noise) == pytest.approx(0.5, abs=0.06)


def test_the_context_is_noisy_and_the_target_clean() -> None:
    clip = open_data(DATA).read("val", np.arange(5))
    noisy, clean = clip.extras[NOISY], clip.extras[CLEAN]
    assert torch.equal(clip.context, (noisy[:, :7].clamp(0, 1) * 255).round().byte())
    assert torch.equal(clip.target, (clean[:, 7:] * 255).byte())
    assert noisy.min() < 0  # black pixels darker than 0, as in the example
    assert noisy.max() == 1
    assert torch.equal(open_data(DATA).read("val", np.array([3])).target[0], clip.target[3])
    assert not torch.equal(open_data(DATA).read("train", np.arange(5)).target, clip.target)
    with pytest.raises(UserError, match="remove gap"):
        open_data(DATA.model_copy(update={"gap": 1}))


def test_the_recipe_has_the_network_of_the_example() -> None:
    recipe, clips = load_recipe("keras-convlstm-2016"), open_data(DATA)
    model = create_model(recipe.model.name, **model_fields(recipe.model, clips))
    numbers = sum(p.numel() for p in model.parameters()) + sum(b.numel() for b in model.buffers() if b.ndim)
    assert numbers == 407_001  # as Keras counts: 320 of them are running means and variances
    assert [norm.num_features for norm in model.norms] == [40] * 4
    assert (clips.count("train"), clips.count("val")) == (900, 100)
    assert recipe.training.steps == 200 * 900 // recipe.training.batch
    assert (clips.task.context, clips.task.length) == (7, 16)


def test_noisy_frames_are_read_and_clean_ones_predicted() -> None:
    torch.manual_seed(0)
    model = create_model("convlstm-keras", hidden=[3], kernels=[3], norm="batch-all").eval()
    clip = open_data(DATA).read("train", np.arange(2)).to("cpu")
    loss, _ = model.loss(clip)
    logits = model.logits(clip.extras[NOISY][:, :15])
    expected = F.binary_cross_entropy_with_logits(logits, clip.extras[CLEAN][:, 1:])
    torch.testing.assert_close(loss, expected)


def test_a_norm_after_the_last_layer_streams_as_the_others() -> None:
    torch.manual_seed(0)
    model = create_model("convlstm", hidden=[3, 2], kernels=[3, 3], norm="batch-all").train()
    frames = torch.rand(2, 6, 1, 8, 8)
    model.logits(frames)  # running means are no longer 0
    model.eval()
    whole = model.logits(frames).sigmoid()
    frame, state = model.step(model.prime(frames[:, :4]), frames[:, 4])
    torch.testing.assert_close(frame, whole[:, 4])
    torch.testing.assert_close(model.step(state, frames[:, 5])[0], whole[:, 5])


def test_two_steps_of_adadelta_are_those_of_keras() -> None:
    weight, gradients = nn.Parameter(torch.tensor([1.0])), (2.0, -0.5)
    optimizer = adadelta([weight], 1.0, 0.0, load_recipe("keras-convlstm-2016"))
    value, squares, moves = 1.0, 0.0, 0.0
    for gradient in gradients:
        weight.grad = torch.tensor([gradient])
        optimizer.step()
        squares = 0.95 * squares + 0.05 * gradient**2
        move = gradient * (moves + 1e-7) ** 0.5 / (squares + 1e-7) ** 0.5
        moves = 0.95 * moves + 0.05 * move**2
        value -= move
    assert weight.item() == pytest.approx(value, rel=1e-6)
