"""What lies beside pictures and is not scored, counted by kind, so that nobody takes silence for an answer."""

from __future__ import annotations

import os
from collections import Counter

from iqassay.pictures.formats import OTHERS, VIDEO, Kind, installed
from iqassay.support.install import install_command

# Files that nobody takes for pictures. The rest may be some without an ending, or of an unknown kind.
_BESIDE = frozenset(
    f".{ending}"
    for ending in (
        *("txt", "md", "rst", "html", "htm", "css", "js", "py", "sh", "toml", "ini", "cfg", "yaml", "yml", "log"),
        *("csv", "tsv", "json", "jsonl", "parquet", "xml", "sqlite", "db", "partial", "onnx", "ckpt"),
        *("xmp", "pp3", "dop", "cos", "thm", "lrv", "aae", "lock", "bak", "tmp"),
    )
)
UNKNOWN = Kind("other file", "other files")


class LeftOut:
    """Counts files that are left out, by kind; text, data and the notes of other programs do not count."""

    def __init__(self) -> None:
        self.counts: Counter[Kind] = Counter()

    def add(self, name: str) -> None:
        ending = os.path.splitext(name)[1].lower()
        if ending not in _BESIDE:
            self.counts[OTHERS.get(ending, UNKNOWN)] += 1

    def line(self) -> str:
        """All in one line, the commonest first and other files last; "" for nothing."""
        order = sorted(self.counts, key=lambda kind: (kind == UNKNOWN, -self.counts[kind], kind.many))
        told = ", ".join(self._told(kind) for kind in order)
        return f"left out: {told}" if told else ""

    def _told(self, kind: Kind) -> str:
        count = self.counts[kind]
        needs = f" (want {install_command(kind.extra)})" if kind.extra else ""
        if kind is VIDEO and installed(kind.extra):
            needs = " (`iqassay score --every 1s` scores frames)"
        return f"{count:,} {kind.one if count == 1 else kind.many}{needs}"
