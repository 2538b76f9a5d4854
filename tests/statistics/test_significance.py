"""Tests between models against published numbers, by hand, and on data where there is nothing to find."""

import math

import numpy as np
import pytest
from scipy import stats

from iqassay.statistics.correlation import bootstrap, plcc, rmse, srcc
from iqassay.statistics.significance import Gain, holm, paired_bootstrap, significance_matrix, williams, williams_t


def two_models(rng, n=100, noise=(1.0, 1.0), shared=0.5):
    """Two models of the same target whose mistakes are partly the same."""
    target, common, one, other = rng.normal(size=(4, n))
    said = [
        target + size * (math.sqrt(shared) * common + math.sqrt(1 - shared) * own)
        for size, own in zip(noise, (one, other), strict=True)
    ]
    return said[0], said[1], target


@pytest.mark.parametrize(
    ("r_a", "r_b", "r_ab", "n", "t", "p"),
    [
        # Silver, Hittner and May, "A FORTRAN 77 program for comparing dependent correlations", Applied Psychological
        # Measurement 30 (2006), the values that the tests of the R package cocor hold for it.
        (0.3, 0.4, 0.5, 100, -1.0767, 0.2843),
        # Steiger (1980), p. 249, case A: masculinity, femininity and verbal ability; r.test of the R package psych.
        (0.4, 0.5, 0.1, 103, -0.89, 0.37),
        # The example with the many digits in the manual of psych, r.test.
        (0.693458895410494, 0.695966022434845, 0.988475791500198, 5105, None, 0.1000759),
        # The example of "nlp-williams" (Graham and Baldwin, EMNLP 2014), there one-sided.
        (0.65, 0.55, 0.3, 50, None, 2 * 0.20928617286753592),
    ],
)
def test_published_examples(r_a, r_b, r_ab, n, t, p):
    def digits(value):
        return max(10.0 ** -len(str(value).split(".")[1]), 1e-12)

    ours = williams_t(r_a, r_b, r_ab, n)
    assert t is None or ours[0] == pytest.approx(t, abs=digits(t))
    assert ours[1] == pytest.approx(p, abs=digits(p))


def test_williams_takes_ranks_unless_told():
    a, b, target = two_models(np.random.default_rng(0), 40, noise=(0.5, 1))
    curved = np.exp(3 * a)
    for ranks, correlation in ((True, stats.spearmanr), (False, stats.pearsonr)):
        r = [correlation(*pair).statistic for pair in ((curved, target), (b, target), (curved, b))]
        assert williams(curved, b, target, ranks) == pytest.approx(williams_t(*r, 40))
    assert williams(curved, b, target) == pytest.approx(williams(a, b, target))
    assert williams(a, b, target)[0] > 0
    t, p = williams(b, a, target)
    assert (-t, p) == pytest.approx(williams(a, b, target))


def test_williams_where_the_formula_gives_out():
    a, b, target = two_models(np.random.default_rng(0), 40)
    assert williams(a, a, target) == (0, 1)
    assert williams(a, np.exp(a), target) == (0, 1)
    assert williams(a, 2 * a + 1, target, ranks=False) == (0, 1)
    t, p = williams(target, a, target)  # perfect
    assert t > 5
    assert 0 < p < 1e-4
    t, p = williams(a, -a, target)  # the same as asking whether a correlates at all
    assert t == pytest.approx(stats.spearmanr(a, target).statistic * math.sqrt(37 / (1 - srcc(a, target) ** 2)))
    assert p == pytest.approx(2 * stats.t.sf(t, 37))
    # and the formula tends to that
    assert williams_t(0.5, -0.5 + 1e-7, -1 + 1e-7, 40)[0] == pytest.approx(0.5 * math.sqrt(37 / 0.75), rel=0.01)
    assert all(math.isnan(value) for value in williams([1] * 40, b, target))
    assert all(math.isnan(value) for value in williams_t(0.5, 0.4, 0.3, 3))
    assert williams([1, 2, 3, 4], [1, 2, 4, 3], [1, 2, 3, 4])[1] > 0.05


def test_bootstrap_of_a_pair_by_hand():
    rng = np.random.default_rng(1)
    a, b, target = two_models(rng, 60, noise=(0.7, 1.0))
    gain = paired_bootstrap(a, b, target, resamples=400)
    assert gain.gain == pytest.approx(srcc(a, target) - srcc(b, target))
    gaps = []
    for _ in range(400):
        draw = rng.integers(60, size=60)
        gaps.append(srcc(a[draw], target[draw]) - srcc(b[draw], target[draw]))
    assert (gain.low, gain.high) == pytest.approx(np.quantile(gaps, [0.025, 0.975]), abs=0.04)
    assert gain.p == pytest.approx(2 * np.mean(np.array(gaps) <= 0), abs=0.06)
    assert gain == paired_bootstrap(a, b, target, resamples=400)
    back = paired_bootstrap(b, a, target, resamples=400)
    assert back == Gain(-gain.gain, pytest.approx(-gain.high), pytest.approx(-gain.low), gain.p)
    # Pairing is the point: two independent intervals would be wider than the one of the difference.
    widths = [np.ptp(bootstrap(model, target, resamples=400)) for model in (a, b)]
    assert gain.high - gain.low < 0.9 * math.hypot(*widths)


