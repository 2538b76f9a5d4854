"""Which endings are pictures, and what the others are called."""

from __future__ import annotations

import sys

import pytest

from iqassay.pictures.formats import OTHERS, SUFFIXES, installed, is_picture, is_video


def test_no_ending_is_both_read_and_not() -> None:
    assert not SUFFIXES & OTHERS.keys()
    assert all(ending == ending.lower() and ending[0] == "." for ending in OTHERS)


@pytest.mark.parametrize(
    ("ending", "many", "extra"),
    [
        (".CR3", "RAW", "raw"),
        (".jxl", "JPEG XL", "jxl"),
        (".psd", "Photoshop documents", ""),
        (".mov", "videos", "video"),
    ],
)
def test_what_lies_beside_pictures_is_known(ending: str, many: str, extra: str) -> None:
    kind = OTHERS[ending.lower()]
    assert (kind.many, kind.extra) == (many, extra)


def test_a_kind_is_a_picture_once_its_extra_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_picture("a/b.JPG")
    assert not is_picture("a/b.psd")
    assert not is_picture("jpg")
    assert not is_picture("x.mp4")  # with or without the extra: its frames are scored where they are asked for
    assert is_video("x.MP4")
    assert not is_video("x.jpg")
    for module, extra, name in (("rawpy", "raw", "x.NEF"), ("pillow_jxl", "jxl", "x.jxl")):
        monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
        assert not installed(extra)
        assert not is_picture(name)
        monkeypatch.undo()
        if installed(extra):
            assert is_picture(name)
