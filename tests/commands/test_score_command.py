"""`iqassay score` on folders: the cache, choosing and sorting, copying what is chosen."""

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
from iqassay.support.install import install_command

Run = Callable[..., SimpleNamespace]


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three pictures of scores 20, 60 and 40, one of them in a subfolder, and a broken one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "album" / "sub").mkdir(parents=True)
    for name, value in (("a.png", 51), ("sub/b.png", 153), ("c.png", 102)):
        Image.fromarray(np.full((70, 80, 3), value, np.uint8)).save(tmp_path / "album" / name)
    (tmp_path / "album" / "broken.png").write_bytes(b"nothing")
    return tmp_path / "album"


@pytest.fixture
def run(album: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """`iqassay score album -r` and more words, as JSON lines."""

    def run(*words: object, of: tuple[str, ...] = ("album", "-r")) -> SimpleNamespace:
        options = ["--model", str(tiny_model), "--threads", "1", "--format", "jsonl", *map(str, words)]
        status = main(["score", *of, *options])
        caught = capsys.readouterr()
        records = [] if status == 2 else [json.loads(line) for line in caught.out.splitlines()]
        names = " ".join(Path(record["path"]).stem for record in records)
        return SimpleNamespace(status=status, records=records, names=names, err=caught.err)

    return run


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """One for each picture that is scored and not taken from the cache."""
    made: list[object] = []
    score = Scorer.score

    def count(self: Scorer, *sources: object) -> object:
        made.append(sources)
        return score(self, *sources)  # type: ignore[arg-type]

    monkeypatch.setattr(Scorer, "score", count)
    return made


def test_a_second_run_scores_nothing_and_says_the_same(run: Run, calls: list[object]) -> None:
    first = run()
    assert len(calls) == 3
    again = run()
    assert len(calls) == 3
    assert again == first
    assert run("--verify") == first
    assert len(calls) == 3
    assert run("--no-cache") == first
    assert len(calls) == 6


def test_a_cache_of_ones_own(run: Run, calls: list[object], tmp_path: Path) -> None:
    for _ in range(2):
        run("--cache", tmp_path / "mine.sqlite")
    assert len(calls) == 3
    run()
    assert len(calls) == 6
    assert (tmp_path / "mine.sqlite").exists()


def test_a_cache_that_cannot_be_used_is_no_reason_to_stop(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "bad.sqlite").write_bytes(b"nothing of the kind" * 100)
    refused = run("--cache", tmp_path / "bad.sqlite")
    assert refused.status == 2
    assert "cannot be used: file is not a database" in refused.err
    monkeypatch.setenv("IQASSAY_CACHE", str(tmp_path / "bad.sqlite"))
    assert run().names == "a broken c b"
    assert [record.getMessage().count("\n") for record in caplog.records] == [0]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ([], "a broken c b"),
        (["--sort", "best"], "b c a broken"),
        (["--sort", "worst"], "a c b broken"),
        (["--top", "1"], "b"),
        (["--top", "2", "--sort", "worst"], "a c"),
        (["--below", "40"], "a"),
        (["--above", "20", "--sort", "worst"], "c b"),
    ],
)
def test_which_and_in_which_order(run: Run, words: list[str], names: str) -> None:
    result = run(*words)
    assert (result.names, result.status) == (names, 1)
    said = "iqassay: 1 of 4 pictures could not be scored"
    if "broken" not in names:  # what was asked for are pictures; that one failed is told apart
        said += f"; the first: {Path('album', 'broken.png')}: got a file of no known picture type (it starts with"
        said += " b'nothing'), want a JPEG,"
    assert result.err.startswith(said)
    assert result.err.count("\n") == 1


def test_what_is_left_out_is_told_by_kind_in_one_line(run: Run, album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)  # as if it were not installed
    (album / "broken.png").unlink()
    for name in ("a.psd", "b.psd", "sub/c.mov", "sub/odd", "notes.txt", "a.xmp", ".hidden.mov"):
        (album / name).write_bytes(b"x")
    result = run()
    assert (result.names, result.status) == ("a c b", 0)
    film = f"1 video (want {install_command('video')})"
    assert result.err == f"iqassay: left out: 2 Photoshop documents, {film}, 1 other file\n"
    empty = album.parent / "films"
    empty.mkdir()
    (empty / "a.mp4").write_bytes(b"x")
    assert f"films: no pictures in this folder; left out: {film}\n" in run(of=("films", "-r")).err


def test_several_models_are_asked_in_one_run(
    run: Run, calls: list[object], tiny_model: Path, pair_model: Path, tmp_path: Path
) -> None:
    both = f"{tiny_model},{pair_model}"
    result = run("--sort", "best", "--model", both)
    assert result.names == "b c a broken"
    first = result.records[0]
    assert (first["model"], first["score"], first["raw"]) == ("tiny", 60.0, {"tiny": 0.6, "pair": 0.6})
    assert first["also"] == {"pair": {"score": 60.0, "low": 49.6, "high": 65.2, "version": "0.0.1"}}
    assert len(calls) == 6
    assert run("--model", pair_model).records[0]["score"] == 20.0
    assert len(calls) == 6, "an answer is kept under its own model"
    for form in ("csv", "parquet"):
        out = tmp_path / f"out.{form}"
        if form == "parquet":
            pytest.importorskip("pyarrow")
        run("--sort", "best", "--model", both, "--format", form, "-o", out)
        assert list(read_records(str(out))) == result.records
    table = main(["score", "album/c.png", "--model", both, "--threads", "1"])
    assert table == 0


