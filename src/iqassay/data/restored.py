"""Pictures as codecs and restorers leave them: damage that has no name among the 25 types of KADID-10k.

Modern codecs, enlargement, denoising, deblocking, deconvolution and edge-preserving smoothing. A picture that went
through them carries a target score (`targets.target_score` with no chain) but no distortion type.

Pictures are float32 arrays (H, W, 3), sRGB in [0, 1], at least 8x8, as in `distortions`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter, features
from scipy import fft

from .filters import edge_preserving, from_pillow, gaussian, through_codec, to_pillow, wavelet_denoise

Step = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]  # (image, strength 0..1, rng) -> image, unclipped


def restore_chain(image: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Put `image` through one randomly drawn restoration, and sometimes through a mild codec after it.

    Args:
        image: float array (H, W, 3), sRGB in [0, 1], at least 8x8. Never changed.
        rng: source of every random choice.

    Returns:
        The picture, float32 (H, W, 3) in [0, 1], and the strength in 0..1 that was drawn. Strengths of different
        restorations do not compare; the quality of the result is for `target_score` to say.

    Raises:
        ValueError: on an array of another shape.
    """
    name = tuple(RESTORATIONS)[rng.integers(len(RESTORATIONS))]
    strength = float(rng.random())
    out = restore(image, name, strength, rng)
    if name not in CODECS and rng.random() < 0.3:  # restored pictures are usually saved as something
        out = restore(out, "webp" if rng.random() < 0.3 else "jpeg", float(rng.uniform(0, 0.5)), rng)
    return out, strength


def restore(image: np.ndarray, name: str, strength: float, rng: np.random.Generator) -> np.ndarray:
    """One of `RESTORATIONS` (or "jpeg") at a strength from 0 (hardly visible) to 1 (plainly bad); float32 in [0, 1].

    Raises:
        ValueError: on an unknown name, a strength outside 0..1 or an array of another shape.
    """
    if name != "jpeg" and name not in RESTORATIONS:
        raise ValueError(f"got the restoration {name!r}, want one of: jpeg, {', '.join(RESTORATIONS)}")
    if not 0 <= strength <= 1:
        raise ValueError(f"got the strength {strength}, want 0 to 1")
    if image.ndim != 3 or image.shape[2] != 3 or min(image.shape[:2]) < 8:
        raise ValueError(f"got an image of shape {image.shape}, want (H, W, 3) with H and W at least 8")
    step = _jpeg if name == "jpeg" else RESTORATIONS[name]
    out = step(np.asarray(image, dtype=np.float32), strength, rng)
    return np.ascontiguousarray(np.clip(out, 0, 1), dtype=np.float32)


