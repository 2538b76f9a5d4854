"""Where models differ and where they are wrong: the numbers behind the pictures of the report.

Residuals, and everything else in points, are of the MOS that a model predicts: its score where that is on the scale of
the MOS, else the fitted curve of it (`summary.predicted_mos`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import t as student

from iqassay.bench.results import Results, Row
from iqassay.bench.summary import contents_of, fittable, of_seed, predicted_mos, seeds_of
from iqassay.statistics.correlation import fit_logistic, over_splits, srcc
from iqassay.statistics.draws import Floats
from iqassay.statistics.significance import Gain, Significance, holm, significance_matrix

BINS = 10
ENOUGH = 20  # pictures in a bin: a share of fewer says nothing
TRAINED_ON = 0.8  # the share of contents that a split trains on (train and val), and
TESTED_ON = 0.2  # tests on
_GAIN = ("gain", "low", "high", "p")


# ---- which of two models is better ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """Every model against every other on the rows that all of them answered. splits: over how many it was done, 0 for
    models that were not trained on splits; left_out: rows that not all answered.
    """

    found: Significance
    rows: int
    splits: int
    left_out: int


def compare(part: Sequence[Results], resamples: int = 1000) -> Comparison | None:
    """Which models are better than which others, by SRCC; None when fewer than two models share 3 rows.

    Constant predictors have no correlation, and are left out.
    """
    part = [one for one in part if fittable(one.column("score"))]
    keys = [{(row.image, row.seed) for row in one.scored} for one in part]
    common = set.intersection(*keys) if keys else set()
    if len(part) < 2 or len(common) < 3:
        return None
    shared = {one.model: _only(one, common) for one in part}
    first = next(iter(shared.values()))
    seeds = seeds_of(first)
    if len(seeds) > 1:
        found = _over_splits(shared, seeds)
    else:
        said = {name: one.column("score") for name, one in shared.items()}
        found = significance_matrix(said, first.column("mos"), contents_of(first), resamples=resamples)
    return Comparison(found, len(common), len(seeds), len(set.union(*keys)) - len(common))


def _only(results: Results, keys: set[tuple[str, str]]) -> Results:
    """The scored rows with these keys, in one order for all models."""
    rows = {(row.image, row.seed): row for row in results.scored if (row.image, row.seed) in keys}
    return replace(results, rows=tuple(rows[key] for key in sorted(rows)))


def _over_splits(shared: Mapping[str, Results], seeds: Sequence[str]) -> Significance:
    """Models that were trained anew for each split, compared split by split; there is no Williams' test of that."""
    values = []
    for one in shared.values():
        runs = [of_seed(one, seed) for seed in seeds]
        values.append([srcc(run.column("score"), run.column("mos")) for run in runs])
    gains = np.array(values)[:, None] - np.array(values)  # (models, models, splits)
    tests = [[gain_over_splits(one) for one in row] for row in gains]
    gain, low, high, p = (np.array([[getattr(t, k) for t in row] for row in tests]) for k in _GAIN)
    upper = np.triu_indices(len(values), 1)
    adjusted = np.full(gain.shape, np.nan)
    adjusted[upper] = holm(p[upper])
    adjusted.T[upper] = adjusted[upper]
    better = np.where(adjusted < 0.05, np.sign(np.nan_to_num(gain)), 0).astype(int)
    return Significance(tuple(shared), gain, low, high, adjusted, np.full(gain.shape, np.nan), better)


def gain_over_splits(gains: Floats) -> Gain:
    """The mean of differences, one a split, with the corrected resampled t test, which allows for what splits share.

    Source: Nadeau and Bengio, "Inference for the generalization error", Machine Learning 52 (2003), section 3.
    """
    gains = gains[~np.isnan(gains)]
    if len(gains) < 2:
        return Gain(*[math.nan] * 4)
    mean = float(gains.mean())
    error = math.sqrt(gains.var(ddof=1) * (1 / len(gains) + TESTED_ON / TRAINED_ON))
    reach = float(student.ppf(0.975, len(gains) - 1)) * error
    p = 2 * float(student.sf(abs(mean) / error, len(gains) - 1)) if error > 0 else float(mean == 0)
    return Gain(mean, mean - reach, mean + reach, p)


# ---- where a model is wrong -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stratum:
    """Residuals (predicted minus MOS, points) of some pictures: their mean, quartiles, and number."""

    name: str
    count: int
    mean: float
    low: float
    high: float


