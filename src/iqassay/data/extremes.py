"""Pictures of which little or nothing is left: damage beyond KADID's fifth level, empty frames, missing parts.

Raters never see such pictures, people's folders hold them: a lens cap, a cut upload, a smear of colour. Without them a
network scores the strongest blur as it scores a clean sky.

Pictures are float32 arrays (H, W, 3), sRGB in [0, 1], at least 8x8. Strengths are 0..1. None
is changed in place.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .distortions import PARAMETERS, distort_by
from .filters import gaussian
from .targets import tables

# The parameter at the far end, strength 1; strength 0 is the fifth level. In between they grow by equal factors.
BEYOND: dict[str, float] = {
    "gaussian_blur": 64,  # sigma, pixels
    "lens_blur": 48,  # radius, pixels
    "motion_blur": 80,  # length, pixels
    "white_noise": (80 / 255) ** 2,  # variance
    "white_noise_color": 0.05,
    "impulse_noise": 0.6,  # share of samples
    "multiplicative_noise": 1.0,
    "jpeg": 1,  # quality
    "pixelate": 8,  # cells along the shorter side; the parameter follows from it
    "jitter": 8,  # pixels
    "high_sharpen": 60,
    "brighten": 6,
    "darken": 0.03,  # gain on the fifth level: its curve, driven further, would leave highlights in glaring colours
}
FAR_END = 3.0  # the target at strength 1


def beyond(image: np.ndarray, kind: str, strength: float, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """A kind of `BEYOND` more strongly than at level 5, and its target.

    The target goes on from the mean opinion of the fifth level down to `FAR_END`, in a straight line over the strength.
    JPEG has whole qualities only: 3, 2 and 1, and the target is that of the quality taken.
    """
    parameter, strength = parameter_beyond(kind, strength, min(image.shape[:2]))
    fifth = float(tables().prior[kind][-1])
    if kind == "darken":
        out = distort_by(image, kind, PARAMETERS[kind][-1], rng) * np.float32(parameter)
    else:
        out = distort_by(image, kind, parameter, rng)
    return out, fifth + strength * (FAR_END - fifth)


def parameter_beyond(kind: str, strength: float, side: int) -> tuple[float, float]:
    """The parameter of a kind of `BEYOND` on a picture whose shorter side is `side`, and the strength it stands for.

    Raises:
        ValueError: on a kind that does not go on, or a strength outside 0..1.
    """
    if kind not in BEYOND:
        raise ValueError(f"got {kind!r} beyond level 5, want one of: {', '.join(BEYOND)}")
    if not 0 <= strength <= 1:
        raise ValueError(f"got the strength {strength}, want 0 to 1")
    fifth, last = PARAMETERS[kind][-1], BEYOND[kind]
    if kind == "darken":
        return last**strength, strength
    if kind == "pixelate":  # what grows is the cell, in pixels
        scale = 0.95 - fifth**0.6
        scale *= (min(scale, last / side) / scale) ** strength
        return (0.95 - scale) ** (1 / 0.6), strength
    parameter = fifth * (last / fifth) ** strength
    if kind == "jpeg":
        parameter = float(min(round(parameter), fifth - 1))
        strength = float(np.log(parameter / fifth) / np.log(last / fifth))
    return parameter, strength


# --- frames without a picture -------------------------------------------------------------------------------


def _black(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.zeros_like(image)


def _white(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.ones_like(image)


def _flat(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One colour, gray in one of three."""
    colour = rng.random(1 if rng.random() < 1 / 3 else 3, dtype=np.float32)
    return np.broadcast_to(colour, image.shape).copy()


def _faint(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One colour with a slow change of light, the grain of a sensor, or both: a wall, a fogged lens, a lens cap."""
    height, width = image.shape[:2]
    out = _flat(image, rng) if rng.random() < 0.6 else np.full_like(image, rng.choice([0.01, 0.02, 0.98]))
    way = rng.integers(3)
    if way != 0:
        angle = rng.uniform(0, 2 * np.pi)
        y, x = np.mgrid[:height, :width].astype(np.float32)
        along = np.cos(angle) * x / width + np.sin(angle) * y / height
        out = out + np.float32(rng.uniform(0.02, 0.12)) * (along - along.mean())[..., None].astype(np.float32)
    if way != 1:
        noise = rng.standard_normal(image.shape, dtype=np.float32)
        out = out + np.float32(rng.uniform(0.003, 0.02)) * noise
    return out


def _specks(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Black, white or one colour with a few spots and hairs: an empty scan, dust on a plate."""
    height, width = image.shape[:2]
    out = (_black, _white, _flat)[rng.integers(3)](image, rng)
    ink = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(1, 9))):
        y, x = rng.integers(height), rng.integers(width)
        long, tall = rng.integers(1, 2 + min(height, width) // 40, size=2)
        ink[y : y + tall, x : x + long] = 1
    contrast = np.float32(rng.uniform(0.2, 0.8) * (1 if out.mean() < 0.5 else -1))
    return out + contrast * gaussian(ink, rng.uniform(0.3, 1))[..., None]


EMPTY: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "black": _black,
    "white": _white,
    "flat": _flat,
    "faint": _faint,
    "specks": _specks,
}
EMPTY_TARGETS = {"black": 1.0, "white": 1.0, "flat": 1.0, "faint": 4.0, "specks": 4.0}


