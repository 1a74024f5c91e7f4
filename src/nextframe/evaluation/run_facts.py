"""How a result was made: the command, the commit, the seed, the machine, the date and the time it took."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nextframe


def run_facts(command: str | None, seed: int | None, started: float) -> dict[str, Any]:
    """Return {"command", "commit", "seed", "machine", "date", "seconds"}, plain JSON values.

    Args:
        command: what was typed; None: this process's own command line.
        seed: None if nothing was random.
        started: `time.monotonic()` when the work began.
    """
    return {
        "command": command or command_line(),
        "commit": commit(),
        "seed": seed,
        "machine": machine(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - started, 1),
    }


def command_line() -> str:
    """Return the command line of this process, the program by its bare name."""
    program = Path(sys.argv[0] or "python")
    name = program.parent.name if program.name == "__main__.py" else program.name  # python -m nextframe
    return shlex.join([name, *sys.argv[1:]])


def commit() -> str:
    """Return the commit of the checkout that runs ("+changes" if files differ), or the version outside of one."""
    package = Path(nextframe.__file__).resolve().parent
    top = _git(package, "rev-parse", "--show-toplevel")
    if top is None or Path(top) / "src" / "nextframe" != package:
        return f"nextframe {nextframe.__version__}"
    head = _git(package, "rev-parse", "HEAD")
    if head is None:
        return f"nextframe {nextframe.__version__}"
    return head + ("+changes" if _git(package, "status", "--porcelain", "--", ".") else "")


def machine() -> str:
    """Return processor, cores and memory of this machine, its GPU if it has one, and the torch version."""
    import torch

    from nextframe.core.kernels.kept import processor

    parts = [processor(), f"{os.cpu_count()} cores"]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        parts.append(f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB")
    if torch.cuda.is_available():
        parts.append(torch.cuda.get_device_name())
    return ", ".join([*parts, platform.system(), f"torch {torch.__version__}"])


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what git answers, or None if there is no git or no repository."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
