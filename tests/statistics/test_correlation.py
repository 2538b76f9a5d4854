"""Correlations against scipy and against values worked out by hand."""

import math
import warnings

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import curve_fit

from iqassay.statistics import pairs
from iqassay.statistics.correlation import (
    better_or_worse,
    bootstrap,
    different_or_similar,
    fit_logistic,
    krcc,
    mean_within_groups,
    outlier_ratio,
    over_draws,
    over_splits,
    pair_accuracy,
    plcc,
    plcc_fitted,
    resolving_power,
    rmse,
    rmse_fitted,
    srcc,
    within_groups,
)
from iqassay.statistics.draws import draw_counts
from iqassay.statistics.logistic import Logistic

CORRELATIONS = [srcc, plcc, krcc]


@pytest.fixture
def noisy():
    rng = np.random.default_rng(7)
    target = rng.normal(size=300)
    return target + rng.normal(size=300), target


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(
    ("ours", "theirs"), [(srcc, stats.spearmanr), (plcc, stats.pearsonr), (krcc, stats.kendalltau)]
)
def test_agrees_with_scipy(ours, theirs, ties, noisy):
    x, y = (np.round(v) if ties else v for v in noisy)
    assert ours(x, y) == pytest.approx(theirs(x, y).statistic, abs=1e-12)


def test_hand_computed_without_ties():
    # Ranks differ by 1, 1, 0, 0: Spearman = 1 - 6 * 2 / (4 * 15); one of six pairs is swapped: Kendall = (5 - 1) / 6.
    x, y = [2, 1, 3, 4], [1, 2, 3, 10]
    assert srcc(x, y) == pytest.approx(0.8)
    assert krcc(x, y) == pytest.approx(4 / 6)
    # Deviations (-.5, -1.5, .5, 1.5) and (-3, -2, -1, 6): 13 / sqrt(5 * 50).
    assert plcc(x, y) == pytest.approx(13 / math.sqrt(250))
    assert rmse(x, y) == pytest.approx(math.sqrt((1 + 1 + 0 + 36) / 4))


def test_hand_computed_with_ties():
    # Mean ranks 1.5, 1.5, 3 against 1, 2, 3; of three pairs two agree and one is tied: tau-b = 2 / sqrt(2 * 3).
    assert srcc([5, 5, 9], [1, 2, 3]) == pytest.approx(1.5 / math.sqrt(1.5 * 2))
    assert krcc([5, 5, 9], [1, 2, 3]) == pytest.approx(2 / math.sqrt(6))


@pytest.mark.parametrize("correlation", CORRELATIONS)
def test_range_and_direction(correlation):
    x = np.arange(20.0)
    assert correlation(x, 3 * x + 1) == pytest.approx(1)
    assert correlation(x, -x) == pytest.approx(-1)


def test_ranks_ignore_a_monotone_curve_and_plcc_does_not():
    x = np.arange(1.0, 30.0)
    assert srcc(x, np.exp(x)) == pytest.approx(1)
    assert krcc(x, np.exp(x)) == pytest.approx(1)
    assert plcc(x, np.exp(x)) < 0.7


def test_rmse_of_equal_scores_is_zero():
    assert rmse([1, 2, 3], [1, 2, 3]) == 0


def test_extreme_magnitudes():
    assert plcc(np.array([1, 2, 4]) * 1e150, np.array([1, 2, 4]) * 1e-150) == pytest.approx(1)


@pytest.mark.parametrize("correlation", CORRELATIONS)
@pytest.mark.parametrize("pair", [([2, 2, 2], [1, 2, 3]), ([1, 2, 3], [0.1, 0.1, 0.1])])
def test_constant_gives_nan_quietly(correlation, pair):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(correlation(*pair))


@pytest.mark.parametrize("statistic", [*CORRELATIONS, rmse, bootstrap])
@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([1, 2, 3], [1, 2, 3, 4], "same length"),
        ([[1, 2, 3]], [[1, 2, 3]], "flat"),
        ([1, 2], [1, 2], "3 or more"),
        ([], [], "3 or more"),
        ([1, math.nan, 3], [1, 2, 3], "predicted"),
        ([1, 2, 3], [1, 2, math.inf], "target"),
    ],
)
def test_bad_input(statistic, x, y, message):
    with pytest.raises(ValueError, match=message):
        statistic(x, y)


