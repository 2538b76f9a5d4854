"""Rated pictures from a CSV file: what the columns mean, which way the score points, and who is in which split."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from iqassay.data.splits import check_no_leak, hashed_split

_COLUMNS = {
    "image": ("image", "filename", "file", "path", "name", "image_name", "dist_img", "distorted"),
    "score": ("score", "mos", "dmos", "quality", "rating"),
    "reference": ("reference", "ref", "ref_img"),
    "group": ("group", "content", "ref_id"),
    "split": ("split", "set"),
    "subset": ("subset",),
    "distortion": ("distortion", "dist_type", "type"),
    "level": ("level", "dist_level"),
    "deviation": ("deviation", "std", "sd", "mos_std", "mosstd"),
    "votes": ("votes", "raters", "n_ratings"),
}


@dataclass(frozen=True)
class Rating:
    """One picture and its mean opinion: ``score`` on 0 (worst) to 100 (best), whatever the file's own scale.

    group: pictures of one content (a reference, near-duplicate photos), which no split may part. distortion and level:
    what was done to a reference, where the set says. deviation: standard deviation of the single opinions, in points
    of ``score``, nan where not published; votes: how many opinions, 0 where not.
    """

    image: Path
    score: float
    reference: Path | None = None
    group: str = ""
    split: str = "train"
    subset: str = ""
    distortion: str = ""
    level: float = math.nan
    deviation: float = math.nan
    votes: float = 0


@dataclass(frozen=True)
class Ratings:
    """A rated set: its name, its rows, the file's own scale as (worst, best), and the folder its pictures are in."""

    name: str
    rows: tuple[Rating, ...]
    scale: tuple[float, float]
    folder: Path

    def split(self, *names: str) -> Ratings:
        """Only the rows of the named splits."""
        return replace(self, rows=tuple(row for row in self.rows if row.split in names))

    def __len__(self) -> int:
        return len(self.rows)


def read_ratings(
    table: str | Path,
    images: str | Path | None = None,
    name: str | None = None,
    scale: tuple[float, float] | None = None,
) -> Ratings:
    """Read a ratings CSV: a column for the picture and one for the score; the other things of a Rating if present.

    Columns are found by their usual names (image, filename, ...; score, mos, dmos, ...). Without a split column, groups
    (or pictures) are put into train, val and test 80/10/10 by a hash of their name, so that no group is ever in two
    splits and no seed is needed.

    Args:
        table: the CSV file.
        images: the folder that picture names are relative to; default: the CSV's own folder.
        name: the set's name; default: the file's stem.
        scale: (worst, best) of the score, so that (100, 0) states a lower-is-better one; default: detected, see
            ``detect_scale``.

    Raises:
        ValueError: no such file, a missing column, a score that is no number or off the scale, a missing picture, one
            score for all, a group in two splits.
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
    scores = [_number(line[columns["score"] or ""], f"{table} line {i}") for i, line in enumerate(lines, start=2)]
    if len(set(scores)) < 2:
        raise ValueError(f"{table}: got {len(scores)} rows with {len(set(scores))} different scores, want at least 2")
    worst, best = scale or detect_scale(scores, (columns["score"] or "").strip().lower() == "dmos")
    if worst == best or min(scores) < min(worst, best) or max(scores) > max(worst, best):
        raise ValueError(f"{table}: got scores {min(scores)} to {max(scores)}, want them on the scale {worst}..{best}")
    rows = []
    for line, score in zip(lines, scores, strict=True):
        values = {key: (line[column] or "").strip() if column else "" for key, column in columns.items()}
        reference = folder / values["reference"] if values["reference"] else None
        group = values["group"] or str(reference or values["image"])
        split = values["split"].lower() or hashed_split(group)
        score = 100 * (score - worst) / (best - worst)
        level, deviation, votes = (
            _number(values[key], f"{table}, {key}") if values[key] else blank
            for key, blank in (("level", math.nan), ("deviation", math.nan), ("votes", 0.0))
        )
        rows.append(
            Rating(
                folder / values["image"],
                score,
                reference,
                group,
                split,
                values["subset"],
                values["distortion"],
                level,
                100 * deviation / abs(best - worst),
                votes,
            )
        )
    missing = next((path for path in _paths(rows) if not path.is_file()), None)
    if missing is not None:
        raise ValueError(f"{table}: no picture {missing}")
    check_no_leak(rows)
    return Ratings(name or table.stem, tuple(rows), (worst, best), folder)


def open_set(argument: str) -> Ratings:
    """The rated set that a command line names: CSV, CSV:FOLDER or CSV:FOLDER:WORST..BEST. Raises as read_ratings."""
    table, images, scale = [*argument.split(":"), "", ""][:3]
    try:
        ends = [float(end) for end in scale.split("..")] if scale else []
    except ValueError:
        ends = [0.0]
    if len(ends) not in (0, 2):
        raise ValueError(f"got the scale {scale!r} in {argument!r}, want WORST..BEST, for example 1..5 or 100..0")
    return read_ratings(table, images or None, scale=(ends[0], ends[1]) if ends else None)


def detect_scale(scores: Iterable[float], lower_is_better: bool = False) -> tuple[float, float]:
    """(worst, best) by the smallest usual scale that holds every score: 0-1, 1-5, 0-10, 0-100, else their own range."""
    values = list(scores)
    usual = ((0.0, 1.0), (1.0, 5.0), (0.0, 10.0), (0.0, 100.0))
    own = (min(values), max(values))
    low, high = next((s for s in usual if s[0] <= own[0] and own[1] <= s[1]), own)
    return (high, low) if lower_is_better else (low, high)


def _number(text: str | None, where: str) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = float("nan")
    if not math.isfinite(value):
        raise ValueError(f"{where}: got score {text!r}, want a finite number")
    return value


def _paths(rows: Iterable[Rating]) -> Iterable[Path]:
    for row in rows:
        yield row.image
        if row.reference is not None:
            yield row.reference
