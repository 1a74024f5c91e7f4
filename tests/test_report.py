from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nextframe.evaluation import Evaluation, Example, Row, write_report
from nextframe.evaluation.sprites import make_sprite
from nextframe.prediction.shown.charts import line_chart, ticks


def clip(frames: int, value: int, channels: int = 1, size: tuple[int, int] = (8, 6)) -> torch.Tensor:
    return torch.full((frames, channels, *size), value, dtype=torch.uint8)


def example(channels: int = 1, size: tuple[int, int] = (8, 6)) -> Example:
    predictions = {"mine": clip(3, 30, channels, size), "flow": clip(3, 40, channels, size)}
    predictions["zero"] = clip(3, 0, channels, size)
    return Example("video <1>.mp4", clip(2, 10, channels, size), clip(3, 20, channels, size), predictions)


def evaluation(model_mean: float = 0.02) -> Evaluation:
    rows = []
    for metric, better in (("mse", "lower"), ("psnr", "higher"), ("mse-sum", "lower")):
        for model, mean in (("mine", model_mean), ("flow", 0.05), ("zero", 0.04)):
            interval = (mean * 0.9, mean * 1.1)
            about = (f"definition of {metric}", "dB" if metric == "psnr" else "", better)
            figures = (mean, interval, [mean, mean, mean], 12, {f"s{n}": mean for n in range(12)})
            rows.append(Row(model, "some data", "test", metric, *about, *figures))  # type: ignore[arg-type]
    run = {"command": "nextframe evaluate mine", "commit": "abc123", "seed": 4, "machine": "one CPU"}
    return Evaluation("mine", rows, run | {"date": "2025-01-01", "seconds": 1.5}, clips=24, context=2, notes=["a note"])


class Page(HTMLParser):
    """Collects tags that do not match and everything that the page would fetch."""

    VOID = ("meta", "img", "input", "br", "link", "line", "polyline")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "poster", "data")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def write(tmp_path: Path, **options: object) -> str:
    settings = {"title": "A <title>"} | options
    path = tmp_path / "sub" / "report.html"
    write_report(evaluation(), [example()], path, **settings)  # type: ignore[arg-type]
    return path.read_text(encoding="utf-8")


def test_the_page_asks_for_nothing_from_outside(tmp_path: Path) -> None:
    text = write(tmp_path, training_curve={"loss": [(1.0, 0.5), (2.0, 0.25)]})
    assert not re.search(r"https?://|//[a-z]+\.|@import|url\((?!data:)", text)
    page = Page(text)
    assert page.open == []
    assert all(address.startswith("data:image/") for address in page.fetched)


def test_the_page_says_what_was_found_and_how(tmp_path: Path) -> None:
    words = " ".join(Page(write(tmp_path)).words)
    for part in (
        "MSE 0.0200",
        "better than the best baseline (zero) by 0.0200 or 50 % (95 % interval 0.0200 to 0.0200, 12 sources)",
        "definition of psnr",
        "nextframe evaluate mine",
        "abc123",
        "one CPU",
        "2025-01-01",
        "24 clips from 12 sources",
        "2 frames in, 3 frames out",
        "a note",
        "best baseline after zero",
    ):
        assert part in words, part


def test_names_from_outside_are_text_not_code(tmp_path: Path) -> None:
    text = write(tmp_path)
    assert "A &lt;title&gt;" in text
    assert "video &lt;1&gt;.mp4" in text
    assert "<1>" not in text


def test_a_lost_comparison_is_not_shown_as_a_success(tmp_path: Path) -> None:
    write_report(evaluation(0.08), [], tmp_path / "r.html", title="t")
    text = (tmp_path / "r.html").read_text()
    assert "2e+02 %" not in text
    assert '<p class="bad">worse than the best baseline (zero) by 0.0400 or 100 %' in text
    assert "Watch it predict" not in text  # there are no examples


def test_training_curve_is_drawn_where_there_is_one(tmp_path: Path) -> None:
    assert "How it was trained" not in write(tmp_path)
    assert "How it was trained" not in write(tmp_path, training_curve={"loss": [(1.0, 0.5)]})
    assert "How it was trained" in write(tmp_path, training_curve={"loss": [(1.0, 0.5), (2.0, 0.2)]})


def pixels(url: str) -> np.ndarray:
    kind, data = url.split(";base64,")
    assert kind in ("data:image/png", "data:image/jpeg")
    return np.array(Image.open(io.BytesIO(base64.b64decode(data))))


def test_sprite_has_context_truth_and_predictions_in_its_rows() -> None:
    sprite = make_sprite(example(), ["mine", "flow"])
    picture = pixels(sprite.url)
    assert (sprite.height, sprite.width, sprite.given, sprite.asked) == (8, 6, 2, 3)
    for row, value in enumerate((10, 20, 30, 40)):
        for column in range(2 if row == 0 else 3):
            top, left = row * (8 + sprite.gap), column * (6 + sprite.gap)
            assert (picture[top : top + 8, left : left + 6] == value).all()


@pytest.mark.parametrize(("size", "expected"), [((300, 500), (154, 256)), ((130, 130), (130, 130))])
def test_large_frames_are_shrunk_and_compressed(size: tuple[int, int], expected: tuple[int, int]) -> None:
    sprite = make_sprite(example(3, size), ["mine"])
    assert (sprite.height, sprite.width) == expected
    assert sprite.url.startswith("data:image/jpeg")
    assert abs(int(pixels(sprite.url)[expected[0] + sprite.gap + 5, 5, 0]) - 20) <= 2


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 0.123, [0.0, 0.05, 0.1, 0.15]),
        (11.2, 19.4, [10, 12, 14, 16, 18, 20]),
        (5.0, 5.0, [5, 6]),
        (0.0, 0.0, [0, 0.2]),
    ],
)
def test_ticks_are_round_and_enclose_the_values(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high, 5) == pytest.approx(expected)


def test_chart_leaves_out_what_is_not_finite() -> None:
    chart = str(line_chart({"a": [(1, 1.0), (2, float("inf")), (3, 2.0)], "b": [(1, float("nan"))]}, "step", "y"))
    assert chart.count("<circle") == 2
    assert "inf" not in chart
    assert "nan" not in chart


def test_chart_puts_values_where_they_belong() -> None:
    chart = str(line_chart({"a": [(1, 0.0), (3, 10.0)]}, "step", "y"))
    points = re.search(r'points="([^"]+)"', chart)
    assert points is not None
    (x1, y1), (x2, y2) = (map(float, pair.split(",")) for pair in points.group(1).split())
    assert x1 < x2
    assert y1 > y2  # up is more