def _jpeg(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    # 4:4:4 or 4:2:0, as phones and editors write it; the KADID type goes lower, to quality 4.
    return through_codec(image, "JPEG", quality=round(92 - 72 * strength), subsampling=int(rng.choice([0, 2])))


def _webp(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    return through_codec(image, "WEBP", quality=round(95 * (1 - strength) ** 1.5), method=2)


def _avif(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    return through_codec(image, "AVIF", quality=round(4 + 86 * (1 - strength) ** 1.2), speed=9, max_threads=1)


_DOWN = (Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)
_UP = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)


def _enlarge(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Shrunk 1.3..6 times and enlarged back."""
    height, width = image.shape[:2]
    factor = 1.3 * (6 / 1.3) ** strength
    small = (max(4, round(width / factor)), max(4, round(height / factor)))
    picture = to_pillow(image).resize(small, _DOWN[rng.integers(len(_DOWN))])
    return from_pillow(picture.resize((width, height), _UP[rng.integers(len(_UP))]))


def _enlarge_sharpened(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Enlarged, then sharpened until it looks crisp: soft texture between haloed edges."""
    return _unsharp(_enlarge(image, strength * 0.8, rng), rng.uniform(0.8, 2.5), 0.6 + 1.6 * strength)


def _unsharp(image: np.ndarray, sigma: float, gain: float) -> np.ndarray:
    return image + np.float32(gain) * (image - gaussian(image, sigma))


def _denoised(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Sensor-like noise (stronger in the light, some of it in colour only), removed a little too well or not enough."""
    sigma = 0.015 + 0.13 * strength
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    if rng.random() < 0.4:  # demosaicking spreads the noise over neighbours
        noise = 2 * gaussian(noise, 0.7)
    noisy = np.clip(image + np.float32(sigma) * (0.5 + image) * noise, 0, 1)
    method = rng.integers(3)
    if method == 0:
        return wavelet_denoise(noisy, sigma, strength=rng.uniform(1.5, 3.5))
    if method == 1:
        return from_pillow(to_pillow(noisy).filter(ImageFilter.MedianFilter(3 if strength < 0.5 else 5)))
    return edge_preserving(noisy, radius=int(rng.integers(2, 5)), softness=sigma * rng.uniform(1.5, 4))


def _deblocked(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """A low-quality JPEG smoothed so that its blocks no longer show."""
    blocky = through_codec(image, "JPEG", quality=round(60 * (0.1 ** (0.9 * strength))))
    smooth = edge_preserving(blocky, radius=int(rng.integers(2, 5)), softness=0.02 + 0.07 * strength)
    return _unsharp(smooth, 1.5, 0.6) if rng.random() < 0.3 else smooth


def _deconvolved(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Blurred, then sharpened by an inverse filter that guesses the blur too wide: ringing along every edge."""
    sigma = rng.uniform(0.8, 1.2 + 1.6 * strength)
    blurred = np.rint(np.clip(gaussian(image, sigma), 0, 1) * 255) / np.float32(255)
    guess = sigma * (1 + 0.35 * strength)
    rows, columns = (np.exp(-0.5 * (guess * np.pi * np.arange(n, dtype=np.float32) / n) ** 2) for n in image.shape[:2])
    blur = np.multiply.outer(rows, columns)[..., None]
    keep = np.float32(0.02 * 10 ** rng.uniform(0, 0.7))  # what holds the noise down
    spectrum = fft.dctn(blurred, axes=(0, 1), norm="ortho")
    spectrum *= blur * (1 + keep) / (blur * blur + keep)
    return fft.idctn(spectrum, axes=(0, 1), norm="ortho", overwrite_x=True)


def _oversharpened(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Slightly blurred, then unsharp-masked too hard."""
    sigma = rng.uniform(0.6, 0.8 + 1.4 * strength)
    return _unsharp(gaussian(image, sigma), sigma * rng.uniform(1, 2), 1 + 3 * strength)


def _smoothed(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Beauty-filter smoothing: edges stay, skin and leaves turn to wax."""
    return edge_preserving(image, radius=int(rng.integers(3, 8)), softness=0.02 + 0.13 * strength)


def _texture_erased(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Fine detail below a contrast is gone, what is left is crisp: painted-looking, as from a generative restorer."""
    out = wavelet_denoise(image, 0.012 + 0.07 * strength, strength=3, scales=3)
    out = edge_preserving(out, radius=2, softness=0.02 + 0.05 * strength)
    return _unsharp(out, 1, 0.5 + 0.7 * strength)


RESTORATIONS: dict[str, Step] = {
    "webp": _webp,
    "avif": _avif,
    "enlarge": _enlarge,
    "enlarge_sharpened": _enlarge_sharpened,
    "denoised": _denoised,
    "deblocked": _deblocked,
    "deconvolved": _deconvolved,
    "oversharpened": _oversharpened,
    "smoothed": _smoothed,
    "texture_erased": _texture_erased,
}
CODECS = tuple(codec for codec in ("webp", "avif") if codec in features.modules and features.check(codec))
for _absent in {"webp", "avif"}.difference(CODECS):  # a Pillow built without the codec
    del RESTORATIONS[_absent]
