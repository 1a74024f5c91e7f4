"""PhyDNet's filters as derivatives, PhyCell's correction, and what the configs of phydnet and swinlstm refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from nextframe.checkpoint import create_model
from nextframe.core.clip import Clip
from nextframe.core.errors import UserError
from nextframe.models.phydnet import PhyCell

STENCILS = torch.tensor(
    [[0.0, 1.0, 0.0], [-0.5, 0.0, 0.5], [1.0, -2.0, 1.0]]
)  # of no, the first, the second derivative


def derivatives(width: int) -> PhyCell:
    """A cell whose filter 3 i + j is the derivative of order i along y and j along x, on every map."""
    cell = PhyCell(width, 3)
    filters = torch.einsum("iy,jx->ijyx", STENCILS, STENCILS).reshape(9, 1, 3, 3)
    with torch.no_grad():
        cell.filters.weight.copy_(filters.expand(-1, width, -1, -1))
    return cell


def test_derivatives_have_the_moments_that_are_wanted() -> None:
    cell = derivatives(2)
    assert float(cell.moment_error().detach()) == pytest.approx(0.0, abs=1e-12)
    with torch.no_grad():
        cell.filters.weight[5] *= 3  # d/dy d^2/dx^2: one moment of 81 is 3 in the place of 1, on 2 maps
    assert float(cell.moment_error().detach()) == pytest.approx(2 * (3 - 1) ** 2 / 81)


def test_the_gain_says_how_far_the_state_moves_to_what_is_seen() -> None:
    torch.manual_seed(0)
    cell, seen, state = PhyCell(2, 3), torch.rand(1, 2, 4, 4), torch.rand(1, 2, 4, 4)
    nn.init.zeros_(cell.gain.weight)
    nn.init.constant_(cell.gain.bias, 50.0)
    torch.testing.assert_close(cell(seen, state), seen)
    nn.init.constant_(cell.gain.bias, -50.0)
    moved = state + cell.mix(cell.norm(cell.filters(state)))
    torch.testing.assert_close(cell(seen, state), moved)


def test_errors_are_summed_over_frames() -> None:
    torch.manual_seed(0)
    model = create_model("phydnet", width=16, kernel=3, hidden=[32]).eval()
    frames = torch.rand(2, 5, 1, 8, 8)
    loss, logs = model.loss(Clip(frames[:, :4], frames[:, 4:]))
    each = [model.predict(frames[:, : index + 1], 1)[:, 0] - frames[:, index + 1] for index in range(4)]
    assert float(logs["summed_mse"]) == pytest.approx(sum(float(one.square().mean()) for one in each), rel=1e-5)
    assert float(loss.detach()) == pytest.approx(
        float(logs["summed_mse"] + model.physics.moment_error().detach()), rel=1e-6
    )


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("phydnet", {"hidden": [128, 128]}, "hidden ends with 128, which must be twice the width, 64"),
        ("phydnet", {"kernel": 4}, "must be odd"),
        ("swinlstm", {"depths_down": [2, 2, 2]}, r"blocks \[2, 2, 2\] and \[6, 2\] and heads \[4, 8\] must be for"),
        ("swinlstm", {"heads": [3, 8]}, r"width 128 cannot be shared by \[3, 8\] heads"),
        ("swinlstm", {"form": "B", "depths": []}, "at least one block"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        create_model(name, **fields)
