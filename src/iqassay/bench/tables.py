"""Tables of what models are worth (summary.py): Markdown for a document, CSV with every number."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from typing import Any

from iqassay.bench.summary import (
    BEST_TEST_EPOCH,
    EACH,
    GROUPINGS,
    MEASURES,
    Summary,
    Value,
    summarise,
)
from iqassay.statistics.correlation import Spread
from iqassay.support.text import printable, shown

FEW_CONTENTS = 10  # a bootstrap over fewer says little
CSV_COLUMNS = ("set", "split", "model", "measure", "over", "value", "low", "high", "median", "pictures", "errors")

SHOWN_OVER_SPLITS = ("srcc", "plcc", "plcc4")  # the CSV has more

__all__ = ["as_csv", "markdown", "summarise"]


def parts_of(summaries: Iterable[Summary]) -> list[list[Summary]]:
    """Summaries that were asked about the same pictures together, the best SRCC first."""
    found: dict[tuple[Any, ...], list[Summary]] = {}
    for one in summaries:
        found.setdefault(one.part, []).append(one)
    keys = sorted(found, key=lambda part: (part[0], bool(part[2]), part))  # whole sets before those trained on splits
    return [sorted(found[key], key=_by_srcc) for key in keys]


def _by_srcc(summary: Summary) -> tuple[bool, float, str]:
    value = summary.values["srcc"].value
    return math.isnan(value), -value, summary.model


def name_of(part: Sequence[Summary]) -> str:
    """The name of a part: its set, and which rows or splits of it."""
    first = part[0]
    split, count = first.about.get("split", "all"), len(first.seeds)
    if first.seeds:
        return f"{first.set}, trained on {count} splits" + (" of other sets" if first.trained_elsewhere else "")
    return first.set if split == "all" else f"{first.set}, split {split}"


def size_of(part: Sequence[Summary]) -> str:
    """How much a part is."""
    most = max(part, key=lambda one: one.pictures)
    return f"{most.pictures:,} pictures of {most.contents:,} contents"


def with_interval(value: Value | Spread, digits: int = 3) -> str:
    """A number and its interval, in parentheses, where there is one."""
    middle = value.value if isinstance(value, Value) else value.mean
    if math.isnan(value.low):
        return shown(middle, digits)
    return f"{shown(middle, digits)} ({shown(value.low, digits)} to {shown(value.high, digits)})"


def best_of(part: Sequence[Summary], key: str) -> Summary | None:
    """The fair contender with the best value of a measure, if all answered the same number of pictures."""
    better = MEASURES[key].better
    fair = [s for s in part if not s.upper_bound and math.isfinite(s.values[key].value)]
    if not better or len(fair) < 2 or len({s.answers for s in fair}) > 1:
        return None
    return max(fair, key=lambda s: better * s.values[key].value)


def there(part: Sequence[Summary], keys: Iterable[str], of: str) -> list[str]:
    """The keys that at least one summary of the part has a number for, in its ``values``, ``within`` or ``splits``."""
    blank = Value()
    return [key for key in keys if any(math.isfinite(_middle(getattr(s, of).get(key, blank))) for s in part)]


def _middle(value: Value | Spread) -> float:
    return value.value if isinstance(value, Value) else value.mean


def notes_of(part: Sequence[Summary]) -> list[str]:
    """What must be read with the tables of a part."""
    found = [
        f"{s.model} answered {s.answers:,} of {s.wanted:,}" + (f", errors: {s.errors:,}" if s.errors else "")
        for s in part
        if s.answers < s.wanted
    ]
    if 0 < (contents := max(s.contents for s in part)) < FEW_CONTENTS:
        found.append(f"only {contents} contents: the intervals over them are a rough guide")
    if any(s.upper_bound for s in part):
        found.append(f'"{BEST_TEST_EPOCH}": the epoch was chosen on the test opinions; an upper bound, never the best')
    return found + [f"{name}: {text}" for name, text in gaps_of(part).items()]


def gaps_of(part: Sequence[Summary]) -> dict[str, str]:
    """How much SRCC the choice of the best test epoch adds, for each model that was judged by both choices."""
    by_name = {s.model: s for s in part}
    found = {}
    for name, one in by_name.items():
        if one.upper_bound and (clean := by_name.get(name.removesuffix(f", {BEST_TEST_EPOCH}"))) not in (None, one):
            gap = one.values["srcc"].value - clean.values["srcc"].value
            found[clean.model] = f"choosing the epoch on the test opinions adds {shown(gap)} to its SRCC"
    return found


def markdown(summaries: Sequence[Summary]) -> str:
    """Tables for a document: for each set the measures, then means inside groups, then the values over splits."""
    return "\n".join(line for part in parts_of(summaries) for line in _markdown_part(part))


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table in Markdown, and an empty one after it."""
    lines = ["| " + " | ".join(cells) + " |" for cells in (heads, *rows)]
    return [lines[0], "|" + " --- |" * len(heads), *lines[1:], ""]


