"""Colour profiles: from what a picture is tagged with to sRGB.

8-bit pictures go through LittleCMS, which Pillow carries. Pillow offers it no deeper samples, so 16 bits and floats are
converted here, which covers the profiles that such pictures come with: a curve per channel and one 3x3 matrix (Adobe
RGB, Display P3, ProPhoto, any "matrix/TRC" profile) or a single gray curve. Layout and curves: ICC.1:2022, 7.3, 10.6
and 10.18.
"""

from __future__ import annotations

import io
import re
import struct
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

from iqassay.pictures import colour

# linear sRGB -> XYZ relative to D50 (the profile connection space), Bradford adapted; rows X, Y, Z. From IEC 61966-2-1
# as every sRGB profile holds it.
_SRGB_TO_XYZ = np.array(
    [[0.43606567, 0.38514709, 0.14306641], [0.22248840, 0.71687317, 0.06060791], [0.01391602, 0.09707642, 0.71409607]]
)
_WHITE = np.array([0.96420288, 1.0, 0.82490540])  # D50


@lru_cache(maxsize=16)
def transform(profile: bytes, mode: str) -> tuple[str, ImageCms.ImageCmsTransform | None]:
    """How Pillow images of `mode` (L, RGB or CMYK) with this profile become sRGB.

    Returns the mode to convert to first and the LittleCMS transform from there to RGB, None when the profile already
    is sRGB to within one level in 255. Raises OSError, ValueError or ImageCms.PyCMSError when it is broken or does not
    fit.
    """
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    space = source.profile.xcolor_space.strip()
    first = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}.get(space)
    if first is None or (first != mode and (mode, first) != ("L", "RGB")):  # a gray picture may carry an RGB profile
        raise ValueError(f"got a profile for {space or 'nothing'}, want one for {mode}")
    to_srgb = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), first, "RGB")
    if first != "CMYK":
        steps = np.linspace(0, 255, 9 if first == "RGB" else 256).round().astype(np.uint8)
        axes = np.meshgrid(steps, steps, steps) if first == "RGB" else [steps] * 3
        colours = np.stack([axis.ravel() for axis in axes], axis=-1)[None]
        probe = Image.fromarray(colours if first == "RGB" else colours[:, :, 0])
        if np.abs(np.asarray(to_srgb.apply(probe)).astype(int) - colours).max() <= 1:
            return first, None
    return first, to_srgb


