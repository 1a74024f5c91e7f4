"""Models of a test, registered while it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from nextframe.models import MODELS
from nextframe.models.contract import Predictor


@contextmanager
def registered(models: Mapping[str, type[Predictor]]) -> Iterator[None]:
    """Register `models` in the block, by name."""
    before = set(MODELS)
    for name, model in models.items():
        MODELS.add(name, model)
    try:
        yield
    finally:
        MODELS.keep(before)
