"""Rows that are added to a CSV: a table that grows with every run."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def add_rows(file: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows of the same columns behind those that are there; a new file begins with the columns' names."""
    new = not file.exists()
    with file.open("a", newline="") as out:
        writer = csv.DictWriter(out, rows[0], lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(rows)
