"""Many pictures: find them, score them one after another, write the results down as they come."""

from __future__ import annotations

import csv
import functools
import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TextIO

from iqassay.align import align
from iqassay.image import SUFFIXES, ImageError, Picture, read_image
from iqassay.model_file import ModelFileError
from iqassay.scorer import Scorer
from iqassay.text import printable
from iqassay.verdict import Verdict

Record = dict[str, Any]
COLUMNS = ("path", "score", "low", "high", "raw", "model", "version", "distortions", "warnings", "error")
WIDEST_PATH = 100  # characters: longer paths push their row to the right


class UsageError(ValueError):
    """A path that cannot be used as asked. The message is one line."""


@dataclass(frozen=True)
class Pair:
    """A picture to score: by itself, against its reference, or not at all when `error` says why it has none."""

    path: str
    reference: str | None = None
    error: str = ""


@dataclass(frozen=True)
class Result:
    """What became of one picture: a verdict, or an error in one line. `picture` is what was scored: cut or resized when
    it was aligned with its reference.
    """

    path: str
    reference: str | None = None
    picture: Picture | None = None
    verdict: Verdict | None = None
    error: str = ""

    def record(self) -> Record:
        if self.verdict:
            return self.verdict.record(self.path, self.reference)
        reference = {} if self.reference is None else {"reference": self.reference}
        return {"path": self.path, **reference, "error": self.error}


# ---- finding --------------------------------------------------------------------------------------------------------


def find_pictures(paths: Iterable[str], recursive: bool = False) -> list[str]:
    """The pictures that `paths` stand for: a file is itself, a folder is the pictures in it, in natural order.

    In folders, files whose names do not end like a picture's and hidden files are left out; subfolders are entered when
    `recursive` is set, each once, even where symbolic links go round in circles. A subfolder that cannot be opened
    comes back as if it were a picture, so that it is reported like one.

    Raises UsageError for a path that does not exist and for a folder without pictures.
    """
    found: list[str] = []
    for path in paths:
        try:
            is_folder = stat.S_ISDIR(os.stat(path).st_mode)
            inside = _walk(path, recursive, set()) if is_folder else [path]
        except OSError as error:
            reason = "no such file or folder" if isinstance(error, FileNotFoundError) else error.strerror
            raise UsageError(f"{path}: {reason}") from error
        except ValueError as error:  # a NUL character in the name
            raise UsageError(f"{path}: {error}") from error
        if not inside:
            hint = "" if recursive else "; --recursive looks into subfolders"
            raise UsageError(f"{path}: no pictures in this folder{hint}")
        found += inside
    return found


def _walk(folder: str, recursive: bool, seen: set[tuple[int, int]]) -> list[str]:
    status = os.stat(folder)
    if (status.st_dev, status.st_ino) in seen:
        return []
    seen.add((status.st_dev, status.st_ino))
    with os.scandir(folder) as entries:
        visible = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda e: _natural(e.name))
    found = []
    for entry in visible:
        if entry.is_dir():
            if recursive:
                try:
                    found += _walk(entry.path, recursive, seen)
                except OSError:
                    found.append(entry.path)
        elif os.path.splitext(entry.name)[1].lower() in SUFFIXES and (entry.is_file() or entry.is_symlink()):
            found.append(entry.path)
    return found


def _natural(name: str) -> tuple[list[str | int], str]:
    """Sorts img2 before img10. Text and numbers alternate, so only like is compared with like."""
    parts: list[str | int] = [*re.split(r"([0-9]+)", name.casefold())]
    parts[1::2] = [int(part) for part in parts[1::2]]
    return parts, name


# ---- scoring --------------------------------------------------------------------------------------------------------


def score_files(scorer: Scorer, paths: list[str]) -> Iterator[Result]:
    """Score pictures in order, each by itself; see `score_pairs`."""
    return score_pairs(scorer, [Pair(path) for path in paths])


def score_pairs(scorer: Scorer, pairs: list[Pair], how: str = "fail") -> Iterator[Result]:
    """Score pictures in order, against their references where they have one. The next is decoded while the network is
    busy, and a reference once for all the pictures in a row that share it; a broken one is a Result with `error`.

    how: what to do where sizes differ, see `align`.

    Raises ModelFileError alone: when the model itself fails, the next picture would fare no better.
    """
    read_reference = functools.lru_cache(maxsize=1)(_read)
    with ThreadPoolExecutor(max_workers=1) as reader:

        def submit(pair: Pair) -> Future[tuple[Result, Picture | None]]:
            return reader.submit(_read_pair, pair, how, scorer.max_pixels, read_reference)

        ahead = submit(pairs[0]) if pairs else None
        for index in range(len(pairs)):
            assert ahead is not None  # for the type checker
            result, reference = ahead.result()
            if index + 1 < len(pairs):
                ahead = submit(pairs[index + 1])
            if result.picture is not None:
                try:
                    result = replace(result, verdict=scorer.score(result.picture, reference))
                except ModelFileError:
                    raise
                except Exception as error:  # one picture must not end a run over many thousands
                    result = replace(result, picture=None, error=_reason(error))
            yield result


def _read_pair(
    pair: Pair, how: str, max_pixels: int, read_reference: Callable[[str, int], Picture | str]
) -> tuple[Result, Picture | None]:
    """What to score: a Result with a picture or with an error, and the reference of this picture, if any."""
    result = Result(pair.path, pair.reference, error=pair.error)
    if pair.error:
        return result, None
    picture = _read(pair.path, max_pixels)
    if isinstance(picture, str):
        return replace(result, error=picture), None
    if pair.reference is None:
        return replace(result, picture=picture), None
    reference = read_reference(pair.reference, max_pixels)
    if isinstance(reference, str):
        return replace(result, error=f"reference {pair.reference}: {reference}"), None
    try:
        picture, reference = align(picture, reference, how)
    except Exception as error:
        return replace(result, error=_reason(error)), None
    return replace(result, picture=picture), reference


def _read(path: str, max_pixels: int) -> Picture | str:
    """A picture, or why it cannot be read."""
    try:
        return read_image(path, max_pixels)
    except Exception as error:
        return _reason(error).removeprefix(f"{path}: ")  # the record has the path already


def _reason(error: Exception) -> str:
    if isinstance(error, ImageError):
        return str(error)
    if isinstance(error, MemoryError):
        return "not enough memory"
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def map_names(paths: list[str], others: Iterable[str] = ()) -> dict[str, str]:
    """A file name for the map of each picture: its own name and .png; pictures of the same name get a suffix of their
    path.

    A map never lands on one of the pictures or of the `others`, whatever the folder, since their names are taken too.
    """
    names: dict[str, str] = {}
    taken = {os.path.basename(path).casefold() for path in (*paths, *others)}
    counts: dict[str, int] = {}
    for path in dict.fromkeys(paths):
        key = os.path.basename(path).casefold()
        counts[key] = counts.get(key, 0) + 1
    for path in dict.fromkeys(paths):
        name = os.path.basename(path)
        wanted = f"{name}.png"
        if counts[name.casefold()] > 1 or wanted.casefold() in taken or len(os.fsencode(wanted)) > 250:
            stem = os.fsdecode(os.fsencode(name)[:200])
            wanted = f"{stem}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:12]}.png"
        taken.add(wanted.casefold())
        names[path] = wanted
    return names


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
