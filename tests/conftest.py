"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# One thread each: two test processes share the cores, and sums do not depend on how many threads they are cut into.
# Set before torch is imported; the processes that tests start inherit it.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test asks the public Hub for anything


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--write-golden` writes golden_losses.json anew; not with -n, or two processes write one file."""
    parser.addoption("--write-golden", action="store_true", help="write the golden losses anew (test_contract.py)")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real media beside the repository; tests that need them skip where they are absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the real media in ../shared/data")
    return folder
