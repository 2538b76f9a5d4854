"""`iqassay stars`: scores as stars in XMP, for photo programs."""

from __future__ import annotations

import os
from collections import Counter
from enum import Enum
from functools import partial
from typing import Annotated, BinaryIO

import typer

from iqassay.commands.options import say


class Sidecar(str, Enum):
    full = "photo.jpg.xmp"
    stem = "photo.xmp"


def stars(
    results: Annotated[str, typer.Argument(metavar="RESULTS", help="What `iqassay score -o` wrote; no table.")],
    rate: Annotated[
        str, typer.Option(metavar="SCORE:STARS,...", help="From which score on a picture gets how many stars, 1 to 5.")
    ] = "85:5,70:4,55:3",
    sidecar: Annotated[
        Sidecar,
        typer.Option(
            help="What sidecars are called: photo.jpg.xmp for darktable and digiKam, photo.xmp for Lightroom."
        ),
    ] = Sidecar.full,
    embed: Annotated[
        bool, typer.Option("--embed", help="Write into the JPEG files themselves, as Lightroom wants it for JPEG.")
    ] = False,
    table: Annotated[
        str | None,
        typer.Option("--csv", metavar="FILE", help="Write a CSV too, which exiftool and plugins of all three read."),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do write them; without it nothing is written but the CSV.")
    ] = False,
) -> int:
    """Give pictures stars by their scores, in XMP sidecars for Lightroom, digiKam and darktable, or in the files.

    Stars that a person gave are never touched, wherever they are: in a sidecar, or in the XMP or EXIF of the file.
    Exit status: 0 done, 1 some could not be written, 2 wrong usage.
    """
    from iqassay.folders.records import read_records
    from iqassay.pictures import xmp
    from iqassay.support.errors import UsageError
    from iqassay.support.files import replace_file
    from iqassay.support.text import counted

    limits = _limits(rate)
    given: list[tuple[str, int]] = []
    owners: dict[str, str] = {}  # of sidecars
    seen: Counter[str] = Counter()
    for record in read_records(results):
        if "error" in record:
            seen["not scored"] += 1
            continue
        if "frame" in record:
            seen["frames of videos, which take no stars"] += 1
            continue
        path, score, model = record["path"], record["score"], f"{record['model']} {record['version']}"
        count = next((number for limit, number in limits if score >= limit), 0)
        try:
            if xmp.stars_by_a_person(path):
                seen["left as a person gave them"] += 1
                continue
            place = path if embed else xmp.sidecars(path)[sidecar is Sidecar.stem]
            old = xmp.embedded(path)[0] if embed else xmp.read_sidecar(place)
            if not count and not xmp.stars_in(old).value:
                seen["without stars"] += 1
                continue
            if owners.setdefault(os.path.normcase(place), path) != path:
                raise ValueError(f"{place} is the sidecar of {owners[os.path.normcase(place)]} too")
            if yes:
                mode = os.stat(path).st_mode
                packet = None if embed else xmp.with_stars(old, count, score, model)
                replace_file(place, partial(_write, path, packet, count, score, model))
                if embed:
                    os.chmod(place, mode)
        except (OSError, ValueError) as error:
            say(f"{path}: {getattr(error, 'strerror', None) or error}")
            seen["failed"] += 1
            continue
        given.append((path, count))
    if table is not None:
        _write_table(table, given)
    stars_of = Counter(count for _, count in given)
    each = ", ".join(f"{stars_of[number]:,} with {number}" for number in range(5, -1, -1) if stars_of[number])
    done = "were given stars" if yes else "would be given stars"
    others = "".join(f"; {count:,} {what}" for what, count in seen.items())
    dry = "" if yes else " (a dry run: --yes does it)"
    say(f"{counted(len(given), 'picture')} {done}{': ' if each else ''}{each}{others}{dry}")
    if not given and not seen:
        raise UsageError(f"{results}: got no records, want results of `iqassay score`")
    return int(seen["failed"] > 0)


def _write(path: str, packet: bytes | None, stars: int, score: float, model: str, out: BinaryIO) -> None:
    """A sidecar's packet, or the picture with its stars inside."""
    from iqassay.pictures import xmp

    if packet is None:
        xmp.embed(path, stars, score, model, out)
    else:
        out.write(packet)


def _limits(text: str) -> list[tuple[float, int]]:
    """Scores and stars, the highest first."""
    from iqassay.support.errors import UsageError

    found = []
    for part in text.split(","):
        score, _, number = part.partition(":")
        try:
            found.append((float(score), int(number)))
        except ValueError:
            found.append((-1.0, 0))
    found.sort(reverse=True)
    numbers = [number for _, number in found]
    if (
        any(not 0 <= score <= 100 or not 1 <= number <= 5 for score, number in found)
        or sorted(set(numbers), reverse=True) != numbers
    ):
        raise UsageError(f"--rate: got {text!r}, want scores and stars that rise together, such as 85:5,70:4,55:3")
    return found


def _write_table(path: str, given: list[tuple[str, int]]) -> None:
    """SourceFile and Rating, as `exiftool -csv=FILE` takes them."""
    import csv

    from iqassay.folders.records import open_results

    with open_results(path) as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("SourceFile", "Rating"))
        writer.writerows(given)
