"""Does the map find damage in a part of a photo? One quarter of clean photos that training holds out is damaged.

    python benchmarks/accuracy/local_damage.py --pristine FOLDER... [--model panel ...] [--count 25]

Crops of 256x256, which are 64 cells, without a reference. Twelve kinds of damage as in `iqassay bench sanity`, at
levels 4 and 2 of 5, the quarters by turns. AUC is the chance that a cell of the damaged quarter has a lower value than
another: .5 is guessing. Prints and writes local_damage.csv: mean over the contents with a 95 % bootstrap interval, and
``apart``, by how many points the damaged quarter lies below the rest.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from contents import clean_crops, interval

import iqassay
from iqassay.bench.sanity import map_auc
from iqassay.bench.sanity_questions import WHERE
from iqassay.data.distortions import distort

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from rows import write_rows

LEVELS = (4, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pristine", type=Path, nargs="+", required=True, metavar="FOLDER")
    parser.add_argument("--model", action="append", help="shipped models or files, each as [LABEL=]NAME")
    parser.add_argument("--count", type=int, default=25)
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    args = parser.parse_args()
    named = [model.rpartition("=") for model in args.model or ["panel", "mfen", "dri"]]
    models = {label: iqassay.load(name) for label, _, name in named for label in [label or name]}

    found: dict[tuple[str, int, str], list[tuple[float, float]]] = {}
    for i, (clean, rng) in enumerate(clean_crops(args.pristine, args.count)):
        before = np.rint(clean * 255).astype(np.uint8)
        half = len(before) // 2
        for level in LEVELS:
            for k, kind in enumerate(WHERE):
                corner = half * ((i + k) // 2 % 2), half * ((i + k) % 2)
                quarter = np.s_[corner[0] : corner[0] + half, corner[1] : corner[1] + half]
                picture = before.copy()
                picture[quarter] = np.rint(distort(clean, kind, level, rng)[quarter] * 255)
                for label, model in models.items():
                    seen = model.score(picture).map
                    rows, columns = (
                        slice(c * n // len(before), (c + half) * n // len(before))
                        for c, n in zip(corner, seen.shape, strict=True)
                    )
                    inside = np.zeros(seen.shape, bool)
                    inside[rows, columns] = True
                    apart = float(seen[~inside].mean() - seen[inside].mean())
                    found.setdefault((label, level, kind), []).append((map_auc(seen, corner, picture, before), apart))
    rows = []
    for label in models:
        for level in LEVELS:
            of = {kind: np.array(found[label, level, kind]) for kind in WHERE}
            of["all"] = np.nanmean(np.stack(list(of.values())), axis=0)
            for kind, values in of.items():
                auc = values[:, 0][np.isfinite(values[:, 0])]
                low, high = interval(auc)
                row = {"model": label, "version": models[label].card.version, "level": level, "kind": kind}
                row |= {"auc": round(float(auc.mean()), 4), "low": round(low, 4), "high": round(high, 4)}
                rows.append(row | {"apart": round(float(values[:, 1].mean()), 2), "pictures": len(auc)})
                print(*rows[-1].values(), sep="  ")
    write_rows(args.out, rows)


if __name__ == "__main__":
    main()
