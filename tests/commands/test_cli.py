from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import write_model, write_pair_model, write_panel
from PIL import Image

import iqassay
from iqassay.cli import main
from iqassay.folders import folder, records
from iqassay.folders.cells import Layout
from iqassay.folders.finding import find_pictures
from iqassay.scoring import model_file
from iqassay.scoring.scorer import Scorer
from iqassay.support.install import install_command
from iqassay.support.text import odds

Run = Callable[..., SimpleNamespace]
COMMAND = [sys.executable, "-m", "iqassay"]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tiny_model: Path) -> Run:
    """Run the command line in this process; `score` gets the tiny model unless it names one."""

    def run(*arguments: object) -> SimpleNamespace:
        words = [str(argument) for argument in arguments]
        if words[:1] == ["score"] and "--model" not in words:
            words += ["--model", str(tiny_model)]
        if words[:1] == ["score"] and "--threads" not in words:
            words += ["--threads", "1"]
        status = main(words)
        caught = capsys.readouterr()
        return SimpleNamespace(status=status, out=caught.out, err=caught.err)

    return run


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Four pictures (one in a subfolder, one hidden), a broken one and a text."""
    place = tmp_path / "album"
    (place / "sub").mkdir(parents=True)
    for name, value in (("img10.png", 102), ("img2.PNG", 51), ("sub/deep.jpg", 153), (".hidden.png", 9)):
        Image.fromarray(np.full((70, 80, 3), value, dtype=np.uint8)).save(place / name)
    (place / "broken.jpg").write_bytes(b"\xff\xd8\xff not a picture")
    (place / "notes.txt").write_text("nothing")
    return place


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "one.png"
    Image.fromarray(np.full((70, 80, 3), 51, dtype=np.uint8)).save(path)
    return path


def refused(result: SimpleNamespace) -> str:
    """A usage error: status 2, one line on standard error, nothing else."""
    assert result.status == 2
    assert result.out == ""
    assert result.err.startswith("iqassay: ")
    assert result.err.count("\n") == 1
    assert "Traceback" not in result.err
    return result.err


# ---- records --------------------------------------------------------------------------------------------------------


def test_json_is_a_list_of_records_in_natural_order(run: Run, album: Path) -> None:
    result = run("score", album, "--format", "json")
    records = json.loads(result.out)
    assert [os.path.basename(record["path"]) for record in records] == ["broken.jpg", "img2.PNG", "img10.png"]
    assert records[0].keys() == {"path", "error"}
    assert "\n" not in records[0]["error"]
    assert records[1] == {
        "path": str(album / "img2.PNG"),
        "score": 20.0,
        "low": 3.2,
        "high": 28.4,
        "raw": {"tiny": 0.2},
        "model": "tiny",
        "version": "0.0.1",
        "width": 80,
        "height": 70,
        "bytes": (album / "img2.PNG").stat().st_size,
        "distortions": [{"name": "jpeg", "severity": 2.0}, {"name": "white_noise", "severity": 4.0}],
        "warnings": ["empty: one colour all over"],
    }
    assert result.status == 1
    assert result.err == "iqassay: 1 of 3 pictures could not be scored\n"


def test_all_scored_is_status_0_and_silent(run: Run, picture: Path) -> None:
    result = run("score", picture)
    assert (result.status, result.err) == (0, "")


def test_recursive_looks_into_subfolders(run: Run, album: Path) -> None:
    names = [os.path.relpath(record["path"], album) for record in _json(run("score", album, "-r", "--format", "json"))]
    assert names == ["broken.jpg", "img2.PNG", "img10.png", os.path.join("sub", "deep.jpg")]


def test_jsonl_and_csv_hold_the_same(run: Run, album: Path) -> None:
    records = _json(run("score", album, "--format", "json"))
    lines = run("score", album, "--format", "jsonl").out.splitlines()
    assert [json.loads(line) for line in lines] == records
    rows = list(csv.DictReader(io.StringIO(run("score", album, "--format", "csv").out)))
    assert [row["path"] for row in rows] == [record["path"] for record in records]
    assert rows[0]["error"] == records[0]["error"]
    assert rows[0]["score"] == ""
    assert rows[1]["distortions"] == "jpeg:2.0;white_noise:4.0"
    assert rows[1]["raw_tiny"] == "0.2"
    assert [int(rows[1][key]) for key in ("width", "height", "bytes")] == [
        records[1][key] for key in ("width", "height", "bytes")
    ]
    assert [float(rows[1][key]) for key in ("score", "low", "high")] == [20.0, 3.2, 28.4]


def test_the_table_is_aligned_plain_text(run: Run, album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(album.parent)
    head, *rows = run("score", "album").out.splitlines()
    assert len(rows) == 3
    assert "\x1b" not in head + "".join(rows)
    end = head.index("score") + len("score")
    assert [row[:end].split()[-1] for row in rows] == ["-", "20.0", "40.0"]
    assert "jpeg 2.0, white_noise 4.0" in rows[1]
    assert "3.2 to 28.4" in rows[1]


def test_the_table_says_what_is_unlike_the_training_data(run: Run, tmp_path: Path) -> None:
    Image.new("RGB", (80, 70), "white").save(tmp_path / "white.png")
    said = run("score", tmp_path / "white.png").out
    assert "unlike the training data, perhaps a frame of one colour: take the score with care" in said


def _json(result: SimpleNamespace) -> Any:
    return json.loads(result.out)


# ---- odd names and folders ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_odd_file_names_survive_every_format(run: Run, tmp_path: Path, picture: Path) -> None:
    place = tmp_path / "odd"
    place.mkdir()
    names = [b"new\nline.png", b'quote".png', b"comma,.png", b"-dash.png", "Büro\u2028.png".encode()]
    if sys.platform == "linux":
        names.append(b"not-utf8-\xff.png")
    for name in names:
        (place / os.fsdecode(name)).write_bytes(picture.read_bytes())
    wanted = {os.path.join(os.fsencode(place), name) for name in names}
    records = _json(run("score", place, "--format", "json", "--map", tmp_path / "maps"))
    assert {os.fsencode(record["path"]) for record in records} == wanted
    assert len(os.listdir(tmp_path / "maps")) == len(names)
    lines = run("score", place, "--format", "jsonl").out.rstrip("\n").split("\n")
    assert {os.fsencode(json.loads(line)["path"]) for line in lines} == wanted
    assert len(run("score", place).out.splitlines()) == len(names) + 1
    assert len(list(csv.reader(io.StringIO(run("score", place, "--format", "csv").out, newline="")))) == len(names) + 1
    for ending in ("json", "csv"):
        assert run("score", place, "-o", tmp_path / f"out.{ending}").status == 0
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8")) == records


def test_folder_order_links_and_hidden_things(tmp_path: Path) -> None:
    place = tmp_path / "place"
    for inner in ("b/c", ".secret", "a2", "a10"):
        (place / inner).mkdir(parents=True)
    for name in ("z.JPEG", "b/1.png", "b/c/2.png", ".secret/3.png", "a2/4.png", "a10/5.png", "README", "b/x.txt"):
        (place / name).touch()
    (place / "b" / "up").symlink_to(place, target_is_directory=True)
    (place / "gone.png").symlink_to("nowhere")
    (place / "more").symlink_to(place / "a2", target_is_directory=True)
    found = list(find_pictures([str(place)], recursive=True))
    assert [os.path.relpath(path, place) for path in found] == [
        os.path.join("a2", "4.png"),
        os.path.join("a10", "5.png"),
        os.path.join("b", "1.png"),
        os.path.join("b", "c", "2.png"),
        "gone.png",
        "z.JPEG",
    ]
    assert [os.path.relpath(path, place) for path in find_pictures([str(place)])] == ["gone.png", "z.JPEG"]


def test_files_named_outright_are_tried_whatever_their_ending(run: Run, picture: Path, tmp_path: Path) -> None:
    strange = tmp_path / "picture.data"
    strange.write_bytes(picture.read_bytes())
    notes = tmp_path / "notes.txt"
    notes.write_text("nothing")
    result = run("score", strange, notes, "--format", "json")
    assert ["score" in record for record in _json(result)] == [True, False]
    assert result.status == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_is_an_error_and_not_a_wait(run: Run, tmp_path: Path, picture: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    result = run("score", tmp_path / "pipe.png", picture, "--format", "json")
    assert ["error" in record for record in _json(result)] == [True, False]


def test_a_failing_picture_does_not_end_the_run(
    tiny_model: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = Scorer(tiny_model, threads=1)
    score, calls = scorer.score, iter([MemoryError("big"), RuntimeError("line\nbreak"), None])

    def fail(*sources: Any) -> Any:
        error = next(calls)
        if error:
            raise error
        return score(*sources)

    monkeypatch.setattr(scorer, "score", fail)
    results = list(folder.score_pairs(scorer, [folder.Pair(str(picture))] * 3, workers=1))
    assert [result.error for result in results] == ["not enough memory", "RuntimeError: line break", ""]
    assert results[2].verdict is not None
    assert list(folder.score_pairs(scorer, [])) == []


# ---- files out ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["json", "jsonl", "csv", "txt"])
def test_the_ending_of_the_output_file_chooses_the_format(run: Run, picture: Path, tmp_path: Path, ending: str) -> None:
    target = tmp_path / f"out.{ending}"
    target.write_text("old")
    result = run("score", picture, "-o", target)
    assert (result.status, result.out) == (0, "")
    start = {"json": "[\n{", "jsonl": '{"path"', "csv": "path,score", "txt": "picture "}[ending]
    assert target.read_text().startswith(start)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.png", f"out.{ending}"], "no partial file stays"


def test_format_outweighs_the_ending(run: Run, picture: Path, tmp_path: Path) -> None:
    run("score", picture, "-o", tmp_path / "out.json", "--format", "csv")
    assert (tmp_path / "out.json").read_text().startswith("path,score")


def test_an_output_link_stays_a_link(run: Run, picture: Path, tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    run("score", picture, "-o", tmp_path / "link.json")
    assert (tmp_path / "link.json").is_symlink()
    assert len(json.loads((tmp_path / "real.json").read_text())) == 1


def test_results_survive_a_crash_in_the_partial_file(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    target.write_text("old")

    def some() -> Any:
        yield {"path": "a", "error": "x"}
        yield {"path": "b", "error": "x"}
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError), records.open_results(str(target)) as out:
        records.write_json(some(), out)
    assert target.read_text() == "old"
    assert len(json.loads((tmp_path / "out.json.partial").read_text())) == 2


@pytest.mark.parametrize("write", [records.write_json, records.write_jsonl, records.write_csv, records.write_table])
def test_every_record_is_written_at_once(write: Callable[..., None], tmp_path: Path) -> None:
    """What a killed run has computed is in the file: each record is there before the next is asked for."""
    path = tmp_path / "out"
    sizes: list[int] = []

    def some() -> Any:
        for name in ("first", "second", "third"):
            sizes.append(path.read_text().count("\n"))
            yield {"path": name, "error": "x"}

    options = {"layout": Layout()} if write is records.write_csv else {}  # as the command knows it beforehand
    with records.open_text(str(path)) as out:
        write(some(), out, **options)
    assert all(name in path.read_text() for name in ("first", "second", "third"))
    assert sizes[1] - sizes[0] == 1 or write is records.write_json
    assert sizes[2] - sizes[1] == 1


def test_no_records_are_an_empty_list() -> None:
    out = io.StringIO()
    records.write_json([], out)
    assert json.loads(out.getvalue()) == []


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="needs a device file")
def test_a_device_is_written_and_not_replaced(run: Run, picture: Path) -> None:
    assert run("score", picture, "-o", "/dev/null").status == 0
    assert not os.path.isfile("/dev/null")


def test_maps_of_equal_names_do_not_collide(run: Run, album: Path, tmp_path: Path) -> None:
    (album / "sub" / "img10.png").write_bytes((album / "img10.png").read_bytes())
    Image.new("RGB", (90, 66)).save(album / "img10.bmp")
    maps = tmp_path / "new" / "maps"
    result = run("score", album, "-r", "--map", maps, "--format", "json")
    scored = [record for record in _json(result) if "score" in record]
    names = sorted(path.name for path in maps.iterdir())
    assert len(names) == len(scored) == 5
    assert {"img10.bmp.png", "img2.PNG.png", "deep.jpg.png"} < set(names)
    with Image.open(maps / "img10.bmp.png") as drawn:
        assert drawn.size == (90, 66)


def test_a_map_never_overwrites_a_picture(run: Run, tmp_path: Path) -> None:
    for name in ("a", "a.png", "a.png.png"):
        Image.new("RGB", (80, 70)).save(tmp_path / name, "PNG")
    before = {name: (tmp_path / name).read_bytes() for name in ("a", "a.png", "a.png.png")}
    result = run("score", *(tmp_path / name for name in before), "--map", tmp_path)
    assert result.status == 0
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    assert len(list(tmp_path.iterdir())) == 6


def test_very_long_names_still_get_a_map() -> None:
    long = "x" * 251 + ".png"
    names = folder.map_names([f"a/{long}", f"b/{long}"])
    assert len(set(names.values())) == 2
    assert all(len(name) <= 255 for name in names.values())


# ---- references -----------------------------------------------------------------------------------------------------


def gray(path: Path, value: int, size: tuple[int, int] = (80, 70)) -> Path:
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", size, (value, value, value)).save(path)
    return path


@pytest.fixture
def against(run: Run, pair_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `score` with the model that takes references, in a folder that has shots/ and refs/ of flat gray pictures:
    98 points for a picture like its reference, 0 for black beside white.
    """
    monkeypatch.chdir(tmp_path)
    for name, value in (("refs/a.png", 255), ("refs/b.png", 102), ("shots/a.bmp", 204), ("shots/b.bmp", 102)):
        gray(tmp_path / name, value)
    return lambda *words: run("score", *words, "--model", pair_model)


