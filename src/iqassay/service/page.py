"""The page at /: pictures are dropped on it and scored as they come."""

from __future__ import annotations

from dataclasses import dataclass

from iqassay.service.guard import Entrance
from iqassay.service.limits import Limits
from iqassay.service.shelf import Shelf


@dataclass(frozen=True)
class Home:
    html: str
    policy: str


def home(shelf: Shelf, limits: Limits, entrance: Entrance) -> Home:
    return Home("<p>soon</p>", "default-src 'none'")
