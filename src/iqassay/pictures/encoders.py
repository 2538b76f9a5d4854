"""Pixels to files: the codecs that `iqassay encode` and `iqassay curve` compare, each with one number for quality.

Files hold sRGB at 8 bits and nothing else: no profile, since none means sRGB, and no EXIF.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, features

from iqassay.pictures.image import to_float
from iqassay.support.errors import UsageError
from iqassay.support.install import install_command
from iqassay.support.text import did_you_mean

FULL_COLOUR = 90  # JPEG quality from which colour is kept at full resolution, as cameras and photo editors do


@dataclass(frozen=True)
class Codec:
    """How a codec is called in Pillow, what its files end in, the ends of its scale of quality, and its options."""

    form: str
    ending: str
    worst: int
    best: int
    options: Callable[[int], dict[str, Any]]


CODECS = {
    "jpeg": Codec(
        "JPEG",
        ".jpg",
        1,
        100,
        lambda quality: {
            "quality": quality,
            "optimize": True,
            "progressive": True,
            "subsampling": "4:4:4" if quality >= FULL_COLOUR else "4:2:0",
        },
    ),
    "webp": Codec("WEBP", ".webp", 0, 100, lambda quality: {"quality": quality, "method": 4}),
    "avif": Codec("AVIF", ".avif", 0, 100, lambda quality: {"quality": quality, "speed": 6}),
    "jxl": Codec("JXL", ".jxl", 0, 99, lambda quality: {"quality": quality, "effort": 5}),  # 100 would be lossless
}
USUAL = ("jpeg", "webp", "avif")


def find_codecs(names: str | None) -> list[str]:
    """The codecs that are named, with commas between them; None is all the usual ones that are here.

    Raises UsageError for an unknown one, one named twice, and one whose library is not installed.
    """
    if names is None:
        return [name for name in USUAL if not _lacks(name)]
    found = [name.strip() for name in names.split(",")]
    for name in found:
        if name not in CODECS:
            raise UsageError(f"--codec: got {name!r}{did_you_mean(name, CODECS)} want some of {', '.join(CODECS)}")
        if found.count(name) > 1:
            raise UsageError(f"--codec {names}: got {name} twice, want each once")
        if lacks := _lacks(name):
            raise UsageError(f"--codec {name}: needs {lacks}")
    return found


def _lacks(name: str) -> str:
    """What is missing for a codec, in words."""
    if name == "jxl":
        try:
            importlib.import_module("pillow_jxl")  # Pillow learns the format by it
        except ImportError:
            return f"pillow-jxl-plugin, which is not installed: {install_command('jxl')}"
    elif name in ("webp", "avif") and not features.check(name):
        return f"a Pillow that writes {name.upper()}"
    return ""


def encode(pixels: np.ndarray, codec: str, quality: int) -> bytes:
    """The file of a picture (H, W, 3) of any depth, which is written at 8 bits. Raises ValueError where the codec
    refuses, as for too many pixels a side.
    """
    how = CODECS[codec]
    if pixels.dtype != np.uint8:
        pixels = np.rint(to_float(pixels) * 255).astype(np.uint8)
    out = io.BytesIO()
    try:
        Image.fromarray(np.ascontiguousarray(pixels)).save(out, how.form, **how.options(quality))
    except (OSError, RuntimeError, ValueError) as error:
        height, width = pixels.shape[:2]
        raise ValueError(f"{codec} cannot write {width}x{height} pixels ({error})") from error
    return out.getvalue()


def decode(file: bytes) -> np.ndarray:
    """The pixels (H, W, 3) uint8 of a file that `encode` made."""
    with Image.open(io.BytesIO(file)) as image:
        return np.asarray(image.convert("RGB"))
