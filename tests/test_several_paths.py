"""Several paths as one data set: the same sources and splits as in a folder above them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nextframe.core.errors import UserError
from nextframe.data import DataConfig, open_data
from nextframe.data.inspect.report import describe


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """Two folders of three array files each, 12 frames of noise in each file."""
    random = np.random.default_rng(0)
    for folder in ("above", "below"):
        (tmp_path / "all" / folder).mkdir(parents=True)
        for name in ("a", "b", "c"):
            np.save(tmp_path / "all" / folder / f"{name}.npy", random.integers(0, 256, (12, 16, 16, 3), np.uint8))
    return tmp_path / "all"


def opened(name: str):
    return open_data(DataConfig(name=name, context=2, horizon=1))


def sources(clips) -> dict[str, list[str]]:
    return {split: [clips.source(split, i) for i in range(clips.count(split))] for split in ("train", "val", "test")}


def test_two_paths_are_what_the_folder_above_them_is(parent: Path) -> None:
    both, above = opened(f"{parent}/above,{parent}/below"), opened(str(parent))
    assert sources(both) == sources(above)
    for split in ("train", "val", "test"):
        everything = np.arange(both.count(split))
        assert both.read(split, everything).frames.equal(above.read(split, everything).frames)
    assert len(describe(DataConfig(name=f"{parent}/above,{parent}/below", context=2, horizon=1)).sources) == 6


def test_a_comma_in_a_name_is_only_a_comma(parent: Path) -> None:
    renamed = parent.with_name("rain, cats")
    parent.rename(renamed)
    assert sources(opened(str(renamed)))["train"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("{0}/above,{0}/nowhere", "nowhere: no such file or folder"),
        ("{0}/above,{0}/above", "has the same name as another"),
        ("{0}/no,{0}/nowhere", "unknown data set or path"),
    ],
)
def test_paths_that_do_not_go_together(name: str, says: str, parent: Path) -> None:
    with pytest.raises(UserError, match=says):
        opened(name.format(parent))
