"""The score a distorted picture is trained towards: what people would most likely have said, 0..100, higher better.

Two sources are joined. The KADID-10k table says what people think of a type at a level on average. A full-reference
measure says how much this very picture suffered: noise hides in grass and shows in a sky.

The numbers in targets.json come from benchmarks/fit_targets.py, which runs our distortions over pristine photos.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import fft, ndimage

from .distortions import KINDS, LEVELS

# The part of a picture's own deviation (measure-implied minus typical) that is believed. Both spread by about 8 points
# within one type and level; on rated codec pictures they correlate by .64, on other types nobody knows.
OWN_WEIGHT = 0.5


class Tables(NamedTuple):
    measure: np.ndarray  # knots of the map measure -> opinion: increasing, 0..1
    opinion: np.ndarray  # 0..100, non-decreasing, same length
    prior: dict[str, np.ndarray]  # kind -> mean opinion at levels 1..5, 0..100
    implied: dict[str, np.ndarray]  # kind -> mean measure-implied opinion at levels 1..5, 0..100


@lru_cache(maxsize=1)
def tables() -> Tables:
    """The fitted numbers of targets.json."""
    data = json.loads(Path(__file__).with_name("targets.json").read_text())
    return Tables(
        np.array(data["measure"]),
        np.array(data["opinion"]),
        {kind: np.array(data["prior"][kind]) for kind in KINDS},
        {kind: np.array(data["implied"][kind]) for kind in KINDS},
    )


def target_score(
    pristine: np.ndarray, distorted: np.ndarray, chain: Sequence[tuple[str, float]] | None = None
) -> float:
    """The likely mean opinion of `distorted`, made from `pristine` by `chain`: 0..100, higher is better.

    Args:
        pristine: float32 (H, W, 3), sRGB in [0, 1].
        distorted: the same shape.
        chain: the (kind, level) pairs that were applied. One pair: the KADID mean of that kind and level, moved by this
            picture's own measure. Several: mostly the measure, and never above the worst pair's own mean. None or empty
            (a restoration without a KADID name): the measure alone.

    Returns:
        An untouched picture gets about 90, the value KADID's raters gave to pictures with nothing done to them.

    Raises:
        ValueError: on different shapes or an unknown kind or level.
    """
    table = tables()
    implied = implied_opinion(full_reference(pristine, distorted))
    if not chain:
        return implied
    priors = [_at(table.prior, kind, level) for kind, level in chain]
    worst = int(np.argmin(priors))
    # How much the measure errs on the worst member, known from many pictures: some kinds fool it.
    correction = priors[worst] - _at(table.implied, *chain[worst])
    if len(chain) == 1:
        score = priors[0] + OWN_WEIGHT * (implied + correction - priors[0])
    else:
        score = min(implied + 0.5 * correction, priors[worst])
    return float(np.clip(score, 0, table.opinion[-1]))


def implied_opinion(measure: float) -> float:
    """The mean opinion (0..100) that KADID's raters held of pictures with this full-reference measure."""
    table = tables()
    return float(np.interp(measure, table.measure, table.opinion))


def _at(by_kind: dict[str, np.ndarray], kind: str, level: float) -> float:
    if kind not in by_kind or not 1 <= level <= 5:
        raise ValueError(f"got the distortion ({kind!r}, {level}), want a KADID-10k kind and a level 1 to 5")
    return float(np.interp(level, LEVELS, by_kind[kind]))


# --- the full-reference measure --------------------------------------------------------------------------------


