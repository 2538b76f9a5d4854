"""What pages have inside them, so that nothing is loaded from elsewhere: pictures as data URIs, and colours as CSS."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from iqassay.scoring.heatmap import RAMP
from iqassay.scoring.tiles import shrink_to

QUALITY = 90  # of a JPEG whose damage shall be seen: its colour is kept whole too, since noise and blocks show in it


class Colours(NamedTuple):
    """The colours of a map: a gradient of CSS, and the numbers below it."""

    gradient: str
    ticks: tuple[str, ...]


def fit(pixels: np.ndarray, long_side: int) -> Image.Image:
    """(H, W, 3) of any depth at 8 bits, shrunk by area to at most `long_side` pixels."""
    return Image.fromarray(np.rint(shrink_to(pixels, long_side) * 255).astype(np.uint8))


def jpeg(image: Image.Image, quality: int = QUALITY, full_colour: bool = True) -> str:
    """A data URI; with colour at full resolution, or at half of it."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality, subsampling="4:4:4" if full_colour else "4:2:0")
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"


def gradient(colours: Iterable[Sequence[float]]) -> str:
    """Red, green and blue, 0 to 1, from left to right; evenly spaced, as the ticks are."""
    stops = (f"rgb({' '.join(str(round(255 * channel)) for channel in rgb)})" for rgb in colours)
    return f"linear-gradient(90deg, {', '.join(stops)})"


def heat_colours() -> Colours:
    """Those of a heatmap from 0 to 100, over middle gray."""
    over_gray = ([0.6 * (1 - a) + a * c for c in rgb] for _, *rgb, a in RAMP)
    return Colours(gradient(over_gray), ("0", "20", "40", "60", "80", "100"))
