"""What papers say of themselves: figures from a CSV, in tables of their own that no figure of ours enters."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

COLUMNS = ("set", "method", "srcc", "plcc", "source", "protocol")
NOTICE = "published: their data, their protocol; not comparable"


@dataclass(frozen=True)
class Figure:
    """One published result. srcc, plcc: nan where not given; source: who printed it; protocol: how it was measured."""

    set: str
    method: str
    srcc: float
    plcc: float
    source: str
    protocol: str


@dataclass(frozen=True)
class Published:
    """One table: figures of one source under one protocol, methods by sets, as text "SRCC / PLCC"."""

    source: str
    protocol: str
    sets: tuple[str, ...]
    rows: dict[str, tuple[str, ...]]


def read_published(file: Path) -> list[Figure]:
    """Read a CSV with the columns of COLUMNS. Raises ValueError for one that is not so, naming the line."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            lines, columns = list(reader), tuple(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if not set(COLUMNS) <= set(columns):
        raise ValueError(f"{file}: got columns {', '.join(columns)}, want {', '.join(COLUMNS)}")
    found = []
    for number, line in enumerate(lines, start=2):
        words = {key: (line[key] or "").strip() for key in COLUMNS}
        srcc, plcc = (_correlation(words[key], f"{file} line {number}: {key}") for key in ("srcc", "plcc"))
        found.append(Figure(words["set"], words["method"], srcc, plcc, words["source"], words["protocol"]))
    return found


def _correlation(text: str, where: str) -> float:
    try:
        value = float(text or "nan")
    except ValueError:
        value = 2.0
    if abs(value) > 1:
        raise ValueError(f"{where}: got {text!r}, want a correlation between -1 and 1, or nothing")
    return value


def published_tables(figures: Sequence[Figure]) -> list[Published]:
    """The figures by source and protocol, in the file's order."""
    kinds = dict.fromkeys((one.source, one.protocol) for one in figures)
    return [_table(*kind, [one for one in figures if (one.source, one.protocol) == kind]) for kind in kinds]


def _table(source: str, protocol: str, figures: Sequence[Figure]) -> Published:
    sets = tuple(dict.fromkeys(one.set for one in figures))
    cells = {(one.method, one.set): f"{_short(one.srcc)} / {_short(one.plcc)}" for one in figures}
    methods = dict.fromkeys(one.method for one in figures)
    return Published(source, protocol, sets, {m: tuple(cells.get((m, s), "–") for s in sets) for m in methods})


def _short(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def published_markdown(figures: Sequence[Figure]) -> str:
    """The tables for a document, below their notice."""
    lines = [f"### {NOTICE[0].upper()}{NOTICE[1:]}", "", "SRCC / PLCC.", ""]
    for table in published_tables(figures):
        lines += [f"{table.protocol} (source: {table.source})", ""]
        lines += ["| method | " + " | ".join(table.sets) + " |", "|" + " --- |" * (len(table.sets) + 1)]
        lines += [f"| {method} | " + " | ".join(cells) + " |" for method, cells in table.rows.items()]
        lines.append("")
    return "\n".join(lines)
