"""What tells one scene from another at a glance: 112 numbers of a picture, which correlate with those of the same scene
at another size, quality, brightness or moment. Among the 12,000 photos of BIQ2021 this finds 2,434 pairs; of 84 of them
that were looked at, 82 showed one scene, and two had a horizon in common.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import Base as Tag

from iqassay.pictures import formats
from iqassay.pictures.image import MAX_PIXELS, read_image

# A tenth lower, and other scenes with the same horizon pass; higher, and scenes seen again are lost. Of photos cut by
# 3 % on every side nine in ten are still known, by 5 % one in three.
ALIKE = 0.9
_SIDE, _THUMBNAIL, _BLOCK = 8, 64, 1024
_ENOUGH = 512  # pixels of the shorter side
PARTS = (0.94, 0.88, 0.82)  # of a side: how much of a picture another one may show
_FLAT = 0.5  # of 255 grey levels: below it a picture shows rounding and noise, nothing to know it by
Pair = tuple[int, int, float]  # the places of two pictures, and how alike they are, up to 1


def alike(
    prints: NDArray[np.float32], groups: Sequence[str] | None = None, others: NDArray[np.float32] | None = None
) -> list[Pair]:
    """``near_duplicates`` of fingerprints (N, 112): the places in `prints` and in `others`, or both in `prints`."""
    if groups is not None and len(groups) != len(prints):
        raise ValueError(f"got {len(groups)} groups for {len(prints)} pictures, want one for each")
    number = np.arange(len(prints)) if groups is None else np.unique(groups, return_inverse=True)[1]
    pairs: list[Pair] = []
    for top in range(0, len(prints), _BLOCK):
        likeness = prints[top : top + _BLOCK] @ (prints if others is None else others).T
        i, j = np.nonzero(likeness >= ALIKE)
        if others is None:
            across = (i + top < j) & (number[i + top] != number[j])
            i, j = i[across], j[across]
        pairs.extend(zip((i + top).tolist(), j.tolist(), likeness[i, j].clip(max=1).tolist(), strict=True))
    return sorted(pairs, key=lambda pair: -pair[2])


def fingerprints(pictures: Iterable[Path]) -> NDArray[np.float32]:
    """(N, 112), a row of norm 1 for each picture. Raises ImageError for one that cannot be read."""
    return np.array([fingerprint(picture) for picture in pictures], np.float32).reshape(-1, 2 * _SIDE * (_SIDE - 1))


def fingerprint(picture: Path) -> NDArray[np.float32]:
    """(112,) of norm 1: the steps between neighbours among 8x8 mean greys, or rather the square roots of them, so that
    no one strong edge, a horizon or a frame, decides alone. Gain and offset of brightness fall out. Raises ImageError.
    """
    return _of_thumbnail(_thumbnail(picture), picture.read_bytes)


def fingerprint_of(pixels: np.ndarray) -> NDArray[np.float32]:
    """The fingerprint (112,) of a decoded picture (H, W, 3) of any depth. A large one is looked at in every few pixels:
    the mean greys of 64 parts need no more.
    """
    step = max(1, min(pixels.shape[:2]) // _ENOUGH)
    seen = _eight_bit(np.ascontiguousarray(pixels[::step, ::step]))
    return _of_thumbnail(_small(Image.fromarray(seen)), seen.tobytes)


def likeness(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """How alike two pictures look at a glance, by their fingerprints: -1 to 1, 1 for the same one."""
    return float(np.clip(a @ b, -1, 1))


def crop_fingerprints(picture: Path) -> NDArray[np.float32]:
    """(28, 112): the fingerprint of a picture, then those of parts of it, in nine places and three sizes. A picture
    that shows a part alone is like one of them. Raises ImageError.
    """
    whole = _thumbnail(picture)
    prints = [_of_thumbnail(whole, picture.read_bytes)]
    for side in (_THUMBNAIL * share for share in PARTS):
        room = _THUMBNAIL - side
        for top, left in itertools.product((0, room / 2, room), repeat=2):
            box = (left, top, left + side, top + side)
            part = whole.resize(whole.size, Image.Resampling.BILINEAR, box=box)
            prints.append(_of_thumbnail(part, picture.read_bytes))
    return np.stack(prints)


def _of_thumbnail(thumbnail: Image.Image, content: Callable[[], bytes]) -> NDArray[np.float32]:
    seen = np.asarray(thumbnail, np.float32)
    step = _THUMBNAIL // _SIDE
    greys = seen.reshape(_SIDE, step, _SIDE, step).mean((1, 3))
    steps = np.concatenate([np.diff(greys, axis=0).ravel(), np.diff(greys, axis=1).ravel()])
    if np.abs(steps).max() < _FLAT:  # nothing to see: alike are those of the same bytes
        digest = np.frombuffer(hashlib.sha256(content()).digest(), np.uint8)
        steps = np.unpackbits(digest)[: steps.size] - np.float32(0.5)
    steps = np.sign(steps) * np.sqrt(np.abs(steps))
    return (steps / np.linalg.norm(steps)).astype(np.float32)


def _thumbnail(picture: Path) -> Image.Image:
    """64x64 grey, upright. A JPEG is decoded at an eighth of its size or so, which is most of what makes this quick."""
    try:
        with picture.open("rb") as file:
            if formats.kind_of(file.read(4096)) == "JPEG":
                image = formats.open_header("JPEG", file)
                upright = image.getexif().get(Tag.Orientation, 1) == 1
                if upright and image.mode in ("L", "RGB") and image.width * image.height <= MAX_PIXELS:
                    image.draft("L", (_THUMBNAIL, _THUMBNAIL))
                    return _small(image)
    except (OSError, ValueError, SyntaxError):
        pass  # read_image knows what to make of it, or says what is wrong
    return _small(Image.fromarray(_eight_bit(read_image(picture).pixels)))


def _eight_bit(pixels: np.ndarray) -> NDArray[np.uint8]:
    if pixels.dtype != np.uint8:
        pixels = np.rint(pixels / (np.float32(257) if pixels.dtype == np.uint16 else np.float32(1 / 255)))
    return pixels.astype(np.uint8, copy=False)


def _small(image: Image.Image) -> Image.Image:
    return image.convert("L").resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BOX)
