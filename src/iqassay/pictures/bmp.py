"""BMP: how its later headers tell colours, which Pillow does not read. Windows GDI, BITMAPV4HEADER and V5."""

from __future__ import annotations

import struct
from typing import BinaryIO

from iqassay.pictures import colour

_D65 = [0.9505, 1.0, 1.0891]
_LONGEST = 2**26  # bytes of a profile
_CALIBRATED, _EMBEDDED, _LINKED = b"\0\0\0\0", b"DEBM", b"KNIL"
LINKED = "colour profile is in another file: the picture is taken as sRGB"


def read_colours(file: BinaryIO) -> tuple[bytes | None, colour.Encoding | None, list[str]]:
    """A profile, or an encoding, or neither for sRGB; and words about what is of no use."""
    file.seek(14)
    head = file.read(124)
    (size,) = struct.unpack_from("<L", head.ljust(4, b"\0"))
    if size < 108 or len(head) < 108:
        return None, None, []
    kind = head[56:60]
    if kind == _LINKED and size >= 124:
        return None, None, [LINKED]
    if kind == _EMBEDDED and size >= 124 and len(head) == 124:
        at, length = struct.unpack_from("<2L", head, 112)
        file.seek(14 + at)
        return file.read(length) if length <= _LONGEST else b"", None, []
    if kind != _CALIBRATED:
        return None, None, []
    ends = [value / 2**30 for value in struct.unpack_from("<9l", head, 60)]  # X, Y and Z of red, green and blue
    gammas = [value / 2**16 for value in struct.unpack_from("<3L", head, 96)]
    if not any(ends) or not all(gammas):
        return None, None, []  # left empty, as many writers do
    colours = [ends[0:3], ends[3:6], ends[6:9]]
    try:
        white = [sum(each) for each in zip(*colours, strict=True)]
        if all(abs(sum(xyz) - 1) < 0.01 for xyz in colours):  # x, y and z, which some write there, leave white open
            white = _D65
        told = [value / sum(xyz) for xyz in (white, *colours) for value in xyz[:2]]  # x and y
        encoding = colour.of_gamma(min(gammas[1], 1 / gammas[1]), tuple(told)) if max(gammas) == min(gammas) else None
    except ZeroDivisionError:
        encoding = None
    return None, encoding, [] if encoding else [colour.BAD_GAMMA]
