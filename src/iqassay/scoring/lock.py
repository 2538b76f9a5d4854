"""Models that are opened once, by whichever thread first needs them, several at a time, and never across a fork."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Opening:
    """To be inside of while a model is opened, in as many threads as there are. A fork waits until all have left: the
    threads that open it stay behind then, and the locks that they hold would be held for ever."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside: dict[int, int] = {}  # how often a thread has entered

    def __enter__(self) -> None:
        with self._changed:
            thread = threading.get_ident()
            self._inside[thread] = self._inside.get(thread, 0) + 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            thread = threading.get_ident()
            self._inside[thread] -= 1
            if not self._inside[thread]:
                del self._inside[thread]
                self._changed.notify_all()

    def close(self) -> None:
        """Wait until no other thread is inside, and let none in."""
        self._changed.acquire()
        self._changed.wait_for(lambda: not self._inside.keys() - {threading.get_ident()})

    def reopen(self) -> None:
        """Let threads in again."""
        self._changed.release()


opening = Opening()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=opening.close, after_in_parent=opening.reopen, after_in_child=opening.reopen)


class MadeOnce(dict[Key, Value]):
    """What has been opened. Different things are opened side by side, one and the same by one thread."""

    def __init__(self) -> None:
        super().__init__()
        self._guard = threading.Lock()
        self._turns: dict[Key, threading.Lock] = {}

    def of(self, key: Key, make: Callable[[], Value]) -> Value:
        """What is there under the key; made first if there is nothing. Raises what ``make`` does."""
        if key not in self:
            with opening:
                with self._guard:
                    turn = self._turns.setdefault(key, threading.Lock())
                with turn:
                    if key not in self:
                        self[key] = make()
        return self[key]
