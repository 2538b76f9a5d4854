"""What one request may ask for, and how long it may take."""

from __future__ import annotations

from dataclasses import dataclass, field

from iqassay.scoring.model_file import default_threads
from iqassay.support.parallel import WORKERS


def default_workers() -> int:
    """How many pictures are worked on at once: as many as there are processors, 4 at most."""
    return min(default_threads(), WORKERS)


@dataclass(frozen=True)
class Limits:
    """The limits of a service; each is an option of `iqassay serve`.

    max_bytes: of the body of one request. max_pixels: of a picture; larger ones are refused before they are decoded.
    max_files: pictures in one request. upload_seconds: from a request's first byte to its last one. work_seconds: from
    there to the answer. waiting: requests that may wait for their turn. workers: pictures that are worked on at once.
    """

    max_bytes: int = 200_000_000
    max_pixels: int = 100_000_000
    max_files: int = 100
    upload_seconds: float = 60
    work_seconds: float = 120
    waiting: int = 32
    workers: int = field(default_factory=default_workers)
