from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from iqassay.folders import selection
from iqassay.folders.selection import select

RECORDS: list[dict[str, Any]] = [
    {"path": "a", "score": 50.0},
    {"path": "broken", "error": "x"},
    {"path": "b", "score": 20.5, "warnings": ["odd \udcff"]},
    {"path": "c", "score": 90.0},
    {"path": "d", "score": 20.5},
]


def chosen(**options: Any) -> str:
    return " ".join(record["path"] for record in select(iter(RECORDS), **options))


@pytest.mark.parametrize(
    ("options", "paths"),
    [
        ({}, "a broken b c d"),
        ({"order": "best"}, "c a b d broken"),
        ({"order": "worst"}, "b d a c broken"),
        ({"top": 2}, "c a"),
        ({"top": 1, "order": "worst"}, "b"),
        ({"below": 50}, "b d"),
        ({"above": 20.5}, "a c"),
        ({"below": 90, "above": 30, "order": "best"}, "a"),
        ({"below": 60, "top": 1}, "a"),
    ],
)
def test_which_and_in_which_order(options: dict[str, Any], paths: str) -> None:
    assert chosen(**options) == paths


def test_sorted_records_are_the_same_records() -> None:
    assert sorted(select(RECORDS, "best"), key=str) == sorted(RECORDS, key=str)


def test_without_an_order_nothing_is_waited_for() -> None:
    asked = []

    def records() -> Iterator[dict[str, Any]]:
        for record in RECORDS:
            asked.append(record)
            yield record

    next(select(records(), below=60))
    assert len(asked) == 1


def test_an_interrupt_while_it_sorts_loses_nothing() -> None:
    def records() -> Iterator[dict[str, Any]]:
        yield from RECORDS[:4]
        raise KeyboardInterrupt

    given = []
    with pytest.raises(KeyboardInterrupt):
        given += [given.append(record["path"]) for record in select(records(), "best")]
    assert given == ["c", "a", "b", "broken"]


def test_no_place_to_sort_in_is_an_os_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection.json, "dumps", lambda record: record)  # which SQLite cannot store
    with pytest.raises(OSError, match="no place to sort in"):
        list(select(RECORDS, "best"))
