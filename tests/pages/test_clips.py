"""Videos on the report of a folder: the mean, the worst and a line of each, and frames shown from the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_folder_report import page_of, record, written

from iqassay.folders.columns import read_columns
from iqassay.folders.folder import Pair, score_pairs
from iqassay.folders.frames import with_frames
from iqassay.models.opening import open_scorer
from iqassay.pages.clips import POINTS, clips_of
from iqassay.pictures.video import every


def frames(path: str, scores: list[float]) -> list[dict]:
    return [record(path, score, frame=10 * at, time=at * 0.5) for at, score in enumerate(scores)]


def test_of_each_video_there_are_the_mean_the_worst_and_a_line() -> None:
    records = [*frames("a/x.mp4", [60, 40, 80]), record("a/p.jpg", 5.0), *frames("b/x.mp4", [50])]
    clips = clips_of(read_columns([*records, {"path": "b/x.mp4", "error": "cut short"}]))
    assert [(clip.folder, clip.name, clip.frames, clip.mean) for clip in clips.all] == [
        ("b/", "x.mp4", 1, 50),
        ("a/", "x.mp4", 3, 60),
    ]
    assert (clips.low, clips.high) == (40, 80)
    longer = clips.all[1]
    assert (longer.worst, longer.worst_time, longer.worst_row) == (40, 0.5, 1)
    assert (longer.line, longer.spot) == ("0,50 50,100 100,0", (50, 100))
    assert clips.all[0].line == "50,75"


@pytest.mark.parametrize(("scores", "ends"), [([100, 100], (80, 100)), ([0.5], (0, 20)), ([33, 34], (20, 50))])
def test_the_range_of_the_lines(scores: list[float], ends: tuple[int, int]) -> None:
    clips = clips_of(read_columns(frames("x.mp4", scores)))
    assert (clips.low, clips.high) == ends


def test_a_long_video_keeps_its_worst_frame_on_the_line() -> None:
    scores = [70.0] * 5000
    scores[3333] = 10
    (clip,) = clips_of(read_columns(frames("x.mp4", scores))).all
    points = clip.line.split()
    assert len(points) <= POINTS
    assert f"{clip.spot[0]:g},{clip.spot[1]:g}" in points
    assert clip.worst_time == 3333 * 0.5


def test_no_video_no_card(tmp_path: Path) -> None:
    assert clips_of(read_columns([record("a.jpg", 50.0)])).all == []
    page = page_of(written(tmp_path / "r.jsonl", [record("a.jpg", 50.0)]), tmp_path, examples=0)
    assert "Videos" not in page.text
    assert "media-src" not in page.html


def test_a_page_of_a_video(tmp_path: Path, tiny_model: Path) -> None:
    pytest.importorskip("av")
    from clips import flat, write_clip

    planes = [flat([round(2.55 * score)], size=(96, 64)) for score in (20, 60, 40)]
    path = write_clip(tmp_path / "a & b.mkv", planes, "gray", range_=2)
    pairs = with_frames([Pair(str(path))], every("1f"))
    found = [result.record() for result in score_pairs(open_scorer(str(tiny_model)), pairs)]
    page = page_of(written(tmp_path / "r.jsonl", found), tmp_path, model=str(tiny_model))
    assert page.notes == []
    assert "Quality of 3 frames of 1 video" in page.text
    assert "3 frames, mean 40.0 , worst 20.0 at 0.000 s" in page.text
    assert "media-src file: 'self'" in page.html
    assert f"text={str(path).replace(' ', '%20').replace('&', '%26')}" in page.html
    assert len(page.images) == 6  # three frames and their heatmaps
    assert len({image["src"] for image in page.images[::2]}) == 3  # each its own frame
    assert json.loads(page.data)["frames"] == {"frame": [0, 1, 2], "time": [0, 0.1, 0.2]}
    path.unlink()
    gone = page_of(written(tmp_path / "r.jsonl", found), tmp_path, model=str(tiny_model))
    assert gone.notes[0].startswith("3 of 3 pictures not shown: ")
