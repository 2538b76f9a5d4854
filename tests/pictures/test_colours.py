"""Colours told in other ways than by a profile: HDR and wide gamut become sRGB, and what cannot be is said."""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from PIL import Image, ImageCms
from test_image import AVIF, RGB, SMALL, SRGB, SRGB_CURVE, chunk, encode, matrix_profile, png16, tiff

from iqassay.pictures import colour
from iqassay.pictures.boxes import _in_av1, read_boxes
from iqassay.pictures.image import ImageError, read_image, to_float

PQ_SAID = "HDR (PQ) brought to an ordinary screen by a tone curve"
HLG_SAID = "HDR (HLG) brought to an ordinary screen by a tone curve"
GAIN_MAP_SAID = "gain map for HDR screens left out: the picture is shown without it"
# linear sRGB -> linear BT.2020 (Report ITU-R BT.2407, 2) and Display P3 (CSS Color 4, 17)
TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
TO_P3 = np.array([[0.8225, 0.1775, 0.0], [0.0332, 0.9668, 0.0], [0.0171, 0.0724, 0.9105]])


def light(srgb: np.ndarray) -> np.ndarray:
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def srgb(light: np.ndarray) -> np.ndarray:
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def pq(nits: float) -> float:
    y = (nits / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375


def nits_of(signal: float) -> float:
    p = signal ** (1 / 78.84375)
    return 10_000 * (max(p - 0.8359375, 0) / (18.8515625 - 18.6875 * p)) ** (1 / 0.1593017578125)


def hlg(scene: float) -> float:
    """BT.2100's OETF."""
    return math.sqrt(3 * scene) if scene <= 1 / 12 else 0.17883277 * math.log(12 * scene - 0.28466892) + 0.55991073


def on_screen(nits: float, peak: float = 1000) -> float:
    """BT.2408-7, Annex 5, for one light, onto a screen of 203 cd/m2, as a sample of sRGB."""
    top, most = pq(peak), pq(203) / pq(peak)
    e1, knee = pq(nits) / top, 1.5 * most - 0.5
    if e1 >= knee:
        t = (e1 - knee) / (1 - knee)
        e1 = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * most
    return float(srgb(np.array(min(nits_of(e1 * top) / 203, 1))))


NITS = (0.0, 0.5, 5.0, 40.0, 90.0, 203.0, 400.0, 1000.0)


def gray16(signals: list[float], extra: bytes) -> bytes:
    return png16(np.round(np.array(signals) * 65535).astype(np.uint16).reshape(1, -1, 1).repeat(3, axis=2), extra=extra)


def code_points(primaries: int, transfer: int, matrix: int = 0, full: int = 1) -> bytes:
    return chunk(b"cICP", bytes([primaries, transfer, matrix, full]))


# ---- HDR ------------------------------------------------------------------------------------------------------------


def test_pq_is_tone_mapped_by_the_curve_that_is_stated() -> None:
    picture = read_image(gray16([pq(nits) for nits in NITS], code_points(9, 16)))
    assert picture.warnings == (PQ_SAID,)
    assert picture.pixels.dtype == np.uint16
    shown = to_float(picture.pixels)[0, :, 1]
    np.testing.assert_allclose(shown, [on_screen(nits) for nits in NITS], atol=2e-3)
    assert shown[-1] == 1  # the brightest light is white
    np.testing.assert_allclose(shown[3], srgb(np.array(40 / 203)), atol=2e-3)  # and what is dark stays as it is


def test_hlg_is_tone_mapped_like_pq_of_the_same_light() -> None:
    """On a screen of 1000 cd/m2 a gray of the scene becomes 1000 E^1.2."""
    scene = [0.0, 0.01, 0.05, 0.2649, 1.0]
    picture = read_image(gray16([hlg(e) for e in scene], code_points(9, 18)))
    assert picture.warnings == (HLG_SAID,)
    expected = [on_screen(1000 * e**1.2) for e in scene]
    np.testing.assert_allclose(to_float(picture.pixels)[0, :, 0], expected, atol=2e-3)


@pytest.mark.parametrize(
    ("told", "peak"),
    [
        (chunk(b"cLLI", struct.pack(">LL", 4000 * 10_000, 400 * 10_000)), 4000),
        (chunk(b"mDCV", bytes(16) + struct.pack(">LL", 600 * 10_000, 1)), 600),
        (chunk(b"cLLI", struct.pack(">LL", 100 * 10_000, 0)), 203),  # an ordinary picture in PQ is left as it is
    ],
)
def test_the_curve_goes_up_to_the_brightest_light_that_the_file_tells(told: bytes, peak: float) -> None:
    nits = [20.0, 80.0, 150.0, 203.0]
    shown = read_image(gray16([pq(each) for each in nits], code_points(9, 16) + told)).pixels[0, :, 0] / 65535
    expected = srgb(np.array(nits) / 203) if peak == 203 else [on_screen(each, peak) for each in nits]
    np.testing.assert_allclose(shown, expected, atol=2e-3)


def test_tone_mapping_keeps_hues_and_bt_2020_comes_to_srgb() -> None:
    """Colours of sRGB below the knee come back as they were."""
    colours = light(RGB[:8, :8] / 255.0) * 80  # cd/m2, below the knee of 90
    signals = np.vectorize(pq)(np.maximum(colours @ TO_2020.T, 0))
    picture = read_image(png16(np.round(signals * 65535).astype(np.uint16), extra=code_points(9, 16)))
    np.testing.assert_allclose(to_float(picture.pixels), srgb(colours / 203), atol=4e-3)
    bright = np.array([[[800.0, 200.0, 80.0]]])
    shown = light(
        to_float(
            read_image(
                png16(np.round(np.vectorize(pq)(bright) * 65535).astype(np.uint16), extra=code_points(1, 16))
            ).pixels
        )
    )
    np.testing.assert_allclose(shown / shown.max(), bright / bright.max(), atol=5e-3)


@pytest.mark.parametrize("name", ["ITUR_2100_PQ_FULL", "Display P3 PQ", "BT.2100 HLG"])
def test_a_profile_for_hdr_is_known_by_its_name(name: str) -> None:
    """By the name in PNG's chunk (W3C's note on PQ in PNG), and by the one inside."""
    packed = zlib.compress(matrix_profile(SRGB, SRGB_CURVE))
    data = gray16([0.3, 0.5], chunk(b"iCCP", name.encode() + b"\0\0" + packed))
    assert read_image(data).warnings == (HLG_SAID if "HLG" in name else PQ_SAID,)
    inside = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    at = inside.index("sRGB".encode("utf-16-be"))
    named = name.encode("utf-16-be")[: len("sRGB built-in".encode("utf-16-be"))].ljust(26, b"\0")
    profile = inside[:at] + named + inside[at + 26 :]
    if "PQ" in name[:13] or "HLG" in name[:13]:
        assert read_image(encode(SMALL, "JPEG", icc_profile=profile)).warnings[0] in (HLG_SAID, PQ_SAID)


def test_a_profile_for_hdr_is_known_by_its_code_points() -> None:
    """`cicp` of ICC.1:2022."""
    profile = bytearray(matrix_profile(SRGB, SRGB_CURVE))
    (count,) = struct.unpack_from(">L", profile, 128)
    at = next(at for at in range(132, 132 + 12 * count, 12) if profile[at : at + 4] == b"wtpt")
    profile[at : at + 12] = struct.pack(">4sLL", b"cicp", len(profile), 12)
    profile += b"cicp" + bytes(4) + bytes([9, 16, 0, 1])
    expected = to_float(read_image(png16(RGB.astype(np.uint16) * 257, extra=code_points(9, 16))).pixels)
    for data in (
        encode(SMALL, "JPEG", quality=100, subsampling=0, icc_profile=bytes(profile)),
        tiff(RGB.astype(np.uint16) * 257, t34675=bytes(profile)),
    ):
        picture = read_image(data)
        assert picture.warnings == (PQ_SAID,)
        assert np.abs(to_float(picture.pixels) - expected).mean() < 0.02


# ---- wide gamut -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("primaries", "matrix"), [(12, TO_P3), (9, TO_2020)])
def test_wide_gamut_by_code_points_of_png(primaries: int, matrix: np.ndarray) -> None:
    wide = srgb(light(RGB / 255.0) @ matrix.T)
    eight = encode(Image.fromarray(np.round(wide * 255).astype(np.uint8)), "PNG")
    at = eight.index(b"IDAT") - 4
    deep = png16(np.round(wide * 65535).astype(np.uint16), extra=code_points(primaries, 13))
    for data in (eight[:at] + code_points(primaries, 13) + eight[at:], deep):
        picture = read_image(data)
        assert picture.warnings == ()
        off = np.abs(to_float(picture.pixels) * 255 - RGB)
        assert off.max() <= (
            1 if picture.pixels.dtype == np.uint16 else 12
        )  # dark ones, which 8 bits hardly tell apart
        assert off.mean() < 0.7
    assert np.abs(wide * 255 - RGB).mean() > 5


def test_colours_outside_srgb_are_clipped() -> None:
    red = np.array([[[65535, 0, 0]]], np.uint16)
    np.testing.assert_array_equal(read_image(png16(red, extra=code_points(12, 13))).pixels, red)


def test_code_points_go_before_a_profile_and_a_profile_before_gamma() -> None:
    swap = chunk(b"iCCP", b"x\0\0" + zlib.compress(matrix_profile(SRGB[[1, 0, 2]], SRGB_CURVE)))
    linear, same = chunk(b"gAMA", struct.pack(">L", 100_000)), chunk(b"sRGB", b"\0")
    deep = RGB.astype(np.uint16) * 257
    for extra, expected in (
        (code_points(1, 13) + swap + linear, deep),
        (swap + linear, deep[..., [1, 0, 2]]),
        (same + linear, deep),
    ):
        assert np.abs(read_image(png16(deep, extra=extra)).pixels.astype(int) - expected).max() <= 40


@pytest.mark.parametrize("depth", [8, 16])
def test_narrow_range_of_png(depth: int) -> None:
    step = 2 ** (depth - 8)
    samples = np.array([16, 235, 126, 0, 255]) * step
    deep = np.repeat(samples.reshape(1, -1, 1), 3, axis=2)
    if depth == 8:
        data = encode(Image.fromarray(deep.astype(np.uint8)), "PNG")
        at = data.index(b"IDAT") - 4
        data = data[:at] + code_points(1, 13, full=0) + data[at:]
    else:
        data = png16(deep.astype(np.uint16), extra=code_points(1, 13, full=0))
    shown = to_float(read_image(data).pixels)[0, :, 0]
    np.testing.assert_allclose(shown, [0, 1, 110 / 219, 0, 1], atol=2 / 255)


@pytest.mark.parametrize("extra", [code_points(77, 13), code_points(9, 99), code_points(9, 16, matrix=9)])
def test_code_points_that_mean_nothing_are_said(extra: bytes) -> None:
    deep = RGB.astype(np.uint16) * 257
    picture = read_image(png16(deep, extra=extra))
    np.testing.assert_array_equal(picture.pixels, deep)
    assert "are not known here: the picture is taken as sRGB" in picture.warnings[0]


@pytest.mark.parametrize(
    ("transfer", "signal", "linear"),
    [
        (8, 0.5, 0.5),
        (4, 0.5, 0.5**2.2),
        (5, 0.5, 0.5**2.8),
        (7, 0.05, 0.0125),
        (9, 0.5, 0.1),
        (17, 0.9, 0.9**2.6 * 52.37 / 48),
    ],
)
def test_other_curves_of_h_273(transfer: int, signal: float, linear: float) -> None:
    shown = to_float(read_image(gray16([signal], code_points(1, transfer))).pixels)[0, 0, 0]
    assert abs(shown - float(srgb(np.array(linear)))) < 1e-3


def test_every_set_of_primaries_keeps_white() -> None:
    white = np.full((1, 1, 3), 1, np.float32)
    for primaries in (1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 22):
        encoding = colour.of_code_points(primaries, 13)
        assert encoding is not None
        np.testing.assert_allclose(colour.to_srgb(white, encoding), 1, atol=1e-4)


# ---- gamma and chromaticities ---------------------------------------------------------------------------------------


def png_with(chunks: bytes, pixels: np.ndarray = RGB) -> bytes:
    data = encode(Image.fromarray(pixels), "PNG")
    at = data.index(b"IHDR") - 4 + 25
    return data[:at] + chunks + data[at:]


def gamma(value: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">L", round(value * 100_000)))


