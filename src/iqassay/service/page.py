"""The page at /: pictures are dropped on it, scored as they come, opened and compared. Everything is in it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from iqassay.measures.measure import MEASURES
from iqassay.pages.embedded import heat_colours
from iqassay.pages.templates import render
from iqassay.pictures.formats import PLUGINS
from iqassay.pictures.image import SUFFIXES
from iqassay.scoring.comparison import CLEAR
from iqassay.scoring.words import KINDS, meaning
from iqassay.service.limits import Limits
from iqassay.service.shelf import Shelf
from iqassay.support.version import __version__

HERE = "They stay on this machine, and nothing of them is kept."
AWAY = "They are sent to this service, and nothing of them is kept."
SPARE = 1  # requests of one page beyond those that are worked on, so that the next picture is there in time


@dataclass(frozen=True)
class Home:
    """The page. policy: what browsers let it do; its own script alone runs."""

    html: str
    policy: str


def home(shelf: Shelf, limits: Limits, local: bool) -> Home:
    """The page of a service. local: it listens on this machine alone."""
    data: dict[str, Any] = {
        "max_bytes": limits.max_bytes,
        "at_once": min(limits.workers + SPARE, limits.workers + limits.waiting),
        "restores": shelf.restores,
        "clear": CLEAR,
        "suffixes": sorted(SUFFIXES),
        "kinds": KINDS,
        "meanings": meanings(),
    }
    html = render(
        "service/page.html",
        title="iqassay",
        version=__version__,
        kinds=f"{', '.join(PLUGINS)} and HEIF",
        promise=HERE if local else AWAY,
        suffixes=sorted(SUFFIXES),
        models=[(name, _title(shelf, name)) for name in shelf.names if not _needs_reference(name)],
        heat_colours=heat_colours(),
        data=json.dumps(data).replace("<", "\\u003c"),
    )
    script = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)[-1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Home(html, policy)


def meanings() -> list[tuple[float, str]]:
    """From which score on, in steps of a tenth, which words hold: the last that is not above a score is meant."""
    words = ((at / 10, meaning(at / 10)) for at in range(1001))
    return [next(group) for _, group in groupby(words, key=lambda pair: pair[1])]


def _needs_reference(name: str) -> bool:
    return name in MEASURES and MEASURES[name].reference


def _title(shelf: Shelf, name: str) -> str:
    if name == shelf.default:
        return f"{name} (default)"
    return f"{name} (a classical measure)" if name in MEASURES else name
