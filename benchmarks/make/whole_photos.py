"""Clean photos as a whole, each damaged in eight ways, as a set to train on: one content at many qualities.

    python benchmarks/make/whole_photos.py PRISTINE... -o OUT [--seed 77]

Training's synthetic pictures are crops; these are whole photos, shrunk to at most 768 pixels, so that how good a
content is can be told from what was done to it at the size at which people look. Of the photos that training holds out
(every tenth) there are four each, for ``val``. One in 25 is untouched, six in ten are restored or coded without a
name, the others have one of the 25 distortions at any level; ``mos`` is the target that such synthetic pictures have
(`docs/distortions.md`), 0 to 100. Writes OUT.csv and the folder OUT, a gigabyte, in two minutes.
"""

from __future__ import annotations

import argparse
import csv
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from iqassay.data.distortions import KINDS, distort
from iqassay.data.restored import restore_chain
from iqassay.data.synthetic import eight_bit_photo, pristine_files
from iqassay.data.targets import target_score
from iqassay.training.sets import held_out

LONGEST = 768
UNTOUCHED, RESTORED = 0.04, 0.6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pristine", type=Path, nargs="+")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=77)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    files = pristine_files(args.pristine)
    held = set(held_out(files))
    with ProcessPoolExecutor() as pool, args.out.with_suffix(".csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(("image", "mos", "group", "distortion", "level", "split"))
        jobs = [(file, i, 4 if file in held else 8, "val" if file in held else "train") for i, file in enumerate(files)]
        for rows in pool.map(partial(damaged, out=args.out, seed=args.seed), jobs):
            table.writerows(rows)


def damaged(job: tuple[Path, int, int, str], out: Path, seed: int) -> list[tuple[object, ...]]:
    """Write one photo's pictures; a row of the table for each."""
    file, number, count, split = job
    photo, rng = eight_bit_photo(file), np.random.default_rng([seed, number])
    photo.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    clean, rows = np.asarray(photo, np.float32) / 255, []
    for k in range(count):
        picture, chain = damage(clean, rng)
        target, (kind, level) = target_score(clean, picture, chain), (chain or [("", "")])[0]
        image = f"{number:03}_{k}.png"
        Image.fromarray(np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)).save(out / image, compress_level=1)
        rows.append((image, round(target, 2), f"photo-{number:03}", kind, level, split))
    return rows


def damage(clean: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, list[tuple[str, float]] | None]:
    """A clean picture (H, W, 3), float32 in [0, 1], damaged in some way; and how, as ``target_score`` wants it."""
    dice = rng.random()
    if dice < UNTOUCHED:
        return clean, []
    if dice < UNTOUCHED + RESTORED:
        return restore_chain(clean, rng)[0], None
    kind, level = KINDS[int(rng.integers(len(KINDS)))], float(rng.uniform(1, 5))
    return distort(clean, kind, level, rng), [(kind, level)]


if __name__ == "__main__":
    main()
