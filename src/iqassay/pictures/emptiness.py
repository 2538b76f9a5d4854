"""Whether there is anything in a picture: a lost frame, a closed shutter, a page that was not drawn are one colour."""

from __future__ import annotations

import math

import numpy as np

from iqassay.pictures.image import to_float

LOOKED_AT = 250_000  # pixels, evenly spread: enough to tell
NEAR = 2.5 / 255  # of a sample: what JPEG makes of one colour, no more
ALL = 0.999  # of the pixels


def is_empty(pixels: np.ndarray) -> bool:
    """Whether a picture (H, W, 3) of any depth is one colour all over, but for a speck."""
    step = math.ceil(math.sqrt(pixels.shape[0] * pixels.shape[1] / LOOKED_AT))
    seen = to_float(pixels[::step, ::step])
    near = np.abs(seen - np.median(seen, axis=(0, 1))).max(axis=2) <= NEAR
    return bool(near.mean() >= ALL)
