"""Reading pictures: one policy for every file, byte string, Pillow image and array.

docs/reading-pictures.md says what is done; this file does it, and leaves every setting of Pillow as it was.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from typing import BinaryIO, cast

import numpy as np
from PIL import Image, ImagePalette, TiffImagePlugin
from PIL.ExifTags import Base as Tag

from iqassay.pictures import bmp, boxes, colour, formats, jpeg, jxl, png, raw, tiff
from iqassay.pictures.formats import SUFFIXES
from iqassay.pictures.picture import ImageError, Picture, TooManyPixels, check_size, to_float
from iqassay.pictures.pixels import (
    CUT,
    GAIN_MAP,
    GROUND,
    PAGES,
    colours_of,
    frames,
    from_array,
    from_pillow,
    from_samples,
    orientation_of,
    with_key,
)
from iqassay.support.install import install_command
from iqassay.support.memory import give_back

__all__ = ["MAX_PIXELS", "SUFFIXES", "ImageError", "Picture", "TooManyPixels", "file_name", "read_image", "to_float"]

MAX_PIXELS = 200_000_000
_LARGE = 50_000_000  # bytes of pixels
_WANTED = "a JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF or HEIF picture"
_NO_ANIMATION = "damaged animation: the still picture is shown"
_SIGNED = "signed samples of 8 bits taken as unsigned ones"
_TIFFS = "gray, RGB, CMYK, YCbCr, Lab or a palette, at usual depths"


def read_image(
    source: str | os.PathLike[str] | bytes | bytearray | memoryview | Image.Image | np.ndarray,
    max_pixels: int = MAX_PIXELS,
    ground: str = "white",
) -> Picture:
    """Read one picture as an upright sRGB array.

    Args:
        source: a path, the bytes of a file, a Pillow image, or an array of shape (H, W), (H, W, 1), (H, W, 3) or (H, W,
            4) with uint8, uint16 or float samples in [0, 1], taken as sRGB (and straight alpha).
        max_pixels: larger pictures are refused, before they are decoded.
        ground: what transparent parts are shown over, "white" or "black".

    Raises:
        ImageError: for anything that cannot be read, whatever the bytes are.
    """
    if isinstance(max_pixels, bool) or not isinstance(max_pixels, int) or max_pixels < 1:
        raise ValueError(f"max_pixels: got {max_pixels!r}, want a whole number of at least 1")
    if ground not in ("white", "black"):
        raise ValueError(f"ground: got {ground!r}, want 'white' or 'black'")
    shown_over = GROUND.set(ground)
    prefix = f"{file_name(source)}: " if isinstance(source, (str, os.PathLike)) else ""
    try:
        if isinstance(source, np.ndarray):
            picture = from_array(source, max_pixels)
        elif isinstance(source, Image.Image):
            picture = from_pillow(source, max_pixels)
        elif isinstance(source, (str, os.PathLike)):
            with open_file(source) as file:
                picture = _from_file(file, max_pixels)
        elif isinstance(source, (bytes, bytearray, memoryview)):
            picture = _from_file(io.BytesIO(source), max_pixels)
        else:
            raise ImageError(f"got {type(source).__name__}, want a path, bytes, a Pillow image or a numpy array")
    except ImageError as error:
        raise type(error)(f"{prefix}{error}") from error.__cause__
    except Exception as error:  # decoders meet hostile bytes and fail in every way there is; the caller sees one
        raise ImageError(
            f"{prefix}got a picture that cannot be read ({_reason(error)}), want an undamaged one of an ordinary kind"
        ) from error
    finally:
        GROUND.reset(shown_over)
    picture.pixels.flags.writeable = False
    if picture.pixels.nbytes > _LARGE:
        give_back()  # decoding took 4 bytes a pixel
    return picture


# ---- files ----------------------------------------------------------------------------------------------------------


def file_name(source: str | os.PathLike[str]) -> str:
    """A path as messages start with it: one line, and not too long a one."""
    name = "".join(c if c.isprintable() else "?" for c in os.fsdecode(source))
    return name if len(name) <= 300 else f"{name[:300]}..."


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split()).rstrip(".").replace("not identified by this driver", "its header is broken")
    if isinstance(error, MemoryError):
        return "not enough memory"
    return text[:200] if text else type(error).__name__


def open_file(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file. Raises ImageError, without its name."""
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            os.scandir(path).close()  # says why, where a folder could not be looked into
            raise ImageError("got a folder, want a picture file")
        if not stat.S_ISREG(mode):  # a pipe or a device may never end
            raise ImageError("got something that is not a regular file, want a picture file")
        return open(path, "rb")
    except FileNotFoundError as error:
        raise ImageError("no such file") from error
    except OSError as error:
        raise ImageError(f"cannot be opened ({error.strerror or _reason(error)})") from error
    except ValueError as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"got a path that cannot be used ({_reason(error)})") from error


