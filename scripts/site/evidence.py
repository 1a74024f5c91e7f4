"""What the committed results files say of each model: figures beside those of the last frame, and what it costs.

Nothing is typed by hand: `make docs` reads the files again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nextframe.benchmark.cells import half_of, half_width, paired_range, short_count, shown
from nextframe.benchmark.collected import read_rows
from nextframe.benchmark.leaderboard import Board, rank
from nextframe.benchmark.row import BenchmarkRow, find_rows, read_row
from nextframe.checkpoint import find_here, trained_models
from nextframe.checkpoint.folder import read_config
from nextframe.evaluation.scores import mean_interval

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "results"
FOLDERS = ("gif-next", "gif-next-30-minutes")  # of rows, a file each
FILES = (
    "moving-mnist.json",
    "moving-mnist-fast.json",
    "moving-mnist-fast-amx.json",
    "moving-mnist-sprites.json",
    "moving-mnist-small.json",
)
REAL = "real-next.json"
EVALUATED = {  # by `nextframe evaluate`, of runs that did not stay: what they were trained for
    "dual-motion-gan-clips.json": "two hours of a core, on other scenes",
    "dual-motion-gan-walks.json": "two hours of a core, on other walks",
}
MIDDLE = "interpolation.json"
COSTS = "model-costs.json"


@dataclass(frozen=True)
class Finding:
    """A row's main figure on a task, beside that of repeating the last frame."""

    model: str
    task: str
    figure: str
    last_frame: str
    gain: str
    training: str
    file: str  # from the root


def findings() -> list[Finding]:
    """Return what is known of all models, task by task."""
    boards = [found for board, files in all_boards() for found in of_board(board, files)]
    runs = [of_evaluation(RESULTS / name, training) for name, training in EVALUATED.items()]
    return [*boards, *of_real(), *of_weights(), *runs, *of_middle()]


def all_boards() -> list[tuple[Board, dict[str, str]]]:
    """Return every task's ranked rows, with the results file of each row by its entry and training."""
    paths = find_rows([RESULTS / folder for folder in FOLDERS])
    rows = [(read_row(path), path) for path in paths]
    rows += [(row, RESULTS / name) for name in FILES for row in read_rows(RESULTS / name)]
    files = {key(row): path.relative_to(ROOT).as_posix() for row, path in rows}
    return [(board, files) for board in rank(rows)]


def key(row: BenchmarkRow) -> str:
    """Return what tells a row from all others."""
    return f"{row.task.name} {row.entry} {row.run.get('date')}"


def of_board(board: Board, files: dict[str, str]) -> Iterator[Finding]:
    """Yield a finding for each row of a task."""
    main = board.metrics[0]
    last = next((shown(line.row.figures[0].mean) for line in board.lines if line.reference), "")
    for line in board.lines:
        figure = line.row.figures[0]
        yield Finding(
            model=line.row.model,
            task=f"{line.row.task.name}, {main.metric}",
            figure=f"{shown(figure.mean)} {half_width(figure)}".strip(),
            last_frame=last,
            gain="" if line.gain is None else f"{line.gain:+.1f} % {paired_range(line.paired)}".strip(),
            training=line.trained,
            file=files[key(line.row)],
        )


def of_real() -> Iterator[Finding]:
    """Yield a finding for each registered model on real videos: the mean PSNR of five frames."""
    rows = {row["model"]: row["figures"]["psnr"] | {"beside": row["compared"]} for row in read(REAL).get("rows", [])}
    for model, figure in rows.items():
        low, high = figure["ci95"]
        beside = figure["beside"].get("copy-last")
        gain = f"{beside['gain']:+.2f} dB ({beside['ci95'][0]:+.2f} to {beside['ci95'][1]:+.2f})" if beside else ""
        yield Finding(
            model=model,
            task="real-next, psnr of five frames",
            figure=f"{figure['mean']:.2f} ± {(high - low) / 2:.2f} dB",
            last_frame=f"{rows['copy-last']['mean']:.2f} dB",
            gain=gain,
            training="none on these videos",
            file=f"results/{REAL}",
        )


