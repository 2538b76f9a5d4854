from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from iqassay.folders import cache as caching
from iqassay.folders.cache import Cache, cache_file, open_cache
from iqassay.support.errors import UsageError

RECORD = {"score": 51.25, "raw": {"tiny": 0.5125}, "warnings": ["only 3x3 pixels\udc80"]}


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "sub" / "answers.sqlite")


def old(file: Path, content: bytes) -> Path:
    """A file that has not been touched for a minute."""
    file.write_bytes(content)
    long_ago = time.time_ns() - 60_000_000_000
    os.utime(file, ns=(long_ago, long_ago))
    return file


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times are believed at once: the time of change, unlike that of modification, cannot be set back in a test."""
    monkeypatch.setattr(caching, "SETTLED", 0)


def test_answers_are_there_the_next_time(path: str) -> None:
    with Cache(path) as cache:
        cache.keep(b"key", RECORD)
    with Cache(path) as cache:
        assert cache.find(b"key", with_map=False) == (RECORD, None)
        assert cache.find(b"other", with_map=False) is None
        assert (cache.count(), cache.taken) == (1, 1)


def test_a_map_is_wanted_or_not(path: str) -> None:
    quality = np.random.default_rng(0).uniform(0, 100, (5, 9)).astype(np.float32)
    with Cache(path) as cache:
        cache.keep(b"plain", RECORD)
        cache.keep(b"mapped", RECORD, quality)
    with Cache(path) as cache:
        assert cache.find(b"plain", with_map=True) is None
        found = cache.find(b"mapped", with_map=True)
        assert found is not None
        assert found[1] is not None
        assert found[1].shape == (5, 9)
        assert np.abs(found[1] - quality).max() < 0.04
        assert cache.find(b"mapped", with_map=False) == (RECORD, None)


def test_answers_are_written_while_it_goes_on(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill costs what the last second brought, no more."""
    monkeypatch.setattr(caching, "EVERY", 0.0)
    with Cache(path) as cache, Cache(path) as other:
        cache.keep(b"key", RECORD)
        assert other.find(b"key", with_map=False) is not None


