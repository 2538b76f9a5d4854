"""`iqassay score`: pictures and folders of pictures, from 0 to 100."""

from __future__ import annotations

import functools
import itertools
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iqassay.commands.moving import move_pictures
from iqassay.commands.options import (
    Align,
    Alignment,
    CacheFile,
    Device,
    MaxPixels,
    NoCache,
    Pattern,
    Recursive,
    Reference,
    Shave,
    Threads,
    Verify,
    at_least_1,
    check_references,
    on_the_scale,
    open_models,
    say,
    stdout,
    the_cache,
)

if TYPE_CHECKING:
    from iqassay.folders.folder import Pair, Result
    from iqassay.folders.left_out import LeftOut
    from iqassay.folders.records import Record
    from iqassay.pictures.video import Every

AHEAD = 1000  # paths that are found before the first row of a table, for the width of its first column


class Format(str, Enum):
    table = "table"
    json = "json"
    jsonl = "jsonl"
    csv = "csv"
    parquet = "parquet"


class Order(str, Enum):
    worst = "worst"
    best = "best"


def score(
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH", help="Pictures, folders of pictures, or patterns ('a/**/*.jpg')."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="A shipped model or a measure such as ssim (see `iqassay models`), an .onnx file, or a panel's .json "
            "file; several with commas between them: the first chooses and sorts, the others' scores stand beside. "
            "[default: panel; yoto with --ref]",
            show_default=False,
        ),
    ] = None,
    ref: Reference = None,
    pattern: Pattern = None,
    align: Alignment = Align.fail,
    shave: Shave = 0,
    format: Annotated[
        Format | None, typer.Option(help="How results are written. [default: by the ending of -o, else table]")
    ] = None,
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="FILE", help="Write results to FILE.")] = None,
    map: Annotated[
        str | None, typer.Option(metavar="DIR", help="For each picture write a PNG to DIR that shows where it is bad.")
    ] = None,
    recursive: Recursive = False,
    every: Annotated[
        str | None,
        typer.Option(
            metavar="STEP",
            help="Score frames of videos, those in folders too: one each 1s, 500ms or 10f (frames). "
            "[default: 1s for a video that is named]",
            show_default=False,
        ),
    ] = None,
    files_from: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Score the pictures named in FILE, one a line (or ended by NUL); - is standard input."
        ),
    ] = None,
    sort: Annotated[Order | None, typer.Option(help="Write the worst or the best first.")] = None,
    top: Annotated[
        int | None,
        typer.Option(metavar="N", callback=at_least_1, help="Write only the N best; with --sort worst, the N worst."),
    ] = None,
    below: Annotated[
        float | None,
        typer.Option(metavar="SCORE", callback=on_the_scale, help="Write only pictures that score less."),
    ] = None,
    above: Annotated[
        float | None,
        typer.Option(metavar="SCORE", callback=on_the_scale, help="Write only pictures that score more."),
    ] = None,
    copy_to: Annotated[
        str | None, typer.Option(metavar="DIR", help="Copy the pictures that are written; a dry run without --yes.")
    ] = None,
    move_to: Annotated[str | None, typer.Option(metavar="DIR", help="Move them.")] = None,
    link_to: Annotated[str | None, typer.Option(metavar="DIR", help="Make symbolic links to them.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do copy, move or link.")] = False,
    cache: CacheFile = None,
    no_cache: NoCache = False,
    verify: Verify = False,
    threads: Threads = None,
    device: Device = "cpu",
    max_pixels: MaxPixels = None,
) -> int:
    """Score pictures from 0 to 100: 90 flawless, 70 good, 50 flaws plainly visible, 30 bad, 10 ruined.

    A run that was stopped goes on where it was: answers are kept in a cache, and files that have not changed are not
    scored again. Exit status: 0 all scored, 1 some could not be, 2 wrong usage.
    """
    from iqassay.folders import folder, frames, records
    from iqassay.folders.cells import Layout
    from iqassay.folders.left_out import LeftOut
    from iqassay.folders.selection import select
    from iqassay.support.errors import UsageError
    from iqassay.support.files import make_folder
    from iqassay.support.progress import with_bar
    from iqassay.support.text import counted

    paths = paths or []
    if bool(paths) == (files_from is not None):
        raise UsageError(f"got {'both PATH and --files-from' if paths else 'no PATH'}, want PATH or --files-from")
    check_references(ref, pattern, align, shave)
    if output is None and format is Format.parquet and sys.stdout.isatty():
        raise UsageError("--format parquet: is not for the screen, want -o FILE too")
    cull = _one_of(copy=copy_to, move=move_to, link=link_to)
    if yes and not cull:
        raise UsageError("--yes: got nothing to do, want --copy-to, --move-to or --link-to")
    if format is None:
        ending = os.path.splitext(output or "")[1].lower().lstrip(".")
        format = Format(ending) if ending in Format.__members__ else Format.table
    step = _step(every, paths, ref, cull)
    left_out = LeftOut()
    own = [map or "", cull[1] if cull else ""]
    todo, count = _todo(paths, files_from, ref, pattern, recursive, own, left_out, every is not None)
    if map is not None:
        listed = list(todo)
        references = {pair.reference for pair in listed if pair.reference is not None}
        map_files = folder.map_names([pair.path for pair in listed], references)
        todo = iter(listed)
        make_folder("--map", map)
    _check_output(output, paths, ref)
    scorer, *also = open_models(model, ref is not None, threads, max_pixels, device)
    raws = dict.fromkeys(name for one in (scorer, *also) for name in one.asked(ref is not None))
    layout = Layout(tuple(raws), tuple(one.card.name for one in also), ref is not None, frames=step is not None)
    write: Callable[..., None] = records.WRITERS[format.value]
    if format is Format.table:
        head = list(itertools.islice(todo, AHEAD if files_from is None else 0))  # a list may come slowly
        todo = itertools.chain(head, todo)
        shown = [pair.path for pair in head]
        raw = not scorer.card.distortions
        write = functools.partial(write, paths=shown, reference=ref, raw=raw, layout=layout)
    elif format in (Format.csv, Format.parquet):
        write = functools.partial(write, layout=layout)
    if step is not None:
        todo, count = frames.with_frames(todo, step, scorer.max_pixels), None
    clips = frames.Clips()
    seen = {"pictures": 0, "failed": 0, "maps": 0, "lacking": 0}
    chosen: list[str] = []
    broken: list[str] = []  # the first, where the results will not have it
    by_score = any(limit is not None for limit in (top, below, above))

    def scored(results: Iterable[Result]) -> Iterator[Record]:
        for result in results:
            seen["pictures"] += 1
            seen["failed"] += result.said is None
            seen["lacking"] += bool(result.lacks)
            if result.said is None and by_score and not broken:
                broken.append(f"{result.path}: {result.error}")
            if map is not None:
                seen["maps"] += not _write_map(result, os.path.join(map, _map_name(map_files[result.path], result)))
            record = result.record()
            clips.add(record)
            yield record

    def written(found: Iterable[Record]) -> Iterator[Record]:
        for record in found:
            if cull and "error" not in record:
                chosen.append(record["path"])
            yield record

    with ExitStack() as stack:
        kept = stack.enter_context(the_cache(cache, no_cache, verify))
        binary = format.value in records.BINARY
        screen: Any = sys.stdout.buffer if binary else stdout(utf8=format is not Format.table)
        out = screen if output is None else stack.enter_context(records.open_results(output, binary))
        beside = folder.Beside(align.value, shave)
        results = folder.score_pairs(scorer, todo, beside, kept, map is not None, threads, also, map is not None)
        together = sort is None and top is None  # rows come while pictures go by
        found = scored(with_bar(results, count, same_screen=together and out.isatty()))
        try:
            write(written(select(found, sort.value if sort else None, top, below, above)), out)
        finally:
            if kept and kept.taken and sys.stderr.isatty():
                say(f"{kept.taken:,} of {seen['pictures']:,} pictures were in the cache")
            for path, clip in clips.found.items() if format is Format.table else ():
                worst = f"worst {clip.worst:.1f} at {clip.worst_at:.3f} s"
                say(f"{path}: {counted(clip.frames, 'frame')}, mean {clip.mean:.1f}, {worst}")
            if said := left_out.line():
                say(said)
            if seen["failed"]:
                first = f"; the first: {broken[0]}" if broken else ""
                say(f"{seen['failed']} of {seen['pictures']} pictures could not be scored{first}")
            if seen["lacking"]:
                say(f"{seen['lacking']} of {seen['pictures']} pictures lack the score of a model, see their warnings")
    culled = move_pictures(chosen, paths, *cull, yes) if cull else True
    return int(seen["failed"] > 0 or seen["lacking"] > 0 or seen["maps"] > 0 or not culled)


