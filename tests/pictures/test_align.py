from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from iqassay.pictures.align import HOW, Box, align, leave_out, shave
from iqassay.pictures.image import ImageError, Picture, to_float

SCALE = {np.uint8: 255, np.uint16: 65535, np.float32: 1}


def gradient(height: int, width: int, dtype: type = np.uint8) -> Picture:
    """Red grows to the right, green downwards, blue is a constant; a size more of it is more of the same scene."""
    right, down = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    scene = np.stack([right, down, np.full_like(down, 0.25)], axis=-1) * SCALE[dtype]
    return Picture((np.rint(scene) if dtype is not np.float32 else scene).astype(dtype), ("odd",))


@pytest.mark.parametrize("how", HOW)
def test_pictures_of_one_size_come_back_as_they_are(how: str) -> None:
    picture, reference = gradient(30, 40), gradient(30, 40, np.uint16)
    got = align(picture, reference, how)
    assert got[0] is picture
    assert got[1] is reference


def test_other_sizes_are_refused_in_one_line_that_says_both_and_what_to_do() -> None:
    with pytest.raises(ImageError) as caught:
        align(gradient(30, 40), gradient(40, 30))
    message = str(caught.value)
    for part in ("40x30", "30x40", "'resize'", "'centre'", "'top-left'"):
        assert part in message
    assert "\n" not in message


@pytest.mark.parametrize("size", [(30, 40), (1, 1)])
def test_an_unknown_way_is_named_even_where_none_is_needed(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="got 'stretch', want one of fail, resize, crop"):
        align(gradient(30, 40), gradient(*size), "stretch")


@pytest.mark.parametrize("dtype", SCALE)
@pytest.mark.parametrize("size", [(15, 20), (60, 90), (30, 7), (1, 1), (400, 3)])
def test_resize_brings_the_picture_to_the_reference_and_keeps_its_depth(dtype: type, size: tuple[int, int]) -> None:
    picture, reference = gradient(30, 40, dtype), gradient(*size)
    resized, same = align(picture, reference, "resize")
    assert same is reference
    assert resized.pixels.shape == reference.pixels.shape
    assert resized.pixels.dtype == dtype
    assert resized.pixels.flags.c_contiguous
    assert not resized.pixels.flags.writeable
    assert resized.warnings == ("odd", f"resized from 40x30 to the reference's {size[1]}x{size[0]}")
    error = np.abs(resized.pixels / SCALE[dtype] - gradient(*size, np.float32).pixels)
    assert error.max() < 0.03, "the same scene, upright and in place"


def test_resize_keeps_what_eight_bits_cannot_hold() -> None:
    picture = Picture(np.full((30, 40, 3), 0x1234, dtype=np.uint16))
    assert (align(picture, gradient(50, 50), "resize")[0].pixels == 0x1234).all()


@pytest.mark.parametrize("dtype", SCALE)
def test_resize_overshoots_neither_end(dtype: type) -> None:
    """Beside an edge from black to white Lanczos goes below black and above white."""
    pixels = np.zeros((20, 20, 3), dtype=dtype)
    pixels[:, 10:] = SCALE[dtype]
    resized = align(Picture(pixels), gradient(57, 57), "resize")[0].pixels.astype(float)
    assert (resized.min(), resized.max()) == (0, SCALE[dtype])
    assert resized[:, :20].max() < 0.1 * SCALE[dtype]
    assert resized[:, -20:].min() > 0.9 * SCALE[dtype]


def test_resize_is_what_pillow_does_to_the_whole_picture() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    want = Image.fromarray(pixels).resize((25, 55), Image.Resampling.LANCZOS)
    assert np.array_equal(align(Picture(pixels), gradient(55, 25), "resize")[0].pixels, np.asarray(want))


