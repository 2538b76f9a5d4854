"""Videos on the report of a folder: of each the mean and the worst of its frames, and a line through their scores."""

from __future__ import annotations

import math
from dataclasses import dataclass

from iqassay.folders.columns import Columns

POINTS = 240  # of a line at most: of more frames the worst of several in a row
STEP, LEAST = 10, 20  # points of score: what the range of the lines is a multiple of, and at least


@dataclass(frozen=True)
class Clip:
    """A video: where it is, how many of its frames were scored, and what they say.

    line: points of an SVG path, "0,20 50,33.3 ...", in which 100 is the whole width and height. worst_row, worst_time,
    and spot: the worst frame, and its place on the line.
    """

    folder: str
    name: str
    frames: int
    mean: float
    worst: float
    worst_row: int
    worst_time: float
    line: str
    spot: tuple[float, float]


@dataclass(frozen=True)
class Clips:
    """All videos, the one of the worst mean first; low, high: the scores at the foot and the head of all lines."""

    all: list[Clip]
    low: int
    high: int


def clips_of(columns: Columns) -> Clips:
    """The videos among the rows, by their frames that were scored."""
    times, frames = columns.frames.get("time", ()), columns.frames.get("frame", ())
    rows: dict[tuple[int, str], list[int]] = {}
    for row in range(len(times)):
        if columns.scored(row) and not math.isnan(times[row]) and not math.isnan(frames[row]):
            rows.setdefault((columns.picture.folder[row], columns.picture.name[row]), []).append(row)
    scores = [columns.score[row] for found in rows.values() for row in found]
    low, high = _range(min(scores, default=0), max(scores, default=100))
    folders = list(columns.picture.folders)
    found = [_clip(columns, folders[at], name, each, low, high) for (at, name), each in rows.items()]
    return Clips(sorted(found, key=lambda clip: clip.mean), low, high)


def _range(low: float, high: float) -> tuple[int, int]:
    """Whole tens around both, some way apart, and within the scale."""
    foot, head = STEP * math.floor(low / STEP), STEP * math.ceil(high / STEP)
    while head - foot < LEAST:
        foot, head = max(0, foot - STEP), min(100, head + STEP)
    return foot, head


def _clip(columns: Columns, folder: str, name: str, rows: list[int], low: int, high: int) -> Clip:
    times, score = columns.frames["time"], columns.score
    rows = sorted(rows, key=lambda row: times[row])
    worst = min(rows, key=lambda row: score[row])
    span = max(times[rows[-1]] - times[rows[0]], 1e-9)

    def point(row: int) -> tuple[float, float]:
        across = 50.0 if len(rows) == 1 else 100 * (times[row] - times[rows[0]]) / span
        return round(across, 2), round(100 * (high - score[row]) / (high - low), 2)

    every = math.ceil(len(rows) / POINTS)
    shown = [min(rows[at : at + every], key=lambda row: score[row]) for at in range(0, len(rows), every)]
    line = " ".join(f"{x:g},{y:g}" for x, y in map(point, shown))
    mean = sum(score[row] for row in rows) / len(rows)
    return Clip(folder, name, len(rows), mean, score[worst], worst, times[worst], line, point(worst))
