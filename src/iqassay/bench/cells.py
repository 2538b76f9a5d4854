"""What tables on pages are made of; tables.html writes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Number:
    """A cell with a number, and perhaps its interval in small."""

    value: float
    digits: int = 3
    best: bool = False
    small: str = ""

    @property
    def key(self) -> str:
        """What it sorts by."""
        return f"{self.value:.6g}" if math.isfinite(self.value) else ""


@dataclass(frozen=True)
class Line:
    """A row of a table: what it is of, perhaps more of that in small, and its cells."""

    name: str
    cells: Sequence[Any]
    small: str = ""


@dataclass(frozen=True)
class Table:
    heads: Sequence[str]
    rows: Sequence[Line]
