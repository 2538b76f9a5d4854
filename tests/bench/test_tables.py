"""Summaries of kept answers: golden small cases, what does not exist, seeds, and the tables as text."""

import csv
import io
import math
from dataclasses import replace

import numpy as np
import pytest

from iqassay.bench import summary
from iqassay.bench.details import calibration, compare, gain_over_splits, levels, residuals, worst
from iqassay.bench.results import Results, Row
from iqassay.bench.summary import GROUPINGS, MEASURES, summarise
from iqassay.bench.tables import as_csv, markdown
from iqassay.statistics.correlation import bootstrap, plcc_fitted, srcc
from iqassay.support.text import shown

RESAMPLES = 50


@pytest.fixture(autouse=True)
def few_splits(monkeypatch):
    """Two splits instead of ten: curves are fitted on each."""
    monkeypatch.setattr(summary, "SEEDS", 2)


def results_of(rows, model="ours", name="set", **about):
    return Results(name, model, tuple(rows), {"set": name, "model": model, "kind": "network", "split": "all"} | about)


def photos(count=120, noise=8.0, draw=0, **more):
    """Photos with opinions, and a model that sees them through noise; the 90 % interval is right by construction."""
    rng = np.random.default_rng(draw)
    mos = np.random.default_rng(99).uniform(5, 95, count)
    said = mos + rng.normal(0, noise, count)
    return [
        Row(f"{i:03}.png", m, s, s - 1.645 * noise, s + 1.645 * noise, s, group=f"g{i // 2}", **more)
        for i, (m, s) in enumerate(zip(mos, said, strict=True))
    ]


def with_levels(model="ours", bias=0.0):
    """8 contents x 2 types x 5 levels; the model is `bias` points too kind to blur."""
    rng = np.random.default_rng(3)
    rows = []
    for content in range(8):
        for kind in ("blur", "noise"):
            for level in range(1, 6):
                mos = 95 - 15 * level + rng.normal(0, 2)
                said = mos + rng.normal(0, 1) + bias * (kind == "blur")
                rows.append(
                    Row(f"{content}-{kind}-{level}.png", mos, said, said - 5, said + 5, reference=f"{content}.png",
                        group=str(content), distortion=kind, level=level, deviation=12, votes=16)
                )  # fmt: skip
    return results_of(rows, model)


def numbers(summary, of="values"):
    return {key: value.value for key, value in getattr(summary, of).items()}


def test_a_summary_by_hand():
    # Ranks of the scores 1, 2, 4, 3 against 1, 2, 3, 4: Spearman 1 - 6 * 2 / (4 * 15) = 0.8; one of six pairs is
    # swapped: Kendall 4 / 6; errors 0, 10, 30, -10: RMSE sqrt(1100 / 4); of the MOS 10, 20, 30, 40 three are inside.
    rows = [
        Row(f"{i}.png", mos, said, said - 11, said + 11, votes=0)
        for i, (mos, said) in enumerate([(10, 10), (20, 30), (30, 60), (40, 30.5)])
    ]
    one = summarise(results_of([*rows, Row("broken.png", 50, error="cannot be read")], pictures=6), RESAMPLES)
    assert (one.pictures, one.contents, one.wanted, one.answers, one.errors) == (4, 4, 6, 4, 1)
    values = numbers(one)
    assert values["srcc"] == pytest.approx(0.8)
    assert values["krcc"] == pytest.approx(4 / 6)
    assert values["rmse"] == pytest.approx(math.sqrt((100 + 900 + 90.25) / 4))
    assert values["coverage"] == 0.75
    assert values["width"] == 22
    assert math.isnan(values["outliers"])
    assert math.isnan(values["plcc4"])  # four points cannot carry a curve of four parameters


def test_intervals_are_those_of_the_cluster_bootstrap():
    rows = photos()
    one = summarise(results_of(rows), 200)
    said, mos = [row.score for row in rows], [row.mos for row in rows]
    groups = [row.group for row in rows]
    value = one.values["srcc"]
    assert value.value == srcc(said, mos)
    assert (value.low, value.high) == pytest.approx(bootstrap(said, mos, srcc, resamples=200, groups=groups))
    assert one.values["plcc4"].value == pytest.approx(plcc_fitted(said, mos))
    for key in MEASURES:
        value = one.values[key]
        assert math.isnan(value.value) or value.low <= value.value <= value.high, key
    assert 0.8 < one.values["coverage"].value < 0.98


