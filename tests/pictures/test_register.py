"""A picture a few pixels beside its reference is found; what is aligned, flat, noisy or another is left alone."""

import numpy as np
import pytest
from conftest import make_photo

from iqassay.pictures.image import Picture
from iqassay.pictures.register import displacement, overlap, register

WIDE = (np.clip(make_photo(220, 280, seed=3), 0, 1) * 255).astype(np.uint8)
STEPS = [(1, 0), (0, -1), (1, 1), (-2, 0), (2, -3), (8, 8), (-8, 5)]


def seen(down: int, right: int) -> np.ndarray:
    """A view of one content, which in it lies so much lower and farther right."""
    return WIDE[10 - down : 210 - down, 10 - right : 270 - right]


def damaged(pixels: np.ndarray, seed: int = 0) -> np.ndarray:
    noisy = 0.8 * pixels.astype(float) + 30 + np.random.default_rng(seed).normal(0, 6, pixels.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("step", STEPS)
def test_a_displacement_is_found_in_whatever_state_the_copy_is(step: tuple[int, int]) -> None:
    reference, shifted = seen(0, 0), seen(*step)
    assert displacement(shifted, reference) == step
    assert displacement(reference, shifted) == (-step[0], -step[1])
    assert displacement(damaged(shifted), reference) == step
    assert displacement(shifted.astype(np.uint16) * 257, reference.astype(np.float32) / 255) == step


@pytest.mark.parametrize("step", STEPS)
def test_what_a_shift_fills_its_border_with_does_not_matter(step: tuple[int, int]) -> None:
    reference = seen(0, 0)
    rolled = np.roll(reference, step, axis=(0, 1))
    black = np.zeros_like(rolled)
    inner = overlap(rolled, *step)
    overlap(black, *step)[:] = inner
    down, right = step
    sides = ((max(down, 0), max(-down, 0)), (max(right, 0), max(-right, 0)), (0, 0))
    repeated = np.pad(inner, sides, mode="edge")
    for filled in (rolled, black, repeated):
        assert displacement(filled, reference) == step
        ours, theirs, place = register(Picture(filled), Picture(reference))
        assert np.array_equal(ours.pixels, theirs.pixels)
        assert place == (max(down, 0), max(right, 0))


def test_pairs_that_are_aligned_are_left_alone() -> None:
    reference = seen(0, 0)
    blurred = (reference.astype(float) + np.roll(reference, 1, axis=1) + np.roll(reference, -1, axis=1)) / 3
    for copy in (reference.copy(), damaged(reference), blurred.astype(np.uint8), 255 - reference, reference // 32 * 32):
        picture, other = Picture(copy), Picture(reference)
        assert register(picture, other) == (picture, other, (0, 0))


def test_noise_flat_areas_and_other_pictures_are_left_alone() -> None:
    rng = np.random.default_rng(1)
    flat = np.full((200, 200, 3), 120, np.uint8)
    slope = np.linspace(60, 120, 200)[None, :, None] + np.zeros((200, 200, 3))
    noisy = [np.clip(flat + rng.normal(0, 2, flat.shape), 0, 255).astype(np.uint8) for _ in range(2)]
    dithered = [(slope + rng.uniform(0, 1, slope.shape)).astype(np.uint8) for _ in range(2)]
    other = (make_photo(200, 260, seed=9) * 255).astype(np.uint8)
    pairs = [(flat, flat), (flat, noisy[0]), noisy, dithered, (dithered[0], (slope + 3).astype(np.uint8))]
    for picture, reference in [*pairs, (other, seen(0, 0)), (flat, other[:200, :200])]:
        assert displacement(picture, reference) == (0, 0)


def test_half_a_pixel_and_small_pictures_are_left_alone_and_of_a_pattern_the_nearest_counts() -> None:
    reference = seen(0, 0)
    between = (reference.astype(np.uint16) + seen(0, 1) + 1) // 2
    assert displacement(between.astype(np.uint8), reference) == (0, 0)
    assert displacement(seen(0, 1)[:47, :90], reference[:47, :90]) == (0, 0)
    assert displacement(seen(0, 1)[:48, :90], reference[:48, :90]) == (0, 1)
    stripes = np.broadcast_to((np.arange(200) % 5 < 2)[None, :, None] * np.uint8(99), (200, 200, 3))
    assert displacement(np.roll(stripes, 4, axis=1), stripes) == (0, -1)


def test_a_registered_picture_says_so() -> None:
    picture, _, _ = register(Picture(seen(-1, 2), ("odd",)), Picture(seen(0, 0)))
    said = "1 pixel above and 2 pixels right of its reference: the 258x199 that both show compared"
    assert picture.warnings == ("odd", said)
