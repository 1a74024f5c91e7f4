"""What every test may ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# One thread each: two test processes share the cores. `make test-processors` asks for more with TEST_THREADS.
# Set before torch is imported; the processes that tests start inherit it.
os.environ["OMP_NUM_THREADS"] = os.environ.get("TEST_THREADS", "1")
# No race, so that what is computed is the same in every test run: golden losses, runs that are compared bit by bit.
os.environ["NEXTFRAME_KERNELS"] = "fixed"
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test asks the public Hub for anything


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--write-golden` writes golden_losses.json anew; not with -n, or two processes write one file."""
    parser.addoption("--write-golden", action="store_true", help="write the golden losses anew (test_contract.py)")


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what computes with torch: every test of a module that imports it. Others say so with pytestmark.

    What says that it is the same on any processor is left out: that a file is read, a process ended, a page run.
    """
    for item in items:
        imports_torch = isinstance(item, pytest.Function) and hasattr(item.module, "torch")
        if imports_torch and item.get_closest_marker("any_processor") is None:
            item.add_marker("numeric")


@pytest.fixture(scope="session")
def quick_speed() -> Iterator[None]:
    """The speed of a row is measured for a moment, not for two seconds, from here on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nextframe.benchmark.speed.rate.SECONDS", 0.01)
        yield


@pytest.fixture(scope="module")
def one_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The tests of a module have a cache folder of their own, together."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEXTFRAME_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real media beside the repository; tests that need them skip where they are absent."""
    return beside("data", "the real media")


@pytest.fixture(scope="session")
def bugs() -> Path:
    """Files that were made to show faults of readers."""
    return beside("bugs", "the files")


def beside(name: str, what: str) -> Path:
    """Return the folder ../shared/`name`; skip where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / name
    if not folder.is_dir():
        pytest.skip(f"needs {what} in ../shared/{name}")
    return folder
