"""Text for people."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable


def printable(text: str) -> str:
    """Text for one line of a terminal: control characters, and bytes in file names that are not text, become
    escapes.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def counted(number: int, thing: str) -> str:
    """So many things: 1 picture, 2,000 pictures."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


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


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """What joins an error about an unknown word to what is wanted: a guess at what was meant, where there is one."""
    import difflib  # here, not above: only errors need it

    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f", did you mean {close[0]!r}?" if close else ";"


def unescaped(text: str) -> str:
    """Text whose \\udc80 to \\udcff, as records write what is not text in a file name, are that again."""
    return re.sub(r"\\u(dc[89a-f][0-9a-f])", lambda code: chr(int(code[1], 16)), text)


def odds(probability: float) -> str:
    """A probability as it is shown: two decimals, but never 1.00 or 0.00, since nothing is certain here."""
    return "over 0.99" if probability > 0.995 else "under 0.01" if probability < 0.005 else f"{probability:.2f}"
