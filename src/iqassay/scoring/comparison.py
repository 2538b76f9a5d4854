"""Which of two pictures looks better, by how much, and how sure that is; and which of many is the best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from iqassay.pictures.fingerprints import ALIKE, fingerprint_of, likeness
from iqassay.pictures.image import Picture
from iqassay.scoring.scorer import Scorer
from iqassay.scoring.tiles import shrink_to
from iqassay.scoring.verdict import Verdict

if TYPE_CHECKING:
    from iqassay.scoring.scorer import Source

CLEAR = 0.6  # from this probability on, one of two pictures is called the better one
STEP, LEAST = 0.02, 0.1  # points: how finely scores are looked at, and the least that an interval has on either side
DEVIATIONS = 1.645  # standard deviations of a normal on each side of a 90 % interval
# How much of the errors two pictures have in common: nothing up to a likeness of UNLIKE, SHARED from ALIKE on, and in
# between in proportion. Of 29 pairs of near-duplicates of BIQ2021 the errors correlate by .73 +- .09; of the 8 whose
# scores are five points or more apart, which is where it matters, by about .5. benchmarks/checks/win_probability.py
# measures it.
UNLIKE, SHARED = 0.5, 0.5
SAME_SIZE = 1.1  # a picture with at most so many times the pixels of another is of the same size


@dataclass(frozen=True)
class Comparison:
    """Two pictures beside each other.

    Attributes:
        difference: a.score - b.score, in points of the scale from 0 to 100. Of two pictures that show the same at
            different sizes, the larger one counts as it scores at the size of the smaller: a small copy hides the flaws
            of its original, and must not win by that.
        win_probability: 0 to 1, that people would prefer a; 0.5 for equal scores. Swapping the pictures makes it 1
            minus itself, exactly. Each score is taken as a normal, as wide as its 90 % interval on the side of the
            other score, and the errors of the two as correlated where the pictures look alike: what a model gets wrong
            about a photo it gets wrong about its versions too.
        correlation: 0 to 1, of the two errors.
        at_one_size: whether the difference is that at the size of the smaller picture.
    """

    a: Verdict
    b: Verdict
    difference: float
    win_probability: float
    correlation: float = 0.0
    at_one_size: bool = False

    @property
    def better(self) -> str:
        """Which is better by the difference: "a", "b", or "equal" when neither is."""
        return "a" if self.difference > 0 else "b" if self.difference < 0 else "equal"


def compare(scorer: Scorer, a: Source, b: Source, reference: Source | None = None, align: str = "fail") -> Comparison:
    """Score two pictures, both against the one reference if there is one, and compare; errors as of `Scorer.score`."""
    if reference is not None:
        decoded = scorer.read(reference)  # once for both, unless it is to be shown over two grounds
        reference = reference if decoded.see_through else decoded
        return of_verdicts(scorer.score(a, reference, align), scorer.score(b, reference, align), SHARED)
    pictures = scorer.read(a), scorer.read(b)
    return of_pictures(scorer, pictures, (scorer.score(pictures[0]), scorer.score(pictures[1])))


def of_pictures(scorer: Scorer, pictures: tuple[Picture, Picture], verdicts: tuple[Verdict, Verdict]) -> Comparison:
    """Compare two pictures that the scorer gave these verdicts, without a reference."""
    alike = likeness(*(fingerprint_of(picture.pixels) for picture in pictures))
    correlation = correlation_of(alike)
    areas = [picture.height * picture.width for picture in pictures]
    if alike < ALIKE or max(areas) <= SAME_SIZE * min(areas):
        return of_verdicts(*verdicts, correlation)
    small, large = (0, 1) if areas[0] < areas[1] else (1, 0)
    side = max(pictures[small].height, pictures[small].width)
    shown = Picture(np.rint(shrink_to(pictures[large].pixels, side) * 255).astype(np.uint8))
    at_one_size = list(verdicts)
    at_one_size[large] = scorer.score(shown)
    found = of_verdicts(at_one_size[0], at_one_size[1], correlation)
    return replace(found, a=verdicts[0], b=verdicts[1], at_one_size=True)


def of_verdicts(a: Verdict, b: Verdict, correlation: float = 0.0) -> Comparison:
    """Compare two pictures that were scored, by one model. correlation: of their errors, 0 to 1."""
    return Comparison(a, b, a.score - b.score, _win_probability(a, b, correlation), correlation)


def correlation_of(alike: float) -> float:
    """How much of their errors two pictures have in common, 0 to 1, by how alike they look at a glance, -1 to 1."""
    return SHARED * min(1.0, max(0.0, (alike - UNLIKE) / (ALIKE - UNLIKE)))


def best_probabilities(intervals: Sequence[tuple[float, float, float]], correlation: float = 0.0) -> list[float]:
    """The probability of each of several pictures that people would find it the best of all; together they are 1.

    intervals: score, low and high of each, 0 to 100, by one model. Each is taken as a distribution that is normal on
    either side of the score, as wide as the 90 % interval there. correlation: of the errors of any two, 0 to 1; what
    they have in common changes no order and is left out.
    """
    own = math.sqrt(1 - correlation)
    intervals = [(score, score - own * (score - low), score + own * (high - score)) for score, low, high in intervals]
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


def _win_probability(a: Verdict, b: Verdict, correlation: float) -> float:
    if a.score == b.score:
        return 0.5
    if a.score < b.score:
        return 1 - _win_probability(b, a, correlation)  # asked one way round only, so that the symmetry is exact
    one, other = (a.score - a.low) / DEVIATIONS, (b.high - b.score) / DEVIATIONS
    deviation = math.sqrt(max(0.0, one**2 + other**2 - 2 * correlation * one * other))  # of the difference
    return (1 + math.erf((a.score - b.score) / deviation / math.sqrt(2))) / 2 if deviation else 1.0
