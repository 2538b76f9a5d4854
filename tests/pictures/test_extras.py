"""What extras read: camera raw files and JPEG XL; and what is said where they are not installed."""

from __future__ import annotations

import io
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_image import ADOBE, GAMMA_2_2, RGB, SMALL, encode, matrix_profile, table_profile, tiff

from iqassay.pictures import formats, jxl
from iqassay.pictures.colour import Encoding, to_srgb
from iqassay.pictures.image import ImageError, read_image

RAW_HEADS = [
    b"II*\0\x10\0\0\0CR\2\0" + bytes(40),
    b"\0\0\0\x18ftypcrx " + bytes(40),
    b"IIRO\x08\0\0\0" + bytes(40),
    b"IIU\0\x18\0\0\0" + bytes(40),
    b"FUJIFILMCCD-RAW " + bytes(140),
    b"II\x1a\0\0\0HEAPCCDR" + bytes(40),
    b"FOVb" + bytes(40),
]


def dng(mosaic: np.ndarray, preview: Image.Image | None = None, orientation: int = 1) -> bytes:
    """A DNG of RGGB samples of 16 bits; with a preview, as cameras have it: the JPEG first, the samples below it."""
    height, width = mosaic.shape
    data, samples = bytearray(b"II*\0" + bytes(4)), mosaic.astype("<u2").tobytes()
    codes = {1: "B", 2: "B", 3: "H", 4: "L", 5: "L", 10: "l"}

    def append(part: bytes) -> int:
        data.extend(bytes(len(data) % 2))
        data.extend(part)
        return len(data) - len(part)

    def directory(entries: dict[int, tuple[int, Any]]) -> int:
        packed = b""
        for tag, (kind, values) in sorted(entries.items()):
            value = bytes(values) if kind in (1, 2) else struct.pack(f"<{len(values)}{codes[kind]}", *values)
            count = len(values) // (2 if kind in (5, 10) else 1)
            value = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack("<L", append(value))
            packed += struct.pack("<HHL", tag, kind, count) + value
        return append(struct.pack("<H", len(entries)) + packed + bytes(4))

    colours = [10_000, 10_000, 0, 1, 0, 1, 0, 1, 10_000, 10_000, 0, 1, 0, 1, 0, 1, 10_000, 10_000]
    main = {254: (4, [0]), 256: (4, [width]), 257: (4, [height]), 258: (3, [16]), 259: (3, [1]), 262: (3, [32803])}
    main |= {273: (4, [append(samples)]), 277: (3, [1]), 278: (4, [height]), 279: (4, [len(samples)])}
    main |= {33421: (3, [2, 2]), 33422: (1, [0, 1, 1, 2]), 50714: (3, [0]), 50717: (3, [65535])}
    about = {271: (2, b"Maker\0"), 272: (2, b"Model\0"), 274: (3, [orientation]), 50706: (1, [1, 4, 0, 0])}
    about |= {50707: (1, [1, 1, 0, 0]), 50708: (2, b"Maker Model\0"), 50721: (10, colours), 50728: (5, [1] * 6)}
    about |= {50778: (3, [21])}
    if preview is None:
        at = directory(main | about)
    else:
        jpeg = encode(preview, "JPEG", quality=95)
        small = {254: (4, [1]), 256: (4, [preview.width]), 257: (4, [preview.height]), 258: (3, [8, 8, 8])}
        small |= {259: (3, [7]), 262: (3, [6]), 277: (3, [3]), 278: (4, [preview.height]), 279: (4, [len(jpeg)])}
        small |= {273: (4, [append(jpeg)]), 330: (4, [directory(main)])}
        at = directory(small | about)
    struct.pack_into("<L", data, 4, at)
    return bytes(data)


MOSAIC = np.full((64, 96), 20_000)
MOSAIC[::2, ::2] = 50_000  # red
MOSAIC[:32] = 2_000


