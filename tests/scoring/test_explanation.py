"""Explanations, by a stand-in restorer whose estimate lies between the picture and the mean of the window it sees."""

from __future__ import annotations

import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from conftest import KINDS, NEARNESS, make_photo, write_restorer

from iqassay.data.distortions import KINDS as ALL_KINDS
from iqassay.scoring import words
from iqassay.scoring.explanation import MARGIN, difference, explain, nearest, restore
from iqassay.scoring.model_file import ModelFileError
from iqassay.scoring.scorer import Scorer
from iqassay.scoring.tiles import block_means

SMALL = {"area": 128 * 128, "window": 64, "max_windows": 4, "global_weight": 0.5}  # windows of 128, with the margin


@pytest.fixture(scope="module")
def keeper(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    """A restorer that changes nothing, and calls pictures large early."""
    return Scorer(write_restorer(tmp_path_factory.mktemp("keeper"), views=SMALL), threads=1)


# ---- restoring ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (33, 70), (128, 128), (129, 128), (128, 600), (301, 517), (5, 3000)])
def test_windows_put_together_are_the_whole_picture(keeper: Scorer, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    estimate, _ = restore(pixels, keeper)
    assert estimate.dtype == np.uint8
    np.testing.assert_array_equal(estimate, pixels)


def test_depth_is_kept_until_the_end(keeper: Scorer) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (140, 150, 3), dtype=np.uint16)
    np.testing.assert_array_equal(restore(deep, keeper)[0], np.rint(deep / 257))
    np.testing.assert_array_equal(restore((deep / 65535).astype(np.float32), keeper)[0], np.rint(deep / 257))


def test_no_seams_between_windows_that_disagree(tmp_path: Path) -> None:
    """Each window alone would be one flat gray; what is left of a step between two is spread over the overlap."""
    flat = Scorer(write_restorer(tmp_path, towards_mean=1.0, views=SMALL), threads=1)
    ramp = np.broadcast_to(np.linspace(0, 255, 600)[None, :, None], (300, 600, 3)).astype(np.uint8)
    both = np.stack([ramp[..., 0], ramp[..., 0].T[:300, :300].repeat(2, axis=1), ramp[..., 0]], axis=-1)
    for pixels in (ramp, both):
        estimate = restore(np.ascontiguousarray(pixels), flat)[0].astype(int)
        assert np.ptp(estimate) > 100  # the windows do disagree: by up to 40 between neighbours
        for axis in (0, 1):
            assert np.abs(np.diff(estimate, axis=axis)).max() <= math.ceil(40 / MARGIN) + 1


def test_nearness_is_the_mean_over_windows(keeper: Scorer) -> None:
    pixels = np.zeros((300, 1000, 3), np.uint8)
    pixels[:, 500:] = 255
    _, near = restore(pixels, keeper)
    np.testing.assert_allclose(near[:-1], NEARNESS[:-1], atol=1e-6)
    assert near[-1] == pytest.approx(0.5, abs=1e-6)  # the mean of what each window saw


def test_memory_stays_near_that_of_the_two_pictures(tmp_path: Path) -> None:
    restorer = Scorer(write_restorer(tmp_path, views={**SMALL, "window": 192}), threads=1)
    pixels = np.zeros((2400, 1200, 3), np.uint8)
    tracemalloc.start()
    try:
        restore(pixels, restorer)
        assert tracemalloc.get_traced_memory()[1] < 3 * pixels.nbytes  # as floats it would be four times
    finally:
        tracemalloc.stop()


def test_a_model_that_does_not_restore_names_one_that_does(tiny_model: Path, noisy: Path) -> None:
    scorer = Scorer(tiny_model, threads=1)
    assert not scorer.restores
    with pytest.raises(ModelFileError, match=r"'tiny' restores nothing, want one that does, such as 'dri'"):
        explain(noisy, scorer=scorer, restorer=scorer)


def test_no_numbers_are_an_error(tmp_path: Path) -> None:
    broken = Scorer(write_restorer(tmp_path, towards_mean=0.5), threads=1)
    with pytest.raises(ModelFileError, match="are no numbers"):
        restore(np.full((64, 64, 3), np.nan, np.float32), broken)


# ---- nearest, difference --------------------------------------------------------------------------------------------


def test_nearest_has_each_kind_once_at_its_best_level_and_none() -> None:
    found = [(near.name, near.level, round(near.similarity, 6)) for near in nearest(NEARNESS, KINDS)]
    assert found == [("jpeg", 3, 0.9), ("white_noise", 5, 0.5), ("none", 0, 0.0), ("gaussian_blur", 3, -0.2)]
    assert [near.name for near in nearest(NEARNESS, KINDS, most=2)] == ["jpeg", "white_noise"]


def test_nearness_of_another_card_is_refused() -> None:
    with pytest.raises(ModelFileError, match="got a nearness of 16 values"):
        nearest(NEARNESS, KINDS[:2])


def test_difference_of_known_pictures() -> None:
    a, b = np.full((30, 40, 3), 100, np.uint8), np.full((30, 40, 3), 110, np.uint8)
    b[:, :20] = 100
    found = difference(a, b)
    assert found.mean == pytest.approx(5, rel=1e-5)
    assert found.psnr == pytest.approx(10 * math.log10(255**2 / 50), abs=1e-4)
    np.testing.assert_allclose(found.map, np.abs(a - b.astype(float)).mean(2), atol=1e-4)
    assert difference(a, (a * 257.0).astype(np.uint16)).psnr == math.inf  # the same picture at another depth


def test_difference_of_a_large_picture_is_averaged_in_squares() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 256, (131, 2500, 3), dtype=np.uint8) for _ in range(2))
    found = difference(a, b)
    apart = np.abs(a.astype(float) - b).mean(2)
    assert (found.cell, found.map.shape) == (3, (44, 834))
    assert found.map[0, 0] == pytest.approx(apart[:3, :3].mean(), rel=1e-5)
    assert found.map[-1, -1] == pytest.approx(apart[129:, 2499:].mean(), rel=1e-5)
    assert found.mean == pytest.approx(apart.mean(), rel=1e-5)


