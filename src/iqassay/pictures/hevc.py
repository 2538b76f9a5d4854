"""What the stream of an HEVC picture says of its colours, for files whose boxes do not say it.

ISO/IEC 14496-15, 8.3.3 (`hvcC`), ITU-T H.265: 7.3.1 (units), 7.3.2.2 (the sequence parameter set), 7.3.3 (profile),
7.3.4 (scaling lists), 7.3.7 (reference pictures), E.2.1 (VUI).
"""

from __future__ import annotations

import struct

from iqassay.pictures.bits import BigEndianBits

_SPS = 33  # the type of a unit that is a sequence parameter set
_MOST = 64  # sets of reference pictures, and pictures of one


def colours(configuration: bytes) -> tuple[int, int] | None:
    """Primaries and transfer that the first sequence parameter set of an `hvcC` gives; None where it gives none.

    Raises ValueError, IndexError or struct.error for one that is damaged.
    """
    at = 23
    for _ in range(configuration[22]):
        kind = configuration[at] & 63
        (count,), at = struct.unpack_from(">H", configuration, at + 1), at + 3
        for _ in range(count):
            (length,), at = struct.unpack_from(">H", configuration, at), at + 2
            if kind == _SPS:
                unit = configuration[at + 2 : at + length]
                return _of_sps(BigEndianBits(unit.replace(b"\0\0\3", b"\0\0")))
            at += length
    return None


def _of_sps(read: BigEndianBits) -> tuple[int, int] | None:
    read(4)
    layers = read(3)
    read(1)
    _skip_profile(read, layers)
    _number(read)
    if _number(read) == 3:  # 4:4:4
        read(1)
    for _ in range(2):  # width, height
        _number(read)
    if read():  # conformance window
        _skip_numbers(read, 4)
    _skip_numbers(read, 2)  # depths
    count_bits = _number(read) + 4
    for _ in range(layers + 1 if read() else 1):
        _skip_numbers(read, 3)
    _skip_numbers(read, 6)  # sizes of blocks and depths of their trees
    if read() and read():
        _skip_scaling(read)
    read(2)
    if read():  # PCM
        read(8)
        _skip_numbers(read, 2)
        read(1)
    _skip_references(read)
    if read():  # long-term reference pictures
        for _ in range(_bounded(read)):
            read(count_bits + 1)
    read(2)
    return _of_vui(read) if read() else None


def _of_vui(read: BigEndianBits) -> tuple[int, int] | None:
    if read() and read(8) == 255:  # the shape of pixels
        read(32)
    if read():  # overscan
        read(1)
    if not read():  # video_signal_type_present_flag
        return None
    read(4)
    if not read():  # colour_description_present_flag
        return None
    return read(8), read(8)


def _skip_profile(read: BigEndianBits, layers: int) -> None:
    read(96)
    there = [(read(), read()) for _ in range(layers)]
    if layers:
        read(2 * (8 - layers))
    for profile, level in there:
        read(88 * profile + 8 * level)


def _skip_scaling(read: BigEndianBits) -> None:
    for size in range(4):
        for _ in range(2 if size == 3 else 6):
            if not read():
                _number(read)
            else:  # signed numbers are as long as others
                _skip_numbers(read, (size > 1) + min(64, 1 << (4 + 2 * size)))


def _skip_references(read: BigEndianBits) -> None:
    """The sets of reference pictures, each by itself or by what differs from the one before."""
    pictures = 0
    for at in range(_bounded(read)):
        if at and read():
            read(1)
            _number(read)
            used = [read() or read() for _ in range(pictures + 1)]
            pictures = sum(used)
        else:
            pictures = _bounded(read) + _bounded(read)
            for _ in range(pictures):
                _number(read)
                read(1)


def _bounded(read: BigEndianBits) -> int:
    count = _number(read)
    if count > _MOST:
        raise ValueError(f"got {count} reference pictures, want {_MOST} at most")
    return count


def _skip_numbers(read: BigEndianBits, count: int) -> None:
    for _ in range(count):
        _number(read)


def _number(read: BigEndianBits) -> int:
    """An Exp-Golomb number (9.2)."""
    zeros = 0
    while not read():
        zeros += 1
        if zeros > 32:
            raise ValueError("got a number of more than 32 bits")
    return (1 << zeros) - 1 + read(zeros)
