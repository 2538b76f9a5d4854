"""Whether a picture lacks what it should show: a lost frame, a closed shutter, a page that was not drawn are one colour
all over, an upload that was cut short is from somewhere on."""

from __future__ import annotations

import math

import numpy as np

from iqassay.pictures.image import to_float

LOOKED_AT = 250_000  # pixels, evenly spread: enough to tell
NEAR = 2.5 / 255  # of a sample: what JPEG makes of one colour, no more
ALL = 0.999  # of the pixels
MISSING = 0.25  # of a side: a band of one colour of that size is no margin
PAPER = 0.98  # of a sample: margins of pages and of goods on white are meant to be so


def is_empty(pixels: np.ndarray) -> bool:
    """Whether a picture (H, W, 3) of any depth is one colour all over, but for a speck."""
    seen = _sampled(pixels)
    return bool(_near(seen, np.median(seen, axis=(0, 1))).mean() >= ALL)


def missing_end(pixels: np.ndarray) -> tuple[str, float]:
    """Where a picture (H, W, 3) is one colour from an edge on, across its whole width or height, and for what share.

    "" and 0 for less than a quarter, for white, and where the opposite edge has such a band too: those are bars that a
    film or a portrait was given.
    """
    seen = _sampled(pixels)
    turned = seen.swapaxes(0, 1)
    views = {"bottom": seen[::-1], "top": seen, "right": turned[::-1], "left": turned}
    shares = {edge: _band(view) for edge, view in views.items()}
    edge = max(shares, key=lambda name: shares[name])
    other = {"bottom": "top", "top": "bottom", "right": "left", "left": "right"}[edge]
    return (edge, shares[edge]) if shares[edge] >= MISSING and shares[other] < MISSING / 4 else ("", 0.0)


def _band(view: np.ndarray) -> float:
    """The share of the first rows that are one colour, which is not white."""
    colour = np.median(view[0], axis=0)
    if colour.min() >= PAPER or _near(view[0], colour).mean() < ALL:  # as with most pictures, after one row
        return 0.0
    same = _near(view, colour).mean(axis=1) >= ALL
    return float((same.argmin() if not same.all() else len(same)) / len(same))


def _sampled(pixels: np.ndarray) -> np.ndarray:
    """Evenly spread pixels, as floats."""
    step = math.ceil(math.sqrt(pixels.shape[0] * pixels.shape[1] / LOOKED_AT))
    return to_float(pixels[::step, ::step])


def _near(seen: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Which pixels (..., 3) are of the colour."""
    return np.abs(seen - colour).max(axis=-1) <= NEAR
