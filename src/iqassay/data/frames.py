"""What is done to a picture without making it worse: black and white, toned, with bars or margins round it.

The target is that of the content. Pictures are float32 arrays (H, W, 3), sRGB in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .filters import luma_of


def _black_and_white(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gray by the eye's weights, or by a filter before the lens: red darkens skies, green lightens leaves."""
    gray = luma_of(image) if rng.random() < 0.6 else image @ rng.dirichlet([4, 4, 2]).astype(np.float32)
    return np.repeat(gray[..., None], 3, axis=2)


def _sepia(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _between(luma_of(image), np.array([0.02, 0.0, 0.0]), np.array([0.62, 0.5, 0.38]), np.array([1, 0.96, 0.87]))


def _cyanotype(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _between(luma_of(image), np.array([0.02, 0.06, 0.18]), np.array([0.3, 0.5, 0.65]), np.array([0.95, 0.97, 1]))


def _duotone(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Two colours in place of black and white, a dark one and a light one."""
    dark, light = rng.uniform(0, 0.25, 3), rng.uniform(0.75, 1, 3)
    return _between(luma_of(image), dark, (dark + light) / 2 + rng.uniform(-0.1, 0.1, 3), light)


def _between(gray: np.ndarray, dark: np.ndarray, middle: np.ndarray, light: np.ndarray) -> np.ndarray:
    """A plane (H, W) coloured from dark over middle to light."""
    colours = np.stack([dark, middle, light])
    return np.stack([np.interp(gray, (0, 0.5, 1), colours[:, c]) for c in range(3)], axis=-1)


TONES: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "black_and_white": _black_and_white,
    "sepia": _sepia,
    "cyanotype": _cyanotype,
    "duotone": _duotone,
}


def tone(image: np.ndarray, name: str, rng: np.random.Generator) -> np.ndarray:
    """The picture in one of `TONES`, float32 in [0, 1]."""
    return np.ascontiguousarray(np.clip(TONES[name](image, rng), 0, 1), dtype=np.float32)


# --- bars and margins ---------------------------------------------------------------------------------------

Box = tuple[int, int, int, int]  # top, bottom, left, right: where the content is

FRAMES = ("letterbox", "pillarbox", "margin", "border")


def box_of(name: str, height: int, width: int, strength: float, rng: np.random.Generator) -> Box:
    """Where the content stays in one of `FRAMES`; what lies outside is covered, up to about half of the picture.

    letterbox: bars above and below; pillarbox: left and right; margin: on all sides, seldom equally wide; border: a
    line of one to a few pixels.

    Raises:
        ValueError: on an unknown name.
    """
    part = 0.04 + 0.2 * strength  # of a side, at each end
    if name == "letterbox":
        bar = max(1, round(height * part))
        return bar, height - bar, 0, width
    if name == "pillarbox":
        bar = max(1, round(width * part))
        return 0, height, bar, width - bar
    if name == "margin":
        top, bottom, left, right = (max(1, round(n)) for n in rng.uniform(0.3, 0.75, 4) * part * min(height, width))
        return top, height - bottom, left, width - right
    if name == "border":
        bar = 1 + round(0.02 * strength * min(height, width))
        return bar, height - bar, bar, width - bar
    raise ValueError(f"got the frame {name!r}, want one of: {', '.join(FRAMES)}")


def bar_colour(name: str, rng: np.random.Generator) -> np.ndarray:
    """Mostly black for bars and white for margins, else a gray or any colour; (3,) float32."""
    usual = 0.0 if name in ("letterbox", "pillarbox") else 1.0
    colours = (np.full(3, usual), np.full(3, 1 - usual), np.full(3, rng.random()), rng.random(3))
    return colours[rng.choice(4, p=[0.7, 0.14, 0.08, 0.08])].astype(np.float32)


def framed(image: np.ndarray, box: Box, colour: np.ndarray) -> np.ndarray:
    """A copy with one colour outside the box; the content inside stays pixel for pixel."""
    top, bottom, left, right = box
    out = np.broadcast_to(colour.astype(np.float32), image.shape).copy()
    out[top:bottom, left:right] = image[top:bottom, left:right]
    return out
