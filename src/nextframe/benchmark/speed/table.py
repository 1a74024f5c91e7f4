"""The table of what was measured, as text."""

from __future__ import annotations

from typing import Any

HEAD = ("model", "what", "nextframe", "beside it", "times as fast", "of the peak", "beside")


def as_text(values: dict[str, Any]) -> str:
    """Return the rows as lines of columns, a middle and in brackets the ends, and the machine below them."""
    lines = [HEAD, *(_cells(row) for row in values["rows"])]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    peaks = ", ".join(f"{name} {value:.0f} GFLOP/s" for name, value in values["peaks_gflops"].items())
    run = values["run"]
    return "\n".join([*text, f"{run['machine']}, {run['threads']} threads; its peak: {peaks}"])


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    ours, *others = (_span(side, row["unit"]) for side in row["sides"].values())
    ratio = row.get("times_as_fast")
    if ratio is None and "share_of_plain" in row:
        ratio_text = f"{row['share_of_plain']:.2f} of it"
    else:
        ratio_text = "" if ratio is None else f"{ratio:.2f}"
    share = row.get("share_of_peak")
    of_peak = " / ".join(f"{value:.0%}" for value in share.values()) if share else ""
    return row["model"], row["what"], ours, others[0] if others else "", ratio_text, of_peak, row["beside"] or ""


def _span(side: dict[str, Any], unit: str) -> str:
    if unit == "bytes":
        return f"{side['max'] / 2**20:.0f} MiB"
    scale, name = (1.0, "s") if side["median"] >= 1 else (1e3, "ms")
    return f"{side['median'] * scale:.3g} {name} ({side['min'] * scale:.3g}-{side['max'] * scale:.3g})"
