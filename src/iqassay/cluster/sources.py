"""What there is to score: a folder of pictures, a list of paths and URLs, or Parquet with pictures or URLs in it."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from iqassay.cluster import places
from iqassay.cluster.parts import Column, Part, names_in_parts, rows_in_parts
from iqassay.folders.finding import find_pictures, listed_in
from iqassay.folders.left_out import LeftOut
from iqassay.folders.parquet import find_pyarrow
from iqassay.pictures.formats import is_picture
from iqassay.support.errors import UsageError
from iqassay.support.parallel import in_order
from iqassay.support.text import did_you_mean

LARGEST = 1000  # pictures in a part, where nothing else is asked for
SMALLEST = 16
PARTS = 64  # that a small source is cut into at least, so that many workers have something to do
BYTES_IN = ("image", "bytes", "content", "jpg", "jpeg", "png", "data")  # columns that often hold pictures
TEXT_IN = ("path", "url", "uri", "image_url", "image_path", "file_name", "image", "content_url")


@dataclass(frozen=True)
class Source:
    """All pictures of a source, in parts of `size`; digest: a sha256 over their names and the sizes of files, as far as
    these are known without opening the pictures. Sources of one digest are the same.
    """

    name: str
    pictures: int
    digest: str
    size: int
    parts: list[Part]


def find_source(
    name: str,
    size: int | None = None,
    recursive: bool = False,
    column: str | None = None,
    label: str | None = None,
    without: Iterable[str] = (),
    left_out: LeftOut | None = None,
) -> Source:
    """The pictures that a path or a URL stands for.

    name: a folder of pictures; a Parquet file, or a folder of such files; any other file is a list of paths and URLs,
    one a line or ended by NUL characters. size: pictures in a part; None is a number that suits. column: of Parquet,
    the one that has the pictures, as bytes, or their paths and URLs, as text; None is the one whose name or type says
    it. label: the column that has their names. without: folders that are left out, when a folder is gone through.

    Raises UsageError for anything else, and for a source without pictures.
    """
    kind = places.kind_of(name)
    if not kind:
        raise UsageError(f"{name}: no such file or folder")
    if kind == "folder":
        tables, others = _in_folder(name, recursive, list(without), LeftOut() if left_out is None else left_out)
    elif name.lower().endswith(".parquet"):
        system, path = places.at(name)
        tables, others = [(name, system.get_file_info(path).size)], iter(())
    elif is_picture(name):
        raise UsageError(f"{name}: is one picture, want a folder, a list or Parquet; `iqassay score` scores one")
    else:
        tables, others = [], ((path, -1) for path in _listed(name))
    if tables:
        return _from_parquet(name, tables, size, column, label)
    if column is not None or label is not None:
        option = "--column" if column is not None else "--name"
        raise UsageError(f"{option}: got {name}, which is no Parquet, want such a file or a folder of them")
    return _from_names(name, others, size)


def _in_folder(
    name: str, recursive: bool, without: list[str], left_out: LeftOut
) -> tuple[list[tuple[str, int]], Iterator[tuple[str, int]]]:
    """The Parquet files in a folder with their sizes, or else its pictures with theirs; what comes first says which of
    the two it is a folder of. It is listed once, since that takes long where there are millions.
    """
    apart = tuple(places.joined(_whole(folder), "") for folder in without)
    files = (found for found in places.files_in(name, recursive) if not _whole(found[0]).startswith(apart))
    before = []
    for file, size in files:
        before.append((file, size))
        if is_picture(file):
            break
        if _is_table(file):
            tables = [(file, size)]
            for other, length in files:
                if is_picture(other):
                    raise UsageError(f"{name}: got Parquet and pictures in one folder, want one of them")
                tables += [(other, length)] if _is_table(other) else []
            return tables, iter(())
    if not places.is_url(name):  # in the order of `iqassay score`
        paths = find_pictures([name], recursive, without, left_out)
        return [], ((path, os.path.getsize(path) if os.path.isfile(path) else -1) for path in paths)
    return [], _pictures(itertools.chain(before, files), left_out)


def _pictures(files: Iterable[tuple[str, int]], left_out: LeftOut) -> Iterator[tuple[str, int]]:
    for file, size in files:
        if is_picture(file):
            yield file, size
        else:
            left_out.add(file)


def _is_table(file: str) -> bool:
    name = os.path.basename(file).lower()
    return name.endswith(".parquet") and not name.startswith("_")


def _whole(place: str) -> str:
    return place.rstrip("/") if places.is_url(place) else os.path.abspath(place)


def _listed(name: str) -> Iterator[str]:
    system, path = places.at(name)
    try:
        yield from listed_in(system.open_input_stream(path))
    except OSError as error:
        raise UsageError(f"{name}: cannot be read: {error}") from error


def _from_names(name: str, found: Iterator[tuple[str, int]], size: int | None) -> Source:
    digest = hashlib.sha256()

    def names() -> Iterator[str]:
        for path, length in found:
            digest.update(f"{path}\0{length}\n".encode("utf-8", "surrogateescape"))
            yield path

    rest = names()
    first = list(itertools.islice(rest, LARGEST * PARTS))  # of more, a part is of the largest size anyway
    if not first:
        raise UsageError(f"{name}: no pictures in it")
    size = size or _size(len(first))
    parts = list(names_in_parts(itertools.chain(first, rest), size, os.getcwd()))
    return Source(name, sum(part.pictures for part in parts), digest.hexdigest(), size, parts)


def _size(pictures: int) -> int:
    return min(LARGEST, max(SMALLEST, -(-pictures // PARTS)))


def _from_parquet(
    name: str, tables: list[tuple[str, int]], size: int | None, column: str | None, label: str | None
) -> Source:
    files, found = [], None
    digest = hashlib.sha256()
    looks = in_order(lambda table: _look(table[0], column, label), tables, 16)
    for (file, length), (groups, its) in zip(tables, looks, strict=True):
        found = found or its
        if its != found:
            raise UsageError(f"{file}: got the column {its.name!r}, want {found.name!r} as in {tables[0][0]}")
        digest.update(f"{file}\0{length}\0{groups}\n".encode("utf-8", "surrogateescape"))
        files.append((file, groups))
    pictures = sum(sum(groups) for _, groups in files)
    if not pictures or found is None:
        raise UsageError(f"{name}: no rows in it")
    digest.update(repr(found).encode())
    size = size or _size(pictures)
    parts = list(rows_in_parts(files, size, found, os.getcwd()))
    return Source(name, pictures, digest.hexdigest(), size, parts)


def _look(file: str, column: str | None, label: str | None) -> tuple[list[int], Column]:
    """The rows of each row group of a Parquet file, and which column has the pictures."""
    pyarrow, parquet = find_pyarrow()
    system, path = places.at(file)
    try:
        with system.open_input_file(path) as opened:
            table = parquet.ParquetFile(opened)
            metadata, schema = table.metadata, table.schema_arrow
    except (OSError, pyarrow.ArrowException) as error:
        raise UsageError(f"{file}: cannot be read: {' '.join(str(error).split())[:200]}") from error
    groups = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    try:
        return groups, find_column(schema, column, label)
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from None


def find_column(schema: Any, column: str | None = None, label: str | None = None) -> Column:
    """The column of a schema (of pyarrow) that has the pictures, as bytes (or a struct with "bytes" in it, as Hugging
    Face has it) or as text. Raises UsageError where it is not there, is something else, or must be said.
    """
    names = list(schema.names)
    for wanted in (column, label):
        if wanted is not None and wanted not in names:
            hint = did_you_mean(wanted, names)
            raise UsageError(f"got no column {wanted!r}{hint} want one of: {', '.join(names)}")
    if column is not None:
        found = _column(schema, column)
        if found is None:
            raise UsageError(f"got the column {column!r} of {schema.field(column).type}, want bytes or text")
    else:
        columns = {name: _column(schema, name) for name in names}
        binary = [name for name in names if (one := columns[name]) and one.binary]
        text = [name for name in names if (one := columns[name]) and not one.binary]
        known = [name for name in BYTES_IN if name in binary]
        if not known and len(binary) < 2:
            known = binary or [name for name in TEXT_IN if name in text] or (text if len(text) == 1 else [])
        if not known:
            raise UsageError(f"got the columns {', '.join(names)}, want the one with the pictures: --column")
        found = columns[known[0]]
        assert found is not None  # for the type checker
    if label is None and "path" in names and found.name != "path" and found.binary:
        label = "path"
    return Column(found.name, found.binary, found.inside, label)


def _column(schema: Any, name: str) -> Column | None:
    """A column as one of pictures; None for what cannot hold any."""
    from pyarrow import types

    kind = schema.field(name).type
    inside = None
    if types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        inside, kind = "bytes", kind.field("bytes").type
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind):
        return Column(name, True, inside)
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return Column(name, False, inside)
    return None
