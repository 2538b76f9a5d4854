"""Answers that were worked out before, kept in one SQLite file: a second run costs no more than looking at the files.

An answer is kept under the content of the picture (and of its reference) and the question that was asked of it, so it
holds for copies, in other folders, and never for a file that was changed. Reading a file through can be spared too: its
content is taken for the same while its size and times are, unless `verify` is set.

Several programs may use one cache at once. What cannot be written is no reason to stop: the cache says so, once, and
does no more.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sqlite3
import stat
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from iqassay.folders.records import Record
from iqassay.support.errors import UsageError

LAYOUT = 2  # of the tables: raise it when they change
TABLES = (
    "file (path BLOB PRIMARY KEY, stamp TEXT, digest BLOB) WITHOUT ROWID",
    "answer (key BLOB PRIMARY KEY, record TEXT, map BLOB)",
)
EVERY = 0.2  # seconds between writes: what a kill may cost
SETTLED = 2_000_000_000  # nanoseconds: a file changed so lately may change again within the tick of its clock
BLOCK = 1 << 20  # bytes
PATIENCE = 30  # seconds to wait for another program that uses the cache
UNUSABLE = (sqlite3.Error, UnicodeError, MemoryError)  # a damaged file may bring odd bytes into SQLite's messages

Floats = np.ndarray
Found = TypeVar("Found")
log = logging.getLogger("iqassay")


def cache_file() -> str:
    """Where the cache lies where no other place is asked for: $IQASSAY_CACHE, else in the user's folder for caches."""
    if os.environ.get("IQASSAY_CACHE"):
        return os.environ["IQASSAY_CACHE"]
    import platformdirs

    # The author's name and a second folder for caches alone would only make the path longer on Windows.
    return str(platformdirs.user_cache_path("iqassay", appauthor=False, opinion=False) / "answers.sqlite")


def open_cache(path: str | None = None, verify: bool = False) -> Cache | None:
    """Open a cache, made if need be; path None is `cache_file()`.

    A cache that cannot be used is a UsageError when its path was given, else one line on standard error and None.

    Args:
        verify: read every file through, whatever its times.
    """
    try:
        return Cache(cache_file() if path is None else path, verify)
    except (*UNUSABLE, OSError, RuntimeError) as error:  # RuntimeError: there is no home
        reason = getattr(error, "strerror", None) or str(error) or "not enough memory"
        if path is not None:
            raise UsageError(f"--cache {path}: cannot be used: {reason}") from error
        log.warning("iqassay: going on without the cache of answers: %s", reason)
        return None


