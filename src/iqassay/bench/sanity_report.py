"""The sanity suite as a table for a terminal, as Markdown, CSV and a page. Every number is a Figure
(sanity_figures.py), so that a kept sanity.csv is shown as well as what was worked out just now.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from iqassay.bench import sanity_figures as of
from iqassay.bench.cells import Line, Number, Table
from iqassay.bench.charts import Drawn, Frame, LevelLines
from iqassay.bench.sanity_figures import ALL, Figure, as_csv, up_by
from iqassay.bench.sanity_questions import FLAT, INVARIANCE, MISSING, ORDER, SAVED, UNITS, WHERE
from iqassay.bench.tables import markdown_table
from iqassay.pages.templates import render
from iqassay.support.files import write_whole
from iqassay.support.text import printable, shown

PAGE, MARKDOWN = "index.html", "sanity.md"


@dataclass(frozen=True)
class Found:
    """The figures of one model, by family, what, level and name."""

    name: str
    version: str
    paired: bool
    figures: dict[tuple[str, str, str, str], float]

    def __call__(self, family: str, what: str, figure: str, level: str = "") -> float:
        """A figure; nan for one that is not there."""
        return self.figures.get((family, what, level, figure), math.nan)


def by_model(figures: Sequence[Figure]) -> list[Found]:
    """The figures of each model and mode, in their order, those without references first."""
    found: dict[tuple[str, str, str], Found] = {}
    versions: dict[str, set[str]] = {}
    for one in figures:
        versions.setdefault(one.model, set()).add(one.version)
    for one in figures:
        key = one.model, one.version, one.reference
        if key not in found:
            name = f"{one.model} {one.version}" if len(versions[one.model]) > 1 else one.model
            paired = one.reference == "yes"
            found[key] = Found(name + (", with reference" if paired else ""), one.version, paired, {})
        found[key].figures[one.family, one.what, one.level, one.figure] = one.value
    return sorted(found.values(), key=lambda one: one.paired)


# ---- tables: their heads, digits, and what stands in a row ----------------------------------------------------------

Cell = tuple[float, str]  # a number, and a word beside it


@dataclass(frozen=True)
class Column:
    """A column. digits: behind the point. percent: a share, shown so."""

    head: str
    value: Callable[[Found], Cell]
    digits: int = 1
    percent: bool = False

    def number(self, found: Found) -> Number:
        value, word = self.value(found)
        return Number(100 * value if self.percent else value, self.digits, small=word)


def _plain(family: str, what: str, figure: str) -> Callable[[Found], Cell]:
    return lambda found: (found(family, what, figure), "")


def _largest(family: str, whats: Sequence[str], figure: str) -> Callable[[Found], Cell]:
    """The largest of a figure, and of what it is."""

    def value(found: Found) -> Cell:
        there = {what: found(family, what, figure) for what in whats}
        there = {what: value for what, value in there.items() if math.isfinite(value)}
        worst = max(there, key=lambda what: there[what], default="")
        return (there[worst], worst if there[worst] > 0 else "") if worst else (math.nan, "")

    return value


def _least_fall(found: Found) -> Cell:
    there = {what: found("order", what, of.FALL) for what in ORDER}
    there = {what: value for what, value in there.items() if math.isfinite(value)}
    least = min(there, key=lambda what: there[what], default="")
    return (there[least], least) if least else (math.nan, "")


def _half_costs(found: Found) -> Cell:
    losses = [found("extremes", what, of.LOSS) for what in ("half gray", "half one colour")]
    return float(np.mean(losses)), ""


OVERVIEW = (
    Column("clean", _plain("clean", ALL, of.MEAN)),
    Column("steps up by .5, %", _plain("order", ALL, up_by(0.5)), percent=True),
    Column("by 2, %", _plain("order", ALL, up_by(2)), percent=True),
    Column("worst series, %", _largest("order", tuple(ORDER), up_by(2)), 0, percent=True),
    Column("least fall", _least_fall),
    Column("blur up again", _plain("order", "blur", of.AGAIN)),
    Column("gray", _plain("extremes", "flat gray", of.MEAN), 0),
    Column("black", _plain("extremes", "flat black", of.MEAN), 0),
    Column("white", _plain("extremes", "flat white", of.MEAN), 0),
    Column("half missing costs", _half_costs),
    Column("worst change", _largest("invariance", INVARIANCE, of.CHANGE)),
    Column("saved again", _plain("invariance", SAVED, of.WORST), 1),
    Column("map AUC", _plain("where", ALL, of.AUC), 2),
)
MEANING = (
    "Clean: mean score of 15 clean pictures (beside themselves, with references). Steps up: of all steps towards more "
    "damage, how many raise the score by more than .5 and 2 points; worst series: where most do by 2. Least fall: from "
    "the first level of a series to the last; 0 or less for a model that does not see it. Blur up again: mean at sigma "
    "64 above the lowest mean. Gray, black, white: scores of flat pictures. Half missing costs: points, of a picture "
    "half of which is one colour. Worst change: mean, of the harmless change that matters most. Saved again: largest "
    "change of a picture that was saved without loss. Map AUC: 1 when every cell of the damaged quarter is below all "
    "others, .5 for guessing."
)


def _order_columns() -> list[Column]:
    return [
        *(Column(f"{what}, %", _plain("order", what, up_by(2)), percent=True) for what in ORDER),
        *(Column(f"{what} falls", _plain("order", what, of.FALL)) for what in ORDER),
    ]


def _extremes_columns() -> list[Column]:
    flat = [Column(what, _plain("extremes", what, of.MEAN)) for what in FLAT]
    return flat + [Column(f"{what}: loss", _with_least(what)) for what in MISSING]


def _with_least(what: str) -> Callable[[Found], Cell]:
    def value(found: Found) -> Cell:
        least = found("extremes", what, of.LEAST_LOSS)
        return found("extremes", what, of.LOSS), f"least {shown(least, 1)}" if math.isfinite(least) else ""

    return value


def _invariance_columns() -> list[Column]:
    def changed(what: str) -> Callable[[Found], Cell]:
        def value(found: Found) -> Cell:
            worst = found("invariance", what, of.WORST)
            return found("invariance", what, of.CHANGE), f"at most {shown(worst, 1)}" if math.isfinite(worst) else ""

        return value

    return [Column(what, changed(what)) for what in INVARIANCE]


def _where_columns() -> list[Column]:
    return [Column(what.replace("_", " "), _plain("where", what, of.AUC), 2) for what in (*WHERE, ALL)]


@dataclass(frozen=True)
class Part:
    """One of the tables: its title, what its numbers are, and its columns."""

    family: str
    title: str
    words: str
    columns: Sequence[Column]

    def table(self, models: Sequence[Found]) -> Table:
        """Its rows, of the models that have a number in one."""
        rows = [Line(one.name, [column.number(one) for column in self.columns]) for one in models]
        rows = [row for row in rows if any(math.isfinite(cell.value) for cell in row.cells)]
        return Table(["model", *(column.head for column in self.columns)], rows)


PARTS = (
    Part(
        "order",
        "Order",
        "More damage, less quality: share of steps where the score rises by more than 2 points all the same, and by "
        "how many points the mean score falls from the first level to the last.",
        _order_columns(),
    ),
    Part(
        "extremes",
        "Extremes",
        "Scores of pictures that show nothing, and what a missing part costs: mean over the contents, and the least.",
        _extremes_columns(),
    ),
    Part(
        "invariance",
        "Invariance",
        "What leaves quality as it is, or nearly: mean absolute change of the score, and the largest.",
        _invariance_columns(),
    ),
    Part(
        "where",
        "Where",
        "One quarter of a clean picture is damaged: AUC of the map's cells, mean over the contents.",
        _where_columns(),
    ),
)


def overview(figures: Sequence[Figure]) -> str:
    """The table for people, in Markdown: one row a model."""
    return "\n".join(_lines(Part("", "", "", OVERVIEW).table(by_model(figures))))


def markdown(figures: Sequence[Figure]) -> str:
    """The overview and the tables of the families, for a document."""
    models = by_model(figures)
    lines = ["### Sanity", "", *_lines(Part("", "", "", OVERVIEW).table(models)), MEANING, ""]
    for part in PARTS:
        if (table := part.table(models)).rows:
            lines += [f"#### {part.title}", "", part.words, "", *_lines(table)]
    return "\n".join(lines)


def _lines(table: Table) -> list[str]:
    rows = [[printable(row.name).replace("|", "\\|"), *map(_cell, row.cells)] for row in table.rows]
    return markdown_table(table.heads, rows)


def _cell(cell: Number) -> str:
    return shown(cell.value, cell.digits) + (f" ({cell.small})" if cell.small else "")


# ---- the page -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Steps(LevelLines):
    """Lines over levels that stand in equal steps, whatever their numbers."""

    labels: Sequence[str]

    @property
    def across(self) -> list[tuple[int, Any]]:
        places = super().across
        return [(at, label) for (at, _), label in zip(places, self.labels, strict=True)]


def curve(found: Found, what: str) -> Drawn | None:
    """The mean score at each level of a series; None where there is no series."""
    levels = [f"{level}" for level in ORDER[what]]
    means = np.array([found("order", what, of.MEAN, level) for level in levels])
    there = np.isfinite(means)
    if not there.any():
        return None
    x = np.arange(len(levels), dtype=float)
    frame = Frame((-0.3, len(levels) - 0.7), (-2, 102))
    dots = [frame.at(*place) for place in zip(x[there], means[there], strict=True)]
    lines = [("curve", frame.path(x[there], means[there]), dots)]
    title = f"{found.name}: mean score by {what}"
    chart = Steps(frame, title, UNITS[what], "mean score", x.tolist(), lines, levels)
    return Drawn(what, chart, f"Up by 2 points: {shown(100 * found('order', what, up_by(2)), 1)} % of the steps")


def section(figures: Sequence[Figure]) -> dict[str, Any]:
    """What sanity.html shows."""
    models = by_model(figures)
    tables = [(part.title, part.words, part.table(models)) for part in PARTS]
    curves = [(one.name, [*filter(None, (curve(one, what) for what in ORDER))]) for one in models]
    return {
        "overview": Part("", "", "", OVERVIEW).table(models),
        "meaning": MEANING,
        "tables": [one for one in tables if one[2].rows],
        "curves": [(name, drawn) for name, drawn in curves if drawn],
    }


def page(figures: Sequence[Figure]) -> str:
    """The page as HTML. Everything is in it; nothing is loaded from elsewhere."""
    models = len(by_model(figures))
    return render("bench/sanity_page.html", title="Do scores make sense?", models=models, sanity=section(figures))


def write_sanity(figures: Sequence[Figure], folder: Path) -> Path:
    """Write sanity.csv, sanity.md and index.html to a folder; returns the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, words in ((of.FILE, as_csv(figures)), (MARKDOWN, markdown(figures)), (PAGE, page(figures))):
        write_whole(folder / name, words.encode("utf-8", "backslashreplace"))
    return folder / PAGE
