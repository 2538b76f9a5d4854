"""What whole photos that were damaged by us, and pictures of a neural codec, teach DRI-IQA's predictor.

    python benchmarks/ablations/whole_photos.py RUN --learned biq2021=.42,flive_voc=.2,synthetic=.3
        --added whole_photos=.1 --added neural_codecs=.05 [--seeds 2] [-o whole_photos.csv]

RUN is the folder of an ``iqassay train dri --stage head``, and what it kept of its pictures. A predictor begins anew
for each seed and learns from the --learned sets, at these shares, and from none, each, or all of the --added ones, for
which ``synthetic`` gives way. The table has the mean SRCC over seeds, and how far seeds lie apart: of a set that is
learned from on its ``val``, of any other on all its pictures.
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
from iqassay.training.head import fit_head, predict
from iqassay.training.kept_pictures import gather

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from opened_run import opened
from rows import write_rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--learned", type=shares, required=True)
    parser.add_argument("--added", type=shares, action="append", required=True)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    args = parser.parse_args()

    recipe, system = opened(args.run, DRI)
    sets = gather(recipe, system)
    sizes = tuple(part.shape[-1] for part in sets[0].kept)
    every = {name: share for one in args.added for name, share in one.items()}
    arms = {"neither": {}} | {" and ".join(one): one for one in args.added} | {"all": every}
    rows = []
    for arm, added in arms.items():
        share = args.learned | added | {"synthetic": args.learned["synthetic"] - sum(added.values())}
        found: dict[str, list[float]] = {}
        for seed in range(args.seeds):
            torch.manual_seed(seed)
            one = dataclasses.replace(recipe, seed=seed, shares=[share.get(s.name, 0.0) for s in sets])
            head = fit_head(one, Predictor(system.config, sizes), sets)[0]
            for s in sets:
                first = s.train if s.name in args.learned | every else 0
                found.setdefault(s.name, []).append(srcc(predict(head, s, first), s.score[first:]))
        for name, values in found.items():
            row = {"set": name, "learned": name in share, "added": arm, "seeds": len(values)}
            rows.append(row | {"srcc": round(float(np.mean(values)), 4), "spread": round(float(np.ptp(values)), 4)})
            print(*rows[-1].values(), sep="  ", flush=True)
    write_rows(args.out, rows)


def shares(text: str) -> dict[str, float]:
    """The share of each set, by name: NAME=SHARE,..."""
    return {name: float(share) for name, _, share in (one.partition("=") for one in text.split(","))}


if __name__ == "__main__":
    main()
