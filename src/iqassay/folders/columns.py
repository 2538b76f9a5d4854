"""Records in compact columns: all that the report of a folder keeps of a million of them."""

from __future__ import annotations

import json
import math
import re
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from iqassay.folders.cells import FRAME, GROUP
from iqassay.folders.records import Record
from iqassay.scoring.words import about

NAN = float("nan")
SIZES = ("width", "height", "bytes", "bits_per_pixel")


class Numbered(dict[Any, int]):
    """Things -> their numbers, in the order in which they were first asked for."""

    def __missing__(self, thing: Any) -> int:
        self[thing] = len(self)
        return self[thing]


@dataclass
class Paths:
    """Many paths, each as the number of its folder (with the last separator) and a name; None has an empty name."""

    folders: Numbered = field(default_factory=Numbered)
    folder: array[int] = field(default_factory=lambda: array("l"))
    name: list[str] = field(default_factory=list)

    def add(self, path: str | None) -> None:
        path = path or ""
        name = re.split(r"[/\\]", path)[-1]  # of any system: results travel
        self.folder.append(self.folders[path[: len(path) - len(name)]])
        self.name.append(name)

    def all(self) -> list[str]:
        folders = list(self.folders)
        return [folders[folder] + name for folder, name in zip(self.folder, self.name, strict=True)]


@dataclass
class Columns:
    """One row a record; score, low, high and raws are NaN where there are none, as in a record of an error.

    damage: kind, severity in hundredths, kind, severity, ... ; remarks: numbers of the warnings of a row, or of its
    error. What the numbers stand for is in kinds, words and models, which are pairs of name and version.
    """

    picture: Paths = field(default_factory=Paths)
    reference: Paths = field(default_factory=Paths)
    score: array[float] = field(default_factory=lambda: array("d"))
    low: array[float] = field(default_factory=lambda: array("d"))
    high: array[float] = field(default_factory=lambda: array("d"))
    raws: dict[str, array[float]] = field(default_factory=dict)
    sizes: dict[str, array[float]] = field(default_factory=dict)
    groups: dict[str, array[float]] = field(default_factory=dict)
    frames: dict[str, array[float]] = field(default_factory=dict)
    also: dict[str, array[float]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    model: array[int] = field(default_factory=lambda: array("l"))
    damage: list[tuple[int, ...]] = field(default_factory=list)
    remarks: list[tuple[int, ...]] = field(default_factory=list)
    kinds: Numbered = field(default_factory=Numbered)
    words: Numbered = field(default_factory=Numbered)
    models: Numbered = field(default_factory=Numbered)

    def __len__(self) -> int:
        return len(self.score)

    def scored(self, row: int) -> bool:
        return not math.isnan(self.score[row])

    def add(self, record: Record) -> None:
        """Append a record as `read_records` gives it."""
        row = len(self)
        self.picture.add(record["path"])
        self.reference.add(record.get("reference"))
        for key in ("score", "low", "high"):
            getattr(self, key).append(record.get(key, NAN))
        for name, raw in record.get("raw", {}).items():
            _put(self.raws, name, row, raw)
        for columns, keys in ((self.sizes, SIZES), (self.groups, GROUP), (self.frames, FRAME)):
            for key in keys:
                if key in record:
                    _put(columns, key, row, record[key])
        for name, said in record.get("also", {}).items():
            self.versions[name] = said["version"]
            for key in ("score", "low", "high"):
                _put(self.also, f"{key}_{name}", row, said[key])
        failed = "error" in record
        self.model.append(-1 if failed else self.models[record["model"], record["version"]])
        found = record.get("distortions", ())
        self.damage.append(tuple(n for one in found for n in (self.kinds[one["name"]], round(100 * one["severity"]))))
        said = [record["error"]] if failed else record["warnings"]
        self.remarks.append(tuple(self.words[text] for text in said))

    def as_json(self, places: Sequence[str] = ()) -> str:
        """All of it for the script of the page, and fit to stand inside HTML. places: the address of each folder, with
        a slash at its end, for the files; "" where there is none.
        """
        several = len(self.models) > 1
        data = {
            "picture": _paths(self.picture),
            "reference": _paths(self.reference) if any(self.reference.name) else None,
            **{key: _numbers(getattr(self, key)) for key in ("score", "low", "high")},
            **{
                key: {name: _numbers(column) for name, column in columns.items()}
                for key, columns in (
                    ("raws", self.raws),
                    ("sizes", self.sizes),
                    ("groups", self.groups),
                    ("frames", self.frames),
                    ("also", self.also),
                )
            },
            "versions": self.versions,
            "models": list(self.models),
            "model": self.model.tolist() if several else None,
            "kinds": [(kind, *about(kind)) for kind in self.kinds],
            "places": list(places),
            "damage": [found or 0 for found in self.damage],
            "words": list(self.words),
            "remarks": [said or 0 for said in self.remarks],
        }
        text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.replace("<", "\\u003c")


def _put(columns: dict[str, array[float]], name: str, row: int, value: float) -> None:
    """Set the value of a row in a column that may be shorter, since no row before had one."""
    column = columns.setdefault(name, array("d"))
    column.extend([NAN] * (row - len(column)))
    column.append(value)


def read_columns(records: Iterable[Record]) -> Columns:
    """Columns of records as they come."""
    columns = Columns()
    for record in records:
        columns.add(record)
    return columns


def _paths(paths: Paths) -> dict[str, Any]:
    return {"folders": list(paths.folders), "folder": paths.folder.tolist(), "name": paths.name}


def _numbers(values: Sequence[float]) -> list[float | int | None]:
    """None for NaN, and 50 for 50.0, which is shorter."""
    return [None if math.isnan(value) else int(value) if value.is_integer() else value for value in values]
