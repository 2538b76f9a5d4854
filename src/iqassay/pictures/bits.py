"""Numbers of any count of bits, one after another, out of headers that are packed so."""

from __future__ import annotations


class BigEndianBits:
    """The first bit is the highest of the first byte, as in AV1. Raises ValueError where the bits end."""

    def __init__(self, data: bytes) -> None:
        self._bits, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def __call__(self, count: int = 1) -> int:
        self._left -= count
        if self._left < 0:
            raise ValueError("the header ends too early")
        return self._bits >> self._left & ((1 << count) - 1)


class LittleEndianBits:
    """The first bit is the lowest of the first byte, as in JPEG XL. Raises ValueError where the bits end."""

    def __init__(self, data: bytes) -> None:
        self._bits, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def __call__(self, count: int = 1) -> int:
        value = self._bits & ((1 << count) - 1)
        self._bits >>= count
        self._left -= count
        if self._left < 0:
            raise ValueError("the header ends too early")
        return value
