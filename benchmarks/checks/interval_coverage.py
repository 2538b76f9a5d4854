"""How many opinions the intervals of a panel hold, on the panel's own scale, all and of each subset.

    iqassay bench run BIQ2021:... --model panel --split test -o runs/bench      # a row a picture: docs/bench.md
    python benchmarks/checks/interval_coverage.py runs/bench/biq2021/panel.csv [--model panel]

Takes the rows that `iqassay bench run` keeps, with low, high, mos and subset; the opinions, from 0 to 100, are brought
to the scale by ``scale.opinions`` of the panel's card (docs/scale.md, "Opinions on this scale").
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np

from iqassay.scoring.model_file import find_model
from iqassay.training.widths import coverage_text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", type=Path, help="CSV of iqassay bench run")
    parser.add_argument("--model", default="panel")
    args = parser.parse_args()
    with args.rows.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if not row["error"]]
    table = json.loads(find_model(args.model).read_text())["scale"]["opinions"]
    low, high, mos = (np.array([float(row[column]) for row in rows]) for column in ("low", "high", "mos"))
    truth = np.interp(mos, table["opinion"], table["score"])
    print(coverage_text(args.rows.stem, low, high, truth, np.array([row["subset"] for row in rows])))


if __name__ == "__main__":
    main()
