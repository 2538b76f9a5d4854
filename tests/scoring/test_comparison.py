from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import write_model
from PIL import Image

from iqassay.pictures.image import ImageError
from iqassay.scoring.comparison import SHARED, best_probabilities, compare, correlation_of, of_verdicts
from iqassay.scoring.scorer import Scorer
from iqassay.scoring.verdict import Verdict


@pytest.fixture(scope="module")
def scorer(pair_model: Path) -> Scorer:
    return Scorer(pair_model, threads=1)


def flat(value: int, height: int = 64, width: int = 64) -> np.ndarray:
    return np.full((height, width, 3), value, dtype=np.uint8)


def test_the_brighter_is_better_for_a_model_that_likes_brightness(scorer: Scorer) -> None:
    brighter = compare(scorer, flat(153), flat(102))
    assert brighter.difference == pytest.approx(20, abs=0.02)
    assert brighter.difference == brighter.a.score - brighter.b.score
    assert brighter.better == "a"
    assert brighter.win_probability > 0.5
    assert compare(scorer, flat(102), flat(153)).better == "b"
    assert not brighter.a.full_reference


def test_the_probability_comes_from_the_sides_of_the_intervals_that_face_each_other(tmp_path: Path) -> None:
    """Scores of 60 and 40 with deviations of 15 and 20: a difference of 20, which has a deviation of 25."""
    scorer = Scorer(
        write_model(tmp_path, interval={"score": [40, 60], "below": [0.1, 1.645 * 15], "above": [1.645 * 20, 0.1]}),
        threads=1,
    )
    won = compare(scorer, flat(153), flat(102))
    assert won.win_probability == pytest.approx(0.7881, abs=2e-4)  # Phi(0.8), from a table
    assert compare(scorer, flat(102), flat(153)).win_probability == pytest.approx(0.2119, abs=2e-4)


def test_swapping_the_pictures_turns_everything_round_exactly(scorer: Scorer) -> None:
    for one, two in itertools.combinations(range(0, 256, 17), 2):
        ahead, back = compare(scorer, flat(one), flat(two)), compare(scorer, flat(two), flat(one))
        assert ahead.win_probability == 1 - back.win_probability
        assert back.win_probability == 1 - ahead.win_probability
        assert ahead.difference == -back.difference
        assert {ahead.better, back.better} == {"a", "b"}


def test_equal_scores_are_equal(scorer: Scorer) -> None:
    even = compare(scorer, flat(80), flat(80))
    assert (even.difference, even.win_probability, even.better) == (0, 0.5, "equal")


def test_a_model_without_doubt_is_sure_or_even(tmp_path: Path) -> None:
    scorer = Scorer(write_model(tmp_path, interval={"score": [0], "below": [0], "above": [0]}), threads=1)
    chances = [compare(scorer, flat(one), flat(two)).win_probability for one, two in ((9, 8), (8, 9), (8, 8))]
    assert chances == [1, 0, 0.5]


def test_a_wider_gap_is_surer(scorer: Scorer) -> None:
    chances = [compare(scorer, flat(102 + step), flat(102)).win_probability for step in range(0, 100, 10)]
    assert chances == sorted(chances)
    assert chances[0] == 0.5
    assert chances[-1] > 0.95


def test_with_a_reference_the_nearer_to_it_is_better(scorer: Scorer, tmp_path: Path) -> None:
    reference = tmp_path / "reference.png"
    Image.fromarray(flat(50)).save(reference)
    compared = compare(scorer, flat(200), flat(60), reference)
    assert compared.better == "b"
    assert compared.a.full_reference
    assert compared.b.full_reference
    assert compare(scorer, flat(50), flat(60), reference).a.score == 98