@pytest.mark.parametrize("head", RAW_HEADS)
def test_raw_files_are_known_and_need_their_extra(head: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)  # as if it were not installed
    with pytest.raises(ImageError, match=r"a camera raw file, which needs `pip install 'rawpy>=0\.24'`"):
        read_image(head)
    for data in (dng(MOSAIC), dng(MOSAIC, SMALL), tiff(RGB[..., :1].astype(np.uint16), photometric=32803)):
        with pytest.raises(ImageError, match=r"a camera raw file.* needs `pip install 'rawpy>=0\.24'`"):
            read_image(data)


def test_a_raw_file_is_developed_and_turned() -> None:
    pytest.importorskip("rawpy")
    picture = read_image(dng(MOSAIC))
    assert (picture.width, picture.height) == (96, 64)
    assert picture.warnings == ("camera raw file: developed plainly, with the camera's white balance",)
    red, green, _ = picture.pixels[50, 48].astype(int)
    assert red > green + 50
    assert picture.pixels[10, 48].max() < 130
    turned = read_image(dng(MOSAIC, orientation=6)).pixels
    np.testing.assert_array_equal(turned, np.rot90(picture.pixels, -1))


@pytest.mark.parametrize(("size", "shown"), [((96, 64), True), ((24, 16), False)])
def test_the_preview_of_a_raw_file_is_shown_when_it_is_the_whole_picture(size: tuple[int, int], shown: bool) -> None:
    pytest.importorskip("rawpy")
    preview = SMALL.resize(size)
    picture = read_image(dng(MOSAIC, preview, orientation=8))
    assert (picture.width, picture.height) == (64, 96)
    if shown:
        assert picture.warnings == ("camera raw file: its embedded preview of 96x64 pixels is shown",)
        assert np.abs(np.rot90(picture.pixels, -1).astype(int) - np.asarray(preview)).mean() < 6
    else:
        assert "developed plainly" in picture.warnings[0]


@pytest.mark.parametrize("preview", [None, SMALL.resize((96, 64))])
def test_a_raw_file_that_was_cut_short_is_refused(preview: Image.Image | None) -> None:
    """LibRaw would fill what is missing with black, after a word on standard error."""
    pytest.importorskip("rawpy")
    data = dng(MOSAIC, preview)
    moved, rows = bytearray(data), struct.pack("<HHLL", 279, 4, 1, MOSAIC.size * 2)
    struct.pack_into("<L", moved, data.index(rows) + 8, len(data))  # more than there is
    with pytest.raises(ImageError, match="truncated"):
        read_image(bytes(moved))


def test_the_limit_holds_for_raw_files() -> None:
    pytest.importorskip("rawpy")
    with pytest.raises(ImageError, match="96x64 = 6,144 pixels, want at most 100"):
        read_image(dng(MOSAIC), max_pixels=100)


# ---- JPEG XL --------------------------------------------------------------------------------------------------------


def jpeg_xl(image: Image.Image, **options: Any) -> bytes:
    pytest.importorskip("pillow_jxl")
    buffer = io.BytesIO()
    image.save(buffer, "JXL", **{"lossless": True, **options})
    return buffer.getvalue()


