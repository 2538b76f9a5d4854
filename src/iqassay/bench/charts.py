"""Charts as SVG text, drawn by hand: no library, no script; colours are the page's (report.html).

Strips (a dot with its interval, one row a model or a kind of picture) have shares of their width for coordinates, so
that their text keeps its size on a phone; the other charts are drawings of 520 x 400 units that scale as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from iqassay.bench.details import Bin, Cloud, Levels
from iqassay.pages.markup import short, text
from iqassay.statistics.draws import Floats

WIDTH, HEIGHT = 520, 400
LEFT, RIGHT, TOP, BOTTOM = 58, 24, 12, 56
MOST_POINTS = 2000  # in a scatter plot: more make the page heavy and tell nothing new
FEW_POINTS = 300  # fewer are drawn larger
LAYERS = 5  # points overlap in so many sheets of half-transparent ink


@dataclass(frozen=True)
class Strip:
    """One row of a chart of strips: a dot at ``value``, a line from low to high, and ``figure`` in words beside it."""

    name: str
    value: float
    low: float
    high: float
    figure: str
    faint: bool = False


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers from low to high, in steps of 1, 2 or 5 times a power of ten."""
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        return [low] if math.isfinite(low) else []
    power = 10.0 ** math.floor(math.log10((high - low) / about))
    step = next(m * power for m in (1, 2, 5, 10) if (high - low) / (m * power) <= about)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def span(values: Iterable[float], margin: float = 0.0) -> tuple[float, float]:
    """The smallest and the largest finite number, some share of their distance apart from the ends; 0 to 1 for none."""
    there = [v for v in values if math.isfinite(v)]
    if not there:
        return 0.0, 1.0
    low, high = min(there), max(there)
    room = (high - low) * margin or (0.5 if low == high else 0.0)
    return low - room, high + room


def strips_span(charts: Iterable[Sequence[Strip]], limit: float = math.inf) -> tuple[float, float]:
    """The axis that several charts of strips can share. limit: it ends there at the latest (1 for correlations)."""
    low, high = span((v for rows in charts for row in rows for v in (row.value, row.low, row.high)), 0.06)
    return low, min(high, limit) if low < limit else high


def strips(rows: Sequence[Strip], title: str, ends: tuple[float, float]) -> str:
    """Dots with their intervals on one axis below, from one of the ends to the other, with a line at 0 inside."""
    low, high = ends
    marks = ticks(low, high, 4)

    def at(value: float) -> str:
        return f"{100 * (value - low) / (high - low):.2f}%"

    grid = "".join(f'<line class="grid" x1="{at(m)}" x2="{at(m)}" y1="0" y2="100%"/>' for m in marks)
    if low < 0 < high:
        grid += f'<line class="axis" x1="{at(0)}" x2="{at(0)}" y1="0" y2="100%"/>'
    lines = []
    for row in rows:
        drawn = ""
        if math.isfinite(row.low) and math.isfinite(row.high):
            drawn += f'<line class="range" x1="{at(row.low)}" x2="{at(row.high)}" y1="50%" y2="50%"/>'
        if math.isfinite(row.value):
            drawn += f'<circle class="dot" cx="{at(row.value)}" cy="50%" r="4.5"/>'
        faint = ' class="faint"' if row.faint else ""
        lines.append(
            f'<span class="name">{text(row.name)}</span><div><svg{faint}>{grid}{drawn}</svg></div>'
            f"<span>{text(row.figure)}</span>"
        )
    axis = "".join(f'<text x="{at(m)}" y="14" text-anchor="middle">{short(m)}</text>' for m in marks)
    return (
        f'<div class="strips" role="img" aria-label="{text(title)}: '
        + text("; ".join(f"{row.name} {row.figure}" for row in rows))
        + f'">{"".join(lines)}<span></span><div class="scale"><svg>{axis}</svg></div><span></span></div>'
    )


