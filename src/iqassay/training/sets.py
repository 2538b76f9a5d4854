"""The pictures of a run: its rated sets, and what is rendered from its clean photos."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import ConcatDataset

from iqassay.data.distortions import KINDS
from iqassay.data.opening import open_set
from iqassay.data.pipeline import RatedPictures, SyntheticPictures, standard_of
from iqassay.data.rating import Rating, Ratings
from iqassay.data.synthetic import SyntheticConfig, SyntheticSet, pristine_files, render
from iqassay.training.build import view_of
from iqassay.training.recipes import Recipe
from iqassay.training.teachers import embeddings, opinions, taught_set

MARGIN = 0.2  # how much of each side of a picture its view may leave out in the stage of views


@dataclasses.dataclass
class Sets:
    """The pictures of a run. ``chosen_by`` counts the sets, first in ``names``, whose validation picks the epoch;
    ``paired`` are the numbers of those that come with references.
    """

    names: list[str]
    chosen_by: int
    paired: list[int]
    train: ConcatDataset
    val: ConcatDataset
    facts: dict[str, dict]


def load_sets(recipe: Recipe) -> Sets:
    """Read the rated sets, render the synthetic ones, and add those left out, which are only looked at.

    YOTO has a second set of those with references, "NAME with reference", unless ``recipe.mode`` leaves it out.
    """
    names, train, val, facts, paired = [], [], [], {}, []
    alone = recipe.system != "yoto" or recipe.mode != "full-reference"  # pictures by themselves
    pairs = recipe.system == "yoto" and recipe.mode != "no-reference"
    view = view_of(recipe)
    # Of whole pictures nobody asks for a crop; that their views lose some of the edges keeps them from being learned
    # by heart.
    crop, scales, margin = (64, [1.0], MARGIN) if recipe.stage == "view" else (recipe.crop, recipe.scales, 0.0)

    def ways(ratings: Ratings) -> list[bool]:
        """Whether a set is looked at with its references; twice where it is looked at in both ways."""
        return [False] * alone + [True] * (pairs and all(row.reference for row in ratings.rows))

    def rated(part: Ratings, index: int, train: bool, standard: tuple[float, float], pairs: bool) -> RatedPictures:
        several = recipe.test_crops, recipe.seed
        said = taught(recipe, part) if train and recipe.taught else None
        return RatedPictures(part, index, crop, train, standard, scales, pairs, *several, view, said, margin)

    def add(name: str, new_train: Any, new_val: Any, standard: tuple[float, float]) -> None:
        names.append(name)
        val.append(new_val)
        facts[name] = {"mean": standard[0], "deviation": standard[1], "train": 0, "val": len(new_val)}
        if new_train is not None:
            train.append(new_train)
            facts[name]["train"] = len(new_train)

    opened = [(argument, open_set(argument, columns=recipe.columns)) for argument in recipe.data]
    if recipe.generated:
        opened.append(("--generated", generated_set(recipe)))
    for argument, ratings in opened:
        parts = [_first(ratings.split(split), recipe.limit) for split in ("train", "val")]
        if min(map(len, parts)) < 2:
            raise ValueError(
                f"{argument}: got {len(parts[0])} train and {len(parts[1])} val rows, want at least 2 of each"
            )
        standard = standard_of([row.score for row in parts[0].rows])
        for with_reference in ways(ratings):
            index = len(names)
            paired += [index] if with_reference else []
            make = [rated(part, index, part is parts[0], standard, with_reference) for part in parts]
            add(ratings.name + " with reference" * with_reference, make[0], make[1], standard)
    synthetic = synthetic_sets(recipe) if recipe.synthetic else None
    if synthetic is not None:
        for with_reference in [False] * alone + [True] * pairs:
            index = len(names)
            paired += [index] if with_reference else []
            standard = standard_of(synthetic[0].pair_score if with_reference else synthetic[0].score)
            make_synthetic = [
                SyntheticPictures(
                    s, index, crop, s is synthetic[0], standard, with_reference, view, recipe.patched, margin
                )
                for s in synthetic[:2]
            ]
            add("synthetic" + " with reference" * with_reference, make_synthetic[0], make_synthetic[1], standard)
    if not names:
        raise ValueError("got --mode full-reference and no set with references, want --synthetic or a reference column")
    chosen_by = len(names)
    if synthetic is not None and recipe.synthetic_without:
        add(
            "unseen_types",
            None,
            SyntheticPictures(synthetic[2], len(names), crop, False, standard, view=view),
            standard,
        )
    for argument in recipe.left_out:
        ratings = open_set(argument, columns=recipe.columns)
        rows = _first(ratings.split("val"), recipe.limit)
        standard = standard_of([row.score for row in rows.rows])
        for with_reference in ways(rows):
            name = f"left_out_{ratings.name}" + " with reference" * with_reference
            add(name, None, rated(rows, len(names), False, standard, with_reference), standard)
    return Sets(names, chosen_by, paired, ConcatDataset(train), ConcatDataset(val), facts)


def held_out(files: list[Path]) -> list[Path]:
    """The clean photos that are kept for validation: every tenth, or the first where there are few."""
    return files[::10] if len(files) >= 20 else files[:1]


def synthetic_sets(recipe: Recipe) -> list[SyntheticSet]:
    """Rendered pictures to train on; to validate on, of photos held out; and of types left out, of photos held out."""
    unknown = set(recipe.synthetic_without) - set(KINDS)
    if unknown:
        raise ValueError(f"got --synthetic-without {', '.join(unknown)}, want types among {', '.join(KINDS)}")
    seen = tuple(kind for kind in KINDS if kind not in recipe.synthetic_without)
    config = SyntheticConfig(
        recipe.synthetic_count,
        recipe.synthetic_size,
        recipe.synthetic_seed,
        covered=recipe.synthetic_covered,
        kinds=seen,
    )
    unseen = tuple(recipe.synthetic_without)
    return draw(recipe, config, [{}, {"kinds": unseen, "chained": 0, "restored": 0, "covered": 0}] if unseen else [{}])


def draw(recipe: Recipe, config: SyntheticConfig, held: Sequence[dict[str, Any]] = ({},)) -> list[SyntheticSet]:
    """Render a set to train on and, of photos held out, smaller ones that differ in what ``held`` says of each."""
    files, cache = pristine_files(recipe.synthetic), recipe.out.parent / "cache"
    kept = held_out(files)
    few = dataclasses.replace(config, count=max(8, min(800, config.count // 10)), seed=config.seed + 1)
    train = render([f for f in files if f not in kept] or files, config, cache)
    return [train, *(render(kept, dataclasses.replace(few, **changes), cache) for changes in held)]


def generated_set(recipe: Recipe) -> Ratings:
    """The generated pictures of a recipe that no set of it rates, with the teacher's opinions as theirs.

    Raises:
        ValueError: without the teacher's heads, or if all are rated.
    """
    if recipe.teacher_heads is None:
        raise ValueError("got --generated without --teacher-heads, want their file: no person rated these pictures")
    rated = {row.image for argument in recipe.data for row in open_set(argument, columns=recipe.columns).rows}
    files = [file for file in pristine_files(recipe.generated) if file not in rated]
    if not files:
        raise ValueError("got --generated whose pictures are all rated by --data, want some that are not")
    return taught_set(files, recipe.teacher_heads, recipe.out.parent / "cache")


def unrated_set(recipe: Recipe) -> Ratings:
    """The generated pictures of a recipe, all of them and without opinions."""
    rows = [Rating(image=file, score=0.0, split="train") for file in pristine_files(recipe.generated)]
    return Ratings("unrated", tuple(rows), (0, 100), recipe.generated[0])


def taught(recipe: Recipe, ratings: Ratings) -> np.ndarray:
    """What the teacher says of the pictures of a set, (N, 514), as ``teachers.Teaching`` wants it."""
    if recipe.teacher_heads is None:
        raise ValueError("got --taught without --teacher-heads, want the file of the teacher's opinions")
    found = embeddings([row.image for row in ratings.rows], recipe.out.parent / "cache")
    return np.concatenate([found, opinions(found, recipe.teacher_heads)], 1)


def shares_of(recipe: Recipe, sets: Sets) -> list[float]:
    """Share of a batch for each training set: the recipe's, which a set and its pairs have in common."""
    names = [*recipe.set_names(), *(["taught"] if recipe.generated else []), "synthetic"]
    given = dict(zip(names, recipe.shares, strict=False))
    trained = [name for name in sets.names if sets.facts[name]["train"]]
    return [given.get(name.removesuffix(" with reference"), 1.0) for name in trained]


def rated_rows(recipe: Recipe, argument: str) -> tuple[str, list[Rating], int]:
    """A rated set of the recipe: its name, its train and then its val rows, and how many of them are train."""
    ratings = open_set(argument, columns=recipe.columns)
    rows = [row for split in ("train", "val") for row in ratings.split(split).rows[: recipe.limit or None]]
    return ratings.name, rows, sum(row.split == "train" for row in rows)


def _first(ratings: Ratings, limit: int) -> Ratings:
    return dataclasses.replace(ratings, rows=ratings.rows[:limit]) if limit else ratings
