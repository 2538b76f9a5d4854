"""Who is in train, val and test: by content, the same for ever; and leaks between them, which are refused.

A split never parts a group: the distorted versions of one reference, or photos that are nearly the same. Everything is
ordered by a hash of the group's name, so that no version of any library can change who is where.

The ten splits of the published sets lie in splits/NAME.csv, one line a group: its name (for photos: the file names of
all that share the group, with "|" between them) and ten letters, one a seed: t train, v val, e test. They are what
``content_splits`` gives for the groups of the whole set; as files they can be read without this package, and they hold
when somebody has only a part of a set.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from iqassay.data.rating import Rating, Ratings

SPLITS = ("train", "val", "test")
SEEDS = 10
LETTERS = {"train": "t", "val": "v", "test": "e"}
OFFICIAL = ("flive",)  # its authors' one split, which every paper uses: the same for all seeds


# ---- making them ----------------------------------------------------------------------------------------------------


def content_splits(groups: Iterable[str], seed: int) -> dict[str, str]:
    """Put groups into train, val and test, 70/10/20 of their number (each at least one), by the names alone.

    The groups are ordered by the SHA-256 of "SEED:GROUP"; the last fifth is test, the tenth before it val. For an 80/20
    split take train and val together: it has the same test.

    Raises ValueError for fewer than three different groups.
    """
    names = sorted(set(groups), key=lambda group: _digest(f"{seed}:{group}"))
    if len(names) < 3:
        raise ValueError(f"got {len(names)} groups, want at least 3: one each for train, val and test")
    test = max(1, (2 * len(names) + 5) // 10)  # rounded, a half up
    val = max(1, (len(names) + 5) // 10)
    cut = len(names) - test
    return {name: "train" if i < cut - val else "val" if i < cut else "test" for i, name in enumerate(names)}


def ten_splits(groups: Iterable[str]) -> dict[str, str]:
    """The letters of every group, one a seed, as the shipped files hold them, in the order of the names."""
    return dict(_ten_splits(tuple(sorted(set(groups)))))


@functools.lru_cache(maxsize=4)  # each of the ten is asked for by itself
def _ten_splits(names: tuple[str, ...]) -> Mapping[str, str]:
    splits = [content_splits(names, seed) for seed in range(SEEDS)]
    return {name: "".join(LETTERS[split[name]] for split in splits) for name in names}


def hashed_split(group: str) -> str:
    """train, val or test for a group, 80/10/10, whatever other groups there are."""
    digit = int(_digest(group), 16) % 10
    return "val" if digit == 8 else "test" if digit == 9 else "train"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


# ---- taking them ----------------------------------------------------------------------------------------------------


def split_ratings(ratings: Ratings, seed: int) -> Ratings:
    """The rated set with ``split`` of every row set to that of a seed, 0 to 9, whatever it was before.

    A published set takes its shipped file: a row is found there by its group, by its reference or by its picture,
    whichever the file knows. FLIVE keeps the split of its authors. Any other set is split by ``content_splits``.

    Raises ValueError for another seed, for a row that the shipped file does not know (the file does not fit), for a
    split that is left without rows, and for a leak.
    """
    if seed not in range(SEEDS):
        raise ValueError(f"got seed {seed}, want 0 to {SEEDS - 1}")
    names = {letter: split for split, letter in LETTERS.items()}
    letters = letters_of(ratings)
    rows = tuple(replace(row, split=names[said[seed]]) for row, said in zip(ratings.rows, letters, strict=True))
    empty = set(SPLITS) - {row.split for row in rows}
    if empty:
        raise ValueError(f"{ratings.name}, split {seed}: got no pictures in {' and '.join(sorted(empty))}, want some")
    check_no_leak(rows)
    return replace(ratings, rows=rows)


def letters_of(ratings: Ratings) -> list[str]:
    """The ten letters of every row. Raises ValueError as ``split_ratings``."""
    shipped = shipped_splits(ratings.name)
    if ratings.name in OFFICIAL:
        found = [LETTERS.get(row.split, "") * SEEDS for row in ratings.rows]
    elif shipped is None:
        made = ten_splits(row.group for row in ratings.rows)
        found = [made[row.group] for row in ratings.rows]
    else:
        found = [shipped_letters(ratings.name, row.group, row.reference, row.image) for row in ratings.rows]
    if not all(found):
        lost = ratings.rows[found.index("")]
        wanted = f"groups like {next(iter(shipped))!r}" if shipped else f"splits {', '.join(SPLITS)}"
        raise ValueError(
            f"{ratings.name}: got {lost.image.name} of group {lost.group!r} and split {lost.split!r}, which is not in "
            f"its published splits; want {wanted}, or another name for another set"
        )
    return found


def shipped_letters(name: str, group: str, reference: Path | None, image: Path) -> str:
    """The ten letters of a picture in the shipped file of a set, "" if it is not there: the file knows groups, and
    groups are the references' names, in lower case without an ending, or the photos' file names.
    """
    shipped = shipped_splits(name) or {}
    keys = (group, reference.stem.lower() if reference else "", image.name)
    return next((shipped[key] for key in keys if key in shipped), "")


@functools.cache
def shipped_splits(name: str) -> Mapping[str, str] | None:
    """The ten letters of every name that the shipped file of a set knows; None for a set without one."""
    file = Path(__file__).with_name("splits") / f"{name}.csv"
    if name != file.stem or not file.is_file():
        return None
    with file.open(encoding="utf-8", newline="") as stream:
        return {member: line["splits"] for line in csv.DictReader(stream) for member in line["group"].split("|")}


def splits_digest(ratings: Ratings) -> str:
    """Twelve hexadecimal digits that are the same for two people exactly when their ten splits are."""
    letters = zip((row.image.name for row in ratings.rows), letters_of(ratings), strict=True)
    return _digest("\n".join(f"{name}:{said}" for name, said in sorted(letters)))[:12]


# ---- leaks ----------------------------------------------------------------------------------------------------------


def check_no_leak(rows: Iterable[Rating]) -> None:
    """Raise ValueError if a group, a picture or a reference stands in two of train, val and test.

    A picture counts wherever it stands: one that is rated in train must not be a reference in test either.
    """
    seen: dict[tuple[str, str], str] = {}
    for row in rows:
        if row.split not in SPLITS:
            continue
        paths = [("picture", path) for path in (row.image, row.reference) if path is not None]
        for what, name in [("group", row.group), *((what, os.path.normpath(path)) for what, path in paths)]:
            if seen.setdefault((what, name), row.split) != row.split:
                raise ValueError(
                    f"{what} {name!r} is in both {seen[what, name]} and {row.split}: a leak between splits"
                )
