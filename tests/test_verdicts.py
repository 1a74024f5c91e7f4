"""What an evaluation says in words: differences source by source, too few sources, the best and the worst clip."""

from __future__ import annotations

import base64
import io
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nextframe.core.clip import Clip, Task
from nextframe.data import DataConfig
from nextframe.data.clipset import ClipSet, Indices, Split
from nextframe.evaluation import Evaluation, Row, evaluate, write_report
from nextframe.evaluation.result import MOST_SOURCES
from nextframe.evaluation.scores import mean_interval
from nextframe.evaluation.table import summary_table
from nextframe.evaluation.verdict import FEWEST, difference, extremes, findings, headline
from nextframe.training import ModelSection, Recipe, TrainingConfig, read_metrics, train
from nextframe.training.folder.report import report_run, report_validation

OWN = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]  # very different sources


def row(model: str, values: list[float], metric: str = "mse", better: str = "lower", unit: str = "") -> Row:
    mean, ci95 = mean_interval(np.array(values))
    by_name = {f"s{number}": value for number, value in enumerate(values)}
    return Row(model, "d", "test", metric, "what", unit, better, mean, ci95, [mean], len(values), by_name)  # type: ignore[arg-type]


def result(*rows: Row) -> Evaluation:
    return Evaluation(rows[0].model, list(rows), {}, clips=rows[0].n, context=1)


def plus(values: list[float], more: list[float]) -> list[float]:
    return [value + by for value, by in zip(values, more, strict=True)]


@pytest.mark.parametrize(
    ("clips", "values", "said"),
    [
        (4, [0.1], "4 clips from 1 source"),
        (1, [0.1], "1 clip from 1 source"),
        (1234, OWN, "1,234 clips from 6 sources"),
    ],
)
def test_the_table_counts_one_as_one(clips: int, values: list[float], said: str) -> None:
    found = replace(result(row("m", values), row("zero", values)), clips=clips)
    assert summary_table(found, ["mse"]).title == f"d, test split: {said}"


# --- differences, worked out by hand


def test_a_difference_is_paired_so_that_sources_may_differ_far_more() -> None:
    """0.01, 0.02 and 0.03 twice: mean 0.02, deviation 0.00894, t(0.975, 5) = 2.5706: 0.02 ± 0.00939."""
    mine, other = row("m", OWN), row("zero", plus(OWN, [0.01, 0.02, 0.03, 0.01, 0.02, 0.03]))
    found = difference(mine, other)
    assert found.mean == pytest.approx(0.02)
    half = 2.570582 * math.sqrt(0.0004 / 5) / math.sqrt(6)
    assert found.ci95 == pytest.approx((0.02 - half, 0.02 + half))
    assert (found.n, found.state) == (6, "better")
    assert mine.ci95 is not None
    assert mine.ci95[1] > other.mean, "the means' own intervals overlap: they could not tell"
    assert headline(result(mine, other)) == (
        "MSE 0.350; better than the best baseline (zero) by 0.0200 or 5.4 % (95 % interval 0.0106 to 0.0294, 6 sources)"
    )
    assert headline(result(other, mine)) == (
        "MSE 0.370; worse than the best baseline (m) by 0.0200 or 5.7 % (95 % interval 0.0106 to 0.0294, 6 sources)"
    )


def test_an_interval_with_zero_in_it_tells_no_difference() -> None:
    """0.03 and -0.01 by turns: mean 0.01 ± 0.0230."""
    mine, other = row("m", OWN), row("zero", plus(OWN, [0.03, -0.01] * 3))
    assert difference(mine, other).state == "ahead"
    assert difference(other, mine).state == "behind"
    assert headline(result(mine, other)) == (
        "MSE 0.350; no difference to the best baseline (zero) can be told (on average better by 0.0100 or 2.8 %, "
        "95 % interval 0.0130 worse to 0.0330 better, 6 sources)"
    )
    assert headline(result(other, mine)).endswith(
        "(on average worse by 0.0100 or 2.9 %, 95 % interval 0.0330 worse to 0.0130 better, 6 sources)"
    )


