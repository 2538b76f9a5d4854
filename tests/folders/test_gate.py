"""The gate: what passes, what does not, what is said about it, and what is left to those who watch the build."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
from conftest import write_model
from PIL import Image

from iqassay.cli import main
from iqassay.folders.gate import Limits, Outcome, judge, junit, markdown, match, missing
from iqassay.support.errors import UsageError

Gate = Callable[..., SimpleNamespace]
CAUSES = "(jpeg 2.0, white_noise 4.0)"  # what the tiny model finds in every picture


def gray(path: Path, score: float, size: tuple[int, int] = (80, 70)) -> Path:
    """A picture of fine rows that the tiny model gives this score (multiples of 20 are exact)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((size[1], size[0], 3), round(score * 2.55), np.uint8)
    if 4 < pixels[0, 0, 0] < 250:  # no picture of one colour, which would not pass
        pixels[0::2], pixels[1::2] = pixels[0, 0, 0] - 4, pixels[0, 0, 0] + 4
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def gate(capsys: pytest.CaptureFixture[str], tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Run `iqassay gate` in a folder with out/a.png (20), out/b.png (60) and out/sub/c.png (80), by the tiny model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    for name, score in (("a", 20), ("b", 60), ("sub/c", 80)):
        gray(tmp_path / "out" / f"{name}.png", score)

    def run(*words: object, model: Path = tiny_model) -> SimpleNamespace:
        status = main(["gate", *map(str, words), "--model", str(model), "--threads", "1", "--no-cache"])
        caught = capsys.readouterr()
        return SimpleNamespace(status=status, out=caught.out.splitlines(), err=caught.err)

    return run


def refused(result: SimpleNamespace) -> str:
    assert (result.status, result.out) == (2, [])
    assert result.err.count("\n") == 1
    return result.err.removeprefix("iqassay: ").rstrip("\n")


def inside(*parts: str) -> str:
    return os.path.join(*parts)


# ---- --min ----------------------------------------------------------------------------------------------------------


def test_a_picture_under_the_limit_fails_the_build(gate: Gate) -> None:
    result = gate("out", "--min", 60)
    assert result.status == 3
    assert result.out == [f"{inside('out', 'a.png')}: 20.0, want 60 or more {CAUSES}", "2 pictures: 1 passed, 1 failed"]
    assert result.err == ""


def test_all_well_is_one_line(gate: Gate) -> None:
    result = gate("out", "--min", 20, "-r")
    assert (result.status, result.out, result.err) == (0, ["3 pictures: 3 passed, 0 failed"], "")


def test_a_picture_that_cannot_be_read_fails_the_build(gate: Gate) -> None:
    Path("out/b.png").write_bytes(b"\x89PNG no picture")
    result = gate("out", "--min", 0)
    assert result.status == 3
    assert result.out[0].startswith(f"{inside('out', 'b.png')}: cannot be scored: ")
    assert result.out[1:] == ["2 pictures: 1 passed, 1 failed"]


@pytest.mark.parametrize(
    ("score", "shown"), [(59.949, "59.9"), (59.95, "59.95"), (59.99, "59.99"), (60.0, ""), (60.01, "")]
)
def test_a_score_just_under_the_limit_does_not_look_like_it(score: float, shown: str) -> None:
    line = judge({"path": "a.png", "score": score, "distortions": [], "warnings": []}, Limits(least=60)).line()
    assert line == (f"a.png: {shown}, want 60 or more" if shown else "a.png: ")


# ---- --max-drop with --baseline -------------------------------------------------------------------------------------


def test_a_drop_against_the_baseline_fails_the_build(gate: Gate) -> None:
    assert gate("out", "--baseline", "base.json", "--update", "-r").status == 0
    words = ("out", "--baseline", "base.json", "--max-drop", 2, "-r")
    assert gate(*words).out == ["3 pictures: 3 passed, 0 failed"]
    gray(Path("out/b.png"), 20)
    gray(Path("out/a.png"), 40)  # better is fine
    result = gate(*words)
    assert result.status == 3
    assert result.out == [
        f"{inside('out', 'b.png')}: 20.0, want 58 or more: at most 2 below the 60 of the baseline {CAUSES}",
        "3 pictures: 2 passed, 1 failed",
    ]


@pytest.mark.parametrize(("now", "passes"), [(30.2, True), (30.19, False), (32.2, True), (99, True)])
def test_a_drop_of_just_so_many_points_passes(now: float, passes: bool) -> None:
    record = {"path": "a", "score": now, "distortions": [], "warnings": []}
    assert bool(judge(record, Limits(max_drop=2), {**record, "score": 32.2}).failures) is not passes


def test_missing_pictures_fail_and_new_ones_are_said(gate: Gate) -> None:
    gate("out", "--baseline", "base.json", "--update")
    os.remove("out/a.png")
    gray(Path("out/new.png"), 20)
    words = ("out", "--baseline", "base.json", "--max-drop", 2)
    result = gate(*words)
    assert result.status == 3
    assert result.out == [
        "a.png: missing: scored 20.0 in the baseline",
        "3 pictures: 2 passed, 1 failed; 1 not in the baseline",
    ]
    result = gate(*words, "--allow-missing")
    assert (result.status, result.out) == (0, ["2 pictures: 2 passed, 0 failed; 1 not in the baseline"])


@pytest.mark.parametrize("form", ["json", "jsonl", "csv"])
def test_results_of_score_are_a_baseline(gate: Gate, tiny_model: Path, form: str) -> None:
    main(["score", "out", "-o", f"base.{form}", "--model", str(tiny_model), "--threads", "1", "--no-cache"])
    os.rename("out", "elsewhere")
    result = gate("elsewhere", "--baseline", f"base.{form}", "--max-drop", 2)
    assert result.out == ["2 pictures: 2 passed, 0 failed"]


def test_a_new_baseline_names_places_below_the_folder(gate: Gate) -> None:
    gate("out", "--baseline", "deep/base.json", "--update", "-r")
    assert [record["path"] for record in json.loads(Path("deep/base.json").read_text())] == [
        "a.png",
        "b.png",
        "sub/c.png",
    ]


def test_a_baseline_is_not_replaced_while_a_picture_cannot_be_scored(gate: Gate) -> None:
    gate("out", "--baseline", "base.json", "--update")
    before = Path("base.json").read_bytes()
    Path("out/b.png").write_bytes(b"")
    result = gate("out", "--baseline", "base.json", "--update")
    assert result.status == 3
    assert "base.json is left as it was" in result.err
    assert Path("base.json").read_bytes() == before


def test_an_old_baseline_is_not_looked_at_when_it_is_updated(gate: Gate) -> None:
    Path("base.json").write_text("what?")
    assert gate("out", "--baseline", "base.json", "--update", "--min", 60).status == 3
    assert len(json.loads(Path("base.json").read_text())) == 2


def test_a_baseline_of_another_model_version_or_mode_is_refused(gate: Gate, tmp_path: Path, pair_model: Path) -> None:
    gate("out", "--baseline", "base.json", "--update")
    before = Path("base.json").read_bytes()
    words = ("out", "--baseline", "base.json", "--max-drop", 2)
    newer = write_model(tmp_path, "newer", name="tiny", version="0.0.2")
    message = refused(gate(*words, model=newer))
    assert message.startswith(
        "--baseline base.json: was made by tiny 0.0.1, and this is tiny 0.0.2, whose scores do not"
    )
    other = write_model(tmp_path, "other", name="other")
    assert refused(gate(*words, model=other)).endswith("want --model tiny, or another file for a baseline of other")
    gate("out", "--baseline", "pair.json", "--update", model=pair_model)
    message = refused(gate("out", "--baseline", "pair.json", "--max-drop", 2, "--ref", "out", model=pair_model))
    assert message == (
        "--baseline pair.json: was made without --ref, and this run has it: leave --ref out, or name another file for "
        "a baseline with references"
    )
    gate("out", "--baseline", "against.json", "--update", "--ref", "out", model=pair_model)
    message = refused(gate("out", "--baseline", "against.json", "--max-drop", 2, model=pair_model))
    assert message.startswith("--baseline against.json: was made with --ref: want --ref here too")
    assert "--update" not in message, "which would destroy it"
    assert Path("base.json").read_bytes() == before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[]", "base.json: got no scores in it; --update writes it anew"),
        ('[\n{"path": "a.png", "error": "x"}\n]\n', "got no scores in it"),
        ('[\n{"path": "a.png", "error": "x"},\n{"pa', "--baseline base.json: was cut short, 1 record before that"),
        ("{}", "base.json: line 1: got a record with no path"),
    ],
)
def test_baselines_that_hold_nothing_to_go_by_are_refused(gate: Gate, content: str, words: str) -> None:
    Path("base.json").write_text(content)
    assert words in refused(gate("out", "--baseline", "base.json", "--max-drop", 2))


