"""Parts: so many pictures that one worker scores in one go, into one file. They are what is done, or done again."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from iqassay.cluster import places
from iqassay.folders.folder import Pair
from iqassay.folders.parquet import find_pyarrow

BLOCK = 16  # rows of Parquet that are held at once, with the bytes of their pictures


@dataclass(frozen=True)
class Item:
    """A picture: what its record calls it, and where it is: a path or a URL, or its bytes. error: it is nowhere."""

    name: str
    place: str = ""
    content: bytes | None = None
    error: str = ""

    def pair(self) -> Pair:
        if self.content is not None:
            return Pair(self.name, content=functools.partial(bytes, self.content))
        if places.is_url(self.place):
            return Pair(self.name, error=self.error, content=functools.partial(places.fetch, self.place))
        return Pair(self.place, error=self.error)


@dataclass(frozen=True)
class Names:
    """Pictures by their names, which are packed, since a driver has millions of them; `folder` is where paths start."""

    packed: bytes
    folder: str

    def items(self) -> Iterator[Item]:
        for name in zlib.decompress(self.packed).decode("utf-8", "surrogateescape").split("\0"):
            yield Item(name, places.absolute(name, self.folder))


@dataclass(frozen=True)
class Column:
    """Which column of Parquet has the pictures: bytes, or paths and URLs as text; `inside` a struct, by that name.
    label: the column that has their names, if there is one.
    """

    name: str
    binary: bool
    inside: str | None = None
    label: str | None = None

    def item(self, row: dict[str, Any], number: str, folder: str) -> Item:
        """The picture of a row; number: what it is called where nothing else is known."""
        value = row[self.name]
        if self.inside is not None:
            value = (value or {}).get(self.inside)
        label = row.get(self.label) if self.label is not None else None
        if value is None:
            return Item(number if label is None else str(label), error=f"the column {self.name} is empty here")
        if self.binary:
            return Item(number if label is None else str(label), content=value)
        return Item(str(value) if label is None else str(label), places.absolute(value, folder))


@dataclass(frozen=True)
class Rows:
    """Pictures by the rows of a Parquet file that they are in, from `start` to before `stop`."""

    file: str
    start: int
    stop: int
    column: Column
    folder: str

    def items(self) -> Iterator[Item]:
        _, parquet = find_pyarrow()
        system, path = places.at(self.file)
        columns = [name for name in (self.column.name, self.column.label) if name is not None]
        with system.open_input_file(path) as file:
            table = parquet.ParquetFile(file, pre_buffer=False)
            groups, first = _groups(table.metadata, self.start, self.stop)
            number = first
            for batch in table.iter_batches(BLOCK, row_groups=groups, columns=columns):
                for row in batch.to_pylist():
                    if self.start <= number < self.stop:
                        yield self.column.item(row, f"{self.file}#{number}", self.folder)
                    number += 1


def _groups(metadata: Any, start: int, stop: int) -> tuple[list[int], int]:
    """The row groups that have these rows, and the number of the first row in them."""
    found: list[int] = []
    first = at = 0
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if at < stop and at + rows > start:
            first = first if found else at
            found.append(group)
        at += rows
    return found, first


@dataclass(frozen=True)
class Part:
    """The number-th part, from 0, and how many pictures it has."""

    number: int
    pictures: int
    inside: Names | Rows

    @property
    def file(self) -> str:
        return f"part-{self.number:06}.parquet"


def names_in_parts(names: Iterable[str], size: int, folder: str) -> Iterator[Part]:
    """Parts of `size` names each, the last one of what is left."""
    waiting: list[str] = []
    number = 0
    for name in names:
        waiting.append(name)
        if len(waiting) == size:
            yield _named(number, waiting, folder)
            number, waiting = number + 1, []
    if waiting:
        yield _named(number, waiting, folder)


def _named(number: int, names: list[str], folder: str) -> Part:
    packed = zlib.compress("\0".join(names).encode("utf-8", "surrogateescape"), 1)
    return Part(number, len(names), Names(packed, folder))


def rows_in_parts(files: Iterable[tuple[str, list[int]]], size: int, column: Column, folder: str) -> Iterator[Part]:
    """Parts of Parquet files, each given with the rows of its row groups; none has rows of two files.

    Where the pictures themselves are inside, a part is whole row groups, since to read a part of one is to read all of
    it: it has `size` rows or, where groups are larger, one group.
    """
    number = 0
    for file, groups in files:
        for start, stop in _runs(groups, size) if column.binary else _cuts(sum(groups), size):
            yield Part(number, stop - start, Rows(file, start, stop, column, folder))
            number += 1


def _cuts(rows: int, size: int) -> Iterator[tuple[int, int]]:
    for start in range(0, rows, size):
        yield start, min(rows, start + size)


def _runs(groups: list[int], size: int) -> Iterator[tuple[int, int]]:
    start = stop = 0
    for rows in groups:
        if stop > start and stop + rows - start > size:
            yield start, stop
            start = stop
        stop += rows
    if stop > start:
        yield start, stop