def test_two_sources_are_too_few_whatever_they_say() -> None:
    mine, other = row("m", [0.01, 0.03]), row("zero", [0.02, 0.04])  # the same difference: an interval without width
    assert headline(result(mine, other)) == (
        "MSE 0.0200; too few sources to tell (2, at least 5 are needed): "
        "on these it is better than the best baseline (zero) by 0.0100 or 33 %"
    )
    assert findings(result(mine, other)) == ["m is ahead of zero on mse, but 2 sources are too few to tell"]
    alone = result(row("m", [0.04]), row("zero", [0.02]))
    assert headline(alone).startswith(
        "MSE 0.0400; too few sources to tell (1, at least 5 are needed): on these it is w"
    )
    assert findings(alone) == ["m is behind zero on mse, but 1 source is too few to tell"]


@pytest.mark.parametrize(("count", "state"), [(FEWEST - 1, "ahead"), (FEWEST, "better")])
def test_how_many_sources_are_enough(count: int, state: str) -> None:
    values = OWN[:count]
    assert (
        difference(row("m", values), row("zero", plus(values, [0.02, 0.021, 0.02, 0.021, 0.02][:count]))).state == state
    )


def test_of_a_metric_that_should_be_high_more_is_better() -> None:
    """1 and 2 dB by turns: 1.5 ± 0.575."""
    values = [28.0, 29.0, 30.0, 30.0, 31.0, 32.0]
    other = row("flow", values, "psnr", "higher", "dB")
    mine = row("m", plus(values, [1.0, 2.0] * 3), "psnr", "higher", "dB")
    assert headline(result(mine, other)) == (
        "PSNR 31.50; better than the best baseline (flow) by 1.500 dB (95 % interval 0.925 to 2.075 dB, 6 sources)"
    )


def test_what_is_equal_on_every_source_is_the_same() -> None:
    both = result(row("m", OWN), row("flow", OWN))
    assert headline(both) == "MSE 0.350; the same as the best baseline (flow), on 6 sources"
    assert findings(both) == ["m is the same as flow on mse"]


def test_a_value_that_is_not_a_number_wins_nothing() -> None:
    broken = result(row("m", [math.nan, *OWN[1:]]), row("flow", OWN))
    assert difference(*broken.rows).state == "behind"
    assert "no difference" in headline(broken)
    json.dumps(broken.as_json(), allow_nan=False)


# --- where the model loses


def test_every_metric_that_is_lost_is_named() -> None:
    """Ahead in squared error, behind in all else: what a grey sludge is."""
    lower, higher = [0.05] * 6, [-0.05] * 6
    rows = [row("m", OWN), row("copy-last", plus(OWN, lower)), row("zero", plus(OWN, [0.06] * 6))]
    for metric, better, loss in (("mae", "lower", higher), ("psnr", "higher", lower), ("ssim", "higher", lower)):
        zero = [-by / 2 for by in loss] if metric == "mae" else loss  # behind by more, or ahead
        rows += [row("m", OWN, metric, better), row("copy-last", plus(OWN, loss), metric, better)]
        rows += [row("zero", plus(OWN, zero), metric, better)]
    found = result(*rows)
    assert findings(found) == ["m loses to copy-last on mae", "m loses to copy-last and zero on psnr and ssim"]
    assert "better than the best baseline (copy-last)" in headline(found)


def test_a_lead_that_cannot_be_told_is_not_a_win() -> None:
    rows = [row("m", OWN), row("a", plus(OWN, [0.02] * 6)), row("b", plus(OWN, [0.03, -0.01] * 3))]
    assert findings(result(*rows)) == ["m is ahead of b on mse, but no difference can be told"]
    assert findings(result(*rows[:2])) == ["m is better than every baseline on every metric"]
    behind = findings(result(rows[2], rows[0]))
    assert behind == ["b is behind m on mse, but no difference can be told"]


def test_a_models_own_samples_are_not_its_rivals() -> None:
    rows = [row("m", OWN), row("m (best of 8)", plus(OWN, [-0.1] * 6)), row("a", plus(OWN, [0.02] * 6))]
    assert findings(result(*rows)) == ["m is better than every baseline on every metric"]


