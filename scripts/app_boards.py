"""Write src/nextframe/web/boards.json: what the app's leaderboard shows, taken from the results that are committed.

Usage: python scripts/app_boards.py [FILE]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from nextframe.benchmark.cells import half_width, paired_range, short_count, shown
from nextframe.benchmark.leaderboard import Line, boards
from nextframe.checkpoint import list_models
from nextframe.checkpoint.weights import SHIPPED

ROOT = Path(__file__).parent.parent
RESULTS, WEIGHTS = ROOT / "results", ROOT / "weights"
Board = dict[str, Any]
GAIN = "above the last frame (95 % interval)"
FEW = 5  # sources below which a mean says little


def every_board() -> list[Board]:
    """Return the tables, each as plain values: title, about, columns, rows of text, and where they are from."""
    return [real_video(), own_tasks(), gifs()]


def real_video() -> Board:
    """Return the models on videos that none has seen, without trials that are not in the package."""
    found = json.loads((RESULTS / "real-next.json").read_text(encoding="utf-8"))
    rows = [row for row in found["rows"] if row["model"] in list_models()]
    data, unseen = found["data"], not any(row["seen"] for row in rows)
    clips = f"{data['clips']} clips of {data['sources']} sources"
    return {
        "title": "Real video",
        "about": "Five frames from four, longest side 256: PSNR in dB, higher is better. "
        f"{clips}{' that no model was trained on' if unseen else ''}.",
        "columns": ["model", "frame +1", "frame +5", "mean", "above flow (95 % interval)", "better on, of the sources"],
        "rows": [_real_row(row) for row in sorted(rows, key=lambda row: -row["figures"]["psnr"]["mean"])],
        "from": _made("results/real-next.json", found["run"]),
    }


def _real_row(row: dict[str, Any]) -> list[str]:
    psnr, gain = row["figures"]["psnr"], row["compared"].get("flow")
    figures = [f"{value:.2f}" for value in (psnr["per_step"][0], psnr["per_step"][-1], psnr["mean"])]
    if not gain:
        return [row["model"], *figures, "", ""]
    low, high = gain["ci95"]
    return [row["model"], *figures, f"{gain['gain']:+.2f} ({low:+.2f} to {high:+.2f})", f"{gain['share_better']:.0%}"]


def own_tasks() -> Board:
    """Return the trained models, each on held-out clips of what it was trained for, beside its best baseline."""
    files = sorted(
        [*SHIPPED.glob("*/results.json"), *WEIGHTS.glob("*/results.json")], key=lambda file: file.parent.name
    )
    return {
        "title": "Trained models on their own task",
        "about": "Held-out clips of what each was trained for: PSNR in dB, higher is better, ± half the width of the "
        f"95 % interval over sources. Fewer than {FEW} sources are too few to tell.",
        "columns": ["model", "PSNR", "best baseline", "its PSNR", "sources"],
        "rows": [_own_row(file) for file in files],
        "from": "results.json in the folder of each model",
    }


def _own_row(file: Path) -> list[str]:
    rows = [row for row in json.loads(file.read_text(encoding="utf-8"))["rows"] if row["metric"] == "psnr"]
    own = next(row for row in rows if row["model"] == file.parent.name)
    best = max((row for row in rows if row is not own), key=lambda row: row["mean"])
    return [own["model"], _spread(own), best["model"], _spread(best), f"{own['n']:,}"]


def _spread(row: dict[str, Any]) -> str:
    interval = row["ci95"]
    return f"{row['mean']:.2f}" + (f" ± {(interval[1] - interval[0]) / 2:.2f}" if interval else "")


def gifs() -> Board:
    """Return the rows of gif-next, of a minute of training and of half an hour."""
    paths = sorted([*(RESULTS / "gif-next").glob("*.json"), *(RESULTS / "gif-next-30-minutes").glob("*.json")])
    (board,) = boards(paths)
    main = board.metrics[0]
    return {
        "title": "GIFs",
        "about": f"{board.about} {board.clips}. {board.finding}",
        "columns": ["model", f"{main.metric}, lower is better", GAIN, "parameters", "training"],
        "rows": [_gif_row(line) for line in board.lines],
        "from": "results/gif-next and results/gif-next-30-minutes; docs/leaderboard.md has every figure",
    }


def _gif_row(line: Line) -> list[str]:
    row, facts = line.row, line.row.training
    gain = "" if line.gain is None else f"{line.gain:+.1f} % {paired_range(line.paired)}".strip()
    trained = f"{facts.seconds / 60:.0f} min, {facts.steps:,} steps" if facts else line.trained
    main = f"{shown(row.figures[0].mean)} {half_width(row.figures[0])}".strip()
    return [row.entry, main, gain, short_count(row.parameters), trained]


def _made(file: str, run: dict[str, Any]) -> str:
    return f"{file}, {str(run['date'])[:10]}, {run['machine']}, commit {str(run['commit'])[:9]}"


def text(found: Iterable[Board]) -> str:
    """Return the file that the app reads."""
    return json.dumps(list(found), indent=1, ensure_ascii=False) + "\n"


def main(words: Sequence[str]) -> int:
    """Write the file."""
    target = Path(words[0]) if words else ROOT / "src" / "nextframe" / "web" / "boards.json"
    target.write_text(text(every_board()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
