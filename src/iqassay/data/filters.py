"""Colour spaces, filters and codecs that the distortions and restorations are made of.

Pictures are float32 arrays (H, W, 3), sRGB in [0, 1]; every filter mirrors the picture at its border.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image
from scipy import fft, ndimage

# --- colour spaces ------------------------------------------------------------------------------------------
# Tables instead of powers: a Lab round trip of 512x512 costs about 15 ms rather than 60. 16 bits are finer than any
# 8-bit picture can show.

TABLE_STEPS = 65535
_RAMP = np.linspace(0, 1, TABLE_STEPS + 1)
_LINEAR_FROM_SRGB = np.where(_RAMP <= 0.04045, _RAMP / 12.92, ((_RAMP + 0.055) / 1.055) ** 2.4).astype(np.float32)
_SRGB_FROM_LINEAR = np.where(_RAMP <= 0.0031308, 12.92 * _RAMP, 1.055 * _RAMP ** (1 / 2.4) - 0.055).astype(np.float32)
_KNEE = 6 / 29  # CIE Lab: a cube root above the cube of this, a straight line below
_LAB_ROOT = np.where(_RAMP > _KNEE**3, np.cbrt(_RAMP), _RAMP / (3 * _KNEE**2) + 4 / 29).astype(np.float32)

_XYZ_FROM_RGB = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_XYZ_FROM_RGB /= _XYZ_FROM_RGB.sum(axis=1, keepdims=True)  # divided by the D65 white point, so that white is (1, 1, 1)
_RGB_FROM_XYZ = np.linalg.inv(_XYZ_FROM_RGB).astype(np.float32)
_XYZ_FROM_RGB = _XYZ_FROM_RGB.astype(np.float32)
YCC_FROM_RGB = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], dtype=np.float32
)
RGB_FROM_YCC = np.linalg.inv(YCC_FROM_RGB).astype(np.float32)


def look_up(table: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values in [0, 1] (clipped) through a curve given as TABLE_STEPS + 1 entries."""
    return table[(np.clip(values, 0, 1) * TABLE_STEPS + 0.5).astype(np.uint16)]


def to_lab(image: np.ndarray) -> np.ndarray:
    """sRGB -> (H, W, 3): L in 0..1 (not 0..100), a and b on the same scale (divided by 100)."""
    root = look_up(_LAB_ROOT, look_up(_LINEAR_FROM_SRGB, image) @ _XYZ_FROM_RGB.T)
    x, y, z = root[..., 0], root[..., 1], root[..., 2]
    return np.stack([1.16 * y - 0.16, 5 * (x - y), 2 * (y - z)], axis=-1)


def from_lab(lab: np.ndarray) -> np.ndarray:
    """The inverse of `to_lab`; colours outside sRGB are clipped."""
    y = (lab[..., 0] + 0.16) / 1.16
    root = np.stack([y + lab[..., 1] / 5, y, y - lab[..., 2] / 2], axis=-1)
    xyz = np.where(root > _KNEE, root**3, np.float32(3 * _KNEE**2) * (root - np.float32(4 / 29)))
    return look_up(_SRGB_FROM_LINEAR, xyz @ _RGB_FROM_XYZ.T)


def luma_of(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) -> (H, W): BT.601 luma."""
    return image @ YCC_FROM_RGB[0]


# --- filters ------------------------------------------------------------------------------------------------


def gaussian(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur over the first two axes, mirrored at the border, at a cost that does not grow with sigma."""
    if sigma < 1:
        return ndimage.gaussian_filter(image, (sigma, sigma, 0)[: image.ndim], mode="reflect", truncate=4)
    # A cosine transform is a Fourier transform of the mirrored picture: blur is one multiplication.
    rows, columns = (np.exp(-0.5 * (sigma * np.pi * np.arange(n, dtype=np.float32) / n) ** 2) for n in image.shape[:2])
    gain = np.multiply.outer(rows, columns)
    spectrum = fft.dctn(image, axes=(0, 1), norm="ortho")
    spectrum *= gain if image.ndim == 2 else gain[..., None]
    return fft.idctn(spectrum, axes=(0, 1), norm="ortho", overwrite_x=True)