@pytest.mark.parametrize("data", [b"\xff\x0a\xfa\x1f\x41", b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(20)])
def test_jpeg_xl_needs_its_extra(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    with pytest.raises(
        ImageError, match=r"got a JPEG XL picture, which needs `pip install 'pillow-jxl-plugin>=1\.3\.4'`"
    ):
        read_image(data)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA"])
@pytest.mark.parametrize("container", [False, True])
def test_jpeg_xl(mode: str, container: bool) -> None:
    image = SMALL.convert(mode)
    if mode in ("RGBA", "LA"):
        image.putalpha(SMALL.convert("L"))
    picture = read_image(jpeg_xl(image, use_container=container))
    expected = read_image(image)
    assert np.abs(picture.pixels.astype(int) - expected.pixels).max() <= 1
    assert picture.warnings == expected.warnings


def test_the_profile_of_a_jpeg_xl(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plug-in writes no profile, but passes on what the file says."""
    pillow_jxl = pytest.importorskip("pillow_jxl")
    data, decode, profile = jpeg_xl(SMALL), pillow_jxl.Decoder, b""

    def decoder(**options: Any) -> Any:
        return lambda data: (*decode(**options)(data)[:3], profile, [])

    monkeypatch.setattr(pillow_jxl, "Decoder", decoder)
    profile = matrix_profile(ADOBE, GAMMA_2_2)
    expected = read_image(encode(SMALL, "PNG", icc_profile=profile)).pixels
    assert np.abs(read_image(data).pixels.astype(int) - expected).max() <= 2
    profile = table_profile(b"CMYK", 4)
    with pytest.raises(ImageError, match="got a JPEG XL picture in CMYK, want one in gray or RGB"):
        read_image(data)


def test_a_gray_jpeg_xl_of_16_bits() -> None:
    """The plug-in writes it as linear light, and says so."""
    deep = Image.fromarray(RGB[..., 0].astype(np.uint16) * 257)
    picture = read_image(jpeg_xl(deep))
    expected = to_srgb(RGB[..., :1].astype(np.uint16) * 257, Encoding(1.0))
    np.testing.assert_allclose(picture.pixels[..., :1], expected, atol=40)  # profiles have 16 bits of their own


def test_the_jpeg_that_a_jpeg_xl_was_made_of_comes_back() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(SMALL, "JPEG", exif=exif)
    pytest.importorskip("pillow_jxl")
    from pillow_jxl import Encoder

    for made in (Encoder(mode="RGB", lossless=True, quality=100)(data, *SMALL.size, jpeg_encode=True),):
        np.testing.assert_array_equal(read_image(made).pixels, read_image(data).pixels)


def test_the_size_and_the_damage_of_a_jpeg_xl() -> None:
    data = jpeg_xl(SMALL)
    with pytest.raises(ImageError, match="61x47 = 2,867 pixels, want at most 100"):
        read_image(data, max_pixels=100)
    for broken in (data[:12], data[:-40], data[:20] + bytes(len(data) - 20)):
        with pytest.raises(ImageError, match="JPEG XL"):
            read_image(broken)


class Bits:
    """Writes what a header is made of: (value, bits), the lowest bit first."""

    def __init__(self, *fields: tuple[int, int]) -> None:
        number = at = 0
        for value, bits in fields:
            number, at = number | value << at, at + bits
        self.data = number.to_bytes(at // 8 + 9, "little")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([(1, 1), (3, 5), (1, 3), (1, 1)], (32, 32)),
        ([(1, 1), (3, 5), (0, 3), (9, 5), (1, 1)], (80, 32)),
        ([(0, 1), (1, 2), (999, 13), (3, 3), (1, 1)], (1333, 1000)),
        ([(0, 1), (3, 2), (2**30 - 1, 30), (0, 3), (0, 2), (0, 9), (1, 1)], (1, 2**30)),
    ],
)
def test_the_size_in_the_header_of_jpeg_xl(fields: list[tuple[int, int]], expected: tuple[int, int]) -> None:
    header = jxl.read_header(Bits(*fields).data)
    assert (header.width, header.height) == expected
    assert (header.bits, header.animated, header.premultiplied) == (8, False, False)


def test_the_rest_of_the_header_of_jpeg_xl() -> None:
    """Turned on its side, animated, of 10 bits, with premultiplied alpha."""
    size = [(1, 1), (3, 5), (0, 3), (9, 5), (0, 1)]
    extra = [(1, 1), (5, 3), (0, 1), (0, 1), (1, 1), (0, 2), (0, 2), (0, 2), (0, 1)]
    depth = [(0, 1), (1, 2), (0, 1)]
    alpha = [(1, 2), (0, 1), (0, 2), (0, 1), (0, 2), (0, 2), (0, 2), (1, 1)]
    header = jxl.read_header(Bits(*size, *extra, *depth, *alpha).data)
    assert header == jxl.Header(32, 80, 10, animated=True, premultiplied=True)
    with pytest.raises(ValueError, match="ends too early"):
        jxl.read_header(b"\x00")


def test_each_extra_is_named_as_pyproject_has_it() -> None:
    extras = {kind.extra for kind in formats.OTHERS.values() if kind.extra}
    assert extras == {"raw", "jxl", "video"}
    declared = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert all(f"\n{extra} = [" in declared for extra in extras)
