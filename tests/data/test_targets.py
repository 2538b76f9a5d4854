import csv
from pathlib import Path

import numpy as np
import pytest
from conftest import make_photo

from iqassay.data import targets
from iqassay.data.distortions import KINDS, LEVELS, apply_chain, distort
from iqassay.data.restored import restore
from iqassay.data.targets import full_reference, implied_opinion, target_score
from iqassay.measures.classical import dss

PHOTO = make_photo(160, 200, discs=25, radii=(0.02, 0.12))
UNTOUCHED = float(targets.tables().opinion[-1])


def noisy(sigma: float, image: np.ndarray = PHOTO) -> np.ndarray:
    noise = np.random.default_rng(1).standard_normal(image.shape)
    return np.clip(image + sigma * noise, 0, 1).astype(np.float32)


# The measure


def test_identical_is_one() -> None:
    assert full_reference(PHOTO, PHOTO) == pytest.approx(1, abs=1e-5)
    assert full_reference(noisy(0.1), noisy(0.1)) == pytest.approx(1, abs=1e-5)


def test_measure_falls_with_noise_blur_and_colour_loss() -> None:
    noise = [full_reference(PHOTO, noisy(sigma)) for sigma in (0.01, 0.03, 0.1, 0.3)]
    assert noise == sorted(noise, reverse=True)
    for kind in ("gaussian_blur", "jpeg", "color_saturation_2"):
        scores = [full_reference(PHOTO, distort(PHOTO, kind, level, np.random.default_rng(0))) for level in LEVELS]
        assert scores == sorted(scores, reverse=True), kind
    grey = np.repeat(PHOTO.mean(axis=2, keepdims=True), 3, axis=2)
    assert full_reference(PHOTO, grey) < 0.9


def test_measure_stays_in_range_on_hard_input() -> None:
    rng = np.random.default_rng(0)
    pictures = [np.zeros((16, 17, 3)), np.ones((16, 17, 3)), rng.random((16, 17, 3)), np.full((16, 17, 3), 0.5)]
    pictures = [p.astype(np.float32) for p in pictures]
    for a in pictures:
        for b in pictures:
            assert 0 <= full_reference(a, b) <= 1
    assert full_reference(*(rng.random((2, 64, 64, 3), dtype=np.float32))) < 0.5


def test_texture_made_anew_beats_texture_erased() -> None:
    smooth = np.full((128, 160, 3), 0.5, np.float32)
    pristine, remade = (
        smooth + 0.05 * np.random.default_rng(seed).standard_normal((128, 160, 1), np.float32) for seed in (1, 2)
    )
    assert np.mean((remade - pristine) ** 2) > 1.5 * np.mean((smooth - pristine) ** 2)
    assert full_reference(pristine, remade) > full_reference(pristine, smooth) + 0.05


def test_dss_sees_no_colour_but_the_measure_does() -> None:
    luma = np.array([0.299, 0.587, 0.114], np.float32)
    grey = np.repeat((PHOTO @ luma)[..., None], 3, axis=2)
    assert dss(PHOTO, grey) == pytest.approx(1, abs=1e-3)
    assert full_reference(PHOTO, grey) < 0.9


@pytest.mark.parametrize(
    ("a", "b"), [((20, 20, 3), (20, 21, 3)), ((20, 20), (20, 20)), ((20, 20, 4), (20, 20, 4)), ((4, 20, 3), (4, 20, 3))]
)
def test_measure_refuses_other_shapes(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="got shapes"):
        full_reference(np.zeros(a, np.float32), np.zeros(b, np.float32))


# The tables


def test_tables_are_complete_and_monotone() -> None:
    table = targets.tables()
    assert np.all(np.diff(table.measure) > 0)
    assert np.all(np.diff(table.opinion) >= 0)
    assert (table.measure[0], table.measure[-1], table.opinion[0]) == (0, 1, 0)
    assert 85 < UNTOUCHED < 95
    for kind in KINDS:
        assert table.prior[kind].shape == table.implied[kind].shape == (5,)
        assert 0 < table.prior[kind].min() <= table.prior[kind].max() <= UNTOUCHED + 0.01
        if kind != "color_shift":  # KADID's raters saw no difference between a shift of 8 and of 12 pixels
            assert np.all(np.diff(table.prior[kind]) < 0), kind


def test_kadid_means_are_the_published_ones() -> None:
    with open(Path(targets.__file__).with_name("kadid_means.csv"), newline="") as f:
        rows = list(csv.DictReader(f))
    assert [(row["kind"], int(row["level"])) for row in rows] == [(kind, level) for kind in KINDS for level in LEVELS]
    assert sum(int(row["pictures"]) for row in rows) == 10125
    assert np.mean([float(row["mean"]) for row in rows]) == pytest.approx(3.0326, abs=1e-3)
    jpeg = {int(row["level"]): float(row["mean"]) for row in rows if row["kind"] == "jpeg"}
    for level, mean in jpeg.items():
        assert targets.tables().prior["jpeg"][level - 1] == pytest.approx((mean - 1) * 25, abs=0.02)


# The score


def test_untouched_scores_like_kadids_untouched() -> None:
    assert target_score(PHOTO, PHOTO) == pytest.approx(UNTOUCHED, abs=0.1)
    assert target_score(PHOTO, PHOTO, []) == target_score(PHOTO, PHOTO, None)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_one_distortion_scores_near_its_mean_and_falls(kind: str) -> None:
    scores = []
    for level in LEVELS:
        out = distort(PHOTO, kind, level, np.random.default_rng(0))
        score = target_score(PHOTO, out, [(kind, level)])
        assert isinstance(score, float)
        assert abs(score - targets.tables().prior[kind][level - 1]) < 25
        scores.append(score)
    assert scores[4] < scores[0]


def test_own_measure_moves_the_score() -> None:
    # The same label on a picture that suffered less must score better.
    chain = [("white_noise", 3.0)]
    assert target_score(PHOTO, noisy(0.02), chain) > target_score(PHOTO, noisy(0.1), chain) + 5


def test_a_chain_is_no_better_than_its_worst_member() -> None:
    chain = [("gaussian_blur", 4.0), ("jpeg", 2.0)]
    out = apply_chain(PHOTO, chain, np.random.default_rng(0))
    worst = targets.tables().prior["gaussian_blur"][3]
    assert target_score(PHOTO, out, chain) <= worst
    assert target_score(PHOTO, PHOTO, chain) <= worst


def test_restored_pictures_follow_the_measure() -> None:
    scores = [target_score(PHOTO, restore(PHOTO, "enlarge", s, np.random.default_rng(0))) for s in (0, 0.5, 1)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] - scores[2] > 20
    out = restore(PHOTO, "enlarge", 0.5, np.random.default_rng(0))
    assert target_score(PHOTO, out) == implied_opinion(full_reference(PHOTO, out))


@pytest.mark.parametrize("link", [("fog", 2.0), ("jpeg", 0.5), ("jpeg", 6.0)])
def test_wrong_chain(link: tuple[str, float]) -> None:
    with pytest.raises(ValueError, match="want a KADID-10k kind and a level 1 to 5"):
        target_score(PHOTO, PHOTO, [link])
