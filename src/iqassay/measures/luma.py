"""PSNR and SSIM of studio luma, as papers on super-resolution report them; `--shave` cuts the borders they leave out.

Luma is Y of BT.601 from 16 to 235, MATLAB's rgb2ycbcr, and not rounded, as BasicSR has it. Both functions take what
those of `iqassay.measures.classical` take, and raise as they do.
"""

from __future__ import annotations

import math

import numpy as np

from iqassay.measures.classical import MAX_PSNR, SSIM_RADIUS, Compared, Floats, pair_of, ssim_maps

_STUDIO = np.array([65.481, 128.553, 24.966], np.float32) / np.float32(255)


def psnr_y(picture: np.ndarray, reference: np.ndarray) -> float:
    """PSNR of luma in dB, 0 to 100, higher is better; the peak is 255. Identical pictures get 100."""
    a, b = _lumas("PSNR-Y", picture, reference)
    error = float(np.mean(np.square(a - b), dtype=np.float64))
    return min(MAX_PSNR, 10 * math.log10(255**2 / error)) if error else MAX_PSNR


def ssim_y(picture: np.ndarray, reference: np.ndarray) -> float:
    """SSIM of luma, -1 to 1, higher is better, 1 for identical; at least 11 pixels a side. Not shrunk: a Gaussian
    window of 11x11 pixels and sigma 1.5 where it lies inside, K 0.01 and 0.03 of 255.
    """
    return ssim_y_with_map(picture, reference)[0]


def ssim_y_with_map(picture: np.ndarray, reference: np.ndarray) -> Compared:
    """The value and the map of `ssim_y`."""
    luminance, structure = ssim_maps(*_lumas("SSIM-Y", picture, reference, 2 * SSIM_RADIUS + 1))
    found = luminance * structure
    return float(found.mean(dtype=np.float64)), found


def _lumas(name: str, picture: np.ndarray, reference: np.ndarray, least: int = 1) -> tuple[Floats, Floats]:
    a, b = pair_of(name, picture, reference, least)
    return a @ _STUDIO + np.float32(16), b @ _STUDIO + np.float32(16)
