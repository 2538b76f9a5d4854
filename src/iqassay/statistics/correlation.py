"""How well predicted scores agree with mean opinion scores (MOS).

Everything that papers on image quality report, on plain arrays. Every function takes `predicted` and `target`, two
sequences of the same length n >= 3 with finite numbers, and raises ValueError if they are not. Both must point the same
way (higher is better); if they do not, the correlations come out negative.

A correlation with a constant sequence does not exist: the result is nan, not an error and not 0, so that a
collapsed network shows up in a log instead of ending the run or passing for an uninformative one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import kendalltau, norm, rankdata

from iqassay.statistics import draws, pairs
from iqassay.statistics.draws import Counts, Floats
from iqassay.statistics.logistic import Logistic, fit, standard

Statistic = Callable[..., float]  # of predicted and target; of the standard error of the MOS too, if it wants that


def srcc(predicted: ArrayLike, target: ArrayLike) -> float:
    """Spearman rank correlation in [-1, 1], higher is better: is the order right? Ties share their mean rank.

    Raises:
        ValueError: for different lengths, fewer than 3 values or values that are not finite; nan if constant.
    """
    x, y = checked(predicted, target)
    return _pearson(rankdata(x), rankdata(y))


def plcc(predicted: ArrayLike, target: ArrayLike) -> float:
    """Pearson linear correlation in [-1, 1], higher is better: is the scale right, up to a straight line?

    No curve is fitted first; ``plcc_fitted`` does that, as many papers do.

    Raises:
        ValueError: for different lengths, fewer than 3 values or values that are not finite; nan if constant.
    """
    return _pearson(*checked(predicted, target))


def krcc(predicted: ArrayLike, target: ArrayLike) -> float:
    """Kendall rank correlation (tau-b, which allows for ties) in [-1, 1], higher is better.

    Without ties, (1 + krcc) / 2 is the share of pairs put in the right order.

    Raises:
        ValueError: for different lengths, fewer than 3 values or values that are not finite; nan if constant.
    """
    x, y = checked(predicted, target)
    return float(kendalltau(x, y, variant="b").statistic)


def rmse(predicted: ArrayLike, target: ArrayLike) -> float:
    """Root mean square error in the unit of the scores, >= 0, lower is better. Both must be on the same scale.

    Raises:
        ValueError: for different lengths, fewer than 3 values or values that are not finite.
    """
    x, y = checked(predicted, target)
    return float(np.sqrt(np.mean((x - y) ** 2)))


def fit_logistic(predicted: ArrayLike, target: ArrayLike, parameters: int = 4) -> Logistic:
    """The least-squares logistic curve through (predicted, target), see ``statistics.logistic``: call it with scores.

    Never worse than the regression line, but for rounding. A constant predicted or target gives the constant curve at
    the mean.

    Args:
        parameters: 4, monotone (VQEG, "Final report on the validation of objective models", 2000), or 5, a logistic
            plus a straight line (Sheikh, Sabir and Bovik, "A statistical evaluation of recent full reference image
            quality assessment algorithms", IEEE TIP 15, 2006), which need not be monotone: the line may turn the order
            round at the ends.

    Raises:
        ValueError: for other numbers of parameters and as the statistics do.
    """
    if parameters not in (4, 5):
        raise ValueError(f"got {parameters} parameters, want 4 (logistic) or 5 (logistic and line)")
    return fit(*checked(predicted, target), line=parameters == 5)


def plcc_fitted(predicted: ArrayLike, target: ArrayLike, parameters: int = 4) -> float:
    """PLCC after ``fit_logistic``, in [0, 1], higher is better: the PLCC of most papers. Never below abs(plcc).

    It flatters, because the curve is fitted to the very data it is then judged on: 20 random points come out at about
    0.4 with four parameters and 0.5 with five, not at 0; and a score that points the wrong way looks as good as one
    that does not. So look at SRCC and the raw PLCC beside it. nan for a constant, and for n <= parameters, where it
    would say nothing. For an interval hold the curve, as fitting in each draw is slow: ``bootstrap(curve(predicted),
    target, plcc)``.

    Raises:
        ValueError: as the statistics and ``fit_logistic`` do.
    """
    x, y = checked(predicted, target)
    return plcc(fit_logistic(x, y, parameters)(x), y) if len(x) > parameters else float("nan")


def rmse_fitted(predicted: ArrayLike, target: ArrayLike, parameters: int = 4) -> float:
    """RMSE after ``fit_logistic`` in points of the target, >= 0, lower is better; for a score on any scale.

    The mean is over n, as in papers on images, not over n less the parameters as in ITU-T P.1401. As for
    ``plcc_fitted``, it flatters small sets; nan for n <= parameters.
    """
    x, y = checked(predicted, target)
    return rmse(fit_logistic(x, y, parameters)(x), y) if len(x) > parameters else float("nan")


def outlier_ratio(predicted: ArrayLike, target: ArrayLike, error: ArrayLike, parameters: int = 4) -> float:
    """Share of pictures, in [0, 1], lower is better, whose MOS lies further than 2 standard errors from the curve.

    This is metric 4 of VQEG's report of 2000; ITU-T P.1401 (2020, 7.5.2.2) has the same with the 95 % interval of the
    MOS for the 2 errors. Some papers take the deviation of the single opinions instead, which is several times as wide:
    not comparable. The better the MOS is known, the more outliers: compare models on one set, not sets. nan for
    n <= parameters.

    Args:
        error: the standard error of each MOS, deviation / sqrt(votes), in points of the target.

    Raises:
        ValueError: as the statistics do and for errors below 0.
    """
    x, y = checked(predicted, target)
    e = _checked_error(error, x)
    if len(x) <= parameters:
        return float("nan")
    return float(np.mean(np.abs(y - fit_logistic(x, y, parameters)(x)) > 2 * e))


def pair_accuracy(predicted: ArrayLike, target: ArrayLike, error: ArrayLike, confidence: float = 0.95) -> float:
    """Share in [0, 1] of the pairs with different MOS that are put in the right order; equal predictions count half.

    Different: a two-sided z test at `confidence` with the errors given, one pair at a time. Where raters cannot tell,
    no model is asked to.

    All pairs are looked at up to 2,000 pictures; above, two million of them: each picture with the same number of
    others, at regular distances in the order given. nan if no pair differs.

    Args:
        error: the standard error of each MOS, deviation / sqrt(votes), in points of the target.

    Raises:
        ValueError: as the statistics do, for errors below 0 and for a confidence outside ]0, 1[.
    """
    return pairs.right_order(_pairs(predicted, target, error, confidence))[0]


def different_or_similar(predicted: ArrayLike, target: ArrayLike, error: ArrayLike) -> float:
    """The first of the areas of ``resolving_power`` alone, for ``bootstrap``."""
    return pairs.different_or_similar(_pairs(predicted, target, error))[0]


def better_or_worse(predicted: ArrayLike, target: ArrayLike, error: ArrayLike) -> float:
    """The second of the areas of ``resolving_power`` alone, for ``bootstrap``."""
    return pairs.better_or_worse(_pairs(predicted, target, error))[0]


@dataclass(frozen=True)
class Resolving:
    """How well differences of a score tell what raters can tell; all in [0, 1], nan where there is no such pair.

    Attributes:
        different_or_similar: area under the ROC curve (AUC) of the size of the difference in score, pairs with
            different MOS against pairs without; 0.5 is chance.
        better_or_worse: among the different ones, the AUC of the signed difference for which of the two is better.
        right_at_zero: the share of them with the right sign (C0), where an equal score counts as wrong.
        different: how many pairs were looked at.
        similar: see ``different``.
    """

    different_or_similar: float
    better_or_worse: float
    right_at_zero: float
    different: int
    similar: int


def resolving_power(predicted: ArrayLike, target: ArrayLike, error: ArrayLike, confidence: float = 0.95) -> Resolving:
    """Resolving power after Krasula, Fliegel, Le Callet and Klima, "On the accuracy of objective image and video
    quality models: new methodology for performance evaluation", QoMEX 2016.

    Takes, raises and looks at what ``pair_accuracy`` does. The authors' own program calls a pair different from
    abs(z) = 1.645 on: so does confidence=0.9 here, while the default wants 1.96.
    """
    found = _pairs(predicted, target, error, confidence)
    lead = found.lead[found.different]
    return Resolving(
        different_or_similar=pairs.different_or_similar(found)[0],
        better_or_worse=pairs.better_or_worse(found)[0],
        right_at_zero=float(np.mean(lead > 0)) if len(lead) else float("nan"),
        different=len(lead),
        similar=len(found.lead) - len(lead),
    )


def within_groups(
    predicted: ArrayLike, target: ArrayLike, groups: Sequence[str], statistic: Statistic = srcc
) -> dict[str, float]:
    """`statistic` inside each group, in sorted order of the group names; nan for a group of fewer than 3.

    Where groups differ in mean (subsets of a data set, the contents of a synthetic one), knowing the group alone
    already earns correlation over the whole set. Inside the groups it does not.

    Raises:
        ValueError: as the statistics do, and when there is not one group name per value.
    """
    x, y = checked(predicted, target)
    names = checked_groups(groups, x)
    members = {str(name): names == name for name in np.unique(names)}
    return {name: statistic(x[rows], y[rows]) if rows.sum() >= 3 else float("nan") for name, rows in members.items()}


def mean_within_groups(
    predicted: ArrayLike, target: ArrayLike, groups: Sequence[str], statistic: Statistic = srcc
) -> float:
    """Mean of ``within_groups`` over the groups for which it exists, each counting the same; nan if there is none.

    Its interval, with the groups drawn: ``over_splits(within_groups(...).values())``.
    """
    return over_splits(within_groups(predicted, target, groups, statistic).values()).mean


@dataclass(frozen=True)
class Spread:
    """Values over splits (or groups): median, mean, and the 95 % interval of the mean; nan where there is none."""

    median: float
    mean: float
    low: float
    high: float


def over_splits(values: Iterable[float]) -> Spread:
    """Median, mean and 95 % percentile bootstrap interval of the mean of one value per split; nan values are left out.

    (nan, nan) for the interval of a single value. Over splits of one set it is too narrow rather than too wide: their
    test parts share pictures, and ten values are few. It tells how much the split matters, not how much the set does.
    """
    known = np.array([value for value in values if not np.isnan(value)], np.float64)
    if len(known) == 0:
        return Spread(*[float("nan")] * 4)
    low = high = float("nan")
    if len(known) > 1:
        means = np.concatenate([draws.mean(known, counts) for counts in draws.draw_counts(len(known), 10_000)])
        low, high = (float(value) for value in np.quantile(means, [0.025, 0.975]))
    return Spread(float(np.median(known)), float(known.mean()), low, high)


def bootstrap(
    predicted: ArrayLike,
    target: ArrayLike,
    statistic: Statistic = srcc,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    groups: Sequence[str] | None = None,
    error: ArrayLike | None = None,
) -> tuple[float, float]:
    """(low, high): percentile bootstrap interval of `statistic`, pictures drawn with replacement.

    It tells how far the value would move with other pictures of the same kind; it says nothing about other raters or
    other kinds of pictures.

    srcc, plcc and rmse are worked out for all draws at once (2,000 pictures, 1,000 draws: a tenth of a second),
    measures of pairs to first order (see ``statistics.pairs``); any other function is called once a draw.

    Source: Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7 (1979).

    Args:
        groups: one name a picture; pictures of one name are drawn together (cluster bootstrap), as versions of one
            content must be, for which the plain one is too narrow; a picture named "" is a group of its own.
        error: handed to a statistic that wants one (``pair_accuracy``).
        seed: the same one gives the same interval. Draws in which the statistic does not exist (all pictures the same)
            are left out; (nan, nan) if it exists in none, or if there is but one group.

    Raises:
        ValueError: as the statistics do, for a confidence outside ]0, 1[ and for fewer than 10 resamples.
    """
    x, y = checked(predicted, target)
    e = None if error is None else _checked_error(error, x)
    check_drawing(confidence, resamples)
    names = None if groups is None else checked_groups(groups, x)
    blocks = draws.draw_counts(len(x), resamples, seed, names)
    values = np.concatenate([over_draws(statistic, x, y, counts, e) for counts in blocks])
    values = values[~np.isnan(values)]
    if len(values) == 0 or not has_several(names):
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def over_draws(statistic: Statistic, x: Floats, y: Floats, counts: Counts, error: Floats | None = None) -> Floats:
    """`statistic` in each draw of ``draws.draw_counts``, counts (draws, n): (draws,), nan where it does not exist.

    x, y and error are taken as checked.
    """
    if statistic is srcc:
        return draws.srcc(x, y, counts)
    if statistic is plcc:
        return draws.plcc(standard(x)[0], standard(y)[0], counts)
    if statistic is rmse:
        return np.sqrt(draws.mean((x - y) ** 2, counts))
    if statistic in _OF_PAIRS and error is not None:
        value, influence = _OF_PAIRS[statistic](_pairs(x, y, error))
        return np.clip(value + draws.mean(influence, counts), 0, 1)
    inputs = [x, y] if error is None else [x, y, error]
    return np.array(
        [statistic(*(np.repeat(values, row) for values in inputs)) if row.sum() >= 3 else np.nan for row in counts]
    )


_OF_PAIRS: dict[Statistic, Callable[[pairs.Pairs], pairs.Influenced]] = {
    pair_accuracy: pairs.right_order,
    different_or_similar: pairs.different_or_similar,
    better_or_worse: pairs.better_or_worse,
}


def _pairs(predicted: ArrayLike, target: ArrayLike, error: ArrayLike, confidence: float = 0.95) -> pairs.Pairs:
    x, y = checked(predicted, target)
    return pairs.make_pairs(x, y, _checked_error(error, x), _z(confidence))


def checked(predicted: ArrayLike, target: ArrayLike) -> tuple[Floats, Floats]:
    x, y = np.asarray(predicted, np.float64), np.asarray(target, np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"got shapes {x.shape} and {y.shape}, want two flat sequences of the same length")
    if x.size < 3:
        raise ValueError(f"got {x.size} values, want 3 or more")
    for name, values in (("predicted", x), ("target", y)):
        _check_finite(name, values)
    return x, y


def _check_finite(name: str, values: Floats) -> None:
    bad = int(np.count_nonzero(~np.isfinite(values)))
    if bad:
        raise ValueError(f"got {bad} values that are nan or infinite in {name}, want finite numbers")


def _checked_error(error: ArrayLike, x: Floats) -> Floats:
    e = np.asarray(error, np.float64)
    if e.shape != x.shape:
        raise ValueError(f"got {e.size} errors for {x.size} values, want one for each")
    _check_finite("error", e)
    if e.min() < 0:
        raise ValueError(f"got an error of {e.min():g}, want standard errors, 0 or more")
    return e


def checked_groups(groups: Sequence[str] | NDArray[Any], x: Floats) -> NDArray[Any]:
    names = np.asarray(groups)
    if names.shape != x.shape:
        raise ValueError(f"got {names.size} group names for {x.size} values, want one for each")
    return names


def has_several(groups: NDArray[Any] | None) -> bool:
    """Whether there is more than one thing to draw from."""
    return groups is None or len(set(groups.tolist())) > 1 or not groups[0]


def check_drawing(confidence: float, resamples: int) -> None:
    """Raise ValueError for what is no confidence, and for too few draws."""
    _z(confidence)
    if resamples < 10:
        raise ValueError(f"got {resamples} resamples, want 10 or more")


def _z(confidence: float) -> float:
    """Two-sided normal quantile: 1.96 for 0.95."""
    if not 0 < confidence < 1:
        raise ValueError(f"got confidence {confidence}, want a number between 0 and 1, such as 0.95")
    return float(norm.ppf((1 + confidence) / 2))


def _pearson(x: Floats, y: Floats) -> float:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    x, y = x - x.mean(), y - y.mean()
    # Normalise before multiplying, so that very large or very small values neither overflow nor vanish.
    return float(np.clip(np.dot(x / np.linalg.norm(x), y / np.linalg.norm(y)), -1, 1))
