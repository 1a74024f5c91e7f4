"""Data sets mixed by shares: whose turn it is, whole epochs of each, and what is held out stays held out."""

from __future__ import annotations

import json
import logging
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from nextframe.benchmark import TASKS
from nextframe.cli import app
from nextframe.core.clip import Task
from nextframe.core.conditions import Conditions
from nextframe.core.errors import UserError
from nextframe.data import DataConfig, open_data
from nextframe.data.clipset import ClipSet, Indices, Split, batch_indices
from nextframe.data.mixed import MixedClips, turns, whole_shares
from nextframe.publish.card import _told_recipe
from nextframe.training import ModelSection, Recipe, TrainingConfig, override, read_metrics, read_recipe
from nextframe.training.evaluation_data import evaluation_data
from nextframe.training.loader import Steps, training_batches


class Numbered(ClipSet):
    """Clip i of a set: every pixel of the context is the set's number, of the target i."""

    frame_shape = (1, 2, 2)
    task = Task.forecast(1, 1)

    def __init__(self, number: int, train: int | None, val: int = 2, test: int = 1, **beside: object) -> None:
        self.name, self.number = f"set{number}", number
        self.counts: dict[Split, int | None] = {"train": train, "val": val, "test": test}
        self.__dict__ |= beside

    def count(self, split: Split) -> int | None:
        return self.counts[split]

    def read(self, split: Split, indices: Indices):
        values = np.stack([np.full_like(indices, self.number), indices % 256], axis=1).astype(np.uint8)
        frames = torch.from_numpy(values)[..., None, None, None].expand(-1, -1, *self.frame_shape)
        return self.task.split(frames.contiguous(), self.known(indices))

    def known(self, indices: Indices) -> Conditions:
        if not self.classes:
            return Conditions()
        return Conditions(fixed={"label": torch.from_numpy(indices % len(self.classes))})

    def label(self, split: Split, index: int) -> int | None:
        return index % len(self.classes) if self.classes else None


def seen(clips: ClipSet, split: Split, indices: Indices) -> list[tuple[int, int]]:
    clip = clips.read(split, indices)
    return list(zip(clip.context[:, 0, 0, 0, 0].tolist(), clip.target[:, 0, 0, 0, 0].tolist(), strict=True))


def test_turns_worked_out_by_hand() -> None:
    # behind its share after n turns: of 7 : 3 the first is due when it would be over half a turn late
    assert turns([7, 3]).tolist() == [0, 1, 0, 0, 0, 1, 0, 0, 1, 0]
    assert turns([1, 1]).tolist() == [0, 1]
    assert turns([3, 1]).tolist() == [0, 0, 1, 0]
    assert turns([2]).tolist() == [0, 0]


@given(st.lists(st.integers(1, 40), min_size=2, max_size=6))
def test_no_set_is_ever_far_from_its_share(counts: list[int]) -> None:
    order = turns(counts)
    assert np.bincount(order, minlength=len(counts)).tolist() == counts
    after = np.arange(1, len(order) + 1)
    limit = 1 - 1 / (2 * len(counts) - 2)  # Tijdeman's bound, which no order can undercut
    for number, count in enumerate(counts):
        assert np.abs((order == number).cumsum() - after * count / sum(counts)).max() <= limit + 1e-9


def test_shares_become_whole_numbers() -> None:
    assert whole_shares([0.7, 0.3]) == [7, 3]
    assert whole_shares([2, 2, 2]) == [1, 1, 1]
    assert whole_shares([0.1, 0.2, 0.3]) == [1, 2, 3]
    assert whole_shares([np.pi, 1]) == [7585, 2415]  # pi / (pi + 1) = 0.758547
    for shares, says in (((1, 0), "above 0, not 1, 0"), ((1, float("nan")), "above 0"), ((1, 1e-5), "less than 1 in")):
        with pytest.raises(UserError, match=says):
            whole_shares(shares)


