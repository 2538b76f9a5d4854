"""Records as rows of flat cells, which CSV and Parquet have, and back.

A raw value is in the column raw_MODEL. What other models said of the same picture is in score_MODEL, low_MODEL,
high_MODEL and version_MODEL. Lists stay lists: how they are written is each format's own affair.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

Record = dict[str, Any]
ALSO = ("score", "low", "high", "version")  # what is kept of each further model
GROUP = ("group", "place", "best")
FRAME = ("frame", "time")
NUMBERS = ("score", "low", "high", "bits_per_pixel", "best", "time")
WHOLE = ("width", "height", "bytes", "group", "place", "frame")


@dataclass(frozen=True)
class Layout:
    """Which columns there are: those of the models that gave raw values, of those that were asked beside the first, of
    references, of groups, and of frames of videos.
    """

    raws: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    reference: bool = False
    groups: bool = False
    frames: bool = False

    def columns(self) -> list[str]:
        return [
            "path",
            *(("reference",) if self.reference else ()),
            *(FRAME if self.frames else ()),
            *(GROUP if self.groups else ()),
            *("score", "low", "high"),
            *(f"{key}_{name}" for name in self.also for key in ALSO),
            *(f"raw_{name}" for name in self.raws),
            *("model", "version", "width", "height", "bytes"),
            *(("bits_per_pixel",) if self.reference else ()),
            *("distortions", "warnings", "error"),
        ]

    def cells(self, record: Record) -> Record:
        """A record as cells; a column that it has nothing for is missing.

        Raises:
            ValueError: for a model that no column was made for: what it said would be lost.
        """
        raw, also = record.get("raw", {}), record.get("also", {})
        if strange := [*(raw.keys() - self.raws), *(also.keys() - self.also)]:
            known = ", ".join((*self.raws, *self.also)) or "none"
            raise ValueError(f"{record['path']}: got values of {strange[0]!r}, want those of {known}")
        return {
            **{key: value for key, value in record.items() if key not in ("raw", "also")},
            **{f"raw_{name}": value for name, value in raw.items()},
            **{f"{key}_{name}": value for name, said in also.items() for key, value in said.items()},
        }


def layout_of(records: Iterable[Record], reference: bool) -> tuple[Layout, Iterable[Record]]:
    """The layout that records ask for: that of all of a list, of others that of the first with raw values, which are
    read ahead; and all the records.
    """
    seen: list[Record] = []
    if isinstance(records, list):
        seen = records
    else:
        records = iter(records)
        for record in records:
            seen.append(record)
            if record.get("raw"):
                break
        records = itertools.chain(seen, records)
    raws, also = (
        tuple(dict.fromkeys(name for record in seen for name in record.get(key, ()))) for key in ("raw", "also")
    )
    groups, frames = (any(key in record for record in seen) for key in ("group", "frame"))
    return Layout(raws, also, reference, groups, frames), records


def from_cells(cells: Record) -> Record:
    """A record of cells that hold something, numbers as such or as text. Raises ValueError for text that is none."""
    record: Record = {key: cells[key] for key in ("path", "reference") if key in cells}
    record |= {key: kind(cells[key]) for key, kind in zip(FRAME, (int, float), strict=True) if key in cells}
    if "error" in cells and "score" not in cells:
        return {**record, "error": cells["error"]}
    raw = {name: float(value) for name, value in _under(cells, "raw")}
    also: dict[str, Record] = {}
    for key in ALSO:
        for name, value in _under(cells, key):
            also.setdefault(name, {})[key] = value if key == "version" else float(value)
    for key in ("model", "version", "distortions", "warnings"):
        if key in cells:
            record[key] = cells[key]
    record |= {key: float(cells[key]) for key in NUMBERS if key in cells}
    record |= {key: int(cells[key]) for key in WHOLE if key in cells}
    return {**record, "raw": {**cells.get("raw", {}), **raw}, **({"also": also} if also else {})}


def _under(cells: Record, prefix: str) -> Iterator[tuple[str, Any]]:
    """The columns of a prefix: the name behind it, and the value."""
    for column, value in cells.items():
        if column.startswith(f"{prefix}_"):
            yield column.removeprefix(f"{prefix}_"), value