def chromaticities(*values: float) -> bytes:
    return chunk(b"cHRM", struct.pack(">8L", *(round(value * 100_000) for value in values)))


D65 = (0.3127, 0.3290)
ADOBE_RGB = (*D65, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)


def test_gamma_of_png() -> None:
    dark = np.round(light(RGB / 255.0) * 255).astype(np.uint8)
    data = png_with(gamma(1), dark)
    expected = srgb(dark / 255.0) * 255
    assert np.abs(read_image(data).pixels - expected).max() <= 0.51
    assert np.abs(read_image(Image.open(io.BytesIO(data))).pixels - expected).max() <= 0.51  # Pillow keeps gAMA
    gray = encode(Image.fromarray(dark[..., 0]), "PNG")
    gray = gray[:33] + gamma(1) + gray[33:]
    assert np.abs(read_image(gray).pixels - expected[..., :1]).max() <= 0.51


@pytest.mark.parametrize("value", [1 / 2.2, 0.45, 0.47])
def test_the_gamma_that_stands_for_srgb_changes_nothing(value: float) -> None:
    near = chromaticities(0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
    for chunks in (gamma(value), gamma(value) + near, near):
        picture = read_image(png_with(chunks))
        np.testing.assert_array_equal(picture.pixels, RGB)
        assert picture.warnings == ()


def test_chromaticities_of_png_are_those_of_a_profile() -> None:
    """Adobe RGB told by numbers is Adobe RGB told by a profile (which LittleCMS reads)."""
    from test_image import ADOBE, GAMMA_2_2

    by_profile = read_image(encode(SMALL, "PNG", icc_profile=matrix_profile(ADOBE, GAMMA_2_2))).pixels
    by_numbers = read_image(png_with(gamma(256 / 563) + chromaticities(*ADOBE_RGB))).pixels
    assert np.abs(by_numbers.astype(int) - RGB).max() > 10
    assert np.abs(by_numbers.astype(int) - by_profile).max() <= 1


@pytest.mark.parametrize("chunks", [gamma(0), gamma(10_000), chromaticities(*[0.3] * 8), chromaticities(*[0] * 8)])
def test_gamma_and_chromaticities_of_no_use_are_said(chunks: bytes) -> None:
    picture = read_image(png_with(chunks))
    np.testing.assert_array_equal(picture.pixels, RGB)
    assert picture.warnings == ("gamma or chromaticities that cannot be used: the picture is taken as sRGB",)


def test_chromaticities_of_tiff() -> None:
    rational = b"".join(struct.pack("<LL", round(value * 10_000), 10_000) for value in ADOBE_RGB)
    tagged = tiff_with_rationals({318: rational[:16], 319: rational[16:]})
    expected = colour.to_srgb(RGB, colour.Encoding("sRGB", colour.ADOBE_RGB))
    np.testing.assert_array_equal(read_image(tagged).pixels, expected)
    assert np.abs(expected.astype(int) - RGB).max() > 10


def tiff_with_rationals(tags: dict[int, bytes]) -> bytes:
    """A TIFF of SMALL with rational numbers, which Pillow writes by their type."""
    from PIL.TiffImagePlugin import IFDRational, ImageFileDirectory_v2

    directory = ImageFileDirectory_v2()
    for tag, data in tags.items():
        numbers = struct.unpack(f"<{len(data) // 4}L", data)
        directory[tag] = tuple(IFDRational(a, b) for a, b in zip(numbers[::2], numbers[1::2], strict=True))
        directory.tagtype[tag] = 5
    return encode(SMALL, "TIFF", tiffinfo=directory)


# ---- BMP ------------------------------------------------------------------------------------------------------------


def bmp(kind: bytes, ends: tuple[float, ...] = (), gammas: tuple[float, ...] = (), profile: bytes = b"") -> bytes:
    """SMALL with the header of version 5."""
    plain = encode(SMALL, "BMP")
    pixels = plain[54:]
    head = struct.pack("<L", 124) + plain[18:54] + struct.pack("<4L", 0xFF0000, 0xFF00, 0xFF, 0) + kind
    head += struct.pack("<9l", *(round(value * 2**30) for value in ends or [0] * 9))
    head += struct.pack("<3L", *(round(value * 2**16) for value in gammas or [0] * 3))
    head += struct.pack("<4L", 4, 124 + len(pixels), len(profile), 0)
    return b"BM" + struct.pack("<L4xL", 138 + len(pixels) + len(profile), 138) + head + pixels + profile


def test_colours_of_bmp() -> None:
    profile = matrix_profile(SRGB[[1, 0, 2]], SRGB_CURVE)
    swapped = read_image(bmp(b"DEBM", profile=profile))
    assert np.abs(swapped.pixels.astype(int) - RGB[..., [1, 0, 2]]).max() <= 2
    linked = read_image(bmp(b"KNIL", profile=b"c:\\other.icc\0"))
    assert linked.warnings == ("colour profile is in another file: the picture is taken as sRGB",)
    for plain in (linked, read_image(bmp(b"BGRs")), read_image(bmp(b" niW")), read_image(bmp(bytes(4)))):
        np.testing.assert_array_equal(plain.pixels, RGB)
    xyz = np.array([[0.5767, 0.2973, 0.0270], [0.1856, 0.6274, 0.0707], [0.1882, 0.0753, 0.9911]])  # Adobe RGB's, D65
    calibrated = read_image(bmp(bytes(4), tuple(xyz.ravel()), (2.2, 2.2, 2.2)))
    expected = colour.to_srgb(RGB, colour.Encoding(2.2, colour.ADOBE_RGB))
    assert np.abs(calibrated.pixels.astype(int) - expected).max() <= 2
    xy = np.array([[0.64, 0.33, 0.03], [0.21, 0.71, 0.08], [0.15, 0.06, 0.79]])  # some write these
    np.testing.assert_allclose(read_image(bmp(bytes(4), tuple(xy.ravel()), (1 / 2.2,) * 3)).pixels, expected, atol=2)
    odd = read_image(bmp(bytes(4), tuple(xyz.ravel()), (2.2, 1.8, 2.2)))
    assert odd.warnings == ("gamma or chromaticities that cannot be used: the picture is taken as sRGB",)


# ---- HEIF, AVIF, JPEG -----------------------------------------------------------------------------------------------


def avif(image: Image.Image) -> bytes:
    return encode(image, "AVIF", quality=100, subsampling="4:4:4")


def heif(image: Image.Image) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    pillow_heif.from_bytes("RGB", image.size, image.tobytes()).save(
        buffer,
        quality=-1,
        chroma=444,
        matrix_coefficients=6,
        color_primaries=1,
        transfer_characteristics=13,
        full_range_flag=1,
    )
    return buffer.getvalue()


MAKERS = pytest.mark.parametrize(
    "make", [pytest.param(avif, marks=pytest.mark.skipif(not AVIF, reason="this Pillow has no AVIF")), heif]
)


def with_property(data: bytes, box: bytes, used: bool = False) -> bytes:
    """A HEIF or AVIF file with a property more, which its first item uses."""
    out, grown = bytearray(data), len(box) + used
    at = data.index(struct.pack(">L", data.index(b"mdat") + 4), data.index(b"iloc"))  # where its pixels are
    struct.pack_into(">L", out, at, data.index(b"mdat") + 4 + grown)
    for name, more in ((b"meta", grown), (b"iprp", grown), (b"ipco", len(box)), (b"ipma", int(used))):
        at = data.index(name) - 4
        struct.pack_into(">L", out, at, struct.unpack_from(">L", out, at)[0] + more)
    at = data.index(b"ipma") - 4  # the properties end here
    count = sum(1 for _ in boxes_in(data[data.index(b"ipco") + 4 : at]))
    if used:
        first = at + 18  # version and flags, count of entries, item
        out[first] += 1
        out[first + 1 + data[first] : first + 1 + data[first]] = bytes([0x80 | (count + 1)])
    out[at:at] = box
    return bytes(out)


def boxes_in(data: bytes) -> Iterator[bytes]:
    at = 0
    while at + 8 <= len(data):
        (size,) = struct.unpack_from(">L", data, at)
        yield data[at : at + size]
        at += size


@MAKERS
def test_the_part_that_heif_and_avif_show(make: Callable[[Image.Image], bytes]) -> None:
    """`clap`: the middle of the part is 5 to the left and 3 above that of the picture, which is 61x47."""
    data = make(SMALL)
    whole = read_image(data).pixels
    numbers = struct.pack(">8l", 21, 1, 11, 1, -5, 1, -3, 1)
    if make is avif:
        box = struct.pack(">L4s", 40, b"clap") + numbers
        data = with_property(data, box, used=True)
    else:  # libheif writes one for odd sizes, whose middle is half a pixel off
        at, (width, height) = data.index(b"clap") + 4, struct.unpack_from(">2L", data, data.index(b"ispe") + 8)
        numbers = struct.pack(">8l", 21, 1, 11, 1, 61 - width - 10, 2, 47 - height - 6, 2)
        data = data[:at] + numbers + data[at + 32 :]
    np.testing.assert_array_equal(read_image(data).pixels, whole[15:26, 15:36])


@pytest.mark.skipif(not AVIF, reason="this Pillow has no AVIF")
@pytest.mark.parametrize(
    "numbers", [(99, 1, 10, 1, 0, 1, 0, 1), (21, 1, 11, 1, 1, 3, 0, 1), (21, 0, 11, 0, 0, 0, 0, 0)]
)
def test_a_part_that_is_none_is_left_alone(numbers: tuple[int, ...]) -> None:
    data = avif(SMALL)
    box = struct.pack(">L4s8l", 40, b"clap", *numbers)
    np.testing.assert_array_equal(read_image(with_property(data, box, used=True)).pixels, read_image(data).pixels)


def with_code_points(data: bytes, primaries: int, transfer: int) -> bytes:
    at = data.index(b"colrnclx") + 8
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]


