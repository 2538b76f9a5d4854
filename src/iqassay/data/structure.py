"""Damage to the structure of a picture, as generators make it: melted, repeated and displaced parts, wrong texture.

Every small window still looks like a photo; the whole does not. A person sees it at once.

Pictures are float32 arrays (H, W, 3), sRGB in [0, 1], at least 8x8. Strengths are 0..1.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from .filters import gaussian


def spoil(image: np.ndarray, name: str, strength: float, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """One of `STRUCTURE` on the picture, float32 in [0, 1], and the share of it that plainly changed (0..1)."""
    out = np.clip(STRUCTURE[name](image, strength, rng), 0, 1).astype(np.float32)
    return out, float((np.abs(out - image).max(axis=2) > 0.06).mean())


def structure_target(share: float, strength: float) -> float:
    """From 45 for a little, weakly, to 10 for half of the picture, strongly; higher only where hardly anything shows.

    On a sky the same damage changes next to nothing: below a fiftieth of the picture the target rises towards that of
    an untouched one.
    """
    much = np.sqrt(min(1, share / 0.5) * (0.3 + 0.7 * strength))
    return float(np.interp(share, (0, 0.02), (90, 45 - 35 * much)))


def _melted(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Parts run like wax: a smooth displacement, a few times stronger than any lens, mostly downwards or any way."""
    height, width = image.shape[:2]
    side = min(height, width)
    # From features of a face to whole bodies; fine ones turn writing into scribble.
    scale = side * rng.uniform(0.02, 0.07)
    field = rng.standard_normal((height, width, 2), dtype=np.float32)
    field = gaussian(field, scale)
    field /= field.std() + 1e-6
    reach = (0.5 + 0.8 * strength) * scale
    if rng.random() < 0.5:
        field[..., 0] = -np.abs(field[..., 0]) * 1.5  # what is above comes down
    mask = _blobs(height, width, 0.15 + 0.6 * strength, 0.13, rng)
    return _displaced_by(image, np.float32(reach) * field * mask[..., None])


def _repeated(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """A part grows again and again beside itself: a sixth finger, a third row of windows."""
    out = image.copy()
    height, width = image.shape[:2]
    for _ in range(1 + round(2 * strength)):
        tall, wide = (max(4, round(n * rng.uniform(0.16, 0.3))) for n in (height, width))
        top, left = int(rng.integers(height - tall + 1)), int(rng.integers(width - wide + 1))
        angle, gap = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 0.9)
        seam = _ellipse(tall, wide)
        part = image[top : top + tall, left : left + wide]
        for n in range(1, 3 + round(3 * strength)):
            y = int(np.clip(top + round(n * gap * tall * np.sin(angle)), 0, height - tall))
            x = int(np.clip(left + round(n * gap * wide * np.cos(angle)), 0, width - wide))
            place = out[y : y + tall, x : x + wide]
            place += seam * (part - place)
    return out


def _displaced(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Parts stand where they do not belong, some mirrored or upside down, without a seam."""
    out = image.copy()
    height, width = image.shape[:2]
    for _ in range(1 + round(3 * strength)):
        other = image
        if rng.random() < 0.6:
            other = other[:, ::-1]
        if rng.random() < 0.3:
            other = other[::-1]
        rows, columns = (_back_and_forth(n, n, int(rng.integers(n))) for n in (height, width))
        other = other[rows][:, columns]
        mask = _blobs(height, width, 0.08 + 0.14 * strength, 0.12, rng)
        out = out + mask[..., None] * (other - out)
    return out


def _wrong_texture(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """A piece of the picture tiled and mirrored over parts of it: fur of leaves, hair of bricks."""
    height, width = image.shape[:2]
    side = int(np.clip(min(height, width) * rng.uniform(0.06, 0.2), 4, min(height, width)))
    smooth = gaussian(image, max(1.5, side / 4))
    detail = image - smooth
    # Of a few places the one with the most detail: tiled sky would be sky.
    corners = [(int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))) for _ in range(4)]
    top, left = max(corners, key=lambda c: float(detail[c[0] : c[0] + side, c[1] : c[1] + side].std()))
    tile = detail[top : top + side, left : left + side]
    rows, columns = (_back_and_forth(n, side) for n in (height, width))
    texture = tile[rows][:, columns]
    bend = gaussian(rng.standard_normal((height, width, 2), dtype=np.float32), side / 2)
    texture = _displaced_by(texture, np.float32(0.15 * side) * bend / (bend.std() + 1e-6))
    mask = _blobs(height, width, 0.15 + 0.55 * strength, 0.13, rng)
    return image + mask[..., None] * (smooth + texture - image)


STRUCTURE: dict[str, Callable[[np.ndarray, float, np.random.Generator], np.ndarray]] = {
    "melted": _melted,
    "repeated": _repeated,
    "displaced": _displaced,
    "wrong_texture": _wrong_texture,
}


def _blobs(height: int, width: int, share: float, size: float, rng: np.random.Generator) -> np.ndarray:
    """Soft-edged blobs, (H, W) in 0..1, that cover about `share` of the picture; `size` is theirs, in sides."""
    side = min(height, width)
    field = gaussian(rng.standard_normal((height, width), dtype=np.float32), max(1.0, size * side))
    inside = (field > np.quantile(field, 1 - share)).astype(np.float32)
    return np.clip(gaussian(inside, max(0.6, 0.008 * side)), 0, 1)


def _ellipse(height: int, width: int) -> np.ndarray:
    """1 inside, falling to 0 over the outer fifth, (H, W, 1)."""
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)
    return np.clip((1 - np.hypot(y, x)) * 5, 0, 1)[..., None].astype(np.float32)


def _back_and_forth(length: int, side: int, start: int = 0) -> np.ndarray:
    """0, 1 .. side - 1, side - 1 .. 0, 0, 1 ..: each tile is the mirror of its neighbour, and no seam shows."""
    n = (np.arange(length) + start) % (2 * side)
    return np.minimum(n, 2 * side - 1 - n)


def _displaced_by(image: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Each pixel (y, x) shows what was at (y, x) + offset, (H, W, 2) in pixels; cubic, mirrored at the border."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    where = np.stack([y + offset[..., 0], x + offset[..., 1]])
    planes = [ndimage.map_coordinates(image[..., c], where, order=3, mode="reflect") for c in range(3)]
    return np.stack(planes, axis=-1)
