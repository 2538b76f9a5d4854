"""What papers say of themselves: figures from a CSV, in tables of their own that no figure of ours enters."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from iqassay.bench.tables import markdown_table

COLUMNS = ("set", "method", "srcc", "plcc", "source", "protocol")
NOTICE = "published: their data, their protocol; not comparable"


@dataclass(frozen=True)
class Figure:
    """One published result. srcc, plcc: as printed, "" where not given; source, protocol: who measured, how."""

    set: str
    method: str
    srcc: str
    plcc: str
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
        for key in ("srcc", "plcc"):
            if not _is_correlation(words[key]):
                raise ValueError(f"{file} line {number}: got {key} {words[key]!r}, want -1 to 1, or nothing")
        found.append(Figure(**words))
    return found


def _is_correlation(words: str) -> bool:
    try:
        return not words or abs(float(words)) <= 1
    except ValueError:
        return False


def published_tables(figures: Sequence[Figure]) -> list[Published]:
    """The figures by source and protocol, in the file's order."""
    kinds = dict.fromkeys((one.source, one.protocol) for one in figures)
    return [_table(*kind, [one for one in figures if (one.source, one.protocol) == kind]) for kind in kinds]


def _table(source: str, protocol: str, figures: Sequence[Figure]) -> Published:
    sets = tuple(dict.fromkeys(one.set for one in figures))
    cells = {(one.method, one.set): f"{one.srcc or '–'} / {one.plcc or '–'}" for one in figures}
    methods = dict.fromkeys(one.method for one in figures)
    return Published(source, protocol, sets, {m: tuple(cells.get((m, s), "–") for s in sets) for m in methods})


def published_markdown(figures: Sequence[Figure]) -> str:
    """The tables for a document, below their notice."""
    lines = [f"### {NOTICE[0].upper()}{NOTICE[1:]}", "", "SRCC / PLCC.", ""]
    for table in published_tables(figures):
        lines += [f"{table.protocol} (source: {table.source})", ""]
        rows = [(method, *cells) for method, cells in table.rows.items()]
        lines += markdown_table(["method", *table.sets], rows)
    return "\n".join(lines)
