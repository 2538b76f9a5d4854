"""How far things have come, on standard error: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TypeVar

Thing = TypeVar("Thing")
PAUSE = 0.2  # seconds: drawing the bar anew after every row would take longer than most rows
EVERY = 30.0  # seconds between lines, where there is no terminal


def with_bar(
    things: Iterable[Thing], total: int | Callable[[], int] | None, title: str = "", same_screen: bool = False
) -> Iterator[Thing]:
    """Hand things on and show how many have gone by, how fast, and the time left, if there is something to wait for.

    total: how many will come, None for who knows; a function that takes its time to count them is called in a thread,
    and the bar says so when it knows. same_screen: who takes the things writes to the terminal too: the bar is taken
    away while they do.

    Where standard error is no terminal but the log of a build or a job, a line says the same each 30 seconds.
    """
    if total in (0, 1):
        yield from things
        return
    if not sys.stderr.isatty():
        yield from _with_lines(things, total, title)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(TextColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:.1f}/s" if task.speed else "")

    titles = (TextColumn("{task.description}", markup=False),) if title else ()  # a set may be called [/x]
    columns = (*titles, BarColumn(), MofNCompleteColumn(), Rate(""), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as bar:
        task = bar.add_task(title, total=total if isinstance(total, int) else None)
        if callable(total):
            _count(total, lambda found: bar.update(task, total=found))
        shown = time.monotonic()
        for thing in things:
            bar.advance(task)
            if same_screen:
                bar.stop()
            yield thing
            if same_screen and time.monotonic() - shown >= PAUSE:
                shown = time.monotonic()
                bar.start()


def _count(count: Callable[[], int], tell: Callable[[int], object]) -> None:
    """Tell in a thread how many there are."""

    def look() -> None:
        with suppress(Exception):  # what is wrong will be said of the things themselves
            tell(count())

    threading.Thread(target=look, daemon=True).start()


def _with_lines(things: Iterable[Thing], total: int | Callable[[], int] | None, title: str) -> Iterator[Thing]:
    known = [total] if isinstance(total, int) else []
    start = told = time.monotonic()
    for done, thing in enumerate(things, 1):
        yield thing  # and whoever takes it has done with it when it is back
        now = time.monotonic()
        if now - told >= EVERY:
            if callable(total):  # not before it takes long enough to matter
                _count(total, known.append)
                total = None
            told = now
            with suppress(OSError):
                print(_line(title, done, known[0] if known else None, now - start), file=sys.stderr, flush=True)


def _line(title: str, done: int, total: int | None, seconds: float) -> str:
    of = f" of {total:,}" if total else ""
    left = f", about {_duration((total - done) * seconds / done)} left" if total and total > done else ""
    return f"iqassay: {title + ': ' if title else ''}{done:,}{of} done, {done / seconds:.1f}/s{left}"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{round(seconds)} s" if seconds < 90 else f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"