class Cache:
    """Use it in a `with` block, or `close` it. Safe to use from several threads.

    Raises OSError or sqlite3.Error when the file cannot be opened, written, or is something else.
    """

    def __init__(self, path: str, verify: bool = False) -> None:
        self.path, self.verify = path, verify
        self.taken = 0  # answers that were here already
        self._lock = threading.Lock()
        self._pending: list[tuple[str, tuple[Any, ...]]] = []
        self._written = time.monotonic()
        self._usable = True
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        # No transactions but our own, which last milliseconds: nobody waits for anybody.
        self._file = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        try:
            self._prepare_in_turn()
        except BaseException:
            self._file.close()
            raise

    def _prepare_in_turn(self) -> None:
        """SQLite waits for others on its own, but not where it turns a new file to WAL."""
        give_up = time.monotonic() + PATIENCE
        while True:
            try:
                return self._prepare()
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > give_up:
                    raise
                self._file.rollback()
                time.sleep(0.01)

    def _prepare(self) -> None:
        (layout,) = self._file.execute("PRAGMA user_version").fetchone()
        if layout > LAYOUT:
            raise sqlite3.DatabaseError(f"made by a newer iqassay (layout {layout}, want {LAYOUT})")
        if self._file.execute("SELECT 1 FROM sqlite_master WHERE tbl_name NOT IN ('file', 'answer')").fetchone():
            raise sqlite3.DatabaseError("it is a database of something else")
        self._file.execute("PRAGMA journal_mode = WAL")
        self._file.execute("PRAGMA synchronous = NORMAL")  # a power cut may cost the last answers, never the file
        if layout < LAYOUT:
            self._begin_anew()
        self._file.execute("SELECT path, stamp, digest FROM file LIMIT 1").fetchone()
        self._file.execute("SELECT key, record, map FROM answer LIMIT 1").fetchone()

    def _begin_anew(self) -> None:
        """Make the tables, in a new file or in place of those of an older layout, unless somebody else was quicker."""
        self._file.execute("BEGIN IMMEDIATE")
        if self._file.execute("PRAGMA user_version").fetchone() < (LAYOUT,):
            for table in TABLES:
                self._file.execute(f"DROP TABLE IF EXISTS {table.split()[0]}")
                self._file.execute(f"CREATE TABLE {table}")
            self._file.execute(f"PRAGMA user_version = {LAYOUT}")
        self._file.execute("COMMIT")

    def __enter__(self) -> Cache:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def count(self) -> int:
        """How many answers there are."""
        return self._try(lambda: int(self._file.execute("SELECT count(*) FROM answer").fetchone()[0])) or 0

    def digest(self, path: str) -> bytes | None:
        """The sha256 of a file, by its size and times where these are known; None for what cannot be read."""
        before = stamp(path)
        if before is None:
            return None
        name, seen = os.fsencode(os.path.abspath(path)), " ".join(map(str, before))
        if not self.verify:
            known = self._try(lambda: self._row("SELECT stamp, digest FROM file WHERE path = ?", name))
            if known is not None and known[0] == seen and isinstance(known[1], bytes):
                return known[1]
        try:
            found = content_digest(path)
        except OSError:
            return None
        if stamp(path) == before and time.time_ns() - max(before[1:3]) > SETTLED:
            self._put("INSERT OR REPLACE INTO file VALUES (?, ?, ?)", (name, seen, found))
        return found

    def find(self, key: bytes, with_map: bool) -> tuple[Record, Floats | None] | None:
        """A kept answer and its map; None when there is none, or none with a map where one is wanted."""
        row = self._try(lambda: self._row("SELECT record, map FROM answer WHERE key = ?", key))
        if not row or (with_map and row[1] is None):
            return None
        try:
            seal, _, text = row[0].partition(" ")
            if seal != _seal(key, text, row[1]):  # a damaged file: work it out anew
                return None
            record, found = json.loads(text), _unpacked(row[1]) if with_map else None
        except (AttributeError, TypeError, ValueError):
            return None
        self.taken += 1
        return record, found

    def keep(self, key: bytes, record: Record, map: Floats | None = None) -> None:
        """Keep an answer, and its map ((h, w), 0 to 100) if it will be wanted."""
        text, small = json.dumps(record, allow_nan=False), None if map is None else packed(map)
        self._put("INSERT OR REPLACE INTO answer VALUES (?, ?, ?)", (key, f"{_seal(key, text, small)} {text}", small))

    def close(self) -> None:
        """Write what is still to be written."""
        with self._lock:
            self._write()
            self._usable = False
            self._file.close()

    def _row(self, query: str, *values: Any) -> Any:
        return self._file.execute(query, values).fetchone()

    def _put(self, query: str, values: tuple[Any, ...]) -> None:
        with self._lock:
            self._pending.append((query, values))
            if time.monotonic() - self._written >= EVERY:
                self._write()

    def _write(self) -> None:
        pending, self._pending = self._pending, []
        self._written = time.monotonic()
        if not pending or not self._usable:
            return
        try:
            self._file.execute("BEGIN IMMEDIATE")
            for query, values in pending:
                self._file.execute(query, values)
            self._file.execute("COMMIT")
        except UNUSABLE as error:
            self._give_up(error)

    def _try(self, ask: Callable[[], Found]) -> Found | None:
        """What a question to the file brings; None when it cannot be asked."""
        with self._lock:
            if not self._usable:
                return None
            try:
                return ask()
            except UNUSABLE as error:
                self._give_up(error)
                return None

    def _give_up(self, error: Exception) -> None:
        self._usable = False
        with suppress(sqlite3.Error):
            self._file.rollback()  # so that nobody else waits for us
        log.warning("iqassay: going on without the cache of answers %s: %s", self.path, error)


def stamp(path: str) -> tuple[int, ...] | None:
    """What changes with a file: its size, when it was modified and changed, in nanoseconds, and its number, which tells
    it from another one that took its name. None for no file.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def content_digest(path: str) -> bytes:
    """The sha256 of what is in a file, 32 bytes. Raises OSError."""
    found = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while block := file.read(BLOCK):
            found.update(block)
    return found.digest()


def packed(map: Floats) -> bytes:
    """A map of (h, w) values from 0 to 100 in float16, whose error is below 0.04."""
    return b"%d " % map.shape[1] + zlib.compress(np.asarray(map, "<f2").tobytes(), 1)


def _seal(key: bytes, text: str, map: bytes | None) -> str:
    """A checksum, which SQLite does not keep: damage must not change an answer without a word."""
    return f"{zlib.crc32(b''.join([key, text.encode(), map or b''])):08x}"


def _unpacked(data: bytes) -> Floats:
    width, _, values = data.partition(b" ")
    return np.frombuffer(zlib.decompress(values), "<f2").astype(np.float32).reshape(-1, int(width))
