"""The page's own HTML: progress, results, errors, the leaderboard. All text is escaped."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from markupsafe import Markup

from nextframe.evaluation.charts import line_chart
from nextframe.evaluation.verdict import number
from nextframe.web.job import STAGES

WORDS = {"waiting": "Waiting for a free worker", "reading": "Reading the clip", "predicting": "Predicting"}
WORDS |= {"drawing": "Drawing the images"}
NO_ROWS = "<p>No results to show here. <code>nextframe benchmark TASK -o benchmarks/TASK</code> makes some, and "
NO_ROWS += "<code>nextframe app --rows benchmarks/TASK</code> shows them.</p>"

TITLE = """
<h1>nextframe</h1>
<p>What comes next? Give it a short video and it predicts the frames that follow.</p>
"""


def progress(stage: str) -> str:
    """Return how far a prediction is: one of `STAGES`, or "waiting"."""
    done = 0 if stage == "waiting" else STAGES.index(stage) + 1
    share = round(100 * (done + 0.3) / (len(STAGES) + 1))
    return str(
        Markup(
            '<div class="nf-progress" role="status"><span>{}…</span>'
            '<div class="nf-bar"><i style="width:{}%"></i></div></div>'
        ).format(WORDS[stage], share)
    )


def said(line: str, kind: str = "note") -> str:
    """Return one line for the visitor: kind is "note" or "error"."""
    role = "alert" if kind == "error" else "status"
    text = line[:1].upper() + line[1:]
    return str(Markup('<p class="nf-said nf-{}" role="{}">{}</p>').format(kind, role, text))


def results(token: str, found: Mapping[str, Any]) -> str:
    """Return the results of a job: `found` is what `run_job` returned, `token` names its folder."""
    files, errors = found["files"], found["errors"]
    parts = [_facts(found["facts"]), *(Markup('<p class="nf-said nf-note">{}</p>').format(n) for n in found["notes"])]
    title = "Truth and prediction" if errors else "Prediction"
    parts.append(_figure(title, token, "loop.gif", "The clip plays its context first; then the borders turn colour."))
    if errors:
        text = "Black is right, bright is wrong."
        parts += [_figure("Difference", token, "difference.gif", text), _chart(errors)]
    if "strip.png" in files:
        parts.append(_figure("Frame by frame", token, "strip.png", "Scroll sideways for later frames.", wide=True))
    parts += [_downloads(token), _command(found["command"])]
    return str(Markup('<div class="nf-results">{}</div>').format(Markup("").join(parts)))


def _facts(facts: Mapping[str, str]) -> Markup:
    rows = [Markup("<dt>{}</dt><dd>{}</dd>").format(name, value) for name, value in facts.items()]
    return Markup('<dl class="nf-facts">{}</dl>').format(Markup("").join(rows))


def _figure(title: str, token: str, name: str, text: str, wide: bool = False) -> Markup:
    return Markup(
        '<figure class="{}"><h3>{}</h3><div class="nf-scroll"><img src="results/{}/{}" alt="{}"></div>'
        "<figcaption>{}</figcaption></figure>"
    ).format("nf-wide" if wide else "", title, token, name, title, text)


def _chart(errors: Mapping[str, Sequence[float]]) -> Markup:
    """Return the error of each step as a line for each name, the means in a sentence below."""
    lines = {name: [(float(t), value) for t, value in enumerate(values, 1)] for name, values in errors.items()}
    chart = line_chart(lines, "predicted frame", "mean squared error", from_zero=True)
    keys = [
        Markup('<span><i class="nf-key nf-key-{}"></i>{}: {} on average</span>').format(
            index, name, number(sum(values) / len(values))
        )
        for index, (name, values) in enumerate(errors.items())
    ]
    return Markup(
        '<figure class="nf-chart"><h3>Error of each step</h3>{}<figcaption class="nf-keys">{}</figcaption></figure>'
    ).format(chart, Markup("").join(keys))


def _downloads(token: str) -> Markup:
    links = [
        Markup('<a class="nf-button" href="results/{}/prediction{}" download="prediction{}">Download {}</a>').format(
            token, ending, ending, word
        )
        for ending, word in ((".gif", "GIF"), (".mp4", "mp4"))
    ]
    return Markup('<p class="nf-downloads">{}</p>').format(Markup("").join(links))


def _command(command: str) -> Markup:
    return Markup(
        '<figure class="nf-command"><h3>The same on your own machine</h3><pre><code>{}</code></pre></figure>'
    ).format(command)


def leaderboard(rows: Sequence[Path]) -> str:
    """Return the leaderboard of row files as a page within the page, or how to make one if there are no rows."""
    if not rows:
        return NO_ROWS
    from nextframe.benchmark import write_leaderboard

    with tempfile.TemporaryDirectory() as folder:
        page = write_leaderboard(rows, Path(folder) / "leaderboard.html").read_text(encoding="utf-8")
    return f'<iframe class="nf-board" sandbox="allow-scripts" title="leaderboard" srcdoc="{escape(page)}"></iframe>'