# ---- which record is which picture's --------------------------------------------------------------------------------


def matched(old: str, new: str, folder: str = "out") -> tuple[dict[str, str], list[str]]:
    records = [{"path": path, "score": float(number)} for number, path in enumerate(old.split())]
    found, gone = match(records, new.split(), lambda picture: os.path.relpath(picture, folder))
    return {picture: record["path"] for picture, record in found.items()}, [record["path"] for record in gone]


def test_pictures_match_by_path_then_by_place_and_all_in_one_way() -> None:
    assert matched("out/a out/b", "out/a out/c") == ({"out/a": "out/a"}, ["out/b"])
    assert matched("./out//a", "out/a") == ({"out/a": "./out//a"}, [])
    assert matched("a sub/b", "out/a out/sub/b") == ({"out/a": "a", "out/sub/b": "sub/b"}, [])
    assert matched("/ci/7/old/a /ci/7/old/s/b", "out/a out/s/b out/b") == (
        {"out/a": "/ci/7/old/a", "out/s/b": "/ci/7/old/s/b"},
        [],
    )
    assert matched("old/s/a old/t/a", "out/a") == ({}, ["old/s/a", "old/t/a"]), "never by the name alone"
    assert matched("sub\\b c", "out/sub/b out/c") == ({"out/sub/b": "sub\\b", "out/c": "c"}, []), "from Windows"
    assert matched("Bu\u0308ro", "out/B\u00fcro")[1] == []
    assert matched("a", "out/a ./out/a") == ({"out/a": "a", "./out/a": "a"}, [])


