"""The files of a published set: where they are, and what MATLAB files and Excel workbooks hold (CSV: ratings.py)."""

from __future__ import annotations

import os
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from xml.etree import ElementTree

import numpy as np

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_RELATED = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"


class Files:
    """The files below a folder, found by the end of their paths, whatever the case of the names."""

    def __init__(self, folder: Path, depth: int = 4) -> None:
        self.folder = folder
        self._places: dict[str, list[str]] = defaultdict(list)
        for place, folders, names in os.walk(folder, followlinks=True):
            inside = Path(place).relative_to(folder)
            if len(inside.parts) >= depth:
                folders.clear()  # which also ends links that go round in circles
            for name in names:
                self._places[name.lower()].append((inside / name).as_posix())

    def __getitem__(self, end: str) -> Path:
        """The file whose path ends with these folders and this name; where there is none, where it would be.

        Raises ValueError when there are several, none of them right in the folder.
        """
        places = self._places.get(end.lower().rpartition("/")[2], [])
        found = [place for place in places if f"/{place}".lower().endswith(f"/{end}".lower())]
        found = [place for place in found if len(place) == len(end)] or found
        if len(found) > 1:
            raise ValueError(f"got both {found[0]} and {found[1]} in {self.folder}, want the folder of one set")
        return self.folder / (found[0] if found else end)

    def label(self, name: str) -> Path:
        """A label file. Raises ValueError when there is none."""
        if not self[name].is_file():
            raise ValueError(f"got no {name} in {self.folder}")
        return self[name]

    def matching(self, pattern: str) -> list[Path]:
        """The files whose names match a regular expression, whatever the case, in the order of their names."""
        return [self[name] for name in sorted(self._places) if re.fullmatch(pattern, name, re.IGNORECASE)]


def read_mat(file: Path, name: str) -> list[Any]:
    """The values of a variable in a MATLAB file, column by column: numbers, or the texts of a cell array.

    Raises ValueError for a file that is not of version 5 to 7, or has no such variable.
    """
    from scipy.io import loadmat

    try:
        values = loadmat(file)[name]
    except NotImplementedError:
        raise ValueError(f"{file}: got a MATLAB 7.3 file, want version 5 to 7 (in MATLAB: save -v7)") from None
    except KeyError:
        raise ValueError(f"{file}: got no variable {name} in it") from None
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{file}: cannot be read as a MATLAB file ({error})") from None
    if values.dtype != object:
        return list(values.ravel("F").tolist())
    return [str(np.ravel(cell)[0]) for cell in values.ravel("F")]


def read_xlsx(file: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """The rows below a header in an Excel workbook, by the names of the wanted columns in lower case.

    The header is the first row, of the first sheet, that has all those names; where it stands does not matter. Rows
    without the first of them are left out. Numbers are as the file writes them, formulas by their last value.

    Raises ValueError for a file that is no workbook, or one without such a header.
    """
    try:
        with zipfile.ZipFile(file) as book:
            shared = _shared_texts(book)
            for sheet in _sheets(book):
                with book.open(sheet) as stream:
                    rows = _below_header(_cells(stream, shared), columns)
                if rows is not None:
                    return rows
    except (OSError, zipfile.BadZipFile, ElementTree.ParseError, KeyError, IndexError, ValueError) as error:
        raise ValueError(f"{file}: cannot be read as an Excel workbook ({error})") from None
    raise ValueError(f"{file}: got no sheet with the columns {', '.join(columns)}")


def _below_header(rows: Iterator[dict[int, str]], columns: tuple[str, ...]) -> list[dict[str, str]] | None:
    for row in rows:
        places = {text.strip().lower(): place for place, text in row.items()}
        if all(column in places for column in columns):
            found = ({column: row.get(places[column], "").strip() for column in columns} for row in rows)
            return [row for row in found if row[columns[0]]]
    return None


def _sheets(book: zipfile.ZipFile) -> list[str]:
    """The sheets' files in the order of their tabs."""
    related = ElementTree.fromstring(book.read("xl/_rels/workbook.xml.rels"))
    targets = {one.get("Id"): one.get("Target", "") for one in related}
    sheets = ElementTree.fromstring(book.read("xl/workbook.xml")).iter(f"{_MAIN}sheet")
    names = [targets[sheet.get(f"{_RELATED}id")] for sheet in sheets]
    return [name[1:] if name.startswith("/") else f"xl/{name}" for name in names]


def _shared_texts(book: zipfile.ZipFile) -> list[str]:
    if "xl/sharedStrings.xml" not in book.namelist():
        return []
    return [_text(item) for item in ElementTree.fromstring(book.read("xl/sharedStrings.xml")).iter(f"{_MAIN}si")]


def _cells(stream: IO[bytes], shared: list[str]) -> Iterator[dict[int, str]]:
    """The rows of a sheet, each the texts of its cells by the number of their column; empty cells are not written."""
    for _, row in ElementTree.iterparse(stream):
        if row.tag != f"{_MAIN}row":
            continue
        cells, place = {}, 0
        for cell in row.iter(f"{_MAIN}c"):
            letters = re.match("[A-Z]+", cell.get("r", ""))
            place = _column(letters[0]) if letters else place + 1
            text = cell.findtext(f"{_MAIN}v", "")
            if cell.get("t") == "s":
                text = shared[int(text)]
            elif cell.get("t") == "inlineStr":
                text = _text(cell)
            if text:
                cells[place] = text
        row.clear()  # a sheet of 11,000 rows need not lie in memory as a whole
        yield cells


def _column(letters: str) -> int:
    """1 for A, 26 for Z, 27 for AA."""
    place = 0
    for letter in letters:
        place = 26 * place + ord(letter) - ord("A") + 1
    return place


def _text(item: ElementTree.Element) -> str:
    """A text, which may come in pieces of different looks."""
    return "".join(piece.text or "" for piece in item.iter(f"{_MAIN}t"))
