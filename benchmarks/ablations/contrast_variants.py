"""What the contrast of degradations is worth to DRI-IQA's degradation encoder, and which kind: short trainings.

    python benchmarks/ablations/contrast_variants.py --pristine FOLDER

The restoration stage without a restorer, 300 batches of 16 crops of 128 pixels, over three seeds: the contrast inside
the batch or with a queue of 2048 older pictures too; with the queue and without the representation loss; and that loss
alone, whose pictures are then compared by a projection that nothing has trained. One row a run goes to
benchmarks/ablations/contrast_variants.csv as soon as it is there: how often the nearest other picture of held-out
contents has the same distortion type. Runs already in that file are not repeated.
"""

from __future__ import annotations

import csv
import shlex
from pathlib import Path

import numpy as np
from variants import arguments, train_all

FILE = Path(__file__).with_suffix(".csv")
SHORT = shlex.split(
    "--stage restoration --no-restoration --encoder efficientnet_lite0 --batch 16 --crop 128 --epochs 1 --workers 0"
    " --synthetic-count 14000 --lr 0.001 --average 0.97 --devices 1 --accelerator cpu --precision bf16-mixed"
)
VARIANTS = {
    "batch": ["--queue", "0"],
    "queue": ["--queue", "2048"],
    "no contrast": ["--queue", "0", "--contrast", "0"],
    "queue, no representation loss": ["--queue", "2048", "--representation", "0"],
}


def measure(folder: Path) -> dict[str, float]:
    """Retrieval of the last validation of a run."""
    with (folder / "metrics.csv").open() as stream:
        return {
            "retrieval": round([float(r["val/retrieval"]) for r in csv.DictReader(stream) if r["val/retrieval"]][-1], 4)
        }


def main() -> None:
    train_all(["dri", *SHORT], VARIANTS, arguments(__doc__, steps=300, work="runs/contrast_variants"), FILE, measure)
    with FILE.open() as stream:
        rows = list(csv.DictReader(stream))
    print("\n| variant | retrieval, mean of the seeds | lowest | highest |\n|---|---|---|---|")
    for variant in VARIANTS:
        found = [float(row["retrieval"]) for row in rows if row["variant"] == variant]
        print(f"| {variant} | {np.mean(found):.3f} | {min(found):.3f} | {max(found):.3f} |")


if __name__ == "__main__":
    main()