def test_two_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match="got two pictures called a"):
        matched("a a", "out/a")
    with pytest.raises(UsageError, match="got two pictures called a"):
        match([{"path": "a"}], ["one/a", "two/a"], os.path.basename)


# ---- --ref ----------------------------------------------------------------------------------------------------------


def test_pictures_are_held_against_their_references(gate: Gate, pair_model: Path) -> None:
    gray(Path("golden/a.png"), 100)  # 80 points brighter
    gray(Path("golden/b.png"), 60)
    result = gate("out", "--ref", "golden", "--min", 90, model=pair_model)
    assert result.status == 3
    assert [line.split(" (")[0] for line in result.out] == [
        f"{inside('out', 'a.png')}: 19.6, want 90 or more",
        "2 pictures: 1 passed, 1 failed",
    ]


def test_references_that_no_picture_has_are_missing_pictures(gate: Gate, pair_model: Path) -> None:
    for name in ("a", "b", "c"):
        gray(Path(f"golden/{name}.jpg"), 60)
    words = ("out", "--ref", "golden", "--min", 0)
    assert gate(*words, model=pair_model).out == [
        f"{inside('golden', 'c.jpg')}: missing: no picture goes with this reference",
        "3 pictures: 2 passed, 1 failed",
    ]
    assert gate(*words, "--allow-missing", model=pair_model).status == 0
    assert gate("out", "--ref", "golden/a.jpg", "--min", 0, model=pair_model).status == 0
    os.remove("golden/b.jpg")
    result = gate(*words, "--allow-missing", model=pair_model)
    assert (result.status, result.out[0].split(": ", 1)[1]) == (
        3,
        "cannot be scored: no reference in golden fits its name",
    )


