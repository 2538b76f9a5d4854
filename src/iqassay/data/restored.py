"""Pictures as codecs and restorers leave them: damage that has no name among the 25 types of KADID-10k.

Modern codecs, enlargement, denoising, deblocking, deconvolution, inpainting, and what learned codecs and restorers do
to texture: smooth it, replace it, invent it. A picture that went through them carries a target score
(`targets.target_score` with no chain) but no distortion type.

Pictures are float32 arrays (H, W, 3), sRGB in [0, 1], at least 8x8, as in `distortions`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, features
from scipy import fft

from .filters import (
    RGB_FROM_YCC,
    YCC_FROM_RGB,
    by_blocks,
    convolve,
    deblur,
    disk,
    edge_preserving,
    fill,
    from_pillow,
    gaussian,
    line,
    local_energy,
    luma_of,
    non_local_means,
    resized,
    shock,
    through_codec,
    to_pillow,
    total_variation,
    wavelet_bands,
    wavelet_denoise,
)

Step = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]  # (image, strength 0..1, rng) -> image, unclipped


def restore_chain(image: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Put `image` through one randomly drawn restoration, often followed by a second, a tone shift or a codec.

    One in four is held back towards the clean picture: good codecs and restorers leave hardly a trace.

    Args:
        image: float array (H, W, 3), sRGB in [0, 1], at least 8x8. Never changed.
        rng: source of every random choice.

    Returns:
        The picture, float32 (H, W, 3) in [0, 1], and the strength in 0..1 that was drawn first. Strengths of different
        restorations do not compare; the quality of the result is for `target_score` to say.

    Raises:
        ValueError: on an array of another shape.
    """
    names = tuple(RESTORATIONS)
    name = names[rng.integers(len(names))]
    strength = float(rng.random())
    out = restore(image, name, strength, rng)
    if rng.random() < 0.2:
        out = restore(out, names[rng.integers(len(names))], float(rng.uniform(0, 0.5)), rng)
    if rng.random() < 0.25:
        out = _partly(np.asarray(image, dtype=np.float32), out, rng.uniform(0.05, 0.6))
    if rng.random() < 0.15:
        out = restore(out, "tone_shifted", float(rng.uniform(0, 0.5)), rng)
    if name not in CODECS and rng.random() < 0.3:  # restored pictures are usually saved as something
        codec = "webp" if rng.random() < 0.3 and "webp" in CODECS else "jpeg"
        out = restore(out, codec, float(rng.uniform(0, 0.5)), rng)
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


def _partly(image: np.ndarray, out: np.ndarray, share: float) -> np.ndarray:
    """The change from `image` to `out`, scaled."""
    return image + np.float32(min(share, 1)) * (out - image)


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


# --- restorers whose mistakes have a look of their own ------------------------------------------------------