def empty(image: np.ndarray, name: str, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """A frame of `EMPTY` of the picture's size, float32 in [0, 1], and its target: 1 for one colour, else 4."""
    return np.clip(EMPTY[name](image, rng), 0, 1).astype(np.float32), EMPTY_TARGETS[name]


# --- missing parts ------------------------------------------------------------------------------------------


def missing_share(area: float) -> float:
    """The part of the content's target that is left when `area` of the picture (0..1) is missing.

    A third with a quarter gone (about 30 of 90), a eleventh with three quarters gone (about 8). Even a small hole takes
    a third: it is seen at once.
    """
    return float(0.65 * np.exp(-2.64 * area))


def missing(image: np.ndarray, strength: float, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """The picture with a quarter (strength 0) to three quarters (1) of it lost, and the area lost.

    Lost as files and links lose it: the rows from somewhere on, a side, a block in the middle, or stripes; one colour
    in their place, or the last good row again and again.
    """
    hole = HOLES[rng.integers(len(HOLES))](image.shape[0], image.shape[1], 0.25 + 0.5 * strength, rng)
    out = image.copy()
    if rng.random() < 0.15 and hole[-1].all() and not hole[0].any():
        last = max(0, int(np.argmax(hole.any(axis=1))) - 1)  # a decoder that stopped
        out[hole] = np.broadcast_to(image[last], image.shape)[hole]
    else:
        out[hole] = _unlike(image[hole], rng)
    return out, float(hole.mean())


def _unlike(lost: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Black, mid gray, white, the green of empty video or any colour, but one that differs from what was there."""
    colours = [np.full(3, v) for v in (0, 0.5, 1)] + [np.array([0, 0.53, 0]), rng.random(3)]
    for i in rng.permutation([0, 0, 1, 1, 2, 3, 4]):
        if np.abs(lost - colours[i]).mean() > 0.15:
            return colours[i].astype(np.float32)
    return np.full(3, 1 - np.round(lost.mean()), np.float32)


def _rows(height: int, width: int, area: float, rng: np.random.Generator) -> np.ndarray:
    """Everything from a place in reading order on, in rows of 8 or 16 pixels, as in a file that ends too early."""
    unit = min(int(rng.choice([8, 16])), max(1, height // 4))
    order = np.arange(height)[:, None] // unit * unit * width + np.arange(width) * unit
    return order >= np.sort(order.ravel())[min(round((1 - area) * height * width), height * width - 1)]


def _side(height: int, width: int, area: float, rng: np.random.Generator) -> np.ndarray:
    hole = np.zeros((height, width), bool)
    if rng.random() < 0.5:
        hole[:, : round(width * area)] = True
    else:
        hole[: round(height * area)] = True
    return hole[:, ::-1] if rng.random() < 0.5 else hole


def _block(height: int, width: int, area: float, rng: np.random.Generator) -> np.ndarray:
    hole = np.zeros((height, width), bool)
    tall = round(height * np.clip(np.sqrt(area) * rng.uniform(0.8, 1.25), area, 1))
    wide = min(width, round(area * height * width / tall))
    top, left = rng.integers(height - tall + 1), rng.integers(width - wide + 1)
    hole[top : top + tall, left : left + wide] = True
    return hole


def _stripes(height: int, width: int, area: float, rng: np.random.Generator) -> np.ndarray:
    """Bands of rows, or of columns, here and there."""
    across = rng.random() < 0.3
    length = width if across else height
    unit = max(1, min(16, length // 12))
    count = -(-length // unit)
    lost = np.zeros(count, bool)
    lost[rng.permutation(count)[: round(area * count)]] = True
    lines = np.repeat(lost, unit)[:length]
    return np.broadcast_to(lines if across else lines[:, None], (height, width)).copy()


HOLES = (_rows, _rows, _side, _block, _stripes)
