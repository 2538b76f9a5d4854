"""The whole picture as a semantic encoder sees it: shrunk to a square, whatever its proportions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from iqassay.scoring import tiles

DEEP = 4  # times the square's side: to this a picture of more than 8 bits is shrunk by area before it is rounded to 8


def shrunk_to_square(pixels: np.ndarray, side: int) -> NDArray[np.float32]:
    """(H, W, 3) of any depth -> (1, 3, side, side) in [0, 1], bilinear and antialiased, of pixels of 8 bits."""
    if pixels.dtype != np.uint8:
        height, width = (min(length, DEEP * side) for length in pixels.shape[:2])
        pixels = np.rint(tiles.shrink(pixels, height, width) * 255).astype(np.uint8)
    small = Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(small, np.float32).transpose(2, 0, 1)[None] / np.float32(255)
