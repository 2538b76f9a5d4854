"""Colours that HEIF files tell in the HEVC stream alone."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from iqassay.pictures import colour, hevc
from iqassay.pictures.boxes import read_boxes
from iqassay.pictures.image import read_image

# Of pictures of 64x64 by x265, which tell primaries and transfer as 1 and 13, and as 12 and 13.
REAL = (
    "42010103700000030090000003000003001ea020810596ea4929ae6e021a0c0800000300c8000003000840",
    "42010103700000030090000003000003001ea020810596ea4929ae6e181a0c0800000300c8000003000840",
)


def configuration(*units: bytes) -> bytes:
    """An `hvcC` with so many parameter sets, in arrays of one each: 32, 33, ..."""
    arrays = b"".join(struct.pack(">BHH", 0x80 | 32 + at, 1, len(unit)) + unit for at, unit in enumerate(units))
    return b"\1" + bytes(21) + bytes([len(units)]) + arrays


def exp(value: int) -> str:
    """An Exp-Golomb number as bits."""
    bits = f"{value + 1:b}"
    return "0" * (len(bits) - 1) + bits


def parameter_set(points: tuple[int, int] | None, layers: int = 0, rich: bool = False) -> bytes:
    """A sequence parameter set; rich: with all that may stand before the colours."""
    bits = "0000" + f"{layers:03b}" + "1" + "01" * 48
    if layers:
        bits += "11" + "10" * (layers - 1) + "00" * (8 - layers) + "1" * (96 + 88 * (layers - 1))
    bits += exp(0) + (exp(3) + "0" if rich else exp(1)) + exp(64) + exp(48)
    bits += ("1" + exp(0) * 4 if rich else "0") + exp(2) + exp(2) + exp(4)
    bits += "1" + (exp(1) + exp(0) + exp(0)) * (layers + 1) + exp(0) * 6
    if rich:
        bits += "11"  # scaling lists, each told or taken from another
        for size in range(4):
            for at in range(2 if size == 3 else 6):
                told = exp(9) * ((size > 1) + min(64, 1 << (4 + 2 * size)))
                bits += "1" + told if at == 0 else "0" + exp(1)
        bits += "11" + "1" + "01110111" + exp(0) + exp(1) + "0"  # PCM
        bits += exp(3) + exp(1) + exp(2) + (exp(5) + "1") * 3  # three sets of references: one by itself,
        bits += "1" + "0" + exp(4) + "1" + "01" + "00" + "1"  # one that keeps three of its four pictures,
        bits += "1" + "1" + exp(0) + "1" * 4  # and one that keeps four of those
        bits += "1" + exp(2) + ("10101010" + "1") * 2  # long-term ones
    else:
        bits += "0" + "00" + "0" + exp(0) + "0"
    bits += "11"
    if points is None:
        bits += "0"
    else:
        bits += "1" + ("1" + f"{255:08b}" + "01" * 16 if rich else "0") + ("11" if rich else "0")
        bits += "1" + "101" + "0" + "1" + f"{points[0]:08b}{points[1]:08b}{9:08b}"
    bits += "1" + "0" * 32
    data = int(bits[: len(bits) // 8 * 8], 2).to_bytes(len(bits) // 8, "big")
    for end in (b"\0", b"\1", b"\2", b"\3"):  # what would look like the start of a unit is kept apart
        data = data.replace(b"\0\0" + end, b"\0\0\3" + end)
    return b"\x42\1" + data


@pytest.mark.parametrize(("unit", "points"), [(REAL[0], (1, 13)), (REAL[1], (12, 13))])
def test_sets_of_an_encoder(unit: str, points: tuple[int, int]) -> None:
    assert hevc.colours(configuration(b"\x40\1abc", bytes.fromhex(unit))) == points


@pytest.mark.parametrize("layers", [0, 2])
@pytest.mark.parametrize("rich", [False, True])
def test_sets_with_all_that_may_stand_before(layers: int, rich: bool) -> None:
    assert hevc.colours(configuration(b"\x40\1", parameter_set((9, 16), layers, rich))) == (9, 16)
    assert hevc.colours(configuration(b"\x40\1", parameter_set(None, layers, rich))) is None


def test_what_is_damaged_or_not_there() -> None:
    assert hevc.colours(configuration(b"\x40\1abc")) is None
    whole = configuration(b"\x40\1", bytes.fromhex(REAL[1]))
    for length in range(len(whole) - 20):
        with pytest.raises((ValueError, IndexError, struct.error)):
            hevc.colours(whole[:length])


def heif(**options: object) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    ramp = np.linspace(20, 230, 64).astype(np.uint8)
    pixels = np.stack(np.broadcast_arrays(ramp, ramp[::-1, None], np.uint8(90)), axis=-1)
    out = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(out, quality=95, **options)  # Pillow itself stays as it is
    return out.getvalue()


def test_a_heif_without_a_box_of_colours_is_read_by_its_stream() -> None:
    points = {"matrix_coefficients": 6, "full_range_flag": 1, "transfer_characteristics": 13}
    bare = heif(save_nclx_profile=False, color_primaries=12, **points)
    assert b"colr" not in bare
    boxed = heif(save_nclx_profile=True, color_primaries=12, **points)
    srgb = heif(save_nclx_profile=False, color_primaries=1, **points)
    shown = read_image(bare)
    np.testing.assert_array_equal(shown.pixels, read_image(boxed).pixels)
    assert np.abs(shown.pixels.astype(int) - read_image(srgb).pixels).max() > 15
    assert shown.warnings == ()


def test_a_picture_of_tiles_is_read_by_the_first() -> None:
    def box(name: bytes, *parts: bytes) -> bytes:
        return struct.pack(">L4s", 8 + len(b"".join(parts)), name) + b"".join(parts)

    def file(*colours: bytes) -> io.BytesIO:
        stream = box(b"hvcC", configuration(b"\x40\1", bytes.fromhex(REAL[1])))
        properties = box(b"ipco", stream, box(b"ispe", bytes(12)), *colours)
        of_grid = b"".join(bytes([0x80 | 3 + at]) for at in range(len(colours)))
        used = box(
            b"ipma",
            bytes(4),
            struct.pack(">LHBB", 2, 7, 1 + len(colours), 2) + of_grid,
            struct.pack(">HBB", 9, 1, 0x81),
        )
        parts = box(b"iref", bytes(4), box(b"dimg", struct.pack(">4H", 7, 2, 9, 10)))
        first = box(b"pitm", bytes(4), b"\0\7")
        meta = box(b"meta", bytes(4), first, parts, box(b"iprp", properties, used))
        return io.BytesIO(box(b"ftyp", b"heic", bytes(4)) + meta)

    assert read_boxes(file(), 64, 64).encoding == colour.of_code_points(12, 13)
    told = box(b"colr", b"nclx", struct.pack(">HHHB", 9, 16, 9, 0x80))
    assert read_boxes(file(told), 64, 64).encoding == colour.of_code_points(9, 16)
    untold = box(b"colr", b"nclx", struct.pack(">HHHB", 2, 2, 2, 0x80))
    assert read_boxes(file(untold), 64, 64).encoding == colour.of_code_points(12, 13)
    assert read_boxes(file(box(b"colr", b"prof", b"a profile")), 64, 64).encoding is None
