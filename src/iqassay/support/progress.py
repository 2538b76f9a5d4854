"""A bar on standard error while things go by, when a person is looking."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TypeVar

Thing = TypeVar("Thing")
PAUSE = 0.2  # seconds: drawing the bar anew after every row would take longer than most rows


def with_bar(
    things: Iterable[Thing], total: int | Callable[[], int] | None, title: str = "", same_screen: bool = False
) -> Iterator[Thing]:
    """Hand things on and show how many have gone by, how fast, and the time left, if there is something to wait for.

    total: how many will come, None for who knows; a function that takes its time to count them is called in a thread,
    and the bar says so when it knows. same_screen: who takes the things writes to the terminal too: the bar is taken
    away while they do.
    """
    if total in (0, 1) or not sys.stderr.isatty():
        yield from things
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
            count = total

            def look() -> None:
                with suppress(Exception):  # what is wrong will be said of the things themselves
                    bar.update(task, total=count())

            threading.Thread(target=look, daemon=True).start()
        shown = time.monotonic()
        for thing in things:
            bar.advance(task)
            if same_screen:
                bar.stop()
            yield thing
            if same_screen and time.monotonic() - shown >= PAUSE:
                shown = time.monotonic()
                bar.start()
