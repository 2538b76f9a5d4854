"""Joint training against separate, and what each part of YOTO is worth: short trainings over three seeds.

    python benchmarks/ablations/yoto_variants.py --biq biq2021.csv:IMAGES --flive flive_voc.csv:IMAGES --pristine FOLDER

Every run is the same short recipe with the switches of its row. "paper's head" rows are the light network without the
two terms that are ours and without the LayerNorm of its tokens, so that its own parts decide; "shipped" rows have them.
Each mode trained alone has as many batches as joint training has in all, and half as many as "joint, twice as long".
One row a run goes
to benchmarks/ablations/yoto_variants.csv as soon as it is there, and its validation answers are kept in --work; runs
already in the file are not repeated. At the end the paired bootstrap of joint against separate training goes to
benchmarks/ablations/yoto_joint.csv. Only validation splits are read.
"""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
from variants import answers, arguments, gains, train_all, write

from iqassay.bench.ablate import SWITCHES
from iqassay.statistics.correlation import srcc

HERE = Path(__file__).parent
SHORT = shlex.split(
    "--batch 24 --epochs 1 --crop 160 --workers 0 --synthetic-count 14000 --devices 1 --precision bf16-mixed"
    " --scales 0.75 --scales 0.5 --lr 0.001 --average 0.97"
)
ALONE = {"joint": [], "no-reference": ["--mode", "no-reference"], "full-reference": ["--mode", "full-reference"]}
PARTS = {name: flags for name, flags in SWITCHES["yoto"].items() if "--mode" not in flags}  # modes are in ALONE
PAPERS_HEAD = ["--no-whole-picture", "--no-distance", "--no-normalise"]
VARIANTS = {f"paper's head, {name}": [*PAPERS_HEAD, *flags] for name, flags in (ALONE | PARTS).items()}
VARIANTS |= {f"shipped, {name}": flags for name, flags in ALONE.items()}
VARIANTS["paper's head, joint, twice as long"] = [*PAPERS_HEAD, "--steps", "500"]  # each mode as long as alone


def joint_against_alone(work: Path, head: str, joint: str = "joint") -> list[dict]:
    """SRCC of joint training less that of the mode alone."""
    rng, rows = np.random.default_rng(0), []
    for mode in ("no-reference", "full-reference"):
        files = [[work / f"{head}, {name}-{seed}" / "val-0.npz" for name in (joint, mode)] for seed in range(3)]
        runs = [(answers(ours), answers(other)) for ours, other in files if ours.exists() and other.exists()]
        rows += [{"head": head, "training": joint, "mode": mode} | g for g in gains(runs, ("joint", "alone"), rng)]
    return rows


def measure(folder: Path) -> dict[str, float]:
    """SRCC of every set of a run."""
    return {name: round(srcc(*values), 4) for name, values in answers(folder / "val-0.npz").items()}


def main() -> None:
    args = arguments(__doc__, steps=250, work="runs/yoto_variants", limit=400)
    train_all(["yoto", *SHORT], VARIANTS, args, HERE / "yoto_variants.csv", measure)
    pairs = [("paper's head", "joint"), ("paper's head", "joint, twice as long"), ("shipped", "joint")]
    write(HERE / "yoto_joint.csv", [row for pair in pairs for row in joint_against_alone(args.work, *pair)])


if __name__ == "__main__":
    main()