def full_reference(pristine: np.ndarray, distorted: np.ndarray) -> float:
    """How alike two pictures look: 1 identical, 0 nothing left in common. About 10 ms at 256x256.

    Two parts of texture and one of shapes and colour, multiplied, by three published measures:
    DSS (Balanov et al., 2015) compares how much each frequency varies from place to place and looks where that went
    worst. It asks for as much texture, not the same pixels, and follows opinions of codecs best; colour it cannot see.
    HaarPSI (Reisenhofer et al., 2018) compares Haar wavelet coefficients and averages where the picture has structure;
    MDSI (Nafchi et al., 2016) compares gradients and chroma and looks at how unevenly they suffered: the mean of both.
    HaarPSI and MDSI look at the picture shrunk by two, as their authors do at this size, DSS at every pixel, whatever
    the size: crops of one picture must be judged at one viewing distance.

    Args:
        pristine, distorted: float32 (H, W, 3), sRGB in [0, 1], at least 8x8, the same shape.

    Raises:
        ValueError: when the shapes differ or are not (H, W, 3).
    """
    if pristine.shape != distorted.shape or pristine.ndim != 3 or pristine.shape[2] != 3 or min(pristine.shape[:2]) < 8:
        raise ValueError(f"got shapes {pristine.shape} and {distorted.shape}, want the same (H, W, 3), at least 8x8")
    a, b = pristine * np.float32(255), distorted * np.float32(255)
    small_a, small_b = halved(a), halved(b)
    shapes = (haarpsi(small_a, small_b) + 1 - 2 * mdsi(small_a, small_b)) / 2
    return float(np.cbrt(np.clip(shapes, 0, 1) * np.clip(dss(a, b), 0, 1) ** 2))


_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]], dtype=np.float32)
_LHM = np.array([[0.2989, 0.5870, 0.1140], [0.30, 0.04, -0.35], [0.34, -0.60, 0.17]], dtype=np.float32)


def haarpsi(a: np.ndarray, b: np.ndarray) -> float:
    """HaarPSI with chroma, 0..1, higher is more alike; pictures (H, W, 3) RGB in 0..255, already shrunk by two."""
    constant, slope = 30.0, 4.2
    planes_a, planes_b = (np.moveaxis(x @ _YIQ.T, 2, 0) for x in (a, b))
    scales_a, scales_b = (_haar(planes[0]) for planes in (planes_a, planes_b))
    similarities, weights = [], []
    for direction in (0, 1):
        fine = [_similarity(scales_a[k][direction], scales_b[k][direction], constant) for k in (0, 1)]
        similarities.append((fine[0] + fine[1]) / 2)
        weights.append(np.maximum(scales_a[2][direction], scales_b[2][direction]))
    chroma = [_similarity(np.abs(_pairs(planes_a[i])), np.abs(_pairs(planes_b[i])), constant) for i in (1, 2)]
    similarities.append((chroma[0] + chroma[1]) / 2)
    weights.append((weights[0] + weights[1]) / 2)
    weight = np.stack(weights)
    total = float(weight.sum())
    if total <= 0:  # two flat pictures: no structure to weigh by
        weight, total = np.ones_like(weight), float(weight.size)
    pooled = float((weight / (1 + np.exp(-slope * np.stack(similarities)))).sum()) / total
    pooled = min(max(pooled, 0.5), 1 - 1e-9)
    return min((float(np.log(pooled / (1 - pooled))) / slope) ** 2, 1.0)


def mdsi(a: np.ndarray, b: np.ndarray) -> float:
    """MDSI, 0 identical and about 0.7 at worst; pictures (H, W, 3) RGB in 0..255, already shrunk by two."""
    c1, c2, c3, share = 140.0, 55.0, 550.0, 0.6
    a, b = a @ _LHM.T, b @ _LHM.T
    gradient_a, gradient_b = _prewitt(a[..., 0]), _prewitt(b[..., 0])
    gradient_mean = _prewitt((a[..., 0] + b[..., 0]) / 2)
    structure = (
        _similarity(gradient_a, gradient_b, c1)
        + _similarity(gradient_b, gradient_mean, c2)
        - _similarity(gradient_a, gradient_mean, c2)
    )
    h, m = a[..., 1:], b[..., 1:]
    chroma = (2 * (h * m).sum(axis=2) + c3) / ((h * h + m * m).sum(axis=2) + c3)
    # The similarity can fall below zero; its fourth root is then complex, as in the paper.
    root = np.power((share * structure + (1 - share) * chroma).astype(np.complex64), 0.25)
    return float(np.abs(root - root.mean()).mean() ** 0.25)


# How much each of the 8x8 DCT frequencies counts in DSS: the eye's falling sensitivity; below a hundredth, not at all.
_FREQUENCY = np.exp(-np.add.outer((np.arange(8) + 0.5) ** 2, (np.arange(8) + 0.5) ** 2) / (2 * 1.55**2))
_SEEN = _FREQUENCY >= 0.01
_BAND_WEIGHT = np.where(_SEEN, _FREQUENCY, 0)[_SEEN] / _FREQUENCY[_SEEN].sum()
_NEAR = np.exp(-(np.arange(-1, 2) ** 2) / (2 * 1.5**2))
_NEAR /= _NEAR.sum()


