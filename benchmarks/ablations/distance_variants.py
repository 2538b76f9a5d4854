"""How much the distance of the full-reference mode should learn: modelled opinions against people's.

    python benchmarks/ablations/distance_variants.py runs/yoto_head --toyama Toyama.txt --kodak KODAK

Works in the folder of ``iqassay train yoto --stage head``, on the pairs that it left there. The distance is trained
anew with more and fewer batches, with and without the attention's say in how visible a difference is (--sway). Two
sides are looked at: the validation pairs, whose opinions are modelled; and the JPEG and JPEG 2000 pictures of Toyama
made again from Kodak photos, which people rated ("within": between photos at one codec and quality). Writes
benchmarks/ablations/distance_variants.csv.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

import numpy as np
from variants import write

from iqassay.statistics.correlation import srcc
from iqassay.training.build import build_system
from iqassay.training.checkpoints import load_weights, recipe_of
from iqassay.training.pairs import CELLS, Compared, Pairs, fit_distance, gather_pairs, grade
from iqassay.training.sets import synthetic_sets
from iqassay.training.whole_pass import look

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from toyama import made_again

VARIANTS = [(1.4, 60), (1.4, 600), (1.4, 3000), (0.0, 60), (0.0, 300), (0.0, 600), (0.0, 3000)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--toyama", type=Path, required=True)
    parser.add_argument("--kodak", type=Path, required=True)
    args = parser.parse_args()
    recipe = dataclasses.replace(recipe_of(args.folder / "best.ckpt"), out=args.folder)
    system = build_system(recipe).eval()
    load_weights(system, args.folder / "best.ckpt")
    made = gather_pairs(recipe, system)[-1]
    restored = synthetic_sets(recipe)[1].kind[:, 0] < 0
    found = list(made_again(args.toyama, args.kodak))
    answers = list(look(Compared(system), [(rated.picture, rated.reference) for rated in found]))
    cells = np.linspace(0, answers[0][1].shape[1] - 1, 2 * CELLS).astype(int)
    columns = [np.stack([answer[i][0, cells] for answer in answers]) for i in range(2)]
    opinion = np.array([rated.opinion for rated in found])
    toyama = Pairs("toyama", columns, opinion, 0)
    conditions = [np.flatnonzero([r.condition == name for r in found]) for name in {r.condition for r in found}]
    rows = []
    for sway, steps in VARIANTS:
        system.config.sway = sway
        fit_distance(dataclasses.replace(recipe, steps=steps), system, [made])
        held = grade(system, made, np.arange(made.train, len(made.score))).detach().numpy()
        truth = made.score[made.train :]
        rated = grade(system, toyama, np.arange(len(opinion))).detach().numpy()
        rows.append({
            "sway": sway, "steps": steps, "validation pairs": srcc(held, truth),
            "restored": srcc(held[restored], truth[restored]), "named": srcc(held[~restored], truth[~restored]),
            "Toyama": srcc(rated, opinion), "Toyama within": np.mean([srcc(rated[c], opinion[c]) for c in conditions]),
        })  # fmt: skip
        print({key: round(float(value), 4) for key, value in rows[-1].items()}, flush=True)
        file = Path(__file__).with_suffix(".csv")
        write(file, [{key: round(float(value), 4) for key, value in row.items()} for row in rows])


if __name__ == "__main__":
    main()
