"""Classical full-reference measures, each by the definition of its authors' program: numpy and scipy only.

Every function takes a picture and its reference, two (H, W, 3) arrays of one size: uint8, uint16, or floats in [0, 1],
sRGB with its transfer curve. It returns one float, in the measure's own unit and direction, and raises ValueError for
other shapes, different sizes, values out of range and pictures that are too small.

Where programs differ, these follow the authors' MATLAB code: borders, rounding, shrinking and colour conversion are
theirs. Luma of 8-bit pictures is rounded to whole numbers, as rgb2gray does; of deeper ones it is not. Pictures without
colour count as colour pictures whose chroma is the same, as far as a measure looks at chroma.

`..._with_map` gives the value and how alike the two are from place to place: (h, w), 1 where they are the same, at the
measure's own resolution and covering the whole picture, but for a few pixels along the border.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from iqassay.pictures.image import to_float

Floats = NDArray[np.floating]
Compared = tuple[float, Floats]

MAX_PSNR = 100.0  # dB, what identical pictures get: infinity is no number for JSON, means or curves
SSIM_RADIUS, SSIM_SIGMA = 5, 1.5  # pixels
SSIM_C1, SSIM_C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
MS_SSIM_EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)

_GRAY = np.array([0.298936, 0.587043, 0.114021], np.float32)  # rgb2gray's, to 8-bit accuracy
_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]], np.float32)
_LHM = np.array([[0.2989, 0.5870, 0.1140], [0.30, 0.04, -0.35], [0.34, -0.60, 0.17]], np.float32)
_LMN = np.array([[0.06, 0.63, 0.27], [0.30, 0.04, -0.35], [0.34, -0.60, 0.17]], np.float32)
_PREWITT, _SCHARR = (1 / 3, 1 / 3, 1 / 3), (3 / 16, 10 / 16, 3 / 16)


def psnr(picture: np.ndarray, reference: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB, 0 to 100, higher is better; the mean square error is over all three channels.

    The peak is the largest value of the depth. Identical pictures, and ones above 100 dB, get 100.
    """
    a, b = pair_of("PSNR", picture, reference)
    error = float(np.mean(np.square(a - b), dtype=np.float64))
    return min(MAX_PSNR, 10 * math.log10(255**2 / error)) if error else MAX_PSNR


# ---- structural similarity ------------------------------------------------------------------------------------------


def ssim(picture: np.ndarray, reference: np.ndarray, shrink: bool = True) -> float:
    """SSIM of luma, -1 to 1, higher is better, 1 for identical; at least 11 pixels a side.

    Gaussian window of 11x11 pixels and sigma 1.5 where it lies inside the picture, K 0.01 and 0.03.

    Source: Wang et al., "Image quality assessment: from error visibility to structural similarity", TIP 2004.

    Args:
        shrink: first take means over squares of round(shorter side / 256) pixels, as the authors' `ssim.m` does
            (borders mirrored). Without, it is scikit-image's `structural_similarity` of luma with gaussian_weights and
            use_sample_covariance=False.
    """
    return ssim_with_map(picture, reference, shrink)[0]


def ssim_with_map(picture: np.ndarray, reference: np.ndarray, shrink: bool = True) -> Compared:
    """The value and the map of `ssim`."""
    a, b = _lumas("SSIM", picture, reference, 2 * SSIM_RADIUS + 1)
    if shrink:
        a, b = (_shrunk(x, _viewing_step(x), "symmetric") for x in (a, b))
    luminance, structure = ssim_maps(a, b)
    found = luminance * structure
    return _mean(found), found


def ms_ssim(picture: np.ndarray, reference: np.ndarray) -> float:
    """MS-SSIM of luma, 0 to 1, higher is better, 1 for identical; at least 161 pixels a side.

    Five scales, each half of the one before (means of 2x2, borders mirrored), with the authors' exponents, multiplied.
    A scale whose mean is negative counts as 0; a real power of it does not exist.

    Source: Wang et al., "Multi-scale structural similarity for image quality assessment", Asilomar 2003, `msssim.m`.
    """
    scales = len(MS_SSIM_EXPONENTS)
    a, b = _lumas("MS-SSIM", picture, reference, (2 * SSIM_RADIUS << scales - 1) + 1)
    result = 1.0
    for scale, exponent in enumerate(MS_SSIM_EXPONENTS, 1):
        luminance, structure = ssim_maps(a, b)
        result *= max(0.0, _mean(luminance * structure if scale == scales else structure)) ** exponent
        a, b = (_shrunk(x, 2, "symmetric") for x in (a, b))
    return result