def of_weights() -> Iterator[Finding]:
    """Yield a finding for each trained model of this checkout that was evaluated on its own data."""
    for name in trained_models():
        folder = find_here(name)
        if folder is not None and (folder / "results.json").exists():
            found = of_evaluation(folder / "results.json", f"comes trained: [`{name}`](weights.md#{name})")
            yield replace(found, model=str(read_config(folder)["model"]))


def of_evaluation(path: Path, training: str) -> Finding:
    """Return what a file of `nextframe evaluate` says of its model by its main metric."""
    found = json.loads(path.read_text(encoding="utf-8"))
    main = found["rows"][0]
    last = next(row for row in found["rows"] if (row["model"], row["metric"]) == ("copy-last", main["metric"]))
    pairs = {(gap["metric"], gap["baseline"]): gap for gap in found.get("differences", [])}
    return Finding(
        model=main["model"],
        task=f"{main['data']}, {main['split']}, {main['metric']}",
        figure=f"{shown(main['mean'])} {half_of(main['ci95'])}".strip(),
        last_frame=shown(last["mean"]),
        gain=gain_of(main, last, pairs.get((main["metric"], "copy-last"), {}).get("ci95")),
        training=training,
        file=path.relative_to(ROOT).as_posix(),
    )


def gain_of(main: dict[str, Any], last: dict[str, Any], ci95: Sequence[float] | None) -> str:
    """Return the gain over the last frame: in per cent of it where lower is better, else in the metric's unit."""
    if main["better"] == "lower":
        rate, unit, gain = 100 / last["mean"], "%", last["mean"] - main["mean"]
    else:
        rate, unit, gain = 1.0, main["unit"], main["mean"] - last["mean"]
    ends = None if ci95 is None else (rate * ci95[0], rate * ci95[1])
    return f"{rate * gain:+.1f} {unit} {paired_range(ends)}".strip()


def of_middle() -> Iterator[Finding]:
    """Yield a finding for each model that predicts the frame between two."""
    rows = [row for row in read(MIDDLE)["rows"] if row["metric"] == "psnr-moving"]
    for model in dict.fromkeys(row["model"] for row in rows):
        mean, ci95 = mean_interval(np.array([row["mean"] for row in rows if row["model"] == model]))
        figure = f"{mean:.2f} {half_of(ci95)} dB"
        task = f"the frame between two, psnr of moving pixels, {len({row['data'] for row in rows})} videos"
        yield Finding(model, task, figure, "", "", "no training", f"results/{MIDDLE}")


def costs() -> dict[str, dict[str, Any]]:
    """Return what each model costs, by its name; {} before it was measured.

    `machine` is where a row was made again, if not where the others were.
    """
    found = read(COSTS)
    again = {name: run["machine"] for name, run in found.get("again", {}).items()}
    elsewhere = {name: machine for name, machine in again.items() if machine != found["run"]["machine"]}
    return {row["model"]: row | {"machine": elsewhere.get(row["model"])} for row in found.get("rows", [])}


def cost_words(row: dict[str, Any]) -> dict[str, str]:
    """Return a row of costs as a reader reads it."""
    time, where = time_words(row["seconds"]), f" of {row['machine'].split(',')[0]}" if row["machine"] else ""
    return {
        "Parameters": short_count(row["parameters"]) if row["parameters"] else "none",
        "Compute": f"{short_count(row['macs'])} multiply-accumulates" if row["macs"] else "no convolutions or products",
        "Time": f"{time} of one core{where}",
        "Memory": f"{row['memory_mib']} MiB beside what the process holds",
    }


def time_words(seconds: float) -> str:
    """Return seconds in two digits, as 0.27 s, 5.8 ms or less than 0.1 ms."""
    if seconds >= 0.1:
        return f"{float(f'{seconds:.2g}'):g} s"
    return f"{1000 * seconds:.2g} ms" if seconds > 1e-4 else "under 0.1 ms"


def read(name: str) -> dict[str, Any]:
    """Return a results file, {} if there is none."""
    path = RESULTS / name
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found
