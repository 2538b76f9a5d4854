"""What each part of MFEN is worth: short trainings on everything that differ in one switch, over three seeds.

    python benchmarks/train_variants.py --biq biq2021.csv:IMAGES --flive flive_voc.csv:IMAGES --pristine FOLDER

Every run is the same short recipe (--steps batches of 24 crops of 160 pixels) with the switch of its row. One row a run
goes to benchmarks/ablation.csv as soon as it is there; runs already in that file are not repeated. Only validation
splits are read. For the levers that decide what generalises see benchmarks/head_variants.py.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import shlex
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SHORT = shlex.split(
    "--batch 24 --epochs 1 --crop 160 --workers 0 --synthetic-count 3000 --devices 1 --precision bf16-mixed"
    " --scales 0.75 --scales 0.5 --lr 0.001 --encoder-lr 0.1 --average 0.95"
)

PARTS = {
    "whole": [],
    "no HFEN": ["--no-hfen"],
    "no DAN": ["--no-dan"],
    "fusion by sum": ["--fusion", "sum"],
    "fusion by concat": ["--fusion", "concat"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--biq", required=True)
    parser.add_argument("--flive", required=True)
    parser.add_argument("--pristine", required=True)
    parser.add_argument("--steps", default="60")
    parser.add_argument("--limit", default="600")
    parser.add_argument("--work", type=Path, default=Path("runs/variants"))
    args = parser.parse_args()
    file = HERE / "ablation.csv"
    done = list(csv.DictReader(file.open())) if file.exists() else []
    seen = {(row["variant"], row["seed"]) for row in done}
    everything = ["--data", args.biq, "--data", args.flive, "--synthetic", args.pristine]
    for variant, seed in itertools.product(PARTS, map(str, range(3))):
        if (variant, seed) in seen:
            continue
        out = args.work / f"{variant.replace(' ', '-')}-{seed}"
        command = [sys.executable, "-m", "iqassay", "train", "mfen", *SHORT]
        command += ["--steps", args.steps, "--limit", args.limit]
        subprocess.run([*command, *everything, "--seed", seed, "--out", str(out), *PARTS[variant]], check=True)
        with (out / "metrics.csv").open() as stream:
            last = [row for row in csv.DictReader(stream) if row["val/srcc"]][-1]
        measures = {k.removeprefix("val/"): round(float(v), 4) for k, v in last.items() if k.startswith("val/") and v}
        done.append({"variant": variant, "seed": seed, "steps": args.steps, **measures})
        columns = list(dict.fromkeys(key for row in done for key in row))
        with file.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, columns)
            writer.writeheader()
            writer.writerows(done)


if __name__ == "__main__":
    main()
