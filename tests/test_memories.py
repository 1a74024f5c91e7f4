"""How MAU and E3D-LSTM look back, and what the models of one size refuse."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nextframe.checkpoint import create_model
from nextframe.core.clip import Task
from nextframe.core.errors import UserError
from nextframe.models.e3d_lstm import E3DLSTM, E3DLSTMConfig
from nextframe.models.mau import MotionAwareUnit, Past

SMALL = {"hidden": 4, "layers": 2, "kernel": 3, "frame_height": 16, "frame_width": 16}


def set_to(maps: nn.Module, value: list[float]) -> None:
    """Make a unit's convolution and norm say `value` at the grid's positions, whatever they read."""
    nn.init.zeros_(maps[1].weight)
    maps[1].bias.data[:] = torch.tensor(value).view_as(maps[1].bias)


def test_a_unit_takes_up_the_motion_of_the_time_that_looked_like_now() -> None:
    unit = MotionAwareUnit(hidden=1, kernel=1, grid=(1, 2), residual=False)
    set_to(unit.alike, [100.0, 0.0])  # now looks like [1, 0]
    spaces = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]).view(1, 3, 1, 1, 2)
    times = torch.tensor([[1.0, 2.0], [3.0, 4.0], [7.0, 8.0]]).view(1, 3, 1, 1, 2)
    set_to(unit.last, [0.0, 0.0])  # half of the last state stays
    moved = unit.motion(torch.zeros(1, 1, 1, 2), Past(times, spaces))
    assert moved.flatten().tolist() == pytest.approx([5.0, 6.0])  # between [3, 4] of then and [7, 8] of just now


def test_a_limit_of_recall_bounds_what_is_kept_and_one_out_of_reach_changes_nothing() -> None:
    torch.manual_seed(0)
    config = E3DLSTMConfig(**SMALL)
    free = E3DLSTM(config).eval()
    frames = torch.rand(1, 5, 1, 16, 16)
    outcomes = {}
    for recall in (2, 5, None):
        model = E3DLSTM(config.model_copy(update={"recall": recall})).eval()
        model.load_state_dict(free.state_dict())
        with torch.no_grad():
            state = model.prime(frames)
            outcomes[recall] = (state.layers[0].earlier.shape[1], model.predict(frames[:, :4], 2))
    entries = 2 * 4 * 4  # of one memory: window x positions
    assert [kept for kept, _ in outcomes.values()] == [2 * entries, 5 * entries, 5 * entries]
    assert torch.equal(outcomes[5][1], outcomes[None][1])
    assert not torch.equal(outcomes[2][1], outcomes[None][1])


@pytest.mark.parametrize("name", ["mau", "mim", "e3d-lstm"])
def test_another_size_than_the_weights_are_for_is_one_line(name: str) -> None:
    model = create_model(name, **SMALL)
    with pytest.raises(UserError, match="takes frames of 16x16, not 16x24: --size 16x16"):
        model.predict(torch.rand(1, 2, 1, 16, 24), 1)
    with pytest.raises(UserError, match="takes frames of 16x16, not 24x16"):
        model.check_data(Task.forecast(2, 1), (1, 24, 16))


@pytest.mark.parametrize("name", ["mau", "mim", "e3d-lstm"])
def test_a_size_that_is_no_whole_patches_is_padded(name: str) -> None:
    model = create_model(name, **{**SMALL, "frame_height": 13, "frame_width": 18})
    assert model.predict(torch.rand(1, 2, 1, 13, 18), 2).shape == (1, 2, 1, 13, 18)


@pytest.mark.parametrize(("name", "field", "value"), [("mau", "shrink", 3), ("mim", "kernel", 4), ("mim", "layers", 1)])
def test_fields_that_make_no_model_are_one_line(name: str, field: str, value: int) -> None:
    with pytest.raises(UserError, match=f"field '{field}'"):
        create_model(name, **{field: value})
