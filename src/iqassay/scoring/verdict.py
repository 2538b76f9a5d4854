"""What is said of one picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Distortion:
    """One kind of damage: its name, how strong it is (0 to 5, as the levels of KADID-10k), how probable (0 to 1)."""

    name: str
    severity: float
    probability: float


@dataclass(frozen=True)
class Verdict:
    """The quality of one picture, by itself or against its reference.

    Attributes:
        score: 0 to 100, higher is better.
        low: the lower end of the 90 % interval, which holds the score.
        high: its upper end.
        distortions: the most probable first; empty when none was found.
        map: (h, w) float32, local quality from 0 to 100, covering the whole picture.
        raw: the model's own value before calibration; of a panel, the mean score of its members.
        raws: the raw value of every model that was asked, by its name.
        warnings: plain phrases; empty when there is nothing to say.
        full_reference: the picture was scored against a reference.
    """

    score: float
    low: float
    high: float
    distortions: tuple[Distortion, ...]
    map: NDArray[np.float32] = field(repr=False, compare=False)
    raw: float
    raws: Mapping[str, float] = field(hash=False)
    model: str
    version: str
    warnings: tuple[str, ...] = ()
    full_reference: bool = False

    def record(self, path: str, reference: str | None = None) -> dict[str, Any]:
        """This verdict as plain Python values, ready for JSON; numbers rounded to two decimals, raw values to four.

        Args:
            reference: the path of the reference, if it has one; the key is there when the picture was scored against
                one.
        """
        return {
            "path": path,
            **({"reference": reference} if self.full_reference else {}),
            "score": round(self.score, 2),
            "low": round(self.low, 2),
            "high": round(self.high, 2),
            "raw": {name: round(raw, 4) for name, raw in self.raws.items()},
            "model": self.model,
            "version": self.version,
            "distortions": [{"name": found.name, "severity": round(found.severity, 2)} for found in self.distortions],
            "warnings": list(self.warnings),
        }
