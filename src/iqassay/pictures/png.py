"""PNG: which of its chunks Pillow gets to see, and samples of 16 bits, which Pillow cuts to 8. ISO/IEC 15948.

Pillow's decoder (zlib, every filter) does the work. It refuses a file for a wrong checksum or a megabyte of text beside
the pixels, where every viewer shows the picture, so it is given the file without what the pixels do not need, and that
is read here. For 16 bits it is asked for the bytes of the samples instead of their meaning, and numpy puts the bytes
together.
"""

from __future__ import annotations

import bisect
import io
import struct
import zlib
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, PngImagePlugin

from iqassay.pictures import colour, icc
from iqassay.pictures.opened import raw_mode, strips

LONGEST_METADATA = 2**26  # bytes of a profile, or of EXIF, once it is unpacked
DAMAGED = "damaged data beside the pixels ({}) is left out"
NO_END = "end of the file is missing, behind the pixels"
_END = b"\0\0\0\0IEND\xaeB`\x82"
_SIGNATURE = 8  # bytes
_ANIMATION = frozenset((b"acTL", b"fcTL", b"fdAT"))
_FOR_PILLOW = _ANIMATION | {b"tRNS"}  # of those that a decoder may leave out
_READ_HERE = {b"cICP": 4, b"mDCV": 24, b"cLLI": 8, b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"iCCP": 3, b"eXIf": 8}
_EXIF_AS_TEXT = b"Raw profile type exif"  # what there was before eXIf
_BLOCK = 2**20
_CHANNELS = {"RGB;16B": 3, "RGBA;16B": 4, "LA;16B": 2}
# (mode, raw mode, byte of the sample) to read. Asked for little-endian samples, Pillow keeps the other byte of each.
_PASSES = {
    2: (("RGBA", "RGBA", None),),  # gray and alpha: four bytes a pixel in one go
    3: (("RGB", "RGB;16B", 1), ("RGB", "RGB;16L", 0)),
    4: (("RGBA", "RGBA;16B", 1), ("RGBA", "RGBA;16L", 0)),
}


def read_chunks(file: BinaryIO, animated: bool = True) -> tuple[BinaryIO, dict[str, Any], list[str]]:
    """Go through the chunks of a PNG.

    Returns the PNG as Pillow is to see it, what the other chunks say by the names that Pillow's images have for it
    ("icc_profile", "exif", "gamma", "chromaticity", "srgb", and "encoding", which is ours, for cICP), and words about
    what is wrong with them. A chunk that the pixels need is not looked into: that is Pillow's part.
    animated: whether it sees those of an animation.
    """
    length = file.seek(0, io.SEEK_END)
    kept: list[tuple[BinaryIO, int, int]] = [(file, 0, _SIGNATURE)]
    damaged, found, seen = set(), {}, set()
    at, name, cut = _SIGNATURE, b"", b""
    while at + 12 <= length and name != b"IEND":
        file.seek(at)
        size, name = struct.unpack(">L4s", file.read(8))
        end = at + 12 + size
        if not name.isalpha() or end > length:
            cut = name
            break  # not a PNG from here on, or cut short
        seen.add(name)
        if not animated and name in _ANIMATION:
            at = end
            continue
        if not name[0] & 0x20 or name == b"fdAT":  # Pillow checks what it needs of these
            kept.append((file, at, end))
        elif not _is_sound(file, at, size):
            damaged.add(name.decode("ascii", "replace"))
        elif name in _FOR_PILLOW:
            kept.append((file, at, end))
        elif name in _READ_HERE and name not in found:
            if size < _READ_HERE[name]:
                damaged.add(name.decode())
            elif size <= LONGEST_METADATA:
                found[name] = _data(file, at, size)
        elif name in (b"tEXt", b"zTXt") and size <= LONGEST_METADATA:
            key, _, text = _data(file, at, size).partition(b"\0")
            if key == _EXIF_AS_TEXT:
                found[_EXIF_AS_TEXT] = text if name == b"tEXt" else _unpack(text[1:])
        at = end
    info, said = _meaning(found)
    if b"IDAT" in seen and b"IEND" not in seen and cut != b"IDAT":
        said.append(NO_END)
        kept.append((io.BytesIO(_END), 0, len(_END)))
    else:
        kept.append((file, at, length))
    if damaged:
        said.append(DAMAGED.format(", ".join(sorted(damaged))))
    return io.BufferedReader(_Pieces(kept), 2**16), info, said


