"""Quality from the statistics of natural scenes, without a reference: NIQE and a BRISQUE-like measure.

A photo whose brightness is freed of its local mean and contrast (MSCN coefficients) has a histogram of nearly the same
shape whatever it shows, and so have the products of neighbours; noise, blur and blocks bend these shapes. Both measures
describe them by fitted generalised Gaussians, at two scales:

* NIQE: Mittal, Soundararajan, Bovik, "Making a completely blind image quality analyzer", IEEE SPL 20(3), 2013. How far
  the patches of a picture are from those of clean photos. As in the authors' MATLAB release, with a model of clean
  photos of our own (benchmarks/make/train_natural.py).
* BRISQUE: Mittal, Moorthy, Bovik, "No-reference image quality assessment in the spatial domain", IEEE TIP 21(12), 2012.
  The authors' 36 features; the regression on them is our own, trained on BIQ2021 and synthetic pictures, hence
  "BRISQUE-like".

Pictures are (H, W, 3) sRGB, uint8, uint16 or float in [0, 1], and are always measured at 8 bits, like the pictures that
the measures were made for: quantisation is part of the statistics. Where a picture is flat, MATLAB fits a shape to its
own rounding errors; here such coefficients are 0, so that results do not depend on the machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special
from scipy.spatial.distance import cdist

from iqassay.pictures.image import to_float

PATCH = 96  # side of NIQE's patches at the first scale
SMALLEST = 16  # side of a picture that still has statistics at half its size
_BAND = 96  # rows worked on at a time: memory does not grow with the picture, and a band stays in the cache

Floats = NDArray[np.float64]
Border = Literal["nearest", "constant"]  # what lies outside the picture: its edge repeated (NIQE), or 0 (BRISQUE)

_LUMA = np.array([0.298936021293776, 0.587043074451121, 0.114020904255103])  # MATLAB's rgb2gray
_WINDOW = np.exp(-0.5 * (np.arange(-3, 4) / (7 / 6)) ** 2)  # rows, then columns: 7x7 pixels, sigma 7/6
_WINDOW /= _WINDOW.sum()
_ROUNDING = 1e-9  # MSCN coefficients below this are rounding errors: those of 8-bit steps are above 1e-7


# --- from a picture to its coefficients ---------------------------------------------------------------------


def luma_of(picture: np.ndarray) -> NDArray[np.uint8]:
    """(H, W, 3) uint8, uint16 or float in [0, 1] -> (H, W): BT.601 luma in whole steps of 0..255.

    Raises ValueError for another shape or type.
    """
    if picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"got a picture of shape {picture.shape}, want (H, W, 3)")
    luma = np.empty(picture.shape[:2], np.uint8)
    for top in range(0, len(luma), _BAND):
        rows = picture[top : top + _BAND]
        rows = rows if rows.dtype == np.uint8 else np.clip(to_float(rows), 0, 1) * 255.0
        luma[top : top + _BAND] = np.rint(rows @ _LUMA)
    return luma


def halved(luma: np.ndarray) -> Floats:
    """(H, W) -> (ceil(H / 2), ceil(W / 2)) as MATLAB's imresize(luma, 0.5): bicubic, stretched against aliasing."""
    distance = np.abs(np.arange(-3.5, 4)) / 2
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    taps = np.where(distance < 1, near, far)
    taps /= taps.sum()
    half = np.empty([-(-n // 2) for n in luma.shape])
    for top in range(0, len(half), _BAND):
        rows = np.arange(2 * top - 3, 2 * min(top + _BAND, len(half)) + 5)
        band = luma[_mirrored(rows, len(luma))]
        band = sum(tap * band[i : len(band) - 8 + i : 2] for i, tap in enumerate(taps))
        band = band[:, _mirrored(np.arange(-3, 2 * half.shape[1] + 5), luma.shape[1])]
        half[top : top + _BAND] = sum(tap * band[:, i : band.shape[1] - 8 + i : 2] for i, tap in enumerate(taps))
    return half


def _mirrored(index: np.ndarray, length: int) -> np.ndarray:
    """Indices outside 0..length - 1 turned back into it, the outermost pixel twice: 2 1 0 | 0 1 2."""
    index = index % (2 * length)
    return np.minimum(index, 2 * length - 1 - index)


def _normalised(luma: np.ndarray, top: int, bottom: int, border: Border) -> tuple[Floats, Floats]:
    """MSCN coefficients of the rows top..bottom of a picture, and the local standard deviation there."""
    first = max(top - 3, 0)
    rows = luma[first : bottom + 3].astype(np.float64)
    mean = _smoothed(rows, border)
    deviation = np.sqrt(np.abs(_smoothed(rows * rows, border) - mean * mean))
    coefficients = (rows - mean) / (deviation + 1)
    coefficients[np.abs(coefficients) < _ROUNDING] = 0
    inside = slice(top - first, bottom - first)
    return coefficients[inside], deviation[inside]


def _smoothed(rows: Floats, border: Border) -> Floats:
    return ndimage.correlate1d(ndimage.correlate1d(rows, _WINDOW, 0, mode=border), _WINDOW, 1, mode=border)


def _products(here: Floats, above: Floats) -> Iterator[Floats]:
    """Coefficients (..., h, w), and each times its neighbour to the left, above, above left and above right. What lies
    left of the first column is the last one, as the authors have it."""
    yield here
    yield here * np.roll(here, 1, -1)
    yield here * above
    yield here * np.roll(above, 1, -1)
    yield here * np.roll(above, -1, -1)


# --- from coefficients to shapes ----------------------------------------------------------------------------
# All that a fit needs are a few sums over the values, so that parts of a picture can simply be added.

_SHAPES = np.arange(200, 10001) / 1000  # the authors look the shape up in steps of 0.001
_G1, _G2, _G3 = (special.gamma(i / _SHAPES) for i in (1, 2, 3))
_RATIO = _G2**2 / (_G1 * _G3)  # (mean |x|)^2 / mean x^2 of a generalised Gaussian, rising with its shape
_BETWEEN = (_RATIO[1:] + _RATIO[:-1]) / 2
_SCALE = np.sqrt(_G1 / _G3)  # the scale of one with deviation 1


def _sums(values: Floats) -> Floats:
    """(..., h, w) -> (..., 6): count, sum |x|, sum x^2 and counts of the left (x < 0) and the right side."""
    size, square, negative = np.abs(values), values * values, values < 0
    left = np.einsum("...hw,...hw->...", square, negative)
    every = square.sum((-1, -2))
    count = np.full(every.shape, values.shape[-1] * values.shape[-2])
    on_left, on_right = negative.sum((-1, -2)), (values > 0).sum((-1, -2))
    return np.stack([count, size.sum((-1, -2)), left, every - left, on_left, on_right], -1)


@dataclass(frozen=True)
class Shape:
    """An asymmetric generalised Gaussian: its shape (2 is normal, smaller has heavier tails), the standard deviations
    of its left and right sides, their scales, and its mean. Arrays of one shape; nan where a side has no values."""

    shape: Floats
    left: Floats
    right: Floats
    left_scale: Floats
    right_scale: Floats
    mean: Floats


def _asymmetric(sums: Floats) -> Shape:
    """Fit by moments (Lasmar, Stitou, Berthoumieu, ICIP 2009); sums (..., 6)."""
    count, size, left, right, on_left, on_right = np.moveaxis(sums, -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = np.sqrt(left / on_left), np.sqrt(right / on_right)
        skew = low / high
        ratio = size**2 / (count * (left + right)) * (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    at = np.searchsorted(_BETWEEN, ratio)
    low_scale, high_scale = low * _SCALE[at], high * _SCALE[at]
    return Shape(_SHAPES[at], low, high, low_scale, high_scale, (high_scale - low_scale) * (_G2 / _G1)[at])


def _symmetric(sums: Floats) -> tuple[Floats, Floats]:
    """Shape and variance of a generalised Gaussian round 0, fitted by moments; sums (..., 6)."""
    count, size, left, right = np.moveaxis(sums[..., :4], -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = size**2 / (count * (left + right))
    return _SHAPES[np.searchsorted(_BETWEEN, ratio)], (left + right) / count


# --- NIQE ---------------------------------------------------------------------------------------------------


def niqe(picture: np.ndarray) -> float:
    """NIQE of a picture (H, W, 3): 0 and up, lower is better; clean photos have 2 to 3, ruined ones 5 to 10.

    Only whole patches of 96x96, counted from the top left, are looked at.

    Raises:
        ValueError: for a picture of fewer than two patches, or with fewer than two that are not flat.
    """
    features = niqe_features(picture)[0]
    model = _parameters("niqe")
    return naturalness_distance(features, model["mean"], model["covariance"])


def niqe_features(picture: np.ndarray) -> tuple[Floats, Floats]:
    """The 36 features of every patch (N, 36), 18 of each scale, and how sharp each is (N,): its mean local deviation.

    nan where a patch is flat. Raises ValueError for a picture of fewer than two patches.
    """
    luma = luma_of(picture)
    high, wide = (n // PATCH for n in luma.shape)
    if high * wide < 2:
        size = f"{luma.shape[1]}x{luma.shape[0]}"
        raise ValueError(f"got a picture of {size}, want {2 * PATCH}x{PATCH} or {PATCH}x{2 * PATCH} at least")
    luma = luma[: high * PATCH, : wide * PATCH]
    features, sharpness = zip(
        _niqe_scale(luma, PATCH),
        _niqe_scale(halved(luma), PATCH // 2),
        strict=True,
    )
    return np.hstack(features), sharpness[0]


def _niqe_scale(luma: np.ndarray, side: int) -> tuple[Floats, Floats]:
    """(N, 18) features and (N,) sharpness of the patches of a scale, row by row."""
    sums, sharpness = [], []
    for top in range(0, len(luma), side):
        coefficients, deviation = _normalised(luma, top, top + side, "nearest")
        patches = coefficients.reshape(side, -1, side).swapaxes(0, 1)
        above = np.roll(patches, 1, -2)  # each patch is a closed world, its first row below its last
        sums.append(np.stack([_sums(values) for values in _products(patches, above)]))
        sharpness.append(deviation.reshape(side, -1, side).mean((0, 2)))
    fits = _asymmetric(np.concatenate(sums, 1))  # (5, N) each
    own = np.stack([fits.shape[0], (fits.left_scale[0] + fits.right_scale[0]) / 2])
    pairs = np.stack([fits.shape, fits.mean, fits.left_scale, fits.right_scale], 1)[1:]
    features = np.vstack([own, pairs.reshape(16, -1)]).T
    features[np.isnan(features).any(1)] = np.nan
    return features, np.concatenate(sharpness)


def naturalness_distance(features: Floats, mean: Floats, covariance: Floats) -> float:
    """Equation 10 of the paper: how far the Gaussian of the patches (N, 36) is from that of clean photos.

    Patches with nan are left out. Raises ValueError when fewer than two are left.
    """
    seen = features[~np.isnan(features).any(1)]
    if len(seen) < 2:
        raise ValueError(f"got a picture with {len(seen)} patches that are not flat, want 2 or more")
    difference = seen.mean(0) - mean
    pooled = (covariance + np.cov(seen.T)) / 2
    return float(np.sqrt(difference @ np.linalg.pinv(pooled, hermitian=True) @ difference))


# --- BRISQUE ------------------------------------------------------------------------------------------------


def brisque(picture: np.ndarray) -> float:
    """BRISQUE-like quality of a picture (H, W, 3), 0 to 100, HIGHER is better.

    Trained on BIQ2021 and synthetic pictures. The published BRISQUE runs the other way.

    Raises:
        ValueError: for a picture below 16x16 or of one colour.
    """
    return float(np.clip(regressed(brisque_features(picture), _parameters("brisque")), 0, 100))


def regressed(features: Floats, model: dict[str, Floats]) -> Floats:
    """(..., 36) -> (...): kernel regression on the standardised features, roughly 0 to 100, higher is better."""
    x = (spread_out(features) - model["mean"]) / model["deviation"]
    kernel = np.exp(-model["width"] * cdist(x.reshape(-1, 36), model["support"], "sqeuclidean"))
    return (model["offset"] + kernel @ model["weights"]).reshape(x.shape[:-1])


def spread_out(features: Floats) -> Floats:
    """Features (..., 36) with shapes and variances, which span decades, in logarithms; means as they are."""
    is_mean = np.isin(np.arange(36) % 18, (3, 7, 11, 15))
    return np.where(is_mean, features, np.log(np.where(is_mean, 1, features) + 1e-3))


def brisque_features(picture: np.ndarray) -> Floats:
    """The 36 features of the paper's table I: 18 at the picture's own size, then 18 at half of it.

    Of each: shape and variance of the coefficients; then shape, mean, left and right variance of the products with the
    neighbours to the left, above, above left, above right.

    Raises ValueError for a picture below 16x16 or without statistics (of one colour).
    """
    luma = luma_of(picture)
    if min(luma.shape) < SMALLEST:
        raise ValueError(f"got a picture of {luma.shape[1]}x{luma.shape[0]}, want {SMALLEST}x{SMALLEST} at least")
    features = np.concatenate([_brisque_scale(luma), _brisque_scale(halved(luma))])
    if not np.isfinite(features).all():
        raise ValueError("got a picture of one colour, want one that shows something")
    return features


def _brisque_scale(luma: np.ndarray) -> Floats:
    sums = np.zeros((5, 6))
    last = _normalised(luma, len(luma) - 1, len(luma), "constant")[0]  # what lies above the first row
    for top in range(0, len(luma), _BAND):
        here = _normalised(luma, top, min(top + _BAND, len(luma)), "constant")[0]
        rows = np.vstack([last, here])
        sums += [_sums(values) for values in _products(here, rows[:-1])]
        last = rows[-1:]
    fits = _asymmetric(sums[1:])
    pairs = np.stack([fits.shape, fits.mean, fits.left**2, fits.right**2], 1)
    return np.concatenate([_symmetric(sums[0]), pairs.ravel()])


@lru_cache(maxsize=2)
def _parameters(name: str) -> dict[str, Floats]:
    """What benchmarks/make/train_natural.py has learnt."""
    with resources.files("iqassay.measures").joinpath(f"{name}.npz").open("rb") as file, np.load(file) as kept:
        return {key: kept[key].astype(np.float64) for key in kept.files}
