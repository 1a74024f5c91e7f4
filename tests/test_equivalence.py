"""Models that are cited equal their originals: the numbers are what the originals' public code gave.

scripts/originals runs that code beside ours on the same weights and frames, in float64, and writes tests/equivalence.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import equal
from nextframe.checkpoint import create_model
from nextframe.core.clip import Clip

FILES = sorted((Path(__file__).parent / "equivalence").glob("*.json"))


@pytest.fixture(autouse=True)
def in_float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def assert_as(values: Tensor, facts: dict[str, Any]) -> None:
    """Hold `values` to the original's: shape, mean, root mean square, and every n-th value."""
    assert list(values.shape) == facts["shape"]
    flat = values.detach().flatten()
    assert float(flat.mean()) == pytest.approx(facts["mean"], rel=1e-8, abs=1e-10)
    assert float(flat.square().mean().sqrt()) == pytest.approx(facts["rms"], rel=1e-8)
    some = flat[:: max(1, flat.numel() // 16)][:16]
    assert some.tolist() == pytest.approx(facts["values"], rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_model_gives_what_its_original_gives(path: Path) -> None:
    facts = json.loads(path.read_text())
    model = create_model(facts["model"], **facts["fields"])
    equal.fill(model)
    context = facts["frames"]["context"]
    frames = equal.frames(*facts["frames"]["shape"], seed=facts["frames"]["seed"])
    clip = Clip(frames[:, :context], frames[:, context:])
    with torch.no_grad():
        request = model.eval().request(clip.context, clip.horizon)
        assert_as(model.forecast(request), facts["output"])
    objective = model.train().stages()[0].objectives[0]
    loss, _ = objective.loss(clip)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(facts["loss"], rel=1e-9)
    gradient = dict(model.named_parameters())[facts["parameter"]].grad
    assert gradient is not None
    assert_as(gradient, facts["gradient"])
    assert max(facts["largest_difference"].values()) < 1e-9
