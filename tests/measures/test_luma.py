"""PSNR and SSIM on luma: by hand, and beside scikit-image's definition written out."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy")

from scipy import ndimage

from iqassay.measures.luma import psnr_y, ssim_y, ssim_y_with_map


def luma(pixels: np.ndarray) -> np.ndarray:
    return 16 + pixels.astype(float) @ np.array([65.481, 128.553, 24.966]) / 255


@pytest.fixture
def pair(photo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    noise = np.random.default_rng(2).integers(-9, 10, photo.shape)
    return np.clip(photo + noise, 0, 255).astype(np.uint8), photo


def test_psnr_is_that_of_luma(pair: tuple[np.ndarray, np.ndarray]) -> None:
    error = np.mean((luma(pair[0]) - luma(pair[1])) ** 2)
    assert psnr_y(*pair) == pytest.approx(10 * np.log10(255**2 / error), abs=1e-3)
    assert psnr_y(pair[0], pair[0]) == 100


def test_gray_that_differs_by_a_step_has_the_psnr_of_its_share_of_the_studio_range() -> None:
    a, b = np.full((20, 20, 3), 100, np.uint8), np.full((20, 20, 3), 110, np.uint8)
    assert psnr_y(a, b) == pytest.approx(20 * np.log10(255 / (10 * 219 / 255)), abs=1e-4)


def test_colour_that_luma_does_not_see_is_no_error() -> None:
    a = np.full((20, 20, 3), 0.5, np.float32)
    b = a + np.array([0.1 * 128.553, -0.1 * 65.481, 0], np.float32) / 128.553
    assert psnr_y(a, b) > 80


def test_ssim_is_the_plain_definition_on_luma(pair: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = (luma(pixels) for pixels in pair)

    def mean(x: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(x, 1.5, radius=5)[5:-5, 5:-5]

    spread_a, spread_b = mean(a * a) - mean(a) ** 2, mean(b * b) - mean(b) ** 2
    both = mean(a * b) - mean(a) * mean(b)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    found = (
        (2 * mean(a) * mean(b) + c1) / (mean(a) ** 2 + mean(b) ** 2 + c1) * (2 * both + c2) / (spread_a + spread_b + c2)
    )
    assert ssim_y(*pair) == pytest.approx(found.mean(), abs=1e-4)
    value, where = ssim_y_with_map(*pair)
    assert where.shape == found.shape
    assert value == pytest.approx(where.mean(), abs=1e-6)
    assert ssim_y(pair[0], pair[0]) == pytest.approx(1, abs=1e-6)


def test_what_cannot_be_compared_is_said() -> None:
    with pytest.raises(ValueError, match="SSIM-Y: got 10x10, want at least 11 pixels a side"):
        ssim_y(np.zeros((10, 10, 3), np.uint8), np.zeros((10, 10, 3), np.uint8))
    with pytest.raises(ValueError, match="PSNR-Y: got a picture of 20x10 and a reference of 10x10"):
        psnr_y(np.zeros((10, 20, 3), np.uint8), np.zeros((10, 10, 3), np.uint8))
