"""What a picture seems to be when it is no photo, by its pixels alone: a frame of one colour, a screenshot, a drawing.

Photos have grain and light; what programs and pens make has few colours, which fill most of it, and strong edges
between them. In a screenshot many of these edges are long and upright or level, in a drawing or a page of text few are.
"""

from __future__ import annotations

import numpy as np

from iqassay.pictures.emptiness import is_empty
from iqassay.pictures.image import to_float

WINDOW, PLACES = 256, 3  # native pixels of a window's side, and windows along each side of a picture
COLOURS, MOST = 4, 0.6  # so many colours, in steps of 8 of 255, fill this share of what is no photo, or more
STEP = 24 / 255  # between neighbours, of their mean: a strong edge
EDGES = 0.004  # share of pixels at strong edges, at least
# Strong edges for each pixel of other colours, and some more, at least. Of 160 photos of BIQ2021 and 14 of CLIC those
# with so much of a few colours had .11 at most; screenshots, pages, plots and drawings saved as JPEG had .13 or more.
OF_REST, MORE = 0.12, 0.02
LONG, STRAIGHT = 16, 0.12  # pixels of a straight edge that is upright or level, and their share in a screenshot
FLAT, SCREEN, DRAWING = "a frame of one colour", "a screenshot or a plot", "a drawing or a page of text"
GENERATED = "a generated or edited picture, since the models disagree"  # what pixels do not tell


def kind_of(pixels: np.ndarray, otherwise: str = "") -> str:
    """What a picture (H, W, 3) of any depth seems to be: `FLAT`, `SCREEN`, `DRAWING`, or ``otherwise`` for a photo."""
    return drawn(pixels) or (FLAT if is_empty(pixels) else otherwise)


def drawn(pixels: np.ndarray) -> str:
    """`SCREEN` or `DRAWING` for a picture that seems to be one, else "", also for a frame of one colour."""
    counts = np.zeros(32**3, np.int64)
    windows = _windows(pixels)
    for window in windows:
        steps = np.minimum(window * 32, 31).astype(np.intp)
        counts += np.bincount((steps @ (1024, 32, 1)).ravel(), minlength=len(counts))
    seen = counts.sum()
    most = np.partition(counts, -COLOURS)[-COLOURS:].sum() / seen
    if most < MOST:  # as with nearly all photos, whose edges need no counting then
        return ""
    edges = straight = 0.0
    for window in windows:
        gray = window.mean(axis=2)
        for view in (gray, gray.T):
            found = np.diff(view, axis=1)
            signs = np.sign(found) * (np.abs(found) > STEP)
            edges += np.count_nonzero(signs) / 2
            straight += _in_runs(signs) / 2
    share = edges / seen
    if share < EDGES or share < OF_REST * (1 - most + MORE):
        return ""
    if is_empty(pixels):
        return ""
    return SCREEN if straight >= STRAIGHT * edges else DRAWING


def _windows(pixels: np.ndarray) -> list[np.ndarray]:
    """The picture, or nine windows of it, as floats."""
    tops, lefts = (_spread(side) for side in pixels.shape[:2])
    return [to_float(pixels[top : top + WINDOW, left : left + WINDOW]) for top in tops for left in lefts]


def _spread(side: int) -> list[int]:
    """Where windows start along a side, from edge to edge."""
    count = min(PLACES, -(-side // WINDOW))
    return [round(place * (side - WINDOW) / max(1, count - 1)) for place in range(count)]


def _in_runs(signs: np.ndarray) -> int:
    """How many edges (H, W) of -1, 0, 1 lie in columns of at least LONG of one sign."""
    if signs.shape[0] < LONG:
        return 0
    sums = np.vstack([np.zeros((1, signs.shape[1])), np.cumsum(signs, axis=0)])
    starts = np.abs(sums[LONG:] - sums[:-LONG]) == LONG
    inside = np.zeros(signs.shape, bool)
    for offset in range(LONG):
        inside[offset : offset + len(starts)] |= starts
    return int(np.count_nonzero(inside))
