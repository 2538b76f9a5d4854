"""JPEG: what would work long for nothing, and what its segments say that Pillow does not pass on."""

from __future__ import annotations

import re
from typing import BinaryIO

from PIL import Image
from PIL.ExifTags import IFD
from PIL.ExifTags import Base as Tag

from iqassay.pictures import colour

_MARKER = re.compile(rb"\xff([\x01\xc0-\xcf\xd8-\xfe])")  # in the data of a JPEG only \0 and restarts follow 0xFF
_MOST_SCANS = 100  # encoders make about ten of a progressive JPEG, a few make up to 64
# Adobe's and Google's (Ultra HDR), ISO 21496-1's and Apple's; in the picture's own segments, or in those of the map.
_GAIN_MAP = re.compile(rb"hdrgm:Version|urn:iso:std:iso:ts:21496:-1|HDRGainMap")
_UNCALIBRATED, _ADOBE = 65535, 2


def check_jpeg(file: BinaryIO, width: int, height: int) -> bool:
    """Raise ValueError for a JPEG whose decoder would work long for nothing: each further scan of a few bytes passes
    over all pixels again, and pixels that the header promises and the data lacks become gray without a word.

    Returns whether the file holds a gain map.
    """
    file.seek(0)
    data = file.read(2**26 + 4 * width * height)  # more is not its own: a JPEG may be followed by a film
    at, scans, arithmetic = 2, 0, False
    while found := _MARKER.search(data, at):
        kind, at = found.group(1)[0], found.end()
        if kind == 0xD9:
            break
        if kind not in (0x01, 0xD8):  # these two stand alone, all others tell their length
            at += int.from_bytes(data[at : at + 2], "big")
        scans += kind == 0xDA
        arithmetic |= kind in (0xC9, 0xCA, 0xCB)
    else:
        at = len(data)
    if scans > _MOST_SCANS:
        raise ValueError(f"{scans} scans, want at most {_MOST_SCANS}")
    if not arithmetic and 8 * at < width * height // 64:  # Huffman codes take a bit for each block of 8x8 pixels
        raise ValueError("image file is truncated")
    return _GAIN_MAP.search(data) is not None


def exif_encoding(image: Image.Image) -> colour.Encoding | None:
    """Adobe RGB, where EXIF alone tells it, as cameras do (DCF 2.0, 3.3: "R03"); None for any other picture."""
    try:
        exif = image.getexif()
        space = exif.get_ifd(IFD.Exif).get(Tag.ColorSpace)
        index = exif.get_ifd(IFD.Interop).get(1) if space == _UNCALIBRATED else None
    except Exception:  # whatever is broken there, the orientation says it
        return None
    if space == _ADOBE or index in ("R03", "R03\0", b"R03\0"):
        return colour.Encoding(563 / 256, colour.ADOBE_RGB)
    return None