def test_deviations_and_votes_give_the_measures_on_pairs():
    one = summarise(with_levels(), RESAMPLES)
    for key in ("outliers", "pairs", "different", "better"):
        value = one.values[key]
        assert 0 <= value.low <= value.value <= value.high <= 1, key
    assert one.values["pairs"].value > 0.97
    assert all(math.isnan(summarise(results_of(photos()), 10).values[key].value) for key in ("outliers", "pairs"))


def test_inside_groups():
    one = summarise(with_levels(), RESAMPLES)
    assert one.within["content"].value > 0.9
    assert one.within["distortion"].low <= one.within["distortion"].value <= one.within["distortion"].high
    assert math.isnan(one.within["subset"].value)
    # A model that knows the subset and nothing else: much overall, nothing inside.
    rng = np.random.default_rng(0)
    rows = [
        Row(f"{i}.png", 30 * (i % 3) + rng.uniform(0, 20), 30 * (i % 3) + rng.uniform(0, 20), subset=f"s{i % 3}")
        for i in range(300)
    ]
    one = summarise(results_of(rows), RESAMPLES)
    assert one.values["srcc"].value > 0.8
    assert abs(one.within["subset"].value) < 0.2


def test_splits_of_a_model_that_was_not_trained_on_them(monkeypatch):
    monkeypatch.setattr(summary, "SEEDS", 10)
    one = summarise(results_of(photos(400)), RESAMPLES)
    assert one.split_count == 10
    assert one.splits["srcc"].low <= one.splits["srcc"].mean <= one.splits["srcc"].high
    assert one.splits["srcc"].median == pytest.approx(one.values["srcc"].value, abs=0.05)
    same = [replace(row, group=f"g{i % 4}") for i, row in enumerate(photos())]
    assert not summarise(results_of(same), RESAMPLES).splits  # four contents cannot be split


def test_seeds_are_judged_one_by_one():
    runs = {seed: photos(60, noise, int(seed), seed=seed) for seed, noise in (("0", 4), ("1", 8), ("2", 12))}
    # Each run on a scale of its own: pooled, the order would be lost; split by split it is not.
    rows = [replace(r, score=r.score + 300 * int(seed)) for seed, run in runs.items() for r in run]
    one = summarise(results_of(rows, kind="trained"), RESAMPLES)
    single = [srcc([r.score for r in run], [r.mos for r in run]) for run in runs.values()]
    assert one.seeds == ("0", "1", "2")
    assert one.values["srcc"].value == pytest.approx(np.mean(single))
    assert one.splits["srcc"].median == pytest.approx(np.median(single))
    assert min(single) <= one.values["srcc"].low <= one.values["srcc"].high <= max(single)
    assert (one.pictures, one.answers) == (60, 180)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_few_pictures(count):
    one = summarise(results_of(photos(120)[:count]), RESAMPLES)
    assert one.answers == count
    assert math.isnan(one.values["srcc"].value) == (count < 3)
    assert "nan" not in markdown([one])


def test_a_constant_predictor_has_dashes_and_no_best():
    constant = results_of([replace(row, score=50.0) for row in photos()], "constant")
    found = [summarise(constant, RESAMPLES), summarise(results_of(photos()), RESAMPLES)]
    text = markdown(found)
    assert "nan" not in text
    assert "| constant | – |" in text
    assert text.index("| ours |") < text.index("| constant |")
    assert found[0].values["rmse"].value > 20


def test_somebodys_scores_have_no_raw_error():
    rows = [replace(row, score=row.score / 1000) for row in photos()]
    values = numbers(summarise(results_of(rows, kind="scores"), RESAMPLES))
    assert math.isnan(values["rmse"])
    assert values["rmse4"] == pytest.approx(summarise(results_of(photos()), RESAMPLES).values["rmse4"].value, rel=1e-3)


