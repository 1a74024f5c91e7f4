"""The first three minutes: what a run of them leaves, with less training and fewer clips."""

from pathlib import Path

import pytest

from nextframe.media.reader import read_video
from nextframe.recipes import quickstart as first
from nextframe.training import override

SMALL = {"data.options.val_clips": 4, "data.options.test_clips": 6, "training.val_clips": 4, "model.width": 8}


def test_the_new_model_is_seen_beside_the_weights_that_ship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first, "QUICKSTART", override(first.QUICKSTART, SMALL))
    evaluation = first.quickstart(tmp_path / "run", minutes=0.01, show=False)
    frames = read_video(tmp_path / "run" / first.BESIDE)[0]
    example = evaluation.examples[0]
    assert len(frames) == len(example.context) + len(example.truth)
    truth, new, shipped = frames[len(example.context)].float().mean(0)[30:-30].chunk(3, dim=-1)
    assert (shipped - truth).square().mean() < 0.6 * (new - truth).square().mean()  # a second, minutes of a GPU
    assert (tmp_path / "run" / "report.html").is_file()
