"""The shipped model through the shipped scorer, on the example photos: sane, deterministic, the same in any batch."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

import iqassay
from iqassay import tiles

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="module")
def scorer():
    return iqassay.load("mfen", threads=1)


@pytest.mark.parametrize(
    ("good", "spoiled"),
    [
        ("chelsea.jpg", "chelsea-blurred.jpg"),
        ("coffee.jpg", "coffee-jpeg.jpg"),
        ("coffee.jpg", "coffee-dark.jpg"),
        ("astronaut.jpg", "astronaut-noise.jpg"),
    ],
)
def test_a_spoiled_photo_scores_lower(scorer, good, spoiled):
    assert scorer.score(EXAMPLES / good).score > scorer.score(EXAMPLES / spoiled).score + 5


def test_more_blur_is_never_better(scorer):
    photo = Image.open(EXAMPLES / "coffee.jpg").convert("RGB")
    scores = [scorer.score(photo.filter(ImageFilter.GaussianBlur(sigma))).score for sigma in (0, 1.5, 3, 6)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[-1] + 15


def test_distortions_are_named(scorer):
    jpeg = {d.name for d in scorer.score(EXAMPLES / "coffee-jpeg.jpg").distortions}
    assert "jpeg" in jpeg
    noise = {d.name for d in scorer.score(EXAMPLES / "astronaut-noise.jpg").distortions}
    assert any("noise" in name for name in noise)


def test_same_bytes_same_score_whatever_came_before(scorer):
    first = scorer.score(EXAMPLES / "chelsea.jpg")
    scorer.score(EXAMPLES / "coffee.jpg")
    again = scorer.score((EXAMPLES / "chelsea.jpg").read_bytes())
    assert again.raw == first.raw
    np.testing.assert_array_equal(again.map, first.map)
    assert first.low <= first.score <= first.high


def test_batch_size_and_threads_do_not_change_a_large_picture(scorer, monkeypatch):
    photo = Image.open(EXAMPLES / "coffee.jpg").convert("RGB").resize((1500, 1000), Image.Resampling.BICUBIC)
    once = scorer.score(photo).score
    monkeypatch.setattr(tiles, "BATCH", 3)
    assert abs(iqassay.load("mfen", threads=2).score(photo).score - once) < 0.1


@pytest.mark.parametrize("size", [(1, 1), (3, 700), (33, 31), (500, 375)])
def test_any_size_gives_a_finite_score(scorer, size):
    verdict = scorer.score(Image.new("RGB", size, (90, 120, 60)))
    assert 0 <= verdict.low <= verdict.score <= verdict.high <= 100
    assert np.isfinite(verdict.map).all()


def test_noise_is_unlike_the_training_data(scorer):
    noise = np.random.default_rng(0).integers(0, 256, (384, 512, 3), dtype=np.uint8)
    assert any("unlike the training data" in warning for warning in scorer.score(noise).warnings)
    assert not scorer.score(EXAMPLES / "astronaut.jpg").warnings


def test_the_card_tells_what_users_must_know(scorer):
    card = scorer.card
    assert set(card.licence) == {"code", "weights", "data"}
    assert card.training_data
    assert card.limits
    assert any(row["set"].startswith("BIQ2021") and row["srcc"] > 0.85 for row in card.accuracy)