def test_bootstrap_holds_the_value_repeats_and_narrows(noisy):
    x, y = noisy
    low, high = bootstrap(x, y, resamples=200)
    assert low < srcc(x, y) < high
    assert (low, high) == bootstrap(x, y, resamples=200)
    assert (low, high) != bootstrap(x, y, resamples=200, seed=1)
    few = bootstrap(x[:40], y[:40], resamples=200)
    assert few[1] - few[0] > 1.5 * (high - low)
    half = bootstrap(x, y, confidence=0.5, resamples=200)
    assert low < half[0] < half[1] < high


def test_bootstrap_width_agrees_with_theory():
    # For bivariate normal data the Fisher transform of Pearson's r has standard deviation 1 / sqrt(n - 3).
    rng = np.random.default_rng(0)
    x, y = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], size=1000).T
    low, high = np.arctanh(bootstrap(x, y, plcc))
    assert high - low == pytest.approx(2 * 1.96 / math.sqrt(997), rel=0.15)


def test_bootstrap_of_a_constant_is_nan():
    assert all(math.isnan(value) for value in bootstrap([1, 1, 1, 1], [1, 2, 3, 4], resamples=20))


@pytest.mark.parametrize(("option", "value"), [("confidence", 0), ("confidence", 95), ("resamples", 1)])
def test_bootstrap_options(option, value):
    with pytest.raises(ValueError, match=r"got .* want"):
        bootstrap([1, 2, 3], [1, 2, 3], **{option: value})


def test_within_groups_takes_away_what_the_groups_alone_earn():
    # Two groups with very different means; inside each, the prediction is exactly backwards.
    predicted = [3, 2, 1, 103, 102, 101]
    target = [1, 2, 3, 101, 102, 103]
    groups = ["low"] * 3 + ["high"] * 3
    assert srcc(predicted, target) > 0.5
    assert within_groups(predicted, target, groups) == {"high": pytest.approx(-1), "low": pytest.approx(-1)}
    assert within_groups(predicted, target, groups, rmse)["low"] == pytest.approx(math.sqrt(8 / 3))


def test_within_groups_small_group_and_bad_names():
    values = within_groups([1, 2, 3, 4], [1, 2, 3, 4], ["a", "a", "a", "b"])
    assert values["a"] == pytest.approx(1)
    assert math.isnan(values["b"])
    with pytest.raises(ValueError, match="got 1 group names for 3 values"):
        within_groups([1, 2, 3], [1, 2, 3], ["a"])


# Curves


def vqeg(x, b1, b2, b3, b4):
    """The report's own form, written out."""
    return b2 + (b1 - b2) / (1 + np.exp(-(x - b3) / np.abs(b4)))


def sheikh(x, b1, b2, b3, b4, b5):
    return b1 * (0.5 - 1 / (1 + np.exp(b2 * (x - b3)))) + b4 * x + b5


@pytest.mark.parametrize("direction", [1, -1])
def test_four_parameters_are_found_again(direction):
    x = direction * np.linspace(20, 50, 200)
    fitted = fit_logistic(x, vqeg(direction * x, 90, 12, 33, 3))
    top, bottom, middle, width = fitted.parameters
    expected = (90, 12) if direction == 1 else (12, 90)
    assert (top, bottom) == pytest.approx(expected, rel=1e-3)
    assert (middle, width) == pytest.approx((33 * direction, 3), rel=1e-3)
    assert fitted([[33.0 * direction]]) == pytest.approx(np.array([[51]]), rel=1e-3)


def test_five_parameters_are_found_again():
    x = np.linspace(0, 1, 200)
    y = sheikh(x, 30, 14, 0.4, 25, 40)
    fitted = fit_logistic(x, y, parameters=5)
    assert fitted(x) == pytest.approx(y, abs=0.01)
    assert fitted.parameters == pytest.approx((30, 14, 0.4, 25, 40), rel=0.02)
    assert fitted(x) == pytest.approx(sheikh(x, *fitted.parameters), rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("parameters", "curve"), [(4, vqeg), (5, sheikh)])
