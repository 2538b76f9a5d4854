"""The middle of a picture, at native pixels: for sets whose quality shrinking would change."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from iqassay.pictures.image import read_image

NATIVE = (480, 640)  # pixels: height and width of what is taken of a large picture


def middle(file: Path, size: tuple[int, int] = NATIVE) -> np.ndarray:
    """The middle of a picture, (height, width, 3) of ``size``, or all there is of a smaller one."""
    pixels = read_image(file).pixels
    top, left = (max(0, (side - want) // 2) for side, want in zip(pixels.shape, size, strict=False))
    return np.ascontiguousarray(pixels[top : top + size[0], left : left + size[1]])
