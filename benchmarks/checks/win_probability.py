"""Whether the probability that `iqassay compare` gives is how often people prefer that picture, on pairs of rated ones.

    iqassay bench run BIQ2021:... --model panel -o runs/bench      # a row a picture: docs/bench.md
    python benchmarks/checks/win_probability.py runs/bench/biq2021/panel.csv --images IMAGES [--split val]

Takes the rows that `iqassay bench run` keeps, with score, low, high, mos and split, and the pictures, for how alike two
of them look. Prints how strongly the errors of two pictures are correlated by how alike they look, which is where
SHARED in scoring/comparison.py comes from; and, for random pairs and for pairs that look alike, ten bins of the
probability given beside the share of pairs in which people's mean opinion is higher, and the largest difference.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from iqassay.pictures.fingerprints import fingerprints
from iqassay.scoring.comparison import correlation_of, of_verdicts
from iqassay.scoring.verdict import Verdict

Floats = NDArray[np.float64]
LIKENESS = (-1.0, 0.3, 0.5, 0.7, 0.9, 1.01)  # edges
FEW = 100  # pairs: a bin with fewer says nothing about a share within .05


def reliability(given: Floats, won: Floats) -> list[tuple[float, float, int]]:
    """Of ten bins of the probabilities given: their mean, the share that was won, and how many pairs. Each pair counts
    both ways round, so that it does not matter which of two is called a."""
    both, wins = np.concatenate([given, 1 - given]), np.concatenate([won, 1 - won])
    bins = np.minimum((both * 10).astype(int), 9)
    return [
        (float(both[bins == i].mean()), float(wins[bins == i].mean()), int((bins == i).sum()))
        for i in range(10)
        if (bins == i).any()
    ]


def correlation(a: Floats, b: Floats) -> tuple[float, float]:
    """Of the errors of the two pictures of pairs, whichever is called first, and its standard error."""
    value = float((a * b).sum() / ((a**2).sum() + (b**2).sum()) * 2)
    return value, (1 - value**2) / math.sqrt(max(1, len(a)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path, help="CSV of iqassay bench run")
    parser.add_argument("--images", type=Path, required=True, help="folder of the pictures")
    parser.add_argument("--split", default="val")
    parser.add_argument("--pairs", type=int, default=20_000)
    options = parser.parse_args()
    with options.rows.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == options.split and not row.get("error")]
    if len(rows) < 20:
        raise SystemExit(f"{options.rows}: got {len(rows)} rows of split {options.split}, want at least 20")
    score, low, high, opinion = (np.array([float(row[key]) for row in rows]) for key in ("score", "low", "high", "mos"))
    prints = fingerprints(options.images / row["image"] for row in rows)
    print(f"{len(rows)} pictures of split {options.split}")

    slope, offset = np.polyfit(score, opinion, 1)
    error = opinion - (slope * score + offset)  # what is left is what scores do not know, on people's own scale
    first, second = np.triu_indices(len(rows), 1)
    alike = np.einsum("ij,ij->i", prints[first], prints[second])
    print("likeness      pairs  correlation of the errors")
    for start, end in itertools.pairwise(LIKENESS):
        at = (alike >= start) & (alike < end)
        if at.sum() >= 5:
            value, doubt = correlation(error[first[at]], error[second[at]])
            print(f"{start:4.1f} to {min(end, 1):3.1f} {at.sum():8}  {value:+.3f} +- {doubt:.3f}")

    verdicts = [
        Verdict(s, lo, hi, (), np.zeros((1, 1), np.float32), s, {}, "", "")
        for s, lo, hi in zip(score.tolist(), low.tolist(), high.tolist(), strict=True)
    ]
    chosen = np.random.default_rng(0).permutation(len(first))[: options.pairs]
    for what, pairs in (("random pairs", chosen), ("pairs that look alike", np.flatnonzero(alike >= 0.9))):
        if not len(pairs):
            continue
        a, b = first[pairs], second[pairs]
        shared = [correlation_of(float(value)) for value in alike[pairs]]
        given = np.array(
            [of_verdicts(verdicts[i], verdicts[j], s).win_probability for i, j, s in zip(a, b, shared, strict=True)]
        )
        won = (np.sign(opinion[a] - opinion[b]) + 1) / 2
        bins = reliability(given, won)
        print(f"{what}: {len(pairs)}\n    given   won  pairs, each both ways round")
        for mean, share, count in bins:
            print(f"    {mean:5.3f} {share:5.3f} {count:6}")
        off = [abs(mean - share) for mean, share, count in bins if count >= FEW]
        if off:
            print(f"    largest difference in a bin of {FEW} or more: {max(off):.3f}")


if __name__ == "__main__":
    main()
