"""What models say of pictures, kept in a file picture by picture, so that a long pass goes on where it was stopped.

An answer belongs to the bytes of the picture, the sha256 of the model file and the views that its card asks for:
neither a name nor a date is trusted.
"""

from __future__ import annotations

import hashlib
import io
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from iqassay.scoring.model_file import NetworkCard, default_threads
from iqassay.scoring.scorer import Scorer, raw_value
from iqassay.scoring.tiles import Answers
from iqassay.support.parallel import in_order

FILE = "answers.sqlite"
EVERY = 200  # pictures between two words about how far it is
_TABLE = "CREATE TABLE IF NOT EXISTS answers (model TEXT, picture TEXT, answer BLOB, PRIMARY KEY (model, picture))"


def kept_answers(
    members: Sequence[Scorer], pictures: Sequence[Path | NDArray[np.uint8]], cache: Path, what: str = "pictures"
) -> list[list[Answers]]:
    """What each model says of each picture, ``[picture][model]``; asked of a model only where ``cache`` lacks it.

    cache: a folder, made where there is none. what: the pictures, for the words about how far it is.

    Raises ImageError as ``Scorer.look`` does, and for a raw value that is not a number.
    """
    cache.mkdir(parents=True, exist_ok=True)
    names = [_name(picture) for picture in pictures]
    with closing(sqlite3.connect(cache / FILE)) as held:
        held.execute(_TABLE)
        keys = [_key(member.card) for member in members]
        known = {(key, name): _kept(held, key, name) for key in keys for name in names}
        todo = [i for i, name in enumerate(names) if any(known[key, name] is None for key in keys)]

        def ask(i: int) -> dict[str, Answers]:
            seen = members[0].read(pictures[i])
            lacking = {key: member for key, member in zip(keys, members, strict=True) if known[key, names[i]] is None}
            found = {key: member.look(seen) for key, member in lacking.items()}
            for key, answers in found.items():
                raw_value(answers, lacking[key].card)
            return found

        # Small pictures: one for each thread is faster than all threads for one. Members have as many callers, then.
        for done, (i, said) in enumerate(zip(todo, in_order(ask, todo, default_threads()), strict=True), 1):
            for key, answers in said.items():
                known[key, names[i]] = answers
                held.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", (key, names[i], _packed(answers)))
            held.commit()
            if done % EVERY == 0 or done == len(todo):
                print(f"iqassay export: {done} of {len(todo)} {what}", file=sys.stderr, flush=True)
    return [[_there(known[key, name]) for key in keys] for name in names]


def _key(card: NetworkCard) -> str:
    return f"{card.sha256} {card.views}"


def _name(picture: Path | NDArray[np.uint8]) -> str:
    if isinstance(picture, np.ndarray):
        return hashlib.sha256(str(picture.shape).encode() + np.ascontiguousarray(picture).tobytes()).hexdigest()
    return hashlib.sha256(picture.read_bytes()).hexdigest()


def _kept(held: sqlite3.Connection, key: str, name: str) -> Answers | None:
    where = "SELECT answer FROM answers WHERE model = ? AND picture = ?"
    found = held.execute(where, (key, name)).fetchone()
    if found is None:
        return None
    with np.load(io.BytesIO(found[0])) as kept:
        return Answers(**{field.name: kept[field.name] for field in fields(Answers) if field.name in kept})


def _packed(answers: Answers) -> bytes:
    out = io.BytesIO()
    values = {field.name: getattr(answers, field.name) for field in fields(Answers)}
    there = {name: np.asarray(value) for name, value in values.items() if value is not None}
    np.savez_compressed(out, **there)  # type: ignore[arg-type]  # numpy's annotation takes them for its own options
    return out.getvalue()


def _there(answers: Answers | None) -> Answers:
    if answers is None:  # a picture twice in the list is asked once
        raise RuntimeError("an answer is missing that was just asked for")
    return answers
