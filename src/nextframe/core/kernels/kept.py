"""The file in the cache folder that keeps what races decided, for one processor and one version of torch."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import torch

from nextframe.core.errors import BadInputError
from nextframe.core.files.cache import cache_folder
from nextframe.core.files.whole_file import write_whole

LOG = logging.getLogger(__name__)
MOST = 1 << 22  # bytes that are read: a file with more is another one


@cache
def processor() -> str:
    """Return the processor's name, or its kind where the system has no name for it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def where() -> dict[str, str]:
    """Return what choices hold for: the processor, the instructions that torch and oneDNN may use, torch's version."""
    held = os.environ.get("ONEDNN_MAX_CPU_ISA", "all")
    capability: str = torch.backends.cpu.get_cpu_capability()
    return {"processor": processor(), "instructions": f"{capability}, {held}", "torch": torch.__version__}


def kept_file() -> Path | None:
    """Return the path of this machine's file; None where pooch is missing, which knows the platform's cache folder."""
    try:
        folder = cache_folder()
    except ImportError:
        return None
    text = json.dumps(where(), sort_keys=True)
    return folder / "kernels" / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


def read_kept() -> dict[str, str]:
    """Return the choices that are kept; of a file that cannot be read none, and a line says so."""
    path = kept_file()
    if path is None or not path.exists():
        return {}
    try:
        chosen = json.loads(path.read_bytes()[:MOST])["chosen"]
        if not all(isinstance(name, str) for name in chosen.values()):
            raise TypeError("its choices are not names")
    except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
        LOG.warning("%s cannot be read (%s): it is written again as kernels are measured", path, type(error).__name__)
        return {}
    return dict(chosen)


def crowded() -> bool:
    """Whether more wants to run than there are cores, so that what was measured may not hold; never on Windows."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] > (os.cpu_count() or 1) + 1  # this process is the one


def keep(chosen: Mapping[str, str]) -> None:
    """Add choices to those that are kept, unless the machine is `crowded`.

    Where that cannot be written, a line says so and each process measures.
    """
    path = kept_file()
    if crowded():
        LOG.debug("the machine is busy: what kernels are fast is measured again by the next process")
        return
    if path is None:
        LOG.debug("pooch is not installed: what kernels are fast is not kept")
        return
    facts = {**where(), "chosen": dict(sorted({**read_kept(), **chosen}.items()))}
    try:
        write_whole(path, json.dumps(facts, indent=1) + "\n")
    except BadInputError as error:
        LOG.debug("what kernels are fast is not kept: %s", error)
