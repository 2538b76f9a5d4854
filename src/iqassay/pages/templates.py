"""Pages from templates, which say the HTML; what they are given stays text, whatever it is.

Names of files are hostile: with markup in them, control characters, or bytes that are no text. So every value that a
template writes is made printable and escaped, and no template has to remember that.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from iqassay.scoring.words import ANCHORS, NOTHING_DONE, about, meaning
from iqassay.support.text import counted, printable, short, shown


def _written(value: Any) -> Any:
    """What is written of a value, before it is escaped: printable text. Markup, which macros make, stays as it is."""
    return value if hasattr(value, "__html__") else printable(str(value))


environment = Environment(
    # A template is named by its path inside the package: it stands beside the module that fills it.
    loader=FileSystemLoader(Path(__file__).parents[1]),
    autoescape=True,
    finalize=_written,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,  # of the style sheets and scripts that are included
)
environment.filters.update(counted=counted, short=short, shown=shown)
environment.globals.update(ANCHORS=ANCHORS, NOTHING_DONE=NOTHING_DONE, about=about, meaning=meaning)


def render(template: str, **data: Any) -> str:
    """The page that a template makes of data."""
    return environment.get_template(template).render(data)
