"""TIFF samples that Pillow cuts to 8 bits, mistakes or does not read: deep ones, separate planes, Lab, long palettes.

Pillow's decoders (zlib, LZW, PackBits, ...) still do the work: they are asked for the bytes of the samples instead of
their meaning, and numpy puts the bytes together. TIFF revision 6.0, with technical note 3 for predictor 3.
"""

from __future__ import annotations

import io
import shutil
import struct
from typing import BinaryIO

import numpy as np
from PIL import Image, TiffImagePlugin
from PIL.ExifTags import Base as Tag

from iqassay.pictures import icc
from iqassay.pictures.opened import strips

_NONE, _LZW, _DEFLATE, _PACKBITS, _OLD_DEFLATE, _LZMA, _ZSTD = 1, 5, 8, 32773, 32946, 34925, 50000
_MOST_SQUEEZED = 2**16  # bytes out of one: twice what Zstandard, the strongest, can reach
_LONGEST = 2**30  # bytes that are held in memory, of a file with compressed samples
_WITH_PREDICTOR = (_LZW, _DEFLATE, _OLD_DEFLATE, _LZMA, _ZSTD)
_UNPACKED = (_NONE, _PACKBITS, *_WITH_PREDICTOR)
_RAW = (32803, 34892)  # a colour filter array, linear raw
_PALETTE, _INKS, _CIELAB, _ICCLAB = 3, 5, 8, 9
_COLOURS = {0: 1, 1: 1, 2: 3, _PALETTE: 1, _INKS: 4, _CIELAB: 3, _ICCLAB: 3}
_ELSEWHERE = {
    **{33003: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000", 34661: "JBIG", 34676: "SGI's LogLuv code"},
    **{34677: "SGI's LogLuv code", 34887: "LERC", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL"},
}
_MEANINGS: dict[int | None, str] = {
    **{0: "gray", 1: "gray", 2: "RGB", 3: "a palette", 4: "a mask", 5: "CMYK", 6: "YCbCr", 8: "CIELab", 9: "ICCLab"},
    **{10: "ITULab", 32803: "a colour filter array", 32844: "LogL", 32845: "LogLuv", 34892: "linear raw"},
}


def tiff_tags(file: BinaryIO) -> TiffImagePlugin.ImageFileDirectory_v2:
    """The first directory of a TIFF; its `next` is not 0 when there are more pages."""
    file.seek(0)
    head = file.read(8)
    tags = TiffImagePlugin.ImageFileDirectory_v2(head + file.read(8) if head[2:3] == b"+" else head)
    file.seek(tags.next)
    tags.load(file)
    return tags


def is_raw(file: BinaryIO, tags: TiffImagePlugin.ImageFileDirectory_v2) -> bool:
    """Whether a TIFF holds a camera's raw samples, in its first directory or in one below it."""
    if Tag.DNGVersion in tags or tags.get(Tag.PhotometricInterpretation) in _RAW:
        return True
    for at in numbers(tags, Tag.SubIFDs, 0)[:16] if Tag.Make in tags else ():
        try:
            below = TiffImagePlugin.ImageFileDirectory_v2(
                tags.prefix + (b"*\0" if tags.prefix == b"II" else b"\0*") + bytes(4)
            )
            file.seek(at)
            below.load(file)
        except (OSError, struct.error, SyntaxError, TypeError, ValueError):
            continue
        if below.get(Tag.PhotometricInterpretation) in _RAW:
            return True
    return False


def numbers(tags: TiffImagePlugin.ImageFileDirectory_v2, tag: int, default: int = 0) -> tuple[int, ...]:
    """All the values of a tag. Raises ValueError when they are not whole numbers."""
    value = tags.get(tag, default)
    values = value if isinstance(value, tuple) else (value,)
    if not values or not all(isinstance(v, int) for v in values):
        raise ValueError(f"tag {tag} holds {str(values)[:40]}, want whole numbers")
    return values


def is_read_here(tags: TiffImagePlugin.ImageFileDirectory_v2, last_resort: bool = False) -> bool:
    """Whether the samples are of a kind that Pillow cuts, mistakes or refuses, and that is read here.

    last_resort: whether they can be, since Pillow does not know what to make of them.
    """
    bits, kinds = set(numbers(tags, Tag.BitsPerSample, 1)), set(numbers(tags, Tag.SampleFormat, 1))
    if len(bits) != 1 or len(kinds) != 1 or tags.get(Tag.FillOrder, 1) != 1:
        return False
    (depth,), (kind,), meaning = bits, kinds, tags.get(Tag.PhotometricInterpretation)
    planes = numbers(tags, Tag.PlanarConfiguration, 1)[0] == 2 and numbers(tags, Tag.SamplesPerPixel, 1)[0] > 1
    whole = kind == 1 and depth in (8, 16)
    if numbers(tags, Tag.Compression, 1)[0] not in _UNPACKED and depth == 8:
        return False  # JPEG and its like, which libtiff knows
    if meaning in (0, 1, 2):
        deep = kind in (1, 2, 3) and depth in ((16, 32, 64) if kind == 3 else (16, 32))
        return deep or (whole and (planes or last_resort))
    if meaning == _PALETTE:
        return kind == 1 and depth == 16
    return whole and meaning in (_CIELAB, _ICCLAB, _INKS)


def packed_otherwise(tags: TiffImagePlugin.ImageFileDirectory_v2) -> str:
    """The name of a compression that libtiff has only in some builds, or not at all; "" for the others."""
    return _ELSEWHERE.get(numbers(tags, Tag.Compression, 1)[0], "")


def described(tags: TiffImagePlugin.ImageFileDirectory_v2) -> str:
    """What a TIFF holds, for the message that it is not read: "LogLuv, 3 samples of 16 bits"."""
    told = tags.get(Tag.PhotometricInterpretation)
    meaning = _MEANINGS.get(told, "") or f"photometric {told}"
    bits = sorted(set(numbers(tags, Tag.BitsPerSample, 1)))
    count = numbers(tags, Tag.SamplesPerPixel, 1)[0]
    kind = {2: " signed", 3: " floating-point", 5: " complex", 6: " complex"}.get(
        numbers(tags, Tag.SampleFormat, 1)[0], ""
    )
    depth = " or ".join(map(str, bits))
    return f"{meaning}, {count}{kind} sample{'s' * (count > 1)} of {depth} bits"


def check_tiles(tags: TiffImagePlugin.ImageFileDirectory_v2) -> None:
    """Raise ValueError where a tile is much larger than the picture: libtiff makes room for a whole one."""
    across, down = numbers(tags, Tag.TileWidth)[0], numbers(tags, Tag.TileLength)[0]
    if across * down > max(2**22, 4 * numbers(tags, Tag.ImageWidth)[0] * numbers(tags, Tag.ImageLength)[0]):
        raise ValueError(f"tiles of {across}x{down}")


def read_tiff(file: BinaryIO, tags: TiffImagePlugin.ImageFileDirectory_v2) -> tuple[np.ndarray, str]:
    """The samples of such a TIFF and how its last channel is to be taken.

    Returns (H, W, C) of the type that is stored (8 to 32 bits, signed or not; 16 to 64 bits of float) with C = 1
    (gray, 0 is black), 3 (RGB; palettes and Lab have been turned into it) or 4 (CMYK), and one more when the second
    value, "", "straight" or "premultiplied", says that there is alpha.
    """
    width, height = numbers(tags, Tag.ImageWidth)[0], numbers(tags, Tag.ImageLength)[0]
    (kind, *_), (bits, *_) = numbers(tags, Tag.SampleFormat, 1), numbers(tags, Tag.BitsPerSample)
    stored, meaning = numbers(tags, Tag.SamplesPerPixel, 1)[0], tags[Tag.PhotometricInterpretation]
    colours = _COLOURS[meaning]
    if not colours <= stored <= colours + 4:
        raise ValueError(f"{stored} samples per pixel")
    if meaning == _INKS and numbers(tags, Tag.InkSet, 1)[0] != 1:
        raise ValueError("inks other than CMYK")
    extra = numbers(tags, Tag.ExtraSamples, 2 if stored > colours else 0)[0]
    alpha = {1: "premultiplied", 2: "straight"}.get(extra, "") if stored > colours else ""
    channels = colours + bool(alpha)

    dtype = np.dtype(f"{'<' if tags.prefix == b'II' else '>'}{'uif'[kind - 1]}{bits // 8}")
    if numbers(tags, Tag.PlanarConfiguration, 1)[0] == 2 and stored > 1:
        samples = np.empty((height, width, channels), dtype.newbyteorder("="))
        for i in range(channels):
            samples[..., i] = _read_plane(file, tags, i, (height, width, 1), dtype)[..., 0]
    else:
        samples = _read_plane(file, tags, 0, (height, width, stored), dtype)[..., :channels]
    rest = samples[..., colours:]
    if meaning == 0:  # white is zero
        top = 1 if kind == 3 else np.iinfo(samples.dtype).max
        samples = np.concatenate([top - samples[..., :1], rest], axis=2)
    elif meaning == _PALETTE:
        samples = np.concatenate([_palette(tags)[samples[..., 0]], rest], axis=2)
    elif meaning in (_CIELAB, _ICCLAB):
        samples = np.concatenate([icc.lab_to_srgb(samples[..., :3], signed=meaning == _CIELAB), rest], axis=2)
    return samples, alpha


def _palette(tags: TiffImagePlugin.ImageFileDirectory_v2) -> np.ndarray:
    """(65536, 3) uint16: the colours of a palette; black, where it holds fewer."""
    given = np.array(numbers(tags, Tag.ColorMap), np.uint32).reshape(3, -1).T[:65536]
    colours = np.zeros((65536, 3), np.uint16)
    colours[: len(given)] = given * (257 if is_short(tags) else 1)
    return colours


def is_short(tags: TiffImagePlugin.ImageFileDirectory_v2) -> bool:
    """Whether the colours of a palette go to 255 and not to 65535, as some writers leave them; libtiff looks too."""
    return max(numbers(tags, Tag.ColorMap)) < 256


def primaries(tags: TiffImagePlugin.ImageFileDirectory_v2) -> tuple[float, ...] | None:
    """x and y of white, red, green and blue, where a TIFF gives them; None where it does not."""
    told = [*_fractions(tags, Tag.WhitePoint), *_fractions(tags, Tag.PrimaryChromaticities)]
    return tuple(told) if len(told) == 8 else None


def _fractions(tags: TiffImagePlugin.ImageFileDirectory_v2, tag: int) -> list[float]:
    try:
        return [float(value) for value in tags.get(tag, ())]
    except (TypeError, ValueError, ZeroDivisionError):
        return []


def _read_plane(
    file: BinaryIO,
    tags: TiffImagePlugin.ImageFileDirectory_v2,
    plane: int,
    shape: tuple[int, int, int],
    dtype: np.dtype,
) -> np.ndarray:
    """One plane of a TIFF (the only one, unless each channel is stored by itself) in this machine's byte order."""
    height, width, channels = shape
    pixel = channels * dtype.itemsize
    compression = numbers(tags, Tag.Compression, 1)[0]
    if compression not in _UNPACKED:
        raise ValueError(f"compression {compression} of samples deeper than 8 bits")
    tiled = Tag.TileOffsets in tags
    block_width = numbers(tags, Tag.TileWidth)[0] if tiled else width
    block_height = (
        numbers(tags, Tag.TileLength)[0] if tiled else min(numbers(tags, Tag.RowsPerStrip, height)[0], height)
    )
    if block_width < 1 or block_height < 1:
        raise ValueError(f"blocks of {block_width}x{block_height}")
    across, down = -(-width // block_width), -(-height // block_height)
    mine = slice(plane * across * down, (plane + 1) * across * down)
    offsets = numbers(tags, Tag.TileOffsets if tiled else Tag.StripOffsets)[mine]
    sizes = numbers(tags, Tag.TileByteCounts if tiled else Tag.StripByteCounts)[mine]
    if len(offsets) != across * down:
        raise ValueError(f"{len(offsets)} blocks of data, want {across * down}")
    length = file.seek(0, io.SEEK_END)
    if sum(min(size, length) for size in sizes) * _MOST_SQUEEZED < height * width * pixel:
        raise ValueError("image file is truncated")

    if compression == _NONE and not tiled:  # straight from the file, since these are the big ones
        rows = np.empty((height, width * pixel), np.uint8)
        for i, offset in enumerate(offsets):
            block = rows[i * block_height : (i + 1) * block_height]
            file.seek(offset)
            if file.readinto(memoryview(block).cast("B")) != block.nbytes:  # type: ignore[arg-type, attr-defined]
                raise ValueError("image file is truncated")
    else:  # as a gray picture of 8 bits that is as wide as a row has bytes: Pillow unpacks it and leaves it alone
        entries: dict[Tag, tuple[int, ...]] = {Tag.ImageWidth: (across * block_width * pixel,)}
        entries |= {Tag.ImageLength: (height,), Tag.BitsPerSample: (8,)}
        entries |= {Tag.Compression: (compression,), Tag.PhotometricInterpretation: (1,), Tag.SamplesPerPixel: (1,)}
        if tiled:
            entries |= {Tag.TileWidth: (block_width * pixel,), Tag.TileLength: (block_height,)}
            entries |= {Tag.TileOffsets: offsets, Tag.TileByteCounts: sizes}
        else:
            entries |= {Tag.RowsPerStrip: (block_height,), Tag.StripOffsets: offsets, Tag.StripByteCounts: sizes}
        image = TiffImagePlugin.TiffImageFile(_with_directory(file, "<" if tags.prefix == b"II" else ">", entries))
        rows = np.empty((height, across * block_width * pixel), np.uint8)
        allocate(image)
        image.load()
        for top, part in strips(image):
            rows[top : top + part.height] = np.asarray(part)

    predictor = numbers(tags, Tag.Predictor, 1)[0] if compression in _WITH_PREDICTOR else 1
    if predictor == 3:
        for left in range(0, rows.shape[1], block_width * pixel):
            _undo_float_predictor(rows[:, left : left + block_width * pixel], channels, dtype.itemsize)
        dtype = dtype.newbyteorder(">")
    samples = rows.view(dtype).reshape(height, -1, channels)
    if not dtype.isnative:
        samples = samples.astype(dtype.newbyteorder("="))
    if predictor == 2:
        differences = samples.view(f"u{dtype.itemsize}")
        for left in range(0, samples.shape[1], block_width):
            block = differences[:, left : left + block_width]
            np.cumsum(block, axis=1, dtype=block.dtype, out=block)
    return samples[:, :width]


def _undo_float_predictor(rows: np.ndarray, channels: int, itemsize: int) -> None:
    """In place. Running sums of bytes give the first (sign) bytes of all samples of a row, then the second ones, ..."""
    for row in rows:
        whole = np.cumsum(row.reshape(-1, channels), axis=0, dtype=np.uint8)
        row[...] = whole.reshape(itemsize, -1).T.ravel()


def _with_directory(file: BinaryIO, order: str, entries: dict[Tag, tuple[int, ...]]) -> io.BytesIO:
    """A copy of a TIFF whose only directory holds the entries given."""
    copy, length = io.BytesIO(), file.seek(0, io.SEEK_END)
    if length > _LONGEST:
        raise ValueError(f"compressed samples of more than 8 bits in {length:,} bytes, want at most {_LONGEST:,}")
    file.seek(0)
    shutil.copyfileobj(file, copy)
    at = copy.tell() + copy.tell() % 2
    after = at + 2 + 12 * len(entries) + 4  # values that do not fit into their entry
    directory, values = struct.pack(f"{order}H", len(entries)), b""
    for tag, numbers_ in sorted(entries.items()):
        short = tag in (Tag.BitsPerSample, Tag.Compression, Tag.PhotometricInterpretation, Tag.SamplesPerPixel)
        packed = struct.pack(f"{order}{len(numbers_)}{'H' if short else 'L'}", *numbers_)
        if len(packed) > 4:
            values, packed = values + packed, struct.pack(f"{order}L", after + len(values))
        directory += struct.pack(f"{order}HHL", tag, 3 if short else 4, len(numbers_)) + packed.ljust(4, b"\0")
    copy.seek(at)
    copy.write(directory + bytes(4) + values)
    copy.seek(0)
    copy.write(struct.pack(f"{order}2sHL", b"II" if order == "<" else b"MM", 42, at))
    copy.seek(0)
    return copy


def allocate(image: TiffImagePlugin.TiffImageFile) -> None:
    """Make room for the pixels, which Pillow would do after a look at its own pixel limit: ours has been passed."""
    image.im = Image.new(image.mode, image._tile_size, None).im  # type: ignore[arg-type]