def test_pictures_are_scored_against_the_references_of_their_names(against: Run) -> None:
    result = against("shots", "--ref", "refs", "--format", "json")
    records = _json(result)
    assert (result.status, result.err) == (0, "")
    assert list(records[0])[:3] == ["path", "reference", "score"]
    assert [[record[key] for key in ("path", "reference", "score")] for record in records] == [
        [os.path.join("shots", "a.bmp"), os.path.join("refs", "a.png"), 78.4],
        [os.path.join("shots", "b.bmp"), os.path.join("refs", "b.png"), 98.0],
    ]
    assert "reference" not in _json(against("shots", "--format", "json"))[0]


def test_every_format_tells_the_reference(against: Run, tmp_path: Path) -> None:
    Path("shots/c.bmp").write_bytes(b"broken")
    gray(tmp_path / "refs/c.png", 0)
    records = _json(against("shots", "--ref", "refs", "--format", "json"))
    lines = against("shots", "--ref", "refs", "--format", "jsonl").out.splitlines()
    assert [json.loads(line) for line in lines] == records
    rows = list(csv.DictReader(io.StringIO(against("shots", "--ref", "refs", "--format", "csv").out)))
    assert list(rows[0])[:3] == ["path", "reference", "score"]
    assert [row["reference"] for row in rows] == [record["reference"] for record in records]
    head, *table = against("shots", "--ref", "refs").out.splitlines()
    assert head.endswith("distortions (0 to 5); against refs")
    assert [row.split()[1] for row in table] == ["78.4", "98.0", "-"]