def test_a_drop_beside_a_reference_compares_what_each_scores_by_itself(gate: Gate) -> None:
    gray(Path("golden/a.png"), 20)
    gray(Path("golden/b.png"), 80)
    result = gate("out", "--ref", "golden", "--max-drop", 2)  # a model that takes no reference will do
    assert result.out == [
        f"{inside('out', 'b.png')}: 60.0 by itself, want 78 or more: at most 2 below the 80 of its reference {CAUSES}",
        "2 pictures: 1 passed, 1 failed",
    ]
    Path("golden/b.png").write_bytes(b"")
    result = gate("out", "--ref", "golden", "--max-drop", 2)
    assert result.out[0].startswith(f"{inside('out', 'b.png')}: cannot be scored as its reference was: ")


def test_both_limits_at_once(gate: Gate, pair_model: Path) -> None:
    gray(Path("golden/b.png"), 80)
    words = ("out/b.png", "--ref", "golden/b.png", "--max-drop", 2, "--min", 90)
    line = gate(*words, model=pair_model).out[0]
    assert line.removesuffix(f" {CAUSES}") == (
        "out/b.png: 78.4, want 90 or more; 60.0 by itself, want 78 or more: at most 2 below the 80 of its reference"
    )


def test_a_baseline_of_scores_against_references(gate: Gate, pair_model: Path) -> None:
    gray(Path("golden/b.png"), 80)
    words = ("out/b.png", "--ref", "golden", "--baseline", "base.json")
    assert gate(*words, "--update", model=pair_model).status == 0
    assert gate(*words, "--max-drop", 1, model=pair_model).status == 0
    gray(Path("out/b.png"), 40)
    assert "58.8, want 77.4 or more" in gate(*words, "--max-drop", 1, model=pair_model).out[0]


# ---- parts, masks and grounds ---------------------------------------------------------------------------------------


@pytest.fixture
def page(gate: Gate) -> np.ndarray:
    """golden/page.png, of 320x320 pixels, and out/page.png, in which one square of 32x32 pixels is dark."""
    for name in ("a.png", "b.png", "sub/c.png"):
        os.remove(f"out/{name}")
    os.rmdir("out/sub")
    gray(Path("golden/page.png"), 80, (320, 320))
    pixels = np.array(Image.open("golden/page.png"))
    pixels[96:128, 64:96] = 0
    Image.fromarray(pixels).save("out/page.png")
    return pixels


def test_a_small_part_that_is_lost_fails_by_its_worst_part(gate: Gate, page: np.ndarray, pair_model: Path) -> None:
    words = ("out", "--ref", "golden")
    assert gate(*words, "--min", 90, model=pair_model).status == 0, "the mean hides it"
    result = gate(*words, "--min-worst", 60, model=pair_model)
    assert result.status == 3
    assert result.out[0].startswith(
        f"{inside('out', 'page.png')}: worst part 19.6 (32x32 pixels at 64,96), want 60 or more everywhere"
    )
    found = json.loads("\n".join(gate(*words, "--min-worst", 60, "--format", "json", model=pair_model).out))
    worst = found["pictures"][0]["worst"]
    assert worst == {"score": pytest.approx(19.6, abs=0.05), "x": 64, "y": 96, "width": 32, "height": 32}
    assert gate(*words, "--min-worst", 19, model=pair_model).status == 0