def _todo(
    paths: list[str],
    files_from: str | None,
    ref: str | None,
    pattern: str | None,
    recursive: bool,
    own: list[str],
    left_out: LeftOut,
    videos: bool,
) -> tuple[Iterator[Pair], int | Callable[[], int] | None]:
    """What to score, and how many, if that is known, or how to count them. own: folders that are written to and not
    looked through. left_out: counts what is no picture. videos: look for these too.
    """
    from iqassay.folders.finding import find_pictures, read_paths
    from iqassay.folders.folder import Pair
    from iqassay.folders.pairs import find_pairs
    from iqassay.pictures.formats import is_picture, is_video
    from iqassay.support.errors import UsageError

    if ref is not None:
        if files_from is not None:
            raise UsageError("--files-from: got --ref too, want PATH with it")
        pairs = find_pairs(paths, ref, pattern, recursive, own, left_out)
        return iter(pairs), len(pairs)
    if files_from is not None:
        return (Pair(path) for path in read_paths(files_from)), None
    wanted: Callable[[str], bool] = (lambda name: is_picture(name) or is_video(name)) if videos else is_picture
    pictures = find_pictures(paths, recursive, own, left_out, wanted)
    total: int | Callable[[], int] = lambda: sum(1 for _ in find_pictures(paths, recursive, own))  # noqa: E731
    if not any(os.path.isdir(path) for path in paths):
        listed = list(pictures)
        pictures, total = iter(listed), len(listed)
    return (Pair(path) for path in pictures), total


