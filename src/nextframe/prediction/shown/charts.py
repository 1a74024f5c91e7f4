"""Line charts as inline SVG that follow the page's colours, light or dark."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from nextframe.core.errors import UserError
from nextframe.core.files.whole_file import write_whole

WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 12, 40
PALETTE = ("#d9660a", "#2563eb", "#0f9d8a", "#8b5cf6", "#7a8494", "#c0266d", "#8a6d1c")  # the light one of the page
COLORS = len(PALETTE)  # line colours that the page's style sheet has
LEGEND = 180  # pixels beside a chart that stands alone
MAX_DOTS = 60  # most points of a line that are marked one by one
Point = tuple[float, float]


def line_chart(lines: Mapping[str, Sequence[Point]], x_label: str, y_label: str, *, from_zero: bool = False) -> Markup:
    """Return an SVG with one line for each name, the first one drawn strongest and on top.

    Points (x, y) that are not finite are skipped. The page's style sheet gives `.line-0`, `.line-1`, ... colours.
    """
    label = f"{y_label} over {x_label}"
    inside = _drawn(lines, x_label, from_zero)
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(WIDTH, HEIGHT, label, inside)


class Chart:
    """A line chart as a notebook shows it, with a legend; `save` writes it."""

    def __init__(
        self, lines: Mapping[str, Sequence[Point]], x_label: str, y_label: str, *, from_zero: bool = False
    ) -> None:
        self.lines, self.x_label, self.y_label, self.from_zero = dict(lines), x_label, y_label, from_zero

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the chart to `path`, an .svg file.

        Raises:
            UserError: another ending.
        """
        path = Path(path)
        if path.suffix.lower() != ".svg":
            raise UserError(f"{path}: a chart is written as .svg")
        write_whole(path, self._repr_svg_())
        return path

    def __repr__(self) -> str:
        return f"<chart of {self.y_label} over {self.x_label}: {', '.join(self.lines)}; .save('chart.svg') writes it>"

    def _repr_html_(self) -> str:
        return f"<figure>{self._repr_svg_()}</figure>"

    def _repr_svg_(self) -> str:
        names = [_key(number, name) for number, name in enumerate(self.lines)]
        heading = _text(LEFT, TOP, self.y_label, "start")
        inside = Markup("").join([STYLE, _drawn(self.lines, self.x_label, self.from_zero), heading, *names])
        head = '<svg xmlns="http://www.w3.org/2000/svg" class="nextframe-chart" viewBox="0 0 {} {}" width="{}">{}</svg>'
        return Markup(head).format(WIDTH + LEGEND, HEIGHT, WIDTH + LEGEND, inside)


def _key(number: int, name: str) -> Markup:
    """Return an entry of the legend."""
    y = TOP + 20 * (number + 1)
    line = Markup('<polyline class="line-{}" points="{},{} {},{}"/>').format(
        number % COLORS, WIDTH + 4, y - 4, WIDTH + 24, y - 4
    )
    return line + _text(WIDTH + 30, y, name, "start")


STYLE = Markup("<style>{}</style>").format(
    Markup(
        ".nextframe-chart{background:#fff}.nextframe-chart text{font:13px sans-serif;fill:#5d6675}"
        ".nextframe-chart .grid{stroke:#e3e6eb}.nextframe-chart polyline{fill:none;stroke-width:2}"
    )
    + "".join(
        f".nextframe-chart polyline.line-{n}{{stroke:{color}}}.nextframe-chart circle.line-{n}{{fill:{color}}}"
        for n, color in enumerate(PALETTE)
    )
)


def _drawn(lines: Mapping[str, Sequence[Point]], x_label: str, from_zero: bool) -> Markup:
    """Return the axes and the lines."""
    finite = {name: [p for p in points if math.isfinite(p[1])] for name, points in lines.items()}
    every = [point for points in finite.values() for point in points] or [(0.0, 0.0)]
    x_ticks = ticks(min(x for x, _ in every), max(x for x, _ in every), 10, whole=True)
    y_ticks = ticks(0.0 if from_zero else min(y for _, y in every), max(y for _, y in every), 5)
    x_range = (min(x for x, _ in every), max(x for x, _ in every))
    frame = _Frame(x_range, (y_ticks[0], y_ticks[-1]))
    parts = [_axes(frame, [t for t in x_ticks if x_range[0] <= t <= x_range[1]], y_ticks)]
    parts += [_line(frame, number, name, finite[name]) for number, name in reversed(list(enumerate(finite)))]
    parts.append(_text(LEFT + frame.width / 2, HEIGHT - 4, x_label, "middle"))
    return Markup("").join(parts)


def ticks(low: float, high: float, most: int, *, whole: bool = False) -> list[float]:
    """Return round numbers 1, 2 or 5 times a power of ten apart that enclose low..high, about `most` of them."""
    span = (high - low) or abs(high) or 1.0
    rough = span / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * 0.999)
    if whole:
        step = max(1.0, step)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(n * step, 12) for n in range(first, max(last, first + 1) + 1)]


class _Frame:
    """The position of a value in the chart."""

    def __init__(self, x: Point, y: Point) -> None:
        self.x, self.y = x, y
        self.width, self.height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(self, point: Point) -> Point:
        across = (point[0] - self.x[0]) / ((self.x[1] - self.x[0]) or 1.0)
        up = (point[1] - self.y[0]) / ((self.y[1] - self.y[0]) or 1.0)
        return round(LEFT + across * self.width, 1), round(TOP + (1 - up) * self.height, 1)


def _axes(frame: _Frame, x_ticks: list[float], y_ticks: list[float]) -> Markup:
    parts = []
    for value in y_ticks:
        _, y = frame.place((frame.x[0], value))
        parts.append(Markup('<line class="grid" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(LEFT, y, WIDTH - RIGHT, y))
        parts.append(_text(LEFT - 8, y + 4, f"{value:g}", "end"))
    for value in x_ticks:
        x, _ = frame.place((value, frame.y[0]))
        parts.append(_text(x, HEIGHT - BOTTOM + 18, f"{value:g}", "middle"))
    return Markup("").join(parts)


def _line(frame: _Frame, number: int, name: str, points: Sequence[Point]) -> Markup:
    places = [frame.place(point) for point in points]
    path = " ".join(f"{x},{y}" for x, y in places)
    color = f"line-{number % COLORS}"
    drawn = Markup('<polyline class="{}" points="{}"/>').format(color, path)
    if len(points) > MAX_DOTS:
        return drawn
    dots = [
        Markup('<circle class="{}" cx="{}" cy="{}" r="{}"><title>{}</title></circle>').format(
            color, x, y, 3.5 if number == 0 else 2.5, f"{name}: {point[1]:.4g} at {point[0]:g}"
        )
        for (x, y), point in zip(places, points, strict=True)
    ]
    return Markup("").join([drawn, *dots])


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(round(x, 1), round(y, 1), anchor, text)