def test_markdown_is_sorted_and_bold_marks_the_best_fair_contender():
    good, bad = results_of(photos(noise=5), "good"), results_of(photos(noise=30), "bad | <b>")
    text = markdown([summarise(one, RESAMPLES) for one in (bad, good)])
    lines = text.splitlines()
    assert lines[0] == "### set: 120 pictures of 60 contents"
    rows = [line for line in lines if line.startswith(("| good", "| bad"))]
    assert rows[0].startswith("| good | **0.9")
    assert rows[1].startswith("| bad \\| &lt;b> | 0.")
    assert "**" not in rows[1]
    columns = {line.count(" | ") for line in lines[2:6] if "bad" not in line and "---" not in line}
    assert len(columns) == 1
    assert "over" not in lines[0]


def test_an_epoch_chosen_on_the_test_opinions_is_never_best():
    clean = results_of(photos(noise=9, draw=1), "net", choice="validation epoch")
    paper = results_of(photos(noise=3, draw=1), "net, best test epoch", choice="best test epoch")
    other = results_of(photos(noise=20), "other")
    text = markdown([summarise(one, RESAMPLES) for one in (clean, paper, other)])
    assert text.index("| net, best test epoch | 0.9") < text.index("| net | **0.9")
    assert "net: choosing the epoch on the test opinions adds 0.0" in text


def test_missing_answers_are_told_and_nothing_is_best_then():
    broken = [replace(row, error="cannot be read", score=math.nan) for row in photos()[:5]]
    found = [results_of([*broken, *photos()[5:]], "part"), results_of(photos(noise=30), "all")]
    text = markdown([summarise(one, RESAMPLES) for one in found])
    assert "- part answered 115 of 120, errors: 5" in text
    assert "**" not in text


def test_splits_and_whole_sets_stand_apart():
    trained = [r for seed in "01" for r in photos(60, 5, int(seed), seed=seed)]
    text = markdown(
        [summarise(results_of(trained, "net", split="test"), RESAMPLES), summarise(results_of(photos()), RESAMPLES)]
    )
    assert text.count("### ") == 2
    assert "### set, trained on 2 splits: 60 pictures" in text
    assert "### set, trained on 2 splits of other sets" in markdown([summarise(results_of(trained, "net"), RESAMPLES)])


def test_the_csv_holds_every_number():
    one = summarise(with_levels(), RESAMPLES)
    rows = list(csv.DictReader(io.StringIO(as_csv([one]))))
    assert list(one.each["distortion"]) == ["blur", "noise"]
    assert len(rows) == len(MEASURES) + len(GROUPINGS) + len(one.each["distortion"]) + len(one.splits)
    first = rows[0]
    assert (first["set"], first["model"], first["measure"], first["over"]) == ("set", "ours", "srcc", "all pictures")
    assert float(first["value"]) == pytest.approx(one.values["srcc"].value, abs=1e-4)
    assert next(row for row in rows if row["measure"] == "srcc inside subset")["value"] == ""


def test_each_group_has_its_own_row_with_the_srcc_inside_it():
    rows = [replace(row, subset="hard" if i % 2 else "easy") for i, row in enumerate(photos())]
    rows = [replace(row, score=row.mos) if row.subset == "easy" else row for row in rows]
    one, other = summarise(results_of(rows), RESAMPLES), summarise(results_of(photos(noise=30), "other"), RESAMPLES)
    hard = [row for row in rows if row.subset == "hard"]
    assert one.each["subset"]["easy"].value == pytest.approx(1)
    assert one.each["subset"]["hard"].value == srcc([r.score for r in hard], [r.mos for r in hard])
    assert one.each["subset"]["hard"].low < one.each["subset"]["hard"].value < one.each["subset"]["hard"].high
    assert other.each == {"subset": {}, "distortion": {}}
    text = markdown([one, other])
    assert (
        "SRCC inside each subset:\n\n|  | ours | other |\n| --- | --- | --- |\n| easy | 1.000 (1.000 to 1.000) | – |"
        in text
    )
    assert "inside each distortion" not in text


