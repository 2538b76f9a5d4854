"""The measures of the protocol beside scipy and beside plain definitions, on made-up scores: values and seconds.

    python benchmarks/checks/check_measures.py [--out benchmarks/checks/measures.csv]

Seconds are of the processor. "ties": scores and MOS rounded to whole points. "one by one": the plain definition, in a
loop. curve_fit: the best of 30 starts.
"""

from __future__ import annotations

import argparse
import csv
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from scipy.optimize import curve_fit

from iqassay.statistics import correlation as ours
from iqassay.statistics.significance import paired_bootstrap, williams, williams_t

CURVES: dict[int, Callable[..., np.ndarray]] = {
    4: lambda x, b1, b2, b3, b4: b2 + (b1 - b2) / (1 + np.exp(-(x - b3) / abs(b4))),
    5: lambda x, b1, b2, b3, b4, b5: b1 * (0.5 - 1 / (1 + np.exp(b2 * (x - b3)))) + b4 * x + b5,
}


def opinions(n: int, digits: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores that saturate, MOS, and standard errors of the MOS."""
    rng = np.random.default_rng(seed)
    target = rng.uniform(5, 95, n)
    predicted = 100 / (1 + np.exp(-(target - 45) / 12)) + rng.normal(0, 10, n)
    return np.round(predicted, digits), np.round(target, digits), rng.uniform(2, 6, n)


def fitted_by_curve_fit(x: np.ndarray, y: np.ndarray, parameters: int) -> float:
    """PLCC after scipy's own fit."""
    best, unit = 0.0, np.std(x)
    for steep in (0.1, 0.3, 1, 3, 10, 30):
        for middle in np.quantile(x, [0.1, 0.3, 0.5, 0.7, 0.9]):
            start = [y.max(), y.min(), middle, unit / steep] if parameters == 4 else [40, steep / unit, middle, 0, 50]
            try:
                found, _ = curve_fit(CURVES[parameters], x, y, start, maxfev=3000)
            except RuntimeError:
                continue
            best = max(best, stats.pearsonr(CURVES[parameters](x, *found), y).statistic)
    return best


def by_loops(x: np.ndarray, y: np.ndarray, e: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By how much the better of each different pair leads, and how far the others are apart."""
    lead, similar = [], []
    for i in range(len(x)):
        for j in range(i):
            if abs(y[i] - y[j]) > 1.959963984540054 * np.hypot(e[i], e[j]):
                lead.append((x[i] - x[j]) * np.sign(y[i] - y[j]))
            else:
                similar.append(abs(x[i] - x[j]))
    return np.array(lead), np.array(similar)


def accuracy(*opinions: np.ndarray) -> float:
    lead, _ = by_loops(*opinions)
    return float(np.mean((lead > 0) + 0.5 * (lead == 0)))


def area_different(*opinions: np.ndarray) -> float:
    lead, similar = by_loops(*opinions)
    return stats.mannwhitneyu(abs(lead), similar).statistic / len(lead) / len(similar)


def area_better(*opinions: np.ndarray) -> float:
    lead, _ = by_loops(*opinions)
    return stats.mannwhitneyu(lead, -lead).statistic / len(lead) ** 2


def timed(function: Callable[..., float], *inputs: Any) -> tuple[float, float]:
    start = time.process_time()
    value = float(function(*inputs))
    return value, time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the table to this CSV file too")
    out = parser.parse_args().out
    warnings.simplefilter("ignore")
    rows = [("measure", "pictures", "other", "ours", "theirs", "gap", "seconds_ours", "seconds_theirs")]

    def compare(name: str, n: int, other: str, mine: Callable, theirs: Callable, *inputs: Any) -> None:
        (a, a_time), (b, b_time) = timed(mine, *inputs), timed(theirs, *inputs)
        rows.append(
            (name, str(n), other, f"{a:.6f}", f"{b:.6f}", f"{abs(a - b):.1e}", f"{a_time:.3f}", f"{b_time:.3f}")
        )
        print("  ".join(rows[-1]))

    correlations = (("SRCC", ours.srcc, stats.spearmanr), ("PLCC", ours.plcc, stats.pearsonr),
                    ("KRCC", ours.krcc, stats.kendalltau))  # fmt: skip
    of_pairs = (ours.pair_accuracy, ours.different_or_similar, ours.better_or_worse)
    for digits, ties in ((6, ""), (0, ", ties")):
        x, y, e = opinions(2000, digits)
        for name, mine, theirs in correlations:
            compare(name + ties, 2000, f"scipy {theirs.__name__}", mine, first_of(theirs), x, y)
        for parameters in (4, 5):
            name = f"PLCC after {parameters} parameters{ties}"
            compare(name, 2000, "scipy curve_fit", ours.plcc_fitted, fitted_by_curve_fit, x, y, parameters)
        x, y, e = opinions(300, digits)
        for measure, plain in zip(of_pairs, (accuracy, area_different, area_better), strict=True):
            compare(measure.__name__ + ties, 300, "pairs one by one", measure, plain, x, y, e)

    x, y, e = opinions(2000, 6)
    for measure in (ours.srcc, ours.plcc, ours.rmse):
        name = f"{measure.__name__}, width of interval, 1000 draws"
        compare(name, 2000, "all draws one by one", width, width_of_plain, x, y, measure, None)
    x, y, e = opinions(100, 6)
    for measure in of_pairs:
        name = f"{measure.__name__}, width of interval, 1000 draws"
        compare(name, 100, "all draws one by one", width, width_of_plain, x, y, measure, e)

    r = 0.693458895410494, 0.695966022434845, 0.988475791500198
    compare("Williams, p", 5105, "manual of R's psych", lambda *v: williams_t(*v)[1], lambda *v: 0.1000759, *r, 5105)
    for name, share in equal_models_called_different(1000, 200).items():
        compare(f"{name}, share of p < 0.05 for equal models", 200, "nominal", float, lambda _: 0.05, share)
    if out:
        with open(out, "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


def first_of(test: Callable) -> Callable[..., float]:
    return lambda *values: test(*values)[0]


def width(x: np.ndarray, y: np.ndarray, statistic: Callable[..., float], e: np.ndarray | None) -> float:
    low, high = ours.bootstrap(x, y, statistic, error=e)
    return high - low


def width_of_plain(x: np.ndarray, y: np.ndarray, statistic: Callable[..., float], e: np.ndarray | None) -> float:
    """A function that is not known is called once a draw."""
    return width(x, y, lambda *values: statistic(*values), e)


def equal_models_called_different(times: int, n: int) -> dict[str, float]:
    rng = np.random.default_rng(1)
    found = np.zeros(3)
    for seed in range(times):
        target, common, one, other = rng.normal(size=(4, n))
        a, b = target + 0.5 * common + 0.5 * one, target + 0.5 * common + 0.5 * other
        p = williams(a, b, target, False)[1], williams(a, b, target)[1], paired_bootstrap(a, b, target, seed=seed).p
        found += np.array(p) < 0.05
    return dict(zip(("Williams", "Williams on ranks", "paired bootstrap of SRCC"), found / times, strict=True))


if __name__ == "__main__":
    main()
