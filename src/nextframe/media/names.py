"""What the names of a folder's images say: their order, numbers that are missing, several videos side by side."""

from __future__ import annotations

import itertools
import os
import re
import statistics
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Literal

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".avif")
DECIMAL = re.compile(r"(?<![\d.])\d+\.(\d+)(?!\.?\d)")  # not the parts of a date or a version
DECIMALS, WHOLE = re.compile(r"(?<![\d.])\d+\.\d+(?!\.?\d)|\d+|\D"), re.compile(r"\d+|\D+")
NUMBER = re.compile(r"\d+")
DATE_WIDTHS = {2, 4, 6, 8}  # digits of the parts of dates and times
DATE = re.compile(r"(19|20)\d\d[-_.]?\d\d[-_.]?\d\d")
Key = tuple[list[tuple[int, int | Fraction, str]], str]


def natural_key(name: str, decimals: bool = False) -> Key:
    """Return a sort key that puts 2 before 10 and ignores case; with `decimals`, 1.05 before 1.5."""
    parts = (DECIMALS if decimals else WHOLE).findall(name.lower())
    return [(0, _number(p), "") if p[0].isdecimal() and p.isascii() else (1, 0, p) for p in parts], name


def _number(digits: str) -> int | Fraction:
    return Fraction(digits) if "." in digits else int(digits)  # a folder may have very many names


def order_told(names: Sequence[str]) -> Literal["numbers", "decimals"] | None:
    """Return whether numbers with a point in `names` are decimals, as in t=0.5 and t=1.05, or two, as in 1.9, 1.10.

    None where both orders agree, as all have as many digits after the point. Where they do not, decimals end with no
    zero and two numbers begin with none.
    """
    fractions = [match[1] for name in names for match in DECIMAL.finditer(_stem(name))]
    if len({len(digits) for digits in fractions}) < 2:
        return None
    parts = any(len(digits) > 1 and digits.endswith("0") for digits in fractions)
    decimals = any(len(digits) > 1 and digits.startswith("0") for digits in fractions) or not parts
    return "decimals" if decimals else "numbers"


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]  # a path object for each name takes several times as long


def is_image_name(name: str) -> bool:
    """Return whether `name` ends as those of images do."""
    return name.lower().endswith(IMAGE_ENDINGS)


def series_of(names: Sequence[str]) -> dict[str, list[str]]:
    """Return the names of each video in a folder that holds several, by a pattern such as "a_*.png"; {} if it is one.

    Two numbers in a row are one video with a date or a decimal in its names; names that differ in words, or count from
    the same first number again, are several.
    """
    groups: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for name in names:
        found = list(NUMBER.finditer(_stem(name)))
        if not found or "*" in name:
            return {}
        stem, last = _stem(name), found[-1]
        groups.setdefault((stem[: last.start()], stem[last.end() :]), []).append((int(last[0]), name))
    firsts = {min(members)[0] for members in groups.values()}
    if len(groups) < 2 or len(firsts) > 1 or min(map(len, groups.values())) < 2 or _is_clock(groups, names):
        return {}
    return {_pattern(key, [name for _, name in members]): [n for _, n in members] for key, members in groups.items()}


def _is_clock(keys: Iterable[tuple[str, str]], names: Sequence[str]) -> bool:
    """Return whether the numbers are those of one clock: decimals, or dates and times."""
    if len({tuple(NUMBER.sub("#", part) for part in key) for key in keys}) > 1:
        return False  # they differ in words
    stems = [_stem(name) for name in names]
    if any(DECIMAL.search(stem) or DATE.search(stem) for stem in stems):
        return True
    widths = [[len(number) for number in NUMBER.findall(stem)] for stem in stems]
    return all(len(each) >= 3 and set(each) <= DATE_WIDTHS for each in widths)


def _pattern(key: tuple[str, str], names: Sequence[str]) -> str:
    endings = {Path(name).suffix for name in names}
    return f"{key[0]}*{key[1]}{endings.pop() if len(endings) == 1 else ''}"


def is_pattern(path: Path) -> bool:
    """Return whether `path` stands for the images of one series, as "frames/a_*.png"; * is their number."""
    return "*" in path.name and path.parent.is_dir() and not path.exists()


def matching(pattern: str, names: Sequence[str]) -> list[str]:
    """Return the names that `pattern` stands for: its * is a number, and the ending may be missing."""
    before, _, after = pattern.rpartition("*")
    rule = re.compile(re.escape(before) + r"\d+(\.\d+)?" + re.escape(after))
    return [name for name in names if rule.fullmatch(name) or rule.fullmatch(_stem(name))]


def gaps(names: Sequence[str]) -> str:
    """Return what is to be said of numbers that are missing among `names`, which are in order; "" if none are."""
    numbers = [int(found[-1]) for name in names if (found := NUMBER.findall(_stem(name)))]
    steps = [after - before for before, after in itertools.pairwise(numbers)]
    if len(numbers) < len(names) or len(steps) < 2 or min(steps) <= 0:
        return ""
    usual = statistics.mode(steps)
    jumps = [number for number, step in zip(numbers, steps, strict=False) if step >= 2 * usual]
    if not jumps or steps.count(usual) * 2 <= len(steps):
        return ""
    after = numbers[numbers.index(jumps[0]) + 1]
    times = "once" if len(jumps) == 1 else f"{len(jumps)} times, first"
    return f"the numbers of its images jump {times} from {jumps[0]} to {after}: they are taken as neighbours"
