"""Who is in train, val and test: by content, the same for ever; and leaks between them, which are refused.

A split never parts a group: the distorted versions of one reference, or photos that are nearly the same. Everything is
ordered by a hash of the group's name, so that no version of any library can change who is where.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iqassay.data.ratings import Rating

SPLITS = ("train", "val", "test")


def hashed_split(group: str) -> str:
    """train, val or test for a group, 80/10/10, whatever other groups there are."""
    digit = int(hashlib.sha256(group.encode("utf-8", "surrogateescape")).hexdigest(), 16) % 10
    return "val" if digit == 8 else "test" if digit == 9 else "train"


def check_no_leak(rows: Iterable[Rating]) -> None:
    """Raise ValueError if a group, a picture or a reference stands in two of train, val and test.

    A picture counts wherever it stands: one that is rated in train must not be a reference in test either.
    """
    seen: dict[tuple[str, str], str] = {}
    for row in rows:
        if row.split not in SPLITS:
            continue
        paths = [("picture", path) for path in (row.image, row.reference) if path is not None]
        for what, name in [("group", row.group), *((what, os.path.normpath(path)) for what, path in paths)]:
            if seen.setdefault((what, name), row.split) != row.split:
                raise ValueError(
                    f"{what} {name!r} is in both {seen[what, name]} and {row.split}: a leak between splits"
                )
