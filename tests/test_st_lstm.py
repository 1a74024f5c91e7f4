"""The spatio-temporal LSTM cell on one pixel, with weights of which the outcome is worked out by hand."""

from __future__ import annotations

from math import exp, tanh

import pytest
import torch

from nextframe.layers.st_lstm import SpatioTemporalLSTMCell


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


def one_pixel() -> SpatioTemporalLSTMCell:
    """A cell of one map, whose weights are 0.1, 0.2, ... in the order of its gates."""
    cell = SpatioTemporalLSTMCell(1, 1, 1)
    for part, first in ((cell.from_input[0], 1), (cell.from_hidden[0], 8), (cell.from_memory[0], 12)):
        part.weight.data = (torch.arange(len(part.weight)) + first).reshape(part.weight.shape) / 10
    cell.from_both[0].weight.data = torch.tensor([1.0, -2.0]).reshape(1, 2, 1, 1)
    cell.mix.weight.data = torch.tensor([0.5, 0.25]).reshape(1, 2, 1, 1)
    return cell


def test_the_cell_changes_both_memories_by_the_formulas() -> None:
    x, h, c, m = (torch.full((1, 1, 1, 1), value) for value in (1.0, -0.5, 0.3, -0.2))
    with torch.no_grad():
        got = one_pixel().update(x, h, c, m)
    added_c = sigmoid(0.1 - 0.4) * tanh(0.3 - 0.5)
    new_c = sigmoid(0.2 - 0.45 + 1) * 0.3 + added_c
    added_m = sigmoid(0.4 - 0.24) * tanh(0.6 - 0.28)
    new_m = sigmoid(0.5 - 0.26 + 1) * -0.2 + added_m
    new_h = sigmoid(0.7 - 0.55 + new_c - 2 * new_m) * tanh(0.5 * new_c + 0.25 * new_m)
    assert [float(value) for value in got] == pytest.approx([new_h, new_c, new_m, added_c, added_m], abs=1e-6)


def test_with_a_norm_the_cell_is_for_one_size() -> None:
    cell, maps = SpatioTemporalLSTMCell(3, 2, 3, (4, 5)), torch.rand(2, 2, 4, 5)
    h, c, m = cell(torch.rand(2, 3, 4, 5), maps, maps, maps)
    assert h.shape == c.shape == m.shape == (2, 2, 4, 5)
    assert cell.from_hidden[1].weight.shape == (8, 4, 5)
