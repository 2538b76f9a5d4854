"""What the sanity suite asks: some 1,050 pictures, made of fifteen clean ones, about which no two people would differ.

order: more damage, step by step, by seven means. extremes: flat pictures, and pictures of which a part is missing.
invariance: what does not change quality. where: pictures of which one quarter is damaged, in twelve ways.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from PIL import Image, features
from scipy.ndimage import gaussian_filter

from iqassay.bench.sanity_pictures import CONTENTS, HEIGHT, WIDTH, Pixels, content
from iqassay.data.distortions import distort

SUITE = 1  # its version: answers to pictures of another do not compare

QUALITIES = (95, 80, 60, 40, 20, 10, 5, 1)
# Levels from the least damage to the most; those of CLEAN are the clean picture itself.
ORDER: dict[str, tuple[int, ...]] = {
    "blur": (0, 1, 2, 4, 8, 16, 32, 64),  # sigma of a Gaussian, pixels
    "noise": (0, 5, 10, 20, 40, 80),  # standard deviation of white noise, steps of 255
    "jpeg": QUALITIES,
    "webp": QUALITIES,
    "avif": QUALITIES,
    "downscale": (1, 2, 3, 4, 6, 8),  # made so many times smaller, and as large as before
    "pixelate": (1, 2, 4, 8, 16),  # sides of the squares, pixels
}
CLEAN = {"blur": 0, "noise": 0, "downscale": 1, "pixelate": 1}
UNITS = {
    "blur": "sigma",
    "noise": "deviation",
    "jpeg": "quality",
    "webp": "quality",
    "avif": "quality",
    "downscale": "times smaller",
    "pixelate": "pixels",
}
FLAT = ("flat gray", "flat black", "flat white", "one colour", "nearly empty", "static")
MISSING = ("three quarters black", "half gray", "half one colour")
SAVED = "saved again"
INVARIANCE = (
    "mirror",
    "quarter turn",
    "half turn",
    "three quarter turn",
    "80 % crop",
    "black and white",
    "white margins",
    "letterbox",
    SAVED,
    "half size",
)
# Only damage that reaches every part of a picture: blocks and moved patches would leave most of the quarter as it was.
WHERE = (
    "gaussian_blur",
    "motion_blur",
    "white_noise",
    "impulse_noise",
    "jpeg",
    "jpeg2000",
    "pixelate",
    "darken",
    "brighten",
    "color_saturation_2",
    "quantization",
    "high_sharpen",
)
WHERE_LEVEL = 4
BLUE = (30, 90, 200)
MARGIN, BAR = 40, 48  # pixels


@dataclass(frozen=True)
class Question:
    """One picture of the suite. make: its pixels, (H, W, 3), or the bytes of a file. content: the clean picture that it
    was made of, "" for none. corner: which quarter is damaged, as its first row and column, if one is.
    """

    family: str
    what: str
    level: str
    content: str
    make: Callable[[], Pixels | bytes]
    corner: tuple[int, int] | None = None

    @property
    def file(self) -> str:
        """The name of its file, which names it."""
        words = (self.family, self.what, self.content, self.level)
        return "-".join(word.replace(" %", "").replace(" ", "_") for word in words if word) + ".png"

    @property
    def beside(self) -> bool:
        """Whether it can be asked beside its reference, the clean picture."""
        return self.family != "invariance" and bool(self.content)


def clean_file(name: str) -> str:
    """The file of a clean picture."""
    return f"clean-{name}.png"


def series_file(what: str, name: str, level: int) -> str:
    """The file of a level of a series of ORDER."""
    return clean_file(name) if CLEAN.get(what) == level else f"order-{what}-{name}-{level}.png"


def order_here() -> dict[str, tuple[int, ...]]:
    """The series that can be made here: AVIF is left out where Pillow cannot write it."""
    return {what: levels for what, levels in ORDER.items() if what != "avif" or features.check("avif")}


def questions(contents: Sequence[str] = tuple(CONTENTS)) -> list[Question]:
    """All pictures of the suite; those of the same content follow each other."""
    return [*_extremes(), *(question for name in contents for question in _of(name))]


def _of(name: str) -> Iterator[Question]:
    yield Question("clean", "", "", name, partial(content, name))
    for what, levels in order_here().items():
        for level in levels:
            if CLEAN.get(what) != level:
                yield Question("order", what, f"{level}", name, partial(_spoiled, what, level, name))
    for what in MISSING:
        yield Question("extremes", what, "", name, partial(_cut, what, name))
    for what in INVARIANCE:
        yield Question("invariance", what, "", name, partial(_changed, what, name))
    for i, what in enumerate(WHERE, start=list(CONTENTS).index(name)):
        corner = HEIGHT // 2 * (i // 2 % 2), WIDTH // 2 * (i % 2)  # each in its turn
        yield Question("where", what, "", name, partial(_quarter, what, corner, name), corner)


def _extremes() -> Iterator[Question]:
    for what in FLAT:
        yield Question("extremes", what, "", "", partial(_flat, what))


def _chance(*names: object) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(" ".join(map(str, names)).encode()))


def _bytes(pixels: np.ndarray) -> Pixels:
    return np.asarray(np.clip(pixels + 0.5, 0, 255), np.uint8)


def _spoiled(what: str, level: int, name: str) -> Pixels:
    """A level of a series."""
    pixels = content(name)
    if what == "blur":
        return _bytes(gaussian_filter(pixels.astype(np.float32), (level, level, 0), mode="nearest"))
    if what == "noise":  # the same noise, ever louder
        return _bytes(pixels + level * _chance(what, name).standard_normal(pixels.shape))
    picture = Image.fromarray(pixels)
    if what == "downscale":
        small = picture.resize((round(WIDTH / level), round(HEIGHT / level)), Image.Resampling.LANCZOS)
        return np.array(small.resize(picture.size, Image.Resampling.BICUBIC))
    if what == "pixelate":
        small = picture.resize((WIDTH // level, HEIGHT // level), Image.Resampling.BOX)
        return np.array(small.resize(picture.size, Image.Resampling.NEAREST))
    file = io.BytesIO()
    picture.save(file, what.upper(), quality=level)
    with Image.open(file) as opened:
        return np.array(opened.convert("RGB"))


def _flat(what: str) -> Pixels:
    flat: dict[str, Any] = {"flat black": 0, "flat white": 255, "one colour": BLUE, "nearly empty": 255}
    pixels = np.full((HEIGHT, WIDTH, 3), flat.get(what, 128), np.uint8)
    if what == "nearly empty":
        y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
        pixels[np.hypot(y - 0.6 * HEIGHT, x - 0.4 * WIDTH) < 6] = 40
    if what == "static":
        pixels = _chance(what).integers(0, 256, pixels.shape, np.uint8)
    return pixels


def _cut(what: str, name: str) -> Pixels:
    """A picture whose lower part is missing."""
    pixels = content(name).copy()
    if what == "three quarters black":
        pixels[HEIGHT // 4 :] = 0
    else:
        pixels[HEIGHT // 2 :] = 128 if what == "half gray" else BLUE
    return pixels


def _changed(what: str, name: str) -> Pixels | bytes:
    """A picture that is as good as it was."""
    pixels = content(name)
    turns = {"quarter turn": 1, "half turn": 2, "three quarter turn": 3}
    if what in turns:
        return np.ascontiguousarray(np.rot90(pixels, turns[what]))
    if what == "mirror":
        return np.ascontiguousarray(pixels[:, ::-1])
    if what == "80 % crop":
        top, left = round(0.1 * HEIGHT), round(0.1 * WIDTH)
        return np.ascontiguousarray(pixels[top : HEIGHT - top, left : WIDTH - left])
    if what == "white margins":
        return np.pad(pixels, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), constant_values=255)
    if what == "letterbox":
        return np.pad(pixels, ((BAR, BAR), (0, 0), (0, 0)))
    picture = Image.fromarray(pixels)
    if what == "black and white":
        return np.array(picture.convert("L").convert("RGB"))
    if what == "half size":
        return np.array(picture.resize((WIDTH // 2, HEIGHT // 2), Image.Resampling.LANCZOS))
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue()


def _quarter(what: str, corner: tuple[int, int], name: str) -> Pixels:
    """A picture of which one quarter is damaged."""
    pixels = content(name).copy()
    damaged = distort(pixels.astype(np.float32) / 255, what, WHERE_LEVEL, _chance("where", what, name))
    rows, columns = slice(corner[0], corner[0] + HEIGHT // 2), slice(corner[1], corner[1] + WIDTH // 2)
    pixels[rows, columns] = _bytes(damaged[rows, columns] * 255)
    return pixels
