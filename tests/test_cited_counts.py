"""The size of models that are cited: parameters and multiply-accumulates, beside what is published.

Published are the digits of OpenSTL's table for Moving MNIST. `original` was counted on the original's own module with
the settings of that table, `used` are those of its parameters that get a gradient: the others are never called. Ours
has the used ones and no more. Models are built on torch's meta device, without memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from nextframe.checkpoint import create_model


@dataclass(frozen=True)
class Cited:
    """One row; `published` and `gmacs` have the digits that were printed, `macs` are ours for one 10 -> 10 sample."""

    name: str
    model: str
    published: str  # millions of parameters
    original: int
    used: int
    gmacs: str
    macs: int
    fields: Mapping[str, Any] = field(default_factory=dict)
    other_macs: int = 0  # what the original computes beside ours when it predicts


ROWS = [
    Cited("ConvLSTM-S", "convlstm-openstl", "15.0", 15_083_520, 11_675_648, "56.8", 56_790_351_872),
    Cited(
        *("ConvLSTM-L", "convlstm-openstl", "33.8", 33_782_784, 26_115_072, "127.0", 127_023_710_208),
        fields={"hidden": (192, 192, 192, 192)},
    ),
    Cited("PredRNN", "predrnn", "23.8", 23_838_720, 23_838_720, "116.0", 115_951_534_080),
    Cited(  # the adapter is for the loss alone; the original calls it when predicting, 19 frames, 4 cells, twice each
        *("PredRNN.V2", "predrnn", "23.9", 23_855_104, 23_855_104, "116.6", 115_951_534_080),
        fields={"version": 2},
        other_macs=19 * 4 * 2 * 128 * 128 * 16 * 16,
    ),
    Cited("PredRNN++", "predrnn++", "38.6", 38_584_320, 35_307_520, "171.7", 171_735_777_280),
]
each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


def as_printed(number: float, printed: str) -> bool:
    """Whether `number` is `printed` to its digits: rounded, or cut off as some were."""
    return abs(number - float(printed)) < 10.0 ** -len(printed.partition(".")[2])


@each_row
def test_ours_has_the_parameters_that_the_original_uses(row: Cited) -> None:
    with torch.device("meta"):
        model = create_model(row.model, **row.fields)
    assert sum(parameter.numel() for parameter in model.parameters()) == row.used <= row.original
    assert as_printed(row.original / 1e6, row.published)


@each_row
def test_ours_multiplies_as_often(row: Cited) -> None:
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        model = create_model(row.model, **row.fields)
        model.predict(torch.empty(1, 10, 1, 64, 64), 10)
    assert counter.get_total_flops() // 2 == row.macs
    assert as_printed((row.macs + row.other_macs) / 1e9, row.gmacs)
