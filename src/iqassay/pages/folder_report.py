"""The report of a folder: what `iqassay score` said of its pictures, as one self-contained page for people.

The template draws what stands still, the script in the page the table of all pictures.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np

from iqassay.folders.cells import FRAME
from iqassay.folders.columns import Columns, Numbered, read_columns
from iqassay.folders.records import read_records
from iqassay.pages.clips import Clips, clips_of
from iqassay.pages.embedded import heat_colours
from iqassay.pages.shots import Shot, Wanted, full_shots, locate, plain_shots
from iqassay.pages.templates import render
from iqassay.scoring.words import ANCHORS, about
from iqassay.support.errors import UsageError
from iqassay.support.files import write_whole
from iqassay.support.progress import with_bar
from iqassay.support.text import counted

ALL_SHOWN = 200  # pictures: of so few every one is shown
BIN = 5  # points of score: the width of a bar
BAD, GOOD = 40, 70  # scores: what lies below and from there on is counted
UNLIKE = "unlike the training data"  # in the warning of such a picture
MOST_LISTED = 100  # errors; all are in the table
MOST_KINDS = 8  # of damage at once; the rarer ones need a click
MOST_WARNINGS = 20  # to choose from
MOST_CLIPS = 100  # with a line; the frames of all are in the table
PAGE_STARTS = b"<!doctype html>"


def write_report(
    results: str,
    output: str,
    examples: int = 12,
    pictures: str | None = None,
    model: str | None = None,
    title: str | None = None,
) -> list[str]:
    """Write the page of the results in a file, as a whole; returns what could not be shown on it, one line each.

    examples: how many of the worst and of the best are shown, with heatmaps; 0 reads no picture and needs no model.
    pictures: the folder where they are now, see `locate`. model: draws the heatmaps, instead of the one that the
    results name.

    Raises UsageError when the results cannot be read or hold no record, and when the page would replace anything but a
    page; ModelFileError when the model given cannot be used, OSError when the page cannot be written.
    """
    check_output(results, output)
    columns = read_columns(read_records(results))
    if not len(columns):
        raise UsageError(f"{results}: got no records, want results of `iqassay score`")
    worst, best, between = choose(columns, examples)
    shots = take_shots(columns, [*worst, *best], between, pictures, model)
    whole = page(columns, worst, best, between, shots, title, addresses(columns, output, pictures))
    write_whole(output, whole.encode("utf-8", "backslashreplace"))
    return notes(shots, pictures)


def check_output(results: str, output: str) -> None:
    """Raises UsageError unless a page can be written there and nothing but an older page is lost by it."""
    if os.path.exists(results) and any(
        os.path.exists(path) and os.path.samefile(path, results) for path in (output, f"{output}.partial")
    ):
        raise UsageError(f"-o {output}: would replace the results, want another file for the page")
    if not os.path.isdir(os.path.dirname(os.path.abspath(output))):
        raise UsageError(f"-o {output}: got no such folder, want a file in one that is there")
    if os.path.isdir(output):
        raise UsageError(f"-o {output}: is a folder, want a file for the page")
    if os.path.exists(output):
        try:
            with open(output, "rb") as file:
                start = file.read(len(PAGE_STARTS))
        except OSError as error:
            raise UsageError(f"-o {output}: cannot be read: {error.strerror}") from error
        if start and start.lower() != PAGE_STARTS:
            raise UsageError(f"-o {output}: is there already and no page, want another file for the page")


# ---- what is shown --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Summary:
    """Counts of pictures, and the median and the quartiles of their scores (NaN for none)."""

    pictures: int
    scored: int
    median: float
    lower: float
    upper: float
    bad: int
    good: int
    undamaged: int
    unlike: int


def summarise(columns: Columns) -> Summary:
    scores = scores_of(columns)
    lower, median, upper = np.percentile(scores, (25, 50, 75)).tolist() if len(scores) else (math.nan,) * 3
    unlike = {number for words, number in columns.words.items() if UNLIKE in words}
    return Summary(
        pictures=len(columns),
        scored=len(scores),
        median=median,
        lower=lower,
        upper=upper,
        bad=int((scores < BAD).sum()),
        good=int((scores >= GOOD).sum()),
        undamaged=sum(columns.scored(row) and not found for row, found in enumerate(columns.damage)),
        unlike=sum(columns.scored(row) and not unlike.isdisjoint(said) for row, said in enumerate(columns.remarks)),
    )


def scores_of(columns: Columns) -> np.ndarray:
    """Those that there are, (N,) float64."""
    scores = np.array(columns.score)
    return scores[~np.isnan(scores)]


def choose(columns: Columns, examples: int) -> tuple[list[int], list[int], list[int]]:
    """The rows of the worst pictures, the worst first, of the best, the best first, and, where they are few, of those
    between, the worst first.
    """
    if not examples:
        return [], [], []
    scores = np.array(columns.score)
    order = np.argsort(scores, kind="stable")[: np.count_nonzero(~np.isnan(scores))].tolist()  # NaN is last
    low, high = min(examples, (len(order) + 1) // 2), min(examples, len(order) // 2)
    between = order[low : len(order) - high] if len(order) <= ALL_SHOWN else []
    return order[:low], order[::-1][:high], between


def take_shots(
    columns: Columns, full: Sequence[int], plain: Sequence[int], folder: str | None, model: str | None
) -> dict[int, Shot]:
    """The pictures of rows, those of the first with heatmaps and references."""
    if not full:
        return {}
    paths, references = columns.picture.all(), columns.reference.all()
    models = list(columns.models)

    def wanted(row: int, reference: str) -> Wanted:
        place = locate(reference, folder) if reference else None
        name, _ = models[columns.model[row]]
        return Wanted(row, locate(paths[row], folder), place, columns.score[row], name, frame_of(columns, row))

    def taken() -> Iterator[Shot]:
        yield from full_shots([wanted(row, references[row]) for row in full], model)
        yield from plain_shots(wanted(row, "") for row in plain)

    return {shot.row: shot for shot in with_bar(taken(), len(full) + len(plain), "pictures")}


def frame_of(columns: Columns, row: int) -> tuple[int, float] | None:
    """Of a row that is a frame of a video its number, and its time in seconds."""
    number, time = (columns.frames[key][row : row + 1] if key in columns.frames else () for key in FRAME)
    return (int(number[0]), time[0]) if number and time and not math.isnan(number[0] + time[0]) else None


def notes(shots: dict[int, Shot], folder: str | None) -> list[str]:
    """What could not be shown, one line each."""
    said = []
    if missing := [shot for shot in shots.values() if shot.missing]:
        hint = "" if folder else "; --pictures FOLDER says where they are now"
        said.append(f"{len(missing)} of {counted(len(shots), 'picture')} not shown: {missing[0].missing}{hint}")
    for note, times in Counter(shot.note for shot in shots.values() if shot.note).most_common(3):
        said.append(f"{counted(times, 'picture')}: {note}")
    return said


# ---- the page -------------------------------------------------------------------------------------------------------


def page(
    columns: Columns,
    worst: Sequence[int],
    best: Sequence[int],
    between: Sequence[int],
    shots: dict[int, Shot],
    title: str | None = None,
    places: Sequence[str] = (),
) -> str:
    """The page as HTML. Everything is in it but the pictures of the table, which are shown from their files where the
    browser finds them; nothing comes from the network.

    places: the address of each folder of pictures.
    """
    summary = summarise(columns)
    figures = {shown.row: shown for shown in figures_of(columns, shots, [*worst, *best, *between])}
    bars = bars_of(scores_of(columns))
    paths, words = columns.picture.all(), list(columns.words)
    clips = clips_of(columns)
    return render(
        "pages/folder_report.html",
        title=title or _title(summary, clips),
        subtitle=_models(columns),
        summary=summary,
        BAD=BAD,
        GOOD=GOOD,
        bars=bars,
        BIN=BIN,
        most=max(1, *(bar.count for bar in bars)),
        kinds=kinds_of(columns),
        MOST_KINDS=MOST_KINDS,
        worst=[figures[row] for row in worst],
        best=[figures[row] for row in best],
        between=[figures[row] for row in between],
        has_maps=any(shot.map for shot in shots.values()),
        heat_colours=heat_colours(),
        choices=_choices(columns, summary),
        failed=[(paths[row], words[columns.remarks[row][0]]) for row in range(len(columns)) if not columns.scored(row)],
        MOST_LISTED=MOST_LISTED,
        grouped=bool(columns.groups),
        clips=clips,
        MOST_CLIPS=MOST_CLIPS,
        data=columns.as_json(places),
    )


def addresses(columns: Columns, output: str, pictures: str | None) -> list[str]:
    """Where each folder of the pictures is, as seen from the page; absolute on another drive, "" for what no address
    can say. `pictures`: the folder where they are now, see `locate`.
    """
    base = os.path.dirname(os.path.abspath(output))
    first: dict[int, str] = {}
    for row, folder in enumerate(columns.picture.folder):
        first.setdefault(folder, columns.picture.name[row])
    return [
        _address(os.path.dirname(os.path.abspath(locate(folder + first[number], pictures))), base)
        for number, folder in enumerate(columns.picture.folders)
    ]


def _address(folder: str, base: str) -> str:
    try:
        try:
            below = os.path.relpath(folder, base).replace(os.sep, "/")
        except ValueError:  # another drive
            return f"{Path(folder).as_uri()}/"
        return f"{quote(os.fsencode(below) if os.name != 'nt' else below)}/"
    except (UnicodeError, ValueError):
        return ""


def _title(summary: Summary, clips: Clips) -> str:
    if clips.all and summary.scored == sum(clip.frames for clip in clips.all):
        return f"Quality of {counted(summary.scored, 'frame')} of {counted(len(clips.all), 'video')}"
    return f"Quality of {counted(summary.pictures, 'picture')}"


def _models(columns: Columns) -> str:
    count = Counter(columns.model)
    names = [(f"{name} {version}", count[number]) for (name, version), number in columns.models.items()]
    if len(names) == 1:
        against = " against references" if any(columns.reference.name) else ""
        return f"Scored by {names[0][0]}{against}: 0 to 100, higher is better"
    several = ", ".join(f"{name} ({times:,})" for name, times in names)
    return f"Scored by several models: {several}. Compare their scores with care" if names else "No picture was scored"


@dataclass(frozen=True)
class Bar:
    """Of the histogram: how many scores there are from `start` on; how tall it is, of 100; which anchor is nearest."""

    start: int
    count: int
    tall: float
    anchor: int


def bars_of(scores: np.ndarray) -> list[Bar]:
    counts, edges = np.histogram(scores, bins=np.arange(0, 101, BIN))
    most = max(1, int(counts.max()))
    bars = []
    for start, count in zip(edges.tolist(), counts.tolist(), strict=False):
        anchor = min(ANCHORS, key=lambda at: abs(at - start - BIN / 2))
        bars.append(Bar(start, count, max(1.0, 100 * count / most) if count else 0, anchor))
    return bars


@dataclass(frozen=True)
class Kind:
    """A kind of damage: how often it was found, its mean severity, and how wide each level (1 to 5) of it is in its
    bar, of 100.
    """

    number: int
    name: str
    times: int
    mean: float
    levels: list[tuple[int, float]]


def kinds_of(columns: Columns) -> list[Kind]:
    """The commonest first."""
    levels = np.zeros((len(columns.kinds), 5), dtype=int)
    sums = np.zeros(len(columns.kinds))
    for found in columns.damage:
        for kind, severity in zip(found[::2], found[1::2], strict=True):
            levels[kind, min(5, max(1, round(severity / 100))) - 1] += 1
            sums[kind] += severity / 100
    times = levels.sum(axis=1)
    names = list(columns.kinds)
    kinds = []
    for kind in np.argsort(-times, kind="stable").tolist():
        widths = [(level, 100 * count / times.max()) for level, count in enumerate(levels[kind].tolist(), 1) if count]
        kinds.append(Kind(kind, names[kind], int(times[kind]), sums[kind] / times[kind], widths))
    return kinds


@dataclass(frozen=True)
class Figure:
    """A picture that is shown, with what was said of it; the id of its reference, and if it is the first with it."""

    row: int
    folder: str
    name: str
    score: float
    low: float
    high: float
    causes: str
    doubts: list[str]
    shot: Shot
    reference: str
    first: bool
    time: float | None = None  # in seconds, of a frame of a video


def figures_of(columns: Columns, shots: dict[int, Shot], rows: Sequence[int]) -> Iterator[Figure]:
    """Those of rows, in the order in which they stand on the page."""
    paths, kinds, words = columns.picture.all(), list(columns.kinds), list(columns.words)
    references = Numbered()
    for row in rows:
        found, name, shot = columns.damage[row], columns.picture.name[row], shots[row]
        causes = (
            f"{about(kinds[kind])[0]} {severity / 100:.1f}"
            for kind, severity in zip(found[::2], found[1::2], strict=True)
        )
        first = shot.reference not in references
        yield Figure(
            row=row,
            folder=paths[row].removesuffix(name),
            name=name,
            score=columns.score[row],
            low=columns.low[row],
            high=columns.high[row],
            causes=", ".join(causes),
            doubts=[words[word] for word in columns.remarks[row]],
            shot=shot,
            reference=f"reference{references[shot.reference]}" if shot.reference else "",
            first=first,
            time=frame[1] if (frame := frame_of(columns, row)) else None,
        )


def _choices(columns: Columns, summary: Summary) -> dict[str, list[tuple[str, str]]]:
    """What the table can be narrowed to, beside names and scores: groups of values and words; "" is no group."""
    choices = [("", "all"), ("kept", "kept"), ("rejected", "rejected"), ("open", "not decided yet")]
    choices.append(("none", "no known damage"))
    if summary.unlike:
        choices.append(("unlike", UNLIKE))
    if summary.scored < summary.pictures:
        choices.append(("error", "could not be scored"))
    kinds = sorted((about(kind)[0], number) for kind, number in columns.kinds.items())
    said = Counter(word for row, words in enumerate(columns.remarks) if columns.scored(row) for word in words)
    words = list(columns.words)
    warnings = [(f"word{number}", words[number]) for number, _ in said.most_common(MOST_WARNINGS)]
    return {"": choices, "distortion": [(str(number), title) for title, number in kinds], "warning": warnings}
