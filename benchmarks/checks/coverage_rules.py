"""Do the target rules of iqassay.data.coverage agree with people?

    python benchmarks/checks/coverage_rules.py [--sr4kiqa CSV FOLDER] [--kadis CSV] [--downscale CSV FOLDER]

Three parts; without data only the first runs:

- KADID-10k's means of the fifth level, which the package carries: targets beyond it must lie below.
- SR4KIQA (public repository mb21100/SR4KIQA): 4K pictures enlarged by kernels and a network. SRCC of the target of each
  picture beside its reference with the mean opinion, within scenes and over all. The CSV has image, ref, mos,
  distortion and scene; the pictures lie in FOLDER. Windows at native size: shrinking would hide what was rated.
- KADIS pictures (public repository h4nwei/2AFC-LMMs): the CSV has image, mos; type and level are in the file name. SRCC
  of KADID-10k's mean of that type and level, which the targets are made of, with the opinions.
- Pictures of several types shrunk and enlarged (public repository zenna7/Subjective-Visual-Quality-...): as SR4KIQA.
"""

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image

from iqassay.data.distortions import KINDS
from iqassay.data.extremes import BEYOND, beyond
from iqassay.data.targets import tables, target_score
from iqassay.statistics.correlation import srcc

WINDOW, ACROSS = 384, 3  # windows of this side, three by three over the picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sr4kiqa", nargs=2, type=Path, metavar=("CSV", "FOLDER"))
    parser.add_argument("--downscale", nargs=2, type=Path, metavar=("CSV", "FOLDER"))
    parser.add_argument("--kadis", type=Path, metavar="CSV")
    arguments = parser.parse_args()
    against_kadid()
    for name in ("sr4kiqa", "downscale"):
        if getattr(arguments, name):
            against_pairs(name, *getattr(arguments, name))
    if arguments.kadis:
        against_kadis(arguments.kadis)


def against_kadid() -> None:
    """Every target beyond level 5 beside the mean opinion of level 5."""
    gray = np.full((64, 64, 3), 0.5, np.float32)
    print("beyond level 5: opinion of level 5, targets at strengths 1/10, 1/2 and 1")
    for kind in BEYOND:
        fifth = tables().prior[kind][-1]
        targets = [beyond(gray, kind, strength, np.random.default_rng(0))[1] for strength in (0.1, 0.5, 1)]
        print(f"  {kind:22s} {fifth:5.1f}  {', '.join(f'{t:.1f}' for t in targets)}")
        if not fifth > targets[0] >= targets[1] >= targets[2]:
            raise SystemExit(f"{kind}: got targets {targets}, want them falling below {fifth:.1f}")


def against_pairs(name: str, table: Path, folder: Path) -> None:
    """SRCC of the target beside the reference with opinions, inside each scene and over all."""
    rows = [row for row in csv.DictReader(table.open()) if row["ref"]]
    there = [row for row in rows if (folder / row["image"]).exists() and (folder / row["ref"]).exists()]
    if not there:
        raise SystemExit(f"got no picture of {table} in {folder}, want its column `image` below it")
    target = np.array([pair_target(folder / row["image"], folder / row["ref"]) for row in there])
    opinion = np.array([float(row["mos"]) for row in there])
    scenes, ways = (np.array([row.get(key) or "" for row in there]) for key in ("scene", "distortion"))
    print(f"{name}: {len(there)} of {len(rows)} pictures with a reference; SRCC over all {srcc(target, opinion):.3f}")
    inside = [srcc(target[scenes == scene], opinion[scenes == scene]) for scene in np.unique(scenes)]
    if len(inside) > 1:
        print(f"  inside {len(inside)} scenes: mean {np.mean(inside):.3f}, worst {np.min(inside):.3f}")
    means = [(way, target[ways == way].mean(), opinion[ways == way].mean()) for way in np.unique(ways)]
    if len(means) > 2:
        print(f"  means of {len(means)} ways: SRCC {srcc([m[1] for m in means], [m[2] for m in means]):.3f}")
    for way, ours, theirs in sorted(means, key=lambda m: m[2]):
        print(f"  {way:34s} n {np.sum(ways == way):3d}  target {ours:5.1f}  opinion {theirs:5.2f}")


def pair_target(picture: Path, reference: Path) -> float:
    """The mean target of nine windows at native size."""
    pair = [np.asarray(Image.open(file).convert("RGB")) for file in (picture, reference)]
    height, width = (min(p.shape[i] for p in pair) for i in (0, 1))
    side = min(WINDOW, height, width)
    found = []
    for i in range(ACROSS):
        for j in range(ACROSS):
            y, x = round((height - side) * (i + 1) / (ACROSS + 1)), round((width - side) * (j + 1) / (ACROSS + 1))
            distorted, clean = (p[y : y + side, x : x + side].astype(np.float32) / 255 for p in pair)
            found.append(target_score(clean, distorted))
    return float(np.mean(found))


def against_kadis(table: Path) -> None:
    """SRCC of the mean opinion that KADID gives a type and level with the opinions of KADIS pictures."""
    found = defaultdict(list)
    rows = []
    for row in csv.DictReader(table.open()):
        *_, kind, level = Path(row["image"]).stem.split("_")
        name = KINDS[int(kind) - 1]
        rows.append((float(tables().prior[name][int(level) - 1]), float(row["mos"])))
        found[name].append(rows[-1])
    ours, theirs = np.array(rows).T
    print(f"KADIS: {len(rows)} pictures, SRCC {srcc(ours, theirs):.3f}")
    for name, pairs in sorted(found.items(), key=lambda item: np.mean([p[1] - p[0] for p in item[1]])):
        ours, theirs = np.array(pairs).T
        print(f"  {name:22s} n {len(pairs):2d}  target {ours.mean():5.1f}  opinion {theirs.mean():5.1f}")


if __name__ == "__main__":
    main()