@pytest.mark.usefixtures("settled")
def test_a_file_is_read_once_unless_it_changes(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []
    digest = caching.content_digest
    monkeypatch.setattr(caching, "content_digest", lambda file: (reads.append(file), digest(file))[1])
    monkeypatch.setattr(caching, "EVERY", 0.0)
    file = old(tmp_path / "a.png", b"one")
    with Cache(path) as cache:
        first = cache.digest(str(file))
        assert cache.digest(str(file)) == first
        assert len(reads) == 1
        old(file, b"two")
        assert cache.digest(str(file)) != first
        assert len(reads) == 2
    with Cache(path, verify=True) as cache:
        cache.digest(str(file))
        assert len(reads) == 3


def test_a_file_of_this_moment_is_not_believed_the_next_time(path: str, tmp_path: Path) -> None:
    """Written again within the tick of the file system's clock, it would have the same size and times."""
    file = tmp_path / "a.png"
    file.write_bytes(b"one")
    times = file.stat()
    with Cache(path) as cache:
        first = cache.digest(str(file))
    file.write_bytes(b"two")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    with Cache(path) as cache:
        assert cache.digest(str(file)) != first


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("moment", [-(2**62), 0, 2**62])
def test_times_may_be_beyond_what_a_database_holds(path: str, tmp_path: Path, moment: int) -> None:
    def stamp(file: str) -> tuple[int, ...]:
        return (3, moment * 100, 0, 2**64 - 1)

    file = tmp_path / "a.png"
    file.write_bytes(b"one")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(caching, "stamp", stamp)
        for _ in range(2):
            with Cache(path) as cache:
                assert cache.digest(str(file)) == caching.content_digest(str(file))
                cache.keep(b"key", RECORD)
    with Cache(path) as cache:
        assert cache.find(b"key", with_map=False)


@pytest.mark.usefixtures("settled")
def test_a_file_that_took_the_name_of_another_is_read(path: str, tmp_path: Path) -> None:
    """Two files of one size, written at one moment, change places with their folders, which leaves no trace in them."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.png").write_text(folder)
    with pytest.MonkeyPatch.context() as patch:
        real = os.stat

        def one_moment(file: str) -> SimpleNamespace:
            found = real(file)
            return SimpleNamespace(st_mode=found.st_mode, st_size=1, st_mtime_ns=1, st_ctime_ns=1, st_ino=found.st_ino)

        patch.setattr(caching.os, "stat", one_moment)
        with Cache(path) as cache:
            first = cache.digest(str(tmp_path / "a" / "x.png"))
        (tmp_path / "a").rename(tmp_path / "c")
        (tmp_path / "b").rename(tmp_path / "a")
        with Cache(path) as cache:
            assert cache.digest(str(tmp_path / "a" / "x.png")) != first


def test_an_older_layout_is_begun_anew(path: str) -> None:
    Cache(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as old_one:
        old_one.execute("DROP TABLE file")
        old_one.execute("CREATE TABLE file (number INT)")
        old_one.execute("PRAGMA user_version = 1")
    for _ in range(2):
        with Cache(path) as cache:
            cache.keep(b"key", RECORD)
    with Cache(path) as cache:
        assert cache.find(b"key", with_map=False)


def test_what_cannot_be_read_has_no_digest(path: str, tmp_path: Path) -> None:
    with Cache(path) as cache:
        assert cache.digest(str(tmp_path / "nowhere")) is None
        assert cache.digest(str(tmp_path)) is None
        assert cache.digest("nul\0") is None


@pytest.mark.parametrize("column", ["record = 'nonsense'", "record = '[]'", "map = x'ff'", "map = x'33207878'"])
def test_a_damaged_answer_is_no_answer(path: str, column: str) -> None:
    with Cache(path) as cache:
        cache.keep(b"key", RECORD, np.zeros((2, 2)))
    with sqlite3.connect(path) as file:
        file.execute(f"UPDATE answer SET {column}")
    with Cache(path) as cache:
        assert cache.find(b"key", with_map=True) is None


def test_a_cache_that_cannot_be_used(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    other = tmp_path / "other.sqlite"
    other.write_bytes(b"not a database, but long enough to be looked at as one" * 100)
    newer = str(tmp_path / "newer.sqlite")
    Cache(newer).close()
    with sqlite3.connect(newer) as file:
        file.execute(f"PRAGMA user_version = {caching.LAYOUT + 1}")
    foreign = tmp_path / "foreign.sqlite"
    with sqlite3.connect(foreign) as file:
        file.execute("CREATE TABLE bookmark (address TEXT)")
    bookmarks = foreign.read_bytes()
    for bad, reason in (
        (str(other), "not a database"),
        (newer, "newer iqassay"),
        (str(foreign), "something else"),
        (str(tmp_path), ""),
        (f"{other}/x", ""),
    ):
        with pytest.raises(UsageError, match=f"cannot be used: .*{reason}"):
            open_cache(bad)
        monkeypatch.setenv("IQASSAY_CACHE", bad)
        assert open_cache() is None
        assert "going on without the cache" in caplog.records[-1].getMessage()
    assert other.read_bytes().startswith(b"not a database"), "left as it was"
    assert foreign.read_bytes() == bookmarks


def test_a_cache_that_somebody_writes_to_for_long_opens_at_once(path: str) -> None:
    with Cache(path) as cache:
        cache.keep(b"key", RECORD)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with Cache(path) as cache:  # it would wait for 30 seconds to write, and then raise
            assert cache.find(b"key", with_map=False)


def test_a_cache_that_fails_on_the_way_is_given_up_with_one_line(path: str, caplog: pytest.LogCaptureFixture) -> None:
    with Cache(path) as cache:
        cache._file.execute("DROP TABLE answer")
        assert cache.find(b"key", with_map=False) is None
        cache.keep(b"key", RECORD)
        assert cache.find(b"key", with_map=False) is None
        assert cache.count() == 0
    assert len(caplog.records) == 1
    assert path in caplog.text


def test_many_threads_and_two_caches_of_one_file(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching, "EVERY", 0.0)
    with Cache(path) as one, Cache(path) as two:

        def work(cache: Cache, start: int) -> None:
            for number in range(start, start + 40):
                cache.keep(str(number).encode(), {"score": float(number)})
                assert cache.find(str(number).encode(), with_map=False) == ({"score": float(number)}, None)

        threads = [threading.Thread(target=work, args=(c, s)) for s in (0, 20) for c in (one, two) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert one.count() == two.count() == 60


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IQASSAY_CACHE", "here.sqlite")
    assert cache_file() == "here.sqlite"
    monkeypatch.delenv("IQASSAY_CACHE")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_file() == str(tmp_path / "iqassay" / "answers.sqlite")


def test_many_open_a_new_file_at_once(tmp_path: Path) -> None:
    """Turning a new file to WAL fails at once where another connection is at it: eight threads, twenty files."""
    for number in range(20):
        path, together, found = str(tmp_path / f"{number}.sqlite"), threading.Barrier(8), []

        def work(path: str = path, together: threading.Barrier = together, found: list[str] = found) -> None:
            together.wait()
            try:
                Cache(path).close()
            except sqlite3.Error as error:
                found.append(str(error))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == []
