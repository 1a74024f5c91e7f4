"""The check of words (`make lint`) finds the worst ones, and leaves names, code blocks and plain English alone."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

CHECK = runpy.run_path(str(Path(__file__).resolve().parents[1] / "scripts" / "check_words.py"))


@pytest.mark.parametrize(
    ("line", "better"),
    [
        ("A long film needs no more memory.", "video"),
        ("Pictures of predictions.", "image"),
        ("Hidden files are left out.", "skip, omit or remove"),
        ("Leave --size out, or prepare them again.", "skip, omit or remove"),
        ("'x' is no layer.", "is not a"),
        ("The defaults are system 3's.", "the paper or code by its name"),
        ("The frames given, and the asked frames.", "context frames"),
        ("The seed decides everything random.", "the random seed"),
    ],
)
def test_a_bad_word_is_found_with_what_to_write_instead(line: str, better: str) -> None:
    found = CHECK["findings"]("docs/x.md", f"A title\n\n{line}\n")
    assert found[0].startswith("docs/x.md:3: ")
    assert found[0].endswith(f": write {better}")


@pytest.mark.parametrize(
    "line",
    [
        "nextframe train film-latent, bench/latent_long_film.py, --picture flow.gif",
        "There is no video in it, so it is no longer read.",
        "It is no better than copying.",
        "```\nnextframe prepare films/ -o clips/  # of a film\n```",
    ],
)
def test_names_code_blocks_and_plain_english_are_left_alone(line: str) -> None:
    assert CHECK["findings"]("docs/x.md", line) == []