def ssim_maps(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Luminance and contrast-structure where the window lies inside."""
    inside = slice(SSIM_RADIUS, -SSIM_RADIUS)

    def blurred(x: Floats) -> Floats:
        return ndimage.gaussian_filter(x, SSIM_SIGMA, radius=SSIM_RADIUS)[inside, inside]

    mean_a, mean_b = blurred(a), blurred(b)
    squares, product = mean_a * mean_a + mean_b * mean_b, mean_a * mean_b
    variances = blurred(a * a + b * b) - squares
    covariance = blurred(a * b) - product
    return (2 * product + SSIM_C1) / (squares + SSIM_C1), (2 * covariance + SSIM_C2) / (variances + SSIM_C2)


# ---- gradients and wavelets -----------------------------------------------------------------------------------------


def gmsd(picture: np.ndarray, reference: np.ndarray) -> float:
    """Gradient magnitude similarity deviation of luma, 0 (identical) to about 0.5, lower is better; any size.

    Prewitt gradients of luma shrunk by two, constant 170; zeros beyond the border. Two pictures that suffered evenly
    everywhere have a deviation of 0 too.

    Source: Xue et al., "Gradient magnitude similarity deviation: a highly efficient perceptual image quality index",
    TIP 2014, `GMSD.m`.
    """
    return gmsd_with_map(picture, reference)[0]


def gmsd_with_map(picture: np.ndarray, reference: np.ndarray) -> Compared:
    """The value and the map of `gmsd`."""
    a, b = (_shrunk(x, 2) for x in _lumas("GMSD", picture, reference, 3))
    found = _similarity(_gradient(a, _PREWITT), _gradient(b, _PREWITT), 170)
    return float(np.std(found, ddof=1, dtype=np.float64)), found


def haarpsi(picture: np.ndarray, reference: np.ndarray) -> float:
    """HaarPSI with chroma, 0 to 1, higher is better, 1 for identical; any size.

    Haar wavelets of three scales on the picture shrunk by two, C 30 and alpha 4.2; zeros beyond the border.

    Source: Reisenhofer et al., "A Haar wavelet-based perceptual similarity index for image quality assessment", Signal
    Processing: Image Communication 2018, `HaarPSI.m`.
    """
    return haarpsi_with_map(picture, reference)[0]


def haarpsi_with_map(picture: np.ndarray, reference: np.ndarray) -> Compared:
    """The value and the map of `haarpsi`."""
    constant, slope = 30.0, 4.2
    pair = pair_of("HaarPSI", picture, reference, 2)
    planes_a, planes_b = (np.moveaxis(_shrunk(x, 2) @ _YIQ.T, 2, 0) for x in pair)
    scales_a, scales_b = _haar(planes_a[0]), _haar(planes_b[0])
    similarities, weights = [], []
    for direction in (0, 1):
        fine = [_similarity(scales_a[k][direction], scales_b[k][direction], constant) for k in (0, 1)]
        similarities.append((fine[0] + fine[1]) / 2)
        weights.append(np.maximum(scales_a[2][direction], scales_b[2][direction]))
    chroma = [_similarity(_mean_of_four(planes_a[i]), _mean_of_four(planes_b[i]), constant) for i in (1, 2)]
    similarities.append((chroma[0] + chroma[1]) / 2)
    weights.append((weights[0] + weights[1]) / 2)
    total = sum(float(w.sum(dtype=np.float64)) for w in weights)
    if total == 0:  # two black pictures: no structure to weigh by
        weights, total = [np.ones_like(w) for w in weights], 3.0 * weights[0].size
    squashed = (w / (1 + np.exp(-slope * s)) for w, s in zip(weights, similarities, strict=True))
    pooled = min(sum(float(x.sum(dtype=np.float64)) for x in squashed) / total, 1 / (1 + math.exp(-slope)))
    return (math.log(pooled / (1 - pooled)) / slope) ** 2, (similarities[0] + similarities[1] + similarities[2]) / 3


def mdsi(picture: np.ndarray, reference: np.ndarray, step: int | None = None) -> float:
    """Mean deviation similarity index, 0 (identical) to about 0.8, lower is better; any size.

    The variant by sum (alpha 0.6) of Prewitt gradients and chroma, on means over squares of `step` pixels; None is the
    authors' round(shorter side / 256). Zeros beyond the border. It alone tells the picture from the reference.

    Source: Ziaei Nafchi et al., "Mean deviation similarity index: efficient and reliable full-reference image quality
    evaluator", IEEE Access 2016, `MDSI.m`.
    """
    return mdsi_with_map(picture, reference, step)[0]


def mdsi_with_map(picture: np.ndarray, reference: np.ndarray, step: int | None = None) -> Compared:
    """The value and the map of `mdsi`."""
    c1, c2, c3, share = 140.0, 55.0, 550.0, 0.6
    pair = pair_of("MDSI", picture, reference)
    distorted, pristine = (_shrunk(x, step or _viewing_step(x)) @ _LHM.T for x in pair)
    lumas = distorted[..., 0], pristine[..., 0], (distorted[..., 0] + pristine[..., 0]) / 2
    of_picture, of_reference, of_mean = (_gradient(x, _PREWITT) for x in lumas)
    structure = (
        _similarity(of_reference, of_picture, c1)
        + _similarity(of_picture, of_mean, c2)
        - _similarity(of_reference, of_mean, c2)
    )
    x, y = distorted[..., 1:], pristine[..., 1:]
    chroma = (2 * (x * y).sum(axis=2) + c3) / ((x * x + y * y).sum(axis=2) + c3)
    found = share * structure + (1 - share) * chroma
    # The similarity can fall below zero; its fourth root is then complex, as in the paper.
    root = np.power(found.astype(np.complex128), 0.25)
    return float(np.abs(root - root.mean()).mean() ** 0.25), found


def _gradient(x: Floats, smooth: tuple[float, float, float]) -> Floats:
    """The length of the gradient of (H, W): differences two apart, smoothed across; zeros beyond the border."""
    side, middle, _ = (np.float32(weight) for weight in smooth)
    p = np.pad(x, 1)
    rows = side * (p[:-2] + p[2:]) + middle * p[1:-1]
    columns = side * (p[:, :-2] + p[:, 2:]) + middle * p[:, 1:-1]
    return np.sqrt(np.square(rows[:, 2:] - rows[:, :-2]) + np.square(columns[2:] - columns[:-2]))


def _haar(x: Floats) -> list[tuple[Floats, Floats]]:
    """Absolute undecimated Haar coefficients at widths 2, 4, 8: [(across rows, across columns)], of the shape of x."""
    found: list[tuple[Floats, Floats]] = []
    height, width = x.shape
    padded = np.pad(x, ((3, 4), (3, 4)))
    for half in (1, 2, 4):
        from_first = padded[4 - half :, 4 - half :]  # the window of the first pixel begins half - 1 before it
        rows = _sums(_sums(from_first, 2 * half, 1), half, 0)
        columns = _sums(_sums(from_first, 2 * half, 0), half, 1)
        differences = rows[:-half] - rows[half:], columns[:, :-half] - columns[:, half:]
        down, across = (np.abs(d[:height, :width]) / (2 * half) for d in differences)
        found.append((down, across))
    return found


def _sums(x: Floats, width: int, axis: int) -> Floats:
    """Sums of `width` neighbours, a power of two, along an axis."""
    x = np.moveaxis(x, axis, 0)
    for reach in (1, 2, 4)[: width.bit_length() - 1]:
        x = x[:-reach] + x[reach:]
    return np.moveaxis(x, 0, axis)


def _mean_of_four(x: Floats) -> Floats:
    p = np.pad(x, ((0, 1), (0, 1)))
    return np.abs(p[1:, 1:] + p[1:, :-1] + p[:-1, 1:] + p[:-1, :-1]) / 4


# ---- saliency -------------------------------------------------------------------------------------------------------


def vsi(picture: np.ndarray, reference: np.ndarray) -> float:
    """Visual saliency-induced index, 0 to 1, higher is better, 1 for identical; any size.

    Saliency by SDSP at 256x256, resized as MATLAB's imresize does (bilinear, antialiased); gradients (Scharr), chroma
    and saliency on means over squares of round(shorter side / 256) pixels, zeros beyond the border.

    Source: Zhang et al., "VSI: a visual saliency-induced index for perceptual image quality assessment", TIP 2014, and
    "SDSP: a novel saliency detection method by combining simple priors", ICIP 2013; `VSI.m`.
    """
    return vsi_with_map(picture, reference)[0]


def vsi_with_map(picture: np.ndarray, reference: np.ndarray) -> Compared:
    """The value and the map of `vsi`."""
    pair = pair_of("VSI", picture, reference)
    step = _viewing_step(pair[0])
    salient_a, salient_b = (_shrunk(_saliency(x), step) for x in pair)
    a, b = (_shrunk(x, step) @ _LMN.T for x in pair)
    gradient = _similarity(_gradient(a[..., 0], _SCHARR), _gradient(b[..., 0], _SCHARR), 386)
    chroma = _similarity(a[..., 1], b[..., 1], 130) * _similarity(a[..., 2], b[..., 2], 130)
    # The real part of the power of a number that may be negative.
    chroma = np.where(chroma < 0, np.float32(math.cos(0.02 * math.pi)), 1) * np.abs(chroma) ** np.float32(0.02)
    found = _similarity(salient_a, salient_b, 1.27) * gradient ** np.float32(0.4) * chroma
    weight = np.maximum(salient_a, salient_b)
    if not weight.any():  # nothing salient in flat pictures
        weight = np.ones_like(weight)
    return float(np.average(found, weights=weight.astype(np.float64))), found


def _saliency(x: Floats) -> Floats:
    """SDSP: (H, W, 3) RGB in 0..255 -> (H, W) in 0..1. Band-pass energy, nearness to the centre, warm colours."""
    height, width = x.shape[:2]
    side, omega, sigma_f, sigma_d, sigma_c = 256, 0.021, 1.34, 145.0, 0.001
    down, across = _resizing(height, side), _resizing(width, side)
    lab = _lab(np.stack([down @ plane @ across.T for plane in np.ascontiguousarray(np.moveaxis(x, 2, 0))], axis=2))

    frequency = fft.fftfreq(side)
    radius = np.hypot.outer(frequency, frequency)
    radius[0, 0] = 1  # any number: the mean is taken away below
    band = np.where(radius <= 0.5, np.exp(-(np.log(radius / omega) ** 2) / (2 * sigma_f**2)), 0)
    band[0, 0] = 0
    filtered = fft.ifft2(fft.fft2(lab, axes=(0, 1)) * band[..., None], axes=(0, 1)).real
    energy = np.sqrt((filtered**2).sum(axis=2))

    offset = (np.arange(1, side + 1) - side / 2) ** 2
    centre = np.exp(-np.add.outer(offset, offset) / sigma_d**2)
    warm = 1 - np.exp(-(_stretched(lab[..., 1]) ** 2 + _stretched(lab[..., 2]) ** 2) / sigma_c**2)
    found = (energy * centre * warm).astype(np.float32)
    return _stretched(_resizing(side, height) @ found @ _resizing(side, width).T)


def _stretched(x: Floats) -> Floats:
    """To 0..1; what is constant becomes 0."""
    return (x - x.min()) / (np.ptp(x) or 1)


def _lab(x: Floats) -> Floats:
    """CIELAB of sRGB in 0..255, with the white of D50 but no adaptation to it: as in the authors' program."""
    x = x.astype(np.float64) / 255
    linear = np.where(x <= 0.04045, x / 12.92, (np.maximum(x, 0) + 0.055) ** 2.4 / 1.055**2.4)
    to_xyz = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    xyz = linear @ np.array(to_xyz).T / (0.9642, 1.0, 0.8251)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), (903.3 * xyz + 16) / 116)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=2)