def convert_samples(pixels: np.ndarray, profile: bytes) -> np.ndarray:
    """(H, W, 1) or (H, W, 3) uint16 or float32 in [0, 1] with this profile -> sRGB of the same depth.

    The channels stay one for a gray profile and are three otherwise. Raises ValueError when the profile is broken or
    does not fit, and LookupError when it holds lookup tables instead of curves and a matrix.
    """
    first, changes = transform(profile, "L" if pixels.shape[2] == 1 else "RGB")
    if changes is None:
        return pixels
    tags = _tags(profile)
    if any(tag[:3] in (b"A2B", b"D2B") for tag in tags):
        raise LookupError("a profile with lookup tables")
    if first == "L":
        curves, matrix = [_curve(tags[b"kTRC"])], None
    else:
        curves = [_curve(tags[tag]) for tag in (b"rTRC", b"gTRC", b"bTRC")]
        colorants = np.stack([_xyz(tags[tag]) for tag in (b"rXYZ", b"gXYZ", b"bXYZ")], axis=1)
        matrix = np.linalg.solve(_SRGB_TO_XYZ, colorants).T.astype(np.float32)
    out = np.empty((*pixels.shape[:2], len(curves)), pixels.dtype)
    rows = max(1, 2**18 // pixels.shape[1])
    for top in range(0, len(pixels), rows):  # in strips: the temporaries stay small
        strip = pixels[top : top + rows]
        linear = np.stack([_look_up(strip[..., i % strip.shape[2]], curve) for i, curve in enumerate(curves)], axis=-1)
        encoded = colour.encode(linear if matrix is None else linear @ matrix)
        out[top : top + rows] = np.rint(encoded * 65535) if pixels.dtype == np.uint16 else encoded
    return out


def hdr_encoding(profile: bytes) -> colour.Encoding | None:
    """What a profile for HDR (PQ or HLG) says by code points (`cicp`, ICC.1:2022, 9.2.17) or by its name; None for any
    other. Its curve goes up to the brightest light there is, so that as a profile it would give a dark picture.
    """
    try:
        tags = _tags(profile)
    except ValueError:
        return None
    if len(told := tags.get(b"cicp", b"")) >= 12 and told[9] in (16, 18):
        return colour.of_code_points(told[8], told[9])
    name = tags.get(b"desc", b"")[:400]
    return named_hdr(name[28:].decode("utf-16-be", "ignore") if name[:4] == b"mluc" else name[12:].decode("latin-1"))


def named_hdr(name: str) -> colour.Encoding | None:
    """What the name of a profile for HDR says: "ITUR_2100_PQ_FULL" (W3C's note on PQ in PNG), "Display P3 HLG"."""
    words = re.split(r"[^A-Za-z0-9]+", name.upper())
    for word, transfer in (("PQ", 16), ("HLG", 18)):
        if word in words:
            return colour.of_code_points(12 if "P3" in words else 9, transfer)
    return None


def lab_to_srgb(samples: np.ndarray, signed: bool) -> np.ndarray:
    """(H, W, 3) of L*, a*, b* (D50) as uint8 or uint16 -> sRGB of the same type.

    signed: a* and b* are two's complements (TIFF's CIELab), else they have 128 in the middle (its ICCLab, in which L* =
    100 is 65280 at 16 bits).
    """
    deep = samples.dtype == np.uint16
    step, top = (256, 65535) if deep else (1, 255)
    out = np.empty_like(samples)
    to_srgb = np.linalg.inv(_SRGB_TO_XYZ).T.astype(np.float32)
    for start in range(0, len(samples), 64):
        strip = samples[start : start + 64]
        light = strip[..., :1].astype(np.float32) * np.float32(100 / (65280 if deep and not signed else top))
        stored = strip[..., 1:]
        ab = stored.view(np.int16 if deep else np.int8) if signed else stored - np.float32(128 * step)
        a, b = (ab[..., i : i + 1].astype(np.float32) / np.float32(step) for i in (0, 1))
        y = (light + 16) / 116
        f = np.concatenate([y + a / 500, y, y - b / 200], axis=2)
        xyz = np.where(f > 6 / 29, f**3, (f - 4 / 29) * np.float32(108 / 841)) * _WHITE.astype(np.float32)  # CIE 15
        out[start : start + 64] = np.rint(colour.encode(xyz @ to_srgb) * top)
    return out


def _look_up(samples: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """The curve (65536 values over [0, 1]) at the samples; between two entries of it a float is interpolated."""
    if samples.dtype == np.uint16:
        return curve[samples]
    place = samples * np.float32(65535)
    below = np.minimum(place.astype(np.int32), 65534)
    return curve[below] + (place - below) * (curve[below + 1] - curve[below])


def _tags(profile: bytes) -> dict[bytes, bytes]:
    try:
        (count,) = struct.unpack_from(">I", profile, 128)
        entries = [struct.unpack_from(">4sII", profile, 132 + 12 * i) for i in range(min(count, 200))]
    except struct.error as error:
        raise ValueError("the profile ends too early") from error
    return {name: profile[start : start + size] for name, start, size in entries}


def _xyz(tag: bytes) -> np.ndarray:
    return np.array(struct.unpack_from(">3i", tag, 8)) / 65536


def _curve(tag: bytes) -> np.ndarray:
    """A `curv` or `para` tag as 65536 float32 values over [0, 1]."""
    x = np.linspace(0, 1, 65536)
    if tag[:4] == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count == 0:
            y = x
        elif count == 1:
            y = x ** (struct.unpack_from(">H", tag, 12)[0] / 256)
        else:
            table = np.frombuffer(tag, ">u2", count, 12) / 65535
            y = np.interp(x, np.linspace(0, 1, count), table)
    elif tag[:4] == b"para":
        kind = struct.unpack_from(">H", tag, 8)[0]
        given = [value / 65536 for value in struct.unpack_from(f">{(1, 3, 4, 5, 7)[kind]}i", tag, 12)]
        g, a, b, c, d, e, f = (given + [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0][len(given) :])[:7]
        if kind == 0:
            a, b, d = 1.0, 0.0, 0.0
        elif kind in (1, 2):  # below -b / a the curve is flat at c (0 for kind 1)
            d, e, f, c = -b / a, c, c, 0.0
        y = np.where(x >= d, np.maximum(a * x + b, 0) ** g + e, c * x + f)
    else:
        raise ValueError(f"got a curve of type {tag[:4]!r}, want curv or para")
    return np.clip(y, 0, 1).astype(np.float32)
