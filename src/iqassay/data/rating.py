"""A rated picture and a rated set: what every reader yields and all else in training and protocol takes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Rating:
    """One picture and its mean opinion: ``score`` on 0 (worst) to 100 (best), whatever the file's own scale.

    group: pictures of one content (a reference, near-duplicate photos), which no split may part. distortion and level:
    what was done to a reference, where the set says. deviation: standard deviation of the single opinions, in points
    of ``score``, nan where not published; votes: how many opinions, 0 where not.
    """

    image: Path
    score: float
    reference: Path | None = None
    group: str = ""
    split: str = "train"
    subset: str = ""
    distortion: str = ""
    level: float = math.nan
    deviation: float = math.nan
    votes: float = 0


@dataclass(frozen=True)
class Ratings:
    """A rated set: its name, its rows, the file's own scale as (worst, best), and the folder its pictures are in."""

    name: str
    rows: tuple[Rating, ...]
    scale: tuple[float, float]
    folder: Path

    def split(self, *names: str) -> Ratings:
        """Only the rows of the named splits."""
        return replace(self, rows=tuple(row for row in self.rows if row.split in names))

    def __len__(self) -> int:
        return len(self.rows)
