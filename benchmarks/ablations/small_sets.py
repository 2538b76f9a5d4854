"""What a few opinions are worth to DRI-IQA's head: each small rated set is dealt out by contents into halves, of which
one is learned from beside the recipe's sets and the other is asked, in turn; and nothing of them is learned from.

    python benchmarks/ablations/small_sets.py RUN --small CSV:FOLDER:WORST..BEST [--small ...]
        [--native CSV:FOLDER:WORST..BEST ...] [--share 0.04] [-o small_sets.csv]

RUN is the folder of an ``iqassay train dri --stage head``, whose recipe is taken but for the small sets, and what it
kept of its pictures. --native: large pictures whose quality lies at native pixels, of which every fourth is taken, and
of it the middle. A set whose pictures lie in a folder of the recipe's --generated is one of generated pictures: their
score is that of ``systems.dri.Generated``, and how many are told is in the table too.

All figures are SRCC of whole views, the mean over both halves: "without" of a head that knows nothing of the small
sets, "with" of one that knows the other half of each. The recipe's own sets are asked by their ``val``.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import re
import sys
from pathlib import Path

import numpy as np
import torch

from iqassay.data.opening import open_set
from iqassay.data.rating import Rating
from iqassay.statistics.correlation import srcc
from iqassay.systems.dri import DRI, Generated, Predictor, Seen, blended
from iqassay.training.build import build_system
from iqassay.training.checkpoints import NEW, load_weights, recipe_of
from iqassay.training.generated import fit_generated
from iqassay.training.head import fit_head, usual_as_photos
from iqassay.training.kept_pictures import Pictures, gather, kept_of, patched_pictures, rated_pictures
from iqassay.training.recipes import Recipe

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from middle import middle

EVERY = 4  # of the large pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--small", action="append", default=[])
    parser.add_argument("--native", action="append", default=[])
    parser.add_argument("--share", type=float, default=0.04)
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    args = parser.parse_args()

    recipe = recipe_of(args.run / "best.ckpt")
    recipe = dataclasses.replace(recipe, out=args.run)
    names = {open_set(argument).name for argument in args.small + args.native}
    use = [i for i, argument in enumerate(recipe.data) if open_set(argument).name not in names]
    shares = recipe.shares and [*(recipe.shares[i] for i in use), *recipe.shares[len(recipe.data) :]]
    recipe = dataclasses.replace(recipe, data=[recipe.data[i] for i in use], shares=shares)
    system = build_system(recipe).eval()
    assert isinstance(system, DRI)
    assert recipe.start is not None
    load_weights(system, recipe.start, new=NEW)
    sets = gather(recipe, system)
    patched = patched_pictures(recipe, system) if recipe.patched else None
    small = [seen(recipe, system, argument, argument in args.native) for argument in args.small + args.native]

    rows: list[dict] = []
    for halves in ([], [0], [1]):
        taught = [part(one, contents, half) for one, contents in small for half in halves]
        given = dataclasses.replace(recipe, shares=with_small(recipe, len(taught), args.share))
        at = len(recipe.data)
        mixed = [*sets[:at], *taught, *sets[at:]]
        head, found = fit_head(given, Predictor(system.config, sizes(sets)), mixed, patched=patched)
        generated = Generated(sets[0].kept[0].shape[-1]).eval()
        told = fit_generated(generated, mixed, usual_as_photos(head, mixed))
        print(halves, found, told, file=sys.stderr, flush=True)
        for name, value in (found | told).items():
            rows.append({"set": name, "learned": "with" if halves else "without", "figure": value})
        for one, contents in small:
            for half in [1 - h for h in halves] or [0, 1]:
                asked = part(one, contents, half)
                score, sure = answer(head, generated, asked)
                rows.append(
                    {"set": one.name, "learned": "with" if halves else "without", "figure": srcc(score, asked.score)}
                )
                if one.generated:
                    rows.append(
                        {"set": "of it told", "learned": rows[-1]["learned"], "figure": float((sure > 0.5).mean())}
                    )
    table: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        table.setdefault((row["set"], row["learned"]), []).append(float(row["figure"]))
    with args.out.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["set", "learned", "figure"])
        writer.writerows([*key, f"{np.mean(values):.4f}"] for key, values in table.items())
    print(args.out.read_text())


def seen(recipe: Recipe, system: DRI, argument: str, native: bool) -> tuple[Pictures, np.ndarray]:
    """A small set with what is kept of its pictures, and which content each is of."""
    ratings = open_set(argument)
    rows = ratings.rows[::EVERY] if native else ratings.rows
    kept = kept_of(system, [middle(r.image) if native else r.image for r in rows], recipe.out, ratings.name)
    found = rated_pictures(ratings.name, rows, kept, len(rows))
    found.generated = all(any(row.image.is_relative_to(f) for f in recipe.generated) for row in rows)
    return found, np.array([content(row) for row in rows])


def content(row: Rating) -> str:
    """What a picture shows: its group or reference, else what its name has in common with others ("_p07")."""
    prompt = re.search(r"_(p\d+)$", row.image.stem)
    return prompt[1] if prompt else row.group


def part(pictures: Pictures, contents: np.ndarray, half: int) -> Pictures:
    """Every second content of a set, all of its pictures for training."""
    rows = np.flatnonzero(np.isin(contents, np.unique(contents)[half::2]))
    own = (getattr(pictures, name)[rows] for name in ("score", "kind", "severity"))
    kept = [np.asarray(v)[rows] for v in pictures.kept]
    return Pictures(pictures.name, kept, *own, len(rows), pictures.generated)


def with_small(recipe: Recipe, count: int, share: float) -> list[float]:
    """The shares of the recipe's sets, and among them those of so many small ones."""
    given = recipe.shares or [1.0] * (len(recipe.data) + bool(recipe.generated) + bool(recipe.synthetic))
    at = len(recipe.data)
    return [*given[:at], *[share * sum(given)] * count, *given[at:]]


def sizes(sets: list[Pictures]) -> tuple[int, ...]:
    """How wide each of the things is that are kept."""
    return tuple(part.shape[-1] for part in sets[0].kept)


@torch.no_grad()
def answer(head: Predictor, generated: Generated, pictures: Pictures) -> tuple[np.ndarray, np.ndarray]:
    """Raw scores of pictures, and how probable it is that they were generated."""
    found = Seen.of(*(torch.from_numpy(np.asarray(v, np.float32)) for v in pictures.kept))
    sure, appeal = generated(found.meaning, found.described)
    return blended(head(found).score, sure, appeal).numpy(), sure.numpy()


if __name__ == "__main__":
    main()