@pytest.mark.parametrize("kind", ["saturated", "ssim", "line", "step", "outlier", "reversed"])
def test_curve_is_as_near_as_curve_fit_from_many_starts(parameters, curve, kind):
    rng = np.random.default_rng(3)
    u = rng.uniform(-2, 2, 120)
    noise = rng.normal(0, 6, 120)
    x, y = {
        "saturated": (u, 50 + 40 * np.tanh(2 * u) + noise),
        "ssim": (1 - np.exp(-3 - 2 * u), 50 + 15 * u + noise),  # crowded below 1
        "line": (u, 50 + 15 * u + noise),
        "step": (u, np.where(u > 0.3, 70, 30) + noise),
        "outlier": (np.append(u[:-1], 40), 50 + 15 * u + noise),
        "reversed": (-u, 50 + 40 * np.tanh(2 * u) + noise),
    }[kind]
    best = np.inf
    for steep in (0.1, 1, 10):
        for middle in np.quantile(x, [0.1, 0.5, 0.9]):
            span = np.std(x)
            start = [y.max(), y.min(), middle, span / steep] if parameters == 4 else [40, steep / span, middle, 0, 50]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    found, _ = curve_fit(curve, x, y, start, maxfev=2000)
                    best = min(best, rmse(curve(x, *found), y))
                except RuntimeError:
                    continue
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = rmse_fitted(x, y, parameters)
    assert ours <= best * 1.003


@pytest.mark.slow
@pytest.mark.parametrize("parameters", [4, 5])
def test_never_worse_than_a_line_on_data_of_every_kind(parameters):
    rng = np.random.default_rng(0)
    for n in (6, 60):
        for power in (1, 3, -1):
            x = rng.uniform(0.1, 1, n) ** power * 10.0 ** rng.integers(-8, 9)
            y = np.round(rng.normal(3, 1, n) + rng.choice([-3, 0, 3]) * x / x.max(), 1)
            fitted, raw = plcc_fitted(x, y, parameters), abs(plcc(x, y))
            assert raw - 1e-5 <= fitted <= 1
            assert plcc_fitted(-x, y, parameters) == pytest.approx(fitted, abs=1e-4)  # direction is hidden by the fit
            assert rmse_fitted(x, y, parameters) == pytest.approx(np.std(y) * math.sqrt(1 - fitted**2), abs=1e-6)


@pytest.mark.parametrize("parameters", [4, 5])
def test_a_line_stays_a_line(parameters):
    x = np.linspace(-3, 9, 200)
    assert fit_logistic(x, 2 * x + 1, parameters)(x) == pytest.approx(2 * x + 1, abs=1e-4)
    x[-1] = 1e3  # one far point does not bend it either
    assert fit_logistic(x, 2 * x + 1, parameters)(x) == pytest.approx(2 * x + 1, abs=0.1)


def test_four_parameters_are_monotone_and_five_need_not_be():
    rng = np.random.default_rng(1)
    x = rng.uniform(0, 10, 100)
    y = (x - 5) ** 2 + rng.normal(0, 2, 100)
    grid = np.linspace(0, 10, 500)
    four, five = np.diff(fit_logistic(x, y)(grid)), np.diff(fit_logistic(x, y, 5)(grid))
    assert np.all(four >= 0) or np.all(four <= 0)
    assert np.any(five > 0)
    assert np.any(five < 0)


@pytest.mark.slow
def test_a_curve_flatters_small_sets():
    rng = np.random.default_rng(0)
    raw, fitted = [], []
    for _ in range(25):
        x, y = rng.normal(size=(2, 20))
        raw.append(plcc(x, y))
        fitted.append(plcc_fitted(x, y))
    assert abs(np.mean(raw)) < 0.12
    assert np.mean(fitted) > 0.25


