"""What do pictures beyond damaged photos, ``--synthetic-covered``, do to a head on frozen features?

    python benchmarks/ablations/covered_heads.py --clean FOLDER --data CSV[:FOLDER[:WORST..BEST]] [--data ...]
        [--judged CSV:FOLDER:WORST..BEST ...] [--native CSV:FOLDER:WORST..BEST ...]

One encoder, EfficientNet-Lite0 as ImageNet left it: mean and deviation of every channel of every level at full, half
and quarter size. On it the same head is fitted, several seeds, to the ``train`` rows of --data and to rendered pictures
of --clean, which are either what 0.1.0 had (25 distortions, chains, restorations) or as many of which a share is of
data/coverage.py. Printed and written: SRCC on the ``val`` rows of --data and on all rows of --judged, and figures of
the sanity suite. --native: a set whose quality lies at native pixels; its large pictures are cropped in the middle.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from iqassay.bench.learners import Statistics
from iqassay.bench.sanity import Answer, Answers
from iqassay.bench.sanity_figures import figures
from iqassay.bench.sanity_questions import questions
from iqassay.data.distortions import KINDS
from iqassay.data.opening import open_set
from iqassay.data.synthetic import UNKNOWN
from iqassay.pictures.image import read_image
from iqassay.statistics.correlation import srcc
from iqassay.systems.blocks import Regressor
from iqassay.training.cached_pass import fingerprint, keep
from iqassay.training.calibrate import calibration_table
from iqassay.training.head import fit_head
from iqassay.training.kept_pictures import Pictures
from iqassay.training.recipes import Recipe
from iqassay.training.sets import synthetic_sets

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from middle import middle

SHOWN = ("up by 0.5", "up by 2", "mean score", "least score", "up again", "mean shift", "mean change")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clean", type=Path, required=True)
    parser.add_argument("--data", action="append", required=True)
    parser.add_argument("--judged", action="append", default=[])
    parser.add_argument("--native", action="append", default=[])
    parser.add_argument("--count", type=int, default=2000, help="rendered pictures of each kind")
    parser.add_argument("--covered", type=float, default=0.4)
    parser.add_argument("--limit", type=int, default=3000, help="train rows of each set")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path("runs/covered_heads"))
    parser.add_argument("-o", "--out", type=Path, default=Path("benchmarks/ablations/covered_heads.csv"))
    args = parser.parse_args()

    network = Statistics("efficientnet_lite0").eval()

    def described(name: str, sources: Sequence[Path | np.ndarray]) -> list[np.ndarray]:
        folder = args.work / f"{name}-{fingerprint(network.described.encoder, sources)}"
        rows = keep(folder, network, [(source,) for source in sources], 0)[0]
        return [rows, np.zeros(len(rows), np.float32)]  # the second is the patches' mean, which there is none of

    def rated(argument: str) -> Pictures:
        ratings = open_set(argument)
        train, val = ratings.split("train").rows[: args.limit], ratings.split("val").rows
        rows = [*train, *val]
        return pictures(ratings.name, [r.image for r in rows], [r.score for r in rows], len(train))

    def pictures(name: str, sources: Sequence, score: Sequence[float], train: int) -> Pictures:
        kind, severity = (np.full((len(score), n), UNKNOWN, np.float32) for n in (len(KINDS) + 1, len(KINDS)))
        return Pictures(name, described(name, sources), np.array(score), kind, severity, train)

    sets = [rated(argument) for argument in args.data]
    judged = []
    for argument in args.judged + args.native:
        rows = open_set(argument).rows
        sources = [middle(r.image) if argument in args.native else r.image for r in rows]
        judged.append(pictures(Path(argument.split(":")[0]).stem, sources, [r.score for r in rows], 0))
    asked = questions()
    suite = described("sanity", [_pixels(q.make()) for q in asked])

    rows = []
    for arm, share in (("as before", 0.0), ("covered", args.covered)):
        recipe = Recipe(
            data=args.data,
            synthetic=[args.clean],
            synthetic_count=args.count,
            synthetic_covered=share,
            shares=[1.0] * len(sets) + [1.0],
            epochs=8,
            steps=250,
            batch=96,
            out=args.work / arm.replace(" ", "_"),
        )
        made = synthetic_sets(recipe)[:2]
        rendered = pictures(
            f"synthetic {arm}", [*made[0].pixels, *made[1].pixels], [*made[0].score, *made[1].score], len(made[0])
        )
        for seed in range(args.seeds):
            recipe.seed = seed
            torch.manual_seed(seed)
            head, found = fit_head(recipe, Regressor(sets[0].kept[0].shape[1]), [*sets, rendered])
            scale = calibration_table(
                np.concatenate([_said(head, s.kept)[s.train :] for s in (sets[0], rendered)]),
                np.concatenate([s.score[s.train :] for s in (sets[0], rendered)]),
            )
            for one in judged:
                found[one.name] = srcc(_said(head, one.kept), one.score)
            rows += [
                (arm, seed, "srcc", name, round(float(v), 4)) for name, v in found.items() if name != rendered.name
            ]
            scores = np.interp(_said(head, suite), scale["raw"], scale["score"])
            answers = Answers(arm, of={q.file: Answer(q.file, float(s)) for q, s in zip(asked, scores, strict=True)})
            rows += [
                (arm, seed, f"sanity {f.family}: {f.figure}", f"{f.what} {f.level}".strip(), round(f.value, 3))
                for f in figures(answers)
                if f.figure in SHOWN
            ]
    with args.out.open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([("head", "seed", "figure", "of", "value"), *rows])
    for figure, of in dict.fromkeys((r[2], r[3]) for r in rows):
        values = {
            arm: [r[4] for r in rows if r[0] == arm and r[2:4] == (figure, of)] for arm in ("as before", "covered")
        }
        print(f"{figure:30} {of:28}", *(f"{arm} {np.mean(v):8.3f} ({np.ptp(v):.3f})" for arm, v in values.items()))


@torch.no_grad()
def _said(head: torch.nn.Module, kept: list[np.ndarray]) -> np.ndarray:
    return head.eval()(*(torch.from_numpy(np.asarray(k)) for k in kept)).numpy()


def _pixels(made: np.ndarray | bytes) -> np.ndarray:
    return made if isinstance(made, np.ndarray) else read_image(made).pixels


if __name__ == "__main__":
    main()
