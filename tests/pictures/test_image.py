"""Reading pictures: what is kept, what is converted, what is said and what is refused."""

from __future__ import annotations

import io
import itertools
import os
import struct
import sys
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFile

from iqassay.pictures.image import SUFFIXES, ImageError, read_image, to_float

RNG = np.random.default_rng(7)
SMALL = Image.fromarray(RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((61, 47), Image.Resampling.BICUBIC)
RGB = np.asarray(SMALL)
DEEP = RNG.integers(0, 65536, (13, 11, 4), dtype=np.uint16)


def encode(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.copy().save(buffer, kind, **options)  # a copy: Pillow 11 leaves options on what it has saved
    return buffer.getvalue()


def over_white(pixels: np.ndarray, top: int) -> np.ndarray:
    alpha = pixels[..., -1:] / top
    return pixels[..., :-1] * alpha + top * (1 - alpha)


def files() -> dict[str, bytes]:
    """One small file of every kind that this Pillow can write."""
    turned = [SMALL.rotate(90), SMALL.rotate(180)]
    made = {
        "jpeg": encode(SMALL, "JPEG"),
        "progressive jpeg": encode(SMALL, "JPEG", progressive=True),
        "cmyk jpeg": encode(SMALL.convert("CMYK"), "JPEG"),
        "mpo": encode(SMALL, "MPO", save_all=True, append_images=turned[:1]),
        "png": encode(SMALL, "PNG"),
        "palette png": encode(SMALL.quantize(17), "PNG", transparency=3),
        "16-bit png": png16(DEEP[..., :3]),
        "16-bit gray png": png16(DEEP[..., :1]),
        "apng": encode(SMALL, "PNG", save_all=True, append_images=turned),
        "webp": encode(SMALL, "WEBP"),
        "lossless webp": encode(SMALL.convert("RGBA"), "WEBP", lossless=True),
        "animated webp": encode(SMALL, "WEBP", save_all=True, append_images=turned),
        "gif": encode(SMALL, "GIF"),
        "animated gif": encode(SMALL, "GIF", save_all=True, append_images=turned),
        "bmp": encode(SMALL, "BMP"),
        "tiff": encode(SMALL, "TIFF"),
        "lzw tiff": encode(SMALL, "TIFF", compression="tiff_lzw"),
        "jpeg tiff": encode(SMALL, "TIFF", compression="jpeg"),
        "16-bit tiff": tiff(DEEP[..., :3]),
        "deflated 16-bit tiff": tiff(DEEP[..., :3], compression=8, predictor=2, tile=16),
    }
    if Image.registered_extensions().get(".avif"):
        made["avif"] = encode(SMALL, "AVIF")
    return made


def png16(samples: np.ndarray, interlaced: bool = False, extra: bytes = b"") -> bytes:
    """16-bit PNG, every row with another of the five filters; written from the standard, apart from the code tested."""
    height, width, channels = samples.shape
    grids = [(0, 0, 1, 1)]
    if interlaced:
        grids = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    data, kinds, size = bytearray(), itertools.cycle(range(5)), 2 * channels
    for x, y, dx, dy in grids:
        part = samples[y::dy, x::dx]
        above = bytes(size + part.shape[1] * size)
        for row in part if part.size else ():
            line = bytes(size) + row.astype(">u2").tobytes()
            kind = next(kinds)
            data.append(kind)
            for i in range(size, len(line)):
                a, b, c = line[i - size], above[i], above[i - size]
                near = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
                data.append((line[i] - (0, a, b, (a + b) // 2, near)[kind]) % 256)
            above = line
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, interlaced)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def lzw(data: bytes) -> bytes:
    """TIFF's LZW with a clear code before every 200 bytes, so that all the codes are literals of nine bits."""
    codes = [c for i in range(0, len(data), 200) for c in (256, *data[i : i + 200])] + [257]
    bits = "".join(f"{code:09b}" for code in codes)
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")


def tiff(
    samples: np.ndarray, order="<", compression=1, predictor=1, tile=0, planar=False, big=False, photometric=-1, **tags
) -> bytes:
    """A TIFF of any sample type: strips of five rows or square tiles, one plane or one for each channel."""
    height, width, channels = samples.shape
    stored = samples.astype(samples.dtype.newbyteorder(order))
    blocks = []
    for plane in [stored[..., i : i + 1] for i in range(channels)] if planar else [stored]:
        step_y, step_x = (tile, tile) if tile else (5, width)
        for y, x in itertools.product(range(0, height, step_y), range(0, width, step_x)):
            block = plane[y : y + step_y, x : x + step_x]
            if tile:
                block = np.pad(block, ((0, tile - block.shape[0]), (0, tile - block.shape[1]), (0, 0)))
            if predictor == 2:
                native = block.astype(block.dtype.newbyteorder("=")).view(f"u{block.itemsize}")
                native = np.diff(native, axis=1, prepend=native.dtype.type(0))
                block = native.astype(native.dtype.newbyteorder(order))
            elif predictor == 3:
                planes = (
                    block.astype(block.dtype.newbyteorder(">")).view(np.uint8).reshape(len(block), -1, block.itemsize)
                )
                planes = planes.swapaxes(1, 2).reshape(len(block), -1, block.shape[2])
                block = np.diff(planes, axis=1, prepend=np.uint8(0))
            blocks.append({1: bytes, 5: lzw, 8: zlib.compress}[compression](block.tobytes()))
    kind = {"u": 1, "i": 2, "f": 3}[samples.dtype.kind]
    photometric = photometric if photometric >= 0 else 2 if channels > 2 else 1
    entries = {256: width, 257: height, 258: [8 * samples.itemsize] * channels, 259: compression, 262: photometric}
    entries |= {277: channels, 284: 1 + planar, 317: predictor, 339: [kind] * channels}
    if channels in (2, 4):
        entries[338] = 2
    start = 16 if big else 8
    offsets = [start + sum(map(len, blocks[:i])) for i in range(len(blocks))]
    entries |= {322: tile, 323: tile, 324: offsets, 325: [len(b) for b in blocks]} if tile else {278: 5, 273: offsets}
    if not tile:
        entries[279] = [len(b) for b in blocks]
    entries |= {int(tag.lstrip("t")): value for tag, value in tags.items()}
    data = b"".join(blocks)
    at, word, room = start + len(data), "Q" if big else "L", 8 if big else 4
    after = at + (8 if big else 2) + (20 if big else 12) * len(entries) + room
    directory, outside = struct.pack(order + ("Q" if big else "H"), len(entries)), b""
    for tag, value in sorted(entries.items()):
        raw = value if isinstance(value, bytes) else b""
        values = value if isinstance(value, list) else [value]
        packed = raw or struct.pack(f"{order}{len(values)}L", *values)
        count = len(raw) or len(values)
        if len(packed) > room:
            outside, packed = outside + packed, struct.pack(order + word, after + len(outside))
        directory += struct.pack(f"{order}HH{word}", tag, 7 if raw else 4, count) + packed.ljust(room, b"\0")
    head = struct.pack(f"{order}2sH", b"II" if order == "<" else b"MM", 43 if big else 42)
    head += struct.pack(order + "HHQ", 8, 0, at) if big else struct.pack(order + "L", at)
    return head + data + directory + bytes(room) + outside


def matrix_profile(colorants: np.ndarray, curve: bytes, space: bytes = b"RGB ") -> bytes:
    """A smallest possible ICC profile. colorants: (3, 3), one XYZ (D50) for each channel; curve: its tag."""
    fixed = [
        struct.pack(">4s4x3i", b"XYZ ", *(round(v * 65536) for v in xyz)) for xyz in (*colorants, (0.9642, 1, 0.8249))
    ]
    tags = dict(zip((b"rXYZ", b"gXYZ", b"bXYZ", b"wtpt"), fixed, strict=True)) | {
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    if space == b"GRAY":
        tags = {b"wtpt": fixed[3], b"kTRC": curve}
    table, body = struct.pack(">I", len(tags)), b""
    for name, tag in tags.items():
        table += struct.pack(">4sII", name, 132 + 12 * len(tags) + len(body), len(tag))
        body += tag + bytes(-len(tag) % 4)
    size = 128 + len(table) + len(body)
    header = struct.pack(
        ">I4xI4s4s4s12x4s28x3i", size, 0x02400000, b"mntr", space, b"XYZ ", b"acsp", 63190, 65536, 54061
    )
    return header.ljust(128, b"\0") + table + body


ADOBE = np.array([[0.60974, 0.31111, 0.01947], [0.20528, 0.62567, 0.06087], [0.14919, 0.06322, 0.74457]])
SRGB = np.array([[0.43607, 0.22249, 0.01392], [0.38515, 0.71687, 0.09708], [0.14307, 0.06061, 0.71410]])
GAMMA_2_2 = struct.pack(">4s4xIHxx", b"curv", 1, 563)  # 563 / 256, Adobe RGB's
GAMMA_1_8 = struct.pack(">4s4xIHxx", b"curv", 1, 461)
SRGB_CURVE = struct.pack(
    ">4s4xHxx5i", b"para", 3, *(round(v * 65536) for v in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))
)
TABLE = struct.pack(">4s4xI256H", b"curv", 256, *(round(65535 * (i / 255) ** 2) for i in range(256)))


FILES = files()
AVIF = "avif" in FILES


# ---- ordinary files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "JPEG"])
def test_path_string_and_bytes_give_the_same_pixels(tmp_path, kind):
    data = encode(SMALL, kind)
    path = tmp_path / f"a picture.{kind.lower()}"
    path.write_bytes(data)
    expected = np.asarray(Image.open(io.BytesIO(data)))
    for source in (path, str(path), data, bytearray(data), memoryview(data)):
        picture = read_image(source)
        assert picture.pixels.dtype == np.uint8
        assert picture.pixels.flags.c_contiguous
        assert not picture.pixels.flags.writeable
        assert (picture.height, picture.width, picture.warnings) == (47, 61, ())
        np.testing.assert_array_equal(picture.pixels, expected)


def test_the_ending_of_the_name_does_not_matter(tmp_path):
    path = tmp_path / "really_a_png.jpg"
    path.write_bytes(encode(SMALL, "PNG"))
    np.testing.assert_array_equal(read_image(path).pixels, RGB)
    assert {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif", ".heic"} <= SUFFIXES
    assert all(suffix == suffix.lower() for suffix in SUFFIXES)


@pytest.mark.parametrize("mode", ["1", "L", "P", "YCbCr", "HSV", "RGBX"])
def test_other_modes_become_rgb(mode):
    image = SMALL.convert(mode)
    np.testing.assert_array_equal(read_image(image).pixels, np.asarray(image.convert("RGB")))


def test_cmyk_is_inverted_back_and_said():
    picture = read_image(encode(SMALL.convert("CMYK"), "JPEG", quality=98))  # Pillow writes Adobe's inverted kind
    assert np.abs(picture.pixels.astype(int) - RGB).mean() < 3
    assert "CMYK" in picture.warnings[0]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "16-bit PNG", "16-bit TIFF"])
def test_exif_orientation(kind, orientation):
    turns = {1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud}
    turns |= {5: lambda a: np.flipud(np.rot90(a)), 6: lambda a: np.rot90(a, -1), 7: lambda a: np.fliplr(np.rot90(a))}
    turns[8] = np.rot90
    exif = Image.Exif()
    exif[0x0112] = orientation
    if kind == "16-bit PNG":
        data, upright = png16(DEEP[..., :3]), DEEP[..., :3]
        data = data[:-12] + chunk(b"eXIf", exif.tobytes()[6:]) + data[-12:]  # after the pixels: the standard allows it
    elif kind == "16-bit TIFF":
        data, upright = tiff(DEEP[..., :3], t274=orientation), DEEP[..., :3]
    else:
        options = {"lossless": True} if kind == "WEBP" else {}
        data = encode(SMALL, kind, exif=exif, **options)
        upright = np.asarray(Image.open(io.BytesIO(encode(SMALL, kind, **options))).convert("RGB"))
    np.testing.assert_array_equal(read_image(data).pixels, turns[orientation](upright))
    if not kind.startswith("16"):
        np.testing.assert_array_equal(read_image(Image.open(io.BytesIO(data))).pixels, turns[orientation](upright))


def test_a_broken_exif_block_leaves_the_picture_upright():
    data = encode(SMALL, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own word about it
        assert read_image(data).pixels.shape == (47, 61, 3)


def test_single_pixel():
    for data in (encode(Image.new("RGB", (1, 1), (9, 8, 7)), "PNG"), np.array([[[9, 8, 7]]], np.uint8)):
        np.testing.assert_array_equal(read_image(data).pixels, [[[9, 8, 7]]])


# ---- transparency and animation -------------------------------------------------------------------------------------


def transparent_files() -> dict[str, tuple[bytes, np.ndarray]]:
    rgba = np.dstack([RGB, RNG.integers(0, 256, RGB.shape[:2], dtype=np.uint8)])
    gray = np.dstack([RGB[..., 0], rgba[..., 3]])
    palette = Image.fromarray(np.arange(4, dtype=np.uint8).reshape(2, 2))
    palette.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200, 50, 50, 50])
    four = np.array([[[200, 0, 0, 255], [0, 200, 0, 128]], [[0, 0, 200, 0], [50, 50, 50, 255]]], np.uint8)
    keyed = np.dstack([RGB, 255 * np.not_equal(RGB, RGB[3, 4]).any(axis=2)])
    sample = struct.pack(">3H", *DEEP[2, 3, :3])
    deep_key = np.dstack([DEEP[..., :3], np.where((DEEP[..., :3] == DEEP[2, 3, :3]).all(axis=2), 0, 65535)])
    gray_key = np.dstack([DEEP[..., 0], np.where(DEEP[..., 0] == DEEP[2, 3, 0], 0, 65535)])
    ramp = np.arange(16, dtype=np.uint8).reshape(1, 16)
    row = b"\0" + bytes(16 * i + i + 1 for i in range(0, 16, 2))
    four_bits = chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 1, 4, 0, 0, 0, 0)) + chunk(b"tRNS", struct.pack(">H", 5))
    four_bits = b"\x89PNG\r\n\x1a\n" + four_bits + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    return {
        "rgba png": (encode(Image.fromarray(rgba), "PNG"), rgba),
        "gray and alpha png": (encode(Image.fromarray(gray), "PNG"), gray),
        "rgba webp": (encode(Image.fromarray(rgba), "WEBP", lossless=True, exact=True), rgba),
        "rgba tiff": (encode(Image.fromarray(rgba), "TIFF"), rgba),
        "palette and tRNS": (encode(palette, "PNG", transparency=bytes([255, 128, 0])), four),
        "one colour of 8 bits": (encode(SMALL, "PNG", transparency=tuple(map(int, RGB[3, 4]))), keyed),
        "one gray of 4 bits": (four_bits, np.dstack([ramp * 17, np.where(ramp == 5, 0, 255)])),
        "16-bit rgba png": (png16(DEEP), DEEP),
        "16-bit gray and alpha png": (png16(DEEP[..., 2:]), DEEP[..., 2:]),
        "one colour of 16 bits": (png16(DEEP[..., :3], extra=chunk(b"tRNS", sample)), deep_key),
        "one gray of 16 bits": (png16(DEEP[..., :1], extra=chunk(b"tRNS", sample[:2])), gray_key),
        "16-bit rgba tiff": (tiff(DEEP), DEEP),
        "16-bit gray and alpha tiff": (tiff(DEEP[..., 2:], planar=True), DEEP[..., 2:]),
    }


