"""A picture that lies a few pixels beside its reference, as after a cut or a filter: how far, and what both show.

A displacement of a pixel is invisible, and yet every comparison place by place takes it for damage. So whole-pixel
displacements of the whole picture are found before two pictures are compared, and only what both show is compared.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from iqassay.pictures.picture import LUMA, Picture, to_float

REACH = 8  # pixels: the largest displacement that is looked for, in either direction
PATCH = 128  # pixels: the side of each of the parts that are looked at
PATCHES = 3  # of them along either side of a picture: 384 pixels, or an even spread
LEAST = 6 * REACH  # pixels: smaller pictures are left alone
CLEARLY = 0.5  # of what no displacement leaves unexplained, a displacement may leave so much at most
ROUNDING = 1e-5  # of the energy of a part: less is the rounding of the transform


def register(picture: Picture, reference: Picture) -> tuple[Picture, Picture, tuple[int, int]]:
    """The parts of a picture and its reference, of one size, that show the same, as views, so that no pixel is copied;
    and where the part of the picture begins in it, from the top and from the left.

    Where `displacement` finds none, both come back as they are; else the picture gets a warning that says how far it
    was displaced and what was compared.
    """
    down, right = displacement(picture.pixels, reference.pixels)
    if not (down or right):
        return picture, reference, (0, 0)
    ours, theirs = overlap(picture.pixels, down, right), overlap(reference.pixels, -down, -right)
    said = f"{_said(down, right)} its reference: the {ours.shape[1]}x{ours.shape[0]} that both show compared"
    registered = Picture(ours, (*picture.warnings, said)), replace(reference, pixels=theirs)
    return *registered, (max(down, 0), max(right, 0))


def overlap(pixels: np.ndarray, down: int, right: int) -> np.ndarray:
    """What of a picture, which lies so many pixels lower and farther right than another of its size, the other shows
    too, as a view."""
    height, width = pixels.shape[:2]
    return pixels[max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)]


def displacement(pixels: np.ndarray, reference: np.ndarray) -> tuple[int, int]:
    """By how many whole pixels the content of a picture lies lower and farther right than in its reference.

    pixels, reference: (H, W, 3) of any depths. Returns (down, right) from -8 to 8; (0, 0) unless some displacement
    explains clearly more than none: luma is compared in nine parts of 128x128 pixels, each up to brightness and
    contrast, and the part of it that the displaced reference does not explain has to be half of what it is in place, or
    less. Of several equally good ones the smallest. Noise, flat areas and pictures of other things are explained by no
    displacement; what both pictures have, aligned, by none better than by none.
    """
    height, width = pixels.shape[:2]
    if min(height, width) < LEAST:
        return 0, 0
    ours, theirs = _parts(pixels), _parts(reference)
    if np.array_equal(ours, theirs):
        return 0, 0
    left = unexplained(ours, theirs)[0].sum(0)
    if not np.isfinite(left).all():  # of samples that are no numbers
        return 0, 0
    steps = np.arange(-REACH, REACH + 1)
    far = np.add.outer(steps**2, steps**2)
    best = np.flatnonzero(left <= left.min() + ROUNDING * left.max())
    at = best[np.argmin(far.flat[best])]
    if left.flat[at] > CLEARLY * left[REACH, REACH]:
        return 0, 0
    down, right = divmod(int(at), len(steps))
    return down - REACH, right - REACH


def _parts(pixels: np.ndarray) -> NDArray[np.float32]:
    """The parts that are looked at, as ``luma_parts`` has them."""
    side = min(PATCH, *pixels.shape[:2])
    tops, lefts = ({round(i * (n - side) / (PATCHES - 1)) for i in range(PATCHES)} for n in pixels.shape[:2])
    return luma_parts(pixels, np.stack(np.meshgrid(sorted(tops), sorted(lefts), indexing="ij")), side)


def luma_parts(pixels: np.ndarray, places: NDArray[np.int64], side: int, scale: int = 1) -> NDArray[np.float32]:
    """Luma of parts that begin at places (2, R, C), their mean taken away, (R C, side/scale, side/scale): the means of
    so many by so many pixels. Beyond the edges is what they have."""
    height, width = pixels.shape[:2]
    parts = []
    for top, left in places.reshape(2, -1).T:
        if 0 <= top <= height - side and 0 <= left <= width - side:
            part = pixels[top : top + side, left : left + side]
        else:
            part = pixels.take(range(top, top + side), 0, mode="clip").take(range(left, left + side), 1, mode="clip")
        parts.append(to_float(_reduced(part, scale)) @ LUMA)
    stacked = np.stack(parts)
    with np.errstate(invalid="ignore"):
        return stacked - stacked.mean((1, 2), keepdims=True)


def _reduced(part: np.ndarray, scale: int) -> np.ndarray:
    """The means of so many by so many pixels; Pillow is quickest at it."""
    if scale == 1:
        return part
    if part.dtype == np.uint8:
        return np.asarray(Image.fromarray(part).reduce(scale))
    side = len(part) // scale
    return to_float(part).reshape(side, scale, side, scale, 3).mean((1, 3))


def unexplained(
    ours: NDArray[np.float32], theirs: NDArray[np.float32], reach: int = REACH
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What of the energy of parts (N, side, side), but for their margin of ``reach``, is not explained by the best
    multiple of those of the reference, for displacements down by right, (N, 2 reach + 1, 2 reach + 1); and the energy,
    (N,). The means of both are taken away before."""
    side = ours.shape[1]
    inner = slice(reach, side - reach)
    x = np.zeros_like(ours)
    x[:, inner, inner] = ours[:, inner, inner] - ours[:, inner, inner].mean((1, 2), keepdims=True)
    energy = np.square(x).sum((1, 2))[:, None, None]
    wanted = np.arange(-reach, reach + 1)  # negative places are those from the end
    both = np.fft.ifft(np.fft.rfft2(x) * np.fft.rfft2(theirs).conj(), axis=1)[:, wanted]
    common = np.fft.irfft(both, side)[:, :, wanted]
    sums, squares = _boxes(theirs, reach), _boxes(np.square(theirs), reach)
    rounding = ROUNDING * energy
    spread = np.maximum(squares - sums**2 / (side - 2 * reach) ** 2, 0) + rounding + 1e-30
    explained = np.minimum(np.maximum(common, 0) ** 2 / spread, energy)
    return energy - explained + rounding, energy[:, 0, 0]


def _boxes(parts: NDArray[np.float32], reach: int) -> NDArray[np.float32]:
    """The sums of every part inside its margin, displaced as ``unexplained`` has it."""
    for _ in range(2):  # along one side, then along the other
        last = parts.shape[1] - 2 * reach
        first = parts[:, :last].sum(1, keepdims=True)
        steps = parts[:, last:] - parts[:, : 2 * reach]
        parts = np.concatenate([first, first + steps.cumsum(1)], 1)[:, ::-1].swapaxes(1, 2)
    return parts


def _said(down: int, right: int) -> str:
    found = []
    for pixels, before, after in ((down, "above", "below"), (right, "left of", "right of")):
        if pixels:
            found.append(f"{abs(pixels)} pixel{'s' if abs(pixels) > 1 else ''} {after if pixels > 0 else before}")
    return " and ".join(found)
