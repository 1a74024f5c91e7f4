"""Training batches by source: all the same, or by how much they change."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from nextframe.core.clip import Clip, Task
from nextframe.core.errors import UserError
from nextframe.data import DataConfig, open_data
from nextframe.data.clipset import ClipSet, Indices, Split
from nextframe.data.order import ChangingSources, InOrder, Redrawn, SourceTurns, order_of
from nextframe.training.loader import Steps


class Uneven(ClipSet):
    """Clip i shows the value i; source "long" has 30 clips, "short" 2, "one" 1."""

    name, task, frame_shape = "uneven", Task.forecast(1, 1), (1, 1, 1)
    sources = ("long",) * 30 + ("short",) * 2 + ("one",)

    def count(self, split: Split) -> int:
        return 33 if split == "train" else 0

    def source(self, split: Split, index: int) -> str:
        return self.sources[index]

    def read(self, split: Split, indices: Indices) -> Clip:
        frames = torch.from_numpy(np.asarray(indices, dtype=np.uint8)).view(-1, 1, 1, 1, 1)
        return Clip(frames, frames)


def test_every_source_comes_equally_often():
    turns = SourceTurns(Uneven(), "train", 0)
    drawn = np.concatenate([turns.indices(step, 4) for step in range(45)])  # 180 clips, 60 rounds
    assert Counter(Uneven.sources[index] for index in drawn) == {"long": 60, "short": 60, "one": 60}


def test_a_source_shows_all_its_clips_before_one_again():
    turns = SourceTurns(Uneven(), "train", 1)
    drawn = np.concatenate([turns.indices(step, 3) for step in range(60)])
    long = drawn[drawn < 30]
    assert set(long[:30]) == set(long[30:]) == set(range(30))
    assert list(long[:30]) != list(long[30:])


def test_processes_share_the_batch():
    whole = Steps(Uneven(), "train", 0, 6, balance="sources")[4].context
    parts = [Steps(Uneven(), "train", 0, 6, rank, 2, "sources")[4].context for rank in range(2)]
    assert torch.equal(whole[0::2], parts[0])
    assert torch.equal(whole[1::2], parts[1])


class Changing(Uneven):
    """Clips of "short" change by 200 levels, those of "long" by 10, that of "one" not at all."""

    def read(self, split: Split, indices: Indices) -> Clip:
        steps = {"short": 200, "long": 10, "one": 0}
        changed = torch.tensor([steps[self.sources[index]] for index in indices], dtype=torch.uint8)
        frames = torch.zeros(len(changed), 1, 1, 1, 1, dtype=torch.uint8)
        return Clip(frames, changed.view(-1, 1, 1, 1, 1))


def test_what_changes_more_comes_more_often_and_nothing_is_left_out():
    changing = ChangingSources(Changing(), "train", 0)
    weights = np.array([10.1, 0.1, 200.1]) ** 0.75  # long, one, short
    assert changing.shares == pytest.approx(weights / weights.sum(), rel=1e-5)
    drawn = np.concatenate([changing.indices(step, 40) for step in range(500)])
    seen = Counter(Uneven.sources[index] for index in drawn)
    for name, share in zip(("long", "one", "short"), changing.shares, strict=True):
        spread = (20_000 * share * (1 - share)) ** 0.5
        assert abs(seen[name] - 20_000 * share) < 4 * spread
    assert set(drawn) == set(range(33)), "every clip of a source comes"


@pytest.mark.parametrize("kind", [SourceTurns, ChangingSources, Redrawn])
def test_a_step_is_the_same_whatever_came_before(kind: type[SourceTurns | ChangingSources | Redrawn]):
    first, second = (kind(Changing(), "train", 2) for _ in range(2))
    before = [first.indices(step, 5) for step in range(8)]
    assert list(second.indices(7, 5)) == list(before[7])
    assert list(kind(Changing(), "train", 3).indices(7, 5)) != list(before[7])


def test_redrawn_batches_have_no_twins_and_an_epoch_misses_clips():
    """Of 33 clips in 11 batches of 3, each is missed with chance (30/33)^11: 11.6 of them are, give or take 2.4."""
    redrawn = Redrawn(Uneven(), "train", 0)
    epochs = [[redrawn.indices(11 * epoch + step, 3) for step in range(11)] for epoch in range(50)]
    assert all(len(set(batch)) == 3 for epoch in epochs for batch in epoch)
    missed = [33 - len(set(np.concatenate(epoch))) for epoch in epochs]
    assert abs(np.mean(missed) - 33 * (30 / 33) ** 11) < 1
    assert Counter(Redrawn(Uneven(), "train", 0).indices(0, 66).tolist()) == dict.fromkeys(range(33), 2)


def test_clips_without_end_or_without_clips_are_refused():
    with pytest.raises(UserError, match=r"remove training\.balance"):
        SourceTurns(open_data(DataConfig(name="moving-digits")), "train", 0)
    with pytest.raises(UserError, match="val split has no clips"):
        SourceTurns(Uneven(), "val", 0)


def test_in_order_batches_follow_one_another_and_an_incomplete_one_is_skipped():
    order = InOrder(Uneven(), "train", 0)  # 33 clips: three batches of ten, and three clips that are skipped
    found = [order.indices(step, 10).tolist() for step in range(4)]
    assert found == [list(range(10)), list(range(10, 20)), list(range(20, 30)), list(range(10))]
    assert order.indices(5, 40).tolist() == [*range(33), *range(7)]


def test_endless_clips_are_in_order_already():
    endless = open_data(DataConfig(name="moving-digits"))
    assert order_of("in-order", endless, "train", 0) is None
    steps = Steps(endless, "train", 0, 3, balance="in-order")
    assert np.diff(np.concatenate([steps._indices(step) for step in range(3)])).tolist() == [1] * 8