def test_what_is_ignored_does_not_count(gate: Gate, page: np.ndarray, pair_model: Path) -> None:
    words = ("out", "--ref", "golden", "--min-worst", 98, "--min", 98)
    assert gate(*words, "--ignore", "64,96,31,32", model=pair_model).status == 3
    assert gate(*words, "--ignore", "64,96,32,16", "--ignore", "60,112,40,40", model=pair_model).status == 0
    mask = np.full((320, 320), 255, np.uint8)
    mask[96:128, 64:96] = 0
    os.mkdir("masks")
    Image.fromarray(mask).save("masks/page.png")
    for masks in ("masks", "masks/page.png"):
        assert gate(*words, "--mask", masks, model=pair_model).status == 0
    Image.fromarray(mask[:300]).save("masks/page.png")
    result = gate(*words, "--mask", "masks", model=pair_model)
    assert "cannot be scored: got a mask of 320x300 pixels for a picture of 320x320" in result.out[0]
    os.rename("masks/page.png", "masks/other.png")
    assert refused(gate(*words, "--mask", "masks", model=pair_model)).startswith(
        "--mask masks: no mask fits any picture"
    )


def test_rows_added_at_the_bottom_pass_when_cut_at_the_top_left(gate: Gate, page: np.ndarray, pair_model: Path) -> None:
    shown = np.array(Image.open("golden/page.png"))
    shown[::31] = 30  # rows that differ, so that a shift shows
    Image.fromarray(shown).save("golden/page.png")
    Image.fromarray(np.concatenate([shown, shown[:40]])).save("out/page.png")  # farther than pairs are registered
    words = ("out", "--ref", "golden", "--min", 98)
    assert gate(*words, "--align", "top-left", model=pair_model).status == 0
    assert gate(*words, "--align", "centre", model=pair_model).status == 3


def test_transparency_is_judged_on_both_grounds(gate: Gate, page: np.ndarray, pair_model: Path) -> None:
    logo = np.zeros((320, 320, 4), np.uint8)
    Image.fromarray(logo).save("out/page.png")
    logo[80:240, 80:240] = 255  # white, which nobody sees over white
    Image.fromarray(logo).save("golden/page.png")
    result = gate("out", "--ref", "golden", "--min", 90, "--format", "json", model=pair_model)
    (found,) = json.loads("\n".join(result.out))["pictures"]
    assert result.status == 3
    assert found["score"] == 73.5  # a quarter differs by all there is, over black
    assert "transparent: judged over white and over black, black counts" in found["warnings"]


# ---- what the model cannot judge ------------------------------------------------------------------------------------


def test_empty_pictures_and_those_unlike_the_training_data_do_not_pass_unless_allowed(gate: Gate) -> None:
    Image.new("RGB", (80, 70), (102, 102, 102)).save("out/a.png")
    gray(Path("out/b.png"), 96)  # the tiny model finds what is brighter than 0.9 unlike
    result = gate("out", "--min", 20)
    assert result.status == 3
    assert [line.split(f" {CAUSES}")[0] for line in result.out] == [
        f"{inside('out', 'a.png')}: empty: one colour all over; --allow-unlike passes it",
        f"{inside('out', 'b.png')}: unlike the training data: take the score with care; --allow-unlike passes it",
        "2 pictures: 0 passed, 2 failed",
    ]
    assert gate("out", "--min", 20, "--allow-unlike").status == 0
    assert gate("out", "--baseline", "base.json", "--update").status == 0
    words = ("out", "--baseline", "base.json", "--max-drop", 2)
    assert gate(*words).status == 0, "they were accepted as they are"
    Image.new("RGB", (80, 70), (255, 255, 255)).save("out/b.png")
    assert "out/b.png: empty" in gate(*words).out[0].replace(os.sep, "/")


def test_a_picture_that_seems_cut_short_does_not_pass_unless_allowed(gate: Gate) -> None:
    pixels = np.random.default_rng(0).integers(60, 200, (80, 70, 3), np.uint8)
    pixels[30:] = 128
    Image.fromarray(pixels).save("out/a.png")
    result = gate("out", "--min", 0)
    assert result.status == 3
    assert "a.png: cut short, it seems: 62 % at the bottom are one colour; --allow-unlike" in result.out[0]
    assert gate("out", "--min", 0, "--allow-unlike").status == 0