def dss(a: np.ndarray, b: np.ndarray) -> float:
    """DSS, 1 identical and about 0 at worst; pictures (H, W, 3) RGB in 0..255, at least 8x8, not shrunk."""
    x, y = _subbands(a @ _YIQ[0]), _subbands(b @ _YIQ[0])
    mean_x, mean_y = _nearby(x), _nearby(y)
    variance_x = np.maximum(_nearby(x * x) - mean_x**2, 0)
    variance_y = np.maximum(_nearby(y * y) - mean_y**2, 0)
    both = np.sqrt(variance_x * variance_y)
    constant = np.full((len(x), 1, 1), 300.0)
    constant[0] = 1000  # the mean of the block
    similarity = _worst((2 * both + constant) / (variance_x + variance_y + constant))
    covariance = _nearby(x[:1] * y[:1]) - mean_x[:1] * mean_y[:1]
    similarity[0] *= _worst((covariance + 1000) / (both[:1] + 1000))[0]
    return float(similarity @ _BAND_WEIGHT)


def _subbands(luma: np.ndarray) -> np.ndarray:
    """The 8x8 DCT of blocks side by side, sorted by frequency: (bands, H // 8, W // 8), the blocks' mean first."""
    rows, columns = (n // 8 for n in luma.shape)
    blocks = luma[: rows * 8, : columns * 8].astype(np.float64).reshape(rows, 8, columns, 8)
    return fft.dctn(blocks, axes=(1, 3), norm="ortho").transpose(1, 3, 0, 2)[_SEEN]


def _nearby(x: np.ndarray) -> np.ndarray:
    """Gaussian means of 3x3 in each plane of (bands, H, W); nothing lies beyond the border."""
    return ndimage.correlate1d(ndimage.correlate1d(x, _NEAR, 1, mode="constant"), _NEAR, 2, mode="constant")


def _worst(maps: np.ndarray) -> np.ndarray:
    """The mean of the lowest twentieth of each plane: (bands, H, W) -> (bands,)."""
    flat = maps.reshape(len(maps), -1)
    count = max(1, round(flat.shape[1] / 20))
    return np.partition(flat, count - 1, axis=1)[:, :count].mean(axis=1)


def halved(x: np.ndarray) -> np.ndarray:
    """Means of 2x2 blocks; an odd last row or column is dropped."""
    height, width = (n - n % 2 for n in x.shape[:2])
    x = x[:height, :width]
    rows = x[0::2] + x[1::2]
    return (rows[:, 0::2] + rows[:, 1::2]) * np.float32(0.25)


def _similarity(x: np.ndarray, y: np.ndarray, constant: float) -> np.ndarray:
    return (2 * x * y + constant) / (x * x + y * y + constant)


def _prewitt(x: np.ndarray) -> np.ndarray:
    p = np.pad(x, 1, mode="edge")
    rows, columns = p[:-2] + p[1:-1] + p[2:], p[:, :-2] + p[:, 1:-1] + p[:, 2:]
    return np.hypot(rows[:, 2:] - rows[:, :-2], columns[2:] - columns[:-2]) / 3


def _haar(x: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Absolute undecimated Haar coefficients at widths 2, 4, 8: [(horizontal, vertical)], each of the shape of x."""
    out = []
    for width in (2, 4, 8):
        half = width // 2
        sums = np.pad(np.pad(x, half, mode="edge").cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        down = sums[:, width:] - sums[:, :-width]  # sums of `width` columns, still cumulative over rows
        across = sums[width:] - sums[:-width]
        horizontal = 2 * down[half:-half] - down[:-width] - down[width:]
        vertical = 2 * across[:, half:-half] - across[:, :-width] - across[:, width:]
        h, w = x.shape
        out.append((np.abs(horizontal[:h, :w]) / width, np.abs(vertical[:h, :w]) / width))
    return out


def _pairs(x: np.ndarray) -> np.ndarray:
    p = np.pad(x, ((0, 1), (0, 1)), mode="edge")
    return (p[1:, 1:] + p[1:, :-1] + p[:-1, 1:] + p[:-1, :-1]) / 4
