"""How much a codec saves at the same quality, averaged over the qualities that both reach: Bjontegaard's delta rate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

LEAST = 4  # points that a curve must have, as the measure's author wants


def bd_rate(anchor: Sequence[tuple[float, float]], other: Sequence[tuple[float, float]]) -> float:
    """The mean difference of the other's rate from the anchor's at the same quality, in per cent: -20 is a fifth less.

    anchor, other: (rate, quality) of files of one picture, at least four of each: rates in any unit above 0; quality
    the higher the better, on whose scale the mean is taken. The logarithm of the rate is a piecewise cubic function of
    quality (PCHIP), as in the common test conditions of video coding; a file that is larger and no better than another
    one is left out. NaN where the two have no quality in common, or a curve has fewer than four files left.

    Needs scipy (the extra `bench`). Raises ValueError for rates that are not above 0.

    Source: Bjontegaard, "Calculation of average PSNR differences between RD-curves", VCEG-M33, 2001; for the
    interpolation ITU-T HSTP-VID-WPOM, 2020.
    """
    from scipy.interpolate import PchipInterpolator

    curves = []
    for points in (anchor, other):
        quality, rate = _frontier(points)
        if len(quality) < LEAST:
            return math.nan
        curves.append((quality, PchipInterpolator(quality, np.log(rate))))
    low = max(quality[0] for quality, _ in curves)
    high = min(quality[-1] for quality, _ in curves)
    if low >= high:
        return math.nan
    first, second = (curve.integrate(low, high) / (high - low) for _, curve in curves)
    return float(100 * math.expm1(second - first))


def _frontier(points: Sequence[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Quality and rate of the files that no smaller one equals, by quality."""
    if any(not rate > 0 for rate, _ in points):
        raise ValueError(f"got rates {[rate for rate, _ in points]}, want all above 0")
    best = -math.inf
    kept = []
    for rate, quality in sorted(points, key=lambda point: (point[0], -point[1])):
        if quality > best:
            best = quality
            kept.append((quality, rate))
    qualities, rates = np.array(kept, float).reshape(-1, 2).T
    return qualities, rates
