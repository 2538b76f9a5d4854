"""Where things are in charts; charts.html draws them.

Strips (a dot with its interval, one row a model or a kind of picture) have shares of their width for coordinates, so
that their text keeps its size on a phone; the other charts are drawings of 520 x 400 units that scale as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from iqassay.bench.details import Bin, Cloud, Levels
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


@dataclass(frozen=True)
class Strips:
    """Dots with their intervals on one axis, from one of the ends to the other."""

    rows: Sequence[Strip]
    title: str
    ends: tuple[float, float]

    def at(self, value: float) -> str:
        """The place of a number, as a share of the width; "" for one that does not exist."""
        low, high = self.ends
        return f"{100 * (value - low) / (high - low):.2f}%" if math.isfinite(value) else ""

    @property
    def zero(self) -> str:
        """The place of 0, where it lies inside."""
        return self.at(0) if self.ends[0] < 0 < self.ends[1] else ""

    @property
    def marks(self) -> list[tuple[str, float]]:
        """Places, and the numbers that stand there."""
        return [(self.at(mark), mark) for mark in ticks(*self.ends, 4)]

    @property
    def words(self) -> str:
        return "; ".join(f"{row.name} {row.figure}" for row in self.rows)


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


@dataclass(frozen=True)
class Drawing:
    """A frame with a grid; its title, the names of its axes, and the numbers along the first."""

    frame: Frame
    title: str
    x_name: str
    y_name: str
    x_marks: Sequence[float]

    width: ClassVar = WIDTH
    height: ClassVar = HEIGHT
    left: ClassVar = LEFT
    right: ClassVar = WIDTH - RIGHT
    top: ClassVar = TOP
    bottom: ClassVar = HEIGHT - BOTTOM

    @property
    def across(self) -> list[tuple[int, float]]:
        """Places, and the numbers that stand there."""
        return [(self.frame.at(mark, self.frame.y[0])[0], mark) for mark in self.x_marks]

    @property
    def up(self) -> list[tuple[int, float]]:
        """The same of the second axis."""
        return [(self.frame.at(self.frame.x[0], mark)[1], mark) for mark in ticks(*self.frame.y)]


class Drawn(NamedTuple):
    """One of several charts side by side."""

    title: str
    chart: Strips | Drawing
    note: str = ""


@dataclass(frozen=True)
class Scatter(Drawing):
    """Paths: of the points, in several sheets; of the curve and of the band, "" for none."""

    sheets: list[str]
    few: bool
    curve: str
    band: str


def scatter(cloud: Cloud, title: str, on_scale: bool, x_name: str) -> Scatter:
    """Predicted against MOS: points, the fitted curve, and the model's own 90 % interval as a band."""
    ends = [*((0.0, 100.0) if on_scale else ()), *cloud.said]
    frame = Frame(span(ends, 0.02), (-2, 102))
    curve = band = ""
    if cloud.band is not None:
        x, low, high = cloud.band
        outline = np.clip(np.concatenate([low, high[::-1]]), *frame.y)
        band = frame.path(np.concatenate([x, x[::-1]]), outline) + "z"
    if cloud.curve is not None:
        x, y = cloud.curve
        curve = frame.path(x, np.clip(y, *frame.y))
    chosen = np.linspace(0, len(cloud.said) - 1, min(len(cloud.said), MOST_POINTS)).astype(int)
    places = [frame.at(x, y) for x, y in zip(cloud.said[chosen], cloud.mos[chosen], strict=True)]
    sheets = ["".join(f"M{x} {y}h0" for x, y in places[layer::LAYERS]) for layer in range(min(LAYERS, len(places)))]
    few = len(places) < FEW_POINTS
    return Scatter(frame, title, x_name, "MOS", ticks(*frame.x), sheets, few, curve, band)


@dataclass(frozen=True)
class LevelLines(Drawing):
    """Each line: of whom it is, its path, and its points."""

    lines: list[tuple[str, str, list[tuple[int, int]]]]


def level_lines(found: Levels, title: str) -> LevelLines:
    """Mean prediction and mean MOS at each level of damage."""
    frame = Frame(span(found.level, 0.06), (-2, 102))
    lines = []
    for kind, values in (("people", found.mos), ("curve", found.predicted)):
        dots = [frame.at(*place) for place in zip(found.level, values, strict=True)]
        lines.append((kind, frame.path(found.level, values), dots))
    return LevelLines(frame, title, "level of damage", "points", found.level.tolist(), lines)


@dataclass(frozen=True)
class Coverage(Drawing):
    """promise: how high 0.9 lies; each bin: where it is, and how high its share and the ends of its interval lie."""

    promise: int
    bins: list[tuple[int, int, int, int]]


def coverage(bins: Sequence[Bin], title: str, least: float = 0.5) -> Coverage:
    """The share of MOS inside the interval for pictures of like score, from `least` to 1; 0.9 is right."""
    frame = Frame(span([0.0, 100.0, *(one.score for one in bins)]), (least - 0.03, 1.02))
    places = []
    for one in bins:
        (x, share), (_, low), (_, high) = (frame.at(one.score, value) for value in (one.share, one.low, one.high))
        places.append((x, share, low, high))
    promise = frame.at(frame.x[0], 0.9)[1]
    return Coverage(frame, title, "mean score", "share inside", ticks(*frame.x), promise, places)
