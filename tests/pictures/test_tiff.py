"""TIFFs that Pillow mistakes or refuses: separate planes, palettes, Lab, integers of 32 bits; and true reasons."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image, ImageCms
from test_image import ADOBE, GAMMA_1_8, RGB, SMALL, encode, matrix_profile, tiff

from iqassay.pictures.image import ImageError, read_image

RNG = np.random.default_rng(11)
CUT = "samples of more than 8 bits read at 8 bits"
GUESS = "CMYK without a usable colour profile: the colours are a guess"
LAYOUTS = [{}, {"tile": 16}, {"compression": 8}, {"compression": 5, "predictor": 2}, {"compression": 8, "tile": 16}]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize(("order", "depth"), [("<", 8), ("<", 16), (">", 16)])
def test_cmyk_of_any_depth_and_layout(layout: dict[str, int], order: str, depth: int) -> None:
    inks = np.asarray(SMALL.convert("CMYK"))
    expected = read_image(SMALL.convert("CMYK")).pixels
    stored = inks if depth == 8 else inks.astype(np.uint16) * 257
    for planar in (False, True):
        picture = read_image(tiff(stored, order, photometric=5, planar=planar, **layout))
        np.testing.assert_array_equal(picture.pixels, expected)
        assert picture.warnings == ((CUT, GUESS) if depth == 16 else (GUESS,))


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("channels", [2, 3, 4])
def test_separate_planes_of_8_bits(layout: dict[str, int], channels: int) -> None:
    samples = RNG.integers(0, 256, (21, 37, channels), dtype=np.uint8)
    together, apart = (read_image(tiff(samples, planar=planar, **layout)) for planar in (False, True))
    np.testing.assert_array_equal(apart.pixels, together.pixels)
    assert apart.warnings == together.warnings
    if channels == 3:
        np.testing.assert_array_equal(apart.pixels, samples)


def test_the_orientation_and_the_profile_of_separate_planes() -> None:
    inks = np.asarray(SMALL.convert("CMYK"))
    upright = read_image(tiff(inks, photometric=5, planar=True)).pixels
    np.testing.assert_array_equal(
        read_image(tiff(inks, photometric=5, planar=True, t274=3)).pixels, upright[::-1, ::-1]
    )
    with_alpha = np.dstack([inks, np.full(inks.shape[:2], 9, np.uint8)])
    picture = read_image(tiff(with_alpha, photometric=5, planar=True, t338=2))
    np.testing.assert_array_equal(picture.pixels, upright)
    assert picture.warnings == ("transparency of a CMYK picture left out", GUESS)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_profile_of_separate_planes_of_8_bits(channels: int) -> None:
    profile = matrix_profile(ADOBE, GAMMA_1_8, b"RGB " if channels == 3 else b"GRAY")
    samples = np.dstack([RGB[..., :channels], np.full(RGB.shape[:2], 255, np.uint8)])  # and alpha, which hides nothing
    together = read_image(encode(Image.fromarray(samples[..., :channels].squeeze()), "TIFF", icc_profile=profile))
    apart = read_image(tiff(samples, planar=True, t338=2, t34675=profile))
    np.testing.assert_array_equal(apart.pixels, together.pixels)
    assert apart.warnings == ()
    assert np.abs(apart.pixels.astype(int) - samples[..., :channels]).max() > 10


# ---- palettes -------------------------------------------------------------------------------------------------------


def palette_tiff(indices: np.ndarray, colours: np.ndarray, **more: int) -> bytes:
    """colours: (N, 3), as they are stored; 16-bit numbers, for which `tiff` has only those of 32."""
    data = bytearray(tiff(indices[..., None], photometric=3, t320=bytes(2), **more))
    (at,) = struct.unpack_from("<L", data, 4)
    entry = data.index(struct.pack("<HH", 320, 7), at)
    packed = colours.T.astype("<u2").tobytes()
    struct.pack_into("<HHLL", data, entry, 320, 3, len(packed) // 2, len(data))
    return bytes(data + packed)


@pytest.mark.parametrize("longest", [255, 65535])
def test_the_colours_of_a_palette_are_of_16_bits_or_of_8(longest: int) -> None:
    colours = RNG.integers(0, 256, (256, 3))
    indices = RNG.integers(0, 256, (9, 14), dtype=np.uint8)
    picture = read_image(palette_tiff(indices, colours * (longest // 255)))
    np.testing.assert_array_equal(picture.pixels, colours[indices])


@pytest.mark.parametrize("longest", [255, 65535])
@pytest.mark.parametrize("more", [{}, {"compression": 8}])
def test_palettes_of_16_bits(longest: int, more: dict[str, int]) -> None:
    colours = RNG.integers(0, longest + 1, (65536, 3))
    indices = RNG.integers(0, 65536, (9, 14), dtype=np.uint16)
    picture = read_image(palette_tiff(indices, colours, **more))
    assert picture.pixels.dtype == np.uint16
    np.testing.assert_array_equal(picture.pixels, colours[indices] * (65535 // longest))


# ---- Lab ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("planar", [False, True])
def test_lab(depth: int, signed: bool, planar: bool) -> None:
    """What LittleCMS made Lab of comes back. Its Lab of 8 bits is Pillow's, which is TIFF's CIELab."""
    smooth = SMALL.resize((24, 20))
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    lab = np.asarray(to_lab.apply(smooth))
    ab = lab[..., 1:].view(np.int8).astype(int) * 2 ** (depth - 8)
    if depth == 8:
        light = lab[..., :1].astype(int)
    else:
        light = np.round(lab[..., :1] / 255 * (65535 if signed else 65280)).astype(int)
    stored = np.dstack([light, (ab if signed else ab + 2 ** (depth - 1)) % 2**depth])
    picture = read_image(tiff(stored.astype(f"u{depth // 8}"), photometric=8 if signed else 9, planar=planar))
    assert picture.pixels.dtype == (np.uint8 if depth == 8 else np.uint16)
    assert picture.warnings == ()
    off = np.abs(picture.pixels / (257 if depth == 16 else 1) - np.asarray(smooth))
    assert off.mean() < 1.5
    assert np.quantile(off, 0.99) < 8


def test_pillow_s_own_lab_file() -> None:
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    data = encode(
        to_lab.apply(SMALL), "TIFF", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    )
    picture = read_image(data)
    assert np.abs(picture.pixels.astype(int) - RGB).mean() < 1.5
    assert picture.warnings == ()


# ---- integers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["uint32", "int32"])
@pytest.mark.parametrize(("highest", "dtype"), [(255, np.uint8), (65535, np.uint16)])
def test_32_bits_that_hold_fewer(kind: str, highest: int, dtype: type) -> None:
    samples = RNG.integers(0, highest, (9, 7, 3)).astype(kind)
    samples[0, 0, 0] = highest
    picture = read_image(tiff(samples))
    np.testing.assert_array_equal(picture.pixels, samples)
    assert picture.pixels.dtype == dtype
    bits = 8 if highest == 255 else 16
    assert picture.warnings == (f"32-bit samples that reach {highest}: taken as {bits}-bit ones",)


def test_signed_samples_of_8_bits_are_said() -> None:
    samples = RNG.integers(0, 256, (9, 7, 1), dtype=np.uint8)
    picture = read_image(tiff(samples, t339=2))
    np.testing.assert_array_equal(picture.pixels[..., :1], samples)
    assert picture.warnings == ("signed samples of 8 bits taken as unsigned ones",)


def test_samples_that_are_nearly_black_are_said() -> None:
    samples = np.full((4, 4, 3), 200, np.uint16)
    for source in (tiff(samples), samples):
        assert read_image(source).warnings == ("samples reach only 200 of 65535: the picture is nearly black",)
    assert read_image(samples * 0).warnings == ()  # black is what it says
    dim = np.full((4, 4, 3), 100_000, np.uint32)
    assert read_image(tiff(dim)).warnings == ("samples reach only 100000 of 4294967295: the picture is nearly black",)


# ---- what is refused ------------------------------------------------------------------------------------------------

TWO = np.zeros((4, 4, 3), np.uint8)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (tiff(TWO, photometric=32845), "is not read (LogLuv, 3 samples of 8 bits), want gray, RGB, CMYK"),
        (tiff(TWO[..., :1].astype(np.uint16), photometric=32844), "is not read (LogL, 1 sample of 16 bits)"),
        (tiff(TWO, photometric=10), "is not read (ITULab, 3 samples of 8 bits)"),
        (tiff(TWO, t259=50001), "whose samples are packed by WebP, which is not read"),
        (tiff(TWO, t259=34676, photometric=32845), "packed by SGI's LogLuv code"),
        (tiff(TWO.astype(np.uint32), photometric=8), "is not read (CIELab, 3 samples of 32 bits)"),
        (tiff(TWO[..., :1], t258=3), "is not read (gray, 1 sample of 3 bits)"),
        (tiff(TWO[..., :1].astype(np.float32), t339=6), "1 complex sample of 32 bits"),
        (tiff(np.zeros((4, 4, 4), np.uint16), photometric=5, t332=2), "inks other than CMYK"),
    ],
)
def test_what_is_not_read_is_called_by_its_name(data: bytes, words: str) -> None:
    with pytest.raises(ImageError) as caught:
        read_image(data)
    assert words in str(caught.value)
