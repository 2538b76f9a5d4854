"""Work on many things in threads, and get the answers in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Thing = TypeVar("Thing")
Answer = TypeVar("Answer")

WORKERS = 4  # at most: each holds a picture and what the network works with


def in_order(function: Callable[[Thing], Answer], things: Iterable[Thing], workers: int) -> Iterator[Answer]:
    """function(thing) for one after another, worked out in so many threads and given in the order of the things.

    Things are taken from the iterable as they are needed, at most 2 * workers ahead of the answers that were asked for,
    so it may be endless. What a call raises is raised in its place and ends the rest.
    """
    waiting: deque[Future[Answer]] = deque()
    with ThreadPoolExecutor(workers) as threads:
        try:
            for thing in things:
                waiting.append(threads.submit(function, thing))
                if len(waiting) >= 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def leads() -> bool:
    """Whether this is the first of the processes that train one network on several devices, or the only one.

    By the variables that Lightning and the launchers of torch and Slurm set. What is written is the first one's affair.
    """
    ranks = (os.environ[name] for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID") if name in os.environ)
    return next(ranks, "0") == "0"
