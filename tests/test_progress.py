"""The bar: what goes by comes out, whatever it is called and whoever looks."""

import io
import sys

import pytest

from iqassay.progress import with_bar


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
