"""Kept answers: what is written is what is read, and a half-written line costs nothing but itself."""

import json
import math

import pytest

from iqassay.bench.results import Results, Row, adding, find_results, read_results, results_file, write_results

ABOUT = {"set": "biq", "model": "panel", "version": "0.2"}
ROWS = (
    Row("a.png", 50.5, 49.0, 40.0, 60.0, 0.5, "refs/a.png", "a", "test", "ss01", "jpeg", 2.0, 12.5, 30.0, "3"),
    Row('odd "name",\nand a line break.png', 12.25, error="cut short"),
    Row("\u00e9t\u00e9 \udcff.png", 3, 100 / 3),
)


def test_what_is_written_is_what_is_read(tmp_path):
    file = write_results(tmp_path, Results("biq", "panel", ROWS, ABOUT))
    found = read_results(file)
    assert file == tmp_path / "biq" / "panel.csv"
    assert (found.set, found.model, found.about) == ("biq", "panel", ABOUT)
    assert repr(found.rows[:2]) == repr(ROWS[:2])  # nan equals nothing, but looks alike
    assert found.rows[2].image == ROWS[2].image
    assert found.rows[2].score == pytest.approx(100 / 3, rel=1e-6)
    assert find_results(tmp_path)[0].rows[0] == ROWS[0]


def test_only_scored_rows_are_counted(tmp_path):
    found = Results("biq", "panel", ROWS, ABOUT)
    assert found.column("mos").tolist() == [50.5, 3]
    assert found.words("group") == ["a", ""]
    assert math.isnan(found.column("low")[1])


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_a_line_that_was_being_written_is_left_out_and_written_again(tmp_path, cut):
    file = write_results(tmp_path, Results("biq", "panel", ROWS, ABOUT))
    whole = file.read_bytes()
    file.write_bytes(whole[:-cut])
    assert len(read_results(file).rows) == 2
    with adding(file, ABOUT) as add:
        add(ROWS[2])
    assert file.read_bytes() == whole


def test_a_kill_inside_a_name_with_a_line_break(tmp_path):
    file = write_results(tmp_path, Results("biq", "panel", ROWS[:1], ABOUT))
    whole = file.read_bytes()
    file.write_bytes(whole + b'"odd ""name"",\nand a')
    assert len(read_results(file).rows) == 1
    with adding(file, ABOUT):
        assert file.read_bytes() == whole


def test_rows_stand_in_the_file_at_once(tmp_path):
    file = results_file(tmp_path, "biq", "panel")
    with adding(file, ABOUT) as add:
        add(ROWS[0])
        assert len(read_results(file).rows) == 1


def test_names_that_no_file_can_have(tmp_path):
    file = results_file(tmp_path, "a/b", "../c:d, best test epoch")
    assert file == tmp_path / "a-b" / "..-c-d, best test epoch.csv"


@pytest.mark.parametrize("harm", ["no json", "no set", "other columns", "no number"])
def test_other_files_are_refused_in_one_line(tmp_path, harm):
    file = write_results(tmp_path, Results("biq", "panel", ROWS[:1], ABOUT))
    if harm == "no json":
        file.with_suffix(".json").unlink()
    elif harm == "no set":
        file.with_suffix(".json").write_text(json.dumps({"model": "panel"}))
    elif harm == "other columns":
        file.write_text("image,score\na.png,4\n")
    else:
        file.write_text(file.read_text().replace("50.5", "good"))
    with pytest.raises(ValueError, match="got no results of iqassay bench") as error:
        read_results(file)
    assert "\n" not in str(error.value)


def test_a_folder_without_results(tmp_path):
    with pytest.raises(ValueError, match="got no results in it"):
        find_results(tmp_path)
