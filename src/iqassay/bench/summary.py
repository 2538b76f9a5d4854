"""What the kept answers of a model on a set are worth: every measure with its interval.

Everything is worked out from the rows of ``results.py`` alone; tables.py prints what is here, report.py draws it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from iqassay.bench.results import Results, shipped_row
from iqassay.data.splits import SEEDS, content_splits
from iqassay.statistics.correlation import (
    Resolving,
    Spread,
    better_or_worse,
    different_or_similar,
    fit_logistic,
    krcc,
    over_draws,
    over_splits,
    pair_accuracy,
    plcc,
    resolving_power,
    rmse,
    srcc,
    within_groups,
)
from iqassay.statistics.draws import Counts, Floats, draw_counts, mean

SPLITTABLE = 5  # contents: fewer cannot be parted in train, val and test in ten honest ways
MOST_GROUPS = 40  # more are not listed one by one
BEST_TEST_EPOCH = "best test epoch"  # about["choice"] of a model that has seen the test opinions


@dataclass(frozen=True)
class Measure:
    """How a measure is shown. better: +1 where higher is better, -1 where lower is, 0 where neither."""

    title: str
    digits: int
    better: int
    meaning: str


MEASURES = {
    "srcc": Measure("SRCC", 3, 1, "Spearman rank correlation with the MOS"),
    "plcc": Measure("PLCC", 3, 1, "Pearson correlation with the MOS, no curve fitted"),
    "plcc4": Measure("PLCC, 4 par.", 3, 1, "Pearson correlation after a monotone logistic fit of 4 parameters"),
    "plcc5": Measure("PLCC, 5 par.", 3, 1, "Pearson correlation after a logistic and linear fit of 5 parameters"),
    "krcc": Measure("KRCC", 3, 1, "Kendall rank correlation (tau-b)"),
    "rmse": Measure("RMSE", 2, -1, "root mean square error of the score as it is, in points of 100"),
    "rmse4": Measure("RMSE, 4 par.", 2, -1, "root mean square error after the fit of 4 parameters, points of 100"),
    "outliers": Measure("outlier ratio", 3, -1, "share of MOS further than 2 standard errors from the fitted curve"),
    "pairs": Measure("pairs right", 3, 1, "share of pairs with significantly different MOS in the right order"),
    "different": Measure("AUC different", 3, 1, "resolving power: different pairs told from similar ones"),
    "better": Measure("AUC better", 3, 1, "resolving power: the better of two different pictures told"),
    "coverage": Measure("in interval", 3, 0, "share of MOS inside the model's 90 % interval; 0.9 is right"),
    "width": Measure("width", 1, 0, "mean width of the model's 90 % interval, in points"),
}
GROUPINGS = {"content": "inside contents", "subset": "inside subsets", "distortion": "inside distortion types"}
EACH = ("subset", "distortion")  # the groupings with names that say something
OVER_SPLITS = ("srcc", "plcc", "plcc4", "krcc", "rmse4")


@dataclass(frozen=True)
class Value:
    """A number with its 95 % interval; nan where it does not exist."""

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Summary:
    """What one model is worth on one set.

    values: the keys of MEASURES, on all its pictures with cluster bootstrap intervals over contents; where the model
    was trained anew for each split (``seeds``), the mean over the splits and its interval. within: mean SRCC inside
    the groups of GROUPINGS. each: SRCC inside each subset and each distortion type, by its name. splits: some measures
    over the test parts of the splits. wanted, answers, errors: rows that the run wants, that have a score, and that
    cannot have one.
    """

    set: str
    model: str
    about: Mapping[str, Any]
    pictures: int
    contents: int
    wanted: int
    answers: int
    errors: int
    seeds: tuple[str, ...]
    values: Mapping[str, Value]
    within: Mapping[str, Value]
    each: Mapping[str, Mapping[str, Value]]
    splits: Mapping[str, Spread]
    split_count: int

    @property
    def part(self) -> tuple[str, str, tuple[str, ...]]:
        """Summaries of the same part were asked about the same pictures, and stand in one table."""
        return self.set, str(self.about.get("split", "")), self.seeds

    @property
    def trained_elsewhere(self) -> bool:
        """Whether it was trained on the splits of another set (``bench cross``), and asked about all of this one."""
        return bool(self.seeds) and self.about.get("split") == "all"

    @property
    def upper_bound(self) -> bool:
        """Whether its epoch was chosen on the test opinions, as many papers do: no fair contender."""
        return bool(self.about.get("choice") == BEST_TEST_EPOCH)


def summarise(results: Results, resamples: int = 1000) -> Summary:
    """Every measure of a model on a set. Rows without a score are counted and left out; what does not exist is nan."""
    rows = len(results.rows)
    results = answered(results)
    seeds = seeds_of(results)
    parts = [of_seed(results, seed) for seed in seeds]
    contents = contents_of(results)
    if seeds:
        single = [measures(part) for part in parts]
        values = {key: _mean([one[key] for one in single]) for key in MEASURES}
        within = {key: _mean([within_mean(part, key).value for part in parts]) for key in GROUPINGS}
        apart = [{key: inside_each(part, key) for key in EACH} for part in parts]
        each = {
            key: {name: _mean([one[key].get(name, Value()).value for one in apart]) for name in _names(results, key)}
            for key in EACH
        }
    else:
        values = _with_intervals(results, resamples)
        within = {key: within_mean(results, key, resamples) for key in GROUPINGS}
        each = {key: inside_each(results, key, resamples) for key in EACH}
        if len(set(contents)) >= SPLITTABLE:
            parts = _test_parts(results, contents)
            single = [measures(part, OVER_SPLITS) for part in parts]
    splits = {key: over_splits([one[key] for one in single]) for key in OVER_SPLITS} if parts else {}
    return Summary(
        results.set,
        results.model,
        results.about,
        len({row.image for row in results.scored}),
        len(set(contents)),
        max(rows, int(results.about.get("pictures", 0))),
        len(results.rows),
        rows - len(results.rows),
        seeds,
        values,
        within,
        each,
        splits,
        len(parts),
    )


def measures(results: Results, keys: Iterable[str] = MEASURES) -> dict[str, float]:
    """The measures as plain numbers on all scored rows together; nan where one does not exist."""
    statistics = _statistics(_Answers(results))
    return {key: statistics[key]() if key in statistics else math.nan for key in keys}


def answered(results: Results) -> Results:
    """Only the rows that have a score and an opinion, which everything else here takes for granted."""
    known = (row for row in results.scored if math.isfinite(row.score) and math.isfinite(row.mos))
    return replace(results, rows=tuple(known))


def seeds_of(results: Results) -> tuple[str, ...]:
    """The seeds of the splits that a model was trained on, in order; none where it was not."""
    return tuple(sorted({row.seed for row in results.rows if row.seed}, key=lambda s: (len(s), s)))


def of_seed(results: Results, seed: str) -> Results:
    """Only the rows of one split."""
    return replace(results, rows=tuple(row for row in results.rows if row.seed == seed))


def contents_of(results: Results) -> list[str]:
    """Which content each scored row shows: its group, or the picture itself."""
    return [row.group or row.image for row in results.scored]


def on_scale(results: Results) -> bool:
    """Whether scores are on the scale of the MOS; somebody's scores (``bench scores``) may be in any unit."""
    return bool(results.about.get("kind") != "scores")


