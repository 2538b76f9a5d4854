"""The report: what models are worth on rated sets, as one self-contained page, Markdown tables and a CSV.

Every number comes from summary.py and details.py; here is only how it is shown.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from operator import methodcaller
from pathlib import Path
from string import Template

from iqassay.bench import charts
from iqassay.bench.charts import Strip
from iqassay.bench.checks import check_results
from iqassay.bench.details import Wrong, calibration, cloud, compare, levels, residuals, worst
from iqassay.bench.published import NOTICE, Figure, published_markdown, published_tables
from iqassay.bench.results import Results
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
from iqassay.pages.markup import (
    between,
    bullets,
    card,
    figures,
    number_cell,
    row_head,
    short,
    shown,
    signed,
    table,
    text,
    word_cell,
)
from iqassay.statistics.significance import Significance
from iqassay.support.files import replace_file
from iqassay.support.progress import with_bar
from iqassay.support.text import counted

PAGE, MARKDOWN, TABLE = "index.html", "tables.md", "tables.csv"
WORST_OF = 2  # models whose worst pictures are shown
THUMBNAIL = 200  # pixels of its long side
QUALITY = 82  # of its JPEG
DUEL = {1: ("▲", "win", "better than"), -1: ("▼", "lose", "worse than"), 0: ("≈", "", "not told apart from")}
KINDS = {"measure": "classical measure", "trained": "trained on each split", "scores": "given scores"}


def write_report(
    found: Sequence[Results],
    folder: Path,
    pictures: bool = True,
    published: Sequence[Figure] = (),
    resamples: int = 1000,
) -> Path:
    """Write index.html, tables.md and tables.csv to a folder, which is made if need be; returns the page's path.

    pictures: with thumbnails of the worst pictures, read from where the set was (``about["folder"]``). published:
    figures of papers, shown in a table of their own. Raises ValueError for two answers of one model to one set.
    """
    summaries = [summarise(results, resamples) for results in with_bar(found, len(found), "measures")]
    for part in parts_of(summaries):
        if twice := [name for name, times in Counter(one.model for one in part).items() if times > 1]:
            raise ValueError(f"got {twice[0]} on {name_of(part)} twice, want one folder of its answers")
    folder.mkdir(parents=True, exist_ok=True)
    tables = markdown(summaries) + ("\n" + published_markdown(published) if published else "")
    whole = page(found, summaries, pictures, published, resamples)
    for name, words in ((MARKDOWN, tables), (TABLE, as_csv(summaries)), (PAGE, whole)):
        replace_file(folder / name, methodcaller("write", words.encode("utf-8", "backslashreplace")))
    return folder / PAGE


def page(
    found: Sequence[Results],
    summaries: Sequence[Summary],
    pictures: bool = True,
    published: Sequence[Figure] = (),
    resamples: int = 1000,
) -> str:
    """The report as HTML. Everything is in it; nothing is loaded from elsewhere."""
    parts = parts_of(summaries)
    results_of = {id(summary): answered(results) for summary, results in zip(summaries, found, strict=True)}
    models, sets = {one.model for one in summaries}, {one.set for one in summaries}
    links = "".join(f'<a href="#part{i}">{text(name_of(part))}</a>' for i, part in enumerate(parts))
    sections = [_findings(found), _overview(parts)]
    for i, part in enumerate(parts):
        cards = _cards(part, [results_of[id(one)] for one in part], pictures, resamples)
        head = f'<h2>{text(name_of(part))}</h2><p class="soft">{text(size_of(part))}</p>'
        sections.append(f'<section id="part{i}">{head}{"".join(cards)}</section>')
    return Template(Path(__file__).with_suffix(".html").read_text(encoding="utf-8")).substitute(
        style=Path(__file__).parents[1].joinpath("pages", "page.css").read_text(encoding="utf-8"),
        title="How well models agree with people",
        subtitle=f"{counted(len(models), 'model')} on {counted(len(sets), 'rated set')}: "
        + counted(sum(one.answers for one in summaries), "answer"),
        nav=f"<nav>{links}</nav>" if len(parts) > 1 else "",
        body="\n".join([*sections, _published(published)]),
        footer=_footer(resamples),
    )


def _findings(found: Sequence[Results]) -> str:
    lines = [f"{text(one.set)}, {text(one.model)}: {text(words)}" for one in found for words in check_results(one)]
    box = f'<div class="warnings" role="note"><b>Suspicious in the answers</b>{bullets(lines)}</div>'
    return box if lines else ""


def _overview(parts: Sequence[Sequence[Summary]]) -> str:
    """SRCC of every model on every set, where there are several."""
    rows = []
    for model in dict.fromkeys(one.model for part in parts for one in part):
        cells = [row_head(model)]
        for part in parts:
            one = next((s for s in part if s.model == model), None)
            value = one.values["srcc"].value if one else math.nan
            cells.append(number_cell(value, best=one is not None and one is best_of(part, "srcc")))
        rows.append(cells)
    caption = "Bold: the highest of a set, among models that answered the same pictures."
    whole = table(["model", *map(name_of, parts)], rows)
    return card("SRCC on every set", caption, whole if len(parts) > 1 else "")


def _cards(part: Sequence[Summary], results: Sequence[Results], pictures: bool, resamples: int) -> list[str]:
    """What there is to say of models on one set (or on one set of splits of it)."""
    return [
        _srcc_card(part, resamples),
        _measures_card(part),
        _scatter_card(results),
        _significance_card(results, resamples),
        _within_card(part),
        *(_each_card(part, key) for key in EACH),
        _splits_card(part),
        _residuals_card(results),
        _levels_card(results),
        _calibration_card(results),
        _worst_card(results) if pictures else "",
        _method_card(part),
    ]


def _strip(summary: Summary, value: Value) -> Strip:
    return Strip(summary.model, value.value, value.low, value.high, shown(value.value), summary.upper_bound)


def _srcc_card(part: Sequence[Summary], resamples: int) -> str:
    line = f"95 % bootstrap interval over contents, {resamples:,} draws"
    if part[0].seeds:
        line = f"mean over {len(part[0].seeds)} splits and the 95 % bootstrap interval of that mean"
    strips = [_strip(one, one.values["srcc"]) for one in part]
    chart = charts.strips(strips, "SRCC and its 95 % interval", charts.strips_span([strips], limit=1))
    return card("SRCC", f"Spearman rank correlation of score and MOS; line: {line}.", chart)


def _measures_card(part: Sequence[Summary]) -> str:
    keys = there(part, MEASURES, "values")
    best = {key: best_of(part, key) for key in keys}
    rows = []
    for one in part:
        mode = "with references" if one.about.get("reference") else ""
        cells = [row_head(one.model, mode), number_cell(one.answers, 0)]
        for key in keys:
            value, digits = one.values[key], MEASURES[key].digits
            ends = between(value.low, value.high, digits)
            cells.append(number_cell(value.value, digits, best[key] is one, ends))
        rows.append(cells)
    whole = table(["model", "answers", *(MEASURES[key].title for key in keys)], rows)
    notes = bullets(map(text, notes_of(part)), "notes")
    meanings = "; ".join(f"<b>{text(MEASURES[key].title)}</b>: {text(MEASURES[key].meaning)}" for key in keys)
    more = f'<details><summary>What the columns are</summary><p class="soft">{meanings}.</p></details>'
    return card("All measures", "Small: 95 % intervals. Bold: best.", whole + notes + more)


def _scatter_card(results: Sequence[Results]) -> str:
    drawn = []
    for one in results:
        unit = "score" if on_scale(one) else "score, its own unit"
        chart = charts.scatter(cloud(one), f"{one.model}: score against MOS", on_scale(one), unit)
        thinned = len(one.rows) > charts.MOST_POINTS
        note = f"{charts.MOST_POINTS:,} of {len(one.rows):,} points." if thinned else ""
        drawn.append((one.model, chart, note))
    caption = (
        "One point a picture. Curve: logistic of 4 parameters, fitted to these points. Band: the model’s own 90 % "
        "interval, median ends of pictures with like scores."
    )
    return card("Score against MOS", caption, figures(drawn))


def _significance_card(results: Sequence[Results], resamples: int) -> str:
    comparison = compare(results, resamples)
    if comparison is None:
        return ""
    found = comparison.found
    places = range(len(found.names))
    rows = [[row_head(found.names[i]), *(_duel_cell(found, i, j) for j in places)] for i in places]
    how = "paired bootstrap over contents; Williams’ t test on ranks is told beside it"
    if comparison.splits > 1:
        how = f"corrected resampled t test over {comparison.splits} splits"
    caption = (
        f"Row against column: gain in SRCC on the {comparison.rows:,} rows that all answered. ▲ better, ▼ worse at 5 % "
        f"({how}; Holm-adjusted for all pairs); ≈ not told apart."
    )
    if comparison.left_out:
        caption += f" Left out, as not all answered: {counted(comparison.left_out, 'row')}."
    return card("Which differences are real", caption, table(["", *found.names], rows, "matrix"))


def _duel_cell(found: Significance, i: int, j: int) -> str:
    if i == j:
        return '<td class="self"></td>'
    mark, kind, word = DUEL[int(found.better[i, j])]
    gain, ends = signed(found.gain[i, j]), between(found.low[i, j], found.high[i, j])
    tests = f"p = {shown(found.p[i, j])}"
    if math.isfinite(found.p_williams[i, j]):
        tests += f", Williams p = {shown(found.p_williams[i, j])}"
    words = text(f"{found.names[i]} {word} {found.names[j]}: {gain} ({ends}), {tests}")
    return f'<td class="{kind}" title="{words}" aria-label="{words}">{mark} {gain}</td>'


def _within_card(part: Sequence[Summary]) -> str:
    strips = {key: [_strip(one, one.within[key]) for one in part] for key in there(part, GROUPINGS, "within")}
    ends = charts.strips_span(strips.values(), limit=1)
    drawn = [(GROUPINGS[key], charts.strips(rows, GROUPINGS[key], ends), "") for key, rows in strips.items()]
    caption = "Groups that differ in mean lend correlation to whoever knows the group; inside them that is of no use."
    return card("Mean SRCC inside groups", caption, figures(drawn, "pair"))


def _each_card(part: Sequence[Summary], key: str) -> str:
    models, body = each_of(part, key)
    rows = [
        [row_head(name), *(number_cell(v.value, small=between(v.low, v.high)) for v in values)] for name, values in body
    ]
    what = "distortion type" if key == "distortion" else key
    return card(f"SRCC inside each {what}", "Small: 95 % intervals.", table([what, *models], rows) if rows else "")


def _splits_card(part: Sequence[Summary]) -> str:
    keys = there(part, SHOWN_OVER_SPLITS, "splits")
    if not keys:
        return ""
    rows = []
    for one in (s for s in part if s.splits):
        cells = [row_head(one.model)]
        for key in keys:
            spread, digits = one.splits[key], MEASURES[key].digits
            ends = between(spread.low, spread.high, digits)
            cells += [number_cell(spread.median, digits), number_cell(spread.mean, digits, small=ends)]
        rows.append(cells)
    splits = f"{max(one.split_count for one in part)} splits by content"
    how = f"The same answers, judged on the test parts (20 % of the contents) of {splits}; nothing was trained for it."
    if part[0].seeds:
        tested = "asked about all of this set" if part[0].trained_elsewhere else "20 % to test on"
        how = f"Trained anew for each of {splits} (70 % to train on, 10 % to choose by, {tested})."
    caption = (
        f"{how} Small: 95 % bootstrap interval of the mean. Splits overlap: it is about the choice of the split, not "
        "about other pictures."
    )
    heads = [f"{MEASURES[key].title}, {what}" for key in keys for what in ("median", "mean")]
    return card("Over splits", caption, table(["model", *heads], rows))


def _residuals_card(results: Sequence[Results]) -> str:
    names = {"distortion": "distortion type", "subset": "subset"}
    by = next((by for by in names if any(any(one.words(by)) for one in results)), None)
    if by is None:
        return ""
    strips = {
        one.model: [Strip(row.name, row.mean, row.low, row.high, signed(row.mean, 1)) for row in residuals(one, by)]
        for one in results
        if len(one.rows) > 2
    }
    ends = charts.strips_span(strips.values())
    drawn = [(model, charts.strips(rows, f"{model}, residuals", ends), "") for model, rows in strips.items()]
    caption = "Predicted minus MOS, points of 100: mean (dot) and quartiles (line). Right of 0 the model is too kind."
    return card(f"Residuals by {names[by]}", caption, figures(drawn))


def _levels_card(results: Sequence[Results]) -> str:
    drawn = []
    for one in results:
        if (found := levels(one)) is not None:
            chart = charts.level_lines(found, f"{one.model}: mean prediction and mean MOS by level")
            note = f"Falls with the level: {shown(found.falls)} (opinions {shown(found.falls_mos)})"
            drawn.append((one.model, chart, note))
    caption = (
        "Mean prediction (line) and mean MOS (dashed) at each level. Below: mean SRCC of score and falling level "
        "inside each content and type, 1 where every step down is seen."
    )
    return card("Level of damage", caption, figures(drawn))


def _calibration_card(results: Sequence[Results]) -> str:
    found = {one.model: bins for one in results if (bins := calibration(one))}
    least = min([0.7, *(one.low for bins in found.values() for one in bins)])
    drawn = [(model, charts.coverage(bins, f"{model}: share inside", least), "") for model, bins in found.items()]
    caption = (
        "Share of MOS inside the model’s 90 % interval, in up to ten groups of pictures by score, with its 95 % Wilson "
        "interval; dashed: the 0.9 that is promised."
    )
    return card("Calibration", caption, figures(drawn))


def _worst_card(results: Sequence[Results]) -> str:
    groups = []
    for one in [one for one in results if len(one.rows) > 2][:WORST_OF]:
        thumbnails = "".join(_thumbnail(one, wrong) for wrong in worst(one))
        if thumbnails:
            groups.append(f'<h4>{text(one.model)}</h4><div class="pictures">{thumbnails}</div>')
    caption = (
        "Largest residuals: predicted, MOS. Rated photos often must not be republished: <code>--no-pictures</code> "
        "leaves them out."
    )
    return card("Worst pictures", caption, "".join(groups))


def _thumbnail(results: Results, wrong: Wrong) -> str:
    """A picture with both numbers; nothing where it cannot be read any more."""
    from iqassay.pages.page import fit, jpeg
    from iqassay.pictures.image import ImageError, read_image

    row = wrong.row
    try:
        pixels = read_image(Path(str(results.about.get("folder", ""))) / row.image).pixels
    except (ImageError, OSError, ValueError):
        return ""
    what = row.distortion or row.subset
    if math.isfinite(row.level):
        what += f" level {short(row.level)}"
    numbers = f"<b>{shown(wrong.predicted, 0)}</b> predicted, <b>{shown(row.mos, 0)}</b> MOS"
    image = f'<img src="{jpeg(fit(pixels, THUMBNAIL), QUALITY)}" alt="{text(row.image)}">'
    return f"<figure>{image}<figcaption>{numbers}<br>{text(what)}</figcaption></figure>"


def _method_card(part: Sequence[Summary]) -> str:
    rows, recipes = [], []
    for one in part:
        facts = (
            one.about.get("version"),
            KINDS.get(str(one.about.get("kind")), one.about.get("kind")),
            "with references" if one.about.get("reference") else "no reference",
            one.about.get("choice"),
            str(one.about.get("sha256") or "")[:12],
            one.about.get("iqassay"),
        )
        rows.append([row_head(one.model), *(word_cell(fact or "–") for fact in facts)])
        if recipe := one.about.get("recipe"):
            words = text(json.dumps(recipe, ensure_ascii=False))
            recipes.append(f"<dt>{text(one.model)}</dt><dd><code>{words}</code></dd>")
    whole = table(["model", "version", "kind", "mode", "epoch chosen on", "sha256", "iqassay"], rows, "sortable words")
    more = f"<details><summary>Recipes</summary><dl>{''.join(recipes)}</dl></details>" if recipes else ""
    worst_end, best_end = part[0].about.get("scale") or ("?", "?")
    scale = f"MOS: the set’s own scale {short(worst_end)} (worst) to {short(best_end)} (best), stretched to 0 to 100."
    return card("How it was measured", text(f"{scale} {_protocol(part[0])}"), whole + more)


def _protocol(one: Summary) -> str:
    if one.seeds:
        return (
            f"Splits by content, seeds {', '.join(one.seeds)}; no content is in two parts of a split. Every measure is "
            "of what one training said of pictures that it was not trained on; the tables show means over trainings."
        )
    return (
        f"Rows: split “{one.about.get('split', 'all')}”. Every model was asked about the same pictures; nothing was "
        "fitted to their opinions here but the curves named above."
    )


def _published(found: Sequence[Figure]) -> str:
    cards = []
    for one in published_tables(found):
        rows = [[row_head(method), *map(word_cell, cells)] for method, cells in one.rows.items()]
        whole = table(["method", *one.sets], rows)
        cards.append(card(one.protocol, f"Source: {text(one.source)}. SRCC / PLCC.", whole))
    return f"<section><h2>{NOTICE[0].upper()}{NOTICE[1:]}</h2>{''.join(cards)}</section>" if cards else ""


def _footer(resamples: int) -> str:
    return bullets(
        [
            f"Intervals: 95 % percentile bootstrap, {resamples:,} draws; pictures of a content are drawn together.",
            "Logistic curves are fitted to the pictures that they are judged on, as papers do: on small sets that "
            "flatters. They are fitted once and held while pictures are drawn.",
            "An interval tells how the figure would move with other pictures of the same kind: not with other people, "
            "and not with other kinds of pictures.",
        ]
    )
