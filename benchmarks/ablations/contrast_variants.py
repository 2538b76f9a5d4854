"""What DRI-IQA's degradation vector is made of, and what it learns by: how well it then tells types apart.

    python benchmarks/ablations/contrast_variants.py --pristine FOLDER... [--encoder efficientnet_lite2] [--count 14000]

The first step of the restoration stage alone, over three seeds: of an encoder's statistics and plain ones, or of one of
the two; by contrast and the representation loss, or by one of them. Retrieval: how often the nearest other picture of
held-out contents has the same distortion type, by what is compared (the embedding) and by the vector itself.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

import numpy as np
import torch

from iqassay.systems.degradation import STATISTICS, DegradationEncoder
from iqassay.systems.dri import DRI
from iqassay.training.build import build_system
from iqassay.training.degradation import Degraded, fit_degradation, retrieval
from iqassay.training.recipes import Recipe
from iqassay.training.restoration import degraded, drawn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from rows import write_rows

VARIANTS = {
    "both, both losses": ("both", {}),
    "the encoder's alone": ("encoder", {}),
    "plain ones alone": ("plain", {}),
    "contrast alone": ("both", {"representation": 0.0}),
    "representation loss alone": ("both", {"contrast": 0.0}),
}
SEEDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pristine", type=Path, nargs="+", required=True, metavar="FOLDER")
    parser.add_argument("--encoder", default="efficientnet_lite2")
    parser.add_argument("--count", type=int, default=14_000)
    parser.add_argument("--work", type=Path, default=Path("runs/contrast_variants"))
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    args = parser.parse_args()
    recipe = Recipe(
        "dri",
        encoder=args.encoder,
        stage="restoration",
        synthetic=args.pristine,
        synthetic_count=args.count,
        synthetic_covered=0.3,
        out=args.work,
    )
    system = build_system(recipe)
    assert isinstance(system, DRI)
    sets = degraded(recipe, system, *drawn(recipe))
    rows = []
    for name, (of, changes) in VARIANTS.items():
        found = []
        for seed in range(SEEDS):
            torch.manual_seed(seed)
            encoder = DegradationEncoder(system.encoder.channels, system.config.vector)
            some = [only(one, of) for one in sets]
            said = fit_degradation(dataclasses.replace(recipe, seed=seed, **changes), encoder, some)
            val = some[0]
            with torch.no_grad():
                vectors = torch.nn.functional.normalize(encoder.of(val.statistics[val.train :]), dim=1)
            found.append((said, retrieval(vectors, val.labels[val.train :])))
        for what, values in zip(("embedding", "vector"), zip(*found, strict=True), strict=True):
            numbers = {"retrieval": np.mean(values), "lowest": min(values), "highest": max(values)}
            rows.append({"variant": name, "of": what} | {k: round(float(v), 4) for k, v in numbers.items()})
            print(*rows[-1].values(), sep="  ", flush=True)
    write_rows(args.out, rows)


def only(one: Degraded, of: str) -> Degraded:
    """The same pictures, of whose statistics the encoder's, the plain ones, or both say something."""
    statistics = one.statistics.clone()
    if of == "encoder":
        statistics[:, -STATISTICS:] = 0
    elif of == "plain":
        statistics[:, :-STATISTICS] = 0
    return dataclasses.replace(one, statistics=statistics)


if __name__ == "__main__":
    main()
