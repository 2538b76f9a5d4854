"""`iqassay encode`: the smallest file that still looks so good."""

from __future__ import annotations

import os
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iqassay.commands.options import Codecs, MaxPixels, Model, Threads, on_the_scale, open_model, say, stdout

if TYPE_CHECKING:
    from iqassay.folders.encoding import Found, Point


class Form(str, Enum):
    table = "table"
    json = "json"
    csv = "csv"


def encode(
    pictures: Annotated[list[str], typer.Argument(metavar="PICTURE...", help="The originals, or folders of them.")],
    target: Annotated[
        float, typer.Option(metavar="SCORE", callback=on_the_scale, help="The score that the file must reach.")
    ],
    output: Annotated[str, typer.Option("-o", "--output", metavar="DIR", help="The folder for the files.")],
    codec: Codecs = None,
    each: Annotated[bool, typer.Option("--each", help="Write the smallest file of each codec, not of all.")] = False,
    model: Model = None,
    recursive: Annotated[bool, typer.Option("-r", "--recursive", help="Look into subfolders too.")] = False,
    format: Annotated[Form, typer.Option(help="How the table of what was tried is written.")] = Form.table,
    threads: Threads = None,
    max_pixels: MaxPixels = None,
) -> int:
    """Write the smallest file of a picture that reaches a score against the original, and say what it saves.

    Colours are brought to sRGB at 8 bits, the picture is upright, and EXIF is left behind. Exit status: 0 all reached
    it, 1 some could not be read or did not, 2 wrong usage.
    """
    from iqassay.folders.encoding import smallest
    from iqassay.folders.finding import find_pictures, places
    from iqassay.pictures.encoders import CODECS, find_codecs
    from iqassay.pictures.image import ImageError
    from iqassay.support.errors import UsageError
    from iqassay.support.files import make_folder, write_whole
    from iqassay.support.progress import with_bar

    codecs = find_codecs(codec)
    paths = list(find_pictures(pictures, recursive, [output]))
    place = places(pictures)
    stems = {path: os.path.join(output, os.path.splitext(place(path))[0]) for path in paths}
    if len({os.path.normcase(stem) for stem in stems.values()}) < len(stems):
        raise UsageError(
            "got pictures whose names differ in their endings alone, want names that differ, or one by one"
        )
    scorer = open_model(model, True, threads, max_pixels)
    make_folder("-o", output)
    _check_targets([stem + CODECS[name].ending for stem in stems.values() for name in codecs], paths)
    well, rows, out = True, [], stdout(utf8=format is not Form.table)
    for path in with_bar(paths, len(paths), same_screen=format is Form.table and out.isatty()):
        found: dict[str, Found] = {}
        try:
            original = scorer.read(path)
            for name in codecs:
                found[name] = smallest(original, name, target, scorer)
        except (ValueError, MemoryError) as error:  # ImageError is one, and names the file
            say(str(error) if isinstance(error, ImageError) else f"{path}: {error or 'not enough memory'}")
            well = False
        if not found:
            continue
        for warning in original.warnings:
            say(f"{path}: {warning}")
        reached = sorted((one for one in found.values() if one.point), key=lambda one: len(one.file))
        for one in reached if each else reached[:1]:
            assert one.point is not None
            file = stems[path] + CODECS[one.point.codec].ending
            os.makedirs(os.path.dirname(file), exist_ok=True)
            write_whole(file, one.file)
        if not reached:
            say(f"{path}: no codec reaches {target:g}, nothing is written")
            well = False
        best = reached[0].point if reached else None
        rows += _rows(path, os.path.getsize(path), found, best)
        if format is Form.table:
            print(_table(path, os.path.getsize(path), found, best, target), file=out, flush=True)
    if format is Form.json:
        import json

        print(json.dumps(rows, indent=2), file=out)
    elif format is Form.csv and rows:
        import csv

        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return int(not well)


def _check_targets(targets: list[str], originals: list[str]) -> None:
    """Raises UsageError where a file would take the place of an original."""
    from iqassay.support.errors import UsageError

    for target in targets:
        if os.path.exists(target) and any(os.path.samefile(target, path) for path in originals):
            raise UsageError(f"-o: {target} is one of the originals, want another folder")


def _rows(path: str, size: int, found: dict[str, Found], best: Point | None) -> list[dict[str, Any]]:
    """Everything that was tried: what is the smallest of its codec, and of all."""
    return [
        {
            "path": path,
            "original_bytes": size,
            "codec": name,
            "quality": point.quality,
            "bytes": point.bytes,
            "bits_per_pixel": point.bits_per_pixel,
            "score": point.score,
            "smallest": point == one.point,
            "best": point == best,
        }
        for name, one in found.items()
        for point in one.tried
    ]


def _table(path: str, size: int, found: dict[str, Found], best: Point | None, target: float) -> str:
    """What each codec needs to reach the target, for people."""
    from iqassay.support.text import printable

    lines = [
        f"{printable(path)}: {size:,} bytes, to {target:g}",
        f"  {'codec':<6}quality      bytes  bits/pixel  score",
    ]
    for name, one in found.items():
        if one.point is None:
            most = one.tried[-1]
            lines.append(f"  {name:<6}{'-':>7}{'-':>11}  {'-':>10}  {most.score:5.1f} at best")
            continue
        point = one.point
        mark = "  smallest" if point == best else ""
        row = f"{point.quality:>7}{point.bytes:>11,}  {point.bits_per_pixel:10.3f}  {point.score:5.1f}"
        lines.append(f"  {name:<6}{row}{mark}")
    return "\n".join(lines)