def test_pictures_that_cannot_be_paired_are_errors_and_the_rest_is_scored(against: Run, tmp_path: Path) -> None:
    gray(tmp_path / "refs/two.png", 0)
    gray(tmp_path / "refs/two.bmp", 0)
    Path("refs/broken.png").write_bytes(b"broken")
    for name in ("alone", "two", "broken"):
        gray(tmp_path / f"shots/{name}.bmp", 0)
    result = against("shots", "--ref", "refs", "--format", "json")
    assert (result.status, result.err) == (1, "iqassay: 3 of 5 pictures could not be scored\n")
    records = {os.path.basename(record["path"]): record for record in _json(result)}
    assert [name for name in records if "score" in records[name]] == ["a.bmp", "b.bmp"]
    assert records["alone.bmp"].keys() == records["two.bmp"].keys() == {"path", "error"}
    for name in ("two.png", "two.bmp"):
        assert os.path.join("refs", name) in records["two.bmp"]["error"]
    assert records["broken.bmp"]["reference"] == os.path.join("refs", "broken.png")
    assert records["broken.bmp"]["error"].startswith(f"reference {os.path.join('refs', 'broken.png')}: got ")


def test_a_pattern_pairs_names_that_carry_more(against: Run, tmp_path: Path) -> None:
    for quality, value in ((20, 51), (90, 204)):
        gray(tmp_path / f"jpeg/a_q{quality}.bmp", value)
    records = _json(against("jpeg", "--ref", "refs", "--pair", "{ref}_q*", "--format", "json"))
    assert [(record["reference"], record["score"]) for record in records] == [
        (os.path.join("refs", "a.png"), 19.6),
        (os.path.join("refs", "a.png"), 78.4),
    ]