def predicted_mos(results: Results) -> Floats:
    """What the model says the MOS is: its score, or the 4-parameter curve of it where its unit is another."""
    said, mos = results.column("score"), results.column("mos")
    return said if on_scale(results) or not fittable(said) else np.asarray(fit_logistic(said, mos)(said))


# ---- one model ------------------------------------------------------------------------------------------------------


class _Answers:
    """The scored rows as columns, and the curves through them, each made once and only where somebody asks."""

    def __init__(self, results: Results) -> None:
        self.said, self.mos, self.low, self.high, self.deviation, votes = map(
            results.column, ("score", "mos", "low", "high", "deviation", "votes")
        )
        self.on_scale = on_scale(results)
        self.has_intervals = not np.isnan(self.low + self.high).any()
        has_errors = bool(len(votes)) and bool(np.all(self.deviation >= 0) and np.all(votes > 0))
        self.error = self.deviation / np.sqrt(votes) if has_errors else None

    @cached_property
    def curve4(self) -> Floats:
        return np.asarray(fit_logistic(self.said, self.mos)(self.said))

    @cached_property
    def curve5(self) -> Floats:
        return np.asarray(fit_logistic(self.said, self.mos, parameters=5)(self.said))

    @cached_property
    def inside(self) -> Floats:
        return ((self.low <= self.mos) & (self.mos <= self.high)).astype(np.float64)

    @cached_property
    def outside(self) -> Floats:
        """Which pictures are outliers, as in ``correlation.outlier_ratio`` (VQEG: 2 standard errors)."""
        return (np.abs(self.curve4 - self.mos) > 2 * np.asarray(self.error)).astype(np.float64)

    @cached_property
    def resolving(self) -> Resolving:
        return resolving_power(self.said, self.mos, np.asarray(self.error))