TRANSPARENT = transparent_files()


@pytest.mark.parametrize("name", TRANSPARENT)
def test_transparency_is_shown_over_white_and_said(name):
    data, samples = TRANSPARENT[name]
    picture = read_image(data)
    top = 65535 if "16" in name else 255
    assert picture.pixels.dtype == (np.uint16 if top > 255 else np.uint8)
    expected = np.broadcast_to(over_white(samples, top), picture.pixels.shape)
    np.testing.assert_allclose(picture.pixels, expected, atol=1 if top == 255 else 0.51)
    assert picture.warnings == ("transparency shown over white",)


def test_premultiplied_alpha():
    straight = DEEP.astype(float)
    multiplied = np.dstack([straight[..., :3] * straight[..., 3:] / 65535, straight[..., 3]]).round().astype(np.uint16)
    picture = read_image(tiff(multiplied, t338=1))
    np.testing.assert_allclose(picture.pixels, over_white(straight, 65535), atol=1.1)


def test_opaque_alpha_says_nothing():
    opaque = np.dstack([DEEP[..., :3], np.full(DEEP.shape[:2], 65535, np.uint16)])
    for data in (encode(SMALL.convert("RGBA"), "PNG"), encode(SMALL.convert("LA"), "PNG"), png16(opaque), opaque):
        assert read_image(data).warnings == ()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF"])