def test_a_picture_among_the_references_is_like_itself(against: Run) -> None:
    records = _json(against("refs/a.png", "refs/b.png", "--ref", "refs", "--format", "json"))
    assert [record["score"] for record in records] == [98.0, 98.0]
    assert [record["path"] for record in records] == ["refs/a.png", "refs/b.png"]


@pytest.mark.parametrize("broken", [False, True])
def test_one_reference_is_decoded_once(against: Run, monkeypatch: pytest.MonkeyPatch, broken: bool) -> None:
    if broken:
        Path("refs/a.png").write_bytes(b"broken")
    read: list[str] = []
    read_image = folder.read_image
    monkeypatch.setattr(folder, "read_image", lambda path, *rest: (read.append(path), read_image(path, *rest))[1])
    records = _json(against("shots", "shots", "--ref", "refs/a.png", "--format", "json"))
    assert len(records) == 4
    assert all("reference refs/a.png: " in record["error"] if broken else record["score"] for record in records)
    assert read.count("refs/a.png") == 1


def test_the_next_pair_is_decoded_while_the_network_is_busy(
    against: Run, pair_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = Scorer(pair_model, threads=1)
    score, read_image, next_is_read = scorer.score, folder.read_image, threading.Event()

    def read(path: str, *rest: int) -> Any:
        if path == "refs/b.png":
            next_is_read.set()
        return read_image(path, *rest)

    def wait(*sources: Any) -> Any:
        assert next_is_read.wait(5)
        return score(*sources)

    monkeypatch.setattr(folder, "read_image", read)
    monkeypatch.setattr(scorer, "score", wait)
    pairs = [folder.Pair(f"shots/{name}.bmp", f"refs/{name}.png") for name in "ab"]
    assert [result.error for result in folder.score_pairs(scorer, pairs, workers=2)] == ["", ""]


def test_sizes_that_differ_are_aligned_only_when_asked_for(against: Run, tmp_path: Path) -> None:
    gray(tmp_path / "shots/a.bmp", 204, (100, 66))
    words = ("shots/a.bmp", "--ref", "refs", "--format", "json", "--map", "maps")
    failed = against(*words)
    assert failed.status == 1
    assert all(size in _json(failed)[0]["error"] for size in ("100x66", "80x70"))
    for how, said, size in (("resize", "resized from 100x66", (80, 70)), ("crop", "cut to their common", (80, 66))):
        (record,) = _json(against(*words, "--align", how))
        assert record["score"] == 78.4
        assert any(said in warning for warning in record["warnings"])
        with Image.open("maps/a.bmp.png") as drawn:
            assert drawn.size == size, "the map shows what was scored"


def test_a_map_never_overwrites_a_reference(against: Run, tmp_path: Path) -> None:
    gray(tmp_path / "refs/a.bmp.png", 7)
    before = Path("refs/a.bmp.png").read_bytes()
    assert against("shots/a.bmp", "--ref", "refs/a.bmp.png", "--map", "refs").status == 0
    assert Path("refs/a.bmp.png").read_bytes() == before


@pytest.mark.slow
def test_bad_references_are_refused_before_anything_is_scored(against: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scorer, "score", lambda *_: pytest.fail("scored before the usage was checked"))
    Path("empty").mkdir()
    cases: list[tuple[list[object], str]] = [
        (["--ref", "nope"], "--ref nope: no such file or folder"),
        (["--ref", "empty"], "--ref empty: no pictures in this folder"),
        (["--ref", "refs", "--pair", "*_q"], "want one {ref}"),
        (["--ref", "refs", "--pair", "{ref}_q*"], "got pictures like 'a.bmp' and references like 'a.png'"),
        (["--ref", "refs/a.png", "--pair", "{ref}_q*"], "--pair: got one picture as --ref refs/a.png"),
        (["--pair", "{ref}_q*"], "--pair: got no references, want --ref too"),
        (["--align", "crop"], "--align: got no references, want --ref too"),
        (["--ref", "refs", "--align", "stretch"], "stretch"),
        (["--ref", "refs", "-o", "refs/a.png"], "is one of the pictures"),
    ]
    for words, message in cases:
        assert message in refused(against("shots", *words)), words


def test_a_model_without_references_names_one_that_takes_them(run: Run, picture: Path, tiny_model: Path) -> None:
    for words in (["score", picture], ["compare", picture, picture]):
        error = refused(run(*words, "--ref", picture, "--model", tiny_model))
        assert "tiny: takes no reference, want one that does, such as yoto" in error


def test_the_default_model_is_the_one_that_suits(
    run: Run, against: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "weights").mkdir()
    write_model(tmp_path / "weights", "mfen", name="mfen")
    write_pair_model(tmp_path / "weights", "yoto")
    write_panel(tmp_path / "weights")
    monkeypatch.setattr(model_file, "WEIGHTS", tmp_path / "weights")
    for words, name in ((["--ref", "refs"], "yoto"), ([], "panel")):
        assert main(["score", "shots", *words, "-o", "out.json"]) == 0
        assert {record["model"] for record in json.loads(Path("out.json").read_text())} == {name}
        assert model_file.default_model(bool(words)) == name
    shown = " ".join(run("score", "--help").out.split())
    assert f"[default: {model_file.default_model(False)}; {model_file.default_model(True)} with --ref]" in shown


# ---- compare --------------------------------------------------------------------------------------------------------


def test_compare_says_which_is_better_by_how_much_and_how_surely(run: Run, against: Run, pair_model: Path) -> None:
    words = ["compare", "shots/a.bmp", "shots/b.bmp", "--ref", "refs/a.png", "--model", pair_model]
    swapped = [words[0], words[2], words[1], *words[3:]]
    found = _json(run(*words, "--format", "json"))
    assert list(found) == ["a", "b", "difference", "win_probability", "better"]
    assert [found[side]["score"] for side in "ab"] == [78.4, 39.2]
    assert [found[side]["reference"] for side in "ab"] == ["refs/a.png"] * 2
    assert (found["difference"], found["better"]) == (39.2, "shots/a.bmp")
    assert 0.9 < found["win_probability"] <= 1
    other = _json(run(*swapped, "--format", "json"))
    assert (other["difference"], other["better"]) == (-39.2, "shots/a.bmp")
    assert other["win_probability"] == pytest.approx(1 - found["win_probability"])
    text = (
        "shots/a.bmp looks better than shots/b.bmp: 78.4 against 39.2, by 39.2 points; "
        f"people would prefer it with probability {odds(found['win_probability'])}\n"
    )
    for order in (words, swapped):
        result = run(*order)
        assert (result.status, result.out, result.err) == (0, text, "")


def test_compare_says_when_there_is_no_clear_difference(run: Run, picture: Path, tiny_model: Path) -> None:
    near = gray(picture.parent / "near.png", 52)
    text = run("compare", picture, near, "--model", tiny_model).out
    assert text.startswith(f"no clear difference: {near} 20.4, {picture} 20.0; people would prefer {near} with prob")
    assert text.endswith("0.51\n")
    same = _json(run("compare", picture, picture, "--model", tiny_model, "--format", "json"))
    assert (same["difference"], same["win_probability"], same["better"]) == (0, 0.5, None)
    assert "reference" not in same["a"]
    assert "probability 0.50" in run("compare", picture, picture, "--model", tiny_model).out


def test_compare_passes_warnings_on_in_a_second_line(run: Run, against: Run, pair_model: Path, tmp_path: Path) -> None:
    gray(tmp_path / "big\n.bmp", 250, (160, 140))
    words = ["compare", "big\n.bmp", "shots/a.bmp", "--ref", "refs/a.png", "--model", pair_model]
    lines = run(*words, "--align", "resize").out.splitlines()
    assert len(lines) == 2
    assert lines[1] == "big\\n.bmp: resized from 160x140 to the reference's 80x70"
    failed = run(*words)
    assert (failed.status, failed.out) == (1, "")
    assert "160x140" in failed.err


def test_compare_of_what_cannot_be_read(run: Run, picture: Path, tiny_model: Path, pair_model: Path) -> None:
    broken = picture.parent / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff not a picture")
    for words in ([picture, broken], [broken, picture], [picture, picture, "--ref", broken]):
        result = run("compare", *words, "--model", pair_model)
        assert (result.status, result.out) == (1, "")
        assert result.err.startswith(f"iqassay: {broken}: got ")
        assert result.err.count("\n") == 1
    cases: list[tuple[list[object], str]] = [
        ([picture], "got one picture, want at least two"),
        ([picture, "nope.png"], "nope.png: no such file or folder"),
        ([picture, picture.parent], "is a folder, want a picture"),
        ([picture, picture, "--ref", picture.parent], "is a folder, want a picture"),
        ([picture, picture, "--align", "crop"], "--align: got no references, want --ref too"),
        ([picture, picture, "--format", "csv"], "csv"),
    ]
    for usage, words in cases:
        assert words in refused(run("compare", *usage, "--model", tiny_model)), usage


def test_compare_ranks_many_with_the_probability_that_each_is_the_best(
    run: Run, picture: Path, tiny_model: Path
) -> None:
    folder = picture.parent
    paths = [gray(folder / f"{score}.png", round(score * 2.55)) for score in (40, 60, 20)]
    (folder / "broken.png").write_bytes(b"nothing")
    result = run("compare", *paths, folder / "broken.png", "--model", tiny_model, "--format", "json")
    assert result.status == 1
    assert result.err.startswith(f"iqassay: {folder / 'broken.png'}: got ")
    ranked = json.loads(result.out)
    assert [(Path(one["path"]).stem, one["place"], one["score"]) for one in ranked] == [
        *(("60", 1, 60.0), ("40", 2, 40.0), ("20", 3, 20.0)),
    ]
    assert sum(one["best"] for one in ranked) == pytest.approx(1, abs=2e-4)
    assert ranked[0]["best"] > 0.9 > ranked[1]["best"] > ranked[2]["best"]
    lines = run("compare", *paths, "--model", tiny_model).out.splitlines()
    assert [line.split()[0] for line in lines] == ["picture", *(one["path"] for one in ranked)]
    assert f"  {odds(ranked[0]['best'])}  80x70" in lines[1]


def test_compare_says_when_sizes_differ_and_what_that_means(run: Run, picture: Path, tiny_model: Path) -> None:
    large = gray(picture.parent / "large.png", 60, (320, 280))
    for paths in ([picture, large], [picture, large, picture]):
        last = run("compare", *paths, "--model", tiny_model).out.splitlines()[-1]
        assert last.startswith("the sizes differ, 80x70 to 320x280, 16 times the pixels: each is judged as it is")
    assert "16 times" in _json(run("compare", picture, large, "--model", tiny_model, "--format", "json"))["note"]


def test_compare_takes_a_small_copy_and_its_original_at_one_size(run: Run, tmp_path: Path, tiny_model: Path) -> None:
    y, x = np.mgrid[0:280, 0:320] / 320
    scene = Image.fromarray((120 * (1 + np.sin(7 * x) * np.cos(5 * y))).astype(np.uint8)).convert("RGB")
    scene.save(tmp_path / "large.png")
    scene.resize((80, 70), Image.Resampling.BOX).save(tmp_path / "small.png")
    words = ["compare", tmp_path / "small.png", tmp_path / "large.png", "--model", tiny_model]
    lines = run(*words).out.splitlines()
    assert lines[0].startswith("no clear difference at one size: ")
    assert "times the pixels: both show the same, and a small copy hides flaws" in lines[-1]
    assert lines[-1].count("80x70") == 2
    found = _json(run(*words, "--format", "json"))
    assert found["difference"] == pytest.approx(0, abs=0.2)
    assert found["win_probability"] == pytest.approx(0.5, abs=0.02)


# ---- usage ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_bad_usage_ends_in_one_line_before_anything_is_scored(
    run: Run, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Scorer, "score", lambda *_: pytest.fail("scored before the usage was checked"))
    (tmp_path / "empty").mkdir()
    cases: list[tuple[list[object], str]] = [
        (["score"], "PATH"),
        (["score", tmp_path / "nope.png"], "no such file or folder"),
        (["score", picture, tmp_path / "nope.png"], "nope.png"),
        (["score", "nul\0.png"], "\\x00"),
        (["score", tmp_path / "empty"], "no pictures in this folder; --recursive"),
        (["score", picture, "--colour"], "--colour"),
        (["score", picture, "--threads", "0"], "'--threads': got 0, want 1 or more"),
        (["score", picture, "--threads", "many"], "--threads"),
        (["score", picture, "--max-pixels", "-3"], "'--max-pixels': got -3"),
        (["score", picture, "--format", "xml"], "xml"),
        (["score", picture, "--model", "nope"], "there is no model 'nope'"),
        (["score", picture, "--model", tmp_path / "nope.onnx"], "nope.onnx"),
        (["score", picture, "-o", tmp_path / "no" / "out.json"], "cannot be written"),
        (["score", picture, "-o", tmp_path], "is a folder"),
        (["score", picture, "-o", picture], "is one of the pictures"),
        (["score", picture, "--map", picture], "--map"),
        (["score", picture, "--map", picture / "maps"], "--map"),
        (["scoer", picture], "scoer"),
        (["models", "--format", "csv"], "csv"),
    ]
    for arguments, words in cases:
        assert words in refused(run(*arguments)), arguments


