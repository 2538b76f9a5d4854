"""What each part of MFEN is worth: short trainings on everything that differ in one switch, over three seeds.

    python benchmarks/ablations/train_variants.py --biq biq2021.csv:IMAGES --flive flive_voc.csv:IMAGES
        --pristine FOLDER

Every run is the same short recipe (--steps batches of 24 crops of 160 pixels) with the switch of its row. One row a run
goes to benchmarks/ablations/ablation.csv as soon as it is there; runs already in that file are not repeated. Only
validation splits are read. For the levers that decide what generalises see benchmarks/ablations/head_variants.py.
"""

from __future__ import annotations

import csv
import shlex
from pathlib import Path

from variants import arguments, train_all

from iqassay.bench.ablate import SWITCHES, WHOLE

HERE = Path(__file__).parent
SHORT = shlex.split(
    "--batch 24 --epochs 1 --crop 160 --workers 0 --synthetic-count 3000 --devices 1 --precision bf16-mixed"
    " --scales 0.75 --scales 0.5 --lr 0.001 --encoder-lr 0.1 --average 0.95"
)
PARTS = {WHOLE: [], **SWITCHES["mfen"]}


def measure(folder: Path) -> dict[str, float]:
    """What the last validation of a run measured."""
    with (folder / "metrics.csv").open() as stream:
        last = [row for row in csv.DictReader(stream) if row["val/srcc"]][-1]
    return {k.removeprefix("val/"): round(float(v), 4) for k, v in last.items() if k.startswith("val/") and v}


if __name__ == "__main__":
    args = arguments(__doc__, steps=60, work="runs/variants", limit=600)
    train_all(["mfen", *SHORT], PARTS, args, HERE / "ablation.csv", measure)
