"""Records: what is said of pictures, one plain dictionary each, written to files as they come."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from iqassay.errors import UsageError
from iqassay.text import printable

Record = dict[str, Any]
COLUMNS = ("path", "score", "low", "high", "raw", "model", "version", "distortions", "warnings", "error")
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


def write_csv(records: Iterable[Record], out: TextIO, reference: str | None = None) -> None:
    """Flat columns with a header; raw values as "model:raw;model:raw", distortions as "name:severity;name:severity",
    warnings joined by "; ".

    reference: where the references are; with one, each row names its own in a column after the path.
    """
    columns = COLUMNS if reference is None else ("path", "reference", *COLUMNS[1:])
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    out.flush()
    for record in records:
        row = dict(record)
        row["raw"] = ";".join(f"{model}:{raw}" for model, raw in record.get("raw", {}).items())
        row["distortions"] = ";".join(f"{item['name']}:{item['severity']}" for item in record.get("distortions", ()))
        row["warnings"] = "; ".join(record.get("warnings", ()))
        writer.writerow([row.get(column, "") for column in columns])
        out.flush()


def write_table(
    records: Iterable[Record],
    out: TextIO,
    paths: Iterable[str] = (),
    reference: str | None = None,
    raw: bool = False,
) -> None:
    """Aligned columns for people, row by row; `paths` (all that will come) sets the width of the first column.

    reference: where the references are, which the first line says. raw: show raw values in place of distortions, which
    the model does not look for.
    """
    width = min(WIDEST_PATH, max([7, *(len(printable(path)) for path in paths)]))
    against = "" if reference is None else f"; against {printable(reference)}"
    last = "raw value" if raw else "distortions (0 to 5)"
    out.write(f"{'picture':<{width}}  score  90 % interval  {last}{against}\n")
    out.flush()
    for record in records:
        path = printable(record["path"])
        if "error" in record:
            rest = f"{'-':>5}  {printable(record['error'])}"
        else:
            causes = ", ".join(f"{item['name']} {item['severity']:.1f}" for item in record["distortions"])
            if raw:
                causes = ", ".join(f"{model} {value:.4f}" for model, value in record["raw"].items())
            doubts = "".join(f"; {printable(warning)}" for warning in record["warnings"])
            interval = f"{record['low']:.1f} to {record['high']:.1f}"
            rest = f"{record['score']:5.1f}  {interval:<13}  {causes or 'none found'}{doubts}"
        out.write(f"{path:<{width}}  {rest}\n")
        out.flush()


WRITERS: dict[str, Callable[..., None]] = {
    "table": write_table,
    "json": write_json,
    "jsonl": write_jsonl,
    "csv": write_csv,
}


@contextmanager
def open_results(path: str) -> Iterator[TextIO]:
    """Open a file for results, so that it is replaced as a whole at the end and never half written.

    Meanwhile the results are in PATH.partial, where they stay when the run is killed or fails. An interrupt (Ctrl-C) is
    an end like any other: what there is becomes PATH. A pipe or a device is written directly.

    Raises UsageError at once when the place cannot be written.
    """
    target = os.path.realpath(path)  # a symbolic link stays one
    if os.path.isdir(target):
        raise UsageError(f"{path}: is a folder, want a file for the results")
    direct = os.path.exists(target) and not os.path.isfile(target)
    partial = target if direct else f"{target}.partial"
    try:
        out = open_text(partial)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error
    try:
        yield out
    except KeyboardInterrupt:
        _finish(out, partial, target)
        raise
    except BaseException:
        out.close()
        raise
    _finish(out, partial, target)


def open_text(file: str | int) -> TextIO:
    """Open for results: UTF-8. What is not text in a file name comes out as \\udc80 to \\udcff, which JSON reads
    back.
    """
    return open(file, "w", encoding="utf-8", errors="backslashreplace", newline="")


def _finish(out: TextIO, partial: str, target: str) -> None:
    out.close()
    if partial != target:
        os.replace(partial, target)
