"""Correlations against scipy and against values worked out by hand."""

import math
import warnings

import numpy as np
import pytest
from scipy import stats

from iqassay.bench.correlation import bootstrap, krcc, plcc, rmse, srcc, within_groups

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
