"""The registry: names, refusals with suggestions, and lazy imports."""

import subprocess
import sys

import pytest

from nextframe.core.errors import UnknownNameError
from nextframe.core.registry import Registry


def test_a_name_can_be_taken_only_once():
    registry: Registry[int] = Registry("model")
    registry.add("a", 1)
    with pytest.raises(ValueError, match="'a' is registered twice"):
        registry.add("a", 2)
    assert registry.get("a") == 1


def test_an_unknown_name_gets_the_nearest_one():
    registry: Registry[int] = Registry("model")
    registry.add("convlstm", 1)
    registry.add("copy-last", 2)
    with pytest.raises(UnknownNameError, match=r"unknown model 'convlsmt'; did you mean 'convlstm'\?") as caught:
        registry.get("convlsmt")
    assert caught.value.exit_code == 2


def test_entries_are_imported_when_asked_for():
    registry: Registry[object] = Registry("thing")
    registry.add("missing", "nextframe.no_such_module:Thing")
    assert registry.names() == ["missing"]
    with pytest.raises(ModuleNotFoundError):
        registry.get("missing")


def test_importing_nextframe_imports_no_torch():
    code = "import sys, nextframe; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
