"""Conditions of prepared clips, such as the actions of a robot: numbers in the note of each clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from nextframe.core.conditions import Conditions
from nextframe.data.clipset import Split
from nextframe.data.folder.contents import Contents
from nextframe.data.prepared.config import PrepareConfig
from nextframe.data.prepared.places import SpanPlaces
from nextframe.data.prepared.shards import Note

NUMBER_BYTES = 26  # of a float32 in JSON, such as -1.1754943508222875e-38, and what parts it from the next


def known_of(contents: Contents, member: int, first: int, config: PrepareConfig) -> dict[str, list[list[float]]]:
    """Return the conditions of the clip that begins at frame `first` of a source, an entry for each of its frames.

    Flows have the entries of their second frames, as the actions there led to them.
    """
    if contents.timed is None:
        return {}
    found = contents.timed.at(member, first + np.array(config.offsets), config.stride)
    return {name: values[config.kind == "flow" :].tolist() for name, values in found.items()}


def widths(contents: Contents, places: Mapping[Split, SpanPlaces], config: PrepareConfig) -> dict[str, int]:
    """Return how many numbers each condition has for a frame; {} if the sources have none."""
    member = next(int(member) for each in places.values() for member in each.members)
    return {name: len(values[0]) for name, values in known_of(contents, member, 0, config).items()}


def note_bytes(conditions: Mapping[str, int], frames: int) -> int:
    """Return how many bytes conditions of these widths take at most in the note of a clip of `frames`."""
    return sum(len(name) + NUMBER_BYTES * frames * (1 + width) for name, width in conditions.items())


def of_notes(notes: Sequence[Note | dict[str, Any]], conditions: Mapping[str, int]) -> Conditions:
    """Return the conditions (B, T, N) float32 that the notes of clips hold."""
    return Conditions({name: torch.tensor([note[name] for note in notes], dtype=torch.float32) for name in conditions})
