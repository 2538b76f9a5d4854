"""What a score gets right about pairs of pictures, and how much each picture adds to that.

Everything here takes a ``Pairs`` and gives (value, influence): the mean of the influences (n,) over the pictures of a
bootstrap draw is how far the draw is from the value, to first order (Hajek's projection of a U-statistic). So an
interval costs one look at the pairs, not one a draw; at 100 pictures it is about 5 % narrower than with all draws made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iqassay.statistics.draws import Floats

# All pairs up to 2,000 pictures. Beyond, as many: each picture with others at regular distances in the order given.
MOST_PAIRS = 2_000_000

Influenced = tuple[float, Floats]


@dataclass(frozen=True)
class Pairs:
    """Places of the two pictures, whether their MOS differ, and by how much the one with the higher MOS leads."""

    pictures: int
    first: NDArray[np.intp]
    second: NDArray[np.intp]
    different: NDArray[np.bool_]
    lead: Floats

    def influence(self, which: NDArray[np.bool_], values: Floats) -> Floats:
        """Influence of each picture on the mean of `values`, which belong to the pairs of `which`."""
        shares = (values - values.mean()) * (self.pictures / len(values))
        sides = (np.bincount(side[which], shares, self.pictures) for side in (self.first, self.second))
        return np.asarray(sum(sides))

    def nothing(self) -> Influenced:
        return float("nan"), np.zeros(self.pictures)


def make_pairs(predicted: Floats, target: Floats, error: Floats, z: float) -> Pairs:
    """The pairs of n pictures; different: target further apart than z standard errors of the difference."""
    n = len(predicted)
    if n * (n - 1) // 2 <= MOST_PAIRS:
        first, second = np.triu_indices(n, 1)
    else:
        distances = np.unique(np.linspace(1, (n - 1) // 2, MOST_PAIRS // n).round().astype(np.intp))
        first = np.tile(np.arange(n), len(distances))
        second = (first + np.repeat(distances, n)) % n
    apart, variance = target[first] - target[second], error**2
    different = apart**2 > z**2 * (variance[first] + variance[second])
    return Pairs(n, first, second, different, (predicted[first] - predicted[second]) * np.where(apart < 0, -1, 1))


def right_order(pairs: Pairs) -> Influenced:
    """Share of the different pairs in the right order, equal predictions counting half."""
    if not pairs.different.any():
        return pairs.nothing()
    right = (1 + np.sign(pairs.lead[pairs.different])) / 2
    return float(right.mean()), pairs.influence(pairs.different, right)


def different_or_similar(pairs: Pairs) -> Influenced:
    """AUC of the size of the lead, different pairs against the others."""
    size, similar = np.abs(pairs.lead), ~pairs.different
    if similar.all() or not similar.any():
        return pairs.nothing()
    above = share_below(size[pairs.different], size[similar])
    below = share_below(size[similar], size[pairs.different])
    return float(above.mean()), pairs.influence(pairs.different, above) - pairs.influence(similar, below)


def better_or_worse(pairs: Pairs) -> Influenced:
    """AUC of the signed lead among the different pairs, each taken both ways round."""
    if not pairs.different.any():
        return pairs.nothing()
    lead = pairs.lead[pairs.different]
    above = share_below(lead, -lead)
    return float(above.mean()), 2 * pairs.influence(pairs.different, above)


def share_below(values: Floats, others: Floats) -> Floats:
    """For each value the share of the others below it, equal ones counting half; its mean is the AUC."""
    order, others = np.argsort(values), np.sort(others)
    below = np.empty(len(values))  # looking them up in order is several times as fast
    below[order] = sum(np.searchsorted(others, values[order], side) for side in ("left", "right"))
    return below / (2 * len(others))
