"""PNG and TIFF samples of more than 8 bits, which Pillow cuts to 8 or does not read at all.

Pillow's decoders (zlib, LZW, PackBits, every PNG filter) still do the work: they are asked for the bytes of the
samples instead of their meaning, and numpy puts the bytes together. PNG: ISO/IEC 15948. TIFF: revision 6.0, with
technical note 3 for predictor 3.
"""

from __future__ import annotations

import io
import shutil
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, PngImagePlugin, TiffImagePlugin
from PIL.ExifTags import Base as Tag

_PNG_CHANNELS = {"RGB;16B": 3, "RGBA;16B": 4, "LA;16B": 2}
# (mode, raw mode, byte of the sample) to read. Asked for little-endian samples, Pillow keeps the other byte of each.
_PNG_PASSES = {
    2: (("RGBA", "RGBA", None),),  # gray and alpha: four bytes a pixel in one go
    3: (("RGB", "RGB;16B", 1), ("RGB", "RGB;16L", 0)),
    4: (("RGBA", "RGBA;16B", 1), ("RGBA", "RGBA;16L", 0)),
}
_NONE, _LZW, _DEFLATE, _PACKBITS, _OLD_DEFLATE, _LZMA, _ZSTD = 1, 5, 8, 32773, 32946, 34925, 50000
_MOST_SQUEEZED = 2**16  # bytes out of one: twice what Zstandard, the strongest, can reach
_LONGEST = 2**30  # bytes that are held in memory, of a file with compressed samples
_WITH_PREDICTOR = (_LZW, _DEFLATE, _OLD_DEFLATE, _LZMA, _ZSTD)


def strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """(top, part) over a loaded image, in parts small enough to stay in the cache."""
    rows = max(1, 2**17 // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def raw_mode(image: Image.Image) -> str:
    """What an opened, not yet loaded image is stored as, in Pillow's words ("RGB;16B"); "" when it does not say."""
    tiles = getattr(image, "tile", None)
    args: Any = tiles[0].args if tiles else ""
    return str(args[0] if isinstance(args, tuple) and args else args)


# ---- PNG ------------------------------------------------------------------------------------------------------------


def png_channels(image: Image.Image) -> int:
    """Channels of an opened, not yet loaded PNG whose 16 bits Pillow would cut to 8; 0 for any other."""
    return _PNG_CHANNELS.get(raw_mode(image), 0)


def read_png(file: BinaryIO, channels: int) -> tuple[np.ndarray, Image.Image]:
    """The samples of such a PNG, (H, W, channels) uint16, and the image whose `info` holds all that the file says."""
    samples: np.ndarray | None = None
    for mode, raw, byte in _PNG_PASSES[channels]:
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


# ---- TIFF -----------------------------------------------------------------------------------------------------------


def tiff_tags(file: BinaryIO) -> TiffImagePlugin.ImageFileDirectory_v2:
    """The first directory of a TIFF; its `next` is not 0 when there are more pages."""
    file.seek(0)
    head = file.read(8)
    tags = TiffImagePlugin.ImageFileDirectory_v2(head + file.read(8) if head[2:3] == b"+" else head)
    file.seek(tags.next)
    tags.load(file)
    return tags


def numbers(tags: TiffImagePlugin.ImageFileDirectory_v2, tag: int, default: int = 0) -> tuple[int, ...]:
    """All the values of a tag. Raises ValueError when they are not whole numbers."""
    value = tags.get(tag, default)
    values = value if isinstance(value, tuple) else (value,)
    if not values or not all(isinstance(v, int) for v in values):
        raise ValueError(f"tag {tag} holds {str(values)[:40]}, want whole numbers")
    return values


def is_deep(tags: TiffImagePlugin.ImageFileDirectory_v2) -> bool:
    """Gray or RGB with 16, 32 or 64 bits a sample, all alike."""
    bits, formats = set(numbers(tags, Tag.BitsPerSample, 1)), set(numbers(tags, Tag.SampleFormat, 1))
    deep = (
        len(bits) == len(formats) == 1 and formats <= {1, 2, 3} and bits <= ({16, 32, 64} if 3 in formats else {16, 32})
    )
    return deep and tags.get(Tag.PhotometricInterpretation) in (0, 1, 2) and tags.get(Tag.FillOrder, 1) == 1


def check_tiles(tags: TiffImagePlugin.ImageFileDirectory_v2) -> None:
    """Raise ValueError where a tile is much larger than the picture: libtiff makes room for a whole one."""
    across, down = numbers(tags, Tag.TileWidth)[0], numbers(tags, Tag.TileLength)[0]
    if across * down > max(2**22, 4 * numbers(tags, Tag.ImageWidth)[0] * numbers(tags, Tag.ImageLength)[0]):
        raise ValueError(f"tiles of {across}x{down}")


def read_tiff(file: BinaryIO, tags: TiffImagePlugin.ImageFileDirectory_v2) -> tuple[np.ndarray, str]:
    """The samples of a deep TIFF and how its last channel is to be taken.

    Returns (H, W, C) of the type that is stored (16 or 32 bits, signed or not; 16, 32 or 64 bits of float; 0 is black)
    with C = 1 or 3, and one more when the second value, "", "straight" or "premultiplied", says that there is alpha.
    """
    width, height = numbers(tags, Tag.ImageWidth)[0], numbers(tags, Tag.ImageLength)[0]
    (kind, *_), (bits, *_) = numbers(tags, Tag.SampleFormat, 1), numbers(tags, Tag.BitsPerSample)
    stored = numbers(tags, Tag.SamplesPerPixel, 1)[0]
    colours = 3 if tags[Tag.PhotometricInterpretation] == 2 else 1
    if not colours <= stored <= colours + 4:
        raise ValueError(f"{stored} samples per pixel")
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
    if tags[Tag.PhotometricInterpretation] == 0:  # white is zero
        top = 1 if kind == 3 else np.iinfo(samples.dtype).max
        samples = np.concatenate([top - samples[..., :1], samples[..., 1:]], axis=2)
    return samples, alpha


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
    if compression not in (_NONE, _PACKBITS, *_WITH_PREDICTOR):
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