def convolve(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Convolve each channel with a small odd-sized kernel, mirrored at the border."""
    height, width = image.shape[:2]
    ry, rx = kernel.shape[0] // 2, kernel.shape[1] // 2
    padded = np.pad(image, ((ry, ry), (rx, rx), (0, 0)), mode="symmetric")
    size = [fft.next_fast_len(n, real=True) for n in padded.shape[:2]]
    spectrum = fft.rfft2(padded, s=size, axes=(0, 1))
    spectrum *= fft.rfft2(kernel.astype(np.float32), s=size)[..., None]
    full = fft.irfft2(spectrum, s=size, axes=(0, 1))
    return full[2 * ry : 2 * ry + height, 2 * rx : 2 * rx + width]


@lru_cache(maxsize=64)
def disk(radius: float) -> np.ndarray:
    """Area of each pixel covered by a disk, by 9x9 samples per pixel."""
    reach = math.ceil(radius)
    fine = (np.arange((2 * reach + 1) * 9) + 0.5) / 9 - reach - 0.5
    inside = np.add.outer(fine**2, fine**2) <= radius**2
    kernel = inside.reshape(2 * reach + 1, 9, 2 * reach + 1, 9).mean(axis=(1, 3))
    return kernel / kernel.sum()


def deblur(image: np.ndarray, kernel: np.ndarray, keep: float) -> np.ndarray:
    """Wiener's inverse of `convolve` with a small odd-sized kernel; a larger `keep` (about 0.01) amplifies less."""
    height, width = image.shape[:2]
    mirrored = np.pad(image, ((0, height), (0, width), (0, 0)), mode="symmetric")  # no jump where it wraps round
    size = mirrored.shape[:2]
    around = [(np.arange(k) - k // 2) % n for k, n in zip(kernel.shape, size, strict=True)]
    centred = np.zeros(size, np.float32)
    np.add.at(centred, np.ix_(*around), kernel.astype(np.float32))
    response = fft.rfft2(centred)
    inverse = np.conj(response) * np.float32(1 + keep) / (np.abs(response) ** 2 + np.float32(keep))
    spectrum = fft.rfft2(mirrored, axes=(0, 1)) * inverse[..., None]
    return fft.irfft2(spectrum, s=size, axes=(0, 1))[:height, :width]


def line(length: float, angle: float) -> np.ndarray:
    """A one-pixel-wide line of the given length through the centre; weights fall off linearly with distance."""
    half = (length - 1) / 2
    reach = math.ceil(half) + 1
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    along = x * math.cos(angle) + y * math.sin(angle)
    across = y * math.cos(angle) - x * math.sin(angle)
    distance = np.hypot(across, np.maximum(np.abs(along) - half, 0))
    kernel = np.maximum(1 - distance, 0)
    return kernel / kernel.sum()


def to_pillow(image: np.ndarray) -> Image.Image:
    """Rounded to 8 bits."""
    return Image.fromarray((np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8))


def from_pillow(picture: Image.Image) -> np.ndarray:
    """float32 (H, W, 3) in [0, 1]."""
    return np.asarray(picture.convert("RGB"), dtype=np.float32) / 255


def through_codec(image: np.ndarray, codec: str, **options: object) -> np.ndarray:
    """Encode and decode with a Pillow codec ("JPEG", "JPEG2000", "WEBP", "AVIF"): what the file would show."""
    buffer = io.BytesIO()
    to_pillow(image).save(buffer, codec, **options)
    buffer.seek(0)
    with Image.open(buffer) as picture:
        return from_pillow(picture)


def resized(
    image: np.ndarray, height: int, width: int, kernel: Image.Resampling = Image.Resampling.BICUBIC
) -> np.ndarray:
    """A float32 image, (H, W) or (H, W, C), at another size; unrounded, and sharp kernels overshoot."""

    def plane(values: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(np.ascontiguousarray(values, np.float32)).resize((width, height), kernel))

    return plane(image) if image.ndim == 2 else np.stack([plane(p) for p in np.moveaxis(image, -1, 0)], axis=-1)


# --- texture ------------------------------------------------------------------------------------------------


def wavelet_bands(image: np.ndarray, scales: int) -> list[np.ndarray]:
    """Detail from fine to coarse (undecimated wavelets) and, last, the smooth rest. Their sum is `image`."""
    bands = []
    for scale in range(scales):
        coarse = _spread(_spread(image, 2**scale, 0), 2**scale, 1)
        bands.append(image - coarse)
        image = coarse
    return [*bands, image]


def local_energy(detail: np.ndarray, radius: int) -> np.ndarray:
    """Root mean square of a plane (H, W) in a square window around each pixel."""
    return np.sqrt(np.maximum(ndimage.uniform_filter(detail * detail, 2 * radius + 1, mode="reflect"), 0))


def by_blocks(plane: np.ndarray, size: int, edit: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """`edit` the cosine transforms of the half-overlapping `size` x `size` blocks of a plane (H, W): no seams.

    `edit` gets and gives (rows of blocks, columns of blocks, size, size); left alone, the plane comes back.
    """
    half = size // 2
    height, width = plane.shape
    padded = np.pad(plane, [(half, half + -n % half) for n in plane.shape], mode="symmetric")
    window = np.sin(np.pi * (np.arange(size, dtype=np.float32) + 0.5) / size)  # squares of two neighbours sum to 1
    window = np.multiply.outer(window, window)
    blocks = np.lib.stride_tricks.sliding_window_view(padded, (size, size))[::half, ::half] * window
    blocks = edit(fft.dctn(blocks, axes=(2, 3), norm="ortho", overwrite_x=True))
    blocks = fft.idctn(blocks, axes=(2, 3), norm="ortho", overwrite_x=True) * window
    out = np.zeros_like(padded)
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        tiles = blocks[i::2, j::2]
        rows, columns = tiles.shape[0] * size, tiles.shape[1] * size
        top, left = i * half, j * half
        out[top : top + rows, left : left + columns] += tiles.transpose(0, 2, 1, 3).reshape(rows, columns)
    return out[half : half + height, half : half + width]


def shock(image: np.ndarray, share: float) -> np.ndarray:
    """Crisper edges without halos (Osher and Rudin's shock filter on luma): each pixel joins the side it leans to."""
    luma = luma_of(image)
    lean = ndimage.laplace(gaussian(luma, 1.2), mode="reflect")
    crisp = np.where(lean < 0, ndimage.maximum_filter(luma, 3), ndimage.minimum_filter(luma, 3))
    return image + np.float32(share) * (crisp - luma)[..., None]


def fill(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Fill the True pixels of `hole` (H, W) smoothly from around them, from coarse to fine."""
    height, width = hole.shape
    planes = np.concatenate([image, np.ones_like(image[..., :1])], axis=-1) * ~hole[..., None]
    out = np.broadcast_to(planes[..., :3].sum(axis=(0, 1)) / max(planes[..., 3].sum(), 1), image.shape)
    for factor in (32, 16, 8, 4, 2):
        small = resized(planes, -(-height // factor), -(-width // factor), Image.Resampling.BOX)
        near = resized(small, height, width, Image.Resampling.BILINEAR)
        share = np.clip(3 * near[..., 3:], 0, 1)
        out = out + share * (near[..., :3] / np.maximum(near[..., 3:], 1e-3) - out)
    return np.where(hole[..., None], out, image)


# --- smoothers ----------------------------------------------------------------------------------------------


def wavelet_denoise(image: np.ndarray, sigma: float, strength: float = 2.5, scales: int = 4) -> np.ndarray:
    """Smooth away white noise of deviation `sigma`: undecimated wavelet thresholding in YCbCr, colour harder than luma.

    Like any strong denoiser it keeps edges, loses texture and leaves faint blotches. It stands in for the network that
    KADID-10k used; that one is better, so our milder levels start from less noise.
    """
    *details, kept = wavelet_bands(image @ YCC_FROM_RGB.T, scales)
    channel_sigma = sigma * np.linalg.norm(YCC_FROM_RGB, axis=1) * np.array([1, 1.5, 1.5])
    for scale, detail in enumerate(details):
        # A single clipped sample at the finest scale would survive as a dot, hence the higher bar there.
        limit = strength * (1.6 if scale == 0 else 1) * _noise_share(scale) * channel_sigma
        detail[np.abs(detail) < limit.astype(np.float32)] = 0
        kept += detail
    return kept @ RGB_FROM_YCC.T


def _spread(image: np.ndarray, step: int, axis: int) -> np.ndarray:
    """Weighted mean (1, 2, 1)/4 of pixels `step` apart along one axis, mirrored at the border."""
    n = image.shape[axis]
    position = np.arange(n)
    before = np.abs(position - step) % (2 * n)
    after = (position + step) % (2 * n)
    before, after = np.minimum(before, 2 * n - 1 - before), np.minimum(after, 2 * n - 1 - after)
    return (np.take(image, before, axis) + np.take(image, after, axis)) * np.float32(0.25) + image * np.float32(0.5)


@lru_cache(maxsize=16)
def _noise_share(scale: int) -> float:
    """Standard deviation of the detail of one scale when the picture is white noise of deviation 1."""
    dot = np.zeros((129, 129), np.float32)
    dot[64, 64] = 1
    return float(np.sqrt((wavelet_bands(dot, scale + 1)[scale] ** 2).sum()))


def edge_preserving(image: np.ndarray, radius: int, softness: float) -> np.ndarray:
    """Guided filter (He et al., 2010) guided by luma: smooths where luma varies by less than about `softness`."""

    def mean(x: np.ndarray) -> np.ndarray:
        axes = (2 * radius + 1, 2 * radius + 1, 1)[: x.ndim]
        return ndimage.uniform_filter(x, axes, mode="reflect")

    guide = luma_of(image)
    mean_guide, mean_image = mean(guide), mean(image)
    variance = np.maximum(mean(guide * guide) - mean_guide**2, 0)
    covariance = mean(guide[..., None] * image) - mean_guide[..., None] * mean_image
    slope = covariance / (variance + np.float32(softness**2))[..., None]
    offset = mean_image - slope * mean_guide[..., None]
    return mean(slope) * guide[..., None] + mean(offset)


def total_variation(image: np.ndarray, weight: float, steps: int = 10) -> np.ndarray:
    """Total-variation denoising (Chambolle, 2004): flat pieces and sharp edges; `weight` is in units of the pixels."""
    scaled = np.ascontiguousarray(np.moveaxis(image, -1, 0)) / np.float32(weight)  # this layout: 10x as fast
    down, across = np.zeros_like(scaled), np.zeros_like(scaled)

    def divergence() -> np.ndarray:
        out = down + across
        out[:, 1:] -= down[:, :-1]
        out[:, :, 1:] -= across[:, :, :-1]
        return out

    for _ in range(steps):
        slope = (divergence() - scaled) * np.float32(0.24)  # 0.25 is where it stops converging
        down[:, :-1] += slope[:, 1:] - slope[:, :-1]
        across[:, :, :-1] += slope[:, :, 1:] - slope[:, :, :-1]
        # Held inside the unit ball over both directions and all channels: colours share their edges.
        length = np.maximum(1, np.sqrt(sum(d[i] * d[i] for d in (down, across) for i in range(3))))
        down /= length
        across /= length
    return image - np.float32(weight) * np.moveaxis(divergence(), 0, -1)


def non_local_means(image: np.ndarray, softness: float, spacing: int = 1) -> np.ndarray:
    """Each pixel averaged with those of 24 others, `spacing` apart, whose 3x3 surroundings differ by < `softness`."""
    reach = 2 * spacing
    height, width = image.shape[:2]
    padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="symmetric")
    guide = luma_of(padded)
    planes = np.ascontiguousarray(np.moveaxis(padded, -1, 0))  # channels first: 3x as fast
    centre = slice(reach, reach + height), slice(reach, reach + width)
    total, weights = np.zeros((3, height, width), np.float32), np.zeros((height, width), np.float32)
    for dy in range(0, 2 * reach + 1, spacing):
        for dx in range(0, 2 * reach + 1, spacing):
            place = slice(dy, dy + height), slice(dx, dx + width)
            apart = ndimage.uniform_filter((guide[place] - guide[centre]) ** 2, 3, mode="reflect")
            weight = np.exp(apart * np.float32(-1 / softness**2))
            total += weight * planes[:, place[0], place[1]]
            weights += weight
    return np.moveaxis(total / weights, 0, -1)