@pytest.mark.parametrize("first", [0, 13, 2**40 + 7])
def test_every_batch_has_the_shares(first: int) -> None:
    mix = MixedClips([Numbered(0, None), Numbered(1, 5), Numbered(2, None)], [5, 3, 2])
    for size in (10, 20):  # n times a share is whole, so less than two off is one off at most
        for start in range(first, first + 40):
            parts, _ = mix.place("train", np.arange(start, start + size))
            assert np.abs(np.bincount(parts, minlength=3) - np.array([5, 3, 2]) * size // 10).max() <= 1
    two = MixedClips([Numbered(0, None), Numbered(1, 5)], [0.7, 0.3])
    for size in range(1, 33):
        parts, _ = two.place("train", np.arange(first, first + size))
        assert abs(int((parts == 0).sum()) - 0.7 * size) <= 1


def test_a_set_without_end_goes_on_and_one_with_an_end_is_shown_in_whole_epochs() -> None:
    mix = MixedClips([Numbered(0, None), Numbered(1, 5)], [1, 1])
    assert mix.count("train") is None
    pairs = seen(mix, "train", np.arange(40))
    assert [index for part, index in pairs if part == 0] == list(range(20))
    finite = [index for part, index in pairs if part == 1]
    assert all(sorted(finite[first : first + 5]) == [0, 1, 2, 3, 4] for first in range(0, 20, 5))
    assert len({tuple(finite[first : first + 5]) for first in range(0, 20, 5)}) > 1, "each epoch in an order of its own"
    backwards = np.arange(40)[::-1].copy()
    assert seen(mix, "train", backwards) == pairs[::-1], "a clip depends on its index alone"


def test_val_and_test_are_those_of_all_sets_with_their_sources() -> None:
    mix = MixedClips([Numbered(0, None, val=2), Numbered(1, 5, val=3)], [9, 1])
    assert (mix.count("val"), mix.count("test")) == (5, 2)
    assert seen(mix, "val", np.arange(5)) == [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]
    assert [mix.source("val", index) for index in (1, 2)] == ["set0/val/1", "set1/val/0"]
    assert mix.frame_ids("val", np.array([1, 2])).tolist() == [[4, 6], [1, 3]]  # of clip 1: 2, 3; of clip 0: 0, 1
    with pytest.raises(IndexError, match="val has clips 0 to 4, asked for 5 to 5"):
        mix.read("val", np.array([5]))


def test_sets_of_one_name_have_sources_of_their_own() -> None:
    mix = MixedClips([Numbered(0, 3), Numbered(1, 3)], [1, 1], ["/one/videos/", "/other/videos"])
    assert mix.name == "50% videos + 50% videos"
    assert [mix.source("val", index) for index in (0, 2)] == ["videos-1/val/0", "videos-2/val/0"]


def test_conditions_are_kept_where_all_sets_have_the_same(caplog: pytest.LogCaptureFixture) -> None:
    known = [Numbered(n, 4, classes=("up", "down")) for n in range(2)]
    both = MixedClips(known, [1, 1])
    assert both.classes == ("up", "down")
    assert both.read("val", np.array([3, 0])).label.tolist() == [1, 0]
    assert both.label("val", 3) == 1
    assert not caplog.records
    for other in (Numbered(2, 4), Numbered(2, 4, classes=("left", "right", "on"))):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            mix = MixedClips([known[0], other], [1, 1])
        assert mix.classes == ()
        assert mix.read("val", np.array([3, 0])).label is None
        assert mix.label("val", 0) is None
        assert "clips come without 'label', which differs: set0 has 2 classes (up, down...), set2 has" in caplog.text


def test_sets_that_do_not_go_together_are_one_line() -> None:
    one = Numbered(0, 3)
    with pytest.raises(
        UserError, match=r"frames differ, set1 has 4x2 with 3 channels, set0 has 2x2 with 1 channel; set"
    ):
        MixedClips([one, Numbered(1, 3, frame_shape=(3, 4, 2))], [1, 1])
    with pytest.raises(UserError, match="use one task"):
        MixedClips([one, Numbered(1, 3, task=Task.forecast(1, 2))], [1, 1])
    with pytest.raises(UserError, match="not 1 sets and 2 shares"):
        MixedClips([one], [1, 1])
    empty = MixedClips([one, Numbered(1, 0)], [1, 1])
    with pytest.raises(UserError, match="the train split of set1 has no clips"):
        empty.read("train", np.arange(2))


SMALL = {"digits": "embedded", "count": 1}
MIX = [
    {"name": "moving-digits", "share": 0.75, "options": {**SMALL, "val_clips": 4, "test_clips": 3}},
    {"name": "moving-digits", "share": 0.25, "stride": 2, "options": {**SMALL, "motion": "additive", "val_clips": 2}},
]


def mixed(**more: object) -> DataConfig:
    return DataConfig.parse({"mix": MIX, "context": 2, "horizon": 1, "size": (28, 28), **more})


def test_a_config_opens_each_set_with_its_own_options() -> None:
    clips = open_data(mixed())
    assert isinstance(clips, MixedClips)
    assert clips.name == "75% moving-digits + 25% moving-digits"
    assert (clips.count("val"), clips.count("test")) == (6, 1003)
    parts = [open_data(part) for part in mixed().parts()]
    assert [part.stride for part in parts] == [1, 2]
    for index, (part, own) in {0: (0, 0), 3: (0, 3), 4: (1, 0), 5: (1, 1)}.items():
        same = parts[part].read("val", np.array([own])).frames
        assert torch.equal(clips.read("val", np.array([index])).frames, same)
    assert open_data(mixed(kind="flow")).frame_shape == (2, 28, 28)


def test_a_mix_is_written_read_and_overridden(tmp_path: Path) -> None:
    recipe = Recipe(model=ModelSection(name="conv2d"), data=mixed(), training=TrainingConfig(steps=1))
    (tmp_path / "recipe.yaml").write_text(recipe.to_yaml())
    assert read_recipe(tmp_path) == recipe
    other = override(recipe, {"data.name": "moving-digits"}).data
    assert (other.name, other.mix) == ("moving-digits", ())
    assert override(override(recipe, {"data.name": "catz"}), {"data.mix": MIX}).data == recipe.data
    assert evaluation_data(str(tmp_path), {"data.name": "catz"}).mix == ()
    assert evaluation_data(str(tmp_path), {"data.horizon": 3}).mix == recipe.data.mix
    mistakes = {
        "give either name or mix": {"data.name": "catz", "data.mix": MIX},
        "options belong to the entries of mix": {"data.options.count": 1},
        "mix has no named fields; set all of it": {"data.mix.0.share": 1},
        r"unknown field 'data.mix.0.shares'; did you mean 'share'\?": {"data.mix": [{**MIX[0], "shares": 1}]},
        "field 'data.mix.1.share' of Recipe: .*greater than 0": {"data.mix": [MIX[0], {**MIX[1], "share": 0}]},
    }
    for says, settings in mistakes.items():
        with pytest.raises(UserError, match=says):
            override(recipe, settings)


def test_no_place_of_this_machine_is_told() -> None:
    parts = [{"name": "/home/me/secret/videos", "share": 1, "options": {"root": "/home/me"}}, MIX[0]]
    data = DataConfig.parse({"mix": parts})
    told = _told_recipe(Recipe(model=ModelSection(name="conv2d"), data=data, training=TrainingConfig(steps=1)))
    assert "/home" not in told.to_yaml()
    assert Recipe.model_validate(told.model_dump()).data.mix[0].name == "videos"


def test_the_hashes_of_tasks_are_as_before() -> None:
    rows = Path(__file__).parent.parent / "results" / "gif-next"
    assert TASKS.get("gif-next").hash == json.loads((rows / "flow.json").read_text())["task"]["hash"]
    task = TASKS.get("moving-digits")
    other = task.model_copy(update={"data": mixed()})
    assert other.hash != task.model_copy(update={"data": mixed(mix=MIX[:1])}).hash


def test_workers_read_the_same_clips_and_a_mix_travels_to_them() -> None:
    clips = open_data(mixed())
    copy = pickle.loads(pickle.dumps(clips))
    here, there = (Steps(c, "train", seed=3, size=8) for c in (clips, copy))
    ours = list(training_batches(here, 0, 4))
    theirs = list(training_batches(there, 0, 4, workers=1))
    assert len(theirs) == 4
    assert all(torch.equal(a.frames, b.frames) for a, b in zip(ours, theirs, strict=True))
    parts, _ = clips.place("train", batch_indices(clips, "train", 3, 0, 8))
    assert np.bincount(parts).tolist() == [6, 2]


def test_a_run_on_a_mix_is_resumed_exactly(tmp_path: Path) -> None:
    def run(folder: str, *words: str) -> list[float]:
        mix = str(MIX).replace("'", "")
        settings = ("--set", f"data.mix={mix}", "--context", "2", "--horizon", "1", "--size", "28x28")
        often = "--batch 4 -q --set training.log_every=1 --set training.checkpoint_every=1 --set training.precision=32"
        often = [*often.split(), "--set", "run.report=false"]
        done = CliRunner().invoke(app, ["train", "conv2d", *settings, *often, *words, "-o", str(tmp_path / folder)])
        assert done.exit_code == 0, done.exception
        return [line["train/loss"] for line in read_metrics(tmp_path / folder) if "train/loss" in line]

    whole = run("whole", "--steps", "4", "--set", "training.schedule=constant")
    run("parts", "--steps", "2", "--set", "training.schedule=constant")
    assert run("parts", "--steps", "4", "--set", "training.schedule=constant", "--resume") == whole
    assert len(set(whole)) == 4


def test_a_mix_of_users_folders_holds_out_what_each_holds_out(tmp_path: Path) -> None:
    for name, level in (("dark", 10), ("light", 200)):
        (tmp_path / name).mkdir()
        for number in range(4):
            video = np.full((6, 8, 8), level + number, np.uint8)
            np.save(tmp_path / name / f"{number}.npy", video)
    parts = [{"name": str(tmp_path / name), "share": share} for name, share in (("dark", 3), ("light", 1))]
    clips = open_data(DataConfig.parse({"mix": parts, "context": 2, "horizon": 1, "color": "grey"}))
    trained = {int(v) for v in clips.read("train", np.arange(400)).context.unique()}
    held_out = {
        int(clips.read(s, np.array([i])).context[0, 0, 0, 0, 0]) for s in ("val", "test") for i in range(clips.count(s))
    }
    assert len(trained) == len(held_out) == 4
    assert not trained & held_out
    assert {clips.source("val", 0)[:5], clips.source("val", clips.count("val") - 1)[:5]} == {"dark/", "light"}
