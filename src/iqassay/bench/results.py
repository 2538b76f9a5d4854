"""What a model said of a rated set, one row a picture, kept as a CSV file with a JSON file of the same name beside it.

A folder of results holds FOLDER/SET/MODEL.csv: every number of a report can be worked out again from these files alone,
by anybody and with other means. Rows are added one by one and flushed, so that a killed run has lost nothing.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iqassay.data.splits import shipped_letters
from iqassay.support.files import write_whole


@dataclass(frozen=True)
class Row:
    """One picture: what people said of it, and what the model said.

    mos, score, low, high: 0 to 100, higher is better; low to high is the model's 90 % interval. raw: what the model
    said on its own scale. image, reference: paths below the set's folder, with "/" between folders. seed: of the split,
    where the model was trained for it. error: why there is no score. The rest as in ``data.ratings.Rating``. Numbers
    that do not exist are nan.
    """

    image: str
    mos: float
    score: float = math.nan
    low: float = math.nan
    high: float = math.nan
    raw: float = math.nan
    reference: str = ""
    group: str = ""
    split: str = ""
    subset: str = ""
    distortion: str = ""
    level: float = math.nan
    deviation: float = math.nan
    votes: float = 0.0
    seed: str = ""
    error: str = ""


COLUMNS = tuple(field.name for field in fields(Row))
_NUMBERS = {field.name for field in fields(Row) if field.type == "float"}


@dataclass(frozen=True)
class Results:
    """A model on a set: its rows, and what is known of how they came about (see ``about`` of ``protocol.run``)."""

    set: str
    model: str
    rows: tuple[Row, ...]
    about: dict[str, Any]

    @property
    def scored(self) -> tuple[Row, ...]:
        """The rows that have a score."""
        return tuple(row for row in self.rows if not row.error)

    def column(self, name: str) -> NDArray[np.float64]:
        """A number of every scored row, (N,)."""
        return np.array([getattr(row, name) for row in self.scored], np.float64)

    def words(self, name: str) -> list[str]:
        """A text of every scored row."""
        return [getattr(row, name) for row in self.scored]


def shipped_row(set_name: str, row: Row) -> str:
    """The ten letters of a row's picture in the shipped splits of its set; "" where there are none."""
    return shipped_letters(set_name, row.group, Path(row.reference) if row.reference else None, Path(row.image))


def results_file(folder: Path, set_name: str, model: str) -> Path:
    """Where the rows of a model on a set are kept; what a file name cannot hold becomes "-"."""
    safe = [re.sub(r"[^\w.,+=@ -]", "-", name).strip() or "-" for name in (set_name, model)]
    return folder / safe[0] / f"{safe[1]}.csv"


def read_results(file: Path) -> Results:
    """Read what was kept. A last line that was being written when the run was killed is left out.

    Raises ValueError for a file that is not of this kind.
    """
    try:
        about = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
        rows = tuple(_whole_rows(file))
        return Results(about["set"], about["model"], rows, about)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file}: got no results of iqassay bench with their .json beside them ({error})") from None


def find_results(folder: Path) -> list[Results]:
    """All results below a folder, sorted by set and model. Raises ValueError when there are none."""
    found = [read_results(file) for file in sorted(folder.glob("*/*.csv"))]
    if not found:
        raise ValueError(f"{folder}: got no results in it, want a folder that iqassay bench wrote")
    return found


def write_results(folder: Path, results: Results) -> Path:
    """Keep results as a whole, in place of what was there."""
    file = results_file(folder, results.set, results.model)
    file.unlink(missing_ok=True)
    with adding(file, results.about) as add:
        for row in results.rows:
            add(row)
    return file


@contextmanager
def adding(file: Path, about: dict[str, Any]) -> Iterator[Any]:
    """A function that adds a Row to a file of results, which is made, or freed of a half-written last line, first."""
    file.parent.mkdir(parents=True, exist_ok=True)
    kept = list(_whole_rows(file)) if file.exists() else []
    _write(file.with_suffix(".json"), json.dumps(about, indent=1, ensure_ascii=False) + "\n")
    _write(file, _lines(kept))
    with file.open("a", newline="", encoding="utf-8", errors="surrogateescape") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")

        def add(row: Row) -> None:
            writer.writerow(_texts(row))
            stream.flush()

        yield add


def _lines(rows: Iterable[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(_texts, rows))
    return text.getvalue()


def _write(file: Path, text: str) -> None:
    write_whole(file, text.encode("utf-8", "surrogateescape"))


def _texts(row: Row) -> dict[str, str]:
    """A row as it is written: numbers with seven significant digits, those that do not exist as nothing."""
    return {key: _text(value) for key, value in asdict(row).items()}


def _text(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return "" if math.isnan(value) else f"{value:.7g}"


def _whole_rows(file: Path) -> Iterator[Row]:
    with file.open(newline="", encoding="utf-8", errors="surrogateescape") as stream:
        text = stream.read()
    lines = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1], newline=""))
    if tuple(lines.fieldnames or ()) != COLUMNS:
        raise ValueError(f"got columns {lines.fieldnames}, want {COLUMNS}")
    for line in lines:
        if None in line.values():  # cut off inside a name that holds a line break
            return
        values: dict[str, Any] = {key: float(v or "nan") if key in _NUMBERS else v for key, v in line.items()}
        yield Row(**values)
