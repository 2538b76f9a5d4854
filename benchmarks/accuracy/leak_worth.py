"""What near-duplicates between the training and the test part of a rated set are worth to a model's SRCC on the test.

    python benchmarks/accuracy/leak_worth.py RATINGS.csv:FOLDER RESULTS.csv

RESULTS.csv: what ``iqassay bench run --split test`` kept. The test pictures that have a near-duplicate in train or val
are left out, and compared with leaving out as many others of the same subsets, drawn 1,000 times.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from iqassay.bench.results import read_results
from iqassay.data.duplicates import near_duplicates
from iqassay.data.opening import open_set
from iqassay.statistics.correlation import srcc


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set")
    parser.add_argument("results", type=Path)
    args = parser.parse_args()
    ratings, found = open_set(args.set), read_results(args.results)
    test, learned = ([row.image for row in ratings.split(*names).rows] for names in (["test"], ["train", "val"]))
    leaked = {image.name for image, _, _ in near_duplicates(test, others=learned)}
    out = np.array([Path(row.image).name in leaked for row in found.scored])
    subset, score, mos = np.array(found.words("subset")), found.column("score"), found.column("mos")
    print(f"{out.sum()} of {len(out)} test pictures of {ratings.name} have a near-duplicate in train or val")
    rng = np.random.default_rng(0)
    for name in ("all", *sorted(set(subset[out]))):
        rows = np.flatnonzero((subset == name) | (name == "all"))
        kept = [others(rows, out, subset, rng) for _ in range(1000)]
        random = [srcc(score[some], mos[some]) for some in kept]
        low, high = np.quantile(random, (0.025, 0.975))
        whole, without = (srcc(score[some], mos[some]) for some in (rows, rows[~out[rows]]))
        print(
            f"{found.model}, {name}: SRCC {whole:.4f}, without its {out[rows].sum()} {without:.4f}, "
            f"without as many others {np.mean(random):.4f} ({low:.4f} to {high:.4f})"
        )


def others(rows: np.ndarray, out: np.ndarray, subset: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows less as many of each subset as are to be left out of it, drawn from all of it."""
    kept = []
    for name in np.unique(subset[rows]):
        inside = rows[subset[rows] == name]
        kept.append(rng.choice(inside, len(inside) - out[inside].sum(), replace=False))
    return np.concatenate(kept)


if __name__ == "__main__":
    main()
