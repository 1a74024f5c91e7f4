"""Where the Hugging Face Hub is, and how long it may take to answer."""

from __future__ import annotations

import os
import sys

from nextframe.core.quiet import import_bars

HUB = "https://huggingface.co"
WAIT = 20.0  # seconds for the Hub to answer a question


def endpoint() -> str:
    """Return the URL of the Hub: HF_ENDPOINT, as for all programs of the Hub, or the public one."""
    return (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")


def bars_on_terminals_only() -> None:
    """Let the Hub's library draw its progress bars on a terminal, not into logs."""
    import_bars()
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()