def test_first_frame_of_an_animation(kind):
    if kind == "AVIF" and not AVIF:
        pytest.skip("this Pillow has no AVIF")
    red, blue = (Image.new("RGB", (20, 10), colour) for colour in ("red", "blue"))
    picture = read_image(encode(red, kind, save_all=True, append_images=[blue, red], duration=50))
    assert np.abs(picture.pixels.astype(int) - (255, 0, 0)).max() < 8
    assert picture.warnings == ("animation of 3 frames: frame 1 is shown",)


def test_first_page_of_a_tiff_and_main_picture_of_an_mpo():
    pages = encode(SMALL, "TIFF", save_all=True, append_images=[SMALL.rotate(90)])
    np.testing.assert_array_equal(read_image(pages).pixels, RGB)
    assert read_image(pages).warnings == ("file of several pages: page 1 is shown",)
    assert read_image(FILES["mpo"]).warnings == ()  # the others are previews or depth, not an animation


# ---- depth ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bit_png_keeps_every_bit(channels, interlaced):
    picture = read_image(png16(DEEP[..., :channels], interlaced))
    assert picture.pixels.dtype == np.uint16
    np.testing.assert_array_equal(picture.pixels, np.broadcast_to(DEEP[..., :channels], (13, 11, 3)))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "layout",
    [
        {},
        {"planar": True},
        {"tile": 16},
        {"compression": 5},
        {"compression": 5, "predictor": 2},
        {"compression": 8, "predictor": 2, "tile": 16},
        {"compression": 8, "predictor": 2, "planar": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bit_tiff_keeps_every_bit(channels, layout, order):
    samples = RNG.integers(0, 65536, (21, 37, channels), dtype=np.uint16)
    picture = read_image(tiff(samples, order, **layout))
    assert picture.pixels.dtype == np.uint16
    np.testing.assert_array_equal(picture.pixels, np.broadcast_to(samples, (21, 37, 3)))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(
    "layout", [{}, {"compression": 8, "predictor": 3}, {"compression": 5, "predictor": 3, "tile": 16}]
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_float_tiff(dtype, layout, order):
    if dtype == "float64" and layout:
        layout = {"compression": 8}
    samples = RNG.random((21, 37, 3)).astype(dtype)
    picture = read_image(tiff(samples, order, **layout))
    assert picture.pixels.dtype == np.float32
    np.testing.assert_array_equal(picture.pixels, samples.astype(np.float32))


def test_32_bit_integers_are_scaled_by_their_range():
    samples = RNG.integers(0, 2**32, (9, 7, 3), dtype=np.uint32)
    picture = read_image(tiff(samples, compression=8, predictor=2))
    np.testing.assert_allclose(picture.pixels, samples / (2**32 - 1), atol=1e-7)
    signed = (samples // 2).astype(np.int32)
    np.testing.assert_allclose(read_image(tiff(signed)).pixels, signed / (2**31 - 1), atol=1e-7)
    with pytest.raises(ImageError, match=r"int32 from -5 to .*, want 0 to 2147483647"):
        read_image(tiff(np.where(samples == samples.min(), -5, signed)))


def test_bigtiff_white_is_zero_and_twelve_bits():
    np.testing.assert_array_equal(read_image(tiff(DEEP[..., :3], big=True, compression=8)).pixels, DEEP[..., :3])
    negative = read_image(tiff(DEEP[..., :1], photometric=0))
    np.testing.assert_array_equal(negative.pixels[..., 0], 65535 - DEEP[..., 0])
    rows = bytes.fromhex("fff000 800001")  # 4095, 0 | 2048, 1
    twelve = tiff(np.frombuffer(rows, np.uint8).reshape(2, 3, 1), t256=2, t258=12)
    np.testing.assert_allclose(to_float(read_image(twelve).pixels)[..., 0], np.array([[4095, 0], [2048, 1]]) / 4095)


def test_pillow_images_of_more_than_8_bits():
    deep = Image.fromarray(DEEP[..., 0])
    np.testing.assert_array_equal(read_image(deep).pixels[..., 1], DEEP[..., 0])
    np.testing.assert_array_equal(read_image(deep.convert("I")).pixels[..., 1], DEEP[..., 0])
    floats = RNG.random((5, 4), np.float32)
    np.testing.assert_array_equal(read_image(Image.fromarray(floats)).pixels[..., 2], floats)
    with pytest.raises(ImageError, match="0 to 70000, want 0 to 65535"):
        read_image(Image.fromarray(np.array([[0, 70000]], np.int32)))
    with pytest.raises(ImageError, match="float32 from 0 to 255, want 0 to 1"):
        read_image(Image.fromarray(np.array([[0, 255]], np.float32)))
    opened = read_image(Image.open(io.BytesIO(png16(DEEP[..., :3]))))  # here Pillow has the last word
    assert (opened.pixels.dtype, opened.warnings) == (np.uint8, ("samples of more than 8 bits read at 8 bits",))


# ---- colour profiles ------------------------------------------------------------------------------------------------


def test_a_profile_that_swaps_colours():
    profile = matrix_profile(SRGB[[1, 0, 2]], SRGB_CURVE)
    for kind in ("PNG", "TIFF"):
        picture = read_image(encode(SMALL, kind, icc_profile=profile))
        assert picture.warnings == ()
        assert np.abs(picture.pixels.astype(int) - RGB[..., [1, 0, 2]]).max() <= 2
    deep = read_image(tiff(DEEP[..., :3], t34675=profile))
    assert deep.pixels.dtype == np.uint16
    assert np.abs(deep.pixels.astype(int) - DEEP[..., [1, 0, 2]]).max() <= 20  # the profile has 16 bits of its own


@pytest.mark.parametrize("curve", [GAMMA_2_2, GAMMA_1_8, SRGB_CURVE, TABLE])
def test_wide_gamut_at_8_bits_16_bits_and_float_agree(curve):
    """LittleCMS does the first, our own arithmetic the others."""
    profile = matrix_profile(ADOBE, curve)
    eight = read_image(encode(SMALL, "PNG", icc_profile=profile)).pixels.astype(int)
    assert np.abs(eight - RGB).max() > 10
    icc = chunk(b"iCCP", b"x\0\0" + zlib.compress(profile))
    sixteen = read_image(png16(RGB.astype(np.uint16) * 257, extra=icc)).pixels
    floats = read_image(tiff(RGB.astype(np.float32) / 255, t34675=profile)).pixels
    assert np.abs(sixteen / 257 - eight).max() <= 1
    assert np.abs(sixteen / 65535 - floats).max() < 1e-4


def test_srgb_itself_changes_nothing():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    np.testing.assert_array_equal(read_image(encode(SMALL, "PNG", icc_profile=profile)).pixels, RGB)
    np.testing.assert_array_equal(read_image(tiff(DEEP[..., :3], t34675=profile)).pixels, DEEP[..., :3])


def test_gray_profiles():
    profile = matrix_profile(SRGB, GAMMA_1_8, b"GRAY")
    eight = read_image(encode(SMALL.convert("L"), "PNG", icc_profile=profile)).pixels.astype(int)
    assert eight.mean() > np.asarray(SMALL.convert("L")).mean() + 3
    sixteen = read_image(tiff(np.asarray(SMALL.convert("L")).astype(np.uint16)[..., None] * 257, t34675=profile)).pixels
    assert np.abs(sixteen / 257 - eight).max() <= 1
    on_gray = read_image(encode(SMALL.convert("L"), "PNG", icc_profile=matrix_profile(ADOBE, GAMMA_2_2)))
    assert on_gray.warnings == ()


def table_profile(space: bytes, channels: int) -> bytes:
    """A profile whose lookup table (mft2, two nodes a side) gives a gray: the mean for RGB, what is left for CMYK."""
    nodes = [sum(node) / 3 if channels == 3 else 1 - max(node) for node in itertools.product((0, 1), repeat=channels)]
    table = [value for lightness in nodes for value in (round(lightness * 0xFF00), 0x8000, 0x8000)]  # Lab of 16 bits
    head = struct.pack(">4s4x4B9i2H", b"mft2", channels, 3, 2, 0, *(65536 * (i % 4 == 0) for i in range(9)), 2, 2)
    lut = head + struct.pack(f">{2 * channels + len(table) + 6}H", *[0, 65535] * channels, *table, *[0, 65535] * 3)
    white = struct.pack(">4s4x3i", b"XYZ ", 63190, 65536, 54061)
    tags = struct.pack(">I4sII4sII", 2, b"A2B0", 156, len(lut), b"wtpt", 156 + len(lut) + len(lut) % 4, len(white))
    body = tags + lut + bytes(len(lut) % 4) + white
    header = struct.pack(
        ">I4xI4s4s4s12x4s28x3i", 128 + len(body), 0x02400000, b"prtr", space, b"Lab ", b"acsp", *(63190, 65536, 54061)
    )
    return header.ljust(128, b"\0") + body


def test_profiles_with_lookup_tables():
    cmyk = read_image(encode(SMALL.convert("CMYK"), "TIFF", icc_profile=table_profile(b"CMYK", 4)))
    assert cmyk.warnings == ()
    assert np.ptp(cmyk.pixels, axis=2).max() <= 2  # gray, as the table says
    assert np.corrcoef(cmyk.pixels[..., 0].ravel(), RGB.min(axis=2).ravel())[0, 1] > 0.9
    profile = table_profile(b"RGB ", 3)
    eight = read_image(encode(SMALL, "PNG", icc_profile=profile))
    assert np.ptp(eight.pixels, axis=2).max() <= 2
    sixteen = read_image(tiff(RGB.astype(np.uint16) * 257, t34675=profile))
    assert sixteen.warnings == ("samples of more than 8 bits read at 8 bits",)
    np.testing.assert_array_equal(sixteen.pixels, eight.pixels)


@pytest.mark.parametrize(
    "profile", [b"not a profile", matrix_profile(SRGB, GAMMA_1_8, b"GRAY"), matrix_profile(SRGB, b"para")]
)
def test_a_profile_of_no_use_is_said_and_left_out(profile):
    said = ("colour profile cannot be used: the picture is taken as sRGB",)
    picture = read_image(encode(SMALL, "PNG", icc_profile=profile))
    np.testing.assert_array_equal(picture.pixels, RGB)
    assert picture.warnings == said
    assert read_image(tiff(DEEP[..., :3], t34675=profile)).warnings == said


# ---- arrays ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "uint16", ">u2", "float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 1), (5, 4, 3), (5, 4, 4), (3, 4), (3, 4, 3)])
def test_arrays(shape, dtype):
    top = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    array = (RNG.random(shape) * top).astype(dtype)
    picture = read_image(array)
    samples = array.reshape(*shape[:2], -1)
    expected = np.broadcast_to(
        over_white(samples.astype(float), top) if samples.shape[2] == 4 else samples, (*shape[:2], 3)
    )
    assert picture.pixels.dtype == (np.float32 if top == 1 else np.dtype(dtype).newbyteorder("="))
    np.testing.assert_allclose(picture.pixels, expected, atol=1e-6 if top == 1 else 0.51, rtol=0)
    assert to_float(picture.pixels).dtype == np.float32
    assert picture.pixels.flags.c_contiguous


def test_an_array_is_neither_copied_nor_changed():
    array = RNG.random((6, 5, 3), np.float32)
    picture = read_image(array)
    assert np.shares_memory(picture.pixels, array)
    assert array.flags.writeable
    np.testing.assert_array_equal(read_image(array[:, ::-2]).pixels, array[:, ::-2])


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((3, 32, 40), np.uint8), "(3, 32, 40) and type uint8.*transpose"),
        (np.zeros((32, 40, 2), np.uint8), "(32, 40, 2).*want (H, W)"),
        (np.zeros((1, 32, 40, 3), np.uint8), "(1, 32, 40, 3)"),
        (np.zeros(32, np.uint8), "(32,)"),
        (np.zeros((), np.uint8), "shape ()"),
        (np.zeros((0, 4, 3), np.uint8), "4x0 pixels"),
        (np.zeros((4, 0), np.float32), "0x4 pixels"),
        (np.zeros((4, 4), bool), "type bool"),
        (np.zeros((4, 4), np.int64), "type int64.*want uint8"),
        (np.zeros((4, 4), np.int8), "type int8"),
        (np.zeros((4, 4), complex), "type complex128"),
        (np.zeros((4, 4), object), "type object"),
        (np.full((4, 4, 3), np.nan, np.float32), "not-a-number"),
        (np.full((4, 4, 3), np.inf), "float64 from not-a-number or infinity"),
        (np.linspace(0, 255, 12).reshape(4, 3), "from 0 to 255, want 0 to 1"),
        (np.linspace(-1, 1, 12).reshape(4, 3), "from -1 to 1, want 0 to 1"),
    ],
    ids=lambda value: str(value)[:24] if isinstance(value, str) else "",
)
def test_arrays_that_are_not_pictures(array, words):
    with pytest.raises(ImageError) as caught:
        read_image(array)
    for word in words.split(".*"):
        assert word in str(caught.value)


def test_rounding_of_floats_is_forgiven():
    picture = read_image(np.array([[-1e-7, 1 + 1e-7]]))
    assert picture.pixels.min() == 0
    assert picture.pixels.max() == 1


def test_to_float():
    np.testing.assert_array_equal(to_float(np.array([0, 51, 255], np.uint8)), np.array([0, 0.2, 1], np.float32))
    np.testing.assert_array_equal(to_float(np.array([0, 13107, 65535], np.uint16)), np.array([0, 0.2, 1], np.float32))
    array = np.array([0.25], np.float32)
    assert to_float(array) is array
    with pytest.raises(ValueError, match="got samples of type int32"):
        to_float(np.array([1], np.int32))


# ---- what is refused ------------------------------------------------------------------------------------------------


def test_names_that_are_no_picture(tmp_path):
    def message(name: str | os.PathLike[str]) -> str:
        with pytest.raises(ImageError) as caught:
            read_image(name)
        assert str(caught.value).startswith(os.fspath(name).replace("\n", "?").replace("\0", "?"))
        assert "\n" not in str(caught.value)
        return str(caught.value)

    for name, data in {"empty.jpg": b"", "notes.png": b"Dear diary", "two\nlines.tif": b"II*", "x.heic": b"1"}.items():
        (tmp_path / name).write_bytes(data)
    assert "got an empty file, want a JPEG" in message(tmp_path / "empty.jpg")
    assert "b'Dear dia'" in message(tmp_path / "notes.png")
    assert "no known picture type" in message(tmp_path / "two\nlines.tif")
    assert "got a folder" in message(tmp_path)
    assert "no such file" in message(tmp_path / "missing.png")
    assert "cannot be used" in message("a\0b.png")
    assert "cannot be opened" in message("x" * 300)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")
        assert "not a regular file" in message(tmp_path / "pipe.png")
    if hasattr(os, "geteuid") and os.geteuid() != 0:
        (tmp_path / "notes.png").chmod(0)
        assert "cannot be opened" in message(tmp_path / "notes.png")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xff\x0a\xfa\x1f\x41", "a JPEG XL picture"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "a PostScript document"),
        (b"\xd7\xcd\xc6\x9a" + bytes(60), "no known picture type"),  # WMF
        (b"P6 1 1 255\nabc", "no known picture type"),
        (b"\0\0\0\x18ftypisom" + bytes(60), "a film"),
        (b"II*\0\x10\0\0\0CR\2\0" + bytes(40), "a camera raw file"),
        (tiff(DEEP[..., :3], t254=1), "a camera raw file or a TIFF that starts with a small preview"),
        (tiff(np.full((4, 4, 3), 3.5, np.float32)), "from 3.5 to 3.5, want 0 to 1"),
        (tiff(DEEP[..., :3], t259=34712), "packed by JPEG 2000, which is not read"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_files_that_are_not_read(data, words):
    with pytest.raises(ImageError, match=words):
        read_image(data)


def test_heif(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it were not installed
    with pytest.raises(ImageError, match=r"pip install 'pillow-heif>=0\.20'"):
        read_image(b"\0\0\0\x18ftypheic" + bytes(60))
    monkeypatch.undo()
    pillow_heif = pytest.importorskip("pillow_heif")
    for mode, pixels in (("RGB", RGB), ("RGB;16", RGB.astype(np.uint16) * 257)):
        buffer = io.BytesIO()
        pillow_heif.from_bytes(mode, SMALL.size, pixels.tobytes()).save(buffer, quality=-1, chroma=444)
        picture = read_image(buffer.getvalue())
        assert picture.pixels.dtype == pixels.dtype
        assert np.abs(picture.pixels.astype(float) / pixels.max() - RGB / 255.0).mean() < 0.005
        assert picture.pixels.max() == pixels.max()  # ten bits are stretched over all of sixteen
        with pytest.raises(ImageError, match="HEIF"):
            read_image(buffer.getvalue()[:-200])
    assert "HEIF" not in Image.OPEN  # the host's Pillow is as it was


@pytest.mark.parametrize("source", [None, 3, [[0, 1]], open], ids=str)
def test_other_types(source):
    with pytest.raises(ImageError, match=f"got {type(source).__name__}, want a path"):
        read_image(source)


def test_pixel_limit_comes_before_decoding(monkeypatch):
    def decode(*args, **kwargs):
        raise AssertionError("decoded")

    for data in FILES.values():
        with pytest.raises(ImageError, match="pixels, want at most 142"):
            read_image(data, max_pixels=142)
    monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
    monkeypatch.setattr("iqassay.pictures.tiff.read_tiff", decode)
    monkeypatch.setattr("iqassay.pictures.png.read_deep", decode)
    for data in FILES.values():
        with pytest.raises(ImageError, match="want at most 142"):
            read_image(data, max_pixels=142)
    for kind, at, size in (("png", 16, ">II"), ("bmp", 18, "<II"), ("gif", 6, "<HH")):  # headers that lie
        data = bytearray(FILES[kind])
        struct.pack_into(size, data, at, 50000, 50000)
        if kind == "png":
            struct.pack_into(">I", data, 29, zlib.crc32(data[12:29]))
        with pytest.raises(ImageError, match="got 50000x50000 = 2,500,000,000 pixels, want at most 200,000,000"):
            read_image(bytes(data))
    with pytest.raises(ImageError, match="want at most 5"):
        read_image(np.zeros((2, 3), np.uint8), max_pixels=5)
    for wrong in (0, -1, 2.5, True):
        with pytest.raises(ValueError, match="max_pixels"):
            read_image(RGB, max_pixels=wrong)


def test_the_limit_of_pillow_stays_out_of_the_way(monkeypatch):
    large = Image.new("RGB", (600, 600), "teal")
    kinds = ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", *(["AVIF"] if AVIF else [])]
    data = [encode(large, kind) for kind in kinds] + [encode(large, "TIFF", compression="tiff_lzw")]
    data += [tiff(np.full((600, 600, 3), 9000, np.uint16), compression=8, predictor=2)]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2**17)  # warns from there, raises from twice that
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for each in data:
            assert read_image(each).pixels.shape == (600, 600, 3)
    assert Image.MAX_IMAGE_PIXELS == 2**17


# ---- damage ---------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")  # Pillow says more about damaged metadata than anybody wants to know
@pytest.mark.parametrize("kind", FILES)
def test_cut_short(kind):
    """A file that ends too early is an error, unless all of the (first) picture is there: never half a picture."""
    data = FILES[kind]
    whole = read_image(data)
    for length in {*range(0, len(data), max(1, len(data) // 100)), *range(0, 60, 3)}:
        try:
            picture = read_image(data[:length])
        except ImageError:
            continue
        np.testing.assert_array_equal(picture.pixels, whole.pixels)
        assert length > len(data) / 4


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", FILES)
def test_flipped_bytes_give_a_picture_or_an_image_error(kind):
    data = FILES[kind]
    outcomes = set()
    for seed in range(120):
        rng = np.random.default_rng(seed)
        damaged = bytearray(data)
        for _ in range(rng.integers(1, 6)):
            damaged[rng.integers(0, min(len(data), 150) if seed % 2 else len(data))] = rng.integers(0, 256)
        try:
            picture = read_image(bytes(damaged), max_pixels=10**6)
        except ImageError:
            outcomes.add("error")
        else:
            outcomes.add("picture")
            assert picture.pixels.ndim == 3
    assert "error" in outcomes


@pytest.mark.parametrize(
    "error", [MemoryError(), RecursionError("deep"), KeyError("k"), zlib.error("z"), struct.error("s")]
)
def test_whatever_a_decoder_raises_is_an_image_error(monkeypatch, error):
    def fail(self):
        raise error

    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    with pytest.raises(ImageError, match="PNG picture that cannot be decoded") as caught:
        read_image(encode(SMALL, "PNG"))
    assert caught.value.__cause__ is error
    with pytest.raises(ImageError, match="got a picture that cannot be read"):
        read_image(Image.open(io.BytesIO(encode(SMALL, "PNG"))))
