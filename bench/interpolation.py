"""The dropped frame between two, on real clips: how far flow-middle is above the mean of both neighbours.

Of each clip the test part (its last frames) is cut to spans of three; the middle one is predicted from the outer two.
Nothing is trained. Writes results/interpolation.json: for each clip PSNR in dB of every interpolating baseline, over
the whole frame and over moving pixels, and the difference on moving pixels. Clips on which it loses stay in the list.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from nextframe.data import DataConfig, open_data
from nextframe.evaluation import evaluate
from nextframe.evaluation.run_facts import command_line, run_facts

ROOT = Path(__file__).resolve().parents[1]
METRICS = ("psnr-moving", "psnr", "ssim")
SIZE = (240, 320)


def measure(path: str) -> list[dict[str, object]]:
    """Return the rows of every baseline on one clip."""
    clips = open_data(DataConfig(name=path, gap=1, context=2, horizon=1, color="rgb", size=SIZE))
    found = evaluate("flow-middle", clips, "test", metrics=METRICS, batch=4)
    rows = found.as_json()["rows"]
    return [{**row, "data": Path(path).name, "clips": found.clips} for row in rows if row["model"] != "zero"]


def above_mean(rows: list[dict[str, object]]) -> float:
    """Return by how many dB flow-middle is above the mean of both neighbours on moving pixels."""
    means = {row["model"]: float(str(row["mean"])) for row in rows if row["metric"] == "psnr-moving"}
    return means["flow-middle"] - means["mean-neighbours"]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+", help="videos or GIFs")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "interpolation.json")
    options = parser.parse_args()
    started = time.monotonic()
    rows, verdict = [], {}
    for path in options.clips:
        found = measure(path)
        rows += found
        verdict[Path(path).name] = round(above_mean(found), 2)
        print(path, verdict[Path(path).name])
    facts = run_facts("python bench/" + command_line(), 0, started)
    result = {"rows": rows, "verdict": {"dB above mean-neighbours, moving pixels": verdict, "goal": 0.5}, "run": facts}
    options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