def test_constants_and_few_points():
    constant = fit_logistic([2, 2, 2, 2, 2], [1, 2, 3, 4, 5])
    assert constant([0, 9]) == pytest.approx([3, 3])
    assert fit_logistic([1, 2, 3, 4, 5], [7] * 5, 5)([0, 9]) == pytest.approx([7, 7])
    assert math.isnan(plcc_fitted([2, 2, 2, 2, 2], [1, 2, 3, 4, 5]))
    assert math.isnan(plcc_fitted([1, 2, 3, 4], [1, 2, 4, 3]))  # four points, four parameters: always 1
    assert math.isnan(rmse_fitted([1, 2, 3, 4, 5], [1, 2, 4, 3, 5], 5))
    assert math.isnan(outlier_ratio([1, 2, 3, 4], [1, 2, 4, 3], np.ones(4)))
    assert fit_logistic([1, 2, 3], [1, 2, 4])([1, 2, 3]) == pytest.approx([1, 2, 4], abs=0.1)
    with pytest.raises(ValueError, match=r"got 3 parameters, want 4 .* or 5"):
        fit_logistic([1, 2, 3], [1, 2, 3], 3)
    with pytest.raises(ValueError, match="same length"):
        fit_logistic([1, 2, 3], [1, 2])


def test_logistic_far_outside_the_data_is_quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Logistic((90.0, 10.0, 0.0, 1e-3))([-1e6, 1e6]) == pytest.approx([10, 90])


def test_outlier_ratio_counts_what_lies_further_than_two_standard_errors_from_the_curve():
    x = np.linspace(0, 10, 40)
    y = vqeg(x, 90, 10, 5, 1.0)
    y[[5, 20, 30]] += [9, -11, 5]
    residual = np.abs(y - fit_logistic(x, y)(x))
    assert outlier_ratio(x, y, np.full(40, 3.0)) == pytest.approx(2 / 40)
    assert outlier_ratio(x, y, np.full(40, 1.8)) == pytest.approx(3 / 40)
    assert outlier_ratio(x, y, residual / 2.001) == 1
    assert outlier_ratio(x, y, residual / 1.999) == 0


# Pairs


@pytest.fixture
def opinions():
    rng = np.random.default_rng(5)
    target = np.round(rng.uniform(0, 100, 70))
    return np.round(target + rng.normal(0, 20, 70), -1), target, rng.uniform(2, 8, 70)  # with ties on both sides


def by_loops(predicted, target, error, z):
    """Leads of the pairs that differ, and sizes of those that do not, in plain Python."""
    lead, similar = [], []
    for i in range(len(target)):
        for j in range(i):
            gap = target[i] - target[j]
            if abs(gap) / math.hypot(error[i], error[j]) > z:
                lead.append((predicted[i] - predicted[j]) * (1 if gap > 0 else -1))
            else:
                similar.append(abs(predicted[i] - predicted[j]))
    return np.array(lead), np.array(similar)


def auc(positive, negative):
    return stats.mannwhitneyu(positive, negative).statistic / (len(positive) * len(negative))


@pytest.mark.parametrize(("confidence", "z"), [(0.95, 1.959964), (0.9, 1.644854)])
def test_pairs_against_loops_and_mann_whitney(opinions, confidence, z):
    lead, similar = by_loops(*opinions, z)
    assert pair_accuracy(*opinions, confidence) == pytest.approx(np.mean((lead > 0) + 0.5 * (lead == 0)))
    found = resolving_power(*opinions, confidence)
    assert (found.different, found.similar) == (len(lead), len(similar))
    assert found.different_or_similar == pytest.approx(auc(np.abs(lead), similar))
    assert found.better_or_worse == pytest.approx(auc(lead, -lead))
    assert found.right_at_zero == pytest.approx(np.mean(lead > 0))
    assert np.any(lead == 0)  # else the ties above are not tried
    if confidence == 0.95:
        assert different_or_similar(*opinions) == found.different_or_similar
        assert better_or_worse(*opinions) == found.better_or_worse


def test_pairs_by_hand():
    # Errors 1 and 1: apart from 1.96 * sqrt(2) = 2.77 on. Different: (0, 10), (0, 11), (10, 0), ..., not (10, 11).
    assert pair_accuracy([1, 5, 5], [0, 10, 11], [1, 1, 1]) == 1
    assert pair_accuracy([1, 1, 5], [0, 10, 11], [1, 1, 1]) == 0.75
    assert pair_accuracy([9, 1, 5], [0, 10, 11], [1, 1, 1]) == 0
    found = resolving_power([1, 5, 6], [0, 10, 11], [1, 1, 1])
    assert (found.different_or_similar, found.better_or_worse, found.right_at_zero) == (1, 1, 1)
    assert (found.different, found.similar) == (2, 1)
    constant = resolving_power([3, 3, 3], [0, 10, 11], [1, 1, 1])
    assert (constant.different_or_similar, constant.better_or_worse, constant.right_at_zero) == (0.5, 0.5, 0)