def test_each_group_of_a_model_trained_on_splits_is_a_mean_over_them():
    rows = [replace(row, seed=str(i % 2), subset="ab"[i // 2 % 2]) for i, row in enumerate(photos())]
    found = summarise(results_of(rows, split="test"), RESAMPLES).each["subset"]["a"].value
    apart = [[row for row in rows if row.subset == "a" and row.seed == seed] for seed in "01"]
    assert found == pytest.approx(np.mean([srcc([r.score for r in part], [r.mos for r in part]) for part in apart]))


def test_numbers_as_they_are_shown():
    assert shown(-0.12345) == "−0.123"
    assert shown(math.nan) == "–"
    assert shown(12345.6, 1) == "12,345.6"


# ---- details --------------------------------------------------------------------------------------------------------


def test_models_are_compared_on_what_all_answered():
    good, bad = photos(noise=5), photos(noise=25, draw=1)
    bad[0] = replace(bad[0], error="cannot be read", score=math.nan)
    constant = results_of([replace(row, score=1.0) for row in good], "constant")
    found = compare([results_of(good, "good"), results_of(bad, "bad"), constant], 200)
    assert found is not None
    assert (found.found.names, found.rows, found.left_out) == (("good", "bad"), 119, 1)
    assert found.found.gain[0, 1] == pytest.approx(
        srcc([r.score for r in good[1:]], [r.mos for r in good[1:]])
        - srcc([r.score for r in bad[1:]], [r.mos for r in bad[1:]])
    )
    assert found.found.better.tolist() == [[0, 1], [-1, 0]]
    twins = compare([results_of(good, "good"), results_of(good, "twin")], 100)
    assert twins is not None
    assert not twins.found.better.any()
    assert compare([results_of(good)]) is None


def test_models_trained_on_splits_are_compared_split_by_split():
    def runs(noise, seeds):
        return [r for seed in seeds for r in photos(60, noise, int(seed), seed=seed)]

    found = compare([results_of(runs(3, "0123"), "good"), results_of(runs(30, "012"), "bad")])
    assert found is not None
    assert (found.splits, found.rows, found.left_out) == (3, 180, 60)
    assert found.found.better.tolist() == [[0, 1], [-1, 0]]
    assert found.found.low[0, 1] < found.found.gain[0, 1] < found.found.high[0, 1]


def test_the_corrected_resampled_t_test_by_hand():
    # Mean 0.02, variance 0.0001; error sqrt(0.0001 * (1 / 3 + 1 / 4)); Student's 97.5 % point for 2 degrees is 4.303.
    one = gain_over_splits(np.array([0.01, 0.02, 0.03]))
    error = 0.01 * math.sqrt(1 / 3 + 0.25)
    assert one.gain == pytest.approx(0.02)
    assert one.high - one.gain == pytest.approx(4.30265 * error, rel=1e-4)
    # p for t = 2.6186 and 2 degrees: 1 - t / sqrt(2 + t^2).
    t = 0.02 / error
    assert one.p == pytest.approx(1 - t / math.sqrt(2 + t * t))
    assert gain_over_splits(np.zeros(5)).p == 1


def test_residuals_levels_and_worst_pictures():
    found = with_levels(bias=10)
    blur, noise = residuals(found, "distortion")
    assert (blur.name, blur.count) == ("blur", 40)
    assert blur.mean == pytest.approx(10, abs=0.6)
    assert abs(noise.mean) < 0.6
    assert blur.low < blur.mean < blur.high
    falling = levels(found)
    assert falling is not None
    assert np.all(np.diff(falling.mos) < 0)
    assert falling.falls > 0.95
    assert levels(results_of(photos())) is None
    twelve = worst(found, 12)
    assert len({one.row.image for one in twelve}) == 12
    assert all(one.row.distortion == "blur" for one in twelve)
    apart = [abs(one.predicted - one.row.mos) for one in twelve]
    assert apart == sorted(apart, reverse=True)


def test_calibration_by_score():
    bins = calibration(results_of(photos(1000)))
    assert len(bins) == 10
    assert np.mean([one.share for one in bins]) == pytest.approx(0.9, abs=0.03)
    assert all(one.low <= one.share <= one.high for one in bins)
    assert [one.score for one in bins] == sorted(one.score for one in bins)
    assert len(calibration(results_of(photos(60)))) == 3
    assert calibration(results_of(photos(39))) == []
    assert calibration(results_of([replace(row, low=math.nan) for row in photos()])) == []
