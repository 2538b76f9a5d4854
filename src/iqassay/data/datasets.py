"""Rated pictures from a CSV file: what the columns mean, which way the score points, and who is in which split."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

_COLUMNS = {
    "image": ("image", "filename", "file", "path", "name", "image_name", "dist_img", "distorted"),
    "score": ("score", "mos", "dmos", "quality", "rating"),
    "reference": ("reference", "ref", "ref_img"),
    "group": ("group", "content", "ref_id"),
    "split": ("split", "set"),
    "subset": ("subset",),
}


@dataclass(frozen=True)
class Rating:
    """One picture and its mean opinion; ``score`` is in the set's own unit, always higher is better (DMOS is negated)."""

    image: Path
    score: float
    reference: Path | None = None
    group: str = ""
    split: str = "train"
    subset: str = ""


@dataclass(frozen=True)
class Ratings:
    """A rated set: its name, its rows and whether the file's own score was lower-is-better."""

    name: str
    rows: tuple[Rating, ...]
    lower_is_better: bool = False

    def split(self, *names: str) -> Ratings:
        """Only the rows of the named splits."""
        return replace(self, rows=tuple(row for row in self.rows if row.split in names))

    def __len__(self) -> int:
        return len(self.rows)


def read_ratings(
    table: str | Path, images: str | Path | None = None, name: str | None = None, lower_is_better: bool | None = None
) -> Ratings:
    """Read a ratings CSV: a column for the picture and one for the score; reference, group, split, subset if present.

    Columns are found by their usual names (image, filename, ...; score, mos, dmos, ...). A column called ``dmos`` is
    lower-is-better unless ``lower_is_better`` says otherwise. Without a split column, groups (or pictures) are put into
    train, val and test 80/10/10 by a hash of their name, so that no group is ever in two splits and no seed is needed.

    Args:
        table: the CSV file.
        images: the folder that picture names are relative to; default: the CSV's own folder.
        name: the set's name; default: the file's stem.
        lower_is_better: state the direction of the score.

    Raises:
        ValueError: no such file, a missing column, a score that is no number, a missing picture, one score for all.
    """
    table = Path(table)
    folder = Path(images) if images is not None else table.parent
    try:
        with table.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            header = {column.strip().lower(): column for column in reader.fieldnames or ()}
            lines = list(reader)
    except OSError as error:
        raise ValueError(f"{table}: cannot be read ({error.strerror})") from None
    columns = {key: next((header[a] for a in aliases if a in header), None) for key, aliases in _COLUMNS.items()}
    for key in ("image", "score"):
        if columns[key] is None:
            raise ValueError(f"{table}: got columns {', '.join(header)}, want one of {', '.join(_COLUMNS[key])}")
    if lower_is_better is None:
        lower_is_better = (columns["score"] or "").strip().lower() == "dmos"
    rows = []
    for number, line in enumerate(lines, start=2):
        values = {key: (line[column] or "").strip() if column else "" for key, column in columns.items()}
        try:
            score = float(values["score"])
        except ValueError:
            raise ValueError(f"{table} line {number}: got score {values['score']!r}, want a number") from None
        if score != score or abs(score) == float("inf"):
            raise ValueError(f"{table} line {number}: got score {values['score']!r}, want a finite number")
        reference = folder / values["reference"] if values["reference"] else None
        group = values["group"] or str(reference or values["image"])
        split = values["split"].lower() or hashed_split(group)
        image = folder / values["image"]
        rows.append(Rating(image, -score if lower_is_better else score, reference, group, split, values["subset"]))
    if len({row.score for row in rows}) < 2:
        raise ValueError(f"{table}: got {len(rows)} rows with one and the same score, want scores that differ")
    missing = next((path for path in _paths(rows) if not path.is_file()), None)
    if missing is not None:
        raise ValueError(f"{table}: no picture {missing}")
    check_no_leak(rows)
    return Ratings(name or table.stem, tuple(rows), lower_is_better)


def hashed_split(group: str) -> str:
    """train, val or test for a group, 80/10/10, the same on every machine and in every run."""
    digit = int(hashlib.sha256(group.encode("utf-8", "surrogateescape")).hexdigest(), 16) % 10
    return "val" if digit == 8 else "test" if digit == 9 else "train"


def check_no_leak(rows: Iterable[Rating]) -> None:
    """Raise ValueError if a group (a reference content, or near-duplicate photos) stands in two of train, val, test."""
    seen: dict[str, str] = {}
    for row in rows:
        if row.split in ("train", "val", "test") and seen.setdefault(row.group, row.split) != row.split:
            raise ValueError(f"group {row.group!r} is in both {seen[row.group]} and {row.split}: a leak between splits")


def _paths(rows: Iterable[Rating]) -> Iterable[Path]:
    for row in rows:
        yield row.image
        if row.reference is not None:
            yield row.reference