def test_pairs_of_one_kind_only():
    alike, apart = resolving_power([1, 2, 3], [4, 4, 5], [9, 9, 9]), resolving_power([1, 2, 3], [1, 2, 3], [0, 0, 0])
    assert math.isnan(pair_accuracy([1, 2, 3], [4, 4, 5], [9, 9, 9]))
    assert math.isnan(alike.better_or_worse)
    assert math.isnan(alike.right_at_zero)
    assert math.isnan(alike.different_or_similar)
    assert (alike.different, alike.similar) == (0, 3)
    assert math.isnan(apart.different_or_similar)
    assert apart.better_or_worse == 1
    assert all(math.isnan(end) for end in bootstrap([1, 2, 3], [4, 4, 5], pair_accuracy, error=[9, 9, 9]))


@pytest.mark.parametrize("measure", [pair_accuracy, resolving_power, outlier_ratio])
@pytest.mark.parametrize(
    ("error", "message"),
    [([1, 1], "got 2 errors for 3"), ([1, -1, 1], "got an error of -1"), ([1, math.nan, 1], "infinite in error")],
)
def test_bad_errors(measure, error, message):
    with pytest.raises(ValueError, match=message):
        measure([1, 2, 3], [1, 2, 3], error)


def test_some_pairs_stand_for_all(monkeypatch):
    rng = np.random.default_rng(0)
    # Sorted by content and level, as label files are: a sample at one distance would see equal levels only.
    target = np.tile(np.linspace(10, 90, 5), 120) + rng.normal(0, 5, 600)
    predicted = target + rng.normal(0, 15, 600)
    error = np.full(600, 4.0)
    every, accuracy = resolving_power(predicted, target, error), pair_accuracy(predicted, target, error)
    monkeypatch.setattr(pairs, "MOST_PAIRS", 20_000)
    some = resolving_power(predicted, target, error)
    assert every.different + every.similar == 600 * 599 / 2
    assert 15_000 < some.different + some.similar <= 20_000
    assert pair_accuracy(predicted, target, error) == pytest.approx(accuracy, abs=0.01)
    assert some.better_or_worse == pytest.approx(every.better_or_worse, abs=0.01)
    assert some.different_or_similar == pytest.approx(every.different_or_similar, abs=0.02)


# Draws


def literal(statistic):
    """The same statistic, unknown to ``over_draws``, so that each draw is made and handed over."""
    return lambda *values: statistic(*values)


@pytest.mark.parametrize("statistic", [srcc, plcc, rmse])
@pytest.mark.parametrize("digits", [6, 0])
@pytest.mark.parametrize("grouped", [False, True])
def test_all_draws_at_once_are_the_draws_one_by_one(statistic, digits, grouped, noisy):
    x, y = (np.round(values[:90], digits) for values in noisy)
    groups = [f"content {i // 4}" for i in range(90)] if grouped else None
    (counts,) = draw_counts(90, 40, groups=groups)
    expected = over_draws(literal(statistic), x, y, counts)
    assert np.ptp(expected) > 0.05
    assert over_draws(statistic, x, y, counts) == pytest.approx(expected, abs=1e-12)
    assert over_draws(statistic, x * 1e6 + 1e9, y, counts)[0] != 0


def test_draws_of_one_value_have_no_correlation():
    counts = np.array([[3, 0, 0], [0, 2, 1], [2, 0, 1]])
    for statistic in (srcc, plcc):
        values = over_draws(statistic, np.array([1.0, 2, 5]), np.array([1.0, 7, 1]), counts)
        assert np.isnan(values).tolist() == [True, False, True]
        assert values[1] == pytest.approx(-1)


def test_counts_are_of_whole_groups_and_unnamed_pictures_stand_alone():
    (counts,) = draw_counts(6, 200, groups=["a", "b", "a", "", "", "b"])
    assert np.array_equal(counts[:, 0], counts[:, 2])
    assert np.array_equal(counts[:, 1], counts[:, 5])
    assert not np.array_equal(counts[:, 3], counts[:, 4])
    assert np.all(counts[:, [0, 1, 3, 4]].sum(axis=1) == 4)
    assert counts.mean() == pytest.approx(1, abs=0.1)


