"""Write docs/bad-input.md: what the reader makes of every file in a folder of bad and odd ones.

Usage: python scripts/bad_input_table.py FOLDER [PAGE]

Every file is read to its end in a process of its own that may take 5 s of processor time, 20 s by the clock and
1 GiB more memory than an idle one. Ends with 1 when a process crashed, hung or left something but a line.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

SECONDS, CLOCK, MEMORY = 5, 20, 2**30
HEAD = """# Bad and odd input: what is read, what is refused

Written by `python scripts/bad_input_table.py FOLDER` from the project's collection of bad and odd files; the folder
itself is not part of the repository. Every file was read to its end in a process of its own, with at most {seconds} s
of processor time and 1 GiB of memory.

**{read} of {total} files were read, {refused} refused with one line, {failed} crashed or hung.** The slowest took
{slowest:.1f} s of processor time, the largest {largest:,.0f} MiB of memory, Python and PyTorch included.

Messages begin with the path of the file, which is omitted here. Damage in the middle is an error when it is reached;
the frames before it can be read. Sizes are width x height, after rotation.

| file | what happened | frames, or the line |
|---|---|---|
"""


@dataclass
class Outcome:
    """What one process reported, and what it used."""

    path: str
    verdict: str  # read, refused, or FAILED
    text: str
    seconds: float = 0.0
    mebibytes: float = 0.0


def read_whole(path: str) -> str:
    """Read every frame; return the verdict and the text, with a tab between them."""
    from nextframe.core.errors import NextframeError
    from nextframe.media.reader import open_source

    try:
        source = open_source(path)
        count = sum(1 for _ in source.frames())
    except NextframeError as error:
        return "refused\t" + str(error).removeprefix(f"{path}: ")
    color = "grey" if source.channels == 1 else "colour"
    plural = "" if count == 1 else "s"
    facts = f"{source.kind}, {source.width}x{source.height} {color}, {count} frame{plural}, {source.fps:.4g} frames/s"
    return "read\t" + "; ".join([facts, *source.notes])


def in_own_process(path: str) -> Outcome:
    """Fork, so that imports are paid once; the child has limits and cannot take this process with it."""
    sender, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(sender)
        set_limits()
        os.write(writer, read_whole(path).encode(errors="replace"))
        os._exit(0)
    os.close(writer)
    end, said = time.monotonic() + CLOCK, b""
    while left := max(0.0, end - time.monotonic()):
        if select.select([sender], [], [], left)[0]:
            part = os.read(sender, 65536)
            said += part
            if not part:
                break
    os.close(sender)
    if not left:
        os.kill(child, signal.SIGKILL)
    _, status, used = os.wait4(child, 0)
    outcome = judge(path, said.decode(), os.waitstatus_to_exitcode(status))
    outcome.seconds, outcome.mebibytes = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    return outcome


def judge(path: str, said: str, code: int) -> Outcome:
    """Return the outcome: a process that died, said nothing or said several lines has failed."""
    verdict, _, text = said.partition("\t")
    if code < 0:
        return Outcome(path, "FAILED", f"ended by {signal.Signals(-code).name}")
    if code or not text or "\n" in text:
        return Outcome(path, "FAILED", f"exit code {code}: {text[:200]!r}")
    return Outcome(path, verdict, text)


def set_limits() -> None:
    """Allow this process some seconds and one more gibibyte."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    memory = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))


def page(outcomes: list[Outcome]) -> str:
    """Return the whole page."""
    counts = {v: sum(o.verdict == v for o in outcomes) for v in ("read", "refused", "FAILED")}
    head = HEAD.format(
        seconds=SECONDS,
        total=len(outcomes),
        read=counts["read"],
        refused=counts["refused"],
        failed=counts["FAILED"],
        slowest=max(o.seconds for o in outcomes),
        largest=max(o.mebibytes for o in outcomes),
    )
    rows = (f"| {o.path} | {o.verdict} | {o.text.replace('|', chr(92) + '|')} |\n" for o in outcomes)
    return head + "".join(rows)


def main() -> int:
    """Read the files and write the page."""
    folder = Path(sys.argv[1])
    target = Path(sys.argv[2] if len(sys.argv) > 2 else "docs/bad-input.md").absolute()
    import nextframe.media.animation
    import nextframe.media.arrays
    import nextframe.media.reader
    import nextframe.media.video.decode  # noqa: F401  (before the forks, so that they share it)

    os.chdir(folder)  # so that lines do not show where the folder is
    files = sorted(str(f) for f in Path(".").rglob("*") if f.is_file() and not f.name.startswith("."))
    outcomes = [in_own_process(file) for file in files]
    target.write_text(page(outcomes), encoding="utf-8")
    failed = [o for o in outcomes if o.verdict == "FAILED"]
    for outcome in failed:
        sys.stderr.write(f"{outcome.path}: {outcome.text}\n")
    return 1 if failed or not outcomes else 0


if __name__ == "__main__":
    raise SystemExit(main())
