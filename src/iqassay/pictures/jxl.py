"""JPEG XL, by libjxl (the extra `jxl`); what it does not tell is read from the headers here.

ISO/IEC 18181-1, annex D (headers of the codestream), and 18181-2 (boxes).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from iqassay.pictures.bits import LittleEndianBits
from iqassay.pictures.picture import ImageError, Picture, check_size
from iqassay.pictures.pixels import CUT, GAIN_MAP, from_samples
from iqassay.support.install import install_command

ANIMATION = "animation: frame 1 is shown"
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_CHANNELS = {"L": (1, "u1"), "LA": (2, "u1"), "RGB": (3, "u1"), "RGBA": (4, "u1"), "I;16": (1, "<u2"), "F": (1, "<f4")}
_HEADERS = 4096  # bytes at most of the headers that are looked at
_MOST_BOXES = 10_000


@dataclass
class Header:
    """width, height: as it is stored. bits: of a sample. premultiplied: its colours are, by alpha."""

    width: int
    height: int
    bits: int = 8
    animated: bool = False
    premultiplied: bool = False


def read_jxl(file: BinaryIO, max_pixels: int) -> Picture | bytes:
    """The picture, or the bytes of the JPEG that the file was made of. libjxl turns the picture upright."""
    try:
        from pillow_jxl import Decoder
    except ImportError as error:
        raise ImageError(f"got a JPEG XL picture, which needs `{install_command('jxl')}`") from error
    file.seek(0)
    data = file.read()
    start, gain_map = _codestream(data)
    header = read_header(start)
    check_size(header.width, header.height, max_pixels)
    is_jpeg, info, pixels, profile, _ = Decoder(num_threads=0)(data)
    if is_jpeg:
        return bytes(pixels)
    if profile and profile[16:20] == b"CMYK":
        raise ImageError("got a JPEG XL picture in CMYK, want one in gray or RGB")
    channels, kind = _CHANNELS[info.mode]
    samples = np.frombuffer(pixels, kind).reshape(info.height, info.width, channels)
    alpha = ("premultiplied" if header.premultiplied else "straight") if channels in (2, 4) else ""
    said = [ANIMATION] if header.animated else []
    said += [CUT] if header.bits > 8 and samples.itemsize == 1 else []
    said += [GAIN_MAP] if gain_map else []
    return from_samples(samples, alpha, profile or None, 1, said)


def _codestream(data: bytes) -> tuple[bytes, bool]:
    """The first bytes of the picture, out of the boxes around it if there are any, and whether there is a gain map."""
    if data[:2] == b"\xff\x0a":
        return data[2 : 2 + _HEADERS], False
    start, gain_map, at = b"", False, 0
    for _ in range(_MOST_BOXES):
        if at + 8 > len(data):
            break
        size, name = struct.unpack_from(">L4s", data, at)
        first = at + 8
        if size == 1 and at + 16 <= len(data):
            (size,), first = struct.unpack_from(">Q", data, at + 8), at + 16
        end = at + size if size else len(data)
        if end < first:
            break
        gain_map |= name == b"jhgm"
        if name in (b"jxlc", b"jxlp") and len(start) < _HEADERS:
            start += data[first + (4 if name == b"jxlp" else 0) : min(end, first + _HEADERS)]
        at = end
    return start[2:], gain_map


def read_header(data: bytes) -> Header:
    """What the headers after the two bytes of the signature say. Raises ValueError for one that ends too early."""
    read = LittleEndianBits(data[:_HEADERS])
    header = Header(*_size(read))
    if read():  # everything else as usual
        return header
    extra = read()
    turned = read(3) >= 4 if extra else False
    if extra:
        if read():
            _size(read)
        if read():
            _preview_size(read)
        if read():
            header.animated = True
            _number(read, 100, 1000, (10, 1), (30, 1))
            _number(read, 1, 1001, (8, 1), (10, 1))
            _number(read, 0, (3, 0), (16, 0), (32, 0))
            read()
    if turned:
        header.width, header.height = header.height, header.width
    header.bits = _bits(read)
    read()
    for _ in range(_number(read, 0, 1, (4, 2), (12, 1))):
        if read():  # alpha of 8 bits
            break
        kind = _number(read, 0, 1, (4, 2), (6, 18))
        _bits(read)
        _number(read, 0, 3, 4, (3, 1))
        for _ in range(_number(read, 0, (4, 0), (5, 16), (10, 48))):
            read(8)
        if kind == 0:
            header.premultiplied = bool(read())
            break
        if kind in (2, 5):  # a spot colour, or a colour filter array
            break
    return header


def _number(read: LittleEndianBits, *ways: int | tuple[int, int]) -> int:
    """One of four ways: a constant, or so many bits and what is added."""
    way = ways[read(2)]
    return way if isinstance(way, int) else read(way[0]) + way[1]


def _size(read: LittleEndianBits) -> tuple[int, int]:
    small = read()
    height = _side(read, small)
    ratio = read(3)
    if ratio:
        across, down = _RATIOS[ratio - 1]
        return height * across // down, height
    return _side(read, small), height


def _side(read: LittleEndianBits, small: int) -> int:
    return 8 * (read(5) + 1) if small else _number(read, (9, 1), (13, 1), (18, 1), (30, 1))


def _preview_size(read: LittleEndianBits) -> None:
    eighths = read()
    ways = (16, 32, (5, 1), (9, 33)) if eighths else ((6, 1), (8, 65), (10, 321), (12, 1345))
    _number(read, *ways)
    if not read(3):
        _number(read, *ways)


def _bits(read: LittleEndianBits) -> int:
    if read():  # floats
        bits = _number(read, 32, 16, 24, (6, 1))
        read(4)
        return bits
    return _number(read, 8, 10, 12, (6, 1))
