"""What a table of numbers says of its making: the commit, the machine, the model files."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

from iqassay.scoring.model_file import Card, NetworkCard

ROOT = Path(__file__).resolve().parents[2]


def commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True).stdout.strip()

    name = git("rev-parse", "--short=10", "HEAD") or "unknown"
    return name + ("-changed" if git("status", "--porcelain", "--untracked-files=no") else "")


def which(card: Card) -> str:
    """Name, version and start of the sha256 of a model, or of a panel's members."""
    files = [card.sha256] if isinstance(card, NetworkCard) else card.members.values()
    return f"{card.name} {card.version} {' + '.join(digest[:12] for digest in files)}"


def machine() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name} with {os.cpu_count()} cores on {platform.system()} with Python {platform.python_version()}"
