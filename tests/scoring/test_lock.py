"""What is opened once, several things at a time, and that a fork waits for it."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from iqassay.scoring.lock import MadeOnce, Opening


def test_one_thing_is_made_once_and_two_side_by_side() -> None:
    made, found, together = [], MadeOnce[str, str](), threading.Barrier(2)

    def make(key: str) -> str:
        together.wait(10)
        made.append(key)
        return key.upper()

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda key: found.of(key, lambda: make(key)), "abababab"))
    assert said == list("ABABABAB")
    assert sorted(made) == ["a", "b"]


def test_what_could_not_be_made_is_tried_again() -> None:
    found = MadeOnce[str, int]()
    with pytest.raises(OSError, match="not yet"):
        found.of("a", lambda: (_ for _ in ()).throw(OSError("not yet")))
    assert found.of("a", lambda: 3) == 3


def test_closing_waits_for_all_who_are_inside_but_oneself() -> None:
    opening, steps = Opening(), []
    inside, leave = threading.Event(), threading.Event()

    def work() -> None:
        with opening, opening:  # as a panel opens a member
            inside.set()
            leave.wait(10)
            steps.append("left")

    def late() -> None:
        with opening:
            steps.append("entered")

    first = threading.Thread(target=work)
    first.start()
    inside.wait(10)
    threading.Timer(0.1, leave.set).start()
    with opening:  # whoever forks may be inside
        opening.close()
    steps.append("closed")
    second = threading.Thread(target=late)
    second.start()
    time.sleep(0.1)
    steps.append("reopened")
    opening.reopen()
    first.join(10)
    second.join(10)
    assert steps == ["left", "closed", "reopened", "entered"]