def test_beside_its_reference_only_what_is_empty_there_alone_fails(gate: Gate, pair_model: Path) -> None:
    gray(Path("golden/a.png"), 96)
    gray(Path("out/a.png"), 96)
    Image.new("RGB", (80, 70), (102, 102, 102)).save("out/b.png")
    gray(Path("golden/b.png"), 40)
    words = ("out", "--ref", "golden", "--min", 20)
    result = gate(*words, model=pair_model)
    assert [line.split(f" {CAUSES}")[0] for line in result.out] == [
        f"{inside('out', 'b.png')}: empty: one colour all over, which its reference is not; --allow-unlike passes it",
        "2 pictures: 1 passed, 1 failed",
    ]
    Image.new("RGB", (80, 70), (102, 102, 102)).save("golden/b.png")
    assert gate(*words, model=pair_model).status == 0


# ---- files ----------------------------------------------------------------------------------------------------------


def test_junit_has_a_test_case_for_every_picture(gate: Gate) -> None:
    Path("out/broken.png").write_bytes(b"")
    assert gate("out", "--min", 60, "--junit", "reports/gate.xml").status == 3
    suites = ElementTree.parse("reports/gate.xml").getroot()
    suite = suites[0]
    assert (suites.tag, suite.tag, suite[0].tag) == ("testsuites", "testsuite", "properties")
    assert [suite.get(key) for key in ("tests", "failures", "errors", "skipped")] == ["3", "1", "1", "0"]
    assert {"name", "timestamp", "hostname", "package", "id", "time"} <= suite.attrib.keys()
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == [inside("out", name) for name in ("a.png", "b.png", "broken.png")]
    assert [[found.tag for found in case] for case in cases] == [["failure"], [], ["error"]]
    assert cases[0][0].get("message") == f"20.0, want 60 or more {CAUSES}"
    assert all(case.get("classname") and case.get("time") for case in cases)


def test_names_that_xml_and_markdown_cannot_hold() -> None:
    name = "a\x00\x1b\ufffe\udcff\n|<b>&\"'`*_[x](y)~.jpg"
    outcomes = [Outcome(name, None, failures=("no\x07",)), Outcome(name, None, failures=("no",), broken=True)]
    suite = ElementTree.fromstring(junit(outcomes, datetime.now(timezone.utc), 0.5))[0]
    seen = "a\\x00\\x1b\\ufffe\\udcff\\n|<b>&\"'`*_[x](y)~.jpg"
    assert suite.findall("testcase")[0].get("name") == seen
    assert suite.findall("testcase")[0][0].get("message") == "no\\x07"
    row = markdown(outcomes, "").splitlines()[-2]
    assert row.count("|") == 3
    assert not set(row) & set("<>&\"'`*_[]~\\") - set("&")
    assert html.unescape(row.split("|")[1].strip()) == seen


def test_markdown_has_the_failures_alone_and_the_worst_first(gate: Gate) -> None:
    Path("out/broken.png").write_bytes(b"")
    gate("out", "-r", "--min", 70, "--markdown", "gate.md")
    text = Path("gate.md").read_text()
    assert text.startswith("### Picture quality: not passed\n\n4 pictures: 1 passed, 3 failed\n\n| picture | ")
    assert [line.split(" | ")[0].split("/")[-1] for line in text.splitlines()[6:]][:3] == [
        "broken.png",
        "a.png",
        "b.png",
    ]
    gate("out", "--allow-missing", "--min", 0, "--markdown", "gate.md")
    os.remove("out/broken.png")
    gate("out", "--min", 0, "--markdown", "gate.md")
    assert Path("gate.md").read_text() == "### Picture quality: passed\n\n2 pictures: 2 passed, 0 failed\n\n"


def test_a_long_table_in_markdown_is_cut() -> None:
    text = markdown([missing(f"{number}.png", "x") for number in range(1700)], "")
    assert text.count(".png") == 500
    assert text.endswith("\n\nand 1,200 more\n\n")


