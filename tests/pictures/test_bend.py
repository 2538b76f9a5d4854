"""Parts of a picture that lie beside their reference's are found, and the reference is bent to them; what is aligned,
damaged in place, or of another thing is left alone."""

from pathlib import Path

import numpy as np
import pytest
from conftest import make_photo
from PIL import Image, ImageFilter

from iqassay.pictures.bend import Field, bend, bent, field
from iqassay.pictures.picture import Picture

EXAMPLES = Path(__file__).parents[2] / "examples"
PHOTO = (np.clip(make_photo(256, 352, seed=3), 0, 1) * 255).astype(np.uint8)


def zoomed(pixels: np.ndarray, times: float = 1.0, turn: float = 0.0, down: float = 0.0) -> np.ndarray:
    """The same content so many times as large about its middle, turned by so many radians, and lower."""
    height, width = pixels.shape[:2]
    y, x = (height - 1) / 2 + 0.5, (width - 1) / 2 + 0.5
    c, s = np.cos(turn) / times, np.sin(turn) / times
    matrix = (c, s, x - c * x - s * (y + down), -s, c, y + s * x - c * (y + down))
    inside = Image.fromarray(np.pad(pixels, ((20, 20), (20, 20), (0, 0)), mode="reflect"))
    moved = (c, s, matrix[2] + 20 - 20 * c - 20 * s, -s, c, matrix[5] + 20 + 20 * s - 20 * c)
    out = inside.transform(inside.size, Image.Transform.AFFINE, moved, Image.Resampling.BICUBIC)
    return np.asarray(out)[20:-20, 20:-20]


def apart(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference away from the borders."""
    return float(np.abs(a.astype(float) - b)[12:-12, 12:-12].mean())


@pytest.mark.parametrize("how", [{"times": 1.02}, {"times": 0.985}, {"turn": 0.01}, {"down": 0.5}, {"down": -1.4}])
def test_the_reference_is_bent_to_where_the_picture_lies(how: dict[str, float]) -> None:
    picture = zoomed(PHOTO, **how)
    ours, theirs = bend(Picture(picture), Picture(PHOTO))
    assert np.array_equal(ours.pixels, picture)
    assert apart(picture, theirs.pixels) < 0.5 * apart(picture, PHOTO)
    (warning,) = ours.warnings
    assert warning.startswith("parts of it lie up to ")
    assert not theirs.warnings


def test_a_field_says_how_far_each_part_has_moved() -> None:
    found = field(zoomed(PHOTO, times=1.02), PHOTO)
    assert found is not None
    middle = (np.array(PHOTO.shape[:2]) / 2)[:, None]
    assert np.median(np.abs(found.down - 0.02 * (found.rows - middle[0])[:, None])) < 0.25
    assert np.median(np.abs(found.right - 0.02 * (found.columns - middle[1]))) < 0.25


def test_one_part_that_has_moved_is_found_among_others() -> None:
    picture = PHOTO.copy()
    picture[60:200, 80:220] = PHOTO[60:200, 77:217]
    found = field(picture, PHOTO)
    assert found is not None
    down, right = found.at(np.array([20.0, 130.0]), np.array([20.0, 150.0, 340.0]))
    assert np.abs(down).max() < 0.5
    assert abs(right[1, 1] - 3) < 0.5
    assert np.abs(right[0]).max() < 0.5
    assert abs(right[1, 2]) < 0.5


def test_a_wide_picture_may_be_displaced_farther() -> None:
    wide = (np.clip(make_photo(800, 1400, seed=5), 0, 1) * 255).astype(np.uint8)
    picture = zoomed(wide, times=1.02)  # by 14 pixels at either side
    found = field(picture, wide)
    assert found is not None
    assert 10 < found.farthest < 20
    assert apart(picture, bent(wide, found)) < 0.6 * apart(picture, wide)


def test_what_was_done_in_place_moves_nothing() -> None:
    rng = np.random.default_rng(0)
    blurred = (PHOTO.astype(float) + np.roll(PHOTO, 1, axis=1) + np.roll(PHOTO, -1, axis=1)) / 3
    noisy = np.clip(0.8 * PHOTO + 30 + rng.normal(0, 12, PHOTO.shape), 0, 255)
    coarse = PHOTO.reshape(32, 8, 44, 8, 3).mean((1, 3)).repeat(8, 0).repeat(8, 1)
    for copy in (PHOTO, PHOTO.copy(), blurred, noisy, coarse, 255 - PHOTO, PHOTO // 32 * 32, PHOTO * 0 + 90):
        picture, other = Picture(copy.astype(np.uint8)), Picture(PHOTO)
        assert bend(picture, other) == (picture, other)


@pytest.mark.parametrize("photo", ["camera", "coffee"])
@pytest.mark.parametrize("radius", [4, 8, 12, 16, 32])
def test_what_blur_leaves_lies_where_it_was(photo: str, radius: int) -> None:
    """Of a smooth picture many displacements explain a part better than none, each part's another."""
    with Image.open(EXAMPLES / f"{photo}.jpg") as opened:
        sharp = opened.convert("RGB")
    assert field(np.asarray(sharp.filter(ImageFilter.GaussianBlur(radius))), np.asarray(sharp)) is None


def test_noise_flat_areas_other_pictures_and_small_ones_are_left_alone() -> None:
    rng = np.random.default_rng(1)
    flat = np.full(PHOTO.shape, 120, np.uint8)
    noisy = [np.clip(flat + rng.normal(0, 4, flat.shape), 0, 255).astype(np.uint8) for _ in range(2)]
    other = (np.clip(make_photo(256, 352, seed=9), 0, 1) * 255).astype(np.uint8)
    for pair in [(flat, noisy[0]), noisy, (other, PHOTO), (flat, PHOTO), (PHOTO, flat)]:
        assert field(*pair) is None
    moved = zoomed(PHOTO, down=1.5)
    assert field(moved[:63], PHOTO[:63]) is None
    assert field(moved[:64], PHOTO[:64]) is not None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_bending_keeps_size_depth_and_range(dtype: type) -> None:
    scale = {np.uint8: 1, np.uint16: 257, np.float32: 1 / 255}[dtype]
    pixels = (PHOTO * np.float64(scale)).astype(dtype)
    places = np.array([64.0, 128.0, 192.0]), np.array([64.0, 176.0, 288.0])
    still = Field(*places, *np.zeros((2, 3, 3)))
    assert np.array_equal(bent(pixels, still), pixels)
    moved = bent(pixels, Field(*places, np.full((3, 3), 3.0), np.full((3, 3), -2.0)))
    assert moved.dtype == dtype
    assert moved.shape == pixels.shape
    assert np.array_equal(moved[3:, :-2], pixels[:-3, 2:])
    between = bent(pixels, Field(*places, np.full((3, 3), 0.4), np.linspace(-9, 9, 9).reshape(3, 3)))
    assert between.max() <= (pixels.max() if dtype == np.float32 else 255 * scale)
    assert between.min() >= 0


def test_samples_that_are_no_numbers_move_nothing() -> None:
    pixels = (PHOTO / 255).astype(np.float32)
    broken = pixels.copy()
    broken[100:120, 100:120] = np.nan
    assert field(broken, pixels) is None
    assert field(np.full_like(pixels, np.inf), pixels) is None
