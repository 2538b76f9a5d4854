"""Which of two pictures looks better, by how much, and how sure that is; and which of many is the best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iqassay.scoring.scorer import Scorer
from iqassay.scoring.verdict import Verdict

if TYPE_CHECKING:
    from iqassay.scoring.scorer import Source

CLEAR = 0.6  # from this probability on, one of two pictures is called the better one
STEP, LEAST = 0.02, 0.1  # points: how finely scores are looked at, and the least that an interval has on either side
DEVIATIONS = 1.645  # standard deviations of a normal on each side of a 90 % interval


@dataclass(frozen=True)
class Comparison:
    """Two pictures beside each other.

    Attributes:
        difference: a.score - b.score, in points of the scale from 0 to 100.
        win_probability: 0 to 1, that people would prefer a; 0.5 for equal scores. Swapping the pictures makes it 1
            minus itself, exactly. Each score is taken as a normal, as wide as its 90 % interval on the side of the
            other score, and the errors of the two as independent. Two versions of one photo err together, so for them
            it is cautious: too near 0.5.
    """

    a: Verdict
    b: Verdict
    difference: float
    win_probability: float

    @property
    def better(self) -> str:
        """Which has the higher score: "a", "b", or "equal" when neither has."""
        return "a" if self.difference > 0 else "b" if self.difference < 0 else "equal"


def compare(scorer: Scorer, a: Source, b: Source, reference: Source | None = None, align: str = "fail") -> Comparison:
    """Score two pictures, both against the one reference if there is one, and compare; errors as of `Scorer.score`."""
    if reference is not None:
        decoded = scorer.read(reference)  # once for both, unless it is to be shown over two grounds
        reference = reference if decoded.see_through else decoded
    return of_verdicts(scorer.score(a, reference, align), scorer.score(b, reference, align))


def of_verdicts(a: Verdict, b: Verdict) -> Comparison:
    """Compare two pictures that were scored, by one model."""
    return Comparison(a, b, a.score - b.score, _win_probability(a, b))


def best_probabilities(intervals: Sequence[tuple[float, float, float]]) -> list[float]:
    """The probability of each of several pictures that people would find it the best of all; together they are 1.

    intervals: score, low and high of each, 0 to 100, by one model. Each is taken as a distribution that is normal on
    either side of the score, as wide as the 90 % interval there, and their errors as independent; versions of one photo
    err together, so for them it is cautious, as for two pictures in `Comparison`.
    """
    if not intervals:
        return []
    grid = np.arange(-60, 160 + STEP, STEP)
    below = np.stack([_below(grid, *interval) for interval in intervals])  # (pictures, grid)
    middle = np.log(np.maximum((below[:, 1:] + below[:, :-1]) / 2, 1e-300))
    of_others = np.exp(middle.sum(axis=0) - middle)
    shares = (np.diff(below, axis=1) * of_others).sum(axis=1)
    return (shares / shares.sum()).tolist()


def _below(grid: np.ndarray, score: float, low: float, high: float) -> np.ndarray:
    """The probability that a picture is below each point of the grid."""
    sides = (max(score - low, LEAST), max(high - score, LEAST))
    away = (grid - score) / np.where(grid < score, *sides) * DEVIATIONS
    at = np.linspace(-8, 8, 4001)
    return np.interp(away, at, [(1 + math.erf(x / math.sqrt(2))) / 2 for x in at])


def _win_probability(a: Verdict, b: Verdict) -> float:
    if a.score == b.score:
        return 0.5
    if a.score < b.score:
        return 1 - _win_probability(b, a)  # asked one way round only, so that the symmetry is exact
    deviation = math.hypot(a.score - a.low, b.high - b.score) / DEVIATIONS  # of the difference
    return (1 + math.erf((a.score - b.score) / deviation / math.sqrt(2))) / 2 if deviation else 1.0
