"""What is wrong with a rated set: labels, references, groups, splits and, when wanted, the pictures themselves.

Every check is a function of a rated set that yields one line for each thing it finds, and nothing for a sound set.
"""

from __future__ import annotations

import math
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from iqassay.data.duplicates import alike, clusters, fingerprint
from iqassay.data.rating import Rating, Ratings
from iqassay.data.splits import SEEDS, SPLITS, check_no_leak, split_ratings, splits_digest
from iqassay.pictures.image import ImageError
from iqassay.support.text import counted

LITTLE = 25  # points of 100: opinions of a whole set that spread over less are hardly on the scale that was said
Watch = Callable[[Iterable[Path], int, str], Iterable[Path]]  # of files, how many, and what is being done


def check_ratings(ratings: Ratings, pictures: bool = False) -> list[str]:
    """One line for each thing that is wrong with a rated set; none for a sound one.

    pictures: read all pictures too, and look for those of different groups that are nearly the same.
    """
    findings = [text for check in CHECKS for text in check(ratings)]
    return findings + (check_pictures(look_at(ratings)) if pictures else [])


def describe(ratings: Ratings) -> list[str]:
    """What a rated set is, in a few lines: counts, scale, opinions and splits. The digest of its ten splits is the same
    for all who have the same pictures in the same splits.
    """
    references = len({row.reference for row in ratings.rows} - {None})
    groups = Counter(row.group for row in ratings.rows)
    scores = np.array([row.score for row in ratings.rows])
    quarters = ", ".join(f"{value:.1f}" for value in np.quantile(scores, [0, 0.25, 0.5, 0.75, 1]))
    own = Counter(row.split for row in ratings.rows)
    lines = [
        f"{ratings.name}: {counted(len(ratings), 'picture')}, {counted(references, 'reference')}, "
        f"{counted(len(groups), 'group')}, the largest of {max(groups.values())}",
        "  opinions: {:g} (worst) to {:g} (best); on 0 to 100 ".format(*ratings.scale)
        + f"minimum, quartiles, maximum {quarters}; standard deviation {scores.std():.1f}",
        "  its own splits: " + ", ".join(f"{split} {own[split]:,}" for split in sorted(own, key=_place)),
    ]
    try:
        sizes = [Counter(row.split for row in split_ratings(ratings, seed).rows) for seed in range(SEEDS)]
        spread = [f"{split} {min(s[split] for s in sizes):,}-{max(s[split] for s in sizes):,}" for split in SPLITS]
        lines.append(f"  ten splits by content: {', '.join(spread)}; digest {splits_digest(ratings)}")
    except ValueError:
        lines.append("  ten splits by content: none")
    return lines


def _place(split: str) -> tuple[int, str]:
    return (SPLITS.index(split) if split in SPLITS else len(SPLITS), split)


# ---- labels ---------------------------------------------------------------------------------------------------------


def _scores(ratings: Ratings) -> Iterator[str]:
    yield from check_opinions([row.score for row in ratings.rows])


def check_opinions(scores: Iterable[float]) -> Iterator[str]:
    """Mean opinions on 0 to 100 that cannot be, or hardly can."""
    values = np.array(list(scores), np.float64)
    known = values[np.isfinite(values)]
    if len(known) < len(values):
        yield f"got {counted(len(values) - len(known), 'opinion')} that are no numbers"
    if len(known) == 0:
        return
    low, high = float(known.min()), float(known.max())
    if low < -1e-6 or high > 100 + 1e-6:
        yield f"got opinions of {low:.4g} to {high:.4g}, want 0 to 100: is the scale of the set another?"
    elif low == high:
        yield f"got the opinion {low:.4g} for all {len(known):,} pictures"
    elif len(known) >= 10 and high - low < LITTLE:
        yield f"got opinions of {low:.4g} to {high:.4g} on a scale of 0 to 100: is the scale of the set another?"


def _deviations(ratings: Ratings) -> Iterator[str]:
    """Opinions on 0 to 100 deviate most when half of them say 0 and half 100: 50 points, more for few votes."""

    def too_far(row: Rating) -> bool:
        few = row.votes if row.votes >= 2 else 2
        return row.deviation < 0 or row.deviation > 50 * math.sqrt(few / (few - 1)) + 1e-6

    found = [row for row in ratings.rows if too_far(row)]
    if found:
        yield (
            f"{_many(found)} with opinions that deviate by more than the scale allows, or by less than 0: "
            f"{found[0].deviation:.4g} points of 100 for {found[0].image.name}: variances, or of another scale?"
        )


def _levels(ratings: Ratings) -> Iterator[str]:
    """More of a distortion looks worse: not for every kind of it, such as contrast, but for most contents and kinds."""
    inside, across = defaultdict(list), defaultdict(list)
    for row in ratings.rows:
        if row.distortion and not math.isnan(row.level):
            inside[row.group, row.distortion].append((row.level, row.score))
            across["", row.distortion].append((row.level, row.score))
    for series in (inside, across):  # where a content has too few levels, those of all contents
        signs = [_trend(np.array(points)) for points in series.values() if len({level for level, _ in points}) >= 3]
        rising, falling = signs.count(1), signs.count(-1)
        if rising + falling >= 5:
            break
    if rising + falling >= 5 and rising - falling > 2 * math.sqrt(rising + falling):
        yield (
            f"opinions rise with the level of distortion in {rising:,} of {len(signs):,} series: "
            "are the labels reversed? want higher is better"
        )


