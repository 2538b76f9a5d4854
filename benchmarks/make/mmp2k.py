"""The table of MMP-2K, 2,000 macro photographs of 1024x768 with the mean opinions of a laboratory study, 0 to 100.

    python benchmarks/make/mmp2k.py IMAGE_BASE -o mmp2k.csv

IMAGE_BASE is the folder ``backend/server/image_base`` of the public repository
SJHPCJS/MMP-2K-Subjective-Study-Platform: pictures by number, and ``final_image_mos.json``. A fifth of the pictures,
drawn by chance, is ``val``; near-duplicates are on one side. They are found here and not by
``iqassay.data.duplicates``, which finds one pair less: the draw would be another one, and DRI-IQA 0.2.4 has learned by
this one.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
from pathlib import Path

import numpy as np
from PIL import Image

ALIKE = 0.95  # correlation of two thumbnails from which pictures are near-duplicates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path)
    parser.add_argument("-o", "--out", type=Path, default=Path("mmp2k.csv"))
    args = parser.parse_args()
    opinions = json.loads((args.images / "final_image_mos.json").read_text())
    names = sorted(opinions, key=int)
    thumbnails = np.array([_thumbnail(args.images / f"{name}.jpg") for name in names])
    groups = list(range(len(names)))  # each by the number of its last picture
    for i, j in np.argwhere(np.triu(thumbnails @ thumbnails.T, 1) > ALIKE):
        groups = [groups[j] if group == groups[i] else group for group in groups]
    order = sorted(set(groups))
    random.Random(0).shuffle(order)
    held: set[int] = set()
    while sum(group in held for group in groups) < len(names) // 5:
        held.add(order[len(held)])
    with args.out.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(("image", "mos", "group", "split"))
        for name, group in zip(names, groups, strict=True):
            table.writerow((f"{name}.jpg", round(opinions[name], 4), group, "val" if group in held else "train"))


def _thumbnail(file: Path) -> np.ndarray:
    """16x16 grey cells less their mean, of length 1: the inner product of two is their correlation."""
    with Image.open(file) as picture:
        picture.draft("RGB", (64, 64))
        cells = np.asarray(picture.convert("L").resize((16, 16), Image.Resampling.BOX), float).ravel()
    cells -= cells.mean()
    return cells / (np.linalg.norm(cells) + 1e-6)


if __name__ == "__main__":
    main()
