"""Calibrate the measures that `iqassay score --model` offers: writes src/iqassay/measures/measures.json.

    python benchmarks/make/calibrate_measures.py --synthetic PRISTINE... [--pictures 3000] [--cache runs/cache]
        [--rated biq2021.csv PHOTOS] [--only NAME ...]

Full-reference measures: against the modelled opinions of synthetic pairs, made of the clean photos that training does
not hold out. No-reference ones: against the opinions of the split "val" of a rated set. A measure whose option is left
out, or that --only does not name, keeps the numbers it has.

Each table is the means of groups of pictures in the order of the measure, those that disagree with the order pooled:
knots of a strictly monotone line from the worst to the best value the measure can take, so that no two values share a
score. Half of the pictures fit the line; the 90 % interval is split conformal on the other half (of pairs: half of the
photos). Prints the correlation on that half.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from iqassay.data.ratings import read_ratings
from iqassay.data.synthetic import SyntheticConfig, pristine_files, render
from iqassay.measures.measure import CALIBRATION, MEASURES, function_of
from iqassay.pictures.image import read_image
from iqassay.statistics.correlation import srcc
from iqassay.training.calibrate import calibration_table, conformal_interval
from iqassay.training.sets import held_out

SEED = 5  # training makes its pictures with seeds 0 and 1
KNOTS = 15
Table = dict[str, list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--synthetic", type=Path, nargs="+", metavar="PRISTINE", help="folders of clean photos")
    parser.add_argument("--pictures", type=int, default=3000)
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--rated", type=Path, nargs=2, metavar=("CSV", "PHOTOS"))
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=list(MEASURES), metavar="NAME")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    known = json.loads(CALIBRATION.read_text(encoding="utf-8")) if CALIBRATION.exists() else {}
    if arguments.synthetic:
        names = [name for name in arguments.only if MEASURES[name].reference]
        known |= of_pairs(names, arguments.synthetic, arguments.pictures, arguments.cache, arguments.processes)
    if arguments.rated:
        names = [name for name in arguments.only if not MEASURES[name].reference]
        known |= of_photos(names, *arguments.rated, arguments.processes)
    rows = [f'"{name}": {json.dumps(known[name])}' for name in MEASURES if name in known]
    CALIBRATION.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")


def of_pairs(
    names: Sequence[str], folders: list[Path], count: int, cache: Path, processes: int
) -> dict[str, dict[str, Table]]:
    """What full-reference measures say of synthetic pairs, fitted."""
    files = pristine_files(folders)
    kept = set(held_out(files))
    made = [
        render([f for i, f in enumerate(f for f in files if f not in kept) if i % 2 == half],
               SyntheticConfig(count // 2, seed=SEED + half), cache, processes)
        for half in (0, 1)
    ]  # fmt: skip
    pictures = [pair for half in made for pair in zip(half.pixels, half.reference, strict=True)]
    opinion = np.concatenate([half.pair_score for half in made])
    fit = np.arange(len(opinion)) < len(made[0])
    return fitted(names, said(names, pictures, processes), opinion, fit)


def of_photos(names: Sequence[str], table: Path, photos: Path, processes: int) -> dict[str, dict[str, Table]]:
    """What no-reference measures say of rated photos, fitted."""
    rated = read_ratings(table, photos).split("val").rows
    opinion = np.array([row.score for row in rated])
    return fitted(
        names, said(names, [(row.image,) for row in rated], processes), opinion, np.arange(len(rated)) % 2 == 0
    )


def said(names: Sequence[str], pictures: Sequence[tuple], processes: int) -> dict[str, np.ndarray]:
    with ProcessPoolExecutor(processes) as pool:
        rows = np.array(list(pool.map(_values, [names] * len(pictures), pictures, chunksize=50)))
    return dict(zip(names, rows.T, strict=True))


def _values(names: Sequence[str], pictures: tuple) -> list[float]:
    """What the measures say of a picture, or of a picture and its reference; nan where one cannot be measured."""
    pixels = [read_image(picture).pixels if isinstance(picture, Path) else np.asarray(picture) for picture in pictures]
    found = []
    for name in names:
        try:
            found.append(function_of(name)(*pixels))
        except ValueError:
            found.append(float("nan"))
    return found


def fitted(
    names: Sequence[str], values: dict[str, np.ndarray], opinion: np.ndarray, fit: np.ndarray
) -> dict[str, dict[str, Table]]:
    result = {}
    for name in names:
        value = values[name]
        good = np.isfinite(value)
        table = monotone_table(value[fit & good], opinion[fit & good], MEASURES[name].worst, MEASURES[name].best)
        rest = ~fit & good
        score = np.interp(value[rest], table["raw"], table["score"])
        result[name] = {"calibration": table, "interval": conformal_interval(score, opinion[rest])}
        error = np.abs(score - opinion[rest]).mean()
        print(f"{name}: {good.sum()} pictures, SRCC {srcc(score, opinion[rest]):.3f}, mean error {error:.1f} points, "
              f"{len(table['raw'])} knots")  # fmt: skip
    return result


def monotone_table(value: np.ndarray, opinion: np.ndarray, worst: float, best: float) -> Table:
    """raw, increasing, and score, strictly monotone, from (worst, 0) to (best, 100)."""
    sign = 1 if best > worst else -1  # below, higher is better
    table = calibration_table(sign * value, opinion, KNOTS, top=(sign * best, 100.0))
    knots = [(sign * worst, 0.0)]
    for raw, score in zip(table["raw"], table["score"], strict=True):
        if raw > knots[-1][0] and score > knots[-1][1] + 0.01 and (score < 99.5 or raw == sign * best):
            knots.append((raw, score))
    # Below the first group straight on, to a tenth of its score: what is far worse than all those pictures is bad.
    (raw, score), (next_raw, next_score) = knots[1:3]
    tail = raw - 0.9 * score * (next_raw - raw) / (next_score - score)
    if tail > knots[0][0]:
        knots.insert(1, (tail, score / 10))
    knots.sort(key=lambda knot: sign * knot[0])
    return {
        "raw": [round(sign * raw, 5) + 0.0 for raw, _ in knots],  # + 0.0: no minus before a zero
        "score": [round(score, 3) for _, score in knots],
    }


if __name__ == "__main__":
    main()
