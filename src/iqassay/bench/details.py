"""Where models differ and where they are wrong: the numbers behind the pictures of the report.

Residuals, and everything else in points, are of the MOS that a model predicts: its score where that is on the scale of
the MOS, else the fitted curve of it (`summary.predicted_mos`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from iqassay.bench.correlation import fit_logistic, srcc
from iqassay.bench.results import Results, Row
from iqassay.bench.significance import holm, paired_bootstrap, williams
from iqassay.bench.summary import Floats, contents_of, fittable, of_seed, predicted_mos, seeds_of

DECILES = 10
TRAINED_ON = 0.8  # the share of contents that a split trains on (train and val), and
TESTED_ON = 0.2  # tests on


# ---- which of two models is better ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Duel:
    """How much SRCC the first model has over the second, with its 95 % interval; p by bootstrap over contents (or over
    splits) and by Williams' test (nan over splits), both after Holm's correction for all the pairs of the comparison.
    """

    gain: float
    low: float
    high: float
    p: float
    p_williams: float

    @property
    def significant(self) -> bool:
        """Whether every test that there is says so, at 5 %."""
        return self.p < 0.05 and not self.p_williams >= 0.05


@dataclass(frozen=True)
class Comparison:
    """Models on the rows that all of them answered. duels: by the places of the two in ``models``, first < second."""

    models: tuple[str, ...]
    rows: int
    splits: int
    left_out: int
    duels: dict[tuple[int, int], Duel]


def compare(part: Sequence[Results], resamples: int = 1000) -> Comparison | None:
    """Every pair of models on the rows that all answered; None when fewer than two models share 3 rows.

    Models that were trained anew for each split are compared split by split: the difference of SRCC with the
    corrected resampled t test (Nadeau and Bengio, Machine Learning 52, 2003, eq. 3), which allows for what the splits
    share. Constant predictors have no correlation, and are left out.
    """
    part = [one for one in part if fittable(one.column("score"))]
    if len(part) < 2:
        return None
    keys = [{(row.image, row.seed) for row in one.scored} for one in part]
    common = set.intersection(*keys)
    if len(common) < 3:
        return None
    shared = [_only(one, common) for one in part]
    seeds = seeds_of(shared[0])
    pairs = [(i, j) for i in range(len(part)) for j in range(i + 1, len(part))]
    if len(seeds) > 1:
        by_seed = [[of_seed(one, seed) for seed in seeds] for one in shared]
        values = [np.array([srcc(r.column("score"), r.column("mos")) for r in runs]) for runs in by_seed]
        found = [over_split_duel(values[i] - values[j]) for i, j in pairs]
    else:
        found = _picture_duels(shared, pairs, resamples)
    adjusted = holm([duel.p for duel in found])
    also = holm([duel.p_williams for duel in found]) if len(seeds) < 2 else [math.nan] * len(found)
    duels = {
        pair: replace(duel, p=float(p), p_williams=float(w))
        for pair, duel, p, w in zip(pairs, found, adjusted, also, strict=True)
    }
    return Comparison(
        tuple(one.model for one in part), len(common), len(seeds), len(set.union(*keys)) - len(common), duels
    )


def _only(results: Results, keys: set[tuple[str, str]]) -> Results:
    """The scored rows with these keys, in one order for all models."""
    rows = {(row.image, row.seed): row for row in results.scored if (row.image, row.seed) in keys}
    return replace(results, rows=tuple(rows[key] for key in sorted(rows)))


def _picture_duels(shared: Sequence[Results], pairs: Sequence[tuple[int, int]], resamples: int) -> list[Duel]:
    said, target, groups = [one.column("score") for one in shared], shared[0].column("mos"), contents_of(shared[0])
    found = []
    for i, j in pairs:
        gain = paired_bootstrap(said[i], said[j], target, groups=groups, resamples=resamples)
        found.append(Duel(gain.gain, gain.low, gain.high, gain.p, williams(said[i], said[j], target)[1]))
    return found


def over_split_duel(gains: Floats) -> Duel:
    """The mean gain over splits, and whether it is more than the splits' chance."""
    from scipy.stats import t as student

    gains = gains[~np.isnan(gains)]
    if len(gains) < 2:
        return Duel(math.nan, math.nan, math.nan, 1.0, math.nan)
    mean = float(gains.mean())
    error = math.sqrt(gains.var(ddof=1) * (1 / len(gains) + TESTED_ON / TRAINED_ON))
    reach = float(student.ppf(0.975, len(gains) - 1)) * error
    p = 2 * float(student.sf(abs(mean) / error, len(gains) - 1)) if error > 0 else float(mean == 0)
    return Duel(mean, mean - reach, mean + reach, p, math.nan)


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
    means = [np.array([v[level == at].mean() for at in there]) for v in (mos, predicted)]
    return Levels(there, *means, *(float(np.nanmean(v)) if np.isfinite(v).any() else math.nan for v in falls))


@dataclass(frozen=True)
class Decile:
    """A tenth of the pictures, by score: its mean score, the share of MOS in the interval, and the 95 % Wilson interval
    of that share.
    """

    score: float
    share: float
    low: float
    high: float


def calibration(results: Results) -> list[Decile]:
    """How often the model's 90 % interval holds the MOS, by score; empty where the model gives none."""
    score, mos, low, high = map(results.column, ("score", "mos", "low", "high"))
    if len(score) < 2 * DECILES or np.isnan(low + high).any():
        return []
    inside = (low <= mos) & (mos <= high)
    return [_decile(score[at], inside[at]) for at in np.array_split(np.argsort(score, kind="stable"), DECILES)]


def _decile(score: Floats, inside: np.ndarray) -> Decile:
    n, share, z = len(inside), float(inside.mean()), 1.96
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Decile(float(score.mean()), share, max(0.0, middle - reach), min(1.0, middle + reach))


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
            tenths = np.array_split(np.argsort(said, kind="stable"), min(2 * DECILES, len(said)))
            x, ends_low, ends_high = ([float(np.median(v[at])) for at in tenths] for v in (said, low, high))
            band = (np.array(x), np.array(ends_low), np.array(ends_high))
    return Cloud(said, mos, curve, band)


@dataclass(frozen=True)
class Wrong:
    """A picture that a model judged otherwise than people did."""

    row: Row
    predicted: float


def worst(results: Results, count: int = 12) -> list[Wrong]:
    """The pictures with the largest residuals, the largest first, each picture once."""
    predicted = predicted_mos(results)
    order = np.argsort(-np.abs(predicted - results.column("mos")), kind="stable")
    found: dict[str, Wrong] = {}
    for i in order:
        row = results.scored[i]
        found.setdefault(row.image, Wrong(row, float(predicted[i])))
        if len(found) == count:
            break
    return list(found.values())
