"""Images that Pillow has opened: what they are stored as, and their pixels in parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from PIL import Image


def strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """(top, part) over a loaded image, in parts small enough to stay in the cache."""
    rows = max(1, 2**17 // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def raw_mode(image: Image.Image) -> str:
    """What an opened, not yet loaded image is stored as, in Pillow's words ("RGB;16B"); "" when it does not say."""
    tiles = getattr(image, "tile", None)
    args: Any = tiles[0].args if tiles else ""
    return str(args[0] if isinstance(args, tuple) and args else args)