def test_a_wrong_usage_leaves_the_old_results_alone(run: Run, picture: Path, tmp_path: Path) -> None:
    (tmp_path / "out.json").write_text("old")
    refused(run("score", picture, "-o", tmp_path / "out.json", "--model", "nope"))
    assert (tmp_path / "out.json").read_text() == "old"


def test_a_damaged_model_is_one_line(run: Run, picture: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path)
    model.write_bytes(b"damaged")
    assert "sha256" in refused(run("score", picture, "--model", model))


def test_without_a_command_a_start_is_shown_whose_commands_exist(run: Run) -> None:
    result = run()
    assert (result.status, result.err) == (0, "")
    shown = re.findall(r"^  iqassay (\w+)", result.out, re.MULTILINE)
    assert shown[0] == "score"
    listed = run("--help").out.partition("Commands:")[2]
    assert all(re.search(rf"^  {command} ", listed, re.MULTILINE) for command in shown)


@pytest.mark.parametrize(
    ("typed", "found"),
    [("iqassay tra", "train"), ("iqassay train --syn", "--synthetic"), ("iqassay score --ma", "--map")],
)
def test_a_shell_is_told_what_may_come_next(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str, found: str
) -> None:
    monkeypatch.setenv("_IQASSAY_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split()) - 1))
    with pytest.raises(SystemExit) as end:
        main([])
    assert end.value.code == 0
    assert found in capsys.readouterr().out.split()


def test_version(run: Run) -> None:
    assert run("--version").out == f"iqassay {iqassay.__version__}\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [[], ["--help"], ["--version"], *([name, "--help"] for name in ("score", "compare", "bench", "train", "cluster"))],
)
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    code = f"import sys\nfrom iqassay.cli import main\nassert main({words}) == 0\n"
    heavy = ("numpy", "scipy", "PIL", "onnxruntime", "torch", "rich", "json", "jinja2")
    code += f"sys.exit(' '.join(name for name in {heavy} if name in sys.modules) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


