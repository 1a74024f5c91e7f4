"""The clips of a result as HTML: they play side by side, and stand frame by frame below; page.js moves them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

BEFORE = 3  # context frames that are shown frame by frame
MOST = 20  # predicted ones
SMOOTH = 160  # pixels of the longest side from which an enlarged frame is smoothed; below, its pixels are seen


def player(token: str, found: Mapping[str, Any]) -> Markup:
    """Return the clips, side by side in step, over a timeline that marks where the prediction begins.

    Args:
        token: the name of the result's folder.
        found: "given" and "ahead", numbers of frames; "fps" and "true_fps"; "size", (height, width); "panels".
    """
    given, ahead = found["given"], found["ahead"]
    panels = Markup("").join(_panel(token, found, number) for number in range(len(found["panels"])))
    return Markup(
        '<div class="nf-player" data-given="{}" data-ahead="{}" data-fps="{:g}"><div class="nf-panels">{}</div>'
        '<div class="nf-timeline"><button type="button" class="nf-play" aria-label="play or pause">❚❚</button>'
        '<div class="nf-track"><div class="nf-marks" aria-hidden="true"><span style="flex:{}">given</span>'
        '<b style="flex:{}">predicted</b></div><input type="range" min="0" max="{}" value="0" step="1" '
        'aria-label="frame"></div></div><p class="nf-hint">{}</p></div>'
    ).format(given, ahead, found["fps"], panels, given, ahead, given + ahead - 1, _speed(found))


def _panel(token: str, found: Mapping[str, Any], number: int) -> Markup:
    panel, (height, width) = found["panels"][number], found["size"]
    note = Markup("<small>{}</small>").format(panel["note"])
    return Markup(
        '<figure class="nf-panel nf-{}" style="--wide:{:.4f}"><figcaption><b>{}</b>{}<span class="nf-when"></span>'
        "</figcaption>{}</figure>"
    ).format(panel["kind"], width / height, panel["title"], note, _canvas(token, panel, (height, width), "nf-screen"))


def _canvas(token: str, panel: Mapping[str, Any], size: Sequence[int], kind: str, at: int | None = None) -> Markup:
    """Return a canvas for frames of a panel; `at`: always for the one of that time."""
    height, width = size
    fixed = "" if at is None else Markup(' data-at="{}"').format(at)
    blocks = " nf-blocks" if max(height, width) < SMOOTH else ""
    return Markup(
        '<canvas class="{}{}" width="{}" height="{}" role="img" aria-label="{}" data-sheet="results/{}/{}" '
        'data-columns="{}" data-start="{}"{}></canvas>'
    ).format(kind, blocks, width, height, panel["title"], token, panel["file"], panel["columns"], panel["start"], fixed)


def _speed(found: Mapping[str, Any]) -> str:
    shown, true = found["fps"], found["true_fps"]
    slower = f", slower than the clip's {true:.3g}" if shown < true else ""
    return f"{shown:.3g} frames a second{slower}. Drag to step; grey: given to the model, orange: predicted."


def stills(token: str, found: Mapping[str, Any]) -> Markup:
    """Return the frames beside one another in time, a row for each clip, with a line where the prediction begins."""
    given, ahead = found["given"], found["ahead"]
    shown = [panel for panel in found["panels"] if panel["kind"] != "error"]
    times = [*range(max(0, given - BEFORE), given), *_chosen(given, ahead)]
    head = Markup("").join(_time(time, given) for time in times)
    rows = Markup("").join(_row(token, panel, found["size"], times, given) for panel in shown)
    table = Markup('<table class="nf-stills"><thead><tr><th></th>{}</tr></thead><tbody>{}</tbody></table>')
    return Markup('<div class="nf-scroll">{}</div>').format(table.format(head, rows))


def _chosen(given: int, ahead: int) -> list[int]:
    """Return the times of at most `MOST` predicted frames, evenly chosen."""
    count = min(MOST, ahead)
    return [given + round(n * (ahead - 1) / max(1, count - 1)) for n in range(count)]


def _time(time: int, given: int) -> Markup:
    step = time - given + 1
    return Markup('<th class="{}">{}</th>').format("nf-first" if step == 1 else "", f"{step:+d}" if step else "0")


def _row(token: str, panel: Mapping[str, Any], size: Sequence[int], times: Sequence[int], given: int) -> Markup:
    kinds = ["nf-context" if time < given else f"nf-{panel['kind']}" for time in times]
    cells = [
        Markup('<td class="{}{}">{}</td>').format(
            kind, " nf-first" if time == given else "", _canvas(token, panel, size, "nf-still", at=time)
        )
        for time, kind in zip(times, kinds, strict=True)
    ]
    return Markup("<tr><th>{}</th>{}</tr>").format(panel["title"], Markup("").join(cells))