def _statistics(of: _Answers) -> dict[str, Callable[[], float]]:
    """The measures that exist, not yet worked out."""
    if len(of.said) < 3:
        return {}
    found: dict[str, Callable[[], float]] = {
        "srcc": lambda: srcc(of.said, of.mos),
        "plcc": lambda: plcc(of.said, of.mos),
        "krcc": lambda: krcc(of.said, of.mos),
    }
    if of.on_scale:
        found["rmse"] = lambda: rmse(of.said, of.mos)
    if fittable(of.said):
        found["plcc4"] = lambda: plcc(of.curve4, of.mos)
        found["rmse4"] = lambda: rmse(of.curve4, of.mos)
        found["plcc5"] = lambda: plcc(of.curve5, of.mos)
    if of.error is not None:
        error = of.error
        if fittable(of.said):
            found["outliers"] = lambda: float(of.outside.mean())
        found["pairs"] = lambda: pair_accuracy(of.said, of.mos, error)
        found["different"] = lambda: of.resolving.different_or_similar
        found["better"] = lambda: of.resolving.better_or_worse
    if of.has_intervals:
        found["coverage"] = lambda: float(of.inside.mean())
        found["width"] = lambda: float(np.mean(of.high - of.low))
    return found


def _in_draws(of: _Answers) -> dict[str, Callable[[Counts], Floats]]:
    """The same measures in many draws at once: (draws, n) counts to (draws,) values. The curves are held."""

    found: dict[str, Callable[[Counts], Floats]] = {
        "srcc": lambda counts: over_draws(srcc, of.said, of.mos, counts),
        "plcc": lambda counts: over_draws(plcc, of.said, of.mos, counts),
        "krcc": lambda counts: over_draws(krcc, of.said, of.mos, counts),
        "rmse": lambda counts: over_draws(rmse, of.said, of.mos, counts),
        "plcc4": lambda counts: over_draws(plcc, of.curve4, of.mos, counts),
        "plcc5": lambda counts: over_draws(plcc, of.curve5, of.mos, counts),
        "rmse4": lambda counts: over_draws(rmse, of.curve4, of.mos, counts),
        "pairs": lambda counts: over_draws(pair_accuracy, of.said, of.mos, counts, of.error),
        "different": lambda counts: over_draws(different_or_similar, of.said, of.mos, counts, of.error),
        "better": lambda counts: over_draws(better_or_worse, of.said, of.mos, counts, of.error),
    }
    if of.error is not None and fittable(of.said):
        found["outliers"] = lambda counts: mean(of.outside, counts)
    if of.has_intervals:
        found["coverage"] = lambda counts: mean(of.inside, counts)
        found["width"] = lambda counts: mean(of.high - of.low, counts)
    return found


