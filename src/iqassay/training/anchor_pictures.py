"""The pictures that hold a scale at its ends, made of clean photos: KADID-10k's damage, and pictures of nothing.

They are 512x384, the size at which KADID-10k's people looked, and files in a cache folder, so that a pass over them can
be stopped and go on.
"""

from __future__ import annotations

import csv
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from iqassay.data import distortions
from iqassay.data.distortions import KINDS, distort
from iqassay.data.extremes import beyond
from iqassay.data.synthetic import eight_bit_photo
from iqassay.support.files import replace_file

WIDTH, HEIGHT = 512, 384
LEVELS = (1, 2, 3, 4, 5)
# Of these KADID's people saw the colours beside them; alone they are black-and-white photos, good ones perhaps.
LEFT_OUT = ("color_saturation_1",)
MEANS = Path(distortions.__file__).with_name("kadid_means.csv")
_MAKERS = ("distortions.py", "filters.py", "extremes.py")


class Damaged(NamedTuple):
    """A file, what was done to its photo, and the mean opinion of KADID-10k's people of that, 0..100."""

    file: Path
    kind: str
    level: int
    opinion: float


def kadid_means() -> dict[tuple[str, int], float]:
    """The mean opinion of each type of KADID-10k at each of its levels, 0..100."""
    with MEANS.open(newline="") as file:
        return {(row["kind"], int(row["level"])): (float(row["mean"]) - 1) * 25 for row in csv.DictReader(file)}


def damaged(photos: Sequence[Path], each: int, cache: Path) -> list[Damaged]:
    """Of every type at every level ``each`` pictures, of photos drawn at random: the same ones for the same photos."""
    folder, means = _folder(photos, cache), kadid_means()
    found = []
    for kind in (kind for kind in KINDS if kind not in LEFT_OUT):
        for level in LEVELS:
            for number in range(each):
                rng = np.random.default_rng([KINDS.index(kind), level, number])
                photo = photos[int(rng.integers(len(photos)))]
                file = folder / f"{kind}-{level}-{number}.png"
                if not file.exists():
                    _write(file, distort(clean(photo), kind, float(level), rng))
                found.append(Damaged(file, kind, level, means[kind, level]))
        print(f"iqassay export: made {len(found)} damaged pictures", file=sys.stderr, flush=True)
    return found


def blurred_to_nothing(photos: Sequence[Path], count: int, cache: Path) -> list[Path]:
    """So many pictures, blurred far beyond KADID's fifth level: patches of colour without a shape."""
    folder, found = _folder(photos, cache), []
    for number in range(count):
        rng = np.random.default_rng([100, number])
        photo = photos[int(rng.integers(len(photos)))]
        file = folder / f"blurred-{number}.png"
        if not file.exists():
            kind = ("gaussian_blur", "lens_blur")[number % 2]
            _write(file, beyond(clean(photo), kind, float(rng.uniform(0.8, 1)), rng)[0])
        found.append(file)
    return found


def flat_frames(count: int) -> list[np.ndarray]:
    """Black, white, and so many frames less two of one colour, gray in one of three: (384, 512, 3) uint8 each."""
    rng = np.random.default_rng(101)
    colours = [np.zeros(3), np.ones(3), *(rng.random(3 if i % 3 else 1) for i in range(count - 2))]
    return [np.broadcast_to(np.rint(colour * 255), (HEIGHT, WIDTH, 3)).astype(np.uint8) for colour in colours]


def clean(photo: Path) -> np.ndarray:
    """A photo as KADID-10k shows its own: the middle of it, (384, 512, 3) float32 in [0, 1]."""
    image = eight_bit_photo(photo)
    scale = max(WIDTH / image.width, HEIGHT / image.height)
    size = max(WIDTH, round(image.width * scale)), max(HEIGHT, round(image.height * scale))
    image = image.resize(size, Image.Resampling.LANCZOS)
    left, top = (size[0] - WIDTH) // 2, (size[1] - HEIGHT) // 2
    return np.asarray(image.crop((left, top, left + WIDTH, top + HEIGHT)), np.float32) / 255


def _folder(photos: Sequence[Path], cache: Path) -> Path:
    """Where what is made of these photos lies, a new place when the makers have changed."""
    digest = hashlib.sha256(repr([(photo.name, photo.stat().st_size) for photo in photos]).encode())
    for name in (Path(__file__), *(Path(distortions.__file__).with_name(name) for name in _MAKERS)):
        digest.update(name.read_bytes())
    folder = cache / f"anchors-{digest.hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _write(file: Path, picture: np.ndarray) -> None:
    image = Image.fromarray(np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8))
    replace_file(file, lambda out: image.save(out, "PNG", compress_level=1))
