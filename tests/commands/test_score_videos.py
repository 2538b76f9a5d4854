"""`iqassay score` on videos: one row a frame, in every format, from the cache the second time; and refusals."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from iqassay.cli import main
from iqassay.folders.records import read_records
from iqassay.scoring.scorer import Scorer
from iqassay.support.install import install_command, needs

pytest.importorskip("av")
from clips import flat, write_clip

Run = Callable[..., SimpleNamespace]


@pytest.fixture
def run(tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """`iqassay score` in a folder with album/a.png (of score 20) and album/clip.mkv, whose frames become brighter."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "album").mkdir()
    Image.fromarray(np.full((70, 80, 3), 51, np.uint8)).save(tmp_path / "album" / "a.png")
    write_clip(tmp_path / "album" / "clip.mkv", brighter(25), "gray", range_=2)

    def run(*words: str) -> SimpleNamespace:
        status = main(["score", *words, "--model", str(tiny_model), "--threads", "1"])
        caught = capsys.readouterr()
        return SimpleNamespace(status=status, out=caught.out, err=caught.err)

    return run


def brighter(count: int) -> list:
    """Frames of 96x64 pixels of scores 20, 22, 24, ... by a model that looks at their brightness."""
    return [flat([round(2.55 * (20 + 2 * number))], size=(96, 64)) for number in range(count)]


def rows(text: str) -> list[tuple]:
    records = [json.loads(line) for line in text.splitlines()]
    return [(one["path"], one.get("frame"), one.get("time"), round(one["score"])) for one in records]


CLIP = [("album/clip.mkv", 0, 0.0, 20), ("album/clip.mkv", 10, 1.0, 40), ("album/clip.mkv", 20, 2.0, 60)]


def test_a_named_video_gives_a_row_for_each_second(run: Run) -> None:
    result = run("album/clip.mkv", "--format", "jsonl")
    assert (result.status, rows(result.out)) == (0, CLIP)
    first = json.loads(result.out.splitlines()[0])
    assert (first["width"], first["height"]) == (96, 64)
    assert "bytes" not in first  # that is the file's


def test_videos_of_folders_are_scored_where_it_is_asked_for(run: Run) -> None:
    result = run("album", "--every", "1s", "--format", "jsonl")
    assert rows(result.out) == [("album/a.png", None, None, 20), *CLIP]
    assert result.err == ""
    result = run("album", "--every", "20f", "--format", "jsonl", "--sort", "best", "--top", "1")
    assert rows(result.out) == [CLIP[2]]
    result = run("album", "--format", "jsonl")
    assert rows(result.out) == [("album/a.png", None, None, 20)]
    assert result.err == "iqassay: left out: 1 video (`iqassay score --every 1s` scores frames)\n"


def test_a_table_says_the_mean_and_the_worst_of_each_video(run: Run) -> None:
    result = run("album", "--every", "1s")
    head, picture, *frames = result.out.splitlines()
    assert [line.split("  ")[0] for line in frames] == [f"album/clip.mkv at {time}.000 s" for time in range(3)]
    assert head.index("score") == frames[0].index(" 20.0")
    assert picture.startswith("album/a.png ")
    assert result.err == "iqassay: album/clip.mkv: 3 frames, mean 40.0, worst 20.0 at 0.000 s\n"


@pytest.mark.parametrize("ending", ["csv", "json", "jsonl", "parquet"])
def test_every_format_holds_frames(run: Run, ending: str) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    assert run("album", "--every", "1s", "-o", f"r.{ending}").status == 0
    found = list(read_records(f"r.{ending}"))
    assert [(one["path"], one.get("frame"), one.get("time"), round(one["score"])) for one in found[1:]] == CLIP
    assert "frame" not in found[0]
    assert "bytes" not in found[1]


def test_a_second_run_scores_no_frame(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run("album/clip.mkv", "--format", "jsonl")
    monkeypatch.setattr(Scorer, "score", None)
    assert run("album/clip.mkv", "--format", "jsonl").out == first.out


def test_what_was_decoded_of_a_damaged_video_is_kept(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "album" / "clip.mkv"
    file.write_bytes(file.read_bytes()[:-200])
    result = run("album", "--every", "1s", "-o", "r.csv")
    assert result.status == 1
    *found, last = read_records("r.csv")
    assert len(found) >= 3
    assert last["path"] == "album/clip.mkv"
    assert last["error"].startswith("got a video that ends early, at about ")
    assert result.err.endswith(f"1 of {len(found) + 1} pictures could not be scored\n")


def test_maps_of_frames_have_their_numbers(run: Run, tmp_path: Path) -> None:
    assert run("album", "--every", "10f", "--map", "maps", "--format", "jsonl").status == 0
    names = sorted(path.name for path in (tmp_path / "maps").iterdir())
    assert names == ["a.png.png", *(f"clip.mkv.frame0000{number:02}.png" for number in (0, 10, 20))]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["album", "--every", "2"], "--every: got '2', want seconds or frames, such as 1s, 500ms or 10f"),
        (
            ["album", "--every", "1s", "--ref", "album"],
            "--every: got --ref too, and videos are scored without references",
        ),
        (
            ["album/clip.mkv", "--ref", "album"],
            "album/clip.mkv: got --ref too, and videos are scored without references",
        ),
        (
            ["album", "--every", "1s", "--move-to", "x"],
            "--every: got --move-to too, which takes pictures, not frames of videos",
        ),
    ],
)
def test_what_videos_do_not_go_with(run: Run, words: list[str], said: str) -> None:
    result = run(*words)
    assert (result.status, result.out) == (2, "")
    assert said in result.err


def test_without_the_extra(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)  # as if it were not installed
    result = run("album", "--every", "1s")
    assert result.status == 2
    assert result.err.endswith(f"--every: {needs('this', 'PyAV', 'video')}\n")
    result = run("album", "--format", "jsonl")
    assert result.err == f"iqassay: left out: 1 video (want {install_command('video')})\n"
    result = run("album/clip.mkv", "--format", "jsonl")
    assert result.status == 1
    assert json.loads(result.out)["error"] == f"got a video, which needs `{install_command('video')}`"


def test_frames_take_no_stars(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("album", "--every", "1s", "-o", "r.csv")
    assert main(["stars", "r.csv", "--rate", "1:1", "--yes"]) == 0
    assert "1 picture were given stars: 1 with 1; 3 frames of videos, which take no stars" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "album").glob("*.xmp")] == ["a.png.xmp"]
