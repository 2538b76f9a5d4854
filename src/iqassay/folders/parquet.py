"""Records as Parquet, with typed columns; needs pyarrow (the extra `parquet`).

A name that is not text has its odd bytes as \\udc80 to \\udcff, as in the other formats.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from iqassay.folders.cells import NUMBERS, WHOLE, Layout, from_cells
from iqassay.support.errors import UsageError
from iqassay.support.install import install_command
from iqassay.support.text import unescaped

Record = dict[str, Any]
ROW_GROUP = 1000  # records that are held until they are written together


def write(records: Iterable[Record], out: BinaryIO, layout: Layout) -> None:
    """See `iqassay.folders.records.write_parquet`."""
    _, parquet = find_pyarrow()
    rows: list[Record] = []
    with parquet.ParquetWriter(out, schema(layout)) as writer:
        try:
            for record in records:
                rows.append(_row(record, layout))
                if len(rows) == ROW_GROUP:
                    writer.write_table(_table(rows, layout))
                    rows.clear()
        finally:
            if rows:
                writer.write_table(_table(rows, layout))


def schema(layout: Layout) -> Any:
    """The typed columns of a layout, as a schema of pyarrow."""
    pyarrow, _ = find_pyarrow()
    text, number = pyarrow.string(), pyarrow.float64()
    columns = layout.columns()
    types = {
        **{column: number for column in columns if column.startswith(("raw_", "score_", "low_", "high_"))},
        **dict.fromkeys(NUMBERS, number),
        **dict.fromkeys(WHOLE, pyarrow.int64()),
        "distortions": pyarrow.list_(pyarrow.struct([("name", text), ("severity", number)])),
        "warnings": pyarrow.list_(text),
    }
    return pyarrow.schema([(column, types.get(column, text)) for column in columns])


def table(records: Iterable[Record], layout: Layout) -> Any:
    """Records as a table of pyarrow, a row each. Raises ValueError as `Layout.cells` does."""
    return _table([_row(record, layout) for record in records], layout)


def _row(record: Record, layout: Layout) -> Record:
    return {key: _escaped(value) for key, value in layout.cells(record).items()}


def _table(rows: list[Record], layout: Layout) -> Any:
    pyarrow, _ = find_pyarrow()
    return pyarrow.Table.from_pylist(rows, schema(layout))


def read(file: BinaryIO) -> Iterator[Record]:
    """The rows of a file, one after another. Raises ValueError for one that is broken."""
    pyarrow, parquet = find_pyarrow()
    try:
        for batch in parquet.ParquetFile(file).iter_batches(ROW_GROUP):
            for row in batch.to_pylist():
                cells = {key: value for key, value in row.items() if value is not None}
                for key in cells.keys() & {"path", "reference", "error"}:
                    cells[key] = unescaped(cells[key])
                if "raw" in cells:  # of version 0.1.0
                    cells["raw"] = dict(cells["raw"])
                yield from_cells(cells)
    except (pyarrow.ArrowException, ArithmeticError, LookupError, MemoryError, OSError, TypeError) as error:
        raise ValueError(" ".join(str(error).split())[:200]) from error


def _escaped(value: Any) -> Any:
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def find_pyarrow() -> tuple[Any, Any]:
    """The package and its module for Parquet. Raises UsageError where it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise UsageError(f"parquet needs pyarrow, which is not installed: {install_command('parquet')}") from error
    return pyarrow, pyarrow.parquet
