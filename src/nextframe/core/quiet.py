"""Silences messages of other libraries that users can do nothing about."""

from __future__ import annotations

import importlib
import warnings


def import_bars() -> None:
    """Import the progress bars that pooch and huggingface_hub draw with; call it before either is imported.

    In a notebook without ipywidgets, that import warns that the bars will be plain.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module("tqdm.auto")