def _from_file(file: BinaryIO, max_pixels: int) -> Picture:
    head = file.read(4096)
    kind = formats.kind_of(head)
    reader = _READERS.get(kind)
    if reader is None and kind not in formats.PLUGINS:
        hint = "; `iqassay score --every 1s` scores frames of a video" if kind in formats.VIDEOS else ""
        raise ImageError(f"got {kind}, want {_WANTED}{hint}")
    try:
        formats.check_length(kind, file)
        if reader is not None:
            return reader(file, max_pixels)
        image = formats.open_header(kind, file)
        check_size(*image.size, max_pixels)
        return from_pillow(image, max_pixels)
    except ImageError:
        raise
    except Exception as error:
        got = f"{'an' if kind == 'AVIF' else 'a'} {kind} picture that cannot be decoded ({_reason(error)})"
        raise ImageError(f"got {got}, want an undamaged one of an ordinary kind") from error


def _from_jpeg(file: BinaryIO, max_pixels: int) -> Picture:
    image = formats.open_header("JPEG", file)
    check_size(*image.size, max_pixels)
    gain_map = jpeg.check_jpeg(file, *image.size)
    encoding = None if image.info.get("icc_profile") else jpeg.exif_encoding(image)
    return from_pillow(image, max_pixels, [GAIN_MAP] if gain_map else [], encoding=encoding)


def _from_png(file: BinaryIO, max_pixels: int) -> Picture:
    pieces, info, said = png.read_chunks(file)
    try:
        image = formats.open_header("PNG", pieces)
    except SyntaxError as error:
        if "APNG" not in str(error):
            raise
        pieces, info, said = png.read_chunks(file, animated=False)
        image, said = formats.open_header("PNG", pieces), [*said, _NO_ANIMATION]
    encoding: colour.Encoding | None = info.pop("encoding", None)
    check_size(*image.size, max_pixels)
    image.info.update(info)
    if not (channels := png.deep_channels(image)):
        return from_pillow(image, max_pixels, said, encoding=encoding)
    said += frames(image)
    samples, read = png.read_deep(pieces, channels)
    read.info.update(info)
    orientation = orientation_of(read, said)
    profile, encoding = colours_of(read, encoding, said)
    alpha = "straight" if channels in (2, 4) else ""
    if channels == 3 and (key := read.info.get("transparency")):
        samples, alpha = with_key(samples, key), "straight"
    return from_samples(samples, alpha, profile, orientation, said, encoding)


def _from_bmp(file: BinaryIO, max_pixels: int) -> Picture:
    image = formats.open_header("BMP", file)
    check_size(*image.size, max_pixels)
    profile, encoding, said = bmp.read_colours(file)
    if profile is not None:
        image.info["icc_profile"] = profile
    file.seek(0)
    return from_pillow(image, max_pixels, said, encoding=encoding)


def _from_tiff(file: BinaryIO, max_pixels: int) -> Picture:
    file.seek(8)
    mark = file.read(4)
    tags = tiff.tiff_tags(file)
    if mark[:2] == b"CR" or mark in (b"IIII", b"MMMM") or tiff.is_raw(file, tags):  # Canon, Phase One
        return raw.read_raw(file, max_pixels)
    if tiff.numbers(tags, Tag.NewSubfileType)[0] & 1:
        return _from_preview_first(file, max_pixels)
    tiff.check_tiles(tags)
    if words := tiff.packed_otherwise(tags):
        raise ImageError(f"got a TIFF picture whose samples are packed by {words}, which is not read, want {_WANTED}")
    bits = tiff.numbers(tags, Tag.BitsPerSample, 1)
    profile, orientation = tags.get(Tag.InterColorProfile), tags.get(Tag.Orientation, 1)
    primaries = None if profile else tiff.primaries(tags)
    encoding = colour.of_gamma(None, primaries) if primaries else None
    try:
        image = None if tiff.is_read_here(tags) else formats.open_header("TIFF", file)
    except (SyntaxError, KeyError, TypeError) as error:
        if not {Tag.PhotometricInterpretation, Tag.ImageWidth, Tag.BitsPerSample} <= tags.keys():
            raise  # hardly anything is known of it
        if not tiff.is_read_here(tags, last_resort=True):
            raise ImageError(f"got a TIFF picture that is not read ({tiff.described(tags)}), want {_TIFFS}") from error
        image = None
    if image is None:
        check_size(tiff.numbers(tags, Tag.ImageWidth)[0], tiff.numbers(tags, Tag.ImageLength)[0], max_pixels)
        samples, alpha = tiff.read_tiff(file, tags)
        said = [PAGES] if tags.next else []
        if samples.shape[2] - bool(alpha) == 4:
            return _from_inks(samples, profile, orientation, said)
        if tags[Tag.PhotometricInterpretation] in (8, 9):
            profile = None  # it is about L*, a* and b*, which have been left behind
        return from_samples(samples, alpha, profile, orientation, said, encoding)
    check_size(*image.size, max_pixels)
    if image.mode == "P" and image.palette and tiff.is_short(tags):
        colours = bytes(tiff.numbers(tags, Tag.ColorMap))
        image.palette = ImagePalette.raw("RGB;L", colours)
    image.info.pop("xmp", None)  # Pillow turns a TIFF as it loads it, by XMP too
    tiff.allocate(cast(TiffImagePlugin.TiffImageFile, image))
    range_ = 2 ** bits[0] - 1 if 8 < bits[0] < 16 else 65535
    signed = bits[0] == 8 and tiff.numbers(tags, Tag.SampleFormat, 1)[0] == 2
    return from_pillow(image, max_pixels, [_SIGNED] if signed else [], range_, encoding)


