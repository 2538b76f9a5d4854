"""The rated sets that a command line names: published ones by name and folder, anybody's own by a CSV file."""

from __future__ import annotations

import re
from pathlib import Path

from iqassay.data.datasets import find_dataset, read_dataset
from iqassay.data.rating import Ratings
from iqassay.data.ratings import parts_of, read_ratings


def open_set(argument: str, pictures: bool = True, columns: str = "") -> Ratings:
    """The rated set that a command line names: NAME:FOLDER, CSV, CSV:FOLDER or CSV:FOLDER:WORST..BEST.

    NAME is that of a published set (see ``datasets.DATASETS``). columns: what the columns of a CSV are, as for
    ``read_ratings``.

    Raises ValueError as ``read_ratings`` and ``datasets.read_dataset``, and for an unknown NAME.
    """
    table, images, scale = parts_of(argument)
    if not Path(table).suffix and not Path(table).is_file():
        dataset = find_dataset(table)
        if not images or scale:
            raise ValueError(f"got {argument!r}, want {dataset.name}:FOLDER, the folder of {dataset.title}")
        return read_dataset(dataset, images, pictures)
    ends = re.fullmatch(r"(-?\d+(?:\.\d+)?)\.\.(-?\d+(?:\.\d+)?)", scale)
    if scale and not ends:
        raise ValueError(f"got the scale {scale!r} in {argument!r}, want WORST..BEST, for example 1..5 or 100..0")
    worst_best = (float(ends[1]), float(ends[2])) if ends else None
    return read_ratings(table, images or None, scale=worst_best, pictures=pictures, columns=columns)