def _resizing(length: int, wanted: int) -> Floats:
    """The matrix (wanted, length) that resizes as MATLAB's imresize: bilinear, widened to shrink, mirrored ends."""
    scale = wanted / length
    wide = max(1.0, 1 / scale)
    at = (np.arange(wanted) + 0.5) / scale - 0.5
    taps = np.floor(at - wide).astype(int)[:, None] + np.arange(math.ceil(2 * wide) + 2)
    weight = np.maximum(0, 1 - np.abs(at[:, None] - taps) / wide)
    weight /= weight.sum(axis=1, keepdims=True)
    taps = np.mod(taps, 2 * length)
    matrix = np.zeros((wanted, length))
    np.add.at(matrix, (np.arange(wanted)[:, None], np.minimum(taps, 2 * length - 1 - taps)), weight)
    return matrix.astype(np.float32)


# ---- frequencies ----------------------------------------------------------------------------------------------------

# How much each of the 8x8 DCT frequencies counts in DSS: the eye's falling sensitivity; below a hundredth, not at all.
_FREQUENCY = np.exp(-np.add.outer((np.arange(8) + 0.5) ** 2, (np.arange(8) + 0.5) ** 2) / (2 * 1.55**2))
_SEEN = _FREQUENCY >= 0.01
_BAND_WEIGHT = _FREQUENCY[_SEEN] / _FREQUENCY[_SEEN].sum()
_NEAR = np.exp(-(np.arange(-1, 2) ** 2) / (2 * 1.5**2))
_NEAR /= _NEAR.sum()