def test_block_means_of_what_is_left() -> None:
    np.testing.assert_allclose(block_means(np.arange(15.0).reshape(3, 5), 2), [[3, 5, 6.5], [10.5, 12.5, 14]])


# ---- explain --------------------------------------------------------------------------------------------------------


def test_an_explanation_has_both_verdicts_and_differences(pair_model: Path, restorer: Path) -> None:
    clean = make_photo(80, 100)
    noisy = np.clip(clean + np.random.default_rng(0).normal(0, 0.1, clean.shape), 0, 1).astype(np.float32)
    judge = Scorer(pair_model, threads=1)
    found = explain(noisy, reference=clean, scorer=judge, restorer=Scorer(restorer, threads=1))
    assert found.reference_verdict is not None
    assert found.loss is not None
    assert found.remaining_loss is not None
    assert found.verdict == judge.score(noisy)
    assert found.reference_verdict == judge.score(noisy, clean)
    expected = noisy + 0.5 * (np.pad(noisy, ((0, 16), (0, 28), (0, 0)), mode="reflect").mean() - noisy)
    np.testing.assert_allclose(found.estimate / 255, expected, atol=0.003)
    assert found.loss.psnr == pytest.approx(10 * np.log10(1 / ((noisy - clean) ** 2).mean()), abs=0.01)
    assert found.remaining_loss.mean == pytest.approx(255 * np.abs(expected - clean).mean(), rel=0.01)
    assert found.change.mean == pytest.approx(255 * np.abs(expected - noisy).mean(), rel=0.01)
    assert found.path == found.reference_path == ""


def test_without_a_reference_there_is_none(noisy: Path, tiny_model: Path, restorer: Path) -> None:
    found = explain(noisy, scorer=Scorer(tiny_model, threads=1), restorer=Scorer(restorer, threads=1))
    assert found.path == str(noisy)
    assert found.reference is found.reference_verdict is found.loss is found.remaining_loss is None
    assert "reference_verdict" not in found.record()


# ---- words -----------------------------------------------------------------------------------------------------------


def test_every_kind_has_its_words() -> None:
    assert set(words.KINDS) == set(ALL_KINDS)
    assert len({title for title, _, _ in words.KINDS.values()}) == len(ALL_KINDS)
    assert words.about("my_own_kind") == ("My own kind", "", "")


@pytest.mark.parametrize(
    ("score", "said"),
    [
        (0, "ruined"),
        (12, "ruined"),
        (20, "between ruined and bad"),
        (48.5, "flaws plainly visible"),
        (62, "between flaws plainly visible and good"),
        (75, "good"),
        (85, "flawless at a normal look"),
        (100, "flawless at a normal look"),
    ],
)
def test_scores_in_words(score: float, said: str) -> None:
    assert words.meaning(score) == said