@dataclass(frozen=True)
class Frame:
    """A drawing with two axes: what numbers are where."""

    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, x: float, y: float) -> tuple[int, int]:
        """The place of a point, in whole units."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return round(LEFT + across * (WIDTH - LEFT - RIGHT)), round(HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM))

    def path(self, x: Floats, y: Floats) -> str:
        """The path of a line through points."""
        return "M" + "L".join(f"{a} {b}" for a, b in (self.at(*p) for p in zip(x, y, strict=True)))

    def drawing(self, body: str, title: str, x: str, y: str, x_marks: Sequence[float] | None = None) -> str:
        """The whole SVG: a grid, the axes' names, and the body."""
        lines = []
        for mark in ticks(*self.x) if x_marks is None else x_marks:
            across, bottom = self.at(mark, self.y[0])
            lines.append(f'<line class="grid" x1="{across}" x2="{across}" y1="{TOP}" y2="{bottom}"/>')
            lines.append(f'<text x="{across}" y="{bottom + 22}" text-anchor="middle">{short(mark)}</text>')
        for mark in ticks(*self.y):
            left, up = self.at(self.x[0], mark)
            lines.append(f'<line class="grid" x1="{left}" x2="{WIDTH - RIGHT}" y1="{up}" y2="{up}"/>')
            lines.append(f'<text x="{left - 8}" y="{up + 6}" text-anchor="end">{short(mark)}</text>')
        middle = (HEIGHT + TOP - BOTTOM) // 2
        lines.append(f'<text x="{(WIDTH + LEFT) // 2}" y="{HEIGHT - 6}" text-anchor="middle">{text(x)}</text>')
        lines.append(f'<text transform="translate(16 {middle}) rotate(-90)" text-anchor="middle">{text(y)}</text>')
        return (
            f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{text(title)}">'
            f"{''.join(lines)}{body}</svg>"
        )


def scatter(cloud: Cloud, title: str, on_scale: bool, x_name: str) -> str:
    """Predicted against MOS: points, the fitted curve, and the model's own 90 % interval as a band."""
    ends = [*((0.0, 100.0) if on_scale else ()), *cloud.said]
    frame = Frame(span(ends, 0.02), (-2, 102))
    drawn = []
    if cloud.band is not None:
        x, low, high = cloud.band
        outline = frame.path(np.concatenate([x, x[::-1]]), np.clip(np.concatenate([low, high[::-1]]), *frame.y))
        drawn.append(f'<path class="band" d="{outline}z"/>')
    chosen = np.linspace(0, len(cloud.said) - 1, min(len(cloud.said), MOST_POINTS)).astype(int)
    places = [frame.at(x, y) for x, y in zip(cloud.said[chosen], cloud.mos[chosen], strict=True)]
    few = " few" if len(places) < FEW_POINTS else ""
    for layer in range(LAYERS):
        dots = "".join(f"M{x} {y}h0" for x, y in places[layer::LAYERS])
        drawn.append(f'<path class="points{few}" d="{dots}"/>' if dots else "")
    if cloud.curve is not None:
        x, y = cloud.curve
        drawn.append(f'<path class="curve" d="{frame.path(x, np.clip(y, *frame.y))}"/>')
    return frame.drawing("".join(drawn), title, x_name, "MOS")


def level_lines(found: Levels, title: str) -> str:
    """Mean prediction and mean MOS at each level of damage."""
    frame = Frame(span(found.level, 0.06), (-2, 102))
    drawn = []
    for kind, values in (("people", found.mos), ("curve", found.predicted)):
        drawn.append(f'<path class="{kind}" d="{frame.path(found.level, values)}"/>')
        for place in zip(found.level, values, strict=True):
            x, y = frame.at(*place)
            drawn.append(f'<circle class="{kind}" cx="{x}" cy="{y}" r="6"/>')
    return frame.drawing("".join(drawn), title, "level of damage", "points", found.level.tolist())


def coverage(bins: Sequence[Bin], title: str, least: float = 0.5) -> str:
    """The share of MOS inside the interval for pictures of like score, from `least` to 1; 0.9 is right."""
    frame = Frame(span([0.0, 100.0, *(one.score for one in bins)]), (least - 0.03, 1.02))
    (left, up), (right, _) = (frame.at(end, 0.9) for end in frame.x)
    drawn = [f'<line class="people" x1="{left}" x2="{right}" y1="{up}" y2="{up}"/>']
    for one in bins:
        (x, low), (_, high) = frame.at(one.score, one.low), frame.at(one.score, one.high)
        drawn.append(f'<line class="range" x1="{x}" x2="{x}" y1="{low}" y2="{high}"/>')
        drawn.append(f'<circle class="dot" cx="{x}" cy="{frame.at(one.score, one.share)[1]}" r="6"/>')
    return frame.drawing("".join(drawn), title, "mean score", "share inside")
