"""Reading pictures: one policy for every file, byte string, Pillow image and array.

docs/reading-pictures.md says what is done; this file does it, and leaves every setting of Pillow as it was.
"""

from __future__ import annotations

import ctypes
import io
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import BinaryIO, cast

import numpy as np
from PIL import Image, TiffImagePlugin
from PIL.ExifTags import Base as Tag

from iqassay.pictures import deep, formats, icc
from iqassay.pictures.formats import SUFFIXES

__all__ = ["MAX_PIXELS", "SUFFIXES", "ImageError", "Picture", "read_image", "to_float"]

MAX_PIXELS = 200_000_000
_LARGE = 50_000_000  # bytes of pixels
_WANTED = "a JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF or HEIF picture"
_OVER = "transparency shown over "
_PAGES = "file of several pages: page 1 is shown"
_CUT = "samples of more than 8 bits read at 8 bits"
_BAD_PROFILE = "colour profile cannot be used: the picture is taken as sRGB"

_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_GRAY_STEP = {"L;2": 85, "L;4": 17}


# What transparent parts are shown over while a picture is read: "white" or "black". A variable of the context and no
# argument, since it concerns two lines at the end of every way to read a file.
_ground: ContextVar[str] = ContextVar("ground", default="white")


class ImageError(ValueError):
    """A picture that cannot be read: one plain sentence, which starts with the file name when there is one."""


class TooManyPixels(ImageError):
    """A picture over the limit, which was not decoded."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture.

    pixels: (H, W, 3) sRGB (with its transfer curve), C-contiguous, read-only; uint8 in 0..255, uint16 in 0..65535 or
    float32 in [0, 1]: the depth of the source is kept, so that 200 megapixels of bytes stay bytes.
    warnings: what was done that the viewer might not expect, one plain phrase each.
    """

    pixels: np.ndarray
    warnings: tuple[str, ...] = ()

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def see_through(self) -> bool:
        """Whether parts of it were transparent, and are shown over a ground."""
        return any(warning.startswith(_OVER) for warning in self.warnings)


def read_image(
    source: str | os.PathLike[str] | bytes | bytearray | memoryview | Image.Image | np.ndarray,
    max_pixels: int = MAX_PIXELS,
    ground: str = "white",
) -> Picture:
    """Read one picture as an upright sRGB array.

    source: a path, the bytes of a file, a Pillow image, or an array of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)
    with uint8, uint16 or float samples in [0, 1], taken as sRGB (and straight alpha).
    max_pixels: larger pictures are refused, before they are decoded.
    ground: what transparent parts are shown over, "white" or "black".

    Raises ImageError for anything that cannot be read, whatever the bytes are.
    """
    if isinstance(max_pixels, bool) or not isinstance(max_pixels, int) or max_pixels < 1:
        raise ValueError(f"max_pixels: got {max_pixels!r}, want a whole number of at least 1")
    if ground not in ("white", "black"):
        raise ValueError(f"ground: got {ground!r}, want 'white' or 'black'")
    shown_over = _ground.set(ground)
    prefix = f"{file_name(source)}: " if isinstance(source, (str, os.PathLike)) else ""
    try:
        if isinstance(source, np.ndarray):
            picture = _from_array(source, max_pixels)
        elif isinstance(source, Image.Image):
            picture = _from_pillow(source, max_pixels)
        elif isinstance(source, (str, os.PathLike)):
            with _open(source) as file:
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
        _ground.reset(shown_over)
    picture.pixels.flags.writeable = False
    if picture.pixels.nbytes > _LARGE:
        _give_back_memory()
    return picture


