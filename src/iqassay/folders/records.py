"""Records: what is said of pictures, one plain dictionary each, written to files as they come and read back.

A record of a picture that was scored has "path", "reference" if it was scored against one, "score", "low", "high",
"raw" (the raw value by model), "model", "version", "width" and "height" (pixels, upright), "bytes" (of the file),
beside a reference "bits_per_pixel", "distortions" (each with "name" and "severity") and "warnings". Where several
models were asked there is "also", with the "score", "low", "high" and "version" of each but the first. `iqassay group`
adds "group", the number of the stack, "place" in it, 1 for the best, and "best", the probability of that. A frame of a
video has "frame", its number from 0, and "time", in seconds, after the paths, and no "bytes". Of any other picture
there are "path", "reference" if it has one, and "error".
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import IO, Any, BinaryIO, TextIO

from iqassay.folders import parquet
from iqassay.folders.cells import Layout, from_cells, layout_of
from iqassay.folders.checked import checked
from iqassay.support.errors import UsageError
from iqassay.support.text import counted, printable, unescaped

Record = dict[str, Any]
WIDEST_PATH = 100  # characters: longer paths push their row to the right


# ---- writing --------------------------------------------------------------------------------------------------------
# Each writer takes records as they come and writes each at once, so that a killed run keeps what it computed.


def write_json(records: Iterable[Record], out: TextIO) -> None:
    """A JSON list, one record a line. The list is closed even when the run is interrupted."""
    opening = "[\n"
    try:
        for record in records:
            out.write(opening + json.dumps(record, ensure_ascii=False, allow_nan=False))
            out.flush()
            opening = ",\n"
    finally:
        out.write("[]\n" if opening == "[\n" else "\n]\n")
        out.flush()


def write_jsonl(records: Iterable[Record], out: TextIO) -> None:
    """One JSON object a line."""
    for record in records:
        out.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
        out.flush()


def write_csv(
    records: Iterable[Record], out: TextIO, reference: str | None = None, layout: Layout | None = None
) -> None:
    """Flat columns with a header: raw values in columns raw_MODEL, what further models said in score_MODEL and so on;
    distortions as "name:severity;name:severity", warnings joined by "; ".

    Args:
        reference: where the references are; with one, each row names its own in a column after the path.
        layout: which columns there are; without it, those of the first record that has a score, which is waited for.

    Raises:
        ValueError: for a record with a model that there is no column for.
    """
    if layout is None:
        layout, records = layout_of(records, reference is not None)
    columns = layout.columns()
    writer = csv.writer(_Unix(out), lineterminator="\r\n")
    writer.writerow(columns)
    out.flush()
    for record in records:
        row = layout.cells(record)
        row["distortions"] = ";".join(f"{item['name']}:{item['severity']}" for item in record.get("distortions", ()))
        row["warnings"] = "; ".join(record.get("warnings", ()))
        writer.writerow([row.get(column, "") for column in columns])
        out.flush()


class _Unix:
    """Rows that end with a line feed, while csv still puts a cell with a carriage return in quotation marks."""

    def __init__(self, out: TextIO) -> None:
        self.out = out

    def write(self, row: str) -> None:
        self.out.write(row.removesuffix("\r\n") + "\n")


def write_table(
    records: Iterable[Record],
    out: TextIO,
    paths: Iterable[str] = (),
    reference: str | None = None,
    raw: bool = False,
    layout: Layout | None = None,
) -> None:
    """Aligned columns for people, row by row; `paths` (all that will come) sets the width of the first column.

    reference: where the references are, which the first line says; rows then tell bits per pixel too. raw: show raw
    values in place of distortions, which the model does not look for. layout: names the further models.
    """
    room = len(" at 1000.000 s") if layout and layout.frames else 0
    width = min(WIDEST_PATH, max([7, *(len(printable(path)) + room for path in paths)]))
    against = "" if reference is None else f"; against {printable(reference)}"
    last = "raw value" if raw else "distortions (0 to 5)"
    further = {name: max(5, len(name)) for name in (layout.also if layout else ())}
    names = "".join(f"{name:>{wide}}  " for name, wide in further.items())
    rate = "" if reference is None else "bits/pixel  "
    out.write(f"{'picture':<{width}}  score  90 % interval  {names}{rate}{last}{against}\n")
    out.flush()
    for record in records:
        path = printable(record["path"]) + (f" at {record['time']:.3f} s" if "time" in record else "")
        if "error" in record:
            rest = f"{'-':>5}  {printable(record['error'])}"
        else:
            causes = ", ".join(f"{item['name']} {item['severity']:.1f}" for item in record["distortions"])
            if raw:
                causes = ", ".join(f"{model} {value:.4f}" for model, value in record["raw"].items())
            doubts = "".join(f"; {printable(warning)}" for warning in record["warnings"])
            interval = f"{record['low']:.1f} to {record['high']:.1f}"
            also = record.get("also", {})
            scores = (f"{also[name]['score']:.1f}" if name in also else "-" for name in further)
            others = "".join(f"{said:>{wide}}  " for said, wide in zip(scores, further.values(), strict=True))
            bits = f"{record['bits_per_pixel']:.3f}" if "bits_per_pixel" in record else "-"
            bits = f"{bits:>10}  " if rate else ""
            rest = f"{record['score']:5.1f}  {interval:<13}  {others}{bits}{causes or 'none found'}{doubts}"
        out.write(f"{path:<{width}}  {rest}\n")
        out.flush()


def write_parquet(records: Iterable[Record], out: BinaryIO, layout: Layout | None = None) -> None:
    """Parquet with typed columns, those of CSV, a thousand records at a time. Closed properly when the run fails or is
    interrupted; killed, it cannot be read.

    Args:
        layout: as for `write_csv`; the column of references is always there.

    Raises:
        UsageError: before the first record without pyarrow (the extra `parquet`).
        ValueError: as `write_csv` does.
    """
    parquet.find_pyarrow()
    if layout is None:
        layout, records = layout_of(records, True)
    parquet.write(records, out, replace(layout, reference=True))


WRITERS: dict[str, Callable[..., None]] = {
    "table": write_table,
    "json": write_json,
    "jsonl": write_jsonl,
    "csv": write_csv,
    "parquet": write_parquet,
}
BINARY = frozenset({"parquet"})  # the formats whose files hold bytes, not text


@contextmanager
def open_results(path: str, binary: bool = False) -> Iterator[Any]:
    """Open a file for results, so that it is replaced as a whole at the end and never half written.

    Meanwhile the results are in PATH.partial, where they stay when the run is killed or fails. An interrupt (Ctrl-C) is
    an end like any other: what there is becomes PATH. A pipe or a device is written directly.

    binary: as the formats in `BINARY` want it.

    Raises UsageError at once when the place cannot be written.
    """
    target = os.path.realpath(path)  # a symbolic link stays one
    if os.path.isdir(target):
        raise UsageError(f"{path}: is a folder, want a file for the results")
    direct = os.path.exists(target) and not os.path.isfile(target)
    partial = target if direct else f"{target}.partial"
    try:
        file: str | int = partial if direct else _claim(partial)
        out: IO[Any] = open(file, "wb") if binary else open_text(file)  # noqa: SIM115
    except BlockingIOError as error:
        raise UsageError(f"{path}: another run is writing it, want another file, or to wait") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error
    try:
        yield out
    except KeyboardInterrupt:
        _finish(out, partial, target)
        raise
    except BaseException:
        out.close()
        if not direct and not os.path.getsize(partial):  # nothing was computed
            os.remove(partial)
        raise
    _finish(out, partial, target)


def open_text(file: str | int) -> TextIO:
    """Open for results: UTF-8. What is not text in a file name comes out as \\udc80 to \\udcff, which JSON reads
    back.
    """
    return open(file, "w", encoding="utf-8", errors="backslashreplace", newline="")


def _claim(partial: str) -> int:
    """Open a file to write it anew, for this run alone. Raises BlockingIOError where another run has it."""
    try:
        import fcntl
    except ImportError:  # Windows lets nobody replace a file that is open
        return os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o666)
    while True:
        file = os.open(partial, os.O_WRONLY | os.O_CREAT, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.exists(partial) and os.path.samestat(os.stat(partial), os.fstat(file)):
                os.ftruncate(file, 0)
                return file
            os.close(file)  # the other run has just ended, and this is its results
        except OSError:
            os.close(file)
            raise


def _finish(out: IO[Any], partial: str, target: str) -> None:
    out.close()
    if partial != target:
        os.replace(partial, target)


# ---- reading --------------------------------------------------------------------------------------------------------


def read_records(path: str, cut_short: Callable[[str], object] | None = None) -> Iterator[Record]:
    """The records in a file that was written here, one after another as they are asked for.

    The file is json, jsonl, csv or parquet, as its first bytes tell. JSON of another layout (that of `jq`, for one) is
    read as a whole.

    Args:
        cut_short: gets one line about a file whose end is missing because its run was killed, after the records that
            are whole; without it the line goes to standard error.

    Raises:
        UsageError: for anything else, in one line that names the file, and the line where there are lines.
    """
    count = 0
    try:
        with open(path, "rb") as file:
            start = file.peek(100)[:100].removeprefix(codecs.BOM_UTF8).lstrip()
            readers = {b"": _read_jsonl, b"{": _read_jsonl, b"[": _read_json, b"P": _read_parquet}
            read = readers.get(start[:1], _read_csv)
            for record in read(file, path):
                count += 1
                yield record
    except _CutShort:
        say = cut_short or (lambda message: print(f"iqassay: {message}", file=sys.stderr, flush=True))
        say(printable(f"{path}: was cut short, {counted(count, 'record')} before that"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error


class _CutShort(Exception):
    """The end of the file is missing."""


def _lines(file: BinaryIO) -> TextIO:
    """Lines that end at line feeds alone, since names may hold other things that Python takes for an end."""
    return io.TextIOWrapper(file, "utf-8-sig", "surrogateescape", newline="\n")


def _read_json(file: BinaryIO, path: str) -> Iterator[Record]:
    lines = _lines(file)
    first, second = lines.readline(), lines.readline()
    if first.strip() != "[" or (second.endswith("\n") and not re.fullmatch(r"\{.+\},?\s*", second)):
        try:
            records = _loads(first + second + lines.read())  # not a record a line
        except ValueError as error:
            raise UsageError(f"{path}: got broken JSON: {error}") from error
        for number, record in enumerate(records, 1):
            yield checked(record, f"{path}: record {number}")
        return
    for number, line in enumerate(itertools.chain([second], lines), 2):
        if line.strip() == "]":
            return
        yield _record(line.strip().removesuffix(","), f"{path}: line {number}", whole=line.endswith("\n"))
    raise _CutShort


def _read_jsonl(file: BinaryIO, path: str) -> Iterator[Record]:
    for number, line in enumerate(_lines(file), 1):
        if line.strip():
            yield _record(line, f"{path}: line {number}", whole=line.endswith("\n"))


def _record(text: str, where: str, whole: bool) -> Record:
    try:
        record = _loads(text)
    except ValueError as error:
        if not whole:
            raise _CutShort from error
        raise UsageError(f"{where}: got broken JSON: {error}") from error
    return checked(record, where)


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("too many brackets in one another") from error


def _read_csv(file: BinaryIO, path: str) -> Iterator[Record]:
    lines = _lines(file)
    ended = True  # the line, with a line feed

    def texts() -> Iterator[str]:
        nonlocal ended
        for line in lines:
            ended = line.endswith("\n")
            yield unescaped(line)

    rows = csv.reader(texts(), strict=True)
    try:
        columns = next(rows, [])
        if not {"path", "score", "error"} <= set(columns):
            raise UsageError(f"{path}: got no results in it, want what `iqassay score -o` writes, but not as a table")
        for row in filter(None, rows):
            cells = dict(zip(columns, row, strict=False))
            if not ended and (len(row) < len(columns) or cells["error"] or not cells["score"]):
                raise _CutShort  # the text of an error may go on, after a score there is nothing
            where = f"{path}: line {rows.line_num}"
            if len(row) != len(columns):
                raise UsageError(f"{where}: got {len(row)} cells, want {len(columns)}")
            try:
                record = _from_text(cells)
            except ValueError as error:
                raise UsageError(f"{where}: {error}") from error
            yield checked(record, where)
    except csv.Error as error:
        if not lines.readline():  # it is in the last line, which ends inside quotation marks
            raise _CutShort from error
        raise UsageError(f"{path}: line {rows.line_num}: {error}") from error


def _from_text(cells: dict[str, str]) -> Record:
    """A record of the cells of CSV. Raises ValueError where text stands for a number and is none."""

    def numbers(text: str) -> dict[str, float]:
        parts = (part.rpartition(":") for part in text.split(";") if part)
        return {name: float(number) for name, _, number in parts}

    found: Record = {key: text for key, text in cells.items() if text}
    if "error" in found:
        found.pop("score", None)
        return from_cells(found)
    if "raw" in found:  # of version 0.1.0
        found["raw"] = numbers(found["raw"])
    named = numbers(cells.get("distortions", "")).items()
    found["distortions"] = [{"name": name, "severity": value} for name, value in named]
    found["warnings"] = [warning for warning in cells.get("warnings", "").split("; ") if warning]
    return from_cells(found)


def _read_parquet(file: BinaryIO, path: str) -> Iterator[Record]:
    number = 0
    try:
        for number, record in enumerate(parquet.read(file), 1):
            yield checked(record, f"{path}: record {number}")
    except UsageError:
        raise
    except ValueError as error:
        raise UsageError(f"{path}: got broken Parquet after {counted(number, 'record')}: {error}") from error
