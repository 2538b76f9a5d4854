"""Rated pictures from a CSV file: what the columns mean, which way the score points, and who is in which split."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from iqassay.data.rating import Rating, Ratings
from iqassay.data.splits import check_no_leak, hashed_split
from iqassay.support.text import did_you_mean

_COLUMNS = {
    "image": ("image", "filename", "file", "path", "name", "image_name", "dist_img", "distorted"),
    "score": ("mos", "dmos", "score", "quality", "rating"),  # beside a mos, a score is what some model said
    "reference": ("reference", "ref", "ref_img"),
    "group": ("group", "content", "ref_id"),
    "split": ("split", "set"),
    "subset": ("subset",),
    "distortion": ("distortion", "dist_type", "type"),
    "level": ("level", "dist_level"),
    "deviation": ("deviation", "std", "sd", "mos_std", "mosstd"),
    "votes": ("votes", "raters", "n_ratings"),
}
_SCORES = {"score", "mos", "dmos"}  # what --columns may call a score


def read_ratings(
    table: str | Path,
    images: str | Path | None = None,
    name: str | None = None,
    scale: tuple[float, float] | None = None,
    pictures: bool = True,
    columns: str = "",
) -> Ratings:
    """Read a ratings CSV: a column for the picture and one for the score; the other things of a Rating if present.

    Columns are found by their usual names (image, filename, ...; score, mos, dmos, ...), and may be parted by commas,
    semicolons or tabs. Without a split column, groups
    (or pictures) are put into train, val and test 80/10/10 by a hash of their name, so that no group is ever in two
    splits and no seed is needed.

    Args:
        table: the CSV file.
        images: the folder that picture names are relative to; default: the CSV's own folder.
        name: the set's name; default: the file's stem.
        scale: (worst, best) of the score, so that (100, 0) states a lower-is-better one; default: detected, see
            ``detect_scale``.
        pictures: see that every picture is there; without, the opinions alone are of use.
        columns: what columns of other names are, such as "image=name,mos=quality"; dmos is a score that falls.

    Raises:
        ValueError: no such file, columns that are not understood, a missing column, a score that is no number or off
            the scale, a missing picture, one score for all, a group in two splits.
    """
    table = Path(table)
    folder = Path(images) if images is not None else table.parent
    lines = read_table(table)
    header = list(lines[0]) if lines else []
    given = parse_columns(columns)
    found = columns_of(header)
    for key, column in given.items() if lines else ():
        if column not in header:
            raise ValueError(
                f"{table}: got --columns {key}={column}{did_you_mean(column, header)} want one of {', '.join(header)}"
            )
        found["score" if key in _SCORES else key] = column
    for key in ("image", "score"):
        if lines and not found[key]:
            guess = _meant(key, [column for column in header if column not in found.values()])
            say = f"did you mean {guess}? Then say" if guess else "or say another by"
            raise ValueError(
                f"{table}: got columns {', '.join(header)}, want one of {', '.join(_COLUMNS[key])}; "
                f"{say} --columns {key}={guess or 'NAME'}"
            )
    rows = []
    for i, line in enumerate(lines, start=2):
        values = {key: line[column] if column else "" for key, column in found.items()}
        group = values["group"] or values["reference"] or values["image"]
        level, deviation, votes = (
            number(values[key], f"{table} line {i}, {key}") if values[key] else blank
            for key, blank in (("level", math.nan), ("deviation", math.nan), ("votes", 0.0))
        )
        rows.append(
            Rating(
                folder / values["image"],
                number(values["score"], f"{table} line {i}"),
                folder / values["reference"] if values["reference"] else None,
                group,
                values["split"].lower() or hashed_split(group),
                values["subset"],
                values["distortion"],
                level,
                deviation,
                votes,
            )
        )
    falls = "dmos" in given if _SCORES & given.keys() else found["score"] == "dmos"
    scale = scale or detect_scale([row.score for row in rows] or [0], falls)
    return rescaled(Ratings(name or table.stem, tuple(rows), scale, folder), str(table), pictures)


def parse_columns(text: str) -> dict[str, str]:
    """What a ``--columns image=name,mos=quality`` says: what a column is -> its name in the file, in lower case.

    Raises ValueError for a text that is not of this form, and for a thing that no column is.
    """
    known = (*_COLUMNS, "mos", "dmos")
    found: dict[str, str] = {}
    for part in text.split(",") if text.strip() else ():
        key, equals, column = (word.strip().lower() for word in part.partition("="))
        if not (key and equals and column):
            raise ValueError(f"got --columns {text}, want WHAT=COLUMN,..., for example image=name,mos=quality")
        if key not in known:
            raise ValueError(f"--columns: got {key!r}{did_you_mean(key, known)} want some of {', '.join(known)}")
        if key in found or len(_SCORES & {key, *found}) > 1:
            raise ValueError(f"got --columns {text}, want each thing once: mos, dmos and score are one")
        found[key] = column
    return found


def _meant(key: str, header: Sequence[str]) -> str:
    """The column that may hold a thing, by a word in its name or by its spelling; "" where none comes near."""
    words = (column for column in header if set(re.split(r"[\W_]+", column)) & set(_COLUMNS[key]))
    close = (column for usual in _COLUMNS[key] for column in get_close_matches(usual, header, 1))
    return next(words, "") or next(close, "")


def columns_of(header: Sequence[str]) -> dict[str, str]:
    """The columns of a table that a Rating is made of: what they are -> their name there, "" where there is none."""
    return {key: next((a for a in aliases if a in header), "") for key, aliases in _COLUMNS.items()}


def rescaled(ratings: Ratings, where: str, pictures: bool = True, source: str = "") -> Ratings:
    """A rated set whose scores and deviations are still on its own scale, brought to 0..100 and checked.

    Args:
        where: what errors begin with.
        pictures: see that every picture and reference is there.
        source: what the error says of a missing picture, such as where the set is to be had.

    Raises:
        ValueError: one score for all, a score off the scale, a missing picture, a leak.
    """
    worst, best = ratings.scale
    scores = {row.score for row in ratings.rows}
    if len(scores) < 2:
        raise ValueError(f"{where}: got {len(ratings)} rows with {len(scores)} different scores, want at least 2")
    if worst == best or not all(min(worst, best) <= score <= max(worst, best) for score in scores):
        raise ValueError(
            f"{where}: got scores {min(scores):g} to {max(scores):g}, want them on the scale {worst:g}..{best:g}: "
            "labels of another scale?"
        )
    if pictures:
        for what, paths in (("pictures", [row.image for row in ratings.rows]), ("references", _references(ratings))):
            missing = [path for path in paths if not path.is_file()]
            if missing:
                inside = missing[0].is_relative_to(ratings.folder)
                first = missing[0].relative_to(ratings.folder).as_posix() if inside else missing[0]
                raise ValueError(
                    f"{where}: got {len(paths) - len(missing):,} of {len(paths):,} {what}, first missing {first}, "
                    f"in {ratings.folder}{source}"
                )
    check_no_leak(ratings.rows)
    point = 100 / abs(best - worst)
    rows = (
        replace(row, score=100 * (row.score - worst) / (best - worst), deviation=point * row.deviation)
        for row in ratings.rows
    )
    return replace(ratings, rows=tuple(rows))


def parts_of(argument: str) -> tuple[str, str, str]:
    """The file or name, the folder and the scale in TABLE:FOLDER:SCALE, "" for what is not there.

    A path may begin with a drive letter of Windows.
    """
    path = r"((?:[A-Za-z]:(?=[\\/]))?[^:]*)"
    table, folder, scale = re.fullmatch(f"(?s){path}(?::{path})?(?::(.*))?", argument).groups("")  # type: ignore[union-attr]
    return table, folder, scale


def detect_scale(scores: Iterable[float], lower_is_better: bool = False) -> tuple[float, float]:
    """(worst, best) by the smallest usual scale that holds every score: 0-1, 1-5, 0-10, 0-100, else their own range."""
    values = list(scores)
    usual = ((0.0, 1.0), (1.0, 5.0), (0.0, 10.0), (0.0, 100.0))
    own = (min(values), max(values))
    low, high = next((s for s in usual if s[0] <= own[0] and own[1] <= s[1]), own)
    return (high, low) if lower_is_better else (low, high)


def read_table(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV file by the names of its columns, all without spaces around them; the names in lower case.

    Commas, semicolons or tabs part the columns, whichever makes the most of them in the first line.

    Raises ValueError for a file that cannot be read.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            first = stream.readline()
            mark = max(",;\t", key=lambda mark: len(next(csv.reader([first], delimiter=mark), [])))
            stream.seek(0)
            reader = csv.reader(stream, delimiter=mark)
            header = [column.strip().lower() for column in next(reader, [])]
            return [
                dict(zip(header, (*map(str.strip, row), *[""] * len(header)), strict=False)) for row in reader if row
            ]
    except (OSError, UnicodeError, csv.Error) as error:
        raise ValueError(f"{file}: cannot be read ({getattr(error, 'strerror', error)})") from None


def number(text: str, where: str) -> float:
    """A finite number that is written out. Raises ValueError, beginning with where, for anything else."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        point = ", with a point before the decimals" if re.fullmatch(r"[+-]?\d*,\d+", text) else ""
        raise ValueError(f"{where}: got {text!r}, want a finite number{point}")
    return value


def _references(ratings: Ratings) -> list[Path]:
    return list(dict.fromkeys(row.reference for row in ratings.rows if row.reference is not None))
