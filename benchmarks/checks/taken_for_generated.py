"""How many pictures of each folder a shipped model takes for generated ones, where it can tell.

    python benchmarks/checks/taken_for_generated.py FOLDER [FOLDER ...] [--model dri] [-o taken_for_generated.csv]

A picture is taken for generated when that is more probable than not. Of folders of photos the share should be small, of
folders of generated pictures large; those that the model learned from flatter it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from iqassay.data.synthetic import pristine_files
from iqassay.models.opening import open_scorer
from iqassay.scoring.scorer import Scorer

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from rows import write_rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--model", default="dri")
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    args = parser.parse_args()

    scorer = open_scorer(args.model)
    if not isinstance(scorer, Scorer) or not scorer.card.semantic:
        raise SystemExit(f"got {args.model}, want a model that tells generated pictures, such as dri")
    rows = []
    for folder in args.folders:
        probable = np.array([float(scorer.look(file).generated) for file in pristine_files([folder])])
        taken = probable > 0.5
        rows.append(
            {
                "folder": folder.name,
                "pictures": len(probable),
                "taken": int(taken.sum()),
                "share": f"{taken.mean():.3f}",
                "median probability": f"{np.median(probable):.3f}",
            }
        )
        print(*rows[-1].values(), sep="  ", flush=True)
    write_rows(args.out, rows)


if __name__ == "__main__":
    main()
