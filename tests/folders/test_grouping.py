"""Groups: what shows one scene again goes together, other scenes do not, and the best of each is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import make_photo
from PIL import Image, ImageFilter
from PIL.ExifTags import IFD
from PIL.ExifTags import Base as Tag

from iqassay.cli import main
from iqassay.folders.grouping import find_groups, glance, lost_tones, rank, tones_of
from iqassay.folders.records import read_records
from iqassay.pictures.capture import Capture, read_capture
from iqassay.scoring.scorer import Scorer

Run = Callable[..., SimpleNamespace]


def scene(seed: int, size: tuple[int, int] = (160, 120)) -> Image.Image:
    """A picture of its own: smooth random patches."""
    small = np.random.default_rng(seed).integers(40, 200, (9, 11, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def save(image: Image.Image, path: Path, second: float | None = None, camera: str = "One") -> Path:
    """A JPEG that was taken so many seconds after noon."""
    exif = Image.Exif()
    exif[Tag.Make] = camera
    if second is not None:
        exif.get_ifd(IFD.Exif)[Tag.DateTimeOriginal] = f"2026:05:01 12:00:{int(second):02d}"
        exif.get_ifd(IFD.Exif)[0x9291] = f"{round(second % 1 * 1000):03d}"
    image.save(path, quality=95, exif=exif)
    return path


def groups_of(*paths: Path, empty: tuple[Path, ...] = ()) -> list[list[str]]:
    found = find_groups([glance(str(path), path in empty) for path in paths])
    return [[paths[at].stem for at in group] for group in found]


# ---- what goes together ---------------------------------------------------------------------------------------------


def test_a_scene_seen_again_goes_together_and_another_does_not(tmp_path: Path) -> None:
    paths = [
        save(scene(1), tmp_path / "a.jpg"),
        save(scene(2), tmp_path / "other.jpg"),
        save(scene(1).filter(ImageFilter.GaussianBlur(3)), tmp_path / "blurred.jpg"),
        save(scene(1).resize((80, 60)), tmp_path / "small.jpg"),
        save(scene(2).point(lambda value: value // 2), tmp_path / "dark.jpg"),
        save(scene(3), tmp_path / "alone.jpg"),
    ]
    assert groups_of(*paths) == [["a", "blurred", "small"], ["other", "dark"]]


@pytest.mark.parametrize("box", [(12, 9, 148, 111), (0, 0, 140, 105), (20, 15, 160, 120)])
def test_a_part_of_a_picture_goes_with_it(tmp_path: Path, box: tuple[int, int, int, int]) -> None:
    whole, part = save(scene(1), tmp_path / "whole.jpg"), save(scene(1).crop(box), tmp_path / "part.jpg")
    other = save(scene(2), tmp_path / "other.jpg")
    assert groups_of(whole, other, part) == [["whole", "part"]]


def test_time_helps_where_pictures_are_somewhat_alike(tmp_path: Path) -> None:
    mixed = Image.blend(scene(1), scene(2), 0.45)

    def groups(second: float, camera: str = "One") -> list[list[str]]:
        return groups_of(save(scene(1), tmp_path / "a.jpg", 10), save(mixed, tmp_path / "b.jpg", second, camera))

    assert groups(12.5) == [["a", "b"]]
    assert groups(13.5) == []
    assert groups(12.5, camera="Two") == []
    assert groups_of(save(scene(1), tmp_path / "a.jpg", 10), save(scene(3), tmp_path / "c.jpg", 10.1)) == []


def test_an_empty_picture_belongs_to_what_was_taken_at_once(tmp_path: Path) -> None:
    black = save(Image.new("RGB", (160, 120)), tmp_path / "black.jpg", 10.9)
    photo, later = save(scene(1), tmp_path / "a.jpg", 10.2), save(scene(2), tmp_path / "b.jpg", 14)
    assert groups_of(photo, black, later, empty=(black,)) == [["a", "black"]]
    assert groups_of(photo, save(Image.new("RGB", (160, 120)), black, 12), later, empty=(black,)) == []
    assert find_groups([]) == []


# ---- when it was taken ----------------------------------------------------------------------------------------------


def test_the_time_of_capture_has_fractions_and_a_camera(tmp_path: Path) -> None:
    first = read_capture(str(save(scene(1), tmp_path / "a.jpg", 10.25, "Maker")))
    second = read_capture(str(save(scene(1), tmp_path / "b.jpg", 11, "Maker")))
    assert first.camera == "Maker"
    assert first.time is not None
    assert second.time is not None
    assert second.time - first.time == pytest.approx(0.75)


def test_without_a_time_there_is_none(tmp_path: Path) -> None:
    scene(1).save(tmp_path / "a.png")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    exif = Image.Exif()
    exif.get_ifd(IFD.Exif)[Tag.DateTimeOriginal] = "0000:00:00 00:00:00"
    scene(1).save(tmp_path / "zero.jpg", exif=exif)
    for name in ("a.png", "broken.jpg", "zero.jpg", "missing.jpg"):
        assert read_capture(str(tmp_path / name)) == Capture()


# ---- which is the best ----------------------------------------------------------------------------------------------


def test_tones_that_the_exposure_lost_count_against_it() -> None:
    photo = make_photo(60, 80)
    tones = [tones_of(pixels) for pixels in (photo, np.clip(photo * 3, 0, 1), photo / 6)]
    lost = [lost_tones(one, tones) for one in tones]
    assert lost[0] < 0.3
    assert lost[1] > 5
    assert lost[2] > 3
    assert tones[1][0] > 0.4
    assert tones_of(np.zeros((8, 8, 3), np.uint8)) == (0, 0)


def test_an_empty_picture_is_never_the_best_and_a_small_copy_never_before_its_original(
    tmp_path: Path, tiny_model: Path
) -> None:
    scorer = Scorer(tiny_model, threads=1)
    pictures = {"whole": scene(1), "small": scene(1).resize((80, 60)), "dark": scene(1).point(lambda v: v // 2)}
    pictures["white"] = Image.new("RGB", (160, 120), "white")
    records = []
    for name, image in pictures.items():
        image.save(tmp_path / f"{name}.png")
        verdict = scorer.score(tmp_path / f"{name}.png")
        sizes = {"width": image.width, "height": image.height, "bytes": 1}
        records.append({**verdict.record(str(tmp_path / f"{name}.png")), **sizes})
    found = dict(zip(pictures, rank(records, [False, False, False, True], scorer), strict=True))
    assert {name: place for name, (place, _) in found.items()} == {"whole": 1, "small": 2, "dark": 3, "white": 4}
    assert found["white"][1] == 0
    assert sum(best for _, best in found.values()) == pytest.approx(1, abs=2e-4)
    assert rank(records[3:], [True], scorer) == [(1, 1.0)]


def test_a_crop_is_judged_as_it_is_and_a_small_copy_at_one_size(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = Scorer(tiny_model, threads=1)
    said = {"low": 0.0, "high": 100.0, "bytes": 1}
    whole, crop = scene(1), scene(1).crop((10, 8, 150, 112))  # 1.3 times the pixels
    records = []
    for name, image, score in (("whole", whole, 60.0), ("crop", crop, 50.0), ("small", whole.resize((80, 60)), 70.0)):
        image.save(tmp_path / f"{name}.png")
        path = str(tmp_path / f"{name}.png")
        records.append({"path": path, "score": score, "width": image.width, "height": image.height, **said})
    again: list[object] = []
    score = Scorer.score
    monkeypatch.setattr(Scorer, "score", lambda self, *sources: (again.append(sources), score(self, *sources))[1])
    assert [place for place, _ in rank(records[:2], [False, False], scorer)] == [1, 2]
    assert again == []
    rank(records, [False] * 3, scorer)
    assert len(again) == 3


# ---- the command ----------------------------------------------------------------------------------------------------


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two scenes, one of them three times, and a broken file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    save(scene(1), tmp_path / "in/a.jpg")
    save(scene(1).point(lambda value: value * 3 // 4), tmp_path / "in/b.jpg")
    save(scene(1).point(lambda value: value // 2), tmp_path / "in/c.jpg")
    save(scene(2), tmp_path / "in/d.jpg")
    return tmp_path


@pytest.fixture
def run(album: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: object) -> SimpleNamespace:
        status = main(["group", "in", *map(str, words), "--model", str(tiny_model), "--threads", "1"])
        caught = capsys.readouterr()
        return SimpleNamespace(status=status, out=caught.out, err=caught.err)

    return run


def test_groups_are_told_with_the_best_first(run: Run) -> None:
    result = run()
    assert (result.status, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0] == "group 1, 3 pictures"
    assert [Path(line.split()[0]).name for line in lines[1:4]] == ["a.jpg", "b.jpg", "c.jpg"]
    assert "the best with probability 0." in lines[1]
    assert lines[4:] == ["3 pictures in 1 group, 1 alone"]


@pytest.mark.parametrize("form", ["json", "jsonl", "csv", "parquet"])
def test_results_say_group_place_and_probability(run: Run, album: Path, form: str) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    (album / "in/0.jpg").write_bytes(b"nothing")
    result = run("-o", f"out.{form}")
    assert result.status == 1
    assert result.err == "iqassay: 1 of 5 pictures could not be scored\n"
    broken, *found = list(read_records(f"out.{form}"))
    assert broken["error"].startswith("got a file of no known picture type")
    assert [(record.get("group"), record.get("place")) for record in found] == [(1, 1), (1, 2), (1, 3), (None, None)]
    assert sum(record["best"] for record in found[:3]) == pytest.approx(1, abs=2e-4)
    if form == "json":
        assert json.loads(Path("out.json").read_text()) == [broken, *found]


def test_all_but_the_best_are_moved_after_a_dry_run(run: Run, album: Path) -> None:
    dry = run("--keep-best", "others")
    assert "--keep-best others: 2 pictures would be moved (a dry run: --yes does it)" in dry.err
    assert not (album / "others").exists()
    done = run("--keep-best", "others", "--yes")
    assert done.err == "iqassay: --keep-best others: 2 pictures moved\n"
    assert sorted(path.name for path in (album / "others").iterdir()) == ["b.jpg", "c.jpg"]
    assert sorted(path.name for path in (album / "in").iterdir()) == ["a.jpg", "d.jpg"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--yes"], "--yes: got nothing to do, want --keep-best"),
        (["--keep-best", "in/a.jpg"], "--keep-best in/a.jpg: is a file, want a folder"),
        (["--keep-best", ""], "is nothing, want a folder"),
    ],
)
def test_wrong_usage_is_one_line(run: Run, words: list[str], reason: str) -> None:
    result = run(*words)
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert reason in result.err
