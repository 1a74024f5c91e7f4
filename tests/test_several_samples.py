"""Several futures of one clip: what evaluation makes of them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nextframe.data import DataConfig
from nextframe.evaluation import evaluate
from nextframe.evaluation.several import differences, score_samples
from nextframe.metrics import METRICS
from nextframe.models.contract import Capabilities, Request
from tiny import Tiny


class Noisy(Tiny):
    """The last frame and noise: as random as a model can be."""

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(stochastic=True)

    def forecast(self, request: Request) -> Tensor:
        context = request.context
        noise = torch.randn(len(context), request.horizon, *context.shape[2:], generator=request.generator)
        return context[:, -1:] + 0.2 * noise


def test_the_best_is_chosen_for_each_clip_over_its_whole_horizon() -> None:
    target = torch.zeros(2, 2, 1, 1, 1)
    futures = torch.tensor([[[0.0, 0.6], [0.5, 0.5]], [[0.3, 0.3], [0.1, 0.0]]]).reshape(2, 2, 2, 1, 1, 1)
    rows = score_samples("m", futures, target, METRICS.get("mse").function, "lower")
    assert list(rows) == ["m", "m (best of 2)", "m (mean of 2)"]
    # clip 0: 0.36 in all against 0.18, so the second future; clip 1: the second
    torch.testing.assert_close(rows["m (best of 2)"], torch.tensor([[0.09, 0.09], [0.01, 0.0]]))
    torch.testing.assert_close(rows["m"], torch.tensor([[0.045, 0.225], [0.13, 0.125]]))
    torch.testing.assert_close(rows["m (mean of 2)"], torch.tensor([[0.0225, 0.2025], [0.09, 0.0625]]))


def test_higher_is_better_for_some() -> None:
    target = torch.zeros(1, 1, 1, 1, 1)
    futures = torch.tensor([0.5, 0.1]).reshape(2, 1, 1, 1, 1, 1)
    rows = score_samples("m", futures, target, METRICS.get("psnr").function, "higher")
    assert float(rows["m (best of 2)"]) == pytest.approx(20.0)


def test_differences_are_those_of_all_pairs() -> None:
    futures = torch.randn(5, 3, 2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    pairs = [(futures[i] - futures[j]).square().mean((2, 3, 4)) for i in range(5) for j in range(5) if i != j]
    torch.testing.assert_close(differences(futures), torch.stack(pairs).mean(0))


def test_an_evaluation_of_several_futures(monkeypatch: pytest.MonkeyPatch) -> None:
    from nextframe.models import MODELS

    monkeypatch.setattr(MODELS, "_entries", {**MODELS._entries, "noisy": Noisy})
    data = DataConfig(context=2, horizon=2, size=(32, 32), options={"count": 1, "test_clips": 6})
    many = evaluate(Noisy(Noisy.Config()), data, baselines=["copy-last"], samples=8)
    assert many.models == ["noisy", "noisy (best of 8)", "noisy (mean of 8)", "copy-last"]
    mse = {model: many.row(model, "mse").mean for model in many.models}
    assert mse["noisy (best of 8)"] < mse["noisy"]
    assert mse["copy-last"] < mse["noisy (mean of 8)"] < mse["noisy"]
    assert many.best_baseline("mse").model == "copy-last"
    assert "differ by" in many.notes[-1]
    one = evaluate("copy-last", data, baselines=[], samples=8)  # without randomness there is nothing to draw
    assert one.models == ["copy-last"]
