"""So many of many, evenly spread, or one plain sentence where there are too few."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def spread(found: Sequence[Any] | Any, count: int, what: str, least: int = 1) -> Any:
    """At most ``count`` of what was found, a sequence or an array, evenly spread.

    what: how they are called in the sentence that ends the script where there are, or are asked for, fewer than
    ``least``.
    """
    if min(len(found), count) < least:
        raise SystemExit(f"got {len(found)} {what}, of which {count} are asked for, want at least {least}")
    return found[:: max(1, len(found) // count)][:count]
