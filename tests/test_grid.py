"""The grid of pixels: padding by hand, and where places lie."""

import pytest
import torch

from nextframe.layers.grid import pad_to_multiple, places


def test_the_last_row_and_column_are_repeated_by_hand():
    frames = torch.tensor([[[[1.0, 2.0, 3.0]]]])  # one frame, 1 x 3
    padded = pad_to_multiple(frames, 2)
    assert padded.tolist() == [[[[1, 2, 3, 3], [1, 2, 3, 3]]]]


@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (2, 4, 3, 5, 7), (2, 2, 4, 3, 8, 6)])
def test_any_number_of_leading_axes_and_sizes_that_divide_stay(shape):
    frames = torch.rand(shape)
    padded = pad_to_multiple(frames, 4)
    assert padded.shape == (*shape[:-2], 8, 8)
    torch.testing.assert_close(padded[..., : shape[-2], : shape[-1]], frames)
    torch.testing.assert_close(pad_to_multiple(padded, 4), padded)


def test_places_run_from_minus_one_to_one():
    rows, columns = places(torch.empty(2, 5, 3, 2))[1]
    assert rows.tolist() == [[-1, -1], [0, 0], [1, 1]]
    assert columns.tolist() == [[-1, 1]] * 3


def test_places_leave_the_batch_of_an_export_free():
    class Places(torch.nn.Module):
        def forward(self, frames):
            return places(frames)

    free = {0: torch.export.Dim("batch", min=1)}
    program = torch.export.export(Places(), (torch.zeros(2, 5, 3, 2),), dynamic_shapes=(free,), strict=False)
    assert program.module()(torch.zeros(7, 5, 3, 2)).shape == (7, 2, 3, 2)
