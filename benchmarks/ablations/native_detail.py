"""How much native detail should count in YOTO's distance, beside what is found by tokens.

    python benchmarks/ablations/native_detail.py RUN [--also CSV:FOLDER ...] [-o native_detail.csv]

RUN is the folder of an ``iqassay train yoto --stage head --near 1`` with references, and what it kept of its pairs. The
distance is trained anew with several weights of ``systems/subbands.py``, three seeds each. The table has SRCC on the
contents that its sets leave out, and on all pairs of --also, rated sets as ``iqassay train --data`` takes
them, of which nothing is learned.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

import numpy as np

from iqassay.data.opening import open_set
from iqassay.data.pipeline import labels_of
from iqassay.statistics.correlation import srcc
from iqassay.systems import near_distance
from iqassay.systems.yoto_extended import ExtendedYOTO
from iqassay.training.pairs import Pairs, compared_of, fit_distance, gather_pairs, graded

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from opened_run import opened
from rows import write_rows

WEIGHTS = (0.0, 0.5, 1.0, 1.5, 2.0)
SEEDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--also", nargs="*", default=[], metavar="CSV:FOLDER")
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    args = parser.parse_args()

    recipe, system = opened(args.run, ExtendedYOTO)
    learned = gather_pairs(recipe, system)
    judged = [*learned, *(whole(argument, args.run, system) for argument in args.also)]
    rows: list[dict] = []
    for weight in WEIGHTS:
        near_distance.NATIVE = weight
        found: dict[str, list[float]] = {pairs.name: [] for pairs in judged}
        for seed in range(SEEDS):
            fit_distance(dataclasses.replace(recipe, seed=seed), system, learned)
            for pairs in judged:
                found[pairs.name].append(srcc(graded(system, pairs), pairs.score[pairs.train :]))
        rows += [
            {"native": weight, "set": name, "srcc": f"{np.mean(v):.4f}", "deviation": f"{np.std(v):.4f}"}
            for name, v in found.items()
        ]
        print(weight, {name: round(float(np.mean(v)), 3) for name, v in found.items()}, flush=True)
    write_rows(args.out, rows)


def whole(argument: str, run: Path, system: ExtendedYOTO) -> Pairs:
    """All pairs of a set, none of which is learned from."""
    ratings = open_set(argument)
    rows = [row for row in ratings.rows if row.reference is not None]
    kept = compared_of(system, [(row.image, row.reference) for row in rows], run, f"{ratings.name}-pairs")
    return Pairs(ratings.name, kept, np.array([row.score for row in rows]), *labels_of(rows), train=0)


if __name__ == "__main__":
    main()
