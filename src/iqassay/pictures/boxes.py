"""HEIF and AVIF: what the boxes around the pixels say of the picture shown that its decoder does not pass on.

ISO/IEC 14496-12 (boxes), 23008-12 (items and their properties), AV1 Bitstream & Decoding Process Specification (5.5).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from iqassay.pictures import colour, hevc
from iqassay.pictures.bits import BigEndianBits

_LONGEST = 2**26  # bytes of all boxes around the pixels: a megabyte is much
_MOST_BOXES = 100_000
_GAIN_MAPS = (b"tmap", b"hdrgainmap", b"urn:iso:std:iso:ts:21496")  # ISO 21496-1 and Apple's
_TRACK = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")


@dataclass(frozen=True)
class Told:
    """What is said of the picture shown.

    encoding: its colours by code points, None when nothing is said or a profile is given. unknown: code points that
    mean nothing here, in words. cut: (left, top, width, height) of the part to be shown (`clap`), before it is turned.
    gain_map: whether the file holds one. deep: whether an AVIF has more than 8 bits a sample. coding: how
    the picture is coded, in four letters ("hvc1", "av01", "grid"); "" where that is not known.
    """

    encoding: colour.Encoding | None = None
    unknown: str = ""
    cut: tuple[int, int, int, int] | None = None
    gain_map: bool = False
    deep: bool = False
    coding: str = ""


def read_boxes(file: BinaryIO, width: int, height: int) -> Told:
    """What a HEIF or AVIF file of so many pixels says of the picture shown; nothing where its boxes are damaged."""
    try:
        meta, moov, animated = _top(file)
        item = _primary(dict(_boxes(meta)))
        properties = _of_track(moov) if animated and moov else _of_item(meta, item)
        encoding, unknown = _colours(properties, lambda: _of_item(meta, _first_part(meta, item)))
        cut = next((_cut(data, width, height) for name, data in properties if name == b"clap"), None)
        deep = any(data[2] & 0x40 for name, data in properties if name == b"av1C")  # the flag high_bitdepth
        return Told(encoding, unknown, cut, any(mark in meta for mark in _GAIN_MAPS), deep, _coding(meta))
    except (struct.error, IndexError, ValueError, ZeroDivisionError, StopIteration):
        return Told()


def _top(file: BinaryIO) -> tuple[bytes, bytes, bool]:
    """What is in the boxes `meta` and `moov`, and whether the file is first of all an animation."""
    length, at = file.seek(0, io.SEEK_END), 0
    found, brand = {b"meta": b"", b"moov": b""}, b""
    for _ in range(_MOST_BOXES):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            break
        size, name = struct.unpack_from(">L4s", head)
        start = at + 8
        if size == 1:
            (size,), start = struct.unpack_from(">Q", head, 8), at + 16
        end = at + size if size else length
        if end < start:
            break
        if name == b"ftyp":
            brand = file.read(4) if start > at + 8 else head[8:12]
        elif name in found and not found[name] and end - start <= _LONGEST:
            file.seek(start)
            found[name] = file.read(end - start)
        at = end
    return found[b"meta"][4:], found[b"moov"], brand in (b"avis", b"msf1", b"hevc")


def _boxes(data: bytes, at: int = 0, end: int | None = None) -> Iterator[tuple[bytes, bytes]]:
    """(name, content) of the boxes in data."""
    end = len(data) if end is None else end
    for _ in range(_MOST_BOXES):
        if at + 8 > end:
            return
        size, name = struct.unpack_from(">L4s", data, at)
        start = at + 8
        if size == 1:
            (size,), start = struct.unpack_from(">Q", data, at + 8), at + 16
        size = size or end - at
        if at + size < start or at + size > end:
            return
        yield name, data[start : at + size]
        at += size


def _of_item(meta: bytes, item: int) -> list[tuple[bytes, bytes]]:
    """The properties of an item."""
    boxes = dict(_boxes(meta))
    inside = list(_boxes(boxes.get(b"iprp", b"")))
    all_of_them = [each for name, data in inside if name == b"ipco" for each in _boxes(data)]
    mine = []
    for name, data in inside:
        if name != b"ipma":
            continue
        wide_item, wide_index = data[0] > 0, data[3] & 1
        (count,), at = struct.unpack_from(">L", data, 4), 8
        for _ in range(min(count, _MOST_BOXES)):
            (number,) = struct.unpack_from(">L" if wide_item else ">H", data, at)
            at += 4 if wide_item else 2
            indices = struct.unpack_from(f">{data[at]}{'H' if wide_index else 'B'}", data, at + 1)
            at += 1 + len(indices) * (2 if wide_index else 1)
            if number == item:
                mine += [index & (0x7FFF if wide_index else 0x7F) for index in indices]
    return [all_of_them[index - 1] for index in mine if 0 < index <= len(all_of_them)]


def _coding(meta: bytes) -> str:
    """The type of the primary item."""
    boxes = dict(_boxes(meta))
    primary = _primary(boxes)
    for name, data in _boxes(boxes.get(b"iinf", b""), 8 if boxes.get(b"iinf", b"\0")[0] else 6):
        if name == b"infe" and data[0] >= 2:
            long = data[0] > 2
            if int.from_bytes(data[4 : 8 if long else 6], "big") == primary:
                return data[10:14].decode("latin-1") if long else data[8:12].decode("latin-1")
    return ""


def _first_part(meta: bytes, item: int) -> int:
    """The first of the items that one is put together of, as tiles are; 0 for none."""
    references = dict(_boxes(meta)).get(b"iref", bytes(4))
    form = ">L" if references[0] else ">H"
    for name, data in _boxes(references, 4):
        if name == b"dimg" and struct.unpack_from(form, data)[0] == item:
            return int(struct.unpack_from(form, data, struct.calcsize(form) + 2)[0])
    return 0


def _primary(boxes: dict[bytes, bytes]) -> int:
    data = boxes.get(b"pitm", bytes(6))
    return int.from_bytes(data[4 : 8 if data[0] else 6], "big")


def _of_track(moov: bytes) -> list[tuple[bytes, bytes]]:
    """The boxes in the first description of the first track that has pictures."""
    for name, track in _boxes(moov):
        if name != b"trak":
            continue
        data = track
        for part in _TRACK[2:]:
            data = next((inside for name, inside in _boxes(data) if name == part), b"")
        for _, entry in _boxes(data, 8):
            if found := list(_boxes(entry, 78)):  # after the fields of a VisualSampleEntry
                return found
    return []


def _colours(
    properties: list[tuple[bytes, bytes]], of_part: Callable[[], list[tuple[bytes, bytes]]]
) -> tuple[colour.Encoding | None, str]:
    """By a box, or else by the stream, that of the first part (`of_part`) for a picture of several."""
    told = [data for name, data in properties if name == b"colr"]
    if any(data[:4] in (b"prof", b"rICC") for data in told):
        return None, ""
    points = next((struct.unpack_from(">HH", data, 4) for data in told if data[:4] == b"nclx"), None)
    if points in (None, (2, 2)):  # nothing, or "unspecified"
        points = _in_stream(properties) or _in_stream(of_part()) or points
    if points is None:
        return None, ""
    content = next((struct.unpack_from(">H", data)[0] for name, data in properties if name == b"clli"), 0)
    screen = next((struct.unpack_from(">L", data, 16)[0] / 10_000 for name, data in properties if name == b"mdcv"), 0)
    encoding = colour.of_code_points(points[0], points[1], colour.brightest(content, screen))
    return encoding, "" if encoding else colour.UNKNOWN.format(f"{points[0]} and {points[1]}")


def _in_stream(properties: list[tuple[bytes, bytes]]) -> tuple[int, int] | None:
    """Primaries and transfer by the headers of the stream; None where they say nothing, or are damaged."""
    readers: dict[bytes, Callable[[bytes], tuple[int, int] | None]]
    readers = {b"av1C": lambda data: _in_av1(data[4:]), b"hvcC": hevc.colours}
    for name, data in properties:
        if name in readers:
            try:
                return readers[name](data)
            except (struct.error, IndexError, ValueError):
                return None
    return None


def _cut(data: bytes, width: int, height: int) -> tuple[int, int, int, int] | None:
    """The part that `clap` shows (14496-12, 12.1.4): its size and the way of its middle from ours, as fractions. None
    where it is not whole pixels of the picture.
    """
    numbers = struct.unpack_from(">LLLLlLlL", data)
    wide, high, right, down = (numbers[i] / numbers[i + 1] for i in (0, 2, 4, 6))
    left, top = right + (width - wide) / 2, down + (height - high) / 2
    whole = all(float(value).is_integer() for value in (wide, high, left, top))
    if not whole or wide < 1 or high < 1 or left < 0 or top < 0 or left + wide > width or top + high > height:
        return None
    return int(left), int(top), int(wide), int(high)


# ---- AV1 ------------------------------------------------------------------------------------------------------------


def _in_av1(units: bytes) -> tuple[int, int] | None:
    """Primaries and transfer that the sequence header in the `av1C` of a picture gives; None where it gives none.

    Stills only: their header is the reduced one, or has no timing and no operating points to speak of.
    """
    if not units or units[0] >> 3 & 15 != 1:  # the first unit is no sequence header
        return None
    at = 1 + (units[0] >> 2 & 1)
    if units[0] >> 1 & 1:  # it tells its length, in groups of seven bits
        while units[at] & 0x80:
            at += 1
        at += 1
    read = BigEndianBits(units[at : at + 64])
    profile, _, reduced = read(3), read(), read()
    if reduced:
        read(5)
    else:
        if read(2):  # timing, display delay
            return None
        for _ in range(read(5) + 1):
            read(12)
            if read(5) > 7:
                read()
    wide, high = read(4) + 1, read(4) + 1
    read(wide + high)
    if not reduced and read():  # frame numbers
        read(7)
    read(3)  # superblocks, intra filter, intra edge filter
    if not reduced:
        read(4)
        if order := read():
            read(2)
        tools = 2 if read() else read()  # screen content tools: chosen by each frame, or told
        if tools and not read():
            read()
        if order:
            read(3)
    read(3)  # superres, cdef, restoration
    if read() and profile == 2:  # high bit depth
        read()
    if profile != 1:
        read()  # monochrome
    if not read():  # color_description_present_flag
        return None
    return read(8), read(8)
