"""The report: what models are worth on rated sets, as one self-contained page, Markdown tables and a CSV.

Every number comes from summary.py and details.py; here is only how it is shown.
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template

from iqassay.bench import charts
from iqassay.bench.charts import Strip, text
from iqassay.bench.checks import check_results
from iqassay.bench.details import (
    Comparison,
    Wrong,
    calibration,
    cloud,
    compare,
    levels,
    residuals,
    worst,
)
from iqassay.bench.published import NOTICE, Figure, published_markdown, published_tables
from iqassay.bench.results import Results
from iqassay.bench.significance import Significance
from iqassay.bench.summary import GROUPINGS, MEASURES, Summary, Value, answered, on_scale, summarise
from iqassay.bench.tables import (
    SHOWN_OVER_SPLITS,
    as_csv,
    best_of,
    markdown,
    notes_of,
    parts_of,
    shown,
    there,
    title_of,
)

PAGE, MARKDOWN, TABLE = "index.html", "tables.md", "tables.csv"
WORST_OF = 2  # models whose worst pictures are shown
THUMBNAIL = 200  # pixels of its long side
QUALITY = 82  # of its JPEG
DUEL = {1: ("▲", "win", "better than"), -1: ("▼", "lose", "worse than"), 0: ("≈", "", "not told apart from")}
KINDS = {
    "network": "network",
    "measure": "classical measure",
    "trained": "trained on each split",
    "scores": "given scores",
}


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
    from iqassay.bench.protocol import with_bar

    summaries = [summarise(results, resamples) for results in with_bar(found, len(found), "measures")]
    for part in parts_of(summaries):
        if twice := [name for name, times in Counter(one.model for one in part).items() if times > 1]:
            raise ValueError(f"got {twice[0]} on {title_of(part).split(':')[0]} twice, want one folder of its answers")
    tables = markdown(summaries) + ("\n" + published_markdown(published) if published else "")
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / MARKDOWN, tables)
    _write(folder / TABLE, as_csv(summaries))
    _write(folder / PAGE, page(found, summaries, pictures, published, resamples))
    return folder / PAGE


def _write(file: Path, words: str) -> None:
    partial = file.with_name(f"{file.name}.partial")
    partial.write_text(words, encoding="utf-8", errors="backslashreplace")
    os.replace(partial, file)


def page(
    found: Sequence[Results],
    summaries: Sequence[Summary],
    pictures: bool = True,
    published: Sequence[Figure] = (),
    resamples: int = 1000,
) -> str:
    """The report as HTML. Everything is in it; nothing is loaded from elsewhere."""
    parts = parts_of(summaries)
    models = list(dict.fromkeys(one.model for part in parts for one in part))
    sets = list(dict.fromkeys(one.set for one in summaries))
    answers = sum(one.answers for one in summaries)
    body = [_findings(found)]
    if len(parts) > 1:
        body.append(_overview(parts, models))
    results_of = {id(summary): answered(results) for summary, results in zip(summaries, found, strict=True)}
    for number, part in enumerate(parts):
        body.append(_part(number, part, [results_of[id(one)] for one in part], pictures, resamples))
    body.append(_published(published))
    links = "".join(f'<a href="#part{i}">{text(title_of(part).split(":")[0])}</a>' for i, part in enumerate(parts))
    return Template(Path(__file__).with_suffix(".html").read_text(encoding="utf-8")).substitute(
        title="How well models agree with people",
        subtitle=f"{_count(len(models), 'model')} on {_count(len(sets), 'rated set')}: {answers:,} answers",
        nav=f"<nav>{links}</nav>" if len(parts) > 1 else "",
        body="\n".join(body),
        footer=_footer(resamples),
    )


# ---- sections -------------------------------------------------------------------------------------------------------


def _findings(found: Sequence[Results]) -> str:
    lines = [f"{text(one.set)}, {text(one.model)}: {text(words)}" for one in found for words in check_results(one)]
    if not lines:
        return ""
    return f'<div class="warnings" role="note"><b>Suspicious in the answers</b>{_list(lines, "")}</div>'


def _overview(parts: Sequence[Sequence[Summary]], models: Sequence[str]) -> str:
    rows = []
    for model in models:
        cells = [_row_name(model)]
        for part in parts:
            one = next((s for s in part if s.model == model), None)
            value, best = (one.values["srcc"].value, one is best_of(part, "srcc")) if one else (math.nan, False)
            cells.append(_number(value, best=best))
        rows.append(cells)
    heads = [title_of(part).split(":")[0] for part in parts]
    return (
        '<section class="card"><h3>SRCC on every set</h3><p class="soft">Bold: the highest of a set, among models that '
        f"answered the same pictures.</p>{_table(['model', *heads], rows)}</section>"
    )


def _part(number: int, part: Sequence[Summary], results: Sequence[Results], pictures: bool, resamples: int) -> str:
    """The section of one set (or of one set of splits of it)."""
    title, _, size = title_of(part).partition(": ")
    cards = [
        _main_card(part, resamples),
        _scatter_card(results),
        _significance_card(compare(results, resamples)),
        _within_card(part),
        _splits_card(part),
        _residuals_card(results),
        _levels_card(results),
        _calibration_card(results),
        _worst_card(results) if pictures else "",
        _method_card(part),
    ]
    return (
        f'<section id="part{number}"><h2>{text(title)}</h2><p class="soft">{text(size)}</p>{"".join(cards)}</section>'
    )


def _main_card(part: Sequence[Summary], resamples: int) -> str:
    strips = [_strip(s.model, s.values["srcc"], s.upper_bound) for s in part]
    seeds = part[0].seeds
    interval = (
        f"mean over {len(seeds)} splits and the 95 % bootstrap interval of that mean"
        if seeds
        else f"95 % bootstrap interval over contents, {resamples:,} draws"
    )
    keys = there(part, MEASURES, "values")
    best = {key: best_of(part, key) for key in keys}
    rows = []
    for one in part:
        cells = [_row_name(one.model, "with references" if one.about.get("reference") else ""), _number(one.answers, 0)]
        for key in keys:
            value, digits = one.values[key], MEASURES[key].digits
            cells.append(_number(value.value, digits, best[key] is one, _ends(value.low, value.high, digits)))
        rows.append(cells)
    words = "; ".join(f"<b>{MEASURES[key].title}</b>: {text(MEASURES[key].meaning)}" for key in keys)
    chart = charts.strips(strips, "SRCC and its 95 % interval", charts.strips_span([strips], limit=1))
    return (
        f'<div class="card"><h3>SRCC</h3><p class="soft">Spearman rank correlation of score and MOS; line: {interval}.'
        f"</p>{chart}</div>"
        f'<div class="card"><h3>All measures</h3><p class="soft">Small: 95 % intervals. Bold: best.</p>'
        f"{_table(['model', 'answers', *(MEASURES[key].title for key in keys)], rows)}"
        f"{_list([text(note) for note in notes_of(part)], 'notes')}"
        f"<details><summary>What the columns are</summary><p class='soft'>{words}.</p></details></div>"
    )


def _scatter_card(results: Sequence[Results]) -> str:
    figures = []
    for one in results:
        unit = "score" if on_scale(one) else "score, its own unit"
        more = len(one.scored) - charts.MOST_POINTS
        note = f" {charts.MOST_POINTS:,} of {len(one.scored):,} points." if more > 0 else ""
        chart = charts.scatter(cloud(one), f"{one.model}: score against MOS", on_scale(one), unit)
        figures.append(f"<figure><h4>{text(one.model)}</h4>{chart}<figcaption>{note}</figcaption></figure>")
    return _multiples(
        "Score against MOS",
        "One point a picture. Curve: logistic of 4 parameters, fitted to these points. Band: the model's own 90 % "
        "interval, median ends of pictures with like scores.",
        figures,
    )


def _significance_card(comparison: Comparison | None) -> str:
    if comparison is None:
        return ""
    names = comparison.found.names
    heads = "".join(f'<th scope="col">{text(name)}</th>' for name in names)
    rows = []
    for i, name in enumerate(names):
        cells = [_duel_cell(comparison.found, i, j) for j in range(len(names))]
        rows.append(f"<tr>{_row_name(name)}{''.join(cells)}</tr>")
    table = f'<table class="matrix"><thead><tr><th></th>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    how = (
        f"corrected resampled t test over {comparison.splits} splits"
        if comparison.splits > 1
        else "paired bootstrap over contents; Williams’ t test on ranks is told beside it"
    )
    left_out = f" Left out, as not all answered: {_count(comparison.left_out, 'row')}." if comparison.left_out else ""
    return (
        '<div class="card"><h3>Which differences are real</h3><p class="soft">Row against column: gain in SRCC on the '
        f"{comparison.rows:,} rows that all answered. ▲ better, ▼ worse at 5 % ({how}; Holm-adjusted for all pairs); "
        f"≈ not told apart.{left_out}</p>{_scroll(table)}</div>"
    )


def _duel_cell(found: Significance, i: int, j: int) -> str:
    if i == j:
        return '<td class="self"></td>'
    mark, kind, word = DUEL[int(found.better[i, j])]
    tests = f"p = {shown(found.p[i, j])}"
    if math.isfinite(found.p_williams[i, j]):
        tests += f", Williams p = {shown(found.p_williams[i, j])}"
    gain = _signed(found.gain[i, j])
    words = f"{found.names[i]} {word} {found.names[j]}: {gain} ({_ends(found.low[i, j], found.high[i, j])}), {tests}"
    return f'<td class="{kind}" title="{text(words)}" aria-label="{text(words)}">{mark} {gain}</td>'


def _within_card(part: Sequence[Summary]) -> str:
    keys = there(part, GROUPINGS, "within")
    strips = {key: [_strip(s.model, s.within[key], s.upper_bound) for s in part] for key in keys}
    ends = charts.strips_span(strips.values(), limit=1)
    figures = []
    for key in keys:
        chart = charts.strips(strips[key], f"Mean SRCC {GROUPINGS[key]}", ends)
        figures.append(f"<figure><h4>{GROUPINGS[key]}</h4>{chart}</figure>")
    return _multiples(
        "Mean SRCC inside groups",
        "Groups that differ in mean lend correlation to whoever knows the group; inside them that is of no use.",
        figures,
        "pair",
    )


def _splits_card(part: Sequence[Summary]) -> str:
    keys = there(part, SHOWN_OVER_SPLITS, "splits")
    if not keys:
        return ""
    rows = []
    for one in (s for s in part if s.splits):
        cells = [_row_name(one.model)]
        for key in keys:
            spread, digits = one.splits[key], MEASURES[key].digits
            cells.append(_number(spread.median, digits))
            cells.append(_number(spread.mean, digits, small=_ends(spread.low, spread.high, digits)))
        rows.append(cells)
    heads = [f"{MEASURES[key].title}, {what}" for key in keys for what in ("median", "mean")]
    count = max(one.split_count for one in part)
    how = (
        f"Trained anew for each of {count} splits by content (70 % to train on, 10 % to choose by, 20 % to test on)."
        if part[0].seeds
        else f"The same answers, judged on the test parts (20 % of the contents) of {count} splits by content; "
        "nothing was trained for it."
    )
    return (
        f'<div class="card"><h3>Over splits</h3><p class="soft">{how} Small: 95 % bootstrap interval of the mean. '
        f"Splits overlap: it is about the choice of the split, not about other pictures.</p>"
        f"{_table(['model', *heads], rows)}</div>"
    )


def _residuals_card(results: Sequence[Results]) -> str:
    by = next((by for by in ("distortion", "subset") if any(any(one.words(by)) for one in results)), "")
    if not by:
        return ""
    strips = {
        one.model: [Strip(row.name, row.mean, row.low, row.high, _signed(row.mean, 1)) for row in residuals(one, by)]
        for one in results
        if len(one.scored) > 2
    }
    ends = charts.strips_span(strips.values())
    figures = []
    for model, rows in strips.items():
        chart = charts.strips(rows, f"{model}, residuals by {by}", ends)
        figures.append(f"<figure><h4>{text(model)}</h4>{chart}</figure>")
    what = {"distortion": "distortion type", "subset": "subset"}[by]
    return _multiples(
        f"Residuals by {what}",
        "Predicted minus MOS, points of 100: mean (dot) and quartiles (line). Right of 0 the model is too kind.",
        figures,
    )


def _levels_card(results: Sequence[Results]) -> str:
    figures = []
    for one in results:
        if (found := levels(one)) is not None:
            chart = charts.level_lines(found, f"{one.model}: mean prediction and mean MOS by level")
            falls = f"Falls with the level: {shown(found.falls)} (opinions {shown(found.falls_mos)})"
            figures.append(f"<figure><h4>{text(one.model)}</h4>{chart}<figcaption>{falls}</figcaption></figure>")
    return _multiples(
        "Level of damage",
        "Mean prediction (line) and mean MOS (dashed) at each level. Below: mean SRCC of score and falling level "
        "inside each content and type, 1 where every step down is seen.",
        figures,
    )


def _calibration_card(results: Sequence[Results]) -> str:
    found = {one.model: bins for one in results if (bins := calibration(one))}
    least = min([0.7, *(one.low for bins in found.values() for one in bins)])
    figures = []
    for model, bins in found.items():
        chart = charts.coverage(bins, f"{model}: share of MOS inside the 90 % interval, by score", least)
        figures.append(f"<figure><h4>{text(model)}</h4>{chart}</figure>")
    return _multiples(
        "Calibration",
        "Share of MOS inside the model's 90 % interval, in up to ten groups of pictures by score, with its 95 % Wilson "
        "interval; dashed: the 0.9 that is promised.",
        figures,
    )


def _worst_card(results: Sequence[Results]) -> str:
    groups = []
    for one in [one for one in results if len(one.scored) > 2][:WORST_OF]:
        figures = [_thumbnail(one, wrong) for wrong in worst(one)]
        if any(figures):
            groups.append(f'<h4>{text(one.model)}</h4><div class="pictures">{"".join(figures)}</div>')
    if not groups:
        return ""
    return (
        '<div class="card"><h3>Worst pictures</h3><p class="soft">Largest residuals: predicted, MOS. Rated photos '
        "often must not be republished: <code>--no-pictures</code> leaves them out.</p>"
        f"{''.join(groups)}</div>"
    )


def _thumbnail(results: Results, wrong: Wrong) -> str:
    """A picture with both numbers; nothing where it cannot be read any more."""
    from iqassay.image import ImageError, read_image
    from iqassay.page import fit, jpeg

    try:
        pixels = read_image(Path(str(results.about.get("folder", ""))) / wrong.row.image).pixels
    except (ImageError, OSError, ValueError):
        return ""
    words = " ".join(
        filter(
            None,
            (
                wrong.row.distortion or wrong.row.subset,
                f"level {_short(wrong.row.level)}" if math.isfinite(wrong.row.level) else "",
            ),
        )
    )
    return (
        f'<figure><img src="{jpeg(fit(pixels, THUMBNAIL), QUALITY)}" alt="{text(wrong.row.image)}">'
        f"<figcaption><b>{shown(wrong.predicted, 0)}</b> predicted, <b>{shown(wrong.row.mos, 0)}</b> MOS"
        f"{'<br>' + text(words) if words else ''}</figcaption></figure>"
    )


def _method_card(part: Sequence[Summary]) -> str:
    rows, recipes = [], []
    for one in part:
        about = one.about
        rows.append(
            [
                _row_name(one.model),
                _words(about.get("version") or "–"),
                _words(KINDS.get(str(about.get("kind")), about.get("kind", "–"))),
                _words("with references" if about.get("reference") else "no reference"),
                _words(about.get("choice") or "–"),
                _words(str(about.get("sha256") or "–")[:12]),
                _words(about.get("iqassay") or "–"),
            ]
        )
        if about.get("recipe"):
            recipe = text(json.dumps(about["recipe"], ensure_ascii=False))
            recipes.append(f"<dt>{text(one.model)}</dt><dd><code>{recipe}</code></dd>")
    heads = ["model", "version", "kind", "mode", "epoch chosen on", "sha256", "iqassay"]
    worst_end, best_end = (text(_short(end)) for end in part[0].about.get("scale") or ("?", "?"))
    more = f"<details><summary>Recipes</summary><dl>{''.join(recipes)}</dl></details>" if recipes else ""
    return (
        f'<div class="card"><h3>How it was measured</h3><p class="soft">MOS: the set’s own scale {worst_end} '
        f"(worst) to {best_end} (best), stretched to 0 to 100. {_protocol(part)}</p>"
        f"{_table(heads, rows, 'words')}{more}</div>"
    )


def _protocol(part: Sequence[Summary]) -> str:
    if part[0].seeds:
        seeds = text(", ".join(part[0].seeds))
        return (
            f"Split by content, seeds {seeds}; no content is in two parts of a split. Every measure is worked out on "
            "each split’s test part; the tables show means over splits."
        )
    split = text(str(part[0].about.get("split", "all")))
    return (
        f"Rows: split “{split}”. Every model was asked about the same pictures; nothing was fitted to their opinions "
        "here but the curves named above."
    )


def _published(figures: Sequence[Figure]) -> str:
    if not figures:
        return ""
    cards = []
    for table in published_tables(figures):
        rows = [[_row_name(method), *map(_words, cells)] for method, cells in table.rows.items()]
        cards.append(
            f'<div class="card"><h3>{text(table.protocol)}</h3><p class="soft">Source: {text(table.source)}. '
            f"SRCC / PLCC.</p>{_table(['method', *table.sets], rows)}</div>"
        )
    return f"<section><h2>{NOTICE[0].upper()}{NOTICE[1:]}</h2>{''.join(cards)}</section>"


def _footer(resamples: int) -> str:
    return _list(
        [
            f"Intervals: percentile bootstrap, 95 %; the pictures of a content are drawn together, {resamples:,} draws "
            "(a fifth for KRCC and means inside groups; for measures on pairs a normal interval, m out of n contents).",
            "Logistic curves are fitted to the pictures that they are judged on, as papers do: on small sets that "
            "flatters. They are fitted once and held while pictures are drawn.",
            "An interval tells how the figure would move with other pictures of the same kind: not with other people, "
            "and not with other kinds of pictures.",
        ],
        "",
    )


# ---- pieces ---------------------------------------------------------------------------------------------------------


def _multiples(title: str, caption: str, figures: Sequence[str], kind: str = "multiples") -> str:
    if not figures:
        return ""
    return (
        f'<div class="card"><h3>{text(title)}</h3><p class="soft">{text(caption)}</p>'
        f'<div class="{kind}">{"".join(figures)}</div></div>'
    )


def _strip(name: str, value: Value, faint: bool) -> Strip:
    return Strip(name, value.value, value.low, value.high, shown(value.value), faint)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "") -> str:
    """Rows of whole cells below heads; it scrolls in its own box and is sorted by a click on a head."""
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in heads)
    body = "".join(f"<tr>{''.join(cells)}</tr>" for cells in rows)
    return _scroll(f'<table class="sortable {kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>')


def _scroll(table: str) -> str:
    return f'<div class="scroll" tabindex="0">{table}</div>'


def _row_name(name: str, small: str = "") -> str:
    return f'<th scope="row">{text(name)}{f"<br><small>{small}</small>" if small else ""}</th>'


def _words(words: object) -> str:
    return f"<td>{text(str(words))}</td>"


def _number(value: float, digits: int = 3, best: bool = False, small: str = "") -> str:
    """A cell with a number, which sorts by its value, and its interval in small."""
    key = "" if math.isnan(value) else f"{value:.6g}"
    kind = ' class="best"' if best else ""
    words = shown(value, digits) + (f"<br><small>{small}</small>" if small else "")
    return f'<td data-value="{key}"{kind}>{words}</td>'


def _short(number: object) -> str:
    return f"{number:g}" if isinstance(number, (int, float)) else str(number)


def _ends(low: float, high: float, digits: int = 3) -> str:
    return "" if math.isnan(low) else f"{shown(low, digits)} to {shown(high, digits)}"


def _signed(value: float, digits: int = 3) -> str:
    value = round(value, digits) + 0.0  # no "−0.0"
    return ("+" if value > 0 else "") + shown(value, digits)


def _list(lines: Iterable[str], kind: str) -> str:
    items = "".join(f"<li>{line}</li>" for line in lines)
    return f'<ul class="{kind}">{items}</ul>' if items else ""


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
