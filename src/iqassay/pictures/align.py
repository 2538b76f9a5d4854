"""A picture and its reference: of different sizes, refuse, resize or cut them, and say so; leave out what does not
count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from iqassay.pictures.image import ImageError, Picture, to_float

HOW = ("fail", "resize", "crop", "centre", "top-left")
Box = tuple[int, int, int, int]  # a part of a picture in pixels: left, top, width, height


def align(picture: Picture, reference: Picture, how: str = "fail") -> tuple[Picture, Picture]:
    """Bring a picture and its reference to one size; those that have one come back as they are.

    how: "fail" raises ImageError, with both sizes. "resize" resizes the picture to the reference's size (Lanczos; the
    depth stays). "centre", or "crop", cuts both to their common size around the middle, "top-left" at the top left
    corner, as views, so that no pixel is copied. All but "fail" add a warning to the picture. Only pixels are looked
    at: shifted content stays shifted (``register`` and ``bend`` are for that).

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
            "align 'resize' resizes the picture, 'centre' and 'top-left' cut both"
        )
    if how == "resize":
        pixels = _resize(picture.pixels, reference.height, reference.width)
        return _changed(picture, pixels, f"resized from {size} to the reference's {wanted}"), reference
    height, width = min(picture.height, reference.height), min(picture.width, reference.width)
    where, cut = ("at the top left corner", _corner) if how == "top-left" else ("around the middle", _middle)
    said = f"{size} and the reference's {wanted} cut to their common {width}x{height} {where}"
    return (
        _changed(picture, cut(picture.pixels, height, width), said),
        replace(reference, pixels=cut(reference.pixels, height, width)),
    )


def shave(picture: Picture, border: int) -> Picture:
    """A picture without so many pixels of each of its four borders, as a view. Raises ImageError where none is left."""
    if not border:
        return picture
    height, width = picture.height - 2 * border, picture.width - 2 * border
    if height < 1 or width < 1:
        raise ImageError(
            f"got a picture of {picture.width}x{picture.height} pixels, want more than {2 * border} a side to shave "
            f"{border} off each border"
        )
    return replace(picture, pixels=_middle(picture.pixels, height, width))


def leave_out(picture: Picture, reference: Picture, boxes: Sequence[Box] = (), mask: Picture | None = None) -> Picture:
    """The picture with the reference's pixels where it does not count: in the boxes, and where the mask is dark. What
    is alike cannot lower a score.

    reference: of the picture's size. mask: of that size too; what is darker than middle gray is left out. Adds a
    warning with the share that was left out. Raises ImageError where nothing is left, a box lies outside, or sizes
    differ.
    """
    size = f"{picture.width}x{picture.height}"
    out = np.zeros((picture.height, picture.width), bool)
    if mask is not None:
        if (mask.height, mask.width) != out.shape:
            raise ImageError(f"got a mask of {mask.width}x{mask.height} pixels for a picture of {size}, want one size")
        out |= to_float(mask.pixels).mean(axis=2) < 0.5
    for left, top, width, height in boxes:
        if left >= picture.width or top >= picture.height:
            raise ImageError(
                f"got a picture of {size} pixels, want one that reaches the part {left},{top},{width},{height}"
            )
        out[top : top + height, left : left + width] = True
    if not out.any():
        return picture
    if out.all():
        raise ImageError("got a mask that leaves nothing of the picture, want one that does")
    pixels, other = picture.pixels, reference.pixels
    if pixels.dtype != other.dtype:
        pixels, other = to_float(pixels), to_float(other)
    said = f"{100 * out.mean():.3g} % of the picture left out"
    return _changed(picture, np.where(out[..., None], other, pixels), said)


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


def _corner(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    return pixels[:height, :width]