@MAKERS
def test_code_points_of_heif_and_avif(make: Callable[[Image.Image], bytes]) -> None:
    wide = Image.fromarray(np.round(srgb(light(RGB / 255.0) @ TO_P3.T) * 255).astype(np.uint8))
    data = make(wide)
    assert np.abs(read_image(data).pixels.astype(int) - np.asarray(wide)).mean() < 1.5
    as_p3 = read_image(with_code_points(data, 12, 13))
    assert as_p3.warnings == ()
    assert np.abs(as_p3.pixels.astype(int) - RGB).mean() < 1.5
    ramp = np.repeat(np.array([pq(nits) for nits in NITS]), 16).reshape(1, -1, 1) * np.ones((16, 1, 3))
    hdr = make(Image.fromarray(np.round(ramp * 255).astype(np.uint8)))
    shown = read_image(with_code_points(hdr, 9, 16))
    assert shown.warnings == (PQ_SAID,)
    expected = np.array([on_screen(nits) for nits in NITS]) * 255
    assert np.abs(shown.pixels[8, 8::16, 1] - expected).max() < 5
    if make is avif:  # libheif refuses such a file
        unknown = read_image(with_code_points(data, 99, 13))
        assert "code points 99 and 13 of H.273, which are not known here" in unknown.warnings[0]


