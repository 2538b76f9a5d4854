"""The bar: what goes by comes out, whatever it is called and whoever looks."""

import io
import sys
import threading

import pytest

from iqassay.support import progress
from iqassay.support.progress import with_bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("title", ["", "a set", "[/x]"])
@pytest.mark.parametrize("same_screen", [False, True])
def test_everything_comes_out_beside_a_bar(monkeypatch, title, same_screen):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    assert list(with_bar(iter("abc"), 3, title, same_screen)) == ["a", "b", "c"]
    assert title in screen.getvalue()


def test_nothing_is_shown_when_nobody_looks(capsys):
    assert list(with_bar(range(3), 3, "a set")) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_the_screen_is_not_drawn_anew_for_every_row(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    assert list(with_bar(range(2000), 2000, same_screen=True)) == list(range(2000))
    assert screen.getvalue().count("/2000") < 500


def test_what_cannot_be_counted_still_comes_out(monkeypatch):
    failed = []
    monkeypatch.setattr(threading, "excepthook", failed.append)
    asked = threading.Event()

    def gone():
        asked.set()
        raise OSError("no such folder")

    monkeypatch.setattr(sys, "stderr", Terminal())
    assert list(with_bar((thing for thing in "abc" if asked.wait(5)), gone)) == ["a", "b", "c"]
    for thread in set(threading.enumerate()) - {threading.current_thread()}:
        thread.join(0.2)
    assert not failed


@pytest.mark.parametrize("total", [1000, lambda: 1000])
def test_off_a_terminal_a_line_comes_each_half_minute(monkeypatch, capsys, total):
    clock = iter(range(0, 100000, 4))  # seconds, four for each thing
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(progress, "_count", lambda count, tell: tell(count()))
    assert list(with_bar(iter(range(30)), total, "a set")) == list(range(30))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "iqassay: a set: 8 of 1,000 done, 0.2/s, about 66 min left",
        "iqassay: a set: 16 of 1,000 done, 0.2/s, about 66 min left",
        "iqassay: a set: 24 of 1,000 done, 0.2/s, about 65 min left",
    ]


def test_without_a_number_the_line_says_how_many_so_far(monkeypatch, capsys):
    clock = iter(range(0, 1000, 20))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    assert list(with_bar("abc", None)) == ["a", "b", "c"]
    assert capsys.readouterr().err == "iqassay: 2 done, 0.1/s\n"