def _from_preview_first(file: BinaryIO, max_pixels: int) -> Picture:
    """Most camera raw files start with a small preview, and some other TIFFs do."""
    try:
        return raw.read_raw(file, max_pixels)
    except TooManyPixels:
        raise
    except ImageError as error:
        words = str(error).replace(
            "got a camera raw file", "a camera raw file or a TIFF that starts with a small preview", 1
        )
        raise ImageError(f"got {words}") from error


def _from_inks(samples: np.ndarray, profile: bytes | None, orientation: int, said: list[str]) -> Picture:
    """(H, W, 4 or 5) CMYK, and alpha, of 8 or 16 bits: at 8 bits, since that is what LittleCMS gets."""
    if samples.shape[2] > 4 and samples[..., 4].min() < np.iinfo(samples.dtype).max:
        said = [*said, "transparency of a CMYK picture left out"]
    if samples.dtype == np.uint16:
        samples, said = ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8), [*said, CUT]
    image = Image.frombytes("CMYK", samples.shape[1::-1], np.ascontiguousarray(samples[..., :4]).tobytes())
    exif = Image.Exif()
    exif[Tag.Orientation] = orientation
    image.info["exif"] = exif.tobytes()
    if profile:
        image.info["icc_profile"] = profile
    return from_pillow(image, image.width * image.height, said)


def _from_avif(file: BinaryIO, max_pixels: int) -> Picture:
    image = formats.open_header("AVIF", file)
    check_size(*image.size, max_pixels)
    told = boxes.read_boxes(file, *image.size)
    return from_pillow(image, max_pixels, _said(told), encoding=told.encoding, cut=told.cut)


def _said(told: boxes.Told) -> list[str]:
    said = [CUT] if told.deep else []
    return said + ([told.unknown] if told.unknown else []) + ([GAIN_MAP] if told.gain_map else [])


def _from_heif(file: BinaryIO, max_pixels: int) -> Picture:
    try:
        import pillow_heif
    except ImportError as error:
        raise ImageError(f"got a HEIF picture, which needs `{install_command('heif')}`") from error
    file.seek(0)
    try:
        container = pillow_heif.open_heif(file, convert_hdr_to_8bit=False, hdr_to_16bit=False)
        heif = container[container.primary_index]
    except Exception as error:
        coding = boxes.read_boxes(file, 1, 1).coding
        if coding in ("", "hvc1", "grid", "iden", "iovl"):
            raise
        raise ImageError(f"got a HEIF picture coded as {file_name(coding)!r}, want one coded by HEVC") from error
    check_size(*heif.size, max_pixels)
    told = boxes.read_boxes(file, *heif.size)
    said = [f"file of {len(container)} pictures: the main one is shown"] if len(container) > 1 else []
    said += _said(replace(told, deep=False))
    mode, _, bits = heif.mode.partition(";")
    if not bits:  # libheif has cut it and turned it upright, and the tag says so
        return from_pillow(heif.to_pillow(), max_pixels, said, encoding=told.encoding)
    samples = np.asarray(heif).reshape(heif.size[1], -1, len(mode))[:, : heif.size[0]]
    samples = np.rint(samples * np.float32(65535 / (2 ** int(bits) - 1))).astype(np.uint16)
    alpha = "premultiplied" if mode.endswith("a") else "straight" if mode.endswith("A") else ""
    profile = cast("bytes | None", heif.info.get("icc_profile"))
    return from_samples(samples, alpha, profile, 1, said, told.encoding)


def _from_jxl(file: BinaryIO, max_pixels: int) -> Picture:
    found = jxl.read_jxl(file, max_pixels)
    return found if isinstance(found, Picture) else _from_jpeg(io.BytesIO(found), max_pixels)


_READERS: dict[str, Callable[[BinaryIO, int], Picture]] = {
    "JPEG": _from_jpeg,
    "PNG": _from_png,
    "TIFF": _from_tiff,
    "BMP": _from_bmp,
    "AVIF": _from_avif,
    "HEIF": _from_heif,
    formats.RAW: raw.read_raw,
    formats.JXL: _from_jxl,
}