@pytest.mark.parametrize(("height", "width"), [(20, 30), (21, 31), (20, 60), (50, 30), (60, 60), (1, 1)])
def test_crop_cuts_both_around_the_middle(height: int, width: int) -> None:
    picture, reference = gradient(40, 50), gradient(height, width)
    cut, beside = align(picture, reference, "crop")
    tall, wide = min(40, height), min(50, width)
    assert cut.pixels.shape == beside.pixels.shape == (tall, wide, 3)
    for whole, part in ((picture, cut), (reference, beside)):
        top, left = (whole.height - tall) // 2, (whole.width - wide) // 2
        assert np.array_equal(part.pixels, whole.pixels[top : top + tall, left : left + wide])
        assert np.shares_memory(part.pixels, whole.pixels), "no pixel is copied"
    said = f"50x40 and the reference's {width}x{height} cut to their common {wide}x{tall} around the middle"
    assert cut.warnings == ("odd", said)
    assert beside.warnings == ("odd",)


def test_crop_finds_a_picture_that_lost_a_border() -> None:
    whole = np.random.default_rng(1).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    cut, beside = align(Picture(whole[5:-5, 8:-8]), Picture(whole), "crop")
    assert np.array_equal(cut.pixels, beside.pixels)


def test_cut_at_the_corner_rows_that_were_added_at_the_bottom_do_not_count() -> None:
    page = gradient(40, 60)
    longer = Picture(np.concatenate([page.pixels, gradient(7, 60).pixels]))
    picture, reference = align(longer, page, "top-left")
    assert np.array_equal(picture.pixels, reference.pixels)
    assert picture.warnings == ("60x47 and the reference's 60x40 cut to their common 60x40 at the top left corner",)
    middle = [align(longer, page, how)[0] for how in ("crop", "centre")]
    assert np.array_equal(middle[0].pixels, middle[1].pixels)
    assert middle[0].warnings == middle[1].warnings
    assert not np.array_equal(middle[0].pixels, page.pixels)


def test_borders_are_shaved_off_evenly() -> None:
    picture = gradient(20, 30)
    assert shave(picture, 0) is picture
    assert np.array_equal(shave(picture, 4).pixels, picture.pixels[4:-4, 4:-4])
    with pytest.raises(ImageError, match="got a picture of 30x20 pixels, want more than 20 a side to shave 10 off"):
        shave(picture, 10)


def test_what_is_left_out_is_the_references() -> None:
    reference, picture = gradient(20, 30), Picture(255 - gradient(20, 30).pixels)
    found = leave_out(picture, reference, [(5, 2, 4, 3)])
    inside = np.zeros((20, 30), bool)
    inside[2:5, 5:9] = True
    assert np.array_equal(found.pixels[inside], reference.pixels[inside])
    assert np.array_equal(found.pixels[~inside], picture.pixels[~inside])
    assert found.warnings == ("2 % of the picture left out",)
    mask = np.full((20, 30, 3), 255, np.uint8)
    mask[2:5, 5:9] = 0
    assert np.array_equal(leave_out(picture, reference, mask=Picture(mask)).pixels, found.pixels)
    assert leave_out(picture, reference) is picture


def test_depths_meet_where_parts_are_left_out() -> None:
    deep = gradient(20, 30, np.uint16)
    found = leave_out(gradient(20, 30), deep, [(0, 0, 30, 10)])
    assert np.allclose(found.pixels[:10], to_float(deep.pixels[:10]))
    assert np.allclose(found.pixels[10:], to_float(gradient(20, 30).pixels[10:]))


@pytest.mark.parametrize(
    ("boxes", "size", "words"),
    [
        ([(30, 0, 5, 5)], None, "got a picture of 30x20 pixels, want one that reaches the part 30,0,5,5"),
        ([(0, 0, 99, 99)], None, "got a mask that leaves nothing of the picture"),
        ([], (21, 30), "got a mask of 30x21 pixels for a picture of 30x20, want one size"),
    ],
)
def test_what_cannot_be_left_out_is_said(boxes: list[Box], size: tuple[int, int] | None, words: str) -> None:
    mask = gradient(*size) if size else None
    with pytest.raises(ImageError, match=words):
        leave_out(gradient(20, 30), gradient(20, 30), boxes, mask)
