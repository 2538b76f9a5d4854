"""How much each member of a panel should count: SRCC on rated sets, also for mixes that were chosen without the set.

    python benchmarks/accuracy/panel_weights.py MODEL MODEL ... --data CSV[:FOLDER[:WORST..BEST]] [--data ...]
        [--whole CSV:FOLDER:WORST..BEST ...] [--native CSV:FOLDER:WORST..BEST ...] [--cache FOLDER]
        [-o panel_weights.csv]

Of a set of --data the rows of ``val`` are taken, of the others all. --native: large pictures whose quality lies at
native pixels, of which the middle is taken. Weights go in steps of a tenth. A set counts as much as any other.

For every set the table has: each member alone; the plain mean; the mix that is best on it; and the mix that is best on
the other sets together, which is what choosing weights is honestly worth. Members' answers are kept in --cache, where
``iqassay export`` finds them too.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

import numpy as np

from iqassay.data.opening import open_set
from iqassay.scoring.scorer import Scorer, calibrated
from iqassay.statistics.correlation import srcc
from iqassay.training.kept_answers import kept_answers

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from middle import middle
from rows import write_rows

STEPS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--data", action="append", default=[])
    parser.add_argument("--whole", action="append", default=[])
    parser.add_argument("--native", action="append", default=[])
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    args = parser.parse_args()

    members = [Scorer(model) for model in args.models]
    names = [member.card.name for member in members]
    scores, opinions = {}, {}
    for argument in args.data + args.whole + args.native:
        ratings = open_set(argument)
        rows = ratings.split("val").rows if argument in args.data else ratings.rows
        pictures = [middle(row.image) if argument in args.native else row.image for row in rows]
        said = kept_answers(members, pictures, args.cache, f"pictures of {ratings.name}")
        scores[ratings.name] = np.array(
            [[float(calibrated(a.score, m.card)) for a, m in zip(one, members, strict=True)] for one in said]
        )
        opinions[ratings.name] = np.array([row.score for row in rows])
    mixes = [mix for mix in itertools.product(range(STEPS + 1), repeat=len(names)) if sum(mix) == STEPS]
    reached = {name: [srcc(scores[name] @ np.array(mix) / STEPS, opinions[name]) for mix in mixes] for name in scores}

    def best(sets: list[str]) -> int:
        return int(np.argmax(np.mean([reached[name] for name in sets], axis=0)))

    found = []
    for name in scores:
        others = [other for other in scores if other != name] or [name]
        lines = {member: srcc(scores[name][:, i], opinions[name]) for i, member in enumerate(names)}
        lines["plain mean"] = srcc(scores[name].mean(1), opinions[name])
        lines["best on this set"] = reached[name][best([name])]
        lines["best on the other sets"] = reached[name][best(others)]
        lines["best on all sets"] = reached[name][best(list(scores))]
        for what, value in lines.items():
            chosen = {"best on this set": [name], "best on the other sets": others, "best on all sets": list(scores)}
            mix = mixes[best(chosen[what])] if what in chosen else ()
            weights = " ".join(f"{member}={share / STEPS:g}" for member, share in zip(names, mix, strict=False))
            found.append({"set": name, "score": what, "weights": weights, "srcc": round(float(value), 4)})
            print(f"{name:14} {what:24} {value:.3f} {weights}", flush=True)
    write_rows(args.out, found)


if __name__ == "__main__":
    main()