@pytest.mark.slow
def test_scoring_loads_no_templates(picture: Path, tiny_model: Path) -> None:
    words = ["score", str(picture), "--model", str(tiny_model)]
    code = f"import sys\nfrom iqassay.cli import main\nassert main({words}) == 0\nsys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_models_tells_what_the_cards_say(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(tmp_path, "mfen", name="mfen")
    write_pair_model(tmp_path, "yoto")
    write_panel(tmp_path, summary="the two together")
    monkeypatch.setattr(model_file, "WEIGHTS", tmp_path)
    text = run("models").out
    for words in (
        "mfen 0.0.1",
        "0.0 MB",
        "weights: CC0-1.0",
        "nothing",
        "made up (7 pictures): SRCC 0.500, PLCC 0.250",
        "panel 0.0.1: the two together",
        "members        mfen, yoto",
    ):
        assert words in text
    record, panel, yoto = _json(run("models", "--format", "json"))
    assert record["name"] == "mfen"
    assert record["bytes"] == (tmp_path / "mfen.onnx").stat().st_size
    assert record["accuracy"] == [{"set": "made up", "images": 7, "srcc": 0.5, "plcc": 0.25}]
    assert panel["members"] == {"mfen": record["sha256"], "yoto": yoto["sha256"]}
    assert panel.keys() - {"members"} == record.keys() - {"bytes", "sha256"}


