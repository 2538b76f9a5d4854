"""A picture and its reference of different sizes: refuse, resize or cut, and say so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from iqassay.pictures.image import ImageError, Picture

HOW = ("fail", "resize", "crop")


def align(picture: Picture, reference: Picture, how: str = "fail") -> tuple[Picture, Picture]:
    """Bring a picture and its reference to one size; those that have one come back as they are.

    how: "fail" raises ImageError, with both sizes. "resize" resizes the picture to the reference's size (Lanczos; the
    depth stays). "crop" cuts both to their common size around the middle, as views, so that no pixel is copied. The
    last two add a warning to the picture. Only pixels are looked at: shifted content stays shifted.

    Raises ValueError for another `how`.
    """
    if how not in HOW:
        raise ValueError(f"align: got {how!r}, want one of {', '.join(HOW)}")
    size, wanted = f"{picture.width}x{picture.height}", f"{reference.width}x{reference.height}"
    if size == wanted:
        return picture, reference
    if how == "fail":
        raise ImageError(
            f"got a picture of {size} pixels and a reference of {wanted}, want one size: "
            "align 'resize' resizes the picture, 'crop' cuts both"
        )
    if how == "resize":
        pixels = _resize(picture.pixels, reference.height, reference.width)
        return _changed(picture, pixels, f"resized from {size} to the reference's {wanted}"), reference
    height, width = min(picture.height, reference.height), min(picture.width, reference.width)
    said = f"{size} and the reference's {wanted} cut to their common {width}x{height} around the middle"
    return (
        _changed(picture, _middle(picture.pixels, height, width), said),
        replace(reference, pixels=_middle(reference.pixels, height, width)),
    )


def _changed(picture: Picture, pixels: np.ndarray, said: str) -> Picture:
    return Picture(pixels, (*picture.warnings, said))


def _resize(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """(H, W, 3) of any depth -> (height, width, 3) of the same. One channel at a time: Pillow has deep samples only so,
    and what it copies is a third.
    """
    result = np.empty((height, width, 3), pixels.dtype)
    for channel in range(3):
        plane = Image.fromarray(np.ascontiguousarray(pixels[..., channel]))
        result[..., channel] = plane.resize((width, height), Image.Resampling.LANCZOS)
    if result.dtype.kind == "f":
        np.clip(result, 0, 1, out=result)  # Lanczos overshoots at edges; Pillow keeps integers in their range
    result.flags.writeable = False
    return result


def _middle(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return pixels[top : top + height, left : left + width]
