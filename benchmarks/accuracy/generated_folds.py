"""How well DRI-IQA tells and scores generated pictures of which it knows neither the prompts nor the generators.

    python benchmarks/accuracy/generated_folds.py RUN [-o generated_folds.csv]

RUN is the folder of an ``iqassay train dri --stage head --generated ...``: its recipe, what it kept of its pictures and
its predictors are taken. What tells generated pictures and what people like about them is fitted anew in three folds,
each time without a third of the groups (prompts) of the rated ones, a third of the folders of the others (generators),
and a third of --photos; these are asked, and the ``val`` rows of the sets of photos. "told" is the share of pictures
that are more probably generated than not; of photos it should be small. SRCC with people: of the scores as photos, of
the scores as they are, and if all had been told.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from iqassay.statistics.correlation import bootstrap, srcc
from iqassay.systems.dri import DRI, Generated, blended
from iqassay.training.generated import fit_generated
from iqassay.training.head import predict, usual_as_photos
from iqassay.training.kept_pictures import Pictures, gather, unrated_photos
from iqassay.training.recipes import Recipe
from iqassay.training.sets import generated_set, rated_rows

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from opened_run import opened
from rows import write_rows

FOLDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    args = parser.parse_args()

    recipe, system = opened(args.run, DRI)
    sets = gather(recipe, system)
    rated = next(s for s in sets if s.generated and s.name != "taught")
    groups = {rated.name: groups_of(recipe, rated.name), "taught": folders_of(recipe)}
    photos = {s.name: s for s in unrated_photos(recipe, system)}
    groups |= {name: np.arange(len(s.score)).astype(str) for name, s in photos.items()}
    parts = {s.name: s for s in sets} | photos
    as_photos = predict(system, rated, 0)
    usual = usual_as_photos(system, sets)

    sure = {name: np.zeros(len(s.score)) for name, s in parts.items()}
    appeal = np.zeros(len(rated.score))
    for fold in range(FOLDS):
        held = {name: in_fold(groups[name], fold) for name in groups}
        learned = [some(s, ~held[name]) if name in held else s for name, s in parts.items()]
        head = Generated(rated.kept[0].shape[1]).eval()
        fit_generated(head, learned, usual)
        for name, s in parts.items():
            asked = held[name] if name in held else np.arange(len(s.score)) >= s.train
            if asked.any():
                said = answers(head, some(s, asked))
                sure[name][asked] += said[0] / (1 if name in held else FOLDS)  # of what no fold leaves out, the mean
                if name == rated.name:
                    appeal[asked] = said[1]
    rows = []
    for name, value in sure.items():
        value = value if name in groups else value[parts[name].train :]
        if len(value):
            kind = "generated" if parts[name].generated else "photos"
            row = {"of": kind, "set": name, "pictures": len(value)}
            rows.append(row | {"told": f"{(value > 0.5).mean():.3f}"})
    told = sure[rated.name]
    for name, score in {
        "as photos": as_photos,
        "as they are": blended(as_photos, told, appeal),
        "if all were told": blended(as_photos, np.ones(len(told)), appeal),
    }.items():
        low, high = bootstrap(score, rated.score, groups=groups[rated.name])
        row = {"of": f"score, {name}", "set": rated.name, "pictures": len(score)}
        rows.append(row | {"srcc": round(srcc(score, rated.score), 4), "low": round(low, 4), "high": round(high, 4)})
    for row in rows:
        print(*row.values(), sep="  ")
    columns = dict.fromkeys(key for row in rows for key in row)
    write_rows(args.out, [{key: row.get(key, "") for key in columns} for row in rows])


def groups_of(recipe: Recipe, name: str) -> np.ndarray:
    """Of each rated picture of a set its group, or itself where it has none."""
    rows = next(rows for found, rows, _ in (rated_rows(recipe, one) for one in recipe.data) if found == name)
    return np.array([row.group or row.image.name for row in rows])


def folders_of(recipe: Recipe) -> np.ndarray:
    """Of each generated picture that nobody rated the folder that it lies in."""
    ratings = generated_set(recipe)
    return np.array([row.image.parent.name for split in ("train", "val") for row in ratings.split(split).rows])


def in_fold(group: np.ndarray, fold: int) -> np.ndarray:
    """Which pictures are of every third group."""
    return np.isin(group, sorted(set(group))[fold::FOLDS])


def some(pictures: Pictures, rows: np.ndarray) -> Pictures:
    """These of the pictures, to learn from."""
    chosen = np.flatnonzero(rows)
    kept = [np.asarray(part)[chosen] for part in pictures.kept]
    labels = pictures.score[chosen], pictures.kind[chosen], pictures.severity[chosen]
    return Pictures(pictures.name, kept, *labels, len(chosen), pictures.generated)


@torch.no_grad()
def answers(head: Generated, pictures: Pictures) -> tuple[np.ndarray, np.ndarray]:
    """How sure the head is of each picture, and what people would like about it, in raw score."""
    sure, appeal = head(*(torch.from_numpy(np.asarray(pictures.kept[k], np.float32)) for k in (-1, 0)))
    return sure.numpy(), appeal.numpy()


if __name__ == "__main__":
    main()
