"""How much memory predictions count before they begin, and how much a process then holds: a table in Markdown.

python scripts/memory_table.py [HEIGHTxWIDTH]    each case in a process of its own; reads /proc, so on Linux only
"""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import tempfile
from pathlib import Path

CASES = (
    ("copy-last", 100, "out.mp4"),
    ("copy-last", 500, "out.mp4"),
    ("copy-last", 50, "out.npy"),
    ("copy-last", 50, "out.gif"),
    ("copy-last", 50, "out.png"),
    ("flow", 10, "out.npy"),
    ("motion", 3, "out.npy"),
)


def held(kind: str) -> int:
    """Return what this process holds, in MiB: VmRSS now, VmHWM at most."""
    return int(re.search(rf"{kind}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024


class Counted(logging.Handler):
    """Keeps the largest count, in MiB, and what was held when the first was made."""

    most, before = 0, 0

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line of `nextframe.prediction.memory`."""
        self.before = self.before or held("VmRSS")
        self.most = max(self.most, int(record.args[1]) // 2**20)


def case(video: str, model: str, frames: str, output: str) -> None:
    """Predict once and print the figures."""
    from nextframe.media.limits import Limits
    from nextframe.prediction import Asked, stream, write_stream

    counted, log = Counted(), logging.getLogger("nextframe.prediction.memory")
    log.addHandler(counted)
    log.setLevel(logging.DEBUG)
    path = Path(video).with_name(output)
    write_stream(stream(video, model, int(frames), Asked(limits=Limits(bytes=2**35)), path), path)
    sys.stdout.write(f"{counted.most} {held('VmHWM') - counted.before} {counted.before}\n")


def main(size: str = "540x960") -> None:
    """Run every case and print the table."""
    import numpy as np

    height, width = map(int, size.split("x"))
    image = np.random.default_rng(0).integers(0, 256, (-(-height // 8), -(-width // 8), 3), np.uint8)
    image = image.repeat(8, 0).repeat(8, 1)[:height, :width]
    sys.stdout.write(f"| {width}x{height} | counted, MiB | held, MiB | before, MiB |\n|---|---|---|---|\n")
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "video.npy"
        np.save(video, np.stack([np.roll(image, 2 * t, 1) for t in range(10)]))
        for model, frames, output in CASES:
            run = [sys.executable, __file__, "case", str(video), model, str(frames), output]
            found = subprocess.run(run, capture_output=True, text=True, check=True).stdout.split()
            sys.stdout.write(f"| {model}, {frames} frames, {output[3:]} | {' | '.join(found)} |\n")


if __name__ == "__main__":
    case(*sys.argv[2:]) if sys.argv[1:2] == ["case"] else main(*sys.argv[1:])