def test_many_draws_come_in_blocks(monkeypatch):
    monkeypatch.setattr("iqassay.statistics.draws._COUNTS", 100)
    monkeypatch.setattr("iqassay.statistics.draws._BLOCK", 30)
    blocks = list(draw_counts(9, 25))
    assert [len(block) for block in blocks] == [11, 11, 3]
    assert np.all(np.concatenate(blocks).sum(axis=1) == 9)
    assert bootstrap(np.arange(9), [1, 3, 2, 5, 4, 7, 6, 9, 8], resamples=25)[1] <= 1
    assert over_splits([0.5, 0.7]).high == 0.7


@pytest.mark.slow
@pytest.mark.parametrize("statistic", [pair_accuracy, different_or_similar, better_or_worse])
def test_intervals_of_pair_measures_agree_with_draws_one_by_one(statistic, opinions):
    predicted, target, error = opinions
    value = statistic(predicted, target, error)
    low, high = bootstrap(predicted, target, statistic, error=error, resamples=400)
    plain = bootstrap(predicted, target, literal(statistic), error=error, resamples=400)
    assert low < value < high
    assert high - low == pytest.approx(plain[1] - plain[0], rel=0.2)
    assert (low, high) == pytest.approx(plain, abs=0.04)


def test_pictures_of_one_content_are_drawn_together():
    # Each picture ten times over: nothing new is known, and only the plain bootstrap believes that there is.
    rng = np.random.default_rng(2)
    target = rng.normal(size=60)
    predicted = target + rng.normal(size=60)
    once = np.ptp(bootstrap(predicted, target))
    tenfold, groups = (np.repeat(predicted, 10), np.repeat(target, 10)), [f"{i // 10}" for i in range(600)]
    assert np.ptp(bootstrap(*tenfold)) < 0.5 * once
    assert np.ptp(bootstrap(*tenfold, groups=groups)) == pytest.approx(once, rel=0.1)
    assert all(math.isnan(end) for end in bootstrap(predicted, target, groups=["one"] * 60))
    assert bootstrap(predicted, target, groups=[""] * 60) == pytest.approx(bootstrap(predicted, target), abs=0.03)
    with pytest.raises(ValueError, match="got 1 group names for 60"):
        bootstrap(predicted, target, groups=["one"])


# Splits and groups


def test_over_splits():
    values = [0.9, 0.8, 0.85, 0.95, math.nan, 0.7, 0.9, 0.88, 0.91, 0.6, 0.93]
    known = np.array([value for value in values if value == value])
    spread = over_splits(values)
    assert (spread.median, spread.mean) == pytest.approx((np.median(known), known.mean()))
    # About 1.96 standard errors of the mean, by the divisor n that drawing from the values themselves implies.
    reach = 1.96 * known.std() / math.sqrt(len(known))
    assert (spread.low, spread.high) == pytest.approx((known.mean() - reach, known.mean() + reach), abs=0.01)
    assert spread == over_splits(values)


def test_over_few_splits():
    one = over_splits([0.5])
    assert (one.median, one.mean) == (0.5, 0.5)
    assert math.isnan(one.low)
    assert all(math.isnan(value) for value in vars(over_splits([math.nan])).values())
    assert over_splits([0.5, 0.5]).high == 0.5


def test_mean_within_groups():
    predicted, target = [1, 2, 3, 3, 2, 1, 5, 5, 5, 7], [1, 2, 3, 1, 2, 3, 1, 2, 3, 9]
    groups = ["a"] * 3 + ["b"] * 3 + ["constant"] * 3 + ["alone"]
    assert mean_within_groups(predicted, target, groups) == pytest.approx(0)
    assert mean_within_groups(predicted, target, groups, rmse) == pytest.approx(
        np.mean([0, math.sqrt(8 / 3), math.sqrt((16 + 9 + 4) / 3)])
    )
    assert math.isnan(mean_within_groups(predicted[:3], target[:3], ["a", "b", "c"]))
