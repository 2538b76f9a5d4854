"""How well predicted scores agree with mean opinion scores (MOS).

The three correlations and the error that papers on image quality report, on plain arrays. Every function takes
`predicted` and `target`, two sequences of the same length n >= 3 with finite numbers, and returns a float.
Both must point the same way (higher is better); if they do not, the correlations come out negative.

A correlation with a constant sequence does not exist: the result is nan, not an error and not 0, so that a
collapsed network shows up in a log instead of ending the run or passing for an uninformative one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import kendalltau, rankdata

Statistic = Callable[[ArrayLike, ArrayLike], float]


def srcc(predicted: ArrayLike, target: ArrayLike) -> float:
    """Spearman rank correlation in [-1, 1], higher is better: is the order right? Ties share their mean rank.

    Raises ValueError for different lengths, fewer than 3 values or values that are not finite; nan if constant.
    """
    x, y = _checked(predicted, target)
    return _pearson(rankdata(x), rankdata(y))


def plcc(predicted: ArrayLike, target: ArrayLike) -> float:
    """Pearson linear correlation in [-1, 1], higher is better: is the scale right, up to a straight line?

    No logistic curve is fitted first, as many papers do, so the value is a little lower than theirs.
    Raises ValueError for different lengths, fewer than 3 values or values that are not finite; nan if constant.
    """
    return _pearson(*_checked(predicted, target))


def krcc(predicted: ArrayLike, target: ArrayLike) -> float:
    """Kendall rank correlation (tau-b, which allows for ties) in [-1, 1], higher is better.

    Without ties, (1 + krcc) / 2 is the share of pairs put in the right order.
    Raises ValueError for different lengths, fewer than 3 values or values that are not finite; nan if constant.
    """
    x, y = _checked(predicted, target)
    return float(kendalltau(x, y, variant="b").statistic)


def rmse(predicted: ArrayLike, target: ArrayLike) -> float:
    """Root mean square error in the unit of the scores, >= 0, lower is better. Both must be on the same scale.

    Raises ValueError for different lengths, fewer than 3 values or values that are not finite.
    """
    x, y = _checked(predicted, target)
    return float(np.sqrt(np.mean((x - y) ** 2)))


def bootstrap(
    predicted: ArrayLike,
    target: ArrayLike,
    statistic: Statistic = srcc,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """(low, high): percentile bootstrap interval of `statistic`, pictures drawn with replacement.

    It tells how far the value would move with other pictures of the same kind; it says nothing about other raters
    or other kinds of pictures. The same seed gives the same interval. Draws in which the statistic does not
    exist (all pictures the same) are left out; (nan, nan) if it exists in none.

    Raises ValueError as the statistics do, for a confidence outside ]0, 1[ and for fewer than 10 resamples.
    Source: Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7 (1979).
    """
    x, y = _checked(predicted, target)
    if not 0 < confidence < 1:
        raise ValueError(f"got confidence {confidence}, want a number between 0 and 1, such as 0.95")
    if resamples < 10:
        raise ValueError(f"got {resamples} resamples, want 10 or more")
    rng = np.random.default_rng(seed)
    draws = (rng.integers(len(x), size=len(x)) for _ in range(resamples))
    values = np.array([statistic(x[draw], y[draw]) for draw in draws])
    values = values[~np.isnan(values)]
    if len(values) == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def within_groups(
    predicted: ArrayLike, target: ArrayLike, groups: Sequence[str], statistic: Statistic = srcc
) -> dict[str, float]:
    """`statistic` inside each group, in sorted order of the group names; nan for a group of fewer than 3.

    Where groups differ in mean (subsets of a data set, the contents of a synthetic one), knowing the group alone
    already earns correlation over the whole set. Inside the groups it does not.
    Raises ValueError as the statistics do, and when there is not one group name per value.
    """
    x, y = _checked(predicted, target)
    names = np.asarray(groups)
    if names.shape != x.shape:
        raise ValueError(f"got {names.size} group names for {x.size} values, want one for each")
    members = {str(name): names == name for name in np.unique(names)}
    return {name: statistic(x[rows], y[rows]) if rows.sum() >= 3 else float("nan") for name, rows in members.items()}


def _checked(predicted: ArrayLike, target: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.asarray(predicted, np.float64), np.asarray(target, np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"got shapes {x.shape} and {y.shape}, want two flat sequences of the same length")
    if x.size < 3:
        raise ValueError(f"got {x.size} values, want 3 or more")
    for name, values in (("predicted", x), ("target", y)):
        bad = int(np.count_nonzero(~np.isfinite(values)))
        if bad:
            raise ValueError(f"got {bad} values that are nan or infinite in {name}, want finite numbers")
    return x, y


def _pearson(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    x, y = x - x.mean(), y - y.mean()
    # Normalise before multiplying, so that very large or very small values neither overflow nor vanish.
    return float(np.clip(np.dot(x / np.linalg.norm(x), y / np.linalg.norm(y)), -1, 1))