@pytest.mark.slow
def test_train_without_its_packages_says_what_to_install() -> None:
    """In a process of its own: a module imported twice in one leaves its package with half of each."""
    code = "import sys; sys.modules |= {'torch': None, 'lightning': None}\nfrom iqassay.cli import main\n"
    code += "sys.exit(main(['train', 'mfen', '--data', 'x.csv']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.endswith(f": want {install_command('train')}\n")
    assert done.stderr.count("\n") == 1


# ---- a process of its own -------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_ctrl_c_keeps_what_was_computed(tiny_model: Path, picture: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    many = [str(picture)] * 20_000
    code = (  # a job in the background would ignore the interrupt
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        f"from iqassay.cli import main; sys.exit(main(['score', *{many[:1]} * {len(many)}, *sys.argv[1:]]))"
    )
    words = ["--model", str(tiny_model), "--threads", "1", "-o", str(target)]
    with subprocess.Popen([sys.executable, "-c", code, *words], stderr=subprocess.PIPE, text=True) as process:
        partial = Path(f"{target}.partial")
        deadline = time.monotonic() + 30
        while not (partial.exists() and partial.stat().st_size > 2000) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors == "iqassay: interrupted\n"
    assert len(json.loads(target.read_text())) > 5
    assert not partial.exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs pipes")
