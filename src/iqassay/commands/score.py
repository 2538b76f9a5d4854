"""`iqassay score`: pictures and folders of pictures, from 0 to 100."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from contextlib import nullcontext
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iqassay.commands.options import (
    Align,
    Alignment,
    MaxPixels,
    Model,
    Pattern,
    Recursive,
    Reference,
    Threads,
    open_model,
    say,
    stdout,
)

if TYPE_CHECKING:
    from iqassay.folder import Result


class Format(str, Enum):
    table = "table"
    json = "json"
    jsonl = "jsonl"
    csv = "csv"


def score(
    paths: Annotated[list[str], typer.Argument(metavar="PATH", help="Pictures, or folders of pictures.")],
    model: Model = None,
    ref: Reference = None,
    pattern: Pattern = None,
    align: Alignment = Align.fail,
    format: Annotated[
        Format | None, typer.Option(help="How results are written. [default: by the ending of -o, else table]")
    ] = None,
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="FILE", help="Write results to FILE.")] = None,
    map: Annotated[
        str | None, typer.Option(metavar="DIR", help="For each picture write a PNG to DIR that shows where it is bad.")
    ] = None,
    recursive: Recursive = False,
    threads: Threads = None,
    max_pixels: MaxPixels = None,
) -> int:
    """Score pictures from 0 to 100: 90 flawless, 70 good, 50 flaws plainly visible, 30 bad, 10 ruined.

    Exit status: 0 all scored, 1 some could not be, 2 wrong usage.
    """
    from iqassay import folder, pairs, records
    from iqassay.errors import UsageError
    from iqassay.finding import find_pictures
    from iqassay.progress import with_bar

    if format is None:
        ending = os.path.splitext(output or "")[1].lower().lstrip(".")
        format = Format(ending) if ending in Format.__members__ else Format.table
    if ref is None and (pattern is not None or align is not Align.fail):
        raise UsageError(f"{'--align' if pattern is None else '--pair'}: got no references, want --ref too")
    if ref is None:
        todo = [folder.Pair(picture) for picture in find_pictures(paths, recursive)]
    else:
        todo = pairs.find_pairs(paths, ref, pattern, recursive)
    pictures = [pair.path for pair in todo]
    references = {pair.reference for pair in todo if pair.reference is not None}
    if (
        output
        and os.path.exists(output)
        and os.path.realpath(output) in {os.path.realpath(picture) for picture in (*pictures, *references)}
    ):
        raise UsageError(f"-o {output}: is one of the pictures, want another file for the results")
    if map is not None:
        try:
            os.makedirs(map, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--map {map}: cannot make this folder: {error.strerror}") from error
    scorer = open_model(model, ref is not None, threads, max_pixels)
    write = records.WRITERS[format.value]
    if format is Format.table:
        write = functools.partial(write, paths=pictures, reference=ref, raw=not scorer.card.distortions)
    elif format is Format.csv:
        write = functools.partial(write, reference=ref)

    map_files = folder.map_names(pictures, references) if map is not None else {}
    failed = {"pictures": 0, "maps": 0}

    def found() -> Iterator[dict[str, Any]]:
        for result in folder.score_pairs(scorer, todo, align.value):
            failed["pictures"] += result.verdict is None
            if map is not None:
                failed["maps"] += not _write_map(result, os.path.join(map, map_files[result.path]))
            yield result.record()

    with (
        records.open_results(output)
        if output is not None
        else nullcontext(stdout(utf8=format is not Format.table)) as out
    ):
        try:
            write(with_bar(found(), len(pictures), same_screen=out.isatty()), out)
        finally:
            if failed["pictures"]:
                say(f"{failed['pictures']} of {len(pictures)} pictures could not be scored")
    return int(any(failed.values()))


def _write_map(result: Result, path: str) -> bool:
    """Write the heatmap of a picture; says so and returns False when that fails. Without a verdict there is no map."""
    if result.verdict is None or result.picture is None:
        return True
    from iqassay.heatmap import heatmap

    try:
        heatmap(result.picture, result.verdict.map).save(path, "PNG")
    except OSError as error:
        say(f"--map: cannot write {path}: {error.strerror or error}")
        return False
    return True
