"""Where a picture is bad: its quality map laid over the picture in gray."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from iqassay.pictures.image import Picture
from iqassay.pictures.picture import LUMA
from iqassay.scoring.tiles import shrink_to

LONG_SIDE = 1024  # pixels
# Local quality -> red, green, blue, opacity (0..1). The scale is absolute, so that maps of different pictures compare:
# what is good stays plain gray. Lightness falls with quality, so that the order survives colour blindness and a black
# and white print.
RAMP = (
    (0, 0.35, 0.00, 0.30, 0.80),
    (20, 0.70, 0.05, 0.25, 0.75),
    (40, 0.95, 0.40, 0.10, 0.65),
    (60, 1.00, 0.85, 0.25, 0.45),
    (80, 1.00, 1.00, 0.60, 0.00),
    (100, 1.00, 1.00, 0.60, 0.00),
)


def heatmap(picture: Picture, quality: NDArray[np.float32], long_side: int = LONG_SIDE) -> Image.Image:
    """The picture in gray with its bad areas coloured: yellow for weak, orange to dark purple for worse.

    quality: (h, w), 0 to 100, any resolution, covering the whole picture. The result has the size of the picture, or is
    shrunk to `long_side` pixels.
    """
    gray = shrink_to(picture.pixels, long_side) @ LUMA
    size = gray.shape[::-1]
    local = Image.fromarray(np.asarray(quality, dtype=np.float32)).resize(size, Image.Resampling.BILINEAR)
    at, *channels = np.array(RAMP).T
    red, green, blue, opacity = (np.interp(np.asarray(local), at, channel) for channel in channels)
    colour = np.stack([red, green, blue], axis=-1)
    mixed = gray[..., None] * (1 - opacity[..., None]) + colour * opacity[..., None]
    return Image.fromarray(np.round(mixed * 255).astype(np.uint8))