def _with_intervals(results: Results, resamples: int) -> dict[str, Value]:
    """The measures, each with its cluster bootstrap interval over contents."""
    of, contents = _Answers(results), contents_of(results)
    values = {key: one() for key, one in _statistics(of).items()}
    exist = {key for key, value in values.items() if not math.isnan(value)}
    todo = {key: one for key, one in _in_draws(of).items() if key in exist}
    ends = _ends(todo, contents, resamples)
    return {key: Value(values.get(key, math.nan), *ends.get(key, ())) for key in MEASURES}


def _ends(
    statistics: Mapping[str, Callable[[Counts], Floats]], contents: Sequence[str], resamples: int
) -> dict[str, tuple[float, float]]:
    """The ends of 95 % percentile intervals, all from the same draws of contents; none for a single content."""
    if not statistics or len(set(contents)) < 2:
        return {}
    found: dict[str, list[Floats]] = {key: [] for key in statistics}
    for counts in draw_counts(len(contents), resamples, groups=contents):
        for key, statistic in statistics.items():
            found[key].append(statistic(counts))
    known = {key: np.concatenate(values) for key, values in found.items()}
    known = {key: values[~np.isnan(values)] for key, values in known.items()}
    both = {key: np.quantile(values, [0.025, 0.975]) for key, values in known.items() if len(values)}
    return {key: (float(low), float(high)) for key, (low, high) in both.items()}


def within_mean(results: Results, grouping: str, resamples: int = 0) -> Value:
    """Mean SRCC inside the groups of one of GROUPINGS, nan where the rows are not grouped so (or all in one group)."""
    said, mos, contents = results.column("score"), results.column("mos"), contents_of(results)
    by_content = grouping == "content"
    names = contents if by_content and all(results.words("reference")) else []
    if not by_content:
        names = results.words(grouping)
    if len(said) < 3 or not any(names) or len(set(names)) < 2:
        return Value()
    found = within_groups(said, mos, names)
    spread = over_splits(found.values())
    if by_content:  # the groups are what is drawn
        return Value(spread.mean, spread.low, spread.high)
    strata = [np.array(names) == name for name, value in found.items() if not math.isnan(value)]

    def in_draws(counts: Counts) -> Floats:
        return np.mean([over_draws(srcc, said[at], mos[at], counts[:, at]) for at in strata], axis=0)

    ends = _ends({"srcc": in_draws}, contents, resamples) if resamples and strata else {}
    return Value(spread.mean, *ends.get("srcc", ()))


def inside_each(results: Results, grouping: str, resamples: int = 0) -> dict[str, Value]:
    """SRCC inside each group of one of EACH, by name; empty where there is one group, or very many."""
    found = {}
    for name in _names(results, grouping):
        group = replace(results, rows=tuple(row for row in results.scored if getattr(row, grouping) == name))
        of = _Answers(group)
        value = srcc(of.said, of.mos) if len(of.said) >= 3 else math.nan
        todo = {"srcc": _in_draws(of)["srcc"]} if resamples and not math.isnan(value) else {}
        found[name] = Value(value, *_ends(todo, contents_of(group), resamples).get("srcc", ()))
    return found


def _names(results: Results, grouping: str) -> list[str]:
    names = sorted(set(results.words(grouping)) - {""})
    return names if 1 < len(names) <= MOST_GROUPS else []


def _test_parts(results: Results, contents: Sequence[str]) -> list[Results]:
    """The test pictures of every seed: by the shipped splits of a published set, else by contents."""
    letters = [shipped_row(results.set, row) for row in results.scored]
    found = []
    for seed in range(SEEDS):
        parts = {} if all(letters) else content_splits(contents, seed)
        test = [parts[c] == "test" for c in contents] if parts else [said[seed] == "e" for said in letters]
        found.append(replace(results, rows=tuple(row for row, at in zip(results.scored, test, strict=True) if at)))
    return found


def fittable(said: Floats) -> bool:
    """Whether a curve can be fitted: enough scores, and not all the same."""
    return len(said) > 5 and float(np.ptp(said)) > 0


def _mean(values: Iterable[float]) -> Value:
    spread = over_splits(values)
    return Value(spread.mean, spread.low, spread.high)
