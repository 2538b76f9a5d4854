"""How many processors this process may use: its CPU affinity, and what a control group (cgroup) grants it.

A container that is given one processor and a half sees all of the machine's, and is held back when it uses more than
its share. Threads beyond it cost time and bring nothing.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path


def processors() -> int:
    """The number of threads that compute at once without waiting for each other; at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota()
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))


def cpu_quota(root: Path = Path("/")) -> float | None:
    """The processors' time that the control groups of this process grant, in processors (1.5 is one and a half); None
    where nothing limits it, as on systems without such groups.

    root: where /proc and the mounted groups are. Both versions of the groups are read; of nested ones the smallest
    grant counts, since each holds.
    """
    grants = [grant for folder in _groups(root) if (grant := _grant(folder)) is not None]
    return min(grants, default=None)


def _groups(root: Path) -> Iterator[Path]:
    """The folders of the groups of this process that can limit its processors, and of those around them."""
    try:
        own = (root / "proc/self/cgroup").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        mounts = (root / "proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return
    paths: dict[str, str] = {}  # by version
    for line in own:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            paths["cgroup2"] = path
        elif "cpu" in controllers.split(","):
            paths["cgroup"] = path
    for line in mounts:
        # number, parent, device, root of the mount, where it is mounted, options, ..., "-", kind, source, options
        before, _, after = line.partition(" - ")
        place, kind = before.split(), after.split()
        if len(place) < 5 or len(kind) < 3 or kind[0] not in paths:
            continue
        if kind[0] == "cgroup" and "cpu" not in kind[2].split(","):
            continue
        top, mounted = place[3], root / _unescaped(place[4]).lstrip("/")
        path = paths[kind[0]]
        inside = path.removeprefix(top).strip("/") if path == top or path.startswith(top.rstrip("/") + "/") else ""
        folder = mounted / inside  # where the path lies outside of what is mounted, the top of it is all that shows
        yield from (above for above in (folder, *folder.parents) if above == mounted or mounted in above.parents)


def _grant(folder: Path) -> float | None:
    """What one group grants; None for no limit, and for what cannot be read."""
    try:
        if (folder / "cpu.max").is_file():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        microseconds, each = float(quota), float(period)
    except (OSError, ValueError):  # "max" is no number
        return None
    return microseconds / each if microseconds > 0 and each > 0 and math.isfinite(microseconds / each) else None


def _unescaped(path: str) -> str:
    r"""A path as /proc writes it, where a space is \040."""
    for code, letter in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(code, letter)
    return path
