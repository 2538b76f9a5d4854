"""Short trainings that differ in one thing: which lever generalises, and what each part of MFEN is worth.

    python benchmarks/train_variants.py left_out --biq biq2021.csv:IMAGES --flive flive_voc.csv:IMAGES --pristine FOLDER
    python benchmarks/train_variants.py ablation ...

Every run is the same short recipe (--steps batches of 24 crops of 160 pixels) with the changes of its row. One row a
run goes to benchmarks/TABLE.csv as soon as it is there; runs already in that file are not repeated. Only validation
splits are read.
"""

from __future__ import annotations

import argparse
import csv
import shlex
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SHORT = shlex.split(
    "--batch 24 --epochs 1 --crop 160 --workers 0 --synthetic-count 3000 --devices 1 --precision bf16-mixed"
    " --scales 0.75 --scales 0.5"
)

PLAIN = shlex.split("--frozen 0 --dan-frozen 2 --encoder-lr 1 --lr 0.0002 --average 0 --rank 0 --probe 0")
FIXED = shlex.split("--frozen 4 --dan-frozen 2 --encoder-lr 0.1 --lr 0.001 --average 0 --rank 0 --probe 0")
PROBED = [*FIXED, "--probe", "100"]
RANKED = [*PROBED, "--average", "0.97", "--rank", "0.5"]
LEVERS = {  # name -> (flags, with synthetic pictures); each line adds to the one before
    "all encoder levels trained": (PLAIN, False),
    "quality encoder fixed": (FIXED, False),
    "+ start from the linear probe": (PROBED, False),
    "+ ranking, averaged weights": (RANKED, False),
    "+ synthetic in every batch": (RANKED, True),
}
UNSEEN = ["lens_blur", "jpeg2000", "white_noise_color", "color_quantization", "jitter"]
PARTS = {
    "whole": [],
    "no HFEN": ["--no-hfen"],
    "no DAN": ["--no-dan"],
    "fusion by sum": ["--fusion", "sum"],
    "fusion by concat": ["--fusion", "concat"],
}


def runs(table: str, biq: str, flive: str, pristine: str) -> list[tuple[str, str, int, list[str]]]:
    """(variant, trained on, seed, flags) for every run of a table."""
    synthetic, both = ["--synthetic", pristine], ["--data", biq, "--data", flive]
    if table == "left_out":
        out = []
        for name, (flags, with_synthetic) in LEVERS.items():
            for trained, other, tag in ((biq, flive, "BIQ2021"), (flive, biq, "FLIVE-VOC")):
                extra = synthetic if with_synthetic else []
                out.append((name, tag, 0, [*flags, *extra, "--data", trained, "--left-out", other]))
        unseen = [flag for kind in UNSEEN for flag in ("--synthetic-without", kind)]
        return [*out, ("+ synthetic in every batch", "both", 0, [*RANKED, *both, *synthetic, *unseen])]
    return [
        (name, "all", seed, [*RANKED, *both, *synthetic, *flags]) for seed in range(3) for name, flags in PARTS.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", choices=("left_out", "ablation"))
    parser.add_argument("--biq", required=True)
    parser.add_argument("--flive", required=True)
    parser.add_argument("--pristine", required=True)
    parser.add_argument("--steps", default="100")
    parser.add_argument("--limit", default="0")
    parser.add_argument("--work", type=Path, default=Path("runs/variants"))
    args = parser.parse_args()
    file = HERE / f"{args.table}.csv"
    done = list(csv.DictReader(file.open())) if file.exists() else []
    seen = {(row["variant"], row["trained_on"], row["seed"]) for row in done}
    for number, (variant, trained, seed, flags) in enumerate(runs(args.table, args.biq, args.flive, args.pristine)):
        if (variant, trained, str(seed)) in seen:
            continue
        out = args.work / f"{args.table}-{number}"
        command = [sys.executable, "-m", "iqassay", "train", "mfen", *SHORT]
        command += ["--steps", args.steps, "--limit", args.limit]
        subprocess.run([*command, "--seed", str(seed), "--out", str(out), *flags], check=True)
        with (out / "metrics.csv").open() as stream:
            last = [row for row in csv.DictReader(stream) if row["val/srcc"]][-1]
        measures = {k.removeprefix("val/"): round(float(v), 4) for k, v in last.items() if k.startswith("val/") and v}
        done.append({"variant": variant, "trained_on": trained, "seed": str(seed), "steps": args.steps, **measures})
        columns = list(dict.fromkeys(key for row in done for key in row))
        with file.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, columns)
            writer.writeheader()
            writer.writerows(done)


if __name__ == "__main__":
    main()
