"""Pictures that were scored, beside each other: what `iqassay compare` and the service say of them."""

from __future__ import annotations

from collections.abc import Sequence

from iqassay.folders.folder import Result
from iqassay.folders.records import Record
from iqassay.scoring.comparison import SAME_SIZE, Comparison


def two_records(a: Result, b: Result, found: Comparison) -> Record:
    """The records of two pictures, and which looks better by how much, as plain Python values, ready for JSON."""
    record: Record = {
        "a": a.record(),
        "b": b.record(),
        "difference": round(found.difference, 2),
        "win_probability": round(found.win_probability, 4),
        "better": {"a": a.path, "b": b.path, "equal": None}[found.better],
    }
    return record | ({"note": note} if (note := size_note([a, b], found.at_one_size)) else {})


def size_note(found: Sequence[Result], at_one_size: bool = False) -> str:
    """What it means that pictures differ in size; "" where they do not, or where a reference has one for all.

    at_one_size: whether they were compared at the size of the smaller one.
    """
    said = [result.said for result in found if result.said and result.reference is None]
    if not said:
        return ""
    small, large = (pick(said, key=lambda one: one["width"] * one["height"]) for pick in (min, max))
    times = large["width"] * large["height"] / (small["width"] * small["height"])
    if times <= SAME_SIZE:
        return ""
    smallest, largest = (f"{one['width']}x{one['height']}" for one in (small, large))
    differ = f"the sizes differ, {smallest} to {largest}, {times:.3g} times the pixels: "
    if at_one_size:
        return (
            f"{differ}both show the same, and a small copy hides flaws, so the difference is that of the two at "
            f"{smallest}; the scores are those of the files as they are"
        )
    return (
        f"{differ}each is judged as it is, and a "
        "small copy of a picture hides its flaws; to choose between versions of one picture, bring them to one size, "
        "or compare them with the original by --ref"
    )