def residuals(results: Results, by: str) -> list[Stratum]:
    """Residuals by a text of the rows ("distortion", "subset"), in the order of the names; rows without it are one."""
    apart = predicted_mos(results) - results.column("mos")
    names = np.array(results.words(by))
    return [_stratum(str(name) or "none", apart[names == name]) for name in np.unique(names)]


def _stratum(name: str, apart: Floats) -> Stratum:
    low, high = np.quantile(apart, [0.25, 0.75])
    return Stratum(name, len(apart), float(apart.mean()), float(low), float(high))


@dataclass(frozen=True)
class Levels:
    """Mean MOS and mean predicted MOS at each level of damage; falls: mean SRCC of score and -level inside each content
    and type, of the model and of the opinions themselves.
    """

    level: Floats
    mos: Floats
    predicted: Floats
    falls: float
    falls_mos: float


def levels(results: Results) -> Levels | None:
    """How answers follow the level of damage; None when there are no two levels."""
    level, mos, predicted = results.column("level"), results.column("mos"), predicted_mos(results)
    there = np.unique(level[~np.isnan(level)])
    if len(there) < 2:
        return None
    chains: dict[tuple[str, str], list[int]] = {}
    for i, (row, content) in enumerate(zip(results.scored, contents_of(results), strict=True)):
        if not math.isnan(row.level):
            chains.setdefault((content, row.distortion), []).append(i)
    falls = [[srcc(v[c], -level[c]) for c in chains.values() if len(c) > 2] for v in (predicted, mos)]
    mean_mos, mean_predicted = (np.array([v[level == at].mean() for at in there]) for v in (mos, predicted))
    fall, fall_mos = (over_splits(one).mean for one in falls)
    return Levels(there, mean_mos, mean_predicted, fall, fall_mos)


@dataclass(frozen=True)
class Bin:
    """Pictures of like score: their mean score, the share of MOS in the interval, and its 95 % Wilson interval."""

    score: float
    share: float
    low: float
    high: float


def calibration(results: Results) -> list[Bin]:
    """How often the model's 90 % interval holds the MOS, in up to ten bins of as many pictures, by score; empty where
    the model gives no interval, and for too few pictures.
    """
    score, mos, low, high = map(results.column, ("score", "mos", "low", "high"))
    bins = min(BINS, len(score) // ENOUGH)
    if bins < 2 or np.isnan(low + high).any():
        return []
    inside = (low <= mos) & (mos <= high)
    return [_bin(score[at], inside[at]) for at in np.array_split(np.argsort(score, kind="stable"), bins)]


def _bin(score: Floats, inside: np.ndarray) -> Bin:
    n, share, z = len(inside), float(inside.mean()), 1.96
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Bin(float(score.mean()), share, max(0.0, middle - reach), min(1.0, middle + reach))


@dataclass(frozen=True)
class Cloud:
    """Every picture as a point (score, MOS); the 4-parameter curve; the 90 % interval by score, where there is one."""

    said: Floats
    mos: Floats
    curve: tuple[Floats, Floats] | None
    band: tuple[Floats, Floats, Floats] | None


def cloud(results: Results) -> Cloud:
    """What a scatter plot of a model shows. band: scores, and the median low and high ends of pictures near them."""
    said, mos, low, high = map(results.column, ("score", "mos", "low", "high"))
    curve = band = None
    if fittable(said):
        x = np.linspace(said.min(), said.max(), 60)
        curve = (x, np.asarray(fit_logistic(said, mos)(x)))
        if not np.isnan(low + high).any():
            alike = np.array_split(np.argsort(said, kind="stable"), max(2, min(2 * BINS, len(said) // 5)))
            at, low, high = (np.array([np.median(v[some]) for some in alike]) for v in (said, low, high))
            at[0], at[-1] = said.min(), said.max()
            band = (at, low, high)
    return Cloud(said, mos, curve, band)


@dataclass(frozen=True)
class Wrong:
    """A picture that a model judged otherwise than people did."""

    row: Row
    predicted: float


def worst(results: Results, count: int = 12) -> list[Wrong]:
    """The pictures with the largest residuals, the largest first, each picture once."""
    rows, predicted = results.scored, predicted_mos(results)
    order = np.argsort(-np.abs(predicted - results.column("mos")), kind="stable")
    found: dict[str, Wrong] = {}
    for i in order:
        found.setdefault(rows[i].image, Wrong(rows[i], float(predicted[i])))
        if len(found) == count:
            break
    return list(found.values())
