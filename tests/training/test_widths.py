"""The width of a panel's interval: it follows what errors follow, and holds nine in ten."""

import numpy as np
import pytest

from iqassay.scoring.model_file import TRAITS, Width
from iqassay.training.widths import WIDEST, coverage_text, ends, expected, fit_interval, fit_width, on_scale_of


def pictures(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Scores, opinions and traits of pictures whose errors grow with the spread and shrink where nothing is wrong."""
    rng = np.random.default_rng(seed)
    score = rng.uniform(10, 90, count)
    traits = {name: rng.uniform(0, 1, count) for name in TRAITS}
    traits |= {"spread": rng.uniform(0.7, 2.5, count), "score": score / 100, "curve": (score / 100) ** 2}
    size = np.exp(0.3 + 0.8 * traits["spread"] - 0.7 * traits["none"])
    return score, score + rng.laplace(0, size), traits


def test_the_width_finds_what_errors_follow():
    score, truth, traits = pictures(4000, 0)
    width = fit_width(truth - score, traits)
    assert width.weights["spread"] == pytest.approx(0.8, abs=0.15)
    assert width.weights["none"] == pytest.approx(-0.7, abs=0.25)
    assert abs(width.weights["map"]) < 0.2
    doubt = expected(width, traits)
    assert width.least <= doubt.min()
    assert doubt.max() <= width.most
    assert doubt.max() > 3 * doubt.min()


def test_a_trait_that_is_always_the_same_has_no_weight():
    score, truth, traits = pictures(200, 0)
    width = fit_width(truth - score, traits | {"map": np.full(200, 0.3)})
    assert "map" not in width.weights
    assert set(width.weights) == set(TRAITS) - {"map"}


def test_the_interval_holds_nine_in_ten_wherever_it_is_narrow_or_wide():
    score, truth, traits = pictures(2000, 1)
    interval = fit_interval(score, truth, traits, slice(0, None, 2), slice(1, None, 2))
    score, truth, traits = pictures(20_000, 2)
    low, high = ends(interval, score, traits)
    inside = (truth >= low) & (truth <= high)
    assert 0.87 < inside.mean() < 0.93
    wide = high - low
    assert wide.max() <= WIDEST + 1e-9
    parts = np.array_split(np.argsort(wide), 4)
    for part in parts[:3]:  # the widest quarter is cut at 50 points
        assert 0.85 < inside[part].mean() < 0.95
    known, opinion, _ = pictures(2000, 1)
    same = {"map": np.zeros(2000)}
    plain = fit_interval(known, opinion, same, slice(0, None, 2), slice(1, None, 2))
    low, high = ends(plain, score, {"map": np.zeros(20_000)})
    inside = (truth >= low) & (truth <= high)
    assert inside[parts[0]].mean() > 0.97  # one width for all is too wide here and too narrow there
    assert inside[parts[3]].mean() < 0.85


def test_pictures_far_from_those_of_the_calibration_stay_within_what_it_saw():
    width = Width(bias=0.0, weights={"spread": 10.0}, least=2.0, most=20.0)
    assert expected(width, {"spread": np.array([-5.0, 0.1, 5.0])}).tolist() == pytest.approx([2.0, np.exp(1.0), 20.0])


def test_opinions_of_another_scale_and_what_is_said_of_coverage():
    score = np.array([10.0, 50, 90, 40])
    assert on_scale_of(1 + score / 25, score) == pytest.approx(score)
    inside = coverage_text("x", score - 5, score + 5, score + np.array([0, 4, 6, 0]), np.array(["a", "a", "b", "b"]))
    assert (
        inside
        == "x: the interval holds 75.0%; mean width 10.0, widest 10.0; a 100.0% of 2 at 10.0; b 50.0% of 2 at 10.0"
    )
