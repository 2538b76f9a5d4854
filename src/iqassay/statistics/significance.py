"""Whether one model agrees better with the raters than another, or only looks so on these pictures.

All of it is paired: both models have scored the same pictures. Every function raises ValueError for predictions and
targets as ``statistics.correlation`` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata
from scipy.stats import t as student

from iqassay.statistics.correlation import (
    Statistic,
    check_drawing,
    checked,
    checked_groups,
    has_several,
    over_draws,
    plcc,
    srcc,
)
from iqassay.statistics.draws import Floats, draw_counts

# Below this, 1 less a correlation is rounding.
_NOTHING = 1e-12


@dataclass(frozen=True)
class Gain:
    """What one model has over another: gain, its interval (low, high), and the two-sided p of no difference."""

    gain: float
    low: float
    high: float
    p: float


def paired_bootstrap(
    a: ArrayLike,
    b: ArrayLike,
    target: ArrayLike,
    statistic: Statistic = srcc,
    groups: Sequence[str] | None = None,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Gain:
    """statistic(a, target) - statistic(b, target), with the percentile interval of the difference over the same draws.

    Source: Efron and Tibshirani, "An introduction to the bootstrap", 1993, chapters 13 and 15.

    A positive gain: a has more of the statistic (better, but for an error). p is twice the share of draws on the far
    side of 0, counted as (k + 1) / (draws + 1), so never 0: with 1,000 draws not below 0.002. nan where the statistic
    does not exist, and but for the gain if there is only one group.

    Args:
        a: what one model said of the pictures, (n,).
        b: what the other one said of them, (n,).
        groups: pictures of one name are drawn together, see ``correlation.bootstrap``; without them the versions of one
            content count as so many witnesses, and p comes out too small.

    Raises:
        ValueError: also for a confidence outside ]0, 1[ and for fewer than 10 resamples.
    """
    said = {"a": a, "b": b}
    return _gains(said, target, statistic, groups, confidence, resamples, seed)["a", "b"]


def williams(a: ArrayLike, b: ArrayLike, target: ArrayLike, ranks: bool = True) -> tuple[float, float]:
    """(t, p): Williams's test of whether a and b correlate equally with the target; t > 0 where a correlates more.

    Source: ``williams_t``.

    The test supposes normal values: on ranks it is a little too ready, and calls 6 to 8 % of equal models of SRCC 0.7
    to 0.9 different at a level of 5 %. It takes pictures for independent, as versions of one content are not. In doubt
    trust ``paired_bootstrap``. p is two-sided; 1 for predictions that are the same (in rank, or up to a line);
    (nan, nan) for a constant or n < 4.

    Args:
        ranks: compare SRCC (the default), else PLCC.
    """
    x, y = checked(a, target)
    other, _ = checked(b, target)
    if ranks:
        x, other, y = rankdata(x), rankdata(other), rankdata(y)
    return williams_t(plcc(x, y), plcc(other, y), plcc(x, other), len(y))


def williams_t(r_a: float, r_b: float, r_ab: float, n: int) -> tuple[float, float]:
    """(t, two-sided p with n - 3 degrees of freedom) from the correlations of a and b with the target and one another.

    Source: Williams, "The comparison of regression variables", JRSS B 21 (1959); Steiger, "Tests for comparing elements
    of a correlation matrix", Psychological Bulletin 87 (1980), eq. 7.
    """
    if n < 4 or np.isnan([r_a, r_b, r_ab]).any():
        return float("nan"), float("nan")
    if 1 - r_ab < _NOTHING:  # one and the same model
        return 0.0, 1.0
    if 1 + r_ab < _NOTHING:  # one is the other turned round: the limit of the formula
        t = r_a * np.sqrt((n - 3) / max(1 - r_a**2, _NOTHING))
    else:
        determinant = max(1 - r_a**2 - r_b**2 - r_ab**2 + 2 * r_a * r_b * r_ab, 0.0)
        mean = (r_a + r_b) / 2
        spread = 2 * (n - 1) / (n - 3) * determinant + mean**2 * (1 - r_ab) ** 3
        t = (r_a - r_b) * np.sqrt((n - 1) * (1 + r_ab) / max(spread, _NOTHING**2))
    return float(t), float(2 * student.sf(abs(t), n - 3))


def holm(p_values: ArrayLike) -> Floats:
    """The p values, in their order and shape, adjusted for being so many; nan stays nan and is not counted.

    Those below 0.05 afterwards may all be called differences, with 5 % chance of even one mistake.
    Source: Holm, "A simple sequentially rejective multiple test procedure", Scand. Journal of Statistics 6 (1979).
    """
    p = np.array(p_values, np.float64)
    known = p[~np.isnan(p)]
    order = np.argsort(known)
    steps = np.maximum.accumulate(known[order] * np.arange(len(known), 0, -1))
    known[order] = np.minimum(steps, 1)
    p[~np.isnan(p)] = known
    return p


@dataclass(frozen=True)
class Significance:
    """Every model against every other; all arrays (K, K), row against column, in the order of ``names``.

    Attributes:
        gain: as in ``Gain``.
        low: the lower end of its interval.
        high: the upper end of its interval.
        p: of the paired bootstrap, after Holm over the K (K - 1) / 2 pairs; nan on the diagonal and for a model without
            SRCC.
        p_williams: of Williams's test, likewise.
        better: 1 where the row is significantly better by the bootstrap, -1 where it is worse, 0 where neither can be
            said.
    """

    names: tuple[str, ...]
    gain: Floats
    low: Floats
    high: Floats
    p: Floats
    p_williams: Floats
    better: NDArray[np.int_]


def significance_matrix(
    said: Mapping[str, ArrayLike],
    target: ArrayLike,
    groups: Sequence[str] | None = None,
    level: float = 0.05,
    resamples: int = 1000,
    seed: int = 0,
) -> Significance:
    """Which of K models agree better with the target than which others, by SRCC.

    Args:
        said: model name to its scores of the same pictures in the same order, (n,). All models meet the same draws, of
            which there are at least 100 for each pair of models: fewer could not reach significance after Holm.

    Raises:
        ValueError: as ``paired_bootstrap`` does, and for fewer than two models.
    """
    if len(said) < 2:
        raise ValueError(f"got {len(said)} models, want two or more")
    names = tuple(said)
    first, second = np.triu_indices(len(names), 1)
    found = _gains(said, target, srcc, groups, 0.95, max(resamples, 100 * len(first)), seed)
    pairs = [(names[i], names[j]) for i, j in zip(first, second, strict=True)]
    gain, low, high, p = np.array([astuple(found[pair]) for pair in pairs]).T
    p, p_williams = holm(p), holm([williams(said[a], said[b], target)[1] for a, b in pairs])

    def square(row_first: Floats, column_first: Floats) -> Floats:
        whole = np.full((len(names), len(names)), np.nan)
        whole[first, second], whole[second, first] = row_first, column_first
        return whole

    better = np.where(p < level, np.sign(gain), 0)
    return Significance(
        names,
        gain=square(gain, -gain),
        low=square(low, -high),
        high=square(high, -low),
        p=square(p, p),
        p_williams=square(p_williams, p_williams),
        better=np.nan_to_num(square(better, -better)).astype(int),
    )


def _gains(
    said: Mapping[str, ArrayLike],
    target: ArrayLike,
    statistic: Statistic,
    groups: Sequence[str] | None,
    confidence: float,
    resamples: int,
    seed: int,
) -> dict[tuple[str, str], Gain]:
    """Every model against every later one, all on the same draws."""
    check_drawing(confidence, resamples)
    scores = {name: checked(values, target)[0] for name, values in said.items()}
    y = np.asarray(target, np.float64)
    names = None if groups is None else checked_groups(groups, y)
    several = has_several(names)
    value = {name: statistic(x, y) for name, x in scores.items()}
    drawn: dict[str, list[Floats]] = {name: [] for name in scores}
    for counts in draw_counts(len(y), resamples, seed, names):
        for name, x in scores.items():
            drawn[name].append(over_draws(statistic, x, y, counts))
    draws = {name: np.concatenate(blocks) for name, blocks in drawn.items()}
    order = list(scores)
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    found = {}
    for i, a in enumerate(order):
        for b in order[i + 1 :]:
            gaps = draws[a] - draws[b]
            gaps = gaps[~np.isnan(gaps)] if several else gaps[:0]
            found[a, b] = _gain(value[a] - value[b], gaps, tails)
    return found


def _gain(gain: float, gaps: Floats, tails: list[float]) -> Gain:
    if np.isnan(gain) or len(gaps) == 0:
        return Gain(gain, *[float("nan")] * 3)
    low, high = np.quantile(gaps, tails)
    far = min(np.count_nonzero(gaps <= _NOTHING), np.count_nonzero(gaps >= -_NOTHING))
    return Gain(gain, float(low), float(high), min(1.0, 2 * (int(far) + 1) / (len(gaps) + 1)))
