"""The Markdown page of a result: what was measured, and one short table for each question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Row = dict[str, Any]
Cells = Callable[[Row], Sequence[float | None]]
DIGITS = {"psnr": 2, "psnr-moved": 2, "perceptual-distance": 2}  # of all others 4
HIDDEN = ("l1-moved", "perceptual-distance-moved")  # in the record alone
NOT_MEASURED = "not measured"


def as_markdown(result: dict[str, Any]) -> str:
    """Return the page of a result's plain values."""
    rows, task = result["rows"], result["task"]
    ahead = [f"+{step}" for step in range(1, task["horizon"] + 1)]
    parts = [_head(result)]
    if rows[0]["figures"]:
        shown = [metric for metric in task["metrics"] if metric not in HIDDEN]
        parts += [_metric(rows, metric, ahead, task) for metric in shown]
        parts += _cumulative(rows, [metric for metric in shown if metric in rows[0]["figures"]], ahead)
        parts += _compared(rows, result["rivals"], task)
    parts += [_class(rows, motion, ahead) for motion in rows[0]["by_motion"]]
    parts.append(_near_still(rows, ahead))
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(result: dict[str, Any]) -> str:
    data, run, task = result["data"], result["run"], result["task"]
    means = "means within a source, then over sources" if task["means_over"] == "sources" else "means over clips"
    lines = [
        f"# {task['name']}",
        f"{task['about']} {task['context']} context frames. {data['clips']:,} clips of {data['sources']:,} sources; "
        f"{means}. {len(data['excluded'])} files are excluded, {len(data['skipped'])} cannot be measured.",
        _incomplete(data),
        *(_seen(row) for row in result["rows"]),
        *(_adapted(row) for row in result["rows"]),
        f"`{run['command']}`, commit {run['commit']}, seed {run['seed']}, {run['date']}, {run['seconds']:g} s on "
        f"{run['machine']}.",
    ]
    return "\n\n".join(line for line in lines if line)


def _incomplete(data: dict[str, Any]) -> str:
    """Return that figures of a part of a published split compare with none that are published, if it is so."""
    whole = data["published_clips"]
    if whole in (None, data["clips"]):
        return ""
    return f"The published split has {whole:,} clips, so these figures do not compare with published ones."


def _seen(row: Row) -> str:
    """Return that a model was trained on material of some of the sources, if it was."""
    if not row["seen"]:
        return ""
    return f"{row['model']} was trained on material of {len(row['seen'])} of these sources: {', '.join(row['seen'])}."


def _adapted(row: Row) -> str:
    """Return what became of the predictions of a row that is tuned on each clip."""
    found = row.get("adapted")
    if found is None:
        return ""
    return (
        f"{row['model']} is tuned on each clip's context frames for at most {found['seconds_at_most']:g} s (mean "
        f"{found['seconds']:.1f} s), once in each pass. The tuned weights made {found['used']} of "
        f"{found['predictions']} predictions, where they were better on the context frames that were kept from the "
        "tuning."
    )


def _metric(rows: Sequence[Row], metric: str, ahead: Sequence[str], task: dict[str, Any]) -> str:
    """Return the table of a metric step by step; of one that could not be measured, a table that says so."""
    what = rows[0]["figures"].get(metric)
    if what is None:
        return _table(metric, [*ahead, "mean"], rows, lambda row: [None] * (len(ahead) + 1), 0, NOT_MEASURED)
    side = task.get("msssim_shortest_side") if metric == "msssim" else None
    second = f"; a second pass, shortest side {side}" if side else ""
    title = f"{metric} ({what['unit']}), {what['better']} is better: {what['definition']}{second}"
    return _table(title, [*ahead, "mean"], rows, _steps(metric), DIGITS.get(metric, 4))


def _cumulative(rows: Sequence[Row], metrics: Sequence[str], ahead: Sequence[str]) -> list[str]:
    """Return a table for each metric of what some papers print in the column of a step."""
    if len(ahead) == 1:
        return []
    title = "Cumulative mean of {}: at +k the mean of +1 to +k"
    return [
        _table(title.format(metric), ahead, rows, _cumulative_means(metric), DIGITS.get(metric, 4))
        for metric in metrics
    ]


def _cumulative_means(metric: str) -> Cells:
    return lambda row: row["figures"][metric]["cumulative_mean"]


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


def _table(title: str, columns: Sequence[str], rows: Sequence[Row], cells: Cells, digits: int, none: str = "-") -> str:
    head = f"| model | {' | '.join(columns)} |"
    lines = [f"**{title}**", "", head, "|---|" + "---:|" * len(columns)]
    for row in rows:
        shown = [none if value is None else f"{value:.{digits}f}" for value in cells(row)]
        lines.append(f"| {row['model']} | {' | '.join(shown)} |")
    return "\n".join(lines)
