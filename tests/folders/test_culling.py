from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from iqassay.folders import culling
from iqassay.folders.culling import Step, carry_out, plan


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("a.jpg", "day/a.jpg", "day/b.jpg"):
        path = tmp_path / "shots" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


PICTURES = [os.path.join("shots", "a.jpg"), os.path.join("shots", "day", "b.jpg")]


def content(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


@pytest.mark.parametrize("how", ["copy", "move", "link"])
def test_pictures_keep_their_place_below_the_folder(place: Path, how: str) -> None:
    before = content(place / "shots")
    steps = list(plan(PICTURES, ["shots"], "out"))
    assert not (place / "out").exists(), "planning writes nothing"
    assert [carry_out(step, how) for step in steps] == ["done", "done"]
    assert content(place / "out") == {"a.jpg": "a.jpg", "day/b.jpg": "day/b.jpg"}
    after = content(place / "shots")
    assert after == ({"day/a.jpg": "day/a.jpg"} if how == "move" else before)
    assert (place / "out" / "a.jpg").is_symlink() == (how == "link")


def test_a_second_time_there_is_nothing_to_do(place: Path) -> None:
    for _ in range(2):
        states = [(step.state, carry_out(step, "copy")) for step in plan(PICTURES, ["shots"], "out")]
    assert states == [("done", "done")] * 2


@pytest.mark.parametrize("how", ["copy", "move", "link"])
def test_nothing_is_overwritten(place: Path, how: str) -> None:
    (place / "out").mkdir()
    (place / "out" / "a.jpg").write_text("mine")
    step, _ = plan(PICTURES, ["shots"], "out")
    assert "is there already" in step.state
    assert carry_out(step, how) == step.state
    # Even when it came between the plan and the deed.
    assert "is there already" in carry_out(Step(step.source, step.target), how)
    assert (place / "out" / "a.jpg").read_text() == "mine"
    assert (place / "shots" / "a.jpg").read_text() == "a.jpg"
    assert not list((place / "out").glob("*.partial"))


def test_two_pictures_that_want_one_place(place: Path) -> None:
    named = [os.path.join("shots", "a.jpg"), os.path.join("shots", "day", "a.jpg")]
    first, second = plan(named, named, "out")
    assert first.state == "to do"
    assert "wanted for" in second.state


@pytest.mark.parametrize("how", ["copy", "move"])
def test_another_file_system_and_one_without_hard_links(place: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    def other_system(source: str, target: str) -> None:
        if not source.endswith(".partial"):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(source, target)

    rename = os.rename
    monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setattr(os, "rename", other_system)
    (step,) = plan(PICTURES[:1], ["shots"], "out")
    assert carry_out(step, how) == "done"
    assert content(place / "out") == {"a.jpg": "a.jpg"}
    assert (place / "shots" / "a.jpg").exists() == (how == "copy")


def test_a_disk_that_is_full_leaves_no_half_file(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: str, target: str) -> None:
        Path(target).write_text("ha")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(culling.shutil, "copy2", full)
    (step,) = plan(PICTURES[:1], ["shots"], "out")
    assert "No space left" in carry_out(step, "copy")
    assert content(place / "out") == {}
