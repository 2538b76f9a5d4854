"""The report of a folder: what `iqassay score` said of its pictures, as one self-contained page for people.

Python draws what stands still (report.html), the script in the page the table of all pictures (report.js).
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

import numpy as np

from iqassay.folders.columns import Columns, read_columns
from iqassay.folders.records import read_records
from iqassay.pages.markup import anchors, bullets, shown, text
from iqassay.pages.page import heat_legend
from iqassay.pages.shots import Shot, Wanted, full_shots, locate, plain_shots
from iqassay.scoring.words import ANCHORS, about
from iqassay.support.errors import UsageError
from iqassay.support.files import replace_file
from iqassay.support.progress import with_bar
from iqassay.support.text import counted

ALL_SHOWN = 200  # pictures: of so few every one is shown
BIN = 5  # points of score: the width of a bar
BAD, GOOD = 40, 70  # scores: what lies below and from there on is counted
UNLIKE = "unlike the training data"  # in the warning of such a picture
MOST_LISTED = 100  # errors; all are in the table
MOST_KINDS = 8  # of damage at once; the rarer ones need a click
MOST_WARNINGS = 20  # to choose from
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
    whole = page(columns, worst, best, between, shots, title)
    replace_file(output, lambda out: out.write(whole.encode("utf-8", "backslashreplace")))
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
        return Wanted(row, locate(paths[row], folder), place, columns.score[row], name)

    def taken() -> Iterator[Shot]:
        yield from full_shots([wanted(row, references[row]) for row in full], model)
        yield from plain_shots(wanted(row, "") for row in plain)

    return {shot.row: shot for shot in with_bar(taken(), len(full) + len(plain), "pictures")}


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
) -> str:
    """The page as HTML. Everything is in it; nothing is loaded from elsewhere."""
    summary = summarise(columns)
    gallery = _Gallery(columns, shots)
    here = Path(__file__)
    return Template(here.with_suffix(".html").read_text(encoding="utf-8")).substitute(
        style=here.with_name("page.css").read_text(encoding="utf-8"),
        script=here.with_suffix(".js").read_text(encoding="utf-8"),
        title=text(title or f"Quality of {counted(summary.pictures, 'picture')}"),
        subtitle=text(_models(columns)),
        summary=_summary(summary),
        histogram=_histogram(scores_of(columns), summary),
        damage=_damage(columns, summary),
        examples=_examples(gallery, worst, best),
        choices=_choices(columns, summary),
        between=gallery.more(between),
        errors=_errors(columns),
        data=columns.as_json(),
    )


def _models(columns: Columns) -> str:
    count = Counter(columns.model)
    names = [(f"{name} {version}", count[number]) for (name, version), number in columns.models.items()]
    if len(names) == 1:
        against = " against references" if any(columns.reference.name) else ""
        return f"Scored by {names[0][0]}{against}: 0 to 100, higher is better"
    several = ", ".join(f"{name} ({times:,})" for name, times in names)
    return f"Scored by several models: {several}. Compare their scores with care" if names else "No picture was scored"


def _summary(summary: Summary) -> str:
    def share(count: int, what: str, filter: str) -> str:
        percent = f" <small>{shown(100 * count / summary.pictures, 1)} %</small>"
        number = f"<b>{count:,}{percent if count else ''}</b><span>{what}</span>"
        return (
            f'<li><button type="button" data-filter="{filter}">{number}</button></li>'
            if count
            else f"<li>{number}</li>"
        )

    failed = summary.pictures - summary.scored
    cells = [
        f"<li><b>{shown(summary.median, 1)}</b><span>median score</span></li>",
        f"<li><b>{shown(summary.lower, 1)} to {shown(summary.upper, 1)}</b><span>the middle half</span></li>",
        share(summary.bad, f"under {BAD}", f"below={BAD}"),
        share(summary.good, f"{GOOD} or more", f"from={GOOD}"),
        share(summary.unlike, "unlike the training data", "kind=unlike"),
        share(failed, "could not be scored", "kind=error"),
    ]
    return f'<ul class="summary">{"".join(cells)}</ul>'


def _histogram(scores: np.ndarray, summary: Summary) -> str:
    """Bars that are buttons. Coordinates are shares of the width, so that text keeps its size on a phone."""
    counts, edges = np.histogram(scores, bins=np.arange(0, 101, BIN))
    most = max(1, int(counts.max()))
    bars = []
    for start, count in zip(edges.tolist(), counts.tolist(), strict=False):
        anchor = min(ANCHORS, key=lambda at: abs(at - start - BIN / 2))
        tall = max(1.0, 100 * count / most) if count else 0
        words = f"{start} to {start + BIN}: {counted(count, 'picture')}"
        bars.append(
            f'<g role="button" tabindex="0" data-filter="from={start}&amp;below={start + BIN}" aria-label="{words}">'
            f'<title>{words}</title><rect class="hit" x="{start}%" y="0" width="{BIN}%" height="100%"/>'
            f'<rect class="at{anchor}" x="{start + 0.25}%" y="{100 - tall:.2f}%" width="{BIN - 0.5}%" '
            f'height="{tall:.2f}%"/></g>'
        )
    median = f'<line class="median" x1="{summary.median:.2f}%" x2="{summary.median:.2f}%" y1="0" y2="100%"/>'
    anchored = {0: "start", 100: "end"}
    marks = "".join(
        f'<text x="{at}%" y="100%" dy="18" text-anchor="{anchored.get(at, "middle")}">{at}</text>'
        for at in range(0, 101, 20)
    )
    drawing = "".join(bars) + (median if summary.scored else "") + marks
    return (
        f'<p class="soft">Pictures in steps of {BIN} points, at most {most:,} in one; dashed: the median. A bar shows '
        'its pictures.</p><svg class="histogram" role="group" aria-label="How many pictures have which score">'
        f"{drawing}</svg>{anchors()}"
    )


def _damage(columns: Columns, summary: Summary) -> str:
    """How often each kind was found, and how strong: a bar for each, the darker the stronger."""
    levels = np.zeros((len(columns.kinds), 5), dtype=int)
    sums = np.zeros(len(columns.kinds))
    for found in columns.damage:
        for kind, severity in zip(found[::2], found[1::2], strict=True):
            levels[kind, min(5, max(1, round(severity / 100))) - 1] += 1
            sums[kind] += severity / 100
    times = levels.sum(axis=1)
    kinds = list(columns.kinds)
    rows = []
    for kind in np.argsort(-times, kind="stable").tolist():
        parts = "".join(
            f'<i class="level{level}" style="width:{100 * count / times.max():.2f}%"></i>'
            for level, count in enumerate(levels[kind].tolist(), 1)
            if count
        )
        often = f"{times[kind]:,} ({shown(100 * times[kind] / summary.scored, 1)} %)"
        rows.append(
            f'<li><button type="button" data-filter="kind={kind}" title="{text(" ".join(about(kinds[kind])[1:]))}">'
            f'<span class="row"><span>{text(about(kinds[kind])[0])}</span><span class="soft">{often}, '
            f"mean {sums[kind] / times[kind]:.1f} of 5</span></span>"
            f'<span class="bar" aria-hidden="true">{parts}</span></button></li>'
        )
    clean = summary.undamaged and (
        f'<p class="soft">No damage of a known kind: <button type="button" class="link" data-filter="kind=none">'
        f"{counted(summary.undamaged, 'picture')}</button>.</p>"
    )
    more = f'<details><summary>{counted(len(rows[MOST_KINDS:]), "more kind")}</summary><ul class="damage">'
    more += f"{''.join(rows[MOST_KINDS:])}</ul></details>"
    return f'<ul class="damage">{"".join(rows[:MOST_KINDS])}</ul>{more if rows[MOST_KINDS:] else ""}{clean or ""}'


class _Gallery:
    """Figures of pictures, each with what was said of it. A reference that several share is in the page once."""

    def __init__(self, columns: Columns, shots: dict[int, Shot]) -> None:
        self.columns, self.shots = columns, shots
        self.paths, self.kinds, self.words = columns.picture.all(), list(columns.kinds), list(columns.words)
        self.references: dict[str, int] = {}

    def figures(self, rows: Sequence[int]) -> str:
        return f'<div class="pictures">{"".join(map(self._figure, rows))}</div>'

    def more(self, rows: Sequence[int]) -> str:
        if not rows:
            return ""
        return f"<details><summary>The {counted(len(rows), 'picture')} between</summary>{self.figures(rows)}</details>"

    def _figure(self, row: int) -> str:
        columns, shot, name = self.columns, self.shots[row], text(self.columns.picture.name[row])
        path, found = self.paths[row], columns.damage[row]
        causes = ", ".join(
            f"{about(self.kinds[kind])[0]} {severity / 100:.1f}"
            for kind, severity in zip(found[::2], found[1::2], strict=True)
        )
        folder = text(path[: len(path) - len(columns.picture.name[row])])
        doubts = bullets((text(self.words[word]) for word in columns.remarks[row]), "doubts")
        note = f'<span class="note">{text(shot.note)}</span>' if shot.note else ""
        return (
            f'<figure id="row{row}"><div class="sides">{self._picture(shot, name)}{self._reference(shot)}</div>'
            f"<figcaption><b>{columns.score[row]:.1f}</b> ({columns.low[row]:.1f} to {columns.high[row]:.1f}) "
            f'<span class="causes">{text(causes) or "no known damage"}</span>{doubts}'
            f'<span class="path"><span>{folder}</span>{name}</span>{note}</figcaption></figure>'
        )

    def _picture(self, shot: Shot, name: str) -> str:
        if not shot.picture:
            return f'<div class="gone">{text(shot.missing)}</div>'
        picture = f'<img src="{shot.picture}" alt="{name}">'
        if not shot.map:
            return f'<div class="shot">{picture}</div>'
        return (
            f'<button type="button" class="shot flip" aria-pressed="false" aria-label="{name}: heatmap">{picture}'
            f'<img class="map" src="{shot.map}" alt=""><span class="tag" aria-hidden="true"></span></button>'
        )

    def _reference(self, shot: Shot) -> str:
        if not shot.reference:
            return ""
        first = shot.reference not in self.references
        number = self.references.setdefault(shot.reference, len(self.references))
        source = f'id="reference{number}" src="{shot.reference}"' if first else f'data-same="reference{number}"'
        return f'<div class="shot"><img {source} alt="its reference"><span class="tag">reference</span></div>'


def _examples(gallery: _Gallery, worst: Sequence[int], best: Sequence[int]) -> str:
    if not worst:
        return ""
    maps = any(shot.map for shot in gallery.shots.values())
    legend = (
        '<div class="maps"><label><input type="checkbox" id="maps"> Heatmaps</label><p class="soft">Where quality is '
        "lost: gray is good; yellow, orange and purple are worse. A click on a picture shows its own.</p>"
        f"{heat_legend()}</div>"
    )
    ends = [f"<h3>{name}</h3>{gallery.figures(rows)}" for name, rows in (("Worst", worst), ("Best", best)) if rows]
    return f'<section class="card"><h2>Worst and best</h2>{legend if maps else ""}{"".join(ends)}</section>'


def _choices(columns: Columns, summary: Summary) -> str:
    """What the table can be narrowed to, beside names and scores."""
    choices = [("", "all"), ("none", "no known damage")]
    if summary.unlike:
        choices.append(("unlike", UNLIKE))
    if summary.scored < summary.pictures:
        choices.append(("error", "could not be scored"))
    groups = ["".join(f'<option value="{value}">{words}</option>' for value, words in choices)]
    kinds = sorted((about(kind)[0], number) for kind, number in columns.kinds.items())
    said = Counter(word for row, words in enumerate(columns.remarks) if columns.scored(row) for word in words)
    words = list(columns.words)
    warnings = [(words[number], f"word{number}") for number, _ in said.most_common(MOST_WARNINGS)]
    for title, group in (("distortion", kinds), ("warning", warnings)):
        options = "".join(f'<option value="{value}">{text(words)}</option>' for words, value in group)
        groups.append(f'<optgroup label="{title}">{options}</optgroup>' if group else "")
    return "".join(groups)


def _errors(columns: Columns) -> str:
    failed = [row for row in range(len(columns)) if not columns.scored(row)]
    if not failed:
        return ""
    paths, words = columns.picture.all(), list(columns.words)
    lines = [
        f'<span class="path">{text(paths[row])}</span>: {text(words[columns.remarks[row][0]])}'
        for row in failed[:MOST_LISTED]
    ]
    rest = f'<p class="soft">And {len(failed) - MOST_LISTED:,} more, in the table.</p>' if failed[MOST_LISTED:] else ""
    return (
        f'<section class="card"><h2>Could not be scored: {len(failed):,}</h2>{bullets(lines, "errors")}{rest}</section>'
    )
