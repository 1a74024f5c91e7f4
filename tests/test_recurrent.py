"""What recurrent models on folded frames share: folding, scheduled sampling, reading their own frames."""

from __future__ import annotations

from math import exp

import pytest
import torch
from torch import Tensor, nn

from nextframe.core.clip import Clip
from nextframe.layers.patches import fold, unfold
from nextframe.layers.scheduled_sampling import SamplingConfig, ScheduledSampling
from nextframe.models.bases.recurrent import RecurrentConfig, RecurrentPredictor


def test_a_square_is_folded_row_by_row_then_by_column_then_by_channel() -> None:
    frames = torch.arange(2 * 2 * 4).reshape(1, 2, 2, 4)  # 2 channels of 2 x 4 pixels
    assert fold(frames, 2)[0, :, 0, 1].tolist() == [2, 10, 3, 11, 6, 14, 7, 15]  # the right-hand square


def test_unfolding_undoes_folding() -> None:
    frames = torch.rand(2, 3, 3, 8, 12)
    maps = fold(frames, 4)
    assert maps.shape == (2, 3, 48, 2, 3)
    assert torch.equal(unfold(maps, 4), frames)


def test_the_chance_of_a_true_frame_falls_in_a_line() -> None:
    chances = SamplingConfig().chances
    assert chances(0) == (1.0, pytest.approx(1 - 2e-5))
    assert chances(24_999) == (1.0, pytest.approx(0.5))
    assert chances(50_000) == (1.0, 0.0)


def test_the_reverse_chances_meet_those_of_predicting() -> None:
    chances = SamplingConfig(kind="reverse").chances
    assert chances(24_999) == (0.5, 0.5)
    assert chances(30_000) == (pytest.approx(1 - 0.5 * exp(-1)), pytest.approx(0.4))
    assert chances(50_000) == (1.0, 0.0)


def test_predicting_reads_the_context_alone_and_counts_nothing() -> None:
    sampling = ScheduledSampling(SamplingConfig()).eval()
    assert sampling(torch.zeros(1, 5, 1), 3).tolist() == [[True, True, False, False]]
    assert int(sampling.steps) == 0


def test_each_step_is_counted_and_draws_by_its_own_chance() -> None:
    sampling = ScheduledSampling(SamplingConfig(fall=0.25, stop=3))
    drawn = [sampling(torch.zeros(4000, 4, 1), 2) for _ in range(4)]
    assert int(sampling.steps) == 4
    assert all(bool(one[:, 0].all()) for one in drawn)  # the second frame is of the context
    shares = [float(one[:, 1:].float().mean()) for one in drawn]
    assert shares == pytest.approx([0.75, 0.5, 0.25, 0.0], abs=0.03)


def test_one_draw_may_stand_for_all_frames_of_a_clip() -> None:
    sampling = ScheduledSampling(SamplingConfig(fall=0.5, stop=3, whole=True))
    drawn = sampling(torch.zeros(400, 6, 1), 2)
    assert bool(drawn[:, 0].all())  # the second frame is of the context
    assert bool((drawn[:, 1:] == drawn[:, 1:2]).all())
    assert float(drawn[:, 1].float().mean()) == pytest.approx(0.5, abs=0.1)


class Adding(RecurrentPredictor):
    """The next frame is this one plus the learned number; the state counts frames."""

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__(config)
        self.more = nn.Parameter(torch.tensor(0.5))

    def start(self, maps: Tensor) -> int:
        return 0

    def advance(self, state: int, maps: Tensor) -> tuple[Tensor, int]:
        return maps + self.more, state + 1

    def penalty(self, state: int) -> Tensor:
        return self.more * state


def test_own_predictions_stand_in_for_the_frames_that_are_not_drawn() -> None:
    model = Adding(RecurrentConfig(patch=2))
    maps = torch.zeros(1, 4, 4, 1, 1)
    following, state = model.read(maps, torch.tensor([[True, False, False]]))
    assert following[0, :, 0, 0, 0].tolist() == [0.5, 0.5, 1.0, 1.5]
    assert state == 4


def test_the_loss_is_of_every_next_frame_and_the_penalty() -> None:
    model = Adding(RecurrentConfig(patch=2)).eval()
    clip = Clip(torch.zeros(1, 2, 1, 3, 3), torch.zeros(1, 2, 1, 3, 3))
    loss, logs = model.loss(clip)  # predictions 0.5, 0.5, 1.0; the last one on an own frame
    assert float(logs["mse"]) == pytest.approx((0.25 + 0.25 + 1.0) / 3)
    assert float(loss.detach()) == pytest.approx(0.5 + 0.5 * 3)


def test_frames_that_are_no_whole_patches_keep_their_size() -> None:
    context = torch.rand(1, 2, 1, 3, 5)
    assert torch.allclose(Adding(RecurrentConfig(patch=2)).predict(context * 0.5, 1), context[:, -1:] * 0.5 + 0.5)
