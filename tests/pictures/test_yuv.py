"""Frames of videos: every kind of samples comes out in its colours."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from iqassay.pictures import colour
from iqassay.pictures.colour import to_srgb
from iqassay.pictures.image import ImageError
from iqassay.pictures.picture import Picture, TooManyPixels
from iqassay.pictures.video import read_frames
from iqassay.pictures.yuv import read_frame

pytest.importorskip("av")
from clips import flat, write_clip

FULL, LIMITED, UNTOLD = 2, 1, 0
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
HALVES = {"yuv444p": (1, 1), "yuv422p": (2, 1), "yuv420p": (2, 2), "yuv440p": (1, 2), "yuv411p": (4, 1)}
# Colour bars of 100 %, as the recommendations print them: BT.601 and BT.709 at 8 bits, BT.2020 at 10.
BARS = {
    6: {RED: (81, 90, 240), GREEN: (145, 54, 34), BLUE: (41, 240, 110)},
    1: {RED: (63, 102, 240), GREEN: (173, 42, 26), BLUE: (32, 240, 118)},
    9: {RED: (294, 387, 960), GREEN: (658, 189, 100), BLUE: (116, 960, 476)},
}


def shown(tmp_path: Path, planes: object, format: str, **options: object) -> Picture:
    """The first frame of a clip of them."""
    path = write_clip(tmp_path / "clip.mkv", [planes], format, **options)  # type: ignore[arg-type, list-item]
    return next(read_frames(path)).picture()


def near(picture: Picture, rgb: tuple[int, ...], within: float = 2) -> None:
    got = picture.pixels.reshape(-1, 3).astype(float) / (257 if picture.pixels.dtype == np.uint16 else 1)
    assert np.abs(got - rgb).max() <= within, (got[0], rgb)


@pytest.mark.parametrize(("format", "share"), HALVES.items())
@pytest.mark.parametrize("matrix", [1, 6])
def test_colours_of_every_subsampling_and_matrix(
    tmp_path: Path, format: str, share: tuple[int, int], matrix: int
) -> None:
    for rgb, samples in BARS[matrix].items():
        planes = flat(samples, [(1, 1), share, share])
        near(shown(tmp_path, planes, format, colours=(1, 1, matrix)), rgb)


@pytest.mark.parametrize(
    ("range_", "told", "wanted"),
    [
        (LIMITED, (16, 235), (0, 255)),
        (FULL, (0, 255), (0, 255)),
        (UNTOLD, (16, 235), (0, 255)),
        (FULL, (16, 235), (16, 235)),
    ],
)
def test_black_and_white_of_both_ranges(
    tmp_path: Path, range_: int, told: tuple[int, int], wanted: tuple[int, int]
) -> None:
    for sample, gray in zip(told, wanted, strict=True):
        picture = shown(tmp_path, flat((sample, 128, 128), [(1, 1), (2, 2), (2, 2)]), "yuv420p", range_=range_)
        near(picture, (gray,) * 3, 0)
        assert picture.warnings == ()


def test_full_range_colours(tmp_path: Path) -> None:
    near(shown(tmp_path, flat((76, 85, 255)), "yuv444p", colours=(1, 1, 5), range_=FULL), RED)  # JFIF's red


@pytest.mark.parametrize("format", ["yuv420p10le", "yuv422p10le", "yuv444p10le"])
def test_ten_bits_keep_their_steps(tmp_path: Path, format: str) -> None:
    share = HALVES[format.removesuffix("10le")]
    ramp = np.tile(np.arange(64, 940, 4, np.uint16), (32, 1))[:, :216]
    gray = np.full((32 // share[1], ramp.shape[1] // share[0]), 512, np.uint16)
    picture = shown(tmp_path, [ramp, gray, gray], format)
    assert picture.pixels.dtype == np.uint16
    assert np.array_equal(picture.pixels[0, :, 0], np.rint((ramp[0] - 64) / 876 * 65535))


@pytest.mark.parametrize(("bits", "format"), [(9, "yuv444p9le"), (12, "yuv420p12le"), (16, "yuv444p16le")])
def test_other_depths(tmp_path: Path, bits: int, format: str) -> None:
    step, share = 2 ** (bits - 8), HALVES[format[:7]]
    samples = [step * sample for sample in BARS[1][RED]]
    near(shown(tmp_path, flat(samples, [(1, 1), share, share]), format), RED)


def test_bt2020_is_brought_to_srgb(tmp_path: Path) -> None:
    inside = {GREEN: (0.0, 1.0, 0.0), RED: (1.0, 0.0, 0.0)}
    for rgb, samples in BARS[9].items():
        picture = shown(tmp_path, flat(samples), "yuv444p10le", colours=(1, 1, 9))  # its matrix alone
        near(picture, rgb, 0.6)
    for rgb, signal in inside.items():
        picture = shown(tmp_path, flat(BARS[9][rgb]), "yuv444p10le", colours=(9, 14, 9))
        wanted = to_srgb(np.array([[signal]], np.float32), colour.of_code_points(9, 14))  # type: ignore[arg-type]
        near(picture, tuple(255 * wanted[0, 0]), 0.6)


@pytest.mark.parametrize(("transfer", "curve"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_brought_to_an_ordinary_screen(tmp_path: Path, transfer: int, curve: str) -> None:
    colours = (9, transfer, 9)
    picture = shown(tmp_path, flat((64 + 438, 512, 512)), "yuv444p10le", colours=colours)
    encoding = colour.of_code_points(9, transfer)
    assert encoding is not None
    wanted = to_srgb(np.full((1, 1, 3), 0.5, np.float32), encoding)
    near(picture, tuple(255 * wanted[0, 0]), 0.2)
    assert picture.warnings == (f"HDR ({curve}) brought to an ordinary screen by a tone curve",)
    untold = shown(tmp_path, flat(BARS[9][RED]), "yuv444p10le", colours=(9, transfer, 2))  # the matrix of BT.2020
    told = shown(tmp_path, flat(BARS[9][RED]), "yuv444p10le", colours=colours)
    assert np.array_equal(untold.pixels, told.pixels)


@pytest.mark.parametrize(("size", "matrix"), [((720, 576), 6), ((1280, 720), 1), ((720, 578), 1)])
def test_a_matrix_that_is_not_told_is_that_of_its_size(tmp_path: Path, size: tuple[int, int], matrix: int) -> None:
    near(shown(tmp_path, flat(BARS[matrix][RED], size=size), "yuv444p", colours=(2, 2, 2)), RED)


def test_gray_and_rgb(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(64), (8, 1))
    assert np.array_equal(shown(tmp_path, [ramp.astype(np.uint8)], "gray", range_=UNTOLD).pixels[..., 1], ramp)
    deep = shown(tmp_path, [ramp.astype(np.uint16) * 16], "gray10le", range_=UNTOLD).pixels
    assert np.array_equal(deep[..., 0], np.rint(ramp * 16 / 1023 * 65535))
    near(read_frame(frame_of("gbrp", [0], [255], [0]), "h264", "", 1000), BLUE, 0)
    ten = shown(tmp_path, flat((0, 0, 1023)), "gbrp10le", colours=(1, 1, 0), range_=FULL)
    near(ten, RED, 0)
    assert ten.pixels.dtype == np.uint16


def test_transparent_parts_are_shown_over_white(tmp_path: Path) -> None:
    planes = [*flat((16, 128, 128), [(1, 1), (2, 2), (2, 2)]), np.zeros((32, 48), np.uint8)]
    picture = shown(tmp_path, planes, "yuva420p")
    near(picture, (255,) * 3, 0)
    assert picture.warnings == ("transparency shown over white",)


def test_ycgco_and_matrices_that_are_not_known(tmp_path: Path) -> None:
    near(shown(tmp_path, flat((64, 64, 255)), "yuv444p", colours=(1, 1, 8), range_=FULL), RED)
    with pytest.raises(ImageError, match="told by ICtCp, which is not read, want YCbCr or RGB"):
        shown(tmp_path, flat((512, 512, 512)), "yuv444p10le", colours=(9, 16, 14))


QUARTERS = np.kron(np.array([[50, 100], [150, 200]], np.uint8), np.ones((16, 24), np.uint8))


@pytest.mark.parametrize(
    ("turned", "wanted"), [(-90, np.rot90(QUARTERS, -1)), (180, np.rot90(QUARTERS, 2)), (90, np.rot90(QUARTERS))]
)
def test_rotation_is_obeyed(tmp_path: Path, turned: int, wanted: np.ndarray) -> None:
    planes = [QUARTERS, *flat((128, 128))]
    path = write_clip(
        tmp_path / "turned.mp4", [planes], "yuv444p", "libx264", range_=FULL, options={"qp": "0"}, turned=turned
    )
    picture = next(read_frames(path)).picture()
    assert picture.pixels.shape[:2] == wanted.shape
    assert np.abs(picture.pixels[..., 1].astype(int) - wanted).max() <= 1
    assert picture.warnings == ()


def test_what_is_said_of_a_frame(tmp_path: Path) -> None:
    planes = flat((63, 102, 240))
    path = write_clip(tmp_path / "odd.mp4", [planes], "yuv444p", "libx264", turned=30, shape=Fraction(16, 11))
    assert next(read_frames(path)).picture().warnings == (
        "pixels that are not square (16:11): shown as they are stored",
        "turned by something else than a right angle: shown as it is stored",
    )
    unknown = frame_of("yuv444p", [63], [102], [240])
    unknown.color_trc = 3
    said = read_frame(unknown, "h264", "", 10_000).warnings
    assert said == (colour.UNKNOWN.format("1 and 3"),)
    with pytest.raises(TooManyPixels, match="got 16x8 = 128 pixels, want at most 100"):
        read_frame(unknown, "h264", "", 100)


def frame_of(format: str, *planes: list[int]) -> Any:
    """A frame of 16x8 pixels of one colour: of each plane the samples that come again and again."""
    import av

    frame = av.VideoFrame(16, 8, format)
    for plane, samples in zip(frame.planes, planes, strict=True):
        type_ = np.uint8 if max(samples) < 256 else np.uint16
        values = np.frombuffer(plane, type_)
        values[:] = np.resize(np.array(samples, type_), len(values))
    frame.colorspace = frame.color_primaries = frame.color_trc = 1
    return frame


@pytest.mark.parametrize(
    ("format", "planes"),
    [
        ("nv12", ([63], [102, 240])),
        ("yuyv422", ([63, 102, 63, 240],)),
        ("uyvy422", ([102, 63, 240, 63],)),
        ("p010le", ([63 << 8], [102 << 8, 240 << 8])),
        ("y210le", ([63 << 8, 102 << 8, 63 << 8, 240 << 8],)),
        ("rgb24", ([255, 0, 0],)),
        ("bgr0", ([0, 0, 255, 0],)),
        ("bgra", ([0, 0, 255, 255],)),
        ("rgb48le", ([65535, 0, 0],)),
        ("gbrap", ([0], [0], [255], [255])),
    ],
)
def test_packed_and_half_packed_samples(format: str, planes: tuple[list[int], ...]) -> None:
    picture = read_frame(frame_of(format, *planes), "rawvideo", "", 1000)
    near(picture, RED)
    assert (picture.width, picture.height) == (16, 8)
    assert picture.warnings == ()


def test_gray_with_alpha_and_gray_of_a_colour_codec() -> None:
    half = read_frame(frame_of("ya8", [0, 51]), "ffv1", "", 1000)
    near(half, (204,) * 3, 1)
    near(read_frame(frame_of("gray", [235]), "h264", "", 1000), (255,) * 3, 0)
    near(read_frame(frame_of("gray", [235]), "ffv1", "", 1000), (235,) * 3, 0)
    for format in ("grayf32le", "xyz12le"):
        with pytest.raises(ImageError, match=f"of the pixel format {format}, want one of YUV, RGB or gray"):
            read_frame(frame_of(format, [0]), "exr", "", 1000)


def test_flips_are_obeyed(tmp_path: Path) -> None:
    planes = [QUARTERS, *flat((128, 128))]
    options = {"format": "yuv444p", "codec": "libx264", "range_": FULL, "options": {"qp": "0"}}
    turns = {
        (-1, 0, 0, 1): QUARTERS[:, ::-1],
        (1, 0, 0, -1): QUARTERS[::-1],
        (0, 1, 1, 0): QUARTERS.T,
        (0, -1, -1, 0): QUARTERS[::-1, ::-1].T,
    }
    for (a, b, c, d), wanted in turns.items():
        matrix = [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30]
        path = write_clip(tmp_path / "flipped.mp4", [planes], matrix=matrix, **options)  # type: ignore[arg-type]
        picture = next(read_frames(path)).picture()
        assert np.abs(picture.pixels[..., 1] - wanted.astype(float)).max() <= 1, (a, b, c, d)
