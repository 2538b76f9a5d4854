"""What those who read a record may count on: the right keys with the right values."""

from __future__ import annotations

import reprlib
import sys
from collections.abc import Callable
from typing import Any

from iqassay.support.errors import UsageError

Record = dict[str, Any]
NEEDED = ("path", "score", "low", "high", "raw", "model", "version", "distortions", "warnings")  # of a score


def checked(record: Any, where: str) -> Record:
    """The record, if it is one; `where` it came from is in the UsageError that is raised for anything else."""
    if not isinstance(record, dict):
        raise UsageError(f"{where}: got {reprlib.repr(record)}, want a record of `iqassay score`")
    wanted = ("path", "error") if "error" in record else NEEDED
    for key in (*wanted, *(key for key in CHECKS if key in record and key not in wanted)):
        if key not in record or not CHECKS[key](record[key]):
            got = f"{key} {reprlib.repr(record[key])}" if key in record else f"no {key}"
            raise UsageError(f"{where}: got a record with {got}, want one of `iqassay score`")
    return record


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any, most: float = sys.float_info.max) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -most <= value <= most


def _is_score(value: Any) -> bool:
    return _is_number(value, 100) and value >= 0


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_also(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(said, dict)
        and all(_is_score(said.get(key)) for key in ("score", "low", "high"))
        and _is_text(said.get("version"))
        for said in value.values()
    )


def _are_raws(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_number, value.values()))


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _are_distortions(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, dict) and _is_text(item.get("name")) and _is_number(item.get("severity"), 100)
        for item in value
    )


CHECKS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("path", "reference", "model", "version", "error"), _is_text),
    **dict.fromkeys(("score", "low", "high"), _is_score),
    **dict.fromkeys(("width", "height", "bytes", "group", "place", "frame"), _is_count),
    **dict.fromkeys(("bits_per_pixel", "best", "time"), _is_number),
    "also": _is_also,
    "raw": _are_raws,
    "distortions": _are_distortions,
    "warnings": _are_texts,
}
