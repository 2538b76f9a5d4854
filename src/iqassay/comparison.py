"""Which of two pictures looks better, by how much, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iqassay.scorer import Scorer
from iqassay.verdict import Verdict

if TYPE_CHECKING:
    from iqassay.scorer import Source

DEVIATIONS = 1.645  # standard deviations of a normal on each side of a 90 % interval


@dataclass(frozen=True)
class Comparison:
    """Two pictures beside each other.

    difference: a.score - b.score, in points of the scale from 0 to 100.
    win_probability: 0 to 1, that people would prefer a; 0.5 for equal scores. Swapping the pictures makes it 1 minus
    itself, exactly. Each score is taken as a normal, as wide as its 90 % interval on the side of the other score, and
    the errors of the two as independent. Two versions of one photo err together, so for them it is cautious: too near
    0.5.
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
        reference = scorer.read(reference)  # once for both
    first, second = scorer.score(a, reference, align), scorer.score(b, reference, align)
    difference = first.score - second.score
    if difference == 0:
        return Comparison(first, second, difference, 0.5)
    better, worse = (first, second) if difference > 0 else (second, first)
    sure = _probability(better, worse)
    return Comparison(first, second, difference, sure if difference > 0 else 1 - sure)


def _probability(better: Verdict, worse: Verdict) -> float:
    """That the one with the higher score is the better one: 0.5 to 1. Always asked this way round, for the symmetry."""
    spread = math.hypot(better.score - better.low, worse.high - worse.score) / DEVIATIONS
    if spread == 0:
        return 1.0
    return (1 + math.erf((better.score - worse.score) / spread / math.sqrt(2))) / 2
