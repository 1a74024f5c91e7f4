"""The page's own HTML: progress, results, errors. All text is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from nextframe.evaluation.verdict import number
from nextframe.prediction.shown.charts import line_chart
from nextframe.web.player import player, stills
from nextframe.web.work.job import STAGES

WORDS = {"waiting": "Waiting for a free worker", "reading": "Reading the clip", "predicting": "Predicting"}
WORDS |= {"comparing": "Predicting by the second model", "checking": "Checking it on frames that are known"}
WORDS |= {"drawing": "Drawing the images"}

TITLE = """
<h1>nextframe</h1>
<p>What comes next? Give it a short video and it predicts the frames that follow.
<a href="#help" class="nf-help">How to read this page, and where to read more</a></p>
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
    return str(Markup('<p class="nf-said nf-{}" role="{}">{}</p>').format(kind, role, line[:1].upper() + line[1:]))


def results(token: str, found: Mapping[str, Any]) -> str:
    """Return the results of a job: `found` is what `run_job` returned, `token` names its folder."""
    parts = [
        _verdicts(found["verdicts"]),
        player(token, found["player"]),
        *(Markup('<p class="nf-said nf-note">{}</p>').format(note) for note in found["notes"]),
        _chart(found["errors"], found["checked"]) if found["errors"] else "",
        _figure("Frame by frame", stills(token, found["player"]), "The line is where the prediction begins."),
        _facts(found["facts"]),
        _downloads(token, found["downloads"]),
        _code("The same on your own machine", found["command"]),
        _code("In Python", found["python"]),
    ]
    return str(Markup('<div class="nf-results">{}</div>').format(Markup("").join(parts)))


def _verdicts(lines: Sequence[str]) -> Markup:
    """Return what the figures say, the first model's large."""
    shown = lines or ["The clip is too short, or the prediction took too long, to say how far to trust it."]
    rest = Markup("").join(Markup("<p>{}</p>").format(line) for line in shown[1:])
    return Markup('<section class="nf-verdict"><h2>{}</h2>{}</section>').format(shown[0], rest)


def _facts(facts: Mapping[str, str]) -> Markup:
    rows = [Markup("<dt>{}</dt><dd>{}</dd>").format(name, value) for name, value in facts.items()]
    return Markup('<dl class="nf-facts">{}</dl>').format(Markup("").join(rows))


def _figure(title: str, body: Markup, text: str) -> Markup:
    return Markup('<figure class="nf-box"><h3>{}</h3>{}<figcaption>{}</figcaption></figure>').format(title, body, text)


def _chart(errors: Mapping[str, Sequence[float]], where: str) -> Markup:
    """Return the error of each step as a line for each name, on the frames that `where` names, the means below."""
    lines = {name: [(float(t), value) for t, value in enumerate(values, 1)] for name, values in errors.items()}
    chart = line_chart(lines, "predicted frame", "mean squared error", from_zero=True)
    keys = [
        Markup('<span><i class="nf-key nf-key-{}"></i>{}: {} on average</span>').format(
            index, name, number(sum(values) / len(values))
        )
        for index, (name, values) in enumerate(errors.items())
    ]
    return Markup(
        '<figure class="nf-box nf-chart"><h3>Error of each step, on {}</h3>{}'
        '<figcaption class="nf-keys">{}</figcaption></figure>'
    ).format(where, chart, Markup("").join(keys))


def _downloads(token: str, files: Mapping[str, str]) -> Markup:
    links = [
        Markup('<a class="nf-button" href="results/{}/{}{}" download="{}{}">{} as {}</a>').format(
            token, file, ending, file, ending, name, word
        )
        for name, file in files.items()
        for ending, word in ((".gif", "GIF"), (".mp4", "mp4"))
    ]
    return Markup('<p class="nf-downloads"><span>Download</span>{}</p>').format(Markup("").join(links))


def _code(title: str, text: str) -> Markup:
    return Markup(
        '<figure class="nf-box nf-command"><h3>{}<button type="button" class="nf-copy">Copy</button></h3>'
        "<pre><code>{}</code></pre></figure>"
    ).format(title, text)
