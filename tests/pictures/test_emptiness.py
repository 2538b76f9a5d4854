"""A picture of one colour is empty; one with anything in it is not."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from iqassay.pictures.emptiness import is_empty, missing_end
from iqassay.pictures.image import read_image


@pytest.mark.parametrize("value", [0, 1, 128, 255])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_one_colour_is_empty_at_any_depth_and_size(value: int, dtype: type) -> None:
    scale = {np.uint8: 1, np.uint16: 257, np.float32: 1 / 255}[dtype]
    for size in ((1, 1), (30, 40), (900, 1200)):
        assert is_empty(np.full((*size, 3), value * scale, dtype))


def test_what_jpeg_makes_of_one_colour_is_empty_and_grain_is_not() -> None:
    file = BytesIO()
    Image.new("RGB", (200, 150), (90, 140, 60)).save(file, "JPEG", quality=20)
    assert is_empty(read_image(file.getvalue()).pixels)
    grain = np.random.default_rng(0).normal(128, 3, (150, 200, 3)).clip(0, 255).astype(np.uint8)
    assert not is_empty(grain)


def test_a_speck_does_not_count_and_a_small_word_does() -> None:
    pixels = np.full((400, 500, 3), 255, np.uint8)
    pixels[:10, :10] = 0
    assert is_empty(pixels)
    pixels[:20, :30] = 0
    assert not is_empty(pixels)


@pytest.mark.parametrize(("turn", "edge"), [(0, "bottom"), (1, "right"), (2, "top"), (3, "left")])
def test_an_upload_that_was_cut_short_is_told_whichever_way_it_is_turned(turn: int, edge: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (400, 300, 3), np.uint8)
    pixels[160:] = 128
    found, share = missing_end(np.rot90(pixels, turn))
    assert found == edge
    assert share == pytest.approx(0.6, abs=0.01)


def test_bars_margins_and_small_bands_are_no_cut() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (400, 300, 3), np.uint8)
    for bands, value in (((0, 110), (290, 400)), 0), (((250, 400),), 255), (((310, 400),), 0), ((), 0):
        pixels = photo.copy()
        for start, end in bands:
            pixels[start:end] = value
        assert missing_end(pixels) == ("", 0.0), (bands, value)
