"""What a better restorer could be worth to DRI-IQA: its predictor is given the true reference in place of the estimate.

    python benchmarks/ablations/oracle.py --clean FOLDER [--judged CSV:FOLDER:WORST..BEST ...] [--native CSV:... ...]

The shipped encoder, degradation encoder and restorer say of every picture what they say; only the picture that stands
for the restored one differs: the restorer's estimate, the reference (which no restorer can beat), the picture itself
(no restorer), or another content's reference (what is seen but tells nothing of this picture). For each arm the same
predictor learns anew, several seeds, without the semantic encoder, which says the same in all arms; from distorted
pictures of --clean without any restoration. It is judged on such pictures of contents held out, on restorations, of
which it has seen none, and on rated sets with references. Printed and written: SRCC of the mean answer of the seeds,
the change against the shipped restorer with its 95 % interval over contents, and ``seen``, the smallest change that
would be found four times out of five (2.8 standard errors).
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import sys
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

from iqassay.data.opening import open_set
from iqassay.data.pipeline import labels_of
from iqassay.data.synthetic import SyntheticConfig, SyntheticSet, pristine_files, render
from iqassay.pictures.image import read_image
from iqassay.statistics.correlation import srcc
from iqassay.statistics.significance import paired_bootstrap
from iqassay.systems import load_pretrained
from iqassay.systems.dri import DRI
from iqassay.training.cached_pass import fingerprint, keep
from iqassay.training.head import fit_head, predict
from iqassay.training.kept_pictures import CELLS, Pictures
from iqassay.training.recipes import Recipe
from iqassay.training.sets import held_out

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from middle import middle

ARMS = ("shipped restorer", "true reference", "no restorer", "another's reference")
SIZE = 256


class Oracle(nn.Module):
    """What the predictor sees of a picture (1, 3, H, W) if ``other`` of that shape is what the restorer answers."""

    def __init__(self, system: DRI) -> None:
        super().__init__()
        self.system = system

    def forward(self, image: Tensor, reference: Tensor) -> tuple[Tensor, ...]:
        restorer = self.system.restorer
        whole = restorer.forward
        with patch.object(restorer, "forward", lambda x, d: (reference, whole(x, d)[1])):
            return self.system.kept(image)


class Shipped(nn.Module):
    """What the predictor sees of a picture as it is."""

    def __init__(self, system: DRI) -> None:
        super().__init__()
        self.system = system

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return self.system.kept(image)


@dataclasses.dataclass
class Pairs:
    """Pictures with their references and opinions; content: whose picture it is."""

    name: str
    pictures: list
    references: list
    score: np.ndarray
    content: list[str]
    kind: np.ndarray
    severity: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clean", type=Path, action="append", required=True)
    parser.add_argument("--judged", action="append", default=[])
    parser.add_argument("--native", action="append", default=[])
    parser.add_argument("--count", type=int, default=2500, help="pictures to learn from; a fifth of each judged kind")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--work", type=Path, default=Path("runs/oracle"))
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    args = parser.parse_args()

    files = pristine_files(args.clean)
    kept = held_out(files)
    plain = SyntheticConfig(args.count, SIZE, restored=0.0)
    few = dataclasses.replace(plain, count=args.count // 5, seed=1)
    learned = _made("train", render([f for f in files if f not in kept], plain, args.work))
    judged = [
        _made("contents held out", render(kept, few, args.work)),
        _made(
            "restorations",
            render(kept, dataclasses.replace(few, seed=2, untouched=0.0, chained=0.0, restored=1.0), args.work),
        ),
        *(_rated(argument, argument in args.native) for argument in args.judged + args.native),
    ]
    system = load_pretrained("dri")
    config = dataclasses.replace(system.config, semantic="")
    answers: dict[str, dict[str, np.ndarray]] = {}
    for arm in ARMS:
        seen = {pairs.name: _seen(system, pairs, arm, args.work) for pairs in [learned, *judged]}
        train = _together(learned, judged[0], seen)  # the epoch is chosen by contents held out
        said: dict[str, list[np.ndarray]] = {pairs.name: [] for pairs in judged}
        for seed in range(args.seeds):
            recipe = Recipe(
                "dri", synthetic=args.clean, seed=seed, epochs=6, steps=150, batch=96, representation=0.0, out=args.work
            )
            torch.manual_seed(seed)
            predictor = type(system.predictor)(config, tuple(v.shape[-1] for v in seen["train"]))
            head, _ = fit_head(recipe, predictor, [train])
            for pairs in judged:
                alone = Pictures(pairs.name, seen[pairs.name], pairs.score, pairs.kind, pairs.severity, 0)
                said[pairs.name].append(predict(head, alone))
        answers[arm] = {name: np.mean(values, 0) for name, values in said.items()}
    rows = []
    for pairs in judged:
        for arm in ARMS:
            value, first = answers[arm][pairs.name], answers[ARMS[0]][pairs.name]
            row = {"judged on": pairs.name, "pictures": len(pairs.score), "given": arm}
            row |= {"srcc": round(srcc(value, pairs.score), 4)}
            if arm != ARMS[0]:
                change = paired_bootstrap(value, first, pairs.score, groups=pairs.content)
                error = (change.high - change.low) / 3.92
                row |= {"change": round(change.gain, 4), "low": round(change.low, 4), "high": round(change.high, 4)}
                row |= {"seen": round(2.8 * error, 4)}
            rows.append(row)
            print(*row.values(), sep="  ")
    with args.out.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [*rows[1]], lineterminator="\n", restval="")
        writer.writeheader()
        writer.writerows(rows)


def _made(name: str, made: SyntheticSet) -> Pairs:
    content = [str(hash(reference[::16, ::16].tobytes())) for reference in made.reference]
    return Pairs(name, list(made.pixels), list(made.reference), made.score, content, made.kind, made.severity)


def _rated(argument: str, native: bool) -> Pairs:
    ratings = open_set(argument)
    rows = [row for row in ratings.rows if row.reference is not None]
    read = middle if native else (lambda file: read_image(file).pixels)
    pictures, references = [read(r.image) for r in rows], [read(r.reference) for r in rows]
    content = [r.reference.name for r in rows if r.reference is not None]
    return Pairs(ratings.name, pictures, references, np.array([r.score for r in rows]), content, *labels_of(rows))


def _seen(system: DRI, pairs: Pairs, arm: str, work: Path) -> list[np.ndarray]:
    """What the predictor sees of the pictures in an arm, (N, ...) each."""
    others = {
        "true reference": pairs.references,
        "no restorer": pairs.pictures,
        "another's reference": _others(pairs),
    }
    sources = [(p,) for p in pairs.pictures] if arm == ARMS[0] else list(zip(pairs.pictures, others[arm], strict=True))
    network = Shipped(system) if arm == ARMS[0] else Oracle(system)
    name = f"{pairs.name}-{arm}-{fingerprint(system, [s for source in sources for s in source])}"
    return keep(work / name.replace(" ", "_").replace("'", ""), network, sources, CELLS)


def _others(pairs: Pairs) -> list:
    """For every picture the reference of another content: one of its size where there is one, or another, mirrored
    beyond its edges or cut."""
    out = []
    for i, picture in enumerate(pairs.pictures):
        turn = [(i + k) % len(pairs.pictures) for k in range(len(pairs.pictures) // 2, len(pairs.pictures) * 3 // 2)]
        others = [k for k in turn if pairs.content[k] != pairs.content[i]]
        other = pairs.references[min(others, key=lambda k: pairs.references[k].shape != picture.shape)]
        missing = [max(0, want - got) for want, got in zip(picture.shape[:2], other.shape[:2], strict=True)]
        wide = np.pad(other, [(0, n) for n in (*missing, 0)], mode="symmetric")
        out.append(wide[: picture.shape[0], : picture.shape[1]])
    return out


def _together(learned: Pairs, chosen: Pairs, seen: dict[str, list[np.ndarray]]) -> Pictures:
    kept = [np.concatenate(parts) for parts in zip(seen[learned.name], seen[chosen.name], strict=True)]
    score, kind, severity = (
        np.concatenate([getattr(p, key) for p in (learned, chosen)]) for key in ("score", "kind", "severity")
    )
    return Pictures("synthetic", kept, score, kind, severity, len(learned.score))


if __name__ == "__main__":
    main()