def _is_sound(file: BinaryIO, at: int, size: int) -> bool:
    """Whether the checksum of a chunk fits."""
    file.seek(at + 4)
    left, checksum = size + 4, 0
    while left:
        block = file.read(min(left, _BLOCK))
        if not block:
            return False
        checksum, left = zlib.crc32(block, checksum), left - len(block)
    return file.read(4) == checksum.to_bytes(4, "big")


def _data(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at + 8)
    return file.read(size)


def _unpack(data: bytes) -> bytes:
    """What zlib packed; b"" when it is broken or more than LONGEST_METADATA."""
    try:
        unpacker = zlib.decompressobj()
        unpacked = unpacker.decompress(data, LONGEST_METADATA)
    except zlib.error:
        return b""
    return b"" if unpacker.unconsumed_tail else unpacked


def _meaning(found: dict[bytes, bytes]) -> tuple[dict[str, Any], list[str]]:
    info: dict[str, Any] = {}
    said = []
    if b"eXIf" in found:
        info["exif"] = b"Exif\0\0" + found[b"eXIf"]
    elif _EXIF_AS_TEXT in found:
        info["Raw profile type exif"] = found[_EXIF_AS_TEXT].decode("latin-1")
    if b"gAMA" in found:
        info["gamma"] = struct.unpack_from(">L", found[b"gAMA"])[0] / 100_000
    if b"cHRM" in found:
        info["chromaticity"] = tuple(value / 100_000 for value in struct.unpack_from(">8L", found[b"cHRM"]))
    if b"sRGB" in found:
        info["srgb"] = found[b"sRGB"][0]
    if b"iCCP" in found:
        name, _, packed = found[b"iCCP"].partition(b"\0")
        info["icc_profile"] = _unpack(packed[1:]) or b"broken"  # which the colours will complain about
        if encoding := icc.named_hdr(name.decode("latin-1")):
            info["encoding"] = encoding
    if b"cICP" in found:
        primaries, transfer, matrix, full = found[b"cICP"][:4]
        content = struct.unpack_from(">L", found[b"cLLI"])[0] / 10_000 if b"cLLI" in found else 0
        screen = struct.unpack_from(">L", found[b"mDCV"], 16)[0] / 10_000 if b"mDCV" in found else 0
        peak = colour.brightest(content, screen)
        encoding = colour.of_code_points(primaries, transfer, peak, not full) if matrix == 0 else None
        if encoding:
            info["encoding"] = encoding
        else:
            said.append(colour.UNKNOWN.format(f"{primaries}, {transfer} and {matrix}"))
    return info, said


class _Pieces(io.RawIOBase):
    """A file made of pieces of others, each from one byte to before another one."""

    def __init__(self, pieces: list[tuple[BinaryIO, int, int]]) -> None:
        self._at = self._length = 0
        self._pieces: list[tuple[int, BinaryIO, int, int]] = []
        for file, first, end in pieces:
            if end > first:
                self._pieces.append((self._length, file, first, end - first))
                self._length += end - first

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._length}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Reads to the end of a piece at most."""
        which = bisect.bisect_right(self._pieces, self._at, key=lambda piece: piece[0]) - 1
        start, file, first, size = self._pieces[which]
        room = min(len(buffer), start + size - self._at)
        if room <= 0:
            return 0
        file.seek(first + self._at - start)
        data = file.read(room)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


# ---- 16 bits --------------------------------------------------------------------------------------------------------


def deep_channels(image: Image.Image) -> int:
    """Channels of an opened, not yet loaded PNG whose 16 bits Pillow would cut to 8; 0 for any other."""
    return _CHANNELS.get(raw_mode(image), 0)


def read_deep(file: BinaryIO, channels: int) -> tuple[np.ndarray, Image.Image]:
    """The samples of such a PNG, (H, W, channels) uint16, and the image whose `info` holds what Pillow saw."""
    samples: np.ndarray | None = None
    for mode, raw, byte in _PASSES[channels]:
        file.seek(0)
        image = PngImagePlugin.PngImageFile(file)
        image._mode = mode
        image.tile = [tile._replace(args=raw) for tile in image.tile]
        image.load()
        if samples is None:
            samples = np.empty((image.height, image.width, channels, 2), np.uint8)
        for top, part in strips(image):
            target = samples[top : top + part.height]
            pixels = np.asarray(part)
            if byte is None:
                target[...] = pixels.reshape(target.shape)[..., ::-1]
            else:
                target[..., byte] = pixels
    assert samples is not None
    return samples.view("<u2")[..., 0].astype(np.uint16, copy=False), image