def test_bootstrap_of_a_pair_at_the_edges():
    a, b, target = two_models(np.random.default_rng(1), 60, noise=(0.1, 3.0))
    assert paired_bootstrap(a, b, target, resamples=99).p == pytest.approx(2 / 100)  # no draw on the far side: not 0
    assert paired_bootstrap(a, 3 * a, target, resamples=99) == Gain(0, 0, 0, 1)
    same = paired_bootstrap(a, 3 * a + 0.1, target, plcc, resamples=99)  # but for rounding
    assert same.p == 1
    assert same.gain == pytest.approx(0, abs=1e-12)
    assert paired_bootstrap(a, b, target, rmse, resamples=99).high < 0  # an error: less is better
    constant = paired_bootstrap([1.0] * 60, b, target, resamples=99)
    assert all(math.isnan(value) for value in vars(constant).values())
    one = paired_bootstrap(a, b, target, groups=["one"] * 60, resamples=99)
    assert one.gain > 0
    assert math.isnan(one.p)
    assert math.isnan(one.low)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"confidence": 95}, "got confidence 95"),
        ({"resamples": 3}, "got 3 resamples"),
        ({"groups": ["a"]}, "got 1 group names for 4"),
        ({"b": [1, 2, 3]}, "same length"),
        ({"b": [1, 2, 3, math.nan]}, "nan or infinite"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        paired_bootstrap(**{"a": [1, 2, 3, 4], "b": [2, 1, 3, 4], "target": [1, 2, 3, 4], **options})


def test_holm_by_hand():
    # 0.01 * 4, then 0.02 * 3, then 0.03 * 2 and 0.04 * 1, never less than the one before (R: p.adjust, "holm").
    assert holm([0.01, 0.02, 0.03, 0.04]) == pytest.approx([0.04, 0.06, 0.06, 0.06])
    assert holm([0.04, 0.001, 0.03]) == pytest.approx([0.06, 0.003, 0.06])
    assert holm([0.5, 0.9]).tolist() == [1, 1]
    assert holm([[math.nan, 0.04], [0.01, math.nan]]) == pytest.approx(
        np.array([[math.nan, 0.04], [0.02, math.nan]]), nan_ok=True
    )
    assert holm([]).shape == (0,)


@pytest.mark.slow
def test_nothing_is_found_where_there_is_nothing():
    """Each test calls about 5 % of equal models different, Williams's on ranks a little more; 250 sets."""
    rng = np.random.default_rng(4)
    found = {"williams": 0, "on ranks": 0, "bootstrap": 0}
    for i in range(250):
        a, b, target = two_models(rng, 50)
        found["williams"] += williams(a, b, target, ranks=False)[1] < 0.05
        found["on ranks"] += williams(a, b, target)[1] < 0.05
        found["bootstrap"] += paired_bootstrap(a, b, target, resamples=199, seed=i).p < 0.05
    assert 5 <= found["williams"] <= 20, found
    assert 5 <= found["on ranks"] <= 28, found
    assert 3 <= found["bootstrap"] <= 20, found


@pytest.mark.slow
def test_versions_of_one_content_are_no_witnesses_of_their_own():
    """Equal models, whose mistakes belong to the content: only the test that knows the contents is not taken in."""
    rng = np.random.default_rng(5)
    alone = together = 0
    contents = [f"{i // 8}" for i in range(240)]
    for i in range(60):
        a, b, target = (np.repeat(values, 8) + 0.3 * rng.normal(size=240) for values in two_models(rng, 30))
        alone += paired_bootstrap(a, b, target, resamples=199, seed=i).p < 0.05
        together += paired_bootstrap(a, b, target, groups=contents, resamples=199, seed=i).p < 0.05
    assert alone > 20
    assert together < 9


def test_matrix():
    rng = np.random.default_rng(6)
    target = rng.normal(size=300)
    said = {
        "good": target + 0.3 * rng.normal(size=300),
        "twin": target + 0.3 * rng.normal(size=300),
        "poor": target + 2.0 * rng.normal(size=300),
        "reversed": -target + 0.3 * rng.normal(size=300),
        "constant": np.ones(300),
    }
    found = significance_matrix(said, target, resamples=200)
    assert found.names == tuple(said)
    assert found.better[:4, :4].tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [-1, -1, 0, 1], [-1, -1, -1, 0]]
    assert np.all(found.better[4] == 0)
    assert np.all(np.isnan(found.p[4]))
    assert np.all(np.isnan(np.diag(found.gain)))
    assert found.gain[0, 2] == pytest.approx(srcc(said["good"], target) - srcc(said["poor"], target))
    assert found.gain[2, 0] == -found.gain[0, 2]
    assert found.low[0, 2] < found.gain[0, 2] < found.high[0, 2]
    assert (found.low[2, 0], found.high[2, 0]) == (-found.high[0, 2], -found.low[0, 2])
    # Ten pairs, so 1,000 draws; six of them exist, and the strongest p is six times the smallest there can be.
    assert found.p[0, 3] == found.p[3, 0] == pytest.approx(6 * 2 / 1001)
    assert found.p_williams[0, 2] < 1e-6
    assert found.p_williams[0, 1] > 0.05
    with pytest.raises(ValueError, match="got 1 models"):
        significance_matrix({"good": target}, target)
