"""Many bootstrap draws at once: how often each picture is in each, and measures weighted by that.

A draw is a row of counts, not a list of pictures, so that ranks need no sorting per draw and sums become products of
matrices. Everything here takes checked arrays: x, y (n,) float64 and counts (draws, n); see ``statistics.correlation``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[Any]  # whole numbers of any kind

# Counts handed out at once: most bootstraps are one block.
_COUNTS = 20_000_000
# Numbers in one block of a computation: few enough to stay in the processor's cache.
_BLOCK = 200_000


def draw_counts(
    pictures: int, resamples: int, seed: int = 0, groups: Sequence[str] | NDArray[Any] | None = None
) -> Iterator[Counts]:
    """How often each picture is in each draw with replacement: blocks (draws, pictures) of `resamples` rows in all.

    groups: pictures of one name are drawn together, those named "" one by one. The same seed gives the same draws.
    """
    units, members = pictures, np.arange(pictures)
    if groups is not None:
        own = [name or f"\0{place}" for place, name in enumerate(np.asarray(groups).tolist())]
        names, members = np.unique(own, return_inverse=True)
        units = len(names)
    rng = np.random.default_rng(seed)
    for block in _blocks(resamples, pictures, _COUNTS):
        counts = np.empty((block.stop - block.start, pictures), np.uint8)  # no unit is drawn more than 255 times
        for rows in _blocks(len(counts), units):
            drawn = rng.integers(units, size=(rows.stop - rows.start, units))
            places = drawn + units * np.arange(len(drawn))[:, None]
            counts[rows] = np.bincount(places.ravel(), minlength=drawn.size).reshape(drawn.shape)[:, members]
        yield counts


def srcc(x: Floats, y: Floats, counts: Counts) -> Floats:
    """Spearman correlation in each draw (draws,), ties and copies sharing their mean rank; nan where constant."""
    values = np.empty(len(counts))
    for rows in _blocks(*counts.shape):
        block = counts[rows].astype(np.float64)
        total = block.sum(axis=1)
        (a, power_a), (b, power_b) = (_centred_ranks(side, block, total) for side in (x, y))
        values[rows] = _ratio(np.einsum("dn,dn,dn->d", block, a, b), np.sqrt(power_a * power_b))
    return values


def plcc(x: Floats, y: Floats, counts: Counts) -> Floats:
    """Pearson correlation in each draw (draws,), nan where one side is constant. x, y: mean 0, size about 1."""
    values = np.empty(len(counts))
    sides = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)
    for rows in _blocks(*counts.shape):
        total, sx, sy, sxx, syy, sxy = (counts[rows].astype(np.float64) @ sides).T
        power_x, power_y = sxx - sx**2 / total, syy - sy**2 / total
        # Below this, what is left is rounding.
        powers = np.where((power_x > 1e-12 * sxx) & (power_y > 1e-12 * syy), power_x * power_y, 0)
        values[rows] = _ratio(sxy - sx * sy / total, np.sqrt(powers))
    return values


def mean(values: Floats, counts: Counts) -> Floats:
    """Mean of `values` (n,) in each draw (draws,)."""
    sides = np.stack([np.ones_like(values), values], axis=1)
    sums = np.concatenate([counts[rows].astype(np.float64) @ sides for rows in _blocks(*counts.shape)])
    return sums[:, 1] / sums[:, 0]


def _centred_ranks(x: Floats, counts: Floats, total: Floats) -> tuple[Floats, Floats]:
    """Ranks less their mean in each draw, (draws, n), and the sum of their squares over the pictures drawn (draws,)."""
    _, inverse, sizes = np.unique(x, return_inverse=True, return_counts=True)
    order = np.argsort(inverse, kind="stable")
    copies = np.add.reduceat(counts[:, order], np.cumsum(sizes) - sizes, axis=1)
    middle = np.cumsum(copies, axis=1) - copies / 2  # in whole ranks and halves, so exact
    power = (total**3 - np.einsum("du,du,du->d", copies, copies, copies)) / 12
    return (middle - total[:, None] / 2)[:, inverse], power


def _ratio(above: Floats, below: Floats) -> Floats:
    """A correlation: above / below, nan where below is 0."""
    return np.clip(np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0), -1, 1)


def _blocks(count: int, width: int, size: int = _BLOCK) -> list[slice]:
    step = max(1, size // width)
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]
