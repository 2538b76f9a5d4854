"""Which of two pictures looks better, by how much, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iqassay.scoring.scorer import Scorer
from iqassay.scoring.verdict import Verdict

if TYPE_CHECKING:
    from iqassay.scoring.scorer import Source

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
        decoded = scorer.read(reference)  # once for both, unless it is to be shown over two grounds
        reference = reference if decoded.see_through else decoded
    first, second = scorer.score(a, reference, align), scorer.score(b, reference, align)
    return Comparison(first, second, first.score - second.score, _win_probability(first, second))


def _win_probability(a: Verdict, b: Verdict) -> float:
    if a.score == b.score:
        return 0.5
    if a.score < b.score:
        return 1 - _win_probability(b, a)  # asked one way round only, so that the symmetry is exact
    deviation = math.hypot(a.score - a.low, b.high - b.score) / DEVIATIONS  # of the difference
    return (1 + math.erf((a.score - b.score) / deviation / math.sqrt(2))) / 2 if deviation else 1.0
