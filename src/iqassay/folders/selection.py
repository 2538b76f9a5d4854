"""Which records are wanted, and in which order: the best, the worst, those below a score."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing

from iqassay.folders.records import Record


def select(
    records: Iterable[Record],
    order: str | None = None,
    top: int | None = None,
    below: float | None = None,
    above: float | None = None,
) -> Iterator[Record]:
    """The records whose score is under `below` and over `above`, in the order they come or by `order`, "worst" or
    "best" first; of those the first `top`. Equal scores keep their order. Records of errors have no score: where scores
    choose, by `top`, `below` or `above`, they are left out; else they are wanted, and with an order they come last.

    Sorted records go through a file of SQLite's own once they are many, so memory does not grow with their number.
    Interrupted (Ctrl-C), those that have come are given before it goes on. Raises OSError when that file cannot be
    written.
    """
    chosen = any(limit is not None for limit in (top, below, above))
    wanted = (
        record for record in records if (not chosen if "error" in record else _between(record["score"], above, below))
    )
    return wanted if order is None and top is None else _sorted(wanted, order == "worst", top)


def _between(score: float, above: float | None, below: float | None) -> bool:
    return (below is None or score < below) and (above is None or score > above)


def _sorted(records: Iterable[Record], worst_first: bool, top: int | None) -> Iterator[Record]:
    interrupt: KeyboardInterrupt | None = None
    try:
        with closing(sqlite3.connect("", check_same_thread=False)) as kept:
            kept.execute("CREATE TABLE record (score REAL, text TEXT)")
            try:
                for record in records:
                    kept.execute("INSERT INTO record VALUES (?, ?)", (record.get("score"), json.dumps(record)))
            except KeyboardInterrupt as error:
                interrupt = error
            scored = kept.execute(
                "SELECT text FROM record WHERE score IS NOT NULL "
                f"ORDER BY score {'ASC' if worst_first else 'DESC'}, rowid LIMIT ?",
                (-1 if top is None else top,),
            )
            failed = kept.execute("SELECT text FROM record WHERE score IS NULL ORDER BY rowid")
            for (text,) in itertools.chain(scored, failed):
                yield json.loads(text)
    except sqlite3.Error as error:
        raise OSError(f"no place to sort in: {error}") from error
    if interrupt:
        raise interrupt
