"""What a linear score beside a system's heads is worth, on sets that both learn from and on sets that neither does.

    python benchmarks/ablations/linear_score.py RUN [--learned biq2021,flive_voc,synthetic] [--shares .5,.2,.3]
        [--seeds 2] [-o linear_score.csv]

RUN is the folder of an ``iqassay train dri --stage head``, and what it kept of its pictures. Predictors begin anew and
learn from the --learned sets alone, one for each seed, and a linear score beside each. Of ``iqassay train mfen --stage
head`` the head stays as the run has it, and the --learned sets should be those that it has learned from. The table has
the mean SRCC over seeds, and how far seeds lie apart, for several weights of the linear score: of a set that is learned
from on its ``val``, of any other on all its pictures.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

import numpy as np
import torch

from iqassay.statistics.correlation import srcc
from iqassay.systems.dri import DRI, Predictor
from iqassay.systems.linear_score import LinearScore
from iqassay.systems.mfen import MFEN
from iqassay.training.head import fit_head, predict
from iqassay.training.kept_pictures import gather, patched_pictures
from iqassay.training.linear_score import fit_linear

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from opened_run import opened
from rows import write_rows

WEIGHTS = (0.0, 0.15, 0.3, 0.5, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--learned", default="biq2021,flive_voc,synthetic")
    parser.add_argument("--shares", default=".5,.2,.3")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    args = parser.parse_args()

    share = dict(zip(args.learned.split(","), map(float, args.shares.split(",")), strict=True))
    recipe, system = opened(args.run, MFEN | DRI)
    sets = gather(recipe, system)
    patched = patched_pictures(recipe, system) if isinstance(system, DRI) else None
    one = dataclasses.replace(recipe, shares=[share.get(s.name, 0.0) for s in sets])
    numbers = system.numbers(*(torch.from_numpy(part[:1].astype(np.float32)) for part in sets[0].kept)).shape[1]
    found: dict[tuple[str, float], list[float]] = {}
    for seed in range(args.seeds if isinstance(system, DRI) else 1):
        torch.manual_seed(seed)
        if isinstance(system, DRI):
            sizes = tuple(part.shape[-1] for part in sets[0].kept)
            one = dataclasses.replace(one, seed=seed)
            system.predictor = fit_head(one, Predictor(system.config, sizes), sets, patched=patched)[0]
            system.others = torch.nn.ModuleList()
        system.linear = LinearScore(numbers)
        fit_linear(one, system, sets)
        for s in sets:
            if s.name == "taught":  # what a teacher says of generated pictures, not people
                continue
            first = s.train if s.name in share else 0
            for weight in WEIGHTS:
                system.config = dataclasses.replace(system.config, linear=weight)
                found.setdefault((s.name, weight), []).append(srcc(predict(system, s, first), s.score[first:]))
    rows = []
    for (name, weight), values in found.items():
        row = {"set": name, "learned": name in share, "linear": weight, "seeds": len(values)}
        rows.append(row | {"srcc": round(float(np.mean(values)), 4), "spread": round(float(np.ptp(values)), 4)})
        print(*rows[-1].values(), sep="  ")
    write_rows(args.out, rows)


if __name__ == "__main__":
    main()
