"""Rate and quality of many pictures: the curves of codecs, their means, and what one saves against another."""

from __future__ import annotations

import csv
import importlib.util
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from iqassay.folders.encoding import Point, curve
from iqassay.statistics.bd_rate import bd_rate
from iqassay.support.errors import UsageError
from iqassay.support.install import install_command

__all__ = ["Curves", "Row", "check_scipy", "curve"]


def check_scipy() -> None:
    """Raises UsageError where scipy, which integrates curves, is not installed."""
    if importlib.util.find_spec("scipy") is None:
        raise UsageError(f"curve needs scipy, which is not installed: {install_command('bench')}")


@dataclass(frozen=True)
class Row:
    """What one model says of one file of one picture."""

    path: str
    model: str
    point: Point


@dataclass
class Curves:
    """What was measured. models: name and version; codecs: the first is what others are compared with.

    on_raw: the models whose BD-rate is taken over their own scale, such as dB, and not over the score; 1 where higher
    is better there, -1 where lower is.
    """

    models: list[tuple[str, str]]
    codecs: list[str]
    on_raw: dict[str, int] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)

    def add(self, path: str, points: Iterable[list[Point]]) -> None:
        """All files of a picture, or none where one fails; each with a point for each model, in their order."""
        new = [
            Row(path, model, point)
            for of_models in points
            for (model, _), point in zip(self.models, of_models, strict=True)
        ]
        self.rows += new

    def names(self) -> list[str]:
        return [name for name, _ in self.models]

    def paths(self) -> list[str]:
        return list(dict.fromkeys(row.path for row in self.rows))

    def count(self) -> int:
        return len(self.paths())

    def points(self, model: str, codec: str, path: str | None = None) -> list[Point]:
        return [
            row.point
            for row in self.rows
            if row.model == model and row.point.codec == codec and path in (None, row.path)
        ]

    def means(self, model: str, codec: str) -> list[tuple[float, float]]:
        """Bits per pixel and score at each quality, their means over all pictures."""
        found: dict[int, list[Point]] = {}
        for point in self.points(model, codec):
            found.setdefault(point.quality, []).append(point)
        return [
            (
                sum(point.bits_per_pixel for point in points) / len(points),
                sum(point.score for point in points) / len(points),
            )
            for _, points in sorted(found.items())
        ]

    def bd(self, model: str, codec: str) -> tuple[float, float, float, int]:
        """BD-rate against the first codec, in per cent: its mean over pictures, the least and the most, and of how many
        pictures; NaN and 0 where no picture has qualities in common.
        """
        rates = [rate for path in self.paths() if math.isfinite(rate := self.bd_of(model, codec, path))]
        if not rates:
            return math.nan, math.nan, math.nan, 0
        return sum(rates) / len(rates), min(rates), max(rates), len(rates)

    def bd_of(self, model: str, codec: str, path: str) -> float:
        """That of one picture."""
        sign = self.on_raw.get(model, 0)
        anchor, other = (
            [
                (point.bits_per_pixel, sign * point.raw if sign else point.score)
                for point in self.points(model, name, path)
            ]
            for name in (self.codecs[0], codec)
        )
        return bd_rate(anchor, other)

    def csv(self) -> str:
        """All that was measured, a row a file and model."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("path", "codec", "quality", "bytes", "bits_per_pixel", "model", "version", "score", "raw"))
        versions = dict(self.models)
        for row in self.rows:
            one = row.point
            rate = one.codec, one.quality, one.bytes, one.bits_per_pixel
            writer.writerow((row.path, *rate, row.model, versions[row.model], one.score, one.raw))
        return out.getvalue()

    def bd_csv(self) -> str:
        """BD-rates, a row a picture, model and codec; empty where the two have no quality in common."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("path", "model", "codec", "against", "bd_rate_percent"))
        for model in self.names():
            for codec in self.codecs[1:]:
                for path in self.paths():
                    rate = self.bd_of(model, codec, path)
                    said = f"{rate:.3f}" if math.isfinite(rate) else ""
                    writer.writerow((path, model, codec, self.codecs[0], said))
        return out.getvalue()
