"""Rows of the same columns as a CSV: a table, and one that grows with every run."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def write_rows(file: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows of the same columns in place of what is there."""
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def add_rows(file: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows of the same columns behind those that are there; a new file begins with the columns' names."""
    new = not file.exists()
    with file.open("a", newline="") as out:
        writer = csv.DictWriter(out, rows[0], lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(rows)
