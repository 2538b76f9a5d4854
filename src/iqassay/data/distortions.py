"""The 25 distortion types of KADID-10k at a continuous level 1..5, and chains of them.

Types and level parameters follow KADID-10k (Lin, Hosu, Saupe, "KADID-10k: A Large-scale Artificially Distorted IQA
Database", QoMEX 2019) and its published generator; docs/distortions.md lists every place where we differ and why.

Pictures are float32 arrays (H, W, 3), sRGB in [0, 1], at least 8x8; every function returns a new array of that shape.
The same picture, kind, level and generator state always give the same result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image
from scipy import ndimage
from scipy.interpolate import CubicSpline

from .filters import (
    RGB_FROM_YCC,
    TABLE_STEPS,
    convolve,
    disk,
    from_lab,
    from_pillow,
    gaussian,
    line,
    look_up,
    luma_of,
    through_codec,
    to_lab,
    to_pillow,
    wavelet_denoise,
)

LEVELS = (1, 2, 3, 4, 5)

# The parameter of each kind at the five levels; levels in between are interpolated. Where KADID's first level leaves
# the picture exactly as it was (blur sigma 0.1, motion length 1, saturation factor 1) ours is a mild visible step,
# because a training label "level 1 of X" must never describe an untouched picture.
PARAMETERS: dict[str, tuple[float, float, float, float, float]] = {
    "gaussian_blur": (0.4, 0.6, 1, 2, 5),  # sigma, pixels (KADID: 0.1, 0.5, 1, 2, 5)
    "lens_blur": (1, 2, 4, 6, 8),  # disk radius, pixels
    "motion_blur": (1.5, 2, 4, 6, 10),  # length, pixels, at a random angle (KADID: 1, 2, 4, 6, 10)
    "color_diffusion": (1, 3, 6, 8, 12),  # a: Lab chroma blurred with sigma 1.5 a + 2 and multiplied by a
    "color_shift": (1, 3, 6, 8, 12),  # shift of the green channel near edges, pixels
    "color_quantization": (64, 48, 32, 16, 8),  # colours of the palette
    "color_saturation_1": (0.4, 0.2, 0.1, 0, -0.4),  # factor on HSV saturation; below 0 hues turn to their opposites
    "color_saturation_2": (1.25, 2, 3, 6, 9),  # factor on Lab chroma (KADID: 1, 2, 3, 6, 9)
    "jpeg2000": (16, 32, 45, 120, 400),  # compression ratio
    "jpeg": (43, 36, 24, 7, 4),  # quality
    "white_noise": (0.001, 0.002, 0.003, 0.005, 0.01),  # variance, RGB
    "white_noise_color": (0.0001, 0.0005, 0.001, 0.002, 0.003),  # variance, YCbCr
    "impulse_noise": (0.001, 0.005, 0.01, 0.02, 0.03),  # share of samples turned to 0 or 1
    "multiplicative_noise": (0.001, 0.005, 0.01, 0.02, 0.05),  # variance of the gain
    "denoise": (0.004, 0.012, 0.03, 0.07, 0.15),  # variance of the noise removed (KADID: 0.01, 0.03, 0.05, 0.1, 0.15)
    "brighten": (0.1, 0.2, 0.4, 0.7, 1.1),  # lift of the tone curve at middle grey, doubled
    "darken": (0.05, 0.1, 0.2, 0.4, 0.8),  # drop of the tone curve at middle grey, doubled
    "mean_shift": (0.03, 0.06, 0.09, 0.12, 0.15),  # size of the shift, random sign (KADID: 0.15, 0.08, 0, -0.08, -0.15)
    "jitter": (0.05, 0.1, 0.2, 0.5, 1),  # standard deviation of one of five random displacements, pixels
    "non_eccentricity_patch": (20, 40, 60, 80, 100),  # moved 16x16 patches per 512x384 pixels
    "pixelate": (0.01, 0.05, 0.1, 0.2, 0.5),  # strength s: shrink to 0.95 - s**0.6 and back, nearest neighbour
    "quantization": (20, 16, 13, 10, 7),  # steps per channel
    "color_block": (2, 4, 6, 8, 10),  # flat 32x32 blocks per 512x384 pixels
    "high_sharpen": (1, 2, 3, 6, 12),  # gain of an unsharp mask with sigma 3 on Lab lightness
    "contrast_change": (0.2, 0.4, 0.6, 0.8, 1),  # share of KADID's strongest change, random sign; see _contrast_change
}
KINDS: tuple[str, ...] = tuple(PARAMETERS)

# One kind per group in a chain, and the order in which pictures usually meet them: lens and exposure, then the sensor,
# then editing, then the file. (Spatial damage comes late because it stands for transmission and display.)
GROUPS: dict[str, tuple[str, ...]] = {
    "blur": ("gaussian_blur", "lens_blur", "motion_blur"),
    "brightness": ("brighten", "darken", "mean_shift"),
    "noise": ("white_noise", "white_noise_color", "impulse_noise", "multiplicative_noise", "denoise"),
    "color": ("color_diffusion", "color_shift", "color_quantization", "color_saturation_1", "color_saturation_2"),
    "sharpness": ("high_sharpen", "contrast_change"),
    "spatial": ("jitter", "non_eccentricity_patch", "pixelate", "quantization", "color_block"),
    "compression": ("jpeg2000", "jpeg"),
}
_GROUP_OF = {kind: group for group, kinds in GROUPS.items() for kind in kinds}

KADID_AREA = 512 * 384  # patch counts are per picture of this size


def distort(image: np.ndarray, kind: str, level: float, rng: np.random.Generator) -> np.ndarray:
    """Return `image` with one distortion.

    Args:
        image: float array (H, W, 3), sRGB in [0, 1], at least 8x8. Never changed.
        kind: one of `KINDS`.
        level: strength from 1 (mildest) to 5 (worst), any float between.
        rng: source of every random choice.

    Returns:
        float32 array (H, W, 3) in [0, 1].

    Raises:
        ValueError: on an unknown kind, a level outside 1..5, or an array of another shape.
    """
    return distort_by(image, kind, parameter_at(kind, level), rng)


def distort_by(image: np.ndarray, kind: str, parameter: float, rng: np.random.Generator) -> np.ndarray:
    """`distort` by the kind's own parameter, as in `PARAMETERS`, which may lie beyond its five levels.

    Raises:
        ValueError: on an unknown kind or an array of another shape.
    """
    if image.ndim != 3 or image.shape[2] != 3 or min(image.shape[:2]) < 8:
        raise ValueError(f"got an image of shape {image.shape}, want (H, W, 3) with H and W at least 8")
    if kind not in PARAMETERS:
        raise ValueError(f"got the distortion {kind!r}, want one of: {', '.join(KINDS)}")
    out = _FUNCTIONS[kind](np.asarray(image, dtype=np.float32), parameter, rng)
    return np.ascontiguousarray(np.clip(out, 0, 1), dtype=np.float32)


def parameter_at(kind: str, level: float) -> float:
    """The parameter of `kind` (see `PARAMETERS`) at a level 1..5, interpolated linearly between whole levels."""
    if kind not in PARAMETERS:
        raise ValueError(f"got the distortion {kind!r}, want one of: {', '.join(KINDS)}")
    if not 1 <= level <= 5:
        raise ValueError(f"got the level {level}, want 1 to 5")
    return float(np.interp(level, LEVELS, PARAMETERS[kind]))


def random_chain(rng: np.random.Generator, max_length: int = 3) -> list[tuple[str, float]]:
    """Draw 1..`max_length` distortions, at most one per group, as (kind, level) in the order to apply them.

    Shorter chains are likelier, the first kind is uniform over all 25, and longer chains lean to lower levels so that
    they do not all end in ruin. Six chains in seven follow the order of `GROUPS`; the rest keep the order drawn.
    """
    if not 1 <= max_length <= len(GROUPS):
        raise ValueError(f"got max_length {max_length}, want 1 to {len(GROUPS)}")
    lengths = np.arange(1, max_length + 1)
    weights = 0.6**lengths
    length = int(rng.choice(lengths, p=weights / weights.sum()))
    first = KINDS[rng.integers(len(KINDS))]
    other_groups = [group for group in GROUPS if group != _GROUP_OF[first]]
    chosen = [other_groups[i] for i in rng.permutation(len(other_groups))[: length - 1]]
    kinds = [first] + [GROUPS[group][rng.integers(len(GROUPS[group]))] for group in chosen]
    if rng.random() < 6 / 7:
        order = list(GROUPS)
        kinds.sort(key=lambda kind: order.index(_GROUP_OF[kind]))
    exponent = 1 + 0.3 * (length - 1)
    return [(kind, 1 + 4 * float(rng.random()) ** exponent) for kind in kinds]


def apply_chain(image: np.ndarray, chain: Sequence[tuple[str, float]], rng: np.random.Generator) -> np.ndarray:
    """Apply the (kind, level) pairs of `chain` one after another; an empty chain gives a float32 copy."""
    out = np.array(image, dtype=np.float32, order="C")
    for kind, level in chain:
        out = distort(out, kind, level, rng)
    return out


# --- the 25 kinds: (image, parameter, rng) -> image, not yet clipped ----------------------------------------


def _gaussian_blur(image: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    return gaussian(image, sigma)


def _lens_blur(image: np.ndarray, radius: float, rng: np.random.Generator) -> np.ndarray:
    return convolve(image, disk(round(radius, 1)))


def _motion_blur(image: np.ndarray, length: float, rng: np.random.Generator) -> np.ndarray:
    return convolve(image, line(length, rng.uniform(0, np.pi)))


def _color_diffusion(image: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    lab = to_lab(image)
    lab[..., 1:] = amount * gaussian(lab[..., 1:], 1.5 * amount + 2)
    return from_lab(lab)


def _color_shift(image: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    # Green moves where the picture has edges: the mask is the smoothed gradient of luma.
    luma = luma_of(image)
    edges = gaussian(np.hypot(ndimage.sobel(luma, 0), ndimage.sobel(luma, 1)), 4)
    low, high = np.percentile(edges[::2, ::2], (1, 99))
    mask = np.clip((edges - low) / max(high - low, 1e-6), 0, 1)
    angle = rng.uniform(0, 2 * np.pi)
    dy, dx = (amount * np.array([np.sin(angle), np.cos(angle)])).round().astype(int)
    rows = np.clip(np.arange(image.shape[0]) - dy, 0, image.shape[0] - 1)
    columns = np.clip(np.arange(image.shape[1]) - dx, 0, image.shape[1] - 1)
    out = image.copy()
    green = image[..., 1]
    out[..., 1] = green + mask * (green[rows][:, columns] - green)
    return out


def _color_quantization(image: np.ndarray, colors: float, rng: np.random.Generator) -> np.ndarray:
    # A good palette is slow to find, and hardly another when it sees about 96x96 of the pixels.
    step = 1 + min(image.shape[:2]) // 96
    palette = to_pillow(image[::step, ::step]).quantize(round(colors), method=Image.Quantize.MEDIANCUT, kmeans=1)
    return from_pillow(to_pillow(image).quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG))


def _color_saturation_1(image: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    # In HSV, scaling S with V and hue fixed moves every channel along the line from V (the largest channel).
    value = image.max(axis=2, keepdims=True)
    return value - (value - image) * np.float32(factor)


def _color_saturation_2(image: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    lab = to_lab(image)
    lab[..., 1:] *= factor
    return from_lab(lab)


def _jpeg2000(image: np.ndarray, ratio: float, rng: np.random.Generator) -> np.ndarray:
    return through_codec(image, "JPEG2000", quality_mode="rates", quality_layers=[ratio], irreversible=True, mct=1)


def _jpeg(image: np.ndarray, quality: float, rng: np.random.Generator) -> np.ndarray:
    return through_codec(image, "JPEG", quality=round(quality))


def _white_noise(image: np.ndarray, variance: float, rng: np.random.Generator) -> np.ndarray:
    return image + np.float32(math.sqrt(variance)) * rng.standard_normal(image.shape, dtype=np.float32)


def _white_noise_color(image: np.ndarray, variance: float, rng: np.random.Generator) -> np.ndarray:
    # YCbCr is linear in RGB, so noise added there is the same noise carried to RGB.
    noise = np.float32(math.sqrt(variance)) * rng.standard_normal(image.shape, dtype=np.float32)
    return image + noise @ RGB_FROM_YCC.T


def _impulse_noise(image: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    draw = rng.random(image.shape, dtype=np.float32)
    out = image.copy()
    out[draw < share / 2] = 0
    out[draw > 1 - share / 2] = 1
    return out


def _multiplicative_noise(image: np.ndarray, variance: float, rng: np.random.Generator) -> np.ndarray:
    gain = 1 + np.float32(math.sqrt(variance)) * rng.standard_normal(image.shape, dtype=np.float32)
    return image * gain


def _denoise(image: np.ndarray, variance: float, rng: np.random.Generator) -> np.ndarray:
    noisy = np.clip(_white_noise(image, variance, rng), 0, 1)
    return wavelet_denoise(noisy, math.sqrt(variance))


def _brighten(image: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    # Two parts of the tone curve on RGB and one part on Lab lightness, which keeps some of the colour.
    lab = to_lab(image)
    lab[..., 0] = _tone(lab[..., 0], amount)
    return (2 * _tone(image, amount) + from_lab(lab)) / 3


def _darken(image: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    return _tone(image, -amount)


def _tone(values: np.ndarray, amount: float) -> np.ndarray:
    """The parabola through (0, 0), (1/2, 1/2 + amount/2) and (1, 1), clipped to [0, 1]."""
    return np.clip(values * (1 + np.float32(2 * amount) * (1 - values)), 0, 1)


def _mean_shift(image: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    return image + np.float32(amount if rng.random() < 0.5 else -amount)


def _jitter(image: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    # KADID displaces every pixel five times; two displacements of the same total variance look the same and cost less.
    sigma = np.float32(amount * math.sqrt(5 / 2))
    height, width = image.shape[:2]
    y, x = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)
    for _ in range(2):
        dy, dx = sigma * rng.standard_normal((2, height, width), dtype=np.float32)
        image = _sample(image, y + dy, x + dx)
    return image


def _sample(image: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Bilinear values of the picture at float coordinates (H, W), held at the border."""
    height, width = image.shape[:2]
    y, x = np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
    y0, x0 = np.minimum(y.astype(np.int32), height - 2), np.minimum(x.astype(np.int32), width - 2)
    fy, fx = (y - y0)[..., None], (x - x0)[..., None]
    flat, corner = image.reshape(-1, 3), y0 * width + x0
    top = flat[corner] * (1 - fx) + flat[corner + 1] * fx
    corner += width
    return top * (1 - fy) + (flat[corner] * (1 - fx) + flat[corner + 1] * fx) * fy