def test_the_reference_is_decoded_once(scorer: Scorer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    reference = tmp_path / "reference.png"
    Image.fromarray(flat(50)).save(reference)
    read: list[object] = []
    inner = scorer.read
    monkeypatch.setattr(scorer, "read", lambda source, **more: (read.append(source), inner(source, **more))[1])
    compare(scorer, flat(200), flat(60), reference)
    assert sum(source is reference for source in read) == 1


def test_each_picture_is_aligned_with_the_reference(scorer: Scorer) -> None:
    with pytest.raises(ImageError, match="64x64 pixels and a reference of 80x70"):
        compare(scorer, flat(1, 70, 80), flat(1), flat(1, 70, 80))
    compared = compare(scorer, flat(1, 70, 80), flat(1), flat(1, 70, 80), align="resize")
    assert (compared.a.score, compared.b.score) == (98, 98)
    assert [len(verdict.warnings) for verdict in (compared.a, compared.b)] == [0, 1]


def test_pictures_of_different_sizes_compare_without_a_reference(scorer: Scorer) -> None:
    assert compare(scorer, flat(90, 100, 70), flat(30, 64, 900)).better == "a"


def test_of_many_each_has_its_share_of_being_the_best() -> None:
    assert best_probabilities([]) == []
    assert best_probabilities([(50, 40, 60)]) == [1]
    assert best_probabilities([(50, 40, 60)] * 4) == pytest.approx([0.25] * 4)
    first, second = best_probabilities([(60, 60 - 1.645 * 15, 60 + 1.645 * 15), (40, 40 - 32.9, 40 + 32.9)])
    assert (first, second) == pytest.approx((0.7881, 0.2119), abs=2e-4)  # Phi(0.8), from a table
    sure = best_probabilities([(60, 60, 60), (61, 61, 61), (10, 10, 10)])
    assert sure == pytest.approx([0, 1, 0], abs=1e-6)


def test_many_agree_with_a_simulation() -> None:
    intervals = [(70, 60, 75), (68, 50, 80), (40, 20, 75)]
    rng = np.random.default_rng(0)
    drawn = []
    for score, low, high in intervals:
        away = rng.standard_normal(400_000) / 1.645
        drawn.append(score + np.where(away < 0, away * (score - low), away * (high - score)))
    counts = np.bincount(np.argmax(drawn, axis=0), minlength=3) / 400_000
    assert best_probabilities(intervals) == pytest.approx(counts.tolist(), abs=0.004)


def verdict(score: float, half: float) -> Verdict:
    return Verdict(score, score - half, score + half, (), np.zeros((1, 1), np.float32), score, {}, "m", "1")


def test_errors_in_common_make_a_comparison_surer() -> None:
    """Scores of 60 and 50, deviations of 10 and 10: a difference of 10 with a deviation of 14.14, or of 10 at a
    correlation of one half."""
    one, other = verdict(60, 16.45), verdict(50, 16.45)
    assert of_verdicts(one, other).win_probability == pytest.approx(0.7602, abs=2e-4)  # Phi(0.7071), from a table
    assert of_verdicts(one, other, 0.5).win_probability == pytest.approx(0.8413, abs=2e-4)  # Phi(1)
    assert of_verdicts(other, one, 0.5).win_probability == 1 - of_verdicts(one, other, 0.5).win_probability
    apart = best_probabilities([(60, 43.55, 76.45), (50, 33.55, 66.45)])
    alike = best_probabilities([(60, 43.55, 76.45), (50, 33.55, 66.45)], 0.5)
    assert apart == pytest.approx([0.7602, 0.2398], abs=1e-3)
    assert alike == pytest.approx([0.8413, 0.1587], abs=1e-3)


def test_errors_agree_as_much_as_pictures_look_alike() -> None:
    assert [correlation_of(alike) for alike in (-1, 0.5, 0.7, 0.9, 1)] == pytest.approx(
        [0, 0, SHARED / 2, SHARED, SHARED]
    )


def scene(height: int, width: int, light: float = 1.0) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width] / height
    return np.repeat((light * 120 * (1 + np.sin(7 * x) * np.cos(5 * y)))[..., None], 3, axis=2).astype(np.uint8)


def test_versions_of_one_picture_err_together_and_so_does_all_that_has_a_reference(scorer: Scorer) -> None:
    assert compare(scorer, scene(80, 100), scene(80, 100, 0.8)).correlation == pytest.approx(SHARED)
    assert compare(scorer, scene(80, 100), scene(80, 100)[::-1, ::-1]).correlation < SHARED / 2
    assert compare(scorer, flat(1), flat(9), flat(5)).correlation == SHARED


def test_a_small_copy_does_not_win_by_its_size(tmp_path: Path) -> None:
    """A model that likes noise less, as real ones do: the small copy has less of it. At one size both are the same."""
    scorer = Scorer(write_model(tmp_path), threads=1)
    big = scene(256, 320)
    small = big.reshape(64, 4, 80, 4, 3).mean((1, 3)).round().astype(np.uint8)
    score = Scorer.score
    likes_small = pytest.MonkeyPatch()
    likes_small.setattr(
        Scorer, "score", lambda self, *given: replace(score(self, *given), score=100 - given[0].pixels.shape[0] / 4)
    )
    found = compare(scorer, small, big)
    likes_small.undo()
    assert found.at_one_size
    assert (found.a.score, found.b.score) == (84, 36)
    assert (found.difference, found.win_probability) == (0, 0.5)
    other = compare(scorer, small, scene(256, 320)[::-1, ::-1])  # another picture: each as it is
    assert not other.at_one_size
    assert other.difference == other.a.score - other.b.score