def test_a_file_has_every_difference_and_as_many_sources_as_a_reader_can_use() -> None:
    many = [0.1 + number / 1000 for number in range(MOST_SOURCES + 1)]
    found = result(row("m", many), row("a", plus(many, [0.02] * len(many))))
    stored = found.as_json()
    assert [each["per_source"] for each in stored["rows"]] == [{}, {}]
    (only,) = stored["differences"]
    assert list(only) == ["metric", "model", "baseline", "mean", "ci95", "n"]
    assert (only["metric"], only["model"], only["baseline"], only["n"]) == ("mse", "m", "a", MOST_SOURCES + 1)
    assert only["mean"] == pytest.approx(0.02)
    assert "better" in headline(found), "more sources than are stored, and still paired"


# --- the best and the worst clip


class Clips(ClipSet):
    """Test clips of one context frame and one to predict, each of one grey value: (context, target)."""

    name, task, frame_shape = "by-hand", Task.forecast(1, 1), (1, 16, 16)

    def __init__(self, *values: tuple[int, int]) -> None:
        self.frames = torch.tensor(values, dtype=torch.uint8).view(-1, 2, 1, 1, 1).expand(-1, -1, 1, 16, 16)

    def count(self, split: Split) -> int | None:
        return len(self.frames) if split == "test" else 0

    def read(self, split: Split, indices: Indices) -> Clip:
        return self.task.split(self.frames[torch.from_numpy(indices)])


# copy-last is right in 0, 1 and 2; its error is 1 in 3 and 0.0015 in 4, where that of zero is 0 and 0.0062
KINDS = Clips((0, 0), (102, 102), (51, 51), (255, 0), (10, 20))


@pytest.mark.parametrize("batch", [1, 2, 16])
def test_the_best_and_the_worst_of_all_clips_are_kept(batch: int) -> None:
    found = evaluate("copy-last", KINDS, metrics=("mse",), baselines=["zero"], examples=1, batch=batch)
    best, worst = found.extremes
    assert [example.index for example in found.examples] == [0]
    assert (best.example.index, best.gain) == (1, pytest.approx(0.16))
    assert (worst.example.index, worst.gain) == (3, pytest.approx(-1.0))
    assert best.example.source == "test/1"
    assert best.example.truth.unique().tolist() == [102]
    assert best.example.predictions["copy-last"].unique().tolist() == [102]
    assert worst.example.predictions["copy-last"].unique().tolist() == [255]
    assert worst.example.predictions["zero"].unique().tolist() == [0]
    assert [title for title, _ in extremes(found)] == [
        "Best clip of 5: better than zero by 0.160 (mse)",
        "Worst clip of 5: worse than zero by 1.000 (mse)",
    ]


def test_higher_may_be_better_there_too() -> None:
    found = evaluate("copy-last", KINDS, metrics=("psnr",), baselines=["zero"], examples=1)
    assert [each.example.index for each in found.extremes] == [1, 3]


def test_no_clip_is_the_best_if_there_is_nothing_to_compare() -> None:
    assert evaluate("copy-last", KINDS, metrics=("mse",), baselines=[], examples=2).extremes == ()
    assert evaluate("copy-last", KINDS, metrics=("mse",), baselines=["zero"], examples=0).extremes == ()
    assert evaluate("copy-last", KINDS, metrics=("mse",), baselines=["zero"], clips=1, examples=2).extremes == ()


def panels(page: str) -> list[tuple[str, np.ndarray]]:
    """Return the heading of each example of a page and its image, whose second row is the truth."""
    watched = page.split('<section class="card" id="watch">')[1].split("</section>")[0]
    blocks = watched.split('<div class="example"')[1:]
    heads = [re.search(r"<h3>(.*?)</h3>", block) for block in blocks]
    images = [re.search(r'src="data:image/png;base64,([^"]+)"', block) for block in blocks]
    assert all(images)
    decoded = [np.array(Image.open(io.BytesIO(base64.b64decode(image[1])))) for image in images if image]
    return [(head[1] if head else "", image) for head, image in zip(heads, decoded, strict=True)]


