"""From decoded pixels to a Picture: ranges, transparency, colours and the way up, for all formats alike."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from typing import cast

import numpy as np
from PIL import Image
from PIL.ExifTags import Base as Tag

from iqassay.pictures import colour, icc
from iqassay.pictures.opened import raw_mode, strips
from iqassay.pictures.picture import OVER, ImageError, Picture, check_size, to_float

# What transparent parts are shown over while a picture is read: "white" or "black". A variable of the context and no
# argument, since it concerns two lines at the end of every way to read a file.
GROUND: ContextVar[str] = ContextVar("ground", default="white")

GAIN_MAP = "gain map for HDR screens left out: the picture is shown without it"
PAGES = "file of several pages: page 1 is shown"
CUT = "samples of more than 8 bits read at 8 bits"
BAD_PROFILE = "colour profile cannot be used: the picture is taken as sRGB"

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
_XMP = ("xmp", "XML:com.adobe.xmp")


def from_pillow(
    image: Image.Image,
    max_pixels: int,
    said: Sequence[str] = (),
    range_: int = 65535,
    encoding: colour.Encoding | None = None,
    cut: tuple[int, int, int, int] | None = None,
) -> Picture:
    """Turn a Pillow image, loaded or not, into a Picture.

    range_: the largest sample of an integer mode. encoding: what the file says of its colours that Pillow does not
    know. cut: (left, top, width, height) of the part that is shown, before it is turned.
    """
    check_size(*image.size, max_pixels)
    said = [*said, *frames(image)]
    stored = raw_mode(image)
    if stored[-4:-1] == ";16" and not image.mode.startswith("I"):
        said.append(CUT)
    image.load()
    key = image.info.get("transparency")
    if isinstance(key, int):
        key *= _GRAY_STEP.get(stored, 1)  # Pillow widens the pixels but not this
    orientation = orientation_of(image, said)
    if cut is not None:
        left, top, width, height = cut
        image = image.crop((left, top, left + width, top + height))
    profile, encoding = colours_of(image, encoding, said)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        samples, alpha = np.asarray(image)[..., None], ""
        if image.mode != "F":
            _check_range(samples, range_)
            samples = samples.astype(np.uint16) if range_ == 65535 else (samples / np.float32(range_))
        if isinstance(key, int):
            samples, alpha = with_key(samples, (key,)), "straight"
        return from_samples(samples, alpha, profile, orientation, said, encoding)
    if encoding is not None and encoding.is_hdr:
        said.append(colour.TONE_MAPPED.format(encoding.curve))

    mode = "CMYK" if image.mode == "CMYK" else "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    first, change = mode, None
    if profile:
        try:
            first, change = icc.transform(profile, mode)
        except Exception:
            said.append(BAD_PROFILE)
    if mode == "CMYK" and change is None:
        said.append("CMYK without a usable colour profile: the colours are a guess")

    has_alpha, seen_through = image.has_transparency_data, False
    pixels = np.empty((*(image.size if orientation > 4 else image.size[::-1]), 3), np.uint8)
    as_stored = _turn(pixels, {6: 8, 8: 6}.get(orientation, orientation))  # the others undo themselves
    for top, part in strips(image):
        rows = as_stored[top : top + part.height]
        if has_alpha:
            if key is not None:
                part.info["transparency"] = key
            part = (part.convert("LA") if part.mode == "La" else part).convert("RGBA")
            if cast(tuple[int, int], part.getchannel("A").getextrema())[0] < 255:
                seen_through = True
                part = Image.alpha_composite(Image.new("RGBA", part.size, GROUND.get()), part)
            part = part.convert("RGB")
        if change is not None:
            part = change.apply(part if part.mode == first else part.convert(first))
        if part.mode != "RGB":
            part = part.convert("RGB")
        if encoding is not None:
            part = Image.fromarray(colour.to_srgb(np.asarray(part), encoding))
        if orientation > 1:
            part = part.transpose(_TRANSPOSE[orientation])
        _turn(rows, orientation)[...] = np.asarray(part)
    return Picture(pixels, (*said, f"{OVER}{GROUND.get()}") if seen_through else tuple(said))


def frames(image: Image.Image) -> list[str]:
    """What to say when there is more than the one frame shown. The others of an MPO are previews and depth maps."""
    if not getattr(image, "is_animated", False) or image.format == "MPO":
        return []
    if image.format == "TIFF":
        return [PAGES]
    try:
        count = str(image.n_frames)  # type: ignore[attr-defined]
    except Exception:  # a later frame may be broken: that is not the one we show
        count = "several"
    return [f"animation of {count} frames: frame {image.tell() + 1} is shown"]


def orientation_of(image: Image.Image, said: list[str]) -> int:
    """The EXIF orientation, 1 to 8. Pillow would take one that XMP alone tells, which viewers leave alone."""
    try:
        orientation = image.getexif().get(Tag.Orientation, 1)
        if any(name in image.info for name in _XMP):
            stored = Image.Exif()
            if "Raw profile type exif" in image.info:
                stored.load(bytes.fromhex("".join(image.info["Raw profile type exif"].split("\n")[3:])))
            stored.load(image.info.get("exif", b""))
            if Tag.Orientation not in stored and Tag.Orientation not in getattr(image, "tag_v2", ()):
                return 1
    except Exception:
        said.append("EXIF block cannot be read: the picture is taken as upright")
        return 1
    return orientation if orientation in _TRANSPOSE else 1


def colours_of(
    image: Image.Image, encoding: colour.Encoding | None, said: list[str]
) -> tuple[bytes | None, colour.Encoding | None]:
    """How the colours of an image are told: by a profile, or otherwise. None and None for sRGB.

    The order is that of the PNG specification: code points, a profile, "it is sRGB", gamma and chromaticities.
    """
    profile = image.info.get("icc_profile")
    if encoding is None and profile:
        encoding = icc.hdr_encoding(profile)
    if encoding is None and profile:
        return profile, None
    if encoding is None and "srgb" not in image.info and image.format == "PNG":
        encoding = colour.of_gamma(image.info.get("gamma"), image.info.get("chromaticity"))
        if encoding is None:
            said.append(colour.BAD_GAMMA)
    if encoding is None or encoding.is_srgb:
        return None, None
    return None, encoding


def _turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """A view of the pixels as EXIF orientation 1..8 asks for."""
    if orientation > 4:
        pixels = pixels.swapaxes(0, 1)
    flip_rows, flip_columns = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    return pixels[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]


# ---- arrays ---------------------------------------------------------------------------------------------------------


def from_array(array: np.ndarray, max_pixels: int) -> Picture:
    got = f"got an array of shape {array.shape} and type {array.dtype}"
    want = "want (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)"
    if array.dtype.newbyteorder("=") not in (np.uint8, np.uint16, np.float16, np.float32, np.float64):
        raise ImageError(f"{got}, want uint8, uint16, float16, float32 or float64")
    if array.ndim == 3 and array.shape[2] not in (1, 3, 4) and array.shape[0] in (1, 3, 4):
        raise ImageError(f"{got}, {want}: it looks channels-first, so transpose(1, 2, 0) may help")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise ImageError(f"{got}, {want}")
    check_size(array.shape[1], array.shape[0], max_pixels)
    samples = np.asarray(array).reshape(*array.shape[:2], -1)
    return from_samples(samples, "straight" if samples.shape[2] == 4 else "", None, 1, [])


def from_samples(
    samples: np.ndarray,
    alpha: str,
    profile: bytes | None,
    orientation: int,
    said: list[str],
    encoding: colour.Encoding | None = None,
) -> Picture:
    """(H, W, C) of any depth, straight or premultiplied alpha last if any -> Picture, copied only where needed."""
    if profile and encoding is None and (encoding := icc.hdr_encoding(profile)):
        profile = None
    samples, said = _to_range(samples, said)
    if alpha:
        samples, colours, opacity = samples[..., :-1], samples, samples[..., -1:]
        top = np.float32(1 if samples.dtype == np.float32 else np.iinfo(samples.dtype).max)
        if opacity.min() < top:
            said = [*said, f"{OVER}{GROUND.get()}"]
            light = top if GROUND.get() == "white" else np.float32(0)
            samples = np.empty_like(samples)
            for y in range(0, len(samples), 64):  # in strips: the temporaries are float32
                a = np.divide(opacity[y : y + 64], top, dtype=np.float32)
                mixed = colours[y : y + 64, :, :-1] * (a if alpha == "straight" else 1) + (1 - a) * light
                samples[y : y + 64] = np.rint(np.minimum(mixed, top)) if top > 1 else np.clip(mixed, 0, 1)
    if encoding is not None and not encoding.is_srgb:
        samples = colour.to_srgb(samples, encoding)
        said = [*said, colour.TONE_MAPPED.format(encoding.curve)] if encoding.is_hdr else said
    elif profile and samples.dtype == np.uint8:
        samples, said = _by_littlecms(samples, profile, said)
    elif profile:
        try:
            samples = icc.convert_samples(np.ascontiguousarray(samples), profile)
        except LookupError:  # lookup tables are for LittleCMS, at 8 bits
            samples, said = _by_littlecms(np.rint(to_float(samples) * 255).astype(np.uint8), profile, [*said, CUT])
        except Exception:
            said = [*said, BAD_PROFILE]
    if samples.shape[2] == 1:
        samples = np.broadcast_to(samples, (*samples.shape[:2], 3))
    return Picture(np.ascontiguousarray(_turn(samples, orientation)), tuple(said))


def _by_littlecms(samples: np.ndarray, profile: bytes, said: list[str]) -> tuple[np.ndarray, list[str]]:
    """(H, W, 1) or (H, W, 3) of 8 bits with a profile of any kind -> sRGB, and what is said."""
    image = Image.fromarray(np.ascontiguousarray(samples[..., 0] if samples.shape[2] == 1 else samples))
    image.info["icc_profile"] = profile
    picture = from_pillow(image, image.width * image.height, said)
    return picture.pixels, list(picture.warnings)


def _to_range(samples: np.ndarray, said: list[str]) -> tuple[np.ndarray, list[str]]:
    """uint8 and uint16 as they are, other integers by their range and floats to float32 in [0, 1]; and words, where
    integers use so little of their range that nothing would be seen.
    """
    samples = samples.astype(samples.dtype.newbyteorder("="), copy=False)
    if samples.dtype == np.uint8:
        return samples, said
    if samples.dtype.kind in "iu":
        top, highest = int(np.iinfo(samples.dtype).max), int(samples.max())
        if samples.dtype.itemsize == 4 and 0 < highest < 65536:
            _check_range(samples, top)
            bits = 8 if highest < 256 else 16
            said = [*said, f"32-bit samples that reach {highest}: taken as {bits}-bit ones"]
            return samples.astype(f"u{bits // 8}"), said
        if 0 < highest < top // 256:
            said = [*said, f"samples reach only {highest} of {top}: the picture is nearly black"]
        if samples.dtype == np.uint16:
            return samples, said
        _check_range(samples, top)
        return np.multiply(samples, np.float32(1 / top), dtype=np.float32, casting="unsafe"), said
    _check_range(samples, 1)
    samples = samples.astype(np.float32, copy=False)
    return samples if samples.max() <= 1 and samples.min() >= 0 else np.clip(samples, 0, 1), said


def _check_range(samples: np.ndarray, top: int) -> None:
    low, high = samples.min(), samples.max()
    slack = 1e-6 if samples.dtype.kind == "f" else 0  # 1.0000001 comes out of honest arithmetic
    if not (low >= -slack and high <= top + slack):  # written so that NaN fails
        text = "not-a-number or infinity" if not np.isfinite([low, high]).all() else f"{low:.6g} to {high:.6g}"
        raise ImageError(f"got samples of type {samples.dtype} from {text}, want 0 to {top}")


def with_key(samples: np.ndarray, key: tuple[int, ...]) -> np.ndarray:
    """Append alpha: 0 where a pixel has the one colour that the file calls transparent."""
    opaque = (samples != np.asarray(key)).any(axis=2, keepdims=True)
    top = 1 if samples.dtype.kind == "f" else 65535
    return np.concatenate([samples, opaque.astype(samples.dtype) * samples.dtype.type(top)], axis=2)
