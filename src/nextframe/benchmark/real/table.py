"""The Markdown page of a result: what was measured, and one short table for each question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nextframe.benchmark.real.motion import MOTIONS

Row = dict[str, Any]
Cells = Callable[[Row], Sequence[float | None]]
STEPS = (("psnr", 2), ("psnr-moved", 2), ("msssim", 4), ("ssim", 4), ("l1", 4), ("perceptual-distance", 2))


def as_markdown(result: dict[str, Any]) -> str:
    """Return the page of a result's plain values."""
    rows, task = result["rows"], result["task"]
    ahead = [f"+{step}" for step in range(1, task["horizon"] + 1)]
    parts = [_head(result)]
    for metric, digits in STEPS:
        if rows[0]["figures"]:
            what = rows[0]["figures"][metric]
            title = f"{metric} ({what['unit']}), {what['better']} is better: {what['definition']}"
            parts.append(_table(title, [*ahead, "mean"], rows, _steps(metric), digits))
    if rows[0]["figures"]:
        title = f"Cumulative mean of psnr: at +k the mean of +1 to +k, over at most {task['psnr_at_most']:g} dB a frame"
        parts.append(_table(title, ahead, rows, lambda row: row["figures"]["psnr"]["cumulative_mean"], 2))
        parts += _compared(rows, result["rivals"], task)
    parts += [_class(rows, motion, ahead) for motion in MOTIONS]
    parts.append(_near_still(rows, ahead))
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(result: dict[str, Any]) -> str:
    data, run, task = result["data"], result["run"], result["task"]
    lines = [
        f"# {task['name']}",
        f"{task['about']} {data['clips']} clips of {data['sources']} sources; means within a source, then over "
        f"sources. {len(data['excluded'])} files are excluded, {len(data['skipped'])} cannot be measured.",
        f"`{run['command']}`, commit {run['commit']}, seed {run['seed']}, {run['date']}, {run['seconds']:g} s on "
        f"{run['machine']}.",
    ]
    return "\n\n".join(lines)


def _steps(metric: str) -> Cells:
    return lambda row: [*row["figures"][metric]["per_step"], row["figures"][metric]["mean"]]


def _compared(rows: Sequence[Row], rivals: Sequence[str], task: dict[str, Any]) -> list[str]:
    """Return a table of gains over each rival."""
    tables = []
    for rival in rivals:
        others = [row for row in rows if row["compared"].get(rival)]
        columns = [*(f"+{step}" for step in range(1, task["horizon"] + 1)), "mean", "95 % from", "to", "better on, %"]
        title = f"psnr over {rival}, paired by source (dB), and the share of sources on which it is better"
        tables.append(_table(title, columns, others, _gains(rival), 2))
    if rivals:
        title = (
            f"Sources (%) on which psnr is over {task['worse_by']:g} dB worse than the best of {' and '.join(rivals)}"
        )
        tables.append(_table(title, ["%"], rows, lambda row: [_percent(row["share_worse"])], 1))
    return tables


def _gains(rival: str) -> Cells:
    def cells(row: Row) -> list[float | None]:
        gain = row["compared"][rival]
        return [*gain["per_step"], gain["gain"], *(gain["ci95"] or [None, None]), _percent(gain["share_better"])]

    return cells


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _class(rows: Sequence[Row], motion: str, ahead: Sequence[str]) -> str:
    counts = rows[0]["by_motion"][motion]
    title = f"psnr, motion: {motion} ({counts['clips']} clips of {counts['sources']} sources)"
    return _short(rows, title, ahead, lambda row: row["by_motion"][motion])


def _near_still(rows: Sequence[Row], ahead: Sequence[str]) -> str:
    counts = rows[0]["near_still"]
    title = f"psnr of near-still clips, in no other table ({counts['clips']} clips of {counts['sources']} sources)"
    return _short(rows, title, ahead, lambda row: row["near_still"])


def _short(rows: Sequence[Row], title: str, ahead: Sequence[str], part: Callable[[Row], Row]) -> str:
    if not part(rows[0])["clips"]:
        return ""
    columns = [*ahead, "mean"]
    return _table(title, columns, rows, lambda row: [*part(row)["per_step"]["psnr"], part(row)["means"]["psnr"]], 2)


def _table(title: str, columns: Sequence[str], rows: Sequence[Row], cells: Cells, digits: int) -> str:
    head = f"| model | {' | '.join(columns)} |"
    lines = [f"**{title}**", "", head, "|---|" + "---:|" * len(columns)]
    for row in rows:
        shown = ["-" if value is None else f"{value:.{digits}f}" for value in cells(row)]
        lines.append(f"| {row['model']} | {' | '.join(shown)} |")
    return "\n".join(lines)