def _give_back_memory() -> None:
    """What decoding took, 4 bytes a pixel, is free again, but glibc would keep it for this thread alone."""
    with suppress(AttributeError, OSError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def to_float(pixels: np.ndarray) -> np.ndarray:
    """uint8, uint16 or float samples -> float32 in [0, 1], same shape (no copy when it is float32 already)."""
    if pixels.dtype in (np.uint8, np.uint16):
        return np.divide(pixels, np.float32(np.iinfo(pixels.dtype).max), dtype=np.float32)
    if pixels.dtype.kind != "f":
        raise ValueError(f"got samples of type {pixels.dtype}, want uint8, uint16 or float")
    return pixels.astype(np.float32, copy=False)


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


def _open(path: str | os.PathLike[str]) -> BinaryIO:
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
    if kind != "HEIF" and kind not in formats.PLUGINS:
        raise ImageError(f"got {kind}, want {_WANTED}")
    try:
        formats.check_length(kind, file)
        if kind == "HEIF":
            return _from_heif(file, max_pixels)
        if kind == "TIFF":
            return _from_tiff(file, head, max_pixels)
        image = formats.open_header(kind, file)
        _check_size(*image.size, max_pixels)
        if kind == "PNG" and (channels := deep.png_channels(image)):
            return _from_png16(image, file, channels)
        if kind == "JPEG":
            formats.check_jpeg(file, *image.size)
        at = head.find(b"av1C") if kind == "AVIF" else -1
        cut = at >= 0 and len(head) > at + 6 and bool(head[at + 6] & 0x40)  # the flag high_bitdepth
        return _from_pillow(image, max_pixels, [_CUT] if cut else [])
    except ImageError:
        raise
    except Exception as error:
        got = f"{'an' if kind == 'AVIF' else 'a'} {kind} picture that cannot be decoded ({_reason(error)})"
        raise ImageError(f"got {got}, want an undamaged one of an ordinary kind") from error


def _from_png16(image: Image.Image, file: BinaryIO, channels: int) -> Picture:
    said = _frames(image)
    samples, image = deep.read_png(file, channels)
    orientation = _orientation(image, said)
    alpha = "straight" if channels in (2, 4) else ""
    if channels == 3 and (key := image.info.get("transparency")):
        samples, alpha = _with_key(samples, key), "straight"
    return _from_samples(samples, alpha, image.info.get("icc_profile"), orientation, said)


def _from_tiff(file: BinaryIO, head: bytes, max_pixels: int) -> Picture:
    tags = deep.tiff_tags(file)
    if head[8:10] == b"CR" or Tag.DNGVersion in tags or deep.numbers(tags, Tag.NewSubfileType)[0] & 1:
        raise ImageError(f"got a camera raw file or a TIFF that starts with a small preview, want {_WANTED}")
    deep.check_tiles(tags)
    bits = deep.numbers(tags, Tag.BitsPerSample, 1)
    if deep.is_deep(tags):
        _check_size(deep.numbers(tags, Tag.ImageWidth)[0], deep.numbers(tags, Tag.ImageLength)[0], max_pixels)
        samples, alpha = deep.read_tiff(file, tags)
        orientation = tags.get(Tag.Orientation, 1)
        said = [_PAGES] if tags.next else []
        return _from_samples(samples, alpha, tags.get(Tag.InterColorProfile), orientation, said)
    image = cast(TiffImagePlugin.TiffImageFile, formats.open_header("TIFF", file))
    _check_size(*image.size, max_pixels)
    deep.allocate(image)
    return _from_pillow(image, max_pixels, range_=2 ** bits[0] - 1 if 8 < bits[0] < 16 else 65535)


def _from_heif(file: BinaryIO, max_pixels: int) -> Picture:
    try:
        import pillow_heif
    except ImportError as error:
        raise ImageError("got a HEIF picture, which needs `pip install 'iqassay[heif]'`") from error
    file.seek(0)
    container = pillow_heif.open_heif(file, convert_hdr_to_8bit=False, hdr_to_16bit=False)
    heif = container[container.primary_index]
    _check_size(*heif.size, max_pixels)
    said = [f"file of {len(container)} pictures: the main one is shown"] if len(container) > 1 else []
    mode, _, bits = heif.mode.partition(";")
    if not bits:
        return _from_pillow(heif.to_pillow(), max_pixels, said)  # libheif has turned it upright, and the tag says so
    samples = np.asarray(heif).reshape(heif.size[1], -1, len(mode))[:, : heif.size[0]]
    samples = np.rint(samples * np.float32(65535 / (2 ** int(bits) - 1))).astype(np.uint16)
    alpha = "premultiplied" if mode.endswith("a") else "straight" if mode.endswith("A") else ""
    return _from_samples(samples, alpha, cast("bytes | None", heif.info.get("icc_profile")), 1, said)


# ---- Pillow images --------------------------------------------------------------------------------------------------


def _from_pillow(image: Image.Image, max_pixels: int, said: Sequence[str] = (), range_: int = 65535) -> Picture:
    """Turn a Pillow image, loaded or not, into a Picture; range_ is the largest sample of an integer mode."""
    _check_size(*image.size, max_pixels)
    said = [*said, *_frames(image)]
    stored = deep.raw_mode(image)
    if stored[-4:-1] == ";16" and not image.mode.startswith("I"):
        said.append(_CUT)
    image.load()
    key = image.info.get("transparency")
    if isinstance(key, int):
        key *= _GRAY_STEP.get(stored, 1)  # Pillow widens the pixels but not this
    orientation = _orientation(image, said)
    profile = image.info.get("icc_profile")
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        samples, alpha = np.asarray(image)[..., None], ""
        if image.mode != "F":
            _check_range(samples, range_)
            samples = samples.astype(np.uint16) if range_ == 65535 else (samples / np.float32(range_))
        if isinstance(key, int):
            samples, alpha = _with_key(samples, (key,)), "straight"
        return _from_samples(samples, alpha, profile, orientation, said)

    mode = "CMYK" if image.mode == "CMYK" else "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    first, change = mode, None
    if profile:
        try:
            first, change = icc.transform(profile, mode)
        except Exception:
            said.append(_BAD_PROFILE)
    if mode == "CMYK" and change is None:
        said.append("CMYK without a usable colour profile: the colours are a guess")

    has_alpha, seen_through = image.has_transparency_data, False
    pixels = np.empty((*(image.size if orientation > 4 else image.size[::-1]), 3), np.uint8)
    as_stored = _turn(pixels, {6: 8, 8: 6}.get(orientation, orientation))  # the others undo themselves
    for top, part in deep.strips(image):
        rows = as_stored[top : top + part.height]
        if has_alpha:
            if key is not None:
                part.info["transparency"] = key
            part = (part.convert("LA") if part.mode == "La" else part).convert("RGBA")
            if cast(tuple[int, int], part.getchannel("A").getextrema())[0] < 255:
                seen_through = True
                part = Image.alpha_composite(Image.new("RGBA", part.size, _ground.get()), part)
            part = part.convert("RGB")
        if change is not None:
            part = change.apply(part if part.mode == first else part.convert(first))
        if part.mode != "RGB":
            part = part.convert("RGB")
        if orientation > 1:
            part = part.transpose(_TRANSPOSE[orientation])
        _turn(rows, orientation)[...] = np.asarray(part)
    return Picture(pixels, (*said, f"{_OVER}{_ground.get()}") if seen_through else tuple(said))


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width < 1 or height < 1:
        raise ImageError(f"got a picture of {width}x{height} pixels, want at least 1x1")
    if width * height > max_pixels:
        raise TooManyPixels(f"got {width}x{height} = {width * height:,} pixels, want at most {max_pixels:,}")


def _frames(image: Image.Image) -> list[str]:
    """What to say when there is more than the one frame shown. The others of an MPO are previews and depth maps."""
    if not getattr(image, "is_animated", False) or image.format == "MPO":
        return []
    if image.format == "TIFF":
        return [_PAGES]
    try:
        count = str(image.n_frames)  # type: ignore[attr-defined]
    except Exception:  # a later frame may be broken: that is not the one we show
        count = "several"
    return [f"animation of {count} frames: frame {image.tell() + 1} is shown"]


def _orientation(image: Image.Image, said: list[str]) -> int:
    try:
        orientation = image.getexif().get(Tag.Orientation, 1)
    except Exception:
        said.append("EXIF block cannot be read: the picture is taken as upright")
        return 1
    return orientation if orientation in _TRANSPOSE else 1


def _turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """A view of the pixels as EXIF orientation 1..8 asks for."""
    if orientation > 4:
        pixels = pixels.swapaxes(0, 1)
    flip_rows, flip_columns = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    return pixels[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]


# ---- arrays ---------------------------------------------------------------------------------------------------------


def _from_array(array: np.ndarray, max_pixels: int) -> Picture:
    got = f"got an array of shape {array.shape} and type {array.dtype}"
    want = "want (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)"
    if array.dtype.newbyteorder("=") not in (np.uint8, np.uint16, np.float16, np.float32, np.float64):
        raise ImageError(f"{got}, want uint8, uint16, float16, float32 or float64")
    if array.ndim == 3 and array.shape[2] not in (1, 3, 4) and array.shape[0] in (1, 3, 4):
        raise ImageError(f"{got}, {want}: it looks channels-first, so transpose(1, 2, 0) may help")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise ImageError(f"{got}, {want}")
    _check_size(array.shape[1], array.shape[0], max_pixels)
    samples = np.asarray(array).reshape(*array.shape[:2], -1)
    return _from_samples(samples, "straight" if samples.shape[2] == 4 else "", None, 1, [])


def _from_samples(samples: np.ndarray, alpha: str, profile: bytes | None, orientation: int, said: list[str]) -> Picture:
    """(H, W, C) of any depth, straight or premultiplied alpha last if any -> Picture, copied only where needed."""
    samples = _to_range(samples)
    if alpha:
        samples, colours, opacity = samples[..., :-1], samples, samples[..., -1:]
        top = np.float32(1 if samples.dtype == np.float32 else np.iinfo(samples.dtype).max)
        if opacity.min() < top:
            said = [*said, f"{_OVER}{_ground.get()}"]
            light = top if _ground.get() == "white" else np.float32(0)
            samples = np.empty_like(samples)
            for y in range(0, len(samples), 64):  # in strips: the temporaries are float32
                a = np.divide(opacity[y : y + 64], top, dtype=np.float32)
                mixed = colours[y : y + 64, :, :-1] * (a if alpha == "straight" else 1) + (1 - a) * light
                samples[y : y + 64] = np.rint(np.minimum(mixed, top)) if top > 1 else np.clip(mixed, 0, 1)
    if profile:
        try:
            samples = icc.convert_samples(np.ascontiguousarray(samples), profile)
        except LookupError:  # lookup tables are for LittleCMS, at 8 bits
            small = np.rint(to_float(samples) * 255).astype(np.uint8)
            image = Image.fromarray(small[..., 0] if small.shape[2] == 1 else small)
            image.info["icc_profile"] = profile
            picture = _from_pillow(image, image.width * image.height, [*said, _CUT])
            samples, said = picture.pixels, list(picture.warnings)
        except Exception:
            said = [*said, _BAD_PROFILE]
    if samples.shape[2] == 1:
        samples = np.broadcast_to(samples, (*samples.shape[:2], 3))
    return Picture(np.ascontiguousarray(_turn(samples, orientation)), tuple(said))


def _to_range(samples: np.ndarray) -> np.ndarray:
    """uint8 and uint16 as they are, other integers by their range and floats to float32 in [0, 1]."""
    samples = samples.astype(samples.dtype.newbyteorder("="), copy=False)
    if samples.dtype in (np.uint8, np.uint16):
        return samples
    if samples.dtype.kind in "iu":
        top = np.iinfo(samples.dtype).max
        _check_range(samples, top)
        return np.multiply(samples, np.float32(1 / top), dtype=np.float32, casting="unsafe")
    _check_range(samples, 1)
    samples = samples.astype(np.float32, copy=False)
    return samples if samples.max() <= 1 and samples.min() >= 0 else np.clip(samples, 0, 1)


def _check_range(samples: np.ndarray, top: int) -> None:
    low, high = samples.min(), samples.max()
    slack = 1e-6 if samples.dtype.kind == "f" else 0  # 1.0000001 comes out of honest arithmetic
    if not (low >= -slack and high <= top + slack):  # written so that NaN fails
        text = "not-a-number or infinity" if not np.isfinite([low, high]).all() else f"{low:.6g} to {high:.6g}"
        raise ImageError(f"got samples of type {samples.dtype} from {text}, want 0 to {top}")


def _with_key(samples: np.ndarray, key: tuple[int, ...]) -> np.ndarray:
    """Append alpha: 0 where a pixel has the one colour that the file calls transparent."""
    opaque = (samples != np.asarray(key)).any(axis=2, keepdims=True)
    top = 1 if samples.dtype.kind == "f" else 65535
    return np.concatenate([samples, opaque.astype(samples.dtype) * samples.dtype.type(top)], axis=2)
