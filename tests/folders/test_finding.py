from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from iqassay.folders.finding import find_pictures, places, read_paths
from iqassay.support.errors import UsageError


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("a/img10.png", "a/img2.jpg", "a/deep/x.PNG", "b/y.webp", "b/notes.txt", ".hidden/z.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(*paths: str, recursive: bool = False) -> list[str]:
    return [path.replace(os.sep, "/") for path in find_pictures(paths, recursive)]


def test_patterns_find_pictures_in_natural_order(place: Path) -> None:
    assert found("a/*") == ["a/img2.jpg", "a/img10.png"]
    assert found("**/*") == ["a/deep/x.PNG", "a/img2.jpg", "a/img10.png", "b/y.webp"]
    assert found("*/img?.jpg", "b") == ["a/img2.jpg", "b/y.webp"]
    with pytest.raises(UsageError, match="no pictures fit this pattern"):
        find_pictures(["b/*.png"])


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("**/img?.jpg", ["a/img2.jpg"]),
        ("a/**/x.*", ["a/deep/x.PNG"]),
        ("./?/**/*.PNG", ["./a/deep/x.PNG"]),
        ("**/a/**/deep/**", ["a/deep/x.PNG"]),
        ("b/**", ["b/y.webp"]),
        ("a/**/**/img2.jpg", ["a/img2.jpg"]),
    ],
)
def test_two_stars_stand_for_any_folders(place: Path, pattern: str, wanted: list[str]) -> None:
    assert found(pattern) == wanted
    assert found((place / pattern).as_posix()) == [(place / path).as_posix() for path in wanted]


@pytest.mark.skipif(os.name == "nt", reason="links need rights")
def test_two_stars_do_not_go_through_links_in_circles(place: Path) -> None:
    for name in ("one", "two", "three"):
        (place / "a" / name).symlink_to(place / "a")  # 3 ** 40 ways, for who follows them
    assert found("a/**/*.jpg") == ["a/img2.jpg"]
    assert found("a/one/**/*.jpg") == ["a/one/img2.jpg"]


def test_a_file_that_looks_like_a_pattern_is_a_file(place: Path) -> None:
    (place / "a[1].png").touch()
    (place / "a1.png").touch()
    assert found("a[1].png") == ["a[1].png"]


def test_what_is_wrong_is_said_before_the_first_picture(place: Path) -> None:
    (place / "empty").mkdir()
    for path in ("nowhere", "empty", "nul\0"):
        with pytest.raises(UsageError):
            find_pictures(["a", path])


def test_folders_are_read_one_at_a_time(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: (opened.append(os.path.basename(path)), scandir(path))[1])
    pictures = find_pictures([str(place)], recursive=True)
    assert opened == [place.name, "a", "deep"], "up to the first picture"
    list(itertools.islice(pictures, 3))
    assert "b" not in opened


def test_folders_that_are_written_to_are_left_out_unless_they_are_asked_for(place: Path) -> None:
    def found_without(*paths: str) -> list[str]:
        names = find_pictures(paths, recursive=True, without=[str(place / "a"), "nowhere", ""])
        return [path.replace(os.sep, "/") for path in names]

    assert found_without(".") == ["./b/y.webp"]
    assert found_without("**/*") == ["b/y.webp"]
    assert found_without("a") == found("a", recursive=True)
    assert found_without("a/*.jpg", "a/deep") == ["a/img2.jpg", "a/deep/x.PNG"]


def test_folders_a_thousand_deep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(1100):
        os.mkdir("d")
        os.chdir("d")
    Path("x.png").touch()
    monkeypatch.chdir(tmp_path)
    deepest = list(find_pictures(["d"], recursive=True))
    assert len(deepest) == 1
    while os.path.isdir("d"):  # pytest's own way to remove folders calls itself
        os.rename("d", "old")
        if os.path.isdir("old/d"):
            os.rename("old/d", "d")
        for name in os.listdir("old"):
            os.remove(f"old/{name}")
        os.rmdir("old")


@pytest.mark.parametrize(
    ("picture", "paths", "place"),
    [
        ("shots/day/a.jpg", ["shots"], "day/a.jpg"),
        ("shots/day/a.jpg", ["shots/day", "shots"], "a.jpg"),
        ("a.jpg", ["."], "a.jpg"),
        ("shots/a.jpg", ["shots/a.jpg"], "a.jpg"),
        ("shots/day/a.jpg", ["shots/**/*.jpg"], "day/a.jpg"),
        ("a.jpg", ["*.jpg"], "a.jpg"),
        ("../other/a.jpg", ["b.jpg", "../other"], "a.jpg"),
        ("/else/a.jpg", ["shots"], "a.jpg"),
    ],
)
def test_where_a_picture_lies(
    picture: str, paths: list[str], place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "shots" / "day").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (Path("shots") / "a.jpg").touch()
    assert places(paths)(picture) == place.replace("/", os.sep)


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b"a.png\nb c.png\n", ["a.png", "b c.png"]),
        (b"a.png\r\n\r\nb.png", ["a.png", "b.png"]),
        (b"a\nb.png\0c.png\0", ["a\nb.png", "c.png"]),
        (b"", []),
        (b"x" * 70_000 + b"\ny", ["x" * 70_000, "y"]),
    ],
)
def test_lists_of_paths(content: bytes, names: list[str], tmp_path: Path) -> None:
    listing = tmp_path / "list"
    listing.write_bytes(content)
    assert list(read_paths(str(listing))) == names
    with pytest.raises(UsageError, match=r"--files-from .*nowhere"):
        read_paths(str(tmp_path / "nowhere"))


def test_a_list_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    with open(write, "wb") as end:
        end.write(b"a.png\n")
    saved = os.dup(0)
    try:
        os.dup2(read, 0)
        assert list(read_paths("-")) == ["a.png"]
    finally:
        os.dup2(saved, 0)
        os.close(saved)
        os.close(read)
