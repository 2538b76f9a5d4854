"""`iqassay group`: bursts and near-duplicates, and the best of each."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iqassay.commands.moving import move_pictures
from iqassay.commands.options import (
    CacheFile,
    Device,
    MaxPixels,
    Model,
    NoCache,
    Recursive,
    Threads,
    Verify,
    open_model,
    say,
    stdout,
    the_cache,
)
from iqassay.commands.score import Format

if TYPE_CHECKING:
    from iqassay.folders.records import Record


def group(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Pictures, folders of pictures, or patterns ('a/**/*.jpg').")
    ],
    keep_best: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Move all but the best of each group to DIR; a dry run without --yes."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do move them.")] = False,
    format: Annotated[
        Format | None, typer.Option(help="How results are written. [default: by the ending of -o, else table]")
    ] = None,
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="FILE", help="Write results to FILE.")] = None,
    recursive: Recursive = False,
    model: Model = None,
    cache: CacheFile = None,
    no_cache: NoCache = False,
    verify: Verify = False,
    threads: Threads = None,
    device: Device = "cpu",
    max_pixels: MaxPixels = None,
) -> int:
    """Find bursts and near-duplicates, and say which picture of each is the best, and how surely.

    The results are those of `iqassay score`, with the number of the group, the place in it and the probability of being
    its best; `iqassay report` folds them into stacks. Exit status: 0 all scored, 1 some could not be, 2 wrong usage.
    """
    from iqassay.folders import records
    from iqassay.folders.cells import Layout
    from iqassay.folders.finding import find_pictures
    from iqassay.folders.folder import Pair, score_pairs
    from iqassay.folders.grouping import grouped
    from iqassay.folders.left_out import LeftOut
    from iqassay.support.errors import UsageError
    from iqassay.support.progress import with_bar

    if yes and keep_best is None:
        raise UsageError("--yes: got nothing to do, want --keep-best")
    if keep_best is not None and (not keep_best or os.path.isfile(keep_best)):
        raise UsageError(f"--keep-best {keep_best}: is {'a file' if keep_best else 'nothing'}, want a folder")
    if format is None:
        ending = os.path.splitext(output or "")[1].lower().lstrip(".")
        format = Format(ending) if ending in Format.__members__ else Format.table
    left_out = LeftOut()
    found = list(find_pictures(paths, recursive, [keep_best or ""], left_out))
    scorer = open_model(model, False, threads, max_pixels, device)
    with the_cache(cache, no_cache, verify) as kept:
        results = score_pairs(scorer, [Pair(path) for path in found], cache=kept, workers=threads)
        scored = [result.record() for result in with_bar(results, len(found))]
    whole = grouped(scored, scorer)
    binary = format.value in records.BINARY
    if format is Format.table:
        write: Any = lambda out: out.write(_table(whole))  # noqa: E731
    elif format in (Format.csv, Format.parquet):
        layout = Layout(scorer.asked(False), groups=True)
        write = lambda out: records.WRITERS[format.value](whole, out, layout=layout)  # noqa: E731
    else:
        write = lambda out: records.WRITERS[format.value](whole, out)  # noqa: E731
    if output is None:
        screen = stdout(utf8=format is not Format.table)
        write(screen.buffer if binary else screen)
    else:
        with records.open_results(output, binary) as out:
            write(out)
    if said := left_out.line():
        say(said)
    failed = sum("error" in record for record in whole)
    if failed:
        say(f"{failed} of {len(whole)} pictures could not be scored")
    others = [record["path"] for record in whole if record.get("place", 1) > 1]
    moved = keep_best is None or move_pictures(others, paths, "move", keep_best, yes, "--keep-best")
    return int(failed > 0 or not moved)


def _table(found: list[Record]) -> str:
    """Each group with the best first, then how many stand alone, for people."""
    from iqassay.support.text import counted, odds, printable

    groups: dict[int, list[Record]] = {}
    for record in found:
        if "group" in record:
            groups.setdefault(record["group"], []).append(record)
    lines = []
    width = max([7, *(len(printable(record["path"])) for group in groups.values() for record in group)])
    for number, group in groups.items():
        lines.append(f"group {number}, {counted(len(group), 'picture')}")
        for record in sorted(group, key=lambda record: record["place"]):
            sure = f"the best with probability {odds(record['best'])}" if record["place"] == 1 else odds(record["best"])
            doubts = "".join(f"; {printable(warning)}" for warning in record["warnings"])
            lines.append(f"  {printable(record['path']):<{width}}  {record['score']:5.1f}  {sure}{doubts}")
    alone = sum("group" not in record and "error" not in record for record in found)
    errors = [f"{printable(record['path'])}: {printable(record['error'])}" for record in found if "error" in record]
    together = sum(len(group) for group in groups.values())
    said = f"{counted(together, 'picture')} in {counted(len(groups), 'group')}, {alone:,} alone"
    return "\n".join([*lines, *errors, said]) + "\n"
