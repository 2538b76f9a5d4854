"""A bar on standard error while things go by, when a person is looking."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

Thing = TypeVar("Thing")


def with_bar(things: Iterable[Thing], total: int, title: str = "", same_screen: bool = False) -> Iterator[Thing]:
    """Hand things on and show how many have gone by, and the time left, if there is something to wait for.

    same_screen: who takes the things writes to the terminal too: the bar is taken away while they do.
    """
    if total < 2 or not sys.stderr.isatty():
        yield from things
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    titles = (TextColumn("{task.description}", markup=False),) if title else ()  # a set may be called [/x]
    columns = (*titles, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as bar:
        task = bar.add_task(title, total=total)
        for thing in things:
            bar.advance(task)
            if same_screen:
                bar.stop()
            yield thing
            if same_screen:
                bar.start()
