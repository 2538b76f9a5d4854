"""Calibration: raw scores onto opinions, and intervals that hold for new pictures."""

import numpy as np

from iqassay.systems.yoto_extended import TOP
from iqassay.training.calibrate import calibration_table, conformal_interval, measured


def test_calibration_is_monotone_and_right_on_average():
    rng = np.random.default_rng(0)
    raw = rng.normal(size=2000)
    opinion = np.clip(60 + 18 * raw + rng.normal(0, 8, 2000), 0, 100)
    table = calibration_table(raw, opinion)
    assert (np.diff(table["raw"]) > 0).all()
    assert (np.diff(table["score"]) >= 0).all()
    assert 0 <= table["score"][0] <= table["score"][-1] <= 100
    error = np.interp(raw, table["raw"], table["score"]) - opinion
    assert abs(error.mean()) < 0.5
    assert abs(error[raw > 1].mean()) < 1.5


def test_pictures_of_different_raw_scores_never_get_one_score():
    raw = np.linspace(0, 1, 400)
    opinion = 50 + 40 * raw
    opinion[100:300] = opinion[100:300][::-1]  # people see the middle the other way round
    table = calibration_table(raw, opinion)
    slopes = np.diff(table["score"]) / np.diff(table["raw"])
    assert slopes.min() > 3  # of 40


def test_calibration_with_references_ends_at_the_top():
    rng = np.random.default_rng(0)
    raw = TOP - rng.exponential(1, 500)
    raw[:100] = TOP  # identical pictures say nothing that is not known
    opinion = np.where(raw == TOP, 100, np.clip(60 + 18 * raw + rng.normal(0, 8, 500), 0, 100))
    table = calibration_table(raw, opinion, top=(TOP, 100.0))
    assert (table["raw"][-1], table["score"][-1]) == (TOP, 100)
    assert (np.diff(table["raw"]) > 0).all()
    assert (np.diff(table["score"]) >= 0).all()
    assert table["raw"][-2] < TOP - 0.01
    error = (np.interp(raw, table["raw"], table["score"]) - opinion)[100:]
    assert abs(error.mean()) < 1


def test_interval_covers_new_pictures():
    rng = np.random.default_rng(0)

    def pictures(n):
        score = rng.uniform(10, 90, n)
        return score, score + rng.normal(0, 2 + score / 10, n)

    interval = conformal_interval(*pictures(1000))
    score, opinion = pictures(20_000)
    below, above = (np.interp(score, interval["score"], interval[side]) for side in ("below", "above"))
    assert 0.88 < ((opinion >= score - below) & (opinion <= score + above)).mean() < 0.94
    assert interval["above"][-1] > interval["above"][0]  # wider where errors are larger


def test_a_figure_that_does_not_exist_is_not_on_the_card():
    """It was NaN there, which is no JSON."""
    truth = np.arange(8.0)
    assert measured("a val", truth, np.full(8, 50.0), truth) == {"set": "a val", "images": 8, "srcc": 1.0}
    assert measured("a val", truth, 9 - truth, truth) == {"set": "a val", "images": 8, "srcc": 1.0, "plcc": -1.0}