def test_a_closed_pipe_is_quiet(tiny_model: Path, picture: Path) -> None:
    words = ["score", *[str(picture)] * 300, "--model", str(tiny_model), "--threads", "1", "--format", "jsonl"]
    with subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


@pytest.mark.slow
def test_an_ascii_terminal_is_no_reason_to_crash(tiny_model: Path, picture: Path, tmp_path: Path) -> None:
    named = tmp_path / "Büro.png"
    named.write_bytes(picture.read_bytes())
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    for form in ("table", "csv"):
        words = [*COMMAND, "score", str(named), "--model", str(tiny_model), "--threads", "1", "--format", form]
        done = subprocess.run(words, capture_output=True, env=environment, check=True)
        assert done.stderr == b""
        assert "Büro".encode() in done.stdout or (form == "table" and b"B\\xfcro" in done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal")
def test_the_progress_bar_is_for_terminals_and_keeps_off_standard_output(tiny_model: Path, album: Path) -> None:
    import pty

    screen, errors = pty.openpty()
    words = ["score", str(album), "--model", str(tiny_model), "--threads", "1", "--format", "json"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    with subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=errors, env=environment) as process:
        assert process.stdout is not None
        out = process.stdout.read()
    os.close(errors)
    shown = os.read(screen, 100_000)
    os.close(screen)
    assert len(json.loads(out)) == 3
    assert b"/3" in shown
    assert b"1 of 3 pictures could not be scored" in shown


@pytest.mark.parametrize("words", [["--help"], ["bench", "--help"]])
def test_the_list_of_commands_is_not_cut(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    listed = capsys.readouterr().out.split("Commands:")[1]
    assert "..." not in listed
    assert listed.count(".\n") >= 8


@pytest.mark.parametrize("ending", ["dng", "jxl", "psd"])
def test_results_never_replace_what_lies_beside_pictures(tmp_path, capsys, ending):
    precious = tmp_path / f"photo.{ending}"
    precious.write_bytes(b"precious")
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    assert main(["score", str(tmp_path), "-o", str(precious)]) == 2
    assert "is one of the pictures" in capsys.readouterr().err
    assert precious.read_bytes() == b"precious"
