"""The report: what models are worth on rated sets, as one self-contained page, Markdown tables and a CSV.

Every number comes from summary.py and details.py; here is only how it is shown.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iqassay.bench import charts
from iqassay.bench.cells import Line, Number, Table
from iqassay.bench.charts import Drawn, Strip, Strips
from iqassay.bench.checks import check_results
from iqassay.bench.details import Wrong, calibration, cloud, compare, levels, residuals, worst
from iqassay.bench.published import NOTICE, Figure, Published, published_markdown, published_tables
from iqassay.bench.results import Results
from iqassay.bench.sanity_figures import Figure as Sanity
from iqassay.bench.sanity_report import markdown as sanity_markdown
from iqassay.bench.sanity_report import section as sanity_section
from iqassay.bench.summary import EACH, GROUPINGS, MEASURES, Summary, Value, answered, on_scale, summarise
from iqassay.bench.tables import (
    SHOWN_OVER_SPLITS,
    as_csv,
    best_of,
    each_of,
    markdown,
    name_of,
    notes_of,
    parts_of,
    size_of,
    there,
)
from iqassay.pages.embedded import fit, jpeg
from iqassay.pages.templates import render
from iqassay.pictures.image import ImageError, read_image
from iqassay.statistics.significance import Significance
from iqassay.support.files import write_whole
from iqassay.support.progress import with_bar
from iqassay.support.text import between, short, shown, signed

PAGE, MARKDOWN, TABLE = "index.html", "tables.md", "tables.csv"
WORST_OF = 2  # models whose worst pictures are shown
THUMBNAIL = 200  # pixels of its long side
QUALITY = 82  # of its JPEG
DUEL = {1: ("▲", "win", "better than"), -1: ("▼", "lose", "worse than"), 0: ("≈", "", "not told apart from")}
RESIDUALS_BY = {"distortion": "distortion type", "subset": "subset"}  # the first that a set has
KINDS = {"measure": "classical measure", "trained": "trained on each split", "scores": "given scores"}


def write_report(
    found: Sequence[Results],
    folder: Path,
    pictures: bool = True,
    published: Sequence[Figure] = (),
    resamples: int = 1000,
    sanity: Sequence[Sanity] = (),
) -> Path:
    """Write index.html, tables.md and tables.csv to a folder, which is made if need be; returns the page's path.

    pictures: with thumbnails of the worst pictures, read from where the set was (``about["folder"]``). published:
    figures of papers, shown in a table of their own. sanity: figures of the
    sanity suite, in tables of their own too. Raises ValueError for two answers of one model to one set.
    """
    summaries = [summarise(results, resamples) for results in with_bar(found, len(found), "measures")]
    for part in parts_of(summaries):
        if twice := [name for name, times in Counter(one.model for one in part).items() if times > 1]:
            raise ValueError(f"got {twice[0]} on {name_of(part)} twice, want one folder of its answers")
    folder.mkdir(parents=True, exist_ok=True)
    tables = markdown(summaries) + ("\n" + sanity_markdown(sanity) if sanity else "")
    tables += "\n" + published_markdown(published) if published else ""
    whole = page(found, summaries, pictures, published, resamples, sanity)
    for name, words in ((MARKDOWN, tables), (TABLE, as_csv(summaries)), (PAGE, whole)):
        write_whole(folder / name, words.encode("utf-8", "backslashreplace"))
    return folder / PAGE


def page(
    found: Sequence[Results],
    summaries: Sequence[Summary],
    pictures: bool = True,
    published: Sequence[Figure] = (),
    resamples: int = 1000,
    sanity: Sequence[Sanity] = (),
) -> str:
    """The report as HTML. Everything is in it; nothing is loaded from elsewhere."""
    parts = parts_of(summaries)
    results_of = {id(summary): answered(results) for summary, results in zip(summaries, found, strict=True)}
    return render(
        "bench/report.html",
        title="How well models agree with people",
        models=len({one.model for one in summaries}),
        sets=len({one.set for one in summaries}),
        answers=sum(one.answers for one in summaries),
        findings=[f"{one.set}, {one.model}: {words}" for one in found for words in check_results(one)],
        overview=_overview(parts),
        parts=[_part(part, [results_of[id(one)] for one in part], pictures, resamples) for part in parts],
        sanity=sanity_section(sanity) if sanity else None,
        NOTICE=NOTICE,
        published=[_published(one) for one in published_tables(published)],
        resamples=resamples,
    )


# ---- tables ---------------------------------------------------------------------------------------------------------


def _overview(parts: Sequence[Sequence[Summary]]) -> Table:
    """SRCC of every model on every set."""
    rows = []
    for model in dict.fromkeys(one.model for part in parts for one in part):
        cells = []
        for part in parts:
            one = next((s for s in part if s.model == model), None)
            value = one.values["srcc"].value if one else math.nan
            cells.append(Number(value, best=one is not None and one is best_of(part, "srcc")))
        rows.append(Line(model, cells))
    return Table(["model", *map(name_of, parts)], rows)


def _measures(part: Sequence[Summary], keys: Sequence[str]) -> Table:
    best = {key: best_of(part, key) for key in keys}
    rows = []
    for one in part:
        cells = [Number(one.answers, 0)]
        for key in keys:
            value, digits = one.values[key], MEASURES[key].digits
            cells.append(Number(value.value, digits, best[key] is one, between(value.low, value.high, digits)))
        rows.append(Line(one.model, cells, "with references" if one.about.get("reference") else ""))
    return Table(["model", "answers", *(MEASURES[key].title for key in keys)], rows)


def _each(part: Sequence[Summary], key: str) -> Table:
    """SRCC inside each group of a grouping."""
    models, body = each_of(part, key)
    rows = [Line(name, [Number(v.value, small=between(v.low, v.high)) for v in values]) for name, values in body]
    return Table(["distortion type" if key == "distortion" else key, *models], rows)


def _over_splits(part: Sequence[Summary]) -> Table | None:
    keys = there(part, SHOWN_OVER_SPLITS, "splits")
    rows = []
    for one in (s for s in part if s.splits):
        cells = []
        for key in keys:
            spread, digits = one.splits[key], MEASURES[key].digits
            ends = between(spread.low, spread.high, digits)
            cells += [Number(spread.median, digits), Number(spread.mean, digits, small=ends)]
        rows.append(Line(one.model, cells))
    heads = [f"{MEASURES[key].title}, {what}" for key in keys for what in ("median", "mean")]
    return Table(["model", *heads], rows) if keys else None


@dataclass(frozen=True)
class Duel:
    """A model against another: a mark, its class on the page, the gain in SRCC, and all of it in words."""

    mark: str
    kind: str
    gain: str
    words: str


def _duels(found: Significance) -> Table:
    places = range(len(found.names))
    return Table(["", *found.names], [Line(found.names[i], [_duel(found, i, j) for j in places]) for i in places])


def _duel(found: Significance, i: int, j: int) -> Duel | None:
    if i == j:
        return None
    mark, kind, word = DUEL[int(found.better[i, j])]
    gain, ends = signed(found.gain[i, j]), between(found.low[i, j], found.high[i, j])
    tests = f"p = {shown(found.p[i, j])}"
    if math.isfinite(found.p_williams[i, j]):
        tests += f", Williams p = {shown(found.p_williams[i, j])}"
    return Duel(mark, kind, gain, f"{found.names[i]} {word} {found.names[j]}: {gain} ({ends}), {tests}")


def _models(part: Sequence[Summary]) -> Table:
    """What was asked, and how."""
    rows = []
    for one in part:
        facts = (
            one.about.get("version"),
            KINDS.get(str(one.about.get("kind")), one.about.get("kind")),
            "with references" if one.about.get("reference") else "no reference",
            one.about.get("choice"),
            str(one.about.get("sha256") or "")[:12],
            one.about.get("iqassay"),
        )
        rows.append(Line(one.model, [fact or "–" for fact in facts]))
    return Table(["model", "version", "kind", "mode", "epoch chosen on", "sha256", "iqassay"], rows)


def _published(one: Published) -> dict[str, Any]:
    rows = [Line(method, cells) for method, cells in one.rows.items()]
    return {"protocol": one.protocol, "source": one.source, "table": Table(["method", *one.sets], rows)}


# ---- what there is to say of models on one set (or on one set of splits of it) ---------------------------------------


def _part(part: Sequence[Summary], results: Sequence[Results], pictures: bool, resamples: int) -> dict[str, Any]:
    first = part[0]
    keys = there(part, MEASURES, "values")
    comparison = compare(results, resamples)
    by = next((by for by in RESIDUALS_BY if any(any(one.words(by)) for one in results)), None)
    srcc = [_strip(one, one.values["srcc"]) for one in part]
    return {
        "name": name_of(part),
        "size": size_of(part),
        "split": first.about.get("split", "all"),
        "seeds": first.seeds,
        "split_count": max(one.split_count for one in part),
        "trained_elsewhere": first.trained_elsewhere,
        "srcc": Strips(srcc, "SRCC and its 95 % interval", charts.strips_span([srcc], limit=1)),
        "measures": _measures(part, keys),
        "notes": notes_of(part),
        "meanings": [MEASURES[key] for key in keys],
        "scatters": [_scatter(one) for one in results],
        "comparison": comparison,
        "duels": _duels(comparison.found) if comparison else None,
        "within": _within(part),
        "each": [table for table in (_each(part, key) for key in EACH) if table.rows],
        "over_splits": _over_splits(part),
        "residuals_by": RESIDUALS_BY[by] if by else "",
        "residuals": _residuals(results, by) if by else [],
        "levels": _levels(results),
        "calibration": _calibration(results),
        "worst": _worst(results) if pictures else {},
        "scale": first.about.get("scale") or ("?", "?"),
        "models": _models(part),
        "recipes": [
            (one.model, json.dumps(recipe, ensure_ascii=False)) for one in part if (recipe := one.about.get("recipe"))
        ],
    }


def _strip(summary: Summary, value: Value) -> Strip:
    return Strip(summary.model, value.value, value.low, value.high, shown(value.value), summary.upper_bound)


def _scatter(one: Results) -> Drawn:
    unit = "score" if on_scale(one) else "score, its own unit"
    chart = charts.scatter(cloud(one), f"{one.model}: score against MOS", on_scale(one), unit)
    thinned = len(one.rows) > charts.MOST_POINTS
    return Drawn(one.model, chart, f"{charts.MOST_POINTS:,} of {len(one.rows):,} points." if thinned else "")


def _within(part: Sequence[Summary]) -> list[Drawn]:
    strips = {key: [_strip(one, one.within[key]) for one in part] for key in there(part, GROUPINGS, "within")}
    ends = charts.strips_span(strips.values(), limit=1)
    return [Drawn(GROUPINGS[key], Strips(rows, GROUPINGS[key], ends)) for key, rows in strips.items()]


def _residuals(results: Sequence[Results], by: str) -> list[Drawn]:
    strips = {
        one.model: [Strip(row.name, row.mean, row.low, row.high, signed(row.mean, 1)) for row in residuals(one, by)]
        for one in results
        if len(one.rows) > 2
    }
    ends = charts.strips_span(strips.values())
    return [Drawn(model, Strips(rows, f"{model}, residuals", ends)) for model, rows in strips.items()]


def _levels(results: Sequence[Results]) -> list[Drawn]:
    drawn = []
    for one in results:
        if (found := levels(one)) is not None:
            chart = charts.level_lines(found, f"{one.model}: mean prediction and mean MOS by level")
            note = f"Falls with the level: {shown(found.falls)} (opinions {shown(found.falls_mos)})"
            drawn.append(Drawn(one.model, chart, note))
    return drawn


def _calibration(results: Sequence[Results]) -> list[Drawn]:
    found = {one.model: bins for one in results if (bins := calibration(one))}
    least = min([0.7, *(one.low for bins in found.values() for one in bins)])
    return [Drawn(model, charts.coverage(bins, f"{model}: share inside", least)) for model, bins in found.items()]


@dataclass(frozen=True)
class Thumbnail:
    """A picture as a data URI, what a model and what people said of it, and what was done to it."""

    image: str
    name: str
    predicted: float
    mos: float
    what: str


def _worst(results: Sequence[Results]) -> dict[str, list[Thumbnail]]:
    """Of the first models, those pictures that can still be read."""
    first = [one for one in results if len(one.rows) > 2][:WORST_OF]
    found = {one.model: [*filter(None, (_thumbnail(one, wrong) for wrong in worst(one)))] for one in first}
    return {model: thumbnails for model, thumbnails in found.items() if thumbnails}


def _thumbnail(results: Results, wrong: Wrong) -> Thumbnail | None:
    row = wrong.row
    try:
        pixels = read_image(Path(str(results.about.get("folder", ""))) / row.image).pixels
    except (ImageError, OSError, ValueError):
        return None
    what = row.distortion or row.subset
    if math.isfinite(row.level):
        what += f" level {short(row.level)}"
    return Thumbnail(jpeg(fit(pixels, THUMBNAIL), QUALITY), row.image, wrong.predicted, row.mos, what)