def app(number: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, 0xE0 + number, len(data) + 2) + data


@pytest.mark.parametrize(
    "segment",
    [
        app(1, b'http://ns.adobe.com/xap/1.0/\0<rdf:Description hdrgm:Version="1.0"/>'),
        app(2, b"urn:iso:std:iso:ts:21496:-1\0" + bytes(4)),
    ],
)
def test_a_gain_map_of_jpeg_is_said(segment: bytes) -> None:
    data = encode(SMALL, "JPEG")
    picture = read_image(data[:2] + segment + data[2:])
    assert picture.warnings == (GAIN_MAP_SAID,)
    np.testing.assert_array_equal(picture.pixels, read_image(data).pixels)


def test_a_gain_map_of_apple_is_in_the_second_picture_of_a_jpeg() -> None:
    data = encode(SMALL, "MPO", save_all=True, append_images=[SMALL.resize((20, 20))])
    assert read_image(data).warnings == ()
    second = data.rindex(b"\xff\xd8") + 2
    xmp = app(1, b'http://ns.adobe.com/xap/1.0/\0<rdf:Description HDRGainMap:HDRGainMapVersion="65536"/>')
    assert read_image(data[:second] + xmp + data[second:]).warnings == (GAIN_MAP_SAID,)


@MAKERS
def test_a_gain_map_of_heif_and_avif_is_said(make: Callable[[Image.Image], bytes]) -> None:
    """Apple's is an auxiliary picture whose type says so, ISO 21496-1's an item `tmap`."""
    data = make(SMALL)
    assert read_image(data).warnings == ()
    for box in (b"auxC" + bytes(4) + b"urn:com:apple:photo:2020:aux:hdrgainmap\0", b"free" + b"tmap"):
        assert read_image(with_property(data, struct.pack(">L", len(box) + 4) + box)).warnings == (GAIN_MAP_SAID,)