def _non_eccentricity_patch(image: np.ndarray, count: float, rng: np.random.Generator) -> np.ndarray:
    out = image.copy()
    height, width = image.shape[:2]
    side, reach = min(16, height // 2, width // 2), 8
    for _ in range(_per_area(count, image)):
        y, x = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
        ny = int(np.clip(y + rng.integers(-reach, reach + 1), 0, height - side))
        nx = int(np.clip(x + rng.integers(-reach, reach + 1), 0, width - side))
        out[ny : ny + side, nx : nx + side] = out[y : y + side, x : x + side].copy()
    return out


def _pixelate(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    height, width = image.shape[:2]
    scale = 0.95 - strength**0.6
    rows, columns = (_nearest(n, max(2, round(n * scale))) for n in (height, width))
    return image[rows][:, columns]


def _nearest(size: int, small: int) -> np.ndarray:
    """Where each of `size` pixels looks after shrinking to `small` pixels and back without interpolation."""
    block = ((np.arange(size) + 0.5) * small / size).astype(int)
    return ((block + 0.5) * size / small).astype(int)


def _quantization(image: np.ndarray, steps: float, rng: np.random.Generator) -> np.ndarray:
    low, high = float(image.min()), float(image.max())
    scale = max(high - low, 1e-6) / (round(steps) - 1)
    return low + np.rint((image - low) / scale) * scale


def _color_block(image: np.ndarray, count: float, rng: np.random.Generator) -> np.ndarray:
    out = image.copy()
    height, width = image.shape[:2]
    side = min(32, height // 2, width // 2)
    for _ in range(_per_area(count, image)):
        y, x = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
        out[y : y + side, x : x + side] = rng.random(3, dtype=np.float32)
    return out


def _per_area(count: float, image: np.ndarray) -> int:
    """The number of patches that keeps KADID's density on a picture of this size, at least one."""
    return max(1, round(count * image.shape[0] * image.shape[1] / KADID_AREA))


def _high_sharpen(image: np.ndarray, gain: float, rng: np.random.Generator) -> np.ndarray:
    lab = to_lab(image)
    lab[..., 0] += gain * (lab[..., 0] - gaussian(lab[..., 0], 3))
    return from_lab(lab)


def _contrast_change(image: np.ndarray, change: float, rng: np.random.Generator) -> np.ndarray:
    # KADID bends a spline through (0.3, 0.25 - c/4), (0.5, 0.5), (0.7, 0.75 + c/4) with c = 0.3, 0.15, 0, -0.4, -0.6.
    # It is the straight line at c = -0.2, so we go from there towards 0.3 (more contrast) or -0.6 (less).
    c = -0.2 + (0.5 * change if rng.random() < 0.5 else -0.4 * change)
    curve = CubicSpline([0, 0.3, 0.5, 0.7, 1], [0, 0.25 - c / 4, 0.5, 0.75 + c / 4, 1])
    table = np.clip(curve(np.linspace(0, 1, TABLE_STEPS + 1)), 0, 1).astype(np.float32)
    return look_up(table, image)


_FUNCTIONS: dict[str, Callable[[np.ndarray, float, np.random.Generator], np.ndarray]] = {
    kind: globals()[f"_{kind}"] for kind in KINDS
}
