"""What each part of MFEN and DRI-IQA is worth, gathered into one table.

    python benchmarks/ablations/ablations.py

Reads what train_variants.py and dri_variants.py wrote (three seeds each, validation splits only) and prints the mean
SRCC, with its deviation over the seeds, of every variant on every set.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
SETS = ("BIQ2021", "FLIVE-VOC", "synthetic")
SYSTEMS = {  # name: its table, and the columns of the sets in it
    "MFEN": ("ablation.csv", ("srcc_biq2021", "srcc_flive_voc", "srcc_synthetic")),
    "DRI-IQA": ("dri_variants.csv", ("biq2021", "flive_voc", "synthetic")),
}


def main() -> None:
    print("| system | variant | batches | " + " | ".join(SETS) + " |\n|" + "---|" * (3 + len(SETS)))
    for system, (file, columns) in SYSTEMS.items():
        with (HERE / file).open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        for variant in dict.fromkeys(row["variant"] for row in rows):
            runs = [row for row in rows if row["variant"] == variant]
            cells = [cell([row.get(column) or "" for row in runs]) for column in columns]
            print(f"| {system} | {variant} | {runs[0]['steps']} | " + " | ".join(cells) + " |")


def cell(values: list[str]) -> str:
    numbers = [float(value) for value in values if value]
    return f"{np.mean(numbers):.3f} ± {np.std(numbers, ddof=1):.3f}" if len(numbers) > 1 else ""


if __name__ == "__main__":
    main()