def test_adobe_rgb_that_exif_alone_tells() -> None:
    """Cameras say "uncalibrated" and an index of R03 (DCF 2.0)."""

    def exif(index: bytes) -> bytes:
        ifds = [
            (0x8769, 4, 1, 26),
            (0xA001, 3, 1, 65535),
            (0xA005, 4, 1, 56),
            (1, 2, 4, int.from_bytes(index, "little")),
        ]
        entries = [struct.pack("<HHLL", *entry) for entry in ifds]
        first, second = struct.pack("<H", 1) + entries[0] + bytes(4), struct.pack("<H", 2) + entries[1] + entries[2]
        return b"Exif\0\0II*\0\x08\0\0\0" + first + second + bytes(4) + struct.pack("<H", 1) + entries[3] + bytes(4)

    plain = read_image(encode(SMALL, "JPEG", quality=95)).pixels
    expected = colour.to_srgb(plain, colour.Encoding(563 / 256, colour.ADOBE_RGB))
    data = encode(SMALL, "JPEG", quality=95, exif=exif(b"R03\0"))
    np.testing.assert_array_equal(read_image(data).pixels, expected)
    data = encode(SMALL, "JPEG", quality=95, exif=exif(b"R98\0"))
    np.testing.assert_array_equal(read_image(data).pixels, plain)