def dss(picture: np.ndarray, reference: np.ndarray) -> float:
    """DCT subband similarity of luma, about 0 to 1, higher is better, 1 for identical; at least 8 pixels a side.

    Blocks of 8x8, never shrunk; rows and columns beyond the last whole block are left out. Sigma 1.55, constants 1000
    and 300; the worst twentieth of the blocks counts, and at least one.

    Source: Balanov et al., "Image quality assessment based on DCT subband similarity", ICIP 2015, `dss_index.m`.
    """
    x, y = (_subbands(luma) for luma in _lumas("DSS", picture, reference, 8))
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


def _subbands(luma: Floats) -> Floats:
    """The 8x8 DCT of blocks side by side, sorted by frequency: (bands, H // 8, W // 8), the blocks' mean first."""
    rows, columns = (n // 8 for n in luma.shape)
    blocks = luma[: rows * 8, : columns * 8].astype(np.float64).reshape(rows, 8, columns, 8)
    return fft.dctn(blocks, axes=(1, 3), norm="ortho").transpose(1, 3, 0, 2)[_SEEN]


def _nearby(x: Floats) -> Floats:
    """Gaussian means of 3x3 in each plane of (bands, H, W); zeros beyond the border."""
    return ndimage.correlate1d(ndimage.correlate1d(x, _NEAR, 1, mode="constant"), _NEAR, 2, mode="constant")


def _worst(maps: Floats) -> Floats:
    """The mean of the lowest twentieth of each plane: (bands, H, W) -> (bands,)."""
    flat = maps.reshape(len(maps), -1)
    count = max(1, math.floor(flat.shape[1] / 20 + 0.5))
    return np.partition(flat, count - 1, axis=1)[:, :count].mean(axis=1)


# ---- shared ---------------------------------------------------------------------------------------------------------


def pair_of(name: str, picture: np.ndarray, reference: np.ndarray, least: int = 1) -> tuple[Floats, Floats]:
    """Both as float32 (H, W, 3) in 0..255. Raises ValueError for pictures that the measure cannot compare."""
    for what in (picture, reference):
        if what.ndim != 3 or what.shape[2] != 3:
            raise ValueError(f"{name}: got shape {what.shape}, want (height, width, 3)")
    (height, width), other = picture.shape[:2], reference.shape[:2]
    if (height, width) != other:
        raise ValueError(
            f"{name}: got a picture of {width}x{height} and a reference of {other[1]}x{other[0]}, want one size"
        )
    if min(height, width) < least:
        raise ValueError(f"{name}: got {width}x{height}, want at least {least} pixels a side")
    return _to_255(name, picture), _to_255(name, reference)


def _to_255(name: str, pixels: np.ndarray) -> Floats:
    if pixels.dtype == np.uint8:
        return pixels.astype(np.float32)
    samples = to_float(pixels)
    if not (samples.min() >= 0 and samples.max() <= 1):  # nan fails too
        raise ValueError(f"{name}: got floats from {samples.min():g} to {samples.max():g}, want 0 to 1")
    return samples * np.float32(255)


def _lumas(name: str, picture: np.ndarray, reference: np.ndarray, least: int) -> tuple[Floats, Floats]:
    """Luma of both, (H, W) in 0..255: of 8-bit pictures in whole numbers."""
    a, b = (x @ _GRAY for x in pair_of(name, picture, reference, least))
    return (
        np.rint(a) if picture.dtype == np.uint8 else a,
        np.rint(b) if reference.dtype == np.uint8 else b,
    )


def _viewing_step(x: Floats) -> int:
    """By how much the authors of most measures shrink a picture, so that it is judged from a usual distance."""
    return max(1, math.floor(min(x.shape[:2]) / 256 + 0.5))


def _shrunk(x: Floats, step: int, border: str = "constant") -> Floats:
    """Means over squares of `step` pixels, of (H, W, ...): conv2(..., 'same')(1:step:end, 1:step:end) in MATLAB.

    The square around every step-th pixel, starting with the first; so the first square reaches beyond the border, where
    there are zeros, or with "symmetric" the picture's mirror image.
    """
    if step == 1:
        return x
    before = (step - 1) // 2
    after = [step * math.ceil(n / step) - n - before for n in x.shape[:2]]
    x = x[tuple(slice(n + min(0, more)) for n, more in zip(x.shape, after, strict=False))]
    pads = [(before, max(0, more)) for more in after] + [(0, 0)] * (x.ndim - 2)
    x = np.pad(x, pads, mode=border)  # type: ignore[call-overload]
    height, width = (n // step for n in x.shape[:2])
    x = x.reshape(height, step, *x.shape[1:]).mean(axis=1)  # one axis at a time is several times as fast
    return x.reshape(height, width, step, *x.shape[2:]).mean(axis=2)


def _similarity(x: Floats, y: Floats, constant: float) -> Floats:
    return (2 * x * y + constant) / (x * x + y * y + constant)


def _mean(x: Floats) -> float:
    return float(x.mean(dtype=np.float64))