def _step(every: str | None, paths: list[str], ref: str | None, cull: tuple[str, str] | None) -> Every | None:
    """Which frames of videos are wanted; None where there are no videos to look at."""
    from iqassay.pictures.formats import installed, is_video
    from iqassay.pictures.video import EACH_SECOND
    from iqassay.pictures.video import every as read_every
    from iqassay.support.errors import UsageError
    from iqassay.support.install import needs

    named = next((path for path in paths if is_video(path) and not os.path.isdir(path)), None)
    if every is None and named is None:
        return None
    what = "--every" if every is not None else named
    if ref is not None:
        raise UsageError(f"{what}: got --ref too, and videos are scored without references")
    if cull:
        raise UsageError(f"{what}: got --{cull[0]}-to too, which takes pictures, not frames of videos")
    if every is not None and not installed("video"):
        raise UsageError(f"--every: {needs('this', 'PyAV', 'video')}")
    try:
        return EACH_SECOND if every is None else read_every(every)
    except ValueError as error:
        raise UsageError(f"--every: {error}") from error


def _map_name(name: str, result: Result) -> str:
    """The name of the map of a picture, or of a frame of a video."""
    return name if result.frame is None else f"{name.removesuffix('.png')}.frame{result.frame[0]:06d}.png"


def _one_of(**folders: str | None) -> tuple[str, str] | None:
    """What to do with pictures, and the folder; None for nothing."""
    from iqassay.support.errors import UsageError

    asked = [(how, folder) for how, folder in folders.items() if folder is not None]
    if len(asked) > 1:
        raise UsageError(f"got {' and '.join(f'--{how}-to' for how, _ in asked)}, want one of them")
    for how, folder in asked:
        if not folder or (os.path.exists(folder) and not os.path.isdir(folder)):
            raise UsageError(f"--{how}-to {folder}: is {'a file' if folder else 'nothing'}, want a folder")
    return asked[0] if asked else None


def _check_output(output: str | None, named: list[str], ref: str | None) -> None:
    """Results must not replace a picture: neither one that is named nor one that a folder has."""
    from iqassay.pictures.formats import keeps_pictures
    from iqassay.support.errors import UsageError

    if output is None or not os.path.exists(output):
        return
    files = [path for path in (*named, ref or "") if os.path.isfile(path)]
    if keeps_pictures(output) or any(os.path.samefile(output, path) for path in files):
        raise UsageError(f"-o {output}: is one of the pictures, want another file for the results")


def _write_map(result: Result, path: str) -> bool:
    """Write the heatmap of a picture; says so and returns False when that fails. Without an answer there is no map."""
    if result.map is None or result.picture is None:
        return True
    from iqassay.scoring.heatmap import heatmap
    from iqassay.support.files import replace_file

    drawn = heatmap(result.picture, result.map)
    try:
        replace_file(path, lambda out: drawn.save(out, "PNG"))
    except OSError as error:
        say(f"--map: cannot write {path}: {error.strerror or error}")
        return False
    return True