def _tv_denoised(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """A little noise, then total variation: flat patches between sharp edges, like a watercolour."""
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    noisy = image + np.float32(rng.choice([0, 0.1]) * strength) * noise
    return total_variation(noisy, 0.01 + 0.19 * strength * strength)


def _averaged(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """A little noise, then non-local means: faint texture averaged away, strong texture left, patchy in between."""
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    noisy = image + np.float32(rng.choice([0, 0.08]) * strength) * noise
    return non_local_means(noisy, 0.006 + 0.1 * strength, spacing=int(rng.integers(1, 3)))


def _misdeblurred(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Blurred by a disk or a line and deblurred (Wiener) with a kernel a bit wrong: echoes beside every edge."""
    size, angle, is_line = rng.uniform(0.7, 1.3), rng.uniform(0, np.pi), rng.random() < 0.5
    wrong = 1 + strength * rng.uniform(0.1, 0.5)
    if is_line:
        size *= 2 + 7 * strength
        true, guess = line(size, angle), line(size * wrong, angle + 0.2 * strength)
    else:
        size *= 0.7 + 1.8 * strength
        true, guess = disk(size), disk(size * wrong)
    blurred = np.rint(convolve(image, true) * 255) / np.float32(255)
    return deblur(blurred, guess, keep=0.01 * 10 ** rng.uniform(0, 0.7))


def _iterated(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Blurred, then Richardson and Lucy's deconvolution with too wide a blur: bright rims, dark moats, beaded lines."""
    sigma = rng.uniform(0.6, 0.8 + 1.2 * strength)
    blurred = np.maximum(gaussian(image, sigma), 0)
    luma = luma_of(blurred)
    sharp, guess = luma, sigma * (1 + 0.4 * strength)
    for _ in range(round(4 + 10 * strength)):
        sharp = sharp * gaussian(luma / np.maximum(gaussian(sharp, guess), 0.01), guess)
    return blurred + (sharp - luma)[..., None]


def _shrunk(image: np.ndarray, factor: float, kernel: Image.Resampling) -> np.ndarray:
    height, width = image.shape[:2]
    return resized(image, max(4, round(height / factor)), max(4, round(width / factor)), kernel)


def _super_resolved(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Shrunk 1.15..4 times, enlarged by iterative back-projection with a shrinking kernel that is only a guess."""
    height, width = image.shape[:2]
    factor = 1.15 * (4 / 1.15) ** strength
    true, guess = (_DOWN[i] for i in rng.integers(len(_DOWN), size=2))
    up, crisp = _UP[rng.integers(len(_UP))], rng.choice([0, 0.8])
    small = _shrunk(image, factor, true)
    out = resized(small, height, width, up)
    for _ in range(4):
        out = out + resized(small - _shrunk(out, factor, guess), height, width, up)
    return shock(out, crisp * strength)  # edge-directed sharpening


def _jagged(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Shrunk, enlarged by repeated pixels and smoothed a little: stairs along slanted edges."""
    height, width = image.shape[:2]
    factor = 1.5 * 2**strength
    stairs = resized(_shrunk(image, factor, Image.Resampling.BOX), height, width, Image.Resampling.NEAREST)
    smooth = gaussian(stairs, rng.uniform(0.2, 0.45) * factor)
    return _partly(image, shock(smooth, rng.choice([0, 0.8])), 0.2 + 1.6 * strength)


def _inpainted(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Blobs, scratches or grid lines filled smoothly from around them or with texture from elsewhere."""
    make_hole, copied, offset = _HOLES[rng.integers(len(_HOLES))], rng.random() < 0.5, rng.integers(12, 60, size=2)
    height, width = image.shape[:2]
    hole = make_hole(height, width, strength, rng)
    out = fill(image, hole)
    if copied:
        elsewhere = np.roll(image, offset, axis=(0, 1))
        out = out + hole[..., None] * (elsewhere - gaussian(elsewhere, 4))
    return _partly(image, out, 0.3 + 1.4 * strength)


def _blobs(height: int, width: int, strength: float, rng: np.random.Generator) -> np.ndarray:
    field = gaussian(rng.standard_normal((height, width), dtype=np.float32), rng.uniform(3, 9))
    return field > np.quantile(field, 1 - 0.003 - 0.25 * strength)


def _scratches(height: int, width: int, strength: float, rng: np.random.Generator) -> np.ndarray:
    picture = Image.new("1", (width, height))
    pen = ImageDraw.Draw(picture)
    for _ in range(round(1 + 40 * strength)):
        ends = rng.uniform(-0.1, 1.1, size=(2, 2)) * (width, height)
        pen.line([tuple(end) for end in ends], fill=1, width=int(rng.integers(1, 3 + round(3 * strength))))
    return np.array(picture)


def _grid(height: int, width: int, strength: float, rng: np.random.Generator) -> np.ndarray:
    period, thick = round(8 + 56 * (1 - strength) ** 2), 1 + round(strength)
    rows, columns = (np.arange(n) % period < thick for n in (height, width))
    return rows[:, None] | columns


_HOLES = (_blobs, _scratches, _grid)


def _cleaned(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Strong JPEG or WebP, cleaned by total variation or non-local means, then crisped: smooth, clean, a bit dead."""
    if rng.random() < 0.5 and "webp" in CODECS:
        coded = _webp(image, 0.05 + 0.9 * strength, rng)
    else:
        coded = through_codec(image, "JPEG", quality=round(92 * 0.12**strength))
    if rng.random() < 0.5:
        clean = total_variation(coded, 0.005 + 0.06 * strength)
    else:
        clean = non_local_means(coded, 0.005 + 0.06 * strength)
    return shock(clean, 0.6 * strength) if rng.random() < 0.5 else _unsharp(clean, 1.2, 0.8 * strength)


# --- what learned codecs and restorers do to texture --------------------------------------------------------


def _learned_codec(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Transform coding without seams: small coefficients dropped, others shrunk and rounded, fine ones most.

    Some decoders give texture back at the right strength but of another shape: what was lost returns with random
    signs, by a random share.
    """
    size = int(rng.choice([8, 16]))
    row, column = np.mgrid[:size, :size] / size
    step = 0.008 * 30**strength * (0.4 + rng.uniform(0.5, 2) * np.hypot(row, column)).astype(np.float32)
    given_back = rng.choice([0, rng.uniform(0.3, 1)])

    def coded(plane: np.ndarray, given_back: float) -> np.ndarray:
        def code(coefficients: np.ndarray) -> np.ndarray:
            whole = np.floor(np.abs(coefficients) / step + np.float32(0.35))  # below 0.65 of a step: the dead zone
            kept = np.sign(coefficients) * np.maximum(whole - np.float32(0.1), 0) * step
            signs = rng.integers(0, 2, coefficients.shape, dtype=np.int8) * np.int8(2) - np.int8(1)
            return kept + np.float32(given_back) * signs * (coefficients - kept)

        smooth = gaussian(plane, size / 4)  # arrives whole: coarse rounding of it would show the blocks
        return smooth + by_blocks(plane - smooth, size, code)

    height, width = image.shape[:2]
    luma, *chroma = np.moveaxis(image @ YCC_FROM_RGB.T, -1, 0)
    half = (-(-height // 2), -(-width // 2))  # colour is coded at half size, and none is invented
    colours = [resized(coded(resized(plane, *half), 0), height, width) for plane in chroma]
    return np.stack([coded(luma, given_back), *colours], axis=-1) @ RGB_FROM_YCC.T


def _texture_replaced(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Fine texture turned into other texture of the same local energy in each wavelet band; strong edges stay.

    The other texture is noise or the picture's own, from elsewhere and mirrored. Looks plausible, is wrong pixelwise.
    """
    luma = luma_of(image)
    other = _other_texture(luma, rng)
    angle = np.float32(np.pi / 2) * _texture_share(luma) * np.float32(0.1 + 0.9 * strength)
    fits = _texture_share(other)
    change = np.zeros_like(luma)
    pairs = zip(wavelet_bands(luma, 3)[:3], wavelet_bands(other, 3)[:3], (1, 1, strength), strict=True)
    for own, foreign, turn in pairs:  # a turn by cosine and sine keeps the energy
        part = angle * np.float32(turn)
        change += (np.cos(part) - 1) * own + np.sin(part) * fits * _as_strong(foreign, own)
    return image + change[..., None]


def _other_texture(luma: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise, or the plane itself mirrored and moved."""
    if rng.random() < 0.5:
        return np.float32(0.02) * rng.standard_normal(luma.shape, dtype=np.float32)
    return np.roll(luma[:, ::-1], rng.integers(0, luma.shape, size=2), axis=(0, 1))


def _as_strong(detail: np.ndarray, model: np.ndarray) -> np.ndarray:
    """`detail` with the local energy of `model`; dots that stand out are held down."""
    even = np.clip(detail / (local_energy(detail, 3) + np.float32(1e-3)), -2.5, 2.5)
    return even * local_energy(model, 3)


def _texture_share(luma: np.ndarray) -> np.ndarray:
    """1 in texture, towards 0 at strong edges: gradients that survive a blur are edges."""
    down, across = np.gradient(gaussian(luma, 1.5))
    edge = gaussian(down**2 + across**2, 1.5)
    return np.float32(0.03**2) / (np.float32(0.03**2) + edge)


def _detail_invented(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Shrunk and enlarged, then given new fine detail, up to more than there was, and crisp edges."""
    soft = _enlarge(image, 0.7 * strength, rng)
    luma = luma_of(image)
    lost = wavelet_bands(luma - luma_of(soft), 2)
    other = wavelet_bands(_other_texture(luma, rng), 2)
    gain = np.float32(rng.uniform(0.3, 0.7 + 0.8 * strength))
    invented = gain * (_as_strong(other[0], lost[0]) + _as_strong(other[1], lost[1]))
    crisp = shock(soft, strength * rng.uniform(0.3, 1))
    return _partly(image, crisp + (_texture_share(luma) * invented)[..., None], 0.4 + 1.2 * strength)


def _checkerboard(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """The grid of 2, 4 or 8 pixels that transposed convolutions leave, stronger where there is detail."""
    period = int(rng.choice([2, 4, 8]))
    tile = rng.standard_normal((period, period, 1)) + 0.3 * rng.standard_normal((period, period, 3))
    tile = (tile - tile.mean()) / tile.std()
    height, width = image.shape[:2]
    grid = np.tile(tile.astype(np.float32), (-(-height // period), -(-width // period), 1))[:height, :width]
    luma = luma_of(image)
    detail = local_energy(luma - gaussian(luma, 2), 3)
    soft = gaussian(image, 0.3 + 0.6 * strength)  # as enlargement leaves it
    return soft + grid * ((0.03 + 0.5 * strength) * detail + 0.015 * strength)[..., None].astype(np.float32)


def _colour_bled(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Colour kept at 1/2 to 1/8 of the size: it runs over edges, or snaps to wrong ones when guided by luma."""
    height, width = image.shape[:2]
    factor = 2 * 4**strength
    ycc = image @ YCC_FROM_RGB.T
    small = _shrunk(ycc[..., 1:], factor, Image.Resampling.BOX)
    ycc[..., 1:] = resized(small, height, width, _UP[rng.integers(len(_UP))])
    if rng.random() < 0.4:
        guided = edge_preserving(ycc @ RGB_FROM_YCC.T, radius=round(factor), softness=0.03)
        ycc[..., 1:] = guided @ YCC_FROM_RGB[1:].T
    return ycc @ RGB_FROM_YCC.T


def _tone_shifted(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Gamma, contrast, saturation and white balance slightly off, as networks trained without a colour term leave."""
    gamma, contrast, saturation, *balance = rng.choice([-1, 1], 6) * rng.uniform(0.3, 1, 6) * (0.01 + 0.14 * strength)
    out = np.maximum(image, 0) ** np.float32(1 + gamma)
    luma = luma_of(out)[..., None]
    out = luma + np.float32(1 + saturation) * (out - luma)
    out = out * (1 + 0.4 * np.asarray(balance, dtype=np.float32))
    mean = out.mean(axis=(0, 1))
    return mean + np.float32(1 + contrast) * (out - mean)


_STEPS = (
    *(_webp, _avif, _enlarge, _enlarge_sharpened, _denoised, _deblocked, _deconvolved, _oversharpened, _smoothed),
    *(_texture_erased, _tv_denoised, _averaged, _misdeblurred, _iterated, _super_resolved, _jagged, _inpainted),
    *(_cleaned, _learned_codec, _texture_replaced, _detail_invented, _checkerboard, _colour_bled, _tone_shifted),
)
RESTORATIONS: dict[str, Step] = {step.__name__.removeprefix("_"): step for step in _STEPS}
CODECS = tuple(codec for codec in ("webp", "avif") if codec in features.modules and features.check(codec))
for _absent in {"webp", "avif"}.difference(CODECS):  # a Pillow built without the codec
    del RESTORATIONS[_absent]
