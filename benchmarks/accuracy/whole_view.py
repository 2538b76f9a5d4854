"""How much the whole view of a large picture should count beside its windows of native pixels.

    python benchmarks/accuracy/whole_view.py MODEL ... --data CSV[:FOLDER[:WORST..BEST]] [--data ...]
        [--all CSV:FOLDER:WORST..BEST ...] [--windows 12] [-o whole_view.csv]

Pictures of more than 0.3 MP are looked at as a whole, shrunk, and through windows; the score is a mean of both, of
which the whole view has the share ``views.global_weight`` of the model's card. Of a set of --data the rows of ``val``
are taken, of --all every row. Written: SRCC for shares from 0 to 1.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from iqassay.data.opening import open_set
from iqassay.scoring import tiles
from iqassay.scoring.model_file import Views
from iqassay.scoring.scorer import Scorer
from iqassay.statistics.correlation import srcc

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from rows import write_rows

SHARES = (0.0, 0.25, 0.5, 0.6, 0.7, 0.8, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--data", action="append", default=[])
    parser.add_argument("--all", action="append", default=[])
    parser.add_argument("--windows", type=int, default=12, help="at most, so that 4K pictures take less time")
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    args = parser.parse_args()

    rows: list[dict] = []
    for argument in args.data + args.all:
        ratings = open_set(argument)
        rated = ratings.rows if argument in args.all else ratings.split("val").rows
        opinions = np.array([row.score for row in rated])
        for name in args.models:
            said = both_views(name, [row.image for row in rated], args.windows)
            for share in SHARES:
                found = srcc(said @ np.array([1 - share, share]), opinions)
                rows.append({"model": name, "set": ratings.name, "pictures": len(rated), "share": share})
                rows[-1]["srcc"] = f"{found:.4f}"
            print(name, ratings.name, len(rated), [row["srcc"] for row in rows[-len(SHARES) :]], flush=True)
    write_rows(args.out, rows)


def both_views(name: str, files: Sequence[Path], windows: int) -> np.ndarray:
    """The mean raw score of the windows of each picture, and that of its whole view, (N, 2)."""
    scorer = Scorer(name)
    views = dataclasses.replace(scorer.card.views, max_windows=windows)
    said = (view_by_view(scorer, scorer.read(file).pixels, views) for file in files)
    return np.array([(np.mean(scores[:-1] or scores), scores[-1]) for scores in said])


def view_by_view(scorer: Scorer, pixels: np.ndarray, views: Views) -> list[float]:
    """The raw score of every window of a picture, and last of its whole view, unless that is the only one."""
    network, scores = scorer.network_for(pixels), list[float]()

    def noted(view: tiles.Batch, beside: tiles.Batch | None) -> tiles.Answers:
        answer = network(view, beside)
        scores.append(float(answer.score[0]))
        return answer

    tiles.look(pixels, views, noted)
    return scores


if __name__ == "__main__":
    main()
