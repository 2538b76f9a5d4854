"""Pieces of the reports as HTML: cards, tables and their cells, lists. How they look stands in their .html files.

And the one table in Markdown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

from iqassay.scoring.words import ANCHORS
from iqassay.support.text import printable


def text(words: object) -> str:
    """Somebody's words as HTML."""
    return escape(printable(str(words)))


def shown(value: float, digits: int = 3) -> str:
    """A number with so many digits behind the point; a dash where it does not exist."""
    return f"{value:,.{digits}f}".replace("-", "−") if math.isfinite(value) else "–"


def signed(value: float, digits: int = 3) -> str:
    """The same with its sign, and 0 without one."""
    value = round(value, digits) + 0.0
    return ("+" if value > 0 else "") + shown(value, digits)


def short(value: object) -> str:
    """A number with no more digits than it needs; other things as they are."""
    return f"{value:g}".replace("-", "−") if isinstance(value, (int, float)) else str(value)


def between(low: float, high: float, digits: int = 3) -> str:
    """The two ends of an interval, nothing where there is none."""
    return "" if math.isnan(low) else f"{shown(low, digits)} to {shown(high, digits)}"


def anchors() -> str:
    """What scores mean, in words that stand below a scale from 0 to 100."""
    best = max(ANCHORS)
    words = (f"<span><b>{at}{'+' if at == best else ''}</b>{word}</span>" for at, word in ANCHORS.items())
    return f'<div class="anchors">{"".join(words)}</div>'


def card(title: str, caption: str, body: str) -> str:
    """A part of the page in its frame; caption and body are HTML. Nothing where the body is."""
    return f'<div class="card"><h3>{text(title)}</h3><p class="soft">{caption}</p>{body}</div>' if body else ""


def figures(drawn: Iterable[tuple[str, str, str]], kind: str = "multiples") -> str:
    """Charts side by side, each (title, chart, note); nothing for none."""
    found = "".join(
        f"<figure><h4>{text(title)}</h4>{chart}<figcaption>{text(note)}</figcaption></figure>"
        for title, chart, note in drawn
    )
    return f'<div class="{kind}">{found}</div>' if found else ""


def bullets(lines: Iterable[str], kind: str = "") -> str:
    """A list of lines of HTML; nothing for none."""
    items = "".join(f"<li>{line}</li>" for line in lines)
    return f'<ul class="{kind}">{items}</ul>' if items else ""


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "sortable") -> str:
    """Rows of whole cells below heads, in a box of its own that scrolls; a click on a head sorts a sortable one."""
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in heads)
    body = "".join(f"<tr>{''.join(cells)}</tr>" for cells in rows)
    whole = f'<table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="scroll" tabindex="0">{whole}</div>'


def row_head(name: str, small: str = "") -> str:
    """The first cell of a row."""
    return f'<th scope="row">{text(name)}{f"<br><small>{text(small)}</small>" if small else ""}</th>'


def word_cell(words: object) -> str:
    """A cell with words."""
    return f"<td>{text(words)}</td>"


def number_cell(value: float, digits: int = 3, best: bool = False, small: str = "") -> str:
    """A cell with a number, which sorts by its value, and perhaps its interval in small."""
    key = f"{value:.6g}" if math.isfinite(value) else ""
    words = shown(value, digits) + (f"<br><small>{small}</small>" if small else "")
    return f'<td data-value="{key}"{" class=best" if best else ""}>{words}</td>'


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table in Markdown, and an empty one after it."""
    lines = ["| " + " | ".join(cells) + " |" for cells in (heads, *rows)]
    return [lines[0], "|" + " --- |" * len(heads), *lines[1:], ""]