def test_the_summary_of_a_github_step_is_added_to(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("summary").write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", os.path.abspath("summary"))
    for _ in range(2):
        gate("out", "--min", 60, "--markdown", "summary")
    text = Path("summary").read_text()
    assert text.startswith("before\n### ")
    assert text.count("| picture |") == 2


def test_json_holds_everything(gate: Gate) -> None:
    gate("out", "--baseline", "base.json", "--update")
    os.remove("out/b.png")
    result = gate("out", "--baseline", "base.json", "--max-drop", 2, "--min", 60, "--format", "json")
    found = json.loads("\n".join(result.out))
    assert (result.status, found["passed"]) == (3, False)
    a, b = found["pictures"]
    assert (a["path"], a["score"], a["before"], a["passed"]) == (inside("out", "a.png"), 20.0, 20.0, False)
    assert a["failures"] == ["20.0, want 60 or more"]
    assert b == {"path": "b.png", "passed": False, "failures": ["missing: scored 60.0 in the baseline"]}


def test_a_file_that_cannot_be_written_is_said_and_the_others_are(gate: Gate) -> None:
    os.mkdir("gate.xml.partial")
    result = gate("out", "--min", 0, "--junit", "gate.xml", "--markdown", "gate.md")
    assert result.status == 2
    assert result.err.startswith("iqassay: --junit: cannot write gate.xml: ")
    assert result.out == ["2 pictures: 2 passed, 0 failed"]
    assert Path("gate.md").exists()


# ---- wrong usage ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("out", "got no limit, want --min, --min-worst, or --max-drop with --baseline or --ref"),
        ("out --min-worst 101", "--min-worst: got 101, want 0 to 100"),
        ("out --min 5 --ignore 1,2,3,4", "--ignore: got no references, want --ref too"),
        ("out --min 5 --mask out", "--mask: got no references, want --ref too"),
        ("out --min 5 --ref out --ignore 1,2,3", "--ignore: got '1,2,3', want x,y,width,height in pixels"),
        ("out --min 5 --ref out --ignore 1,2,0,9", "--ignore: got '1,2,0,9', want x,y,width,height in pixels"),
        ("out --max-drop 5 --ref out --ignore 1,2,3,4", "--ignore, --mask and --shave: count where"),
        ("out --min 101", "--min: got 101, want 0 to 100"),
        ("out --min nan", "--min: got nan, want 0 to 100"),
        ("out --ref out --max-drop -1", "--max-drop: got -1, want 0 to 100"),
        ("out --max-drop 2", "--max-drop: got nothing to compare with, want --baseline or --ref"),
        ("out --baseline b.json --min 5", "--baseline: got no --max-drop, want how far a score may fall"),
        ("out --update --min 5", "--update: got no --baseline, want the file to write"),
        ("out --min 5 --pair {ref}_*", "--pair: got no references, want --ref too"),
        ("out --min 5 --align crop", "--align: got no references, want --ref too"),
        ("out --min 5 --junit out", "--junit out: is a folder, want another file"),
        ("out --min 5 --markdown out/a.png", "--markdown out/a.png: is a picture, want another file"),
        ("nowhere --min 5", "nowhere: no such file or folder"),
        ("out --max-drop 2 --baseline no.json", "no.json: cannot be read: No such file or directory"),
        ("out --ref out --min 5", "--model tiny: takes no reference, want one that does"),
    ],
)
def test_wrong_usage_is_one_line(gate: Gate, words: str, message: str) -> None:
    assert refused(gate(*words.split())).startswith(message)


def test_a_model_that_scores_nothing_by_itself_needs_a_baseline(gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gate", "out", "--ref", "out", "--max-drop", "2", "--min", "1", "--model", "ssim"]) == 2
    assert "ssim scores nothing by itself" in capsys.readouterr().err


def test_missing_is_a_failure_and_not_an_error() -> None:
    outcome = missing("a", "was there")
    assert (outcome.broken, outcome.line()) == (False, "a: missing: was there")
