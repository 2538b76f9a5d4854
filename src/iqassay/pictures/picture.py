"""What reading gives: pixels and words about them, or one error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # of RGB: how bright a pixel looks

OVER = "transparency shown over "


class ImageError(ValueError):
    """A picture that cannot be read: one plain sentence, which starts with the file name when there is one."""


class TooManyPixels(ImageError):
    """A picture over the limit, which was not decoded."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture.

    Attributes:
        pixels: (H, W, 3) sRGB (with its transfer curve), C-contiguous, read-only; uint8 in 0..255, uint16 in 0..65535
            or float32 in [0, 1]: the depth of the source is kept, so that 200 megapixels of bytes stay bytes.
        warnings: what was done that the viewer might not expect, one plain phrase each.
    """

    pixels: np.ndarray
    warnings: tuple[str, ...] = ()

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def see_through(self) -> bool:
        """Whether parts of it were transparent, and are shown over a ground."""
        return any(warning.startswith(OVER) for warning in self.warnings)


def check_size(width: int, height: int, max_pixels: int) -> None:
    if width < 1 or height < 1:
        raise ImageError(f"got a picture of {width}x{height} pixels, want at least 1x1")
    if width * height > max_pixels:
        raise TooManyPixels(f"got {width}x{height} = {width * height:,} pixels, want at most {max_pixels:,}")


def to_float(pixels: np.ndarray) -> np.ndarray:
    """uint8, uint16 or float samples -> float32 in [0, 1], same shape (no copy when it is float32 already)."""
    if pixels.dtype in (np.uint8, np.uint16):
        return np.divide(pixels, np.float32(np.iinfo(pixels.dtype).max), dtype=np.float32)
    if pixels.dtype.kind != "f":
        raise ValueError(f"got samples of type {pixels.dtype}, want uint8, uint16 or float")
    return pixels.astype(np.float32, copy=False)