def _markdown_part(part: Sequence[Summary]) -> list[str]:
    lines = [f"### {_plain(f'{name_of(part)}: {size_of(part)}')}", ""]
    keys = there(part, MEASURES, "values")
    best = {key: best_of(part, key) for key in keys}
    rows = []
    for one in part:
        cells = [
            with_interval(one.values[key]) if key == "srcc" else shown(one.values[key].value, MEASURES[key].digits)
            for key in keys
        ]
        bold = (f"**{cell}**" if best[key] is one else cell for key, cell in zip(keys, cells, strict=True))
        rows.append([_plain(one.model), *bold])
    lines += markdown_table(["model", *(MEASURES[key].title for key in keys)], rows)
    if groupings := there(part, GROUPINGS, "within"):
        lines += ["Mean SRCC inside groups:", ""]
        lines += markdown_table(
            ["model", *(GROUPINGS[key] for key in groupings)],
            [[_plain(s.model), *(with_interval(s.within[key]) for key in groupings)] for s in part],
        )
    for key in EACH:
        models, groups = each_of(part, key)
        if groups:
            lines += [f"SRCC inside each {'distortion type' if key == 'distortion' else key}:", ""]
            inside = [[_plain(name), *map(with_interval, values)] for name, values in groups]
            lines += markdown_table(["", *map(_plain, models)], inside)
    if keys := there(part, SHOWN_OVER_SPLITS, "splits"):
        lines += [f"Over the test parts of {max(s.split_count for s in part)} splits by content:", ""]
        titles = [f"{MEASURES[key].title}, {what}" for key in keys for what in ("median", "mean (95 %)")]
        body = []
        for one in (s for s in part if s.splits):
            pairs = [(shown(one.splits[k].median, MEASURES[k].digits), _split_cell(one, k)) for k in keys]
            body.append([_plain(one.model), *(cell for pair in pairs for cell in pair)])
        lines += markdown_table(["model", *titles], body)
    notes = notes_of(part)
    return lines + [f"- {_plain(note)}" for note in notes] + [""] * bool(notes)


def each_of(part: Sequence[Summary], key: str) -> tuple[list[str], list[tuple[str, list[Value]]]]:
    """The models of a part, and for each group that one of them has: its name, and every model's SRCC inside it."""
    names = sorted({name for one in part for name in one.each[key]})
    rows = [(name, [one.each[key].get(name, Value()) for one in part]) for name in names]
    return [one.model for one in part], rows


def _split_cell(summary: Summary, key: str) -> str:
    return with_interval(summary.splits[key], MEASURES[key].digits)


def _plain(text: str) -> str:
    """Somebody's name inside a Markdown table."""
    return printable(text).replace("|", "\\|").replace("<", "&lt;")


def as_csv(summaries: Sequence[Summary]) -> str:
    """Every number of the tables, one a line, with the columns of CSV_COLUMNS."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for one in (s for part in parts_of(summaries) for s in part):
        head, tail = [one.set, one.part[1], one.model], [one.pictures, one.errors]
        pooled = f"mean of {len(one.seeds)} splits" if one.seeds else "all pictures"
        for key, value in one.values.items():
            writer.writerow([*head, key, pooled, *_digits(value.value, value.low, value.high, math.nan), *tail])
        for key, value in one.within.items():
            numbers = _digits(value.value, value.low, value.high, math.nan)
            writer.writerow([*head, f"srcc inside {key}", pooled, *numbers, *tail])
        for key, groups in one.each.items():
            for name, value in groups.items():
                numbers = _digits(value.value, value.low, value.high, math.nan)
                writer.writerow([*head, "srcc", f"{key} {printable(name)}", *numbers, *tail])
        for key, spread in one.splits.items():
            numbers = _digits(spread.mean, spread.low, spread.high, spread.median)
            writer.writerow([*head, key, f"test parts of {one.split_count} splits", *numbers, *tail])
    return out.getvalue()


def _digits(*values: float) -> list[str]:
    return ["" if math.isnan(value) else f"{value:.5g}" for value in values]
