"""Files of every kind, made here, against the frames that were written and against a second reader.

The table is in `corpus`; docs/formats.md is written from it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from corpus.case import Case, Frames, Near, apart, scene
from corpus.page import page
from corpus.refused import REFUSED, Refusal
from corpus.table import CASES
from nextframe.core.errors import BadInputError
from nextframe.media.reader import open_source
from nextframe.media.reading import Reading
from nextframe.media.source import Source

EVERY = [case for cases in CASES.values() for case in cases]


def read(source: Source) -> Frames:
    return np.stack([frame.permute(1, 2, 0).numpy() for frame in source.frames()])


def assert_near(found: Frames, wanted: Frames, near: Near, to: str) -> None:
    worst, mean = apart(found, wanted)
    assert worst <= near.worst, f"differs from {to} by {worst}"
    assert mean <= near.mean, f"differs from {to} by {mean:.2f} on average"


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(c, id=f"{c.name}-{c.sequence}", marks=[] if c.quick else [pytest.mark.slow])
        for kind in CASES
        for c in CASES[kind]
    ],
)
def test_every_frame_is_read_as_it_was_written(case: Case, tmp_path: Path) -> None:
    path = tmp_path / case.name
    wanted = case.make(path)
    source = open_source(path, sequence=case.sequence, reading=Reading(**case.options))
    found = read(source)
    assert_near(found, wanted, case.near, "what was written")
    assert_near(found, case.second(path), case.second_near, "the second reader")
    assert source.counted() == len(wanted)
    assert case.fps is None or source.native_fps == pytest.approx(case.fps, rel=1e-4)
    assert case.says in " ".join(source.remarks())


def test_the_scene_tells_frames_and_places_apart() -> None:
    """Wrong order, a frame twice, a mirrored or a turned one differ by more than any tolerance allows."""
    frames = scene()
    most = max(near.mean for case in EVERY for near in (case.near, case.second_near))
    for number, frame in enumerate(frames):
        others = [other for k, other in enumerate(frames) if k != number]
        others += [frame[::-1], frame[:, ::-1], frame[::-1, ::-1], frame[..., ::-1]]
        assert min(apart(frame[None], other[None])[1] for other in others) > 4 * most


@pytest.mark.parametrize("refusal", REFUSED, ids=lambda refusal: refusal.name)
def test_what_is_not_read_is_refused_in_one_line(refusal: Refusal, tmp_path: Path) -> None:
    path = tmp_path / refusal.name
    refusal.make(path)
    with pytest.raises(BadInputError) as caught:
        read(open_source(path, reading=Reading(**refusal.options)))
    assert refusal.line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_page_is_up_to_date() -> None:
    """`python scripts/formats_table.py` writes it."""
    assert (Path(__file__).parent.parent / "docs" / "formats.md").read_text(encoding="utf-8") == page()
