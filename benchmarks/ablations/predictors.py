"""What several predictors are worth to DRI-IQA: each of a run's alone, and the mean of all, on the ``val`` of its sets.

    python benchmarks/ablations/predictors.py RUN [-o predictors.csv]

RUN is the folder of an ``iqassay train dri --stage head --predictors N``, and what it kept of its pictures. The table
has, for every set, SRCC of the mean of all predictors, the mean SRCC of one alone, and the difference with its 95 %
interval over pictures.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from iqassay.statistics.correlation import srcc
from iqassay.systems.dri import DRI
from iqassay.training.head import heads_of, predict
from iqassay.training.kept_pictures import gather

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from opened_run import opened
from rows import write_rows

DRAWS = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    args = parser.parse_args()

    recipe, system = opened(args.run, DRI)
    rows = []
    for pictures in gather(recipe, system):
        opinions = pictures.score[pictures.train :]
        if len(opinions) < 2:
            continue
        said = [predict(head, pictures) for head in heads_of(system)]
        together, alone = gained(said, opinions)
        rng = np.random.default_rng(0)
        drawn = (rng.integers(len(opinions), size=len(opinions)) for _ in range(DRAWS))
        gains = [np.subtract(*gained([one[d] for one in said], opinions[d])) for d in drawn]
        low, high = np.quantile(gains, (0.025, 0.975))
        row = {"set": pictures.name, "pictures": len(opinions), "predictors": len(said)}
        row |= {"together": together, "alone": alone, "gain": together - alone, "low": low, "high": high}
        rows.append({key: round(float(v), 4) if isinstance(v, float) else v for key, v in row.items()})
        print(*rows[-1].values(), sep="  ")
    write_rows(args.out, rows)


def gained(said: list[np.ndarray], opinions: np.ndarray) -> tuple[float, float]:
    """SRCC of the mean of several answers, and the mean SRCC of one."""
    return srcc(np.mean(said, 0), opinions), float(np.mean([srcc(one, opinions) for one in said]))


if __name__ == "__main__":
    main()