def test_the_page_shows_the_worst_clip_beside_the_best(tmp_path: Path) -> None:
    found = evaluate("copy-last", KINDS, metrics=("mse",), baselines=["zero"], examples=5)
    page = write_report(found, found.examples, tmp_path / "r.html", title="t").read_text(encoding="utf-8")
    shown = panels(page)
    truths = [int(image[16 + 2 + 8, 8]) for _, image in shown]
    mine = [int(image[2 * (16 + 2) + 8, 8]) for _, image in shown]
    assert shown[0][0] == "Best clip of 5: better than zero by 0.160 (mse)"
    assert shown[1][0] == "Worst clip of 5: worse than zero by 1.000 (mse)"
    assert (truths[:2], mine[:2]) == ([102, 0], [102, 255])
    assert truths[2:] == [0, 51, 20], "the others, each once"
    assert [head for head, _ in shown[2:]] == [""] * 3
    assert "copy-last is best and worst against zero come first; the others are evenly chosen" in page
    plain = replace(found, extremes=())
    page = write_report(plain, plain.examples, tmp_path / "r.html", title="t").read_text(encoding="utf-8")
    assert "evenly chosen" not in page


@pytest.mark.parametrize(
    ("more", "tone"), [([0.02] * 6, "good"), ([-0.02] * 6, "bad"), ([0.03, -0.01] * 3, "soft"), ([0.0] * 6, "soft")]
)
def test_only_what_can_be_told_has_a_colour(more: list[float], tone: str, tmp_path: Path) -> None:
    found = result(row("m", OWN), row("a", plus(OWN, more)))
    page = write_report(found, [], tmp_path / "r.html", title="t").read_text(encoding="utf-8")
    assert f'<p class="{tone}">{headline(found).split("; ")[1]}</p>' in page


# --- the log of a training and its report


def run(folder: Path, **training: object) -> Path:
    values = {"precision": "32", "steps": 4, "batch": 4, "val_every": 2, "val_clips": 8, "device": "cpu"} | training
    data = DataConfig(context=3, horizon=2, size=(32, 32), options={"count": 1, "val_clips": 8, "test_clips": 6})
    model = ModelSection(name="compact", fields={"patch": 8, "width": 8, "blocks": 1, "kernel": 3})
    train(Recipe(model=model, data=data, training=TrainingConfig(**values)), folder, show=False)  # type: ignore[arg-type]
    return folder


def logged(folder: Path) -> dict[int, float]:
    return {line["step"]: line["val/mse"] for line in read_metrics(folder) if "val/mse" in line}


def page_of(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


def test_the_report_of_the_same_clips_has_the_figure_of_the_log(tmp_path: Path) -> None:
    folder = run(tmp_path / "run", ema=0.9)
    found = report_validation(folder, "cpu")
    assert found is not None
    step, lowest = min(logged(folder).items(), key=lambda item: item[1])
    assert found.row("compact", "mse").mean == pytest.approx(lowest, rel=1e-5)
    said = f"The weights are those of step {step}, the lowest val/mse, averaged over steps (ema 0.9): in the log"
    assert said in page_of(folder)
    assert ", of the same clips." in page_of(folder)
    assert "The two differ" not in page_of(folder)


def test_a_report_of_other_clips_says_so(tmp_path: Path) -> None:
    folder = run(tmp_path / "run", val_clips=4, keep="last")
    found = report_validation(folder, "cpu")
    assert found is not None
    assert found.row("compact", "mse").mean != pytest.approx(logged(folder)[4], rel=1e-5)
    text = page_of(folder)
    assert "those of step 4, the last ones: in the log their val/mse is" in text
    assert "The two differ because the log is of the first 4 clips of the split, the page of 8 evenly chosen." in text
    report_run(folder, "test", device="cpu")
    assert "The two differ because the log is of 4 clips of the val split." in page_of(folder)
    (folder / "metrics.jsonl").unlink()
    report_run(folder, "test", device="cpu")
    assert "in the log" not in page_of(folder)
