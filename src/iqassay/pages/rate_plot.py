"""Quality against size as one SVG that needs nothing else: a line a codec, by day and by night."""

from __future__ import annotations

import math
from dataclasses import dataclass

from iqassay.folders.rates import Curves
from iqassay.pages.templates import render
from iqassay.support.files import write_whole
from iqassay.support.text import counted

WIDTH, HEIGHT = 860, 520
LEFT, RIGHT, TOP, BOTTOM = 62, 110, 74, 62  # pixels around the field
STEPS = (1, 2, 5)  # of a scale of rates, in each power of ten
APART = 17  # pixels between the names of lines that end close together


@dataclass(frozen=True)
class Line:
    """A codec: its name, where that is written, its points in pixels with what they say, and which colour it has."""

    name: str
    label: float
    at: list[tuple[float, float, str]]
    colour: int

    def path(self) -> str:
        return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y, _ in self.at)


def write_plot(path: str, curves: Curves, model: str) -> None:
    """Write the plot of a model, as a whole. Raises OSError."""
    whole = plot(curves, model)
    write_whole(path, whole.encode("utf-8", "backslashreplace"))


def plot(curves: Curves, model: str) -> str:
    """The mean score of a model over bits per pixel, codec by codec, as SVG."""
    means = {codec: curves.means(model, codec) for codec in curves.codecs}
    rates = [rate for points in means.values() for rate, _ in points]
    scores = [score for points in means.values() for _, score in points]
    left, right = math.log(min(rates) / 1.1), math.log(max(rates) * 1.1)
    low = max(0, 10 * math.floor((min(scores) - 1) / 10))

    def x(rate: float) -> float:
        return LEFT + (math.log(rate) - left) / (right - left) * (WIDTH - LEFT - RIGHT)

    def y(score: float) -> float:
        return HEIGHT - BOTTOM - (score - low) / (100 - low) * (HEIGHT - TOP - BOTTOM)

    powers = range(math.floor(left / math.log(10)), math.ceil(right / math.log(10)) + 1)
    ticks = [step * 10.0**power for power in powers for step in STEPS]
    lines = []
    for colour, (codec, points) in enumerate(means.items()):
        at = [(x(rate), y(score), f"{codec}: {score:.1f} at {rate:.3f} bits/pixel") for rate, score in points]
        lines.append(Line(codec, at[-1][1], at, colour))
    return render(
        "pages/rate_plot.svg",
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=WIDTH - RIGHT,
        top=TOP,
        bottom=HEIGHT - BOTTOM,
        title=f"Score of {model} {dict(curves.models)[model]} over size",
        subtitle=f"mean of {counted(curves.count(), 'picture')} against the original; higher is better",
        x_ticks=[(x(tick), f"{tick:g}") for tick in ticks if left <= math.log(tick) <= right],
        y_ticks=[(y(score), score) for score in range(low, 101, 10)],
        lines=_parted(lines),
    )


def _parted(lines: list[Line]) -> list[Line]:
    """The lines with their names moved so far apart that each can be read."""
    parted: list[Line] = []
    for line in sorted(lines, key=lambda line: line.label):
        label = max(line.label, parted[-1].label + APART) if parted else line.label
        parted.append(Line(line.name, label, line.at, line.colour))
    return parted