# ---- headers of AV1 -------------------------------------------------------------------------------------------------


def av1_header(reduced: bool, points: tuple[int, int] | None, profile: int = 0, bits: int = 8) -> bytes:
    """A sequence header (5.5) of a picture of 61x47, as the unit that `av1C` keeps."""
    fields = [(profile, 3), (1, 1), (int(reduced), 1)]
    fields += [(8, 5)] if reduced else [(0, 1), (0, 1), (0, 5), (0, 12), (9, 5), (1, 1)]
    fields += [(5, 4), (5, 4), (60, 6), (46, 6)]
    fields += [(0, 3)] if reduced else [(0, 1), (0, 3), (0, 4), (1, 1), (0, 2), (0, 1), (1, 1), (1, 1), (6, 3)]
    fields += [(0, 3), (int(bits > 8), 1)] + ([(0, 1)] if profile == 2 and bits > 8 else [])
    fields += [(0, 1)] if profile != 1 else []
    fields += [(1, 1), (points[0], 8), (points[1], 8), (9, 8)] if points else [(0, 1)]
    text = "".join(f"{value:0{count}b}" for value, count in fields) + "0" * 16
    data = int(text[: len(text) // 8 * 8], 2).to_bytes(len(text) // 8, "big")
    return bytes([0x0A, len(data)]) + data


@pytest.mark.parametrize("reduced", [True, False])
@pytest.mark.parametrize(("profile", "bits"), [(0, 8), (0, 10), (1, 8), (2, 12)])
def test_code_points_in_the_av1_header_that_a_file_keeps(reduced: bool, profile: int, bits: int) -> None:
    def box(name: bytes, *parts: bytes) -> bytes:
        return struct.pack(">L4s", 8 + len(b"".join(parts)), name) + b"".join(parts)

    def file(header: bytes) -> io.BytesIO:
        properties = box(b"ipco", box(b"av1C", b"\x81" + bytes([8, 0x40 * (bits > 8), 0]), header))
        used = box(b"ipma", bytes(4), struct.pack(">LHBB", 1, 7, 1, 0x81))
        kind = box(b"iinf", bytes(4), b"\0\1", box(b"infe", b"\2\0\0\0", struct.pack(">HH", 7, 0), b"av01\0"))
        meta = box(b"meta", bytes(4), box(b"pitm", bytes(4), b"\0\7"), kind, box(b"iprp", properties, used))
        return io.BytesIO(box(b"ftyp", b"avif", bytes(4)) + meta)

    told = read_boxes(file(av1_header(reduced, (9, 16), profile, bits)), 61, 47)
    assert told.encoding == colour.of_code_points(9, 16)
    assert (told.deep, told.coding) == (bits > 8, "av01")
    assert read_boxes(file(av1_header(reduced, None, profile, bits)), 61, 47).encoding is None
    assert read_boxes(file(b"\x0a\x03abc"), 61, 47).encoding is None


@pytest.mark.skipif(not AVIF, reason="this Pillow has no AVIF")
def test_the_av1_header_of_a_real_picture() -> None:
    data = avif(SMALL)
    units = data[data.index(b"mdat") + 4 :].removeprefix(b"\x12\0")  # the first unit may be a delimiter
    assert _in_av1(units) == (1, 13)


def test_a_heif_coded_otherwise_is_called_by_its_coding() -> None:
    pytest.importorskip("pillow_heif")
    data = heif(SMALL).replace(b"hvc1", b"unci")
    with pytest.raises(ImageError, match="got a HEIF picture coded as 'unci', want one coded by HEVC"):
        read_image(data)