def test_a_further_model_that_cannot_measure_a_picture_is_said(run: Run, pair_model: Path, album: Path) -> None:
    pytest.importorskip("scipy")
    small = album.parent / "small"
    small.mkdir()
    for name in ("x", "y"):
        Image.fromarray(np.full((70, 80, 3), 100, np.uint8)).save(small / f"{name}.png")
    result = run("--ref", "small/x.png", "--model", f"{pair_model},ms-ssim,psnr", of=("small/y.png",))
    assert result.status == 1
    assert result.records[0]["score"] == 98.0
    assert result.records[0]["also"]["psnr"]["score"] == 100.0
    assert "ms-ssim" not in result.records[0]["also"]
    assert result.records[0]["warnings"][0].startswith("ms-ssim: MS-SSIM")
    assert "1 of 1 pictures lack the score of a model" in result.err


def test_borders_are_shaved_before_anything_is_compared(run: Run, pair_model: Path, album: Path) -> None:
    pixels = np.full((70, 80, 3), 51, np.uint8)
    pixels[:4], pixels[:, -4:] = 255, 0
    Image.fromarray(pixels).save(album.parent / "framed.png")
    words = ("--ref", "album/a.png", "--model", pair_model)
    found = [run(*words, *more, of=("framed.png",)).records[0] for more in ((), ("--shave", "3"), ("--shave", "4"))]
    assert found[0]["score"] < found[1]["score"] < found[2]["score"] == 98.0
    assert [(one["width"], one["height"]) for one in found] == [(80, 70)] * 3, "the size is the file's"
    size = (album.parent / "framed.png").stat().st_size
    assert found[0]["bits_per_pixel"] == round(8 * size / 5600, 4)


def test_patterns_and_lists_of_paths(run: Run, tmp_path: Path) -> None:
    assert run(of=("album/**/[ab]*.png",)).names == "a broken b"
    (tmp_path / "list").write_text("album/c.png\nalbum/gone.png\nalbum/a.png\n")
    listed = run(of=("--files-from", str(tmp_path / "list")))
    assert listed.names == "c gone a"
    assert listed.records[1] == {"path": "album/gone.png", "error": "no such file"}


def test_a_dry_run_comes_first(run: Run, album: Path, tmp_path: Path) -> None:
    words = ["--below", "50", "--move-to", "bad"]
    dry = run(*words)
    assert dry.names == "a c"
    assert "--move-to bad: 2 pictures would be moved (a dry run: --yes does it)" in dry.err
    assert not (tmp_path / "bad").exists()
    done = run(*words, "--yes")
    assert "--move-to bad: 2 pictures moved\n" in done.err
    assert sorted(path.name for path in (tmp_path / "bad").iterdir()) == ["a.png", "c.png"]
    assert run().names == "broken b"


def test_what_is_there_is_left_alone_and_said(run: Run, album: Path, tmp_path: Path) -> None:
    (album / "broken.png").unlink()
    (tmp_path / "out" / "sub").mkdir(parents=True)
    (tmp_path / "out" / "sub" / "b.png").write_text("mine")
    for words in ((), ("--yes",)):
        result = run("--copy-to", "out", *words)
        assert result.status == 1
        assert "is there already and is another file, left alone" in result.err
    assert "2 pictures copied" in result.err
    assert (tmp_path / "out" / "sub" / "b.png").read_text() == "mine"
    (tmp_path / "out" / "sub" / "b.png").unlink()
    assert "1 picture copied, 2 there already" in run("--copy-to", "out", "--yes").err
    assert run("--copy-to", "out", "--yes").status == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("of", "words", "reason"),
    [
        ((), [], "got no PATH, want PATH or --files-from"),
        (("album", "--files-from", "list"), [], "got both PATH and --files-from"),
        (("--files-from", "nowhere"), [], "--files-from nowhere: No such file"),
        (("--files-from", "list", "--ref", "album"), [], "--files-from: got --ref too"),
        (("album",), ["--yes"], "--yes: got nothing to do"),
        (("album",), ["--copy-to", "x", "--move-to", "y"], "got --copy-to and --move-to, want one of them"),
        (("album",), ["--copy-to", "album/a.png"], "is a file, want a folder"),
        (("album",), ["--top", "0"], "got 0, want 1 or more"),
        (("album",), ["--no-cache", "--verify"], "--no-cache: got --verify too"),
        (("album",), ["--device", "abacus"], "abacus"),
        (("album",), ["--below", "nan"], "--below"),
        (("album",), ["--shave", "2"], "--shave: got no references, want --ref too"),
        (("album",), ["--model", "mfen,mfen"], "--model mfen,mfen: got mfen twice, want each once"),
        (("album/*.jpg",), [], "no pictures fit this pattern"),
    ],
)
def test_wrong_usage_is_one_line_before_anything_is_scored(
    run: Run, calls: list[object], tmp_path: Path, of: tuple[str, ...], words: list[str], reason: str
) -> None:
    (tmp_path / "list").write_text("album/a.png\n")
    result = run(*words, of=of)
    assert result.status == 2
    assert reason in result.err
    assert result.err.count("\n") == 1
    assert not calls


def test_parquet_holds_what_json_lines_hold(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    wanted = run("--sort", "worst").records
    result = run("--sort", "worst", "--format", "parquet", "-o", tmp_path / "out.parquet")
    assert result.status == 1
    assert list(read_records(str(tmp_path / "out.parquet"))) == wanted