def _trend(points: NDArray[np.float64]) -> int:
    """1 if most pairs of (level, score) rise, -1 if most fall, 0 otherwise."""
    steps = np.sign(points[:, None] - points[None])
    return int(np.sign((steps[..., 0] * steps[..., 1]).sum()))


# ---- references, groups and rows ------------------------------------------------------------------------------------


def _references(ratings: Ratings) -> Iterator[str]:
    without = [row for row in ratings.rows if row.reference is None]
    if 0 < len(without) < len(ratings):
        yield f"{_many(without)} without a reference, the first {without[0].image.name}; the others have one"
    same = [row for row in ratings.rows if row.reference and _path(row.reference) == _path(row.image)]
    if same:
        yield f"{_many(same)} whose reference is the picture itself, the first {same[0].image.name}"


def _groups(ratings: Ratings) -> Iterator[str]:
    """A reference with one version of it alone: more likely a misspelt group than a content shown once."""
    size = Counter(row.group for row in ratings.rows if row.reference)
    alone = [group for group, count in size.items() if count == 1]
    if alone and len(alone) < len(size):
        yield f"got {counted(len(alone), 'group')} of one picture in a set with references, the first {alone[0]!r}"


def _twice(ratings: Ratings) -> Iterator[str]:
    times = Counter((_path(row.image), row.reference and _path(row.reference)) for row in ratings.rows)
    found = [image for (image, _), count in times.items() if count > 1]
    if found:
        yield f"{_many(found)} rated in several rows, the first {Path(found[0]).name}"


# ---- splits ---------------------------------------------------------------------------------------------------------


def _own_split(ratings: Ratings) -> Iterator[str]:
    """The split that a set comes with. All in one is none: train in sets yet to be split, test in sets to test on."""
    count = Counter(row.split for row in ratings.rows)
    empty = [split for split in SPLITS if not count[split]]
    if len(count) > 1 and empty:
        had = ", ".join(f"{split} {count[split]:,}" for split in sorted(count, key=_place))
        yield f"got no pictures in {' and '.join(empty)}: its own splits are {had}"
    try:
        check_no_leak(ratings.rows)
    except ValueError as error:
        yield str(error)


def _ten_splits(ratings: Ratings) -> Iterator[str]:
    for seed in range(SEEDS):
        try:
            split_ratings(ratings, seed)
        except ValueError as error:
            yield str(error)
            return  # what ails one ails most


CHECKS: tuple[Callable[[Ratings], Iterator[str]], ...] = (
    *(_scores, _deviations, _levels),
    *(_references, _groups, _twice),
    *(_own_split, _ten_splits),
)


# ---- the pictures themselves ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """The pictures and references of a rated set that can be read, each once: (N,) files, groups and splits, and
    fingerprints (N, 112); broken: a line for each of the others.
    """

    name: str
    files: list[Path]
    groups: list[str]
    splits: list[str]
    prints: NDArray[np.float32]
    broken: list[str]


def look_at(ratings: Ratings, watch: Watch | None = None) -> Seen:
    """Read all pictures of a rated set. watch: what the files are handed through, such as a progress bar."""
    where: dict[Path, Rating] = {}
    for row in ratings.rows:
        for file in (row.image, row.reference):
            if file is not None:
                where.setdefault(file, row)
    prints: dict[Path, NDArray[np.float32]] = {}
    broken = []
    for file in watch(where, len(where), f"{ratings.name}, pictures") if watch else where:
        try:
            prints[file] = fingerprint(file)
        except ImageError as error:
            broken.append(str(error))
    rows = [where[file] for file in prints]
    stacked = np.array(list(prints.values()), np.float32).reshape(len(prints), -1)
    return Seen(ratings.name, list(prints), [row.group for row in rows], [row.split for row in rows], stacked, broken)


def check_pictures(seen: Seen) -> list[str]:
    """Pictures that cannot be read, and pictures that are nearly the same but of different groups.

    One line for all that hang together: a group that they should be. A leak wherever a split parts them.
    """
    pairs = alike(seen.prints, seen.groups) if len(seen.files) else []
    split = {str(file): split for file, split in zip(seen.files, seen.splits, strict=True)}
    findings = []
    for cluster in clusters((str(seen.files[i]), str(seen.files[j])) for i, j, _ in pairs):
        splits = sorted({split[file] for file in cluster} & set(SPLITS), key=SPLITS.index)
        parted = f", in {' and '.join(splits)}" if len(splits) > 1 else ""
        names = ", ".join(Path(file).name for file in cluster)
        findings.append(f"{len(cluster)} pictures of different groups look the same{parted}: {names}")
    return seen.broken + findings


def check_between(first: Seen, second: Seen) -> list[str]:
    """Pictures of one set that are nearly the same as some of another, which must not be trained on to test on that."""
    if not (len(first.files) and len(second.files)):
        return []
    pairs = alike(first.prints, others=second.prints)
    if not pairs:
        return []
    some, others = ({pair[side] for pair in pairs} for side in (0, 1))
    i, j, likeness = pairs[0]
    return [
        f"{counted(len(some), 'picture')} of {first.name} and {len(others):,} of {second.name} look the same, such as "
        f"{first.files[i].name} and {second.files[j].name} ({likeness:.2f}): a leak for who trains on one and tests on "
        "the other"
    ]


def _many(things: Sequence[object]) -> str:
    return f"got {counted(len(things), 'picture')}"


def _path(path: Path) -> str:
    return os.path.normpath(path)
