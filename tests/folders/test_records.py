"""What is written is what is read, in every format; a file cut short gives what is whole, any other one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from iqassay.folders.records import BINARY, WRITERS, Record, open_results, read_records, write_csv
from iqassay.support.errors import UsageError

OF_0_1_0 = "path,score,low,high,raw,model,version,distortions,warnings,error"
GOOD: Record = {
    "path": "a/b.png",
    "score": 50.25,
    "low": 40.0,
    "high": 60.5,
    "raw": {"mfen": -0.1234, "yoto:2": 1e-05},
    "model": "panel",
    "version": "1.0",
    "width": 640,
    "height": 480,
    "bytes": 71234,
    "bits_per_pixel": 1.8551,
    "distortions": [{"name": "jpeg", "severity": 2.0}, {"name": "gaussian_blur", "severity": 0.25}],
    "warnings": ["transparency was put on white", "unlike the training data: take the score with care"],
}
RECORDS: list[Record] = [
    GOOD,
    {"path": "broken.jpg", "error": 'cut short, or "worse"; who knows'},
    {**GOOD, "path": "new\nline, \u2028 and \r.png", "raw": {}, "distortions": [], "warnings": []},
    {**GOOD, "path": "a carriage\rreturn.png"},
    {**GOOD, "path": "not text \udcff\udc80.png", "reference": "refs/\udcfe.png"},
    {"path": "Büro ☃.png", "reference": "refs/1.png", "error": "reference refs/1.png: no such file"},
]
READABLE = ("json", "jsonl", "csv", "parquet")
TEXTS = tuple(name for name in READABLE if name not in BINARY)


def write(path: Path, records: list[Record] | Iterator[Record], form: str) -> Path:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    with open_results(str(path), binary=form in BINARY) as out:
        if form == "csv":
            write_csv(records, out, reference="refs")
        else:
            WRITERS[form](records, out)
    return path


def read(path: Path) -> tuple[list[Record], str]:
    """The records, and what is said about a cut."""
    said: list[str] = []
    return list(read_records(str(path), said.append)), "".join(said)


def refused(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize("form", READABLE)
@pytest.mark.parametrize("ending", ["right", "none", "partial"])
def test_what_is_written_is_what_is_read(tmp_path: Path, form: str, ending: str) -> None:
    name = {"right": f"results.{form}", "none": "results", "partial": f"results.{form}.partial"}[ending]
    assert read(write(tmp_path / name, RECORDS, form)) == (RECORDS, "")


@pytest.mark.parametrize("form", READABLE)
def test_no_records(tmp_path: Path, form: str) -> None:
    assert read(write(tmp_path / "results", [], form)) == ([], "")


ALSO = {"ssim": {"score": 40.0, "low": 30.0, "high": 50.5, "version": "1"}}


@pytest.mark.parametrize("form", READABLE)
def test_further_models_and_groups_have_columns_of_their_own(tmp_path: Path, form: str) -> None:
    grouped = {**GOOD, "also": ALSO, "group": 3, "place": 1, "best": 0.75}
    lacking = {**grouped, "also": {}}  # the further model could not measure it
    found, _ = read(write(tmp_path / "x", [{"path": "x", "error": "gone"}, grouped], form))
    assert found[1] == grouped
    if form == "csv":
        columns = (tmp_path / "x").read_text().splitlines()[0].split(",")
        assert columns == [
            *("path", "reference", "group", "place", "best", "score", "low", "high"),
            *("score_ssim", "low_ssim", "high_ssim", "version_ssim", "raw_mfen", "raw_yoto:2", "model", "version"),
            *("width", "height", "bytes", "bits_per_pixel", "distortions", "warnings", "error"),
        ]
        found, _ = read(write(tmp_path / "x", [grouped, lacking], form))
        assert found[1] == {key: value for key, value in lacking.items() if key != "also"}


def test_a_model_without_a_column_is_an_error_and_not_lost(tmp_path: Path) -> None:
    other = {**GOOD, "raw": {"dri": 1.0}}
    with pytest.raises(ValueError, match=r"a/b.png: got values of 'dri', want those of mfen, yoto:2"):
        write(tmp_path / "x", iter([GOOD, other]), "csv")


def test_results_of_version_0_1_0_are_read(tmp_path: Path) -> None:
    path, raws = tmp_path / "x.csv", "mfen:-0.1234;yoto:2:1e-05"
    path.write_text(f"{OF_0_1_0}\na.png,50.25,40.0,60.5,{raws},panel,1.0,jpeg:2.0,a; b,\nb,,,,,,,,,x\n")
    first, second = read(path)[0]
    assert first["raw"] == {"mfen": -0.1234, "yoto:2": 1e-05}
    assert (first["score"], first["distortions"], first["warnings"]) == (50.25, GOOD["distortions"][:1], ["a", "b"])
    assert second == {"path": "b", "error": "x"}
    parquet, pyarrow = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    old = {key: value for key, value in GOOD.items() if key not in ("width", "height", "bytes", "bits_per_pixel")}
    raws = pyarrow.array([list(GOOD["raw"].items())], pyarrow.map_(pyarrow.string(), pyarrow.float64()))
    table = pyarrow.table({key: [value] for key, value in old.items() if key != "raw"} | {"raw": raws})
    parquet.write_table(table, path)
    assert read(path)[0] == [old]


def test_records_are_read_as_they_are_asked_for(tmp_path: Path) -> None:
    for form in TEXTS:
        path = write(tmp_path / form, [GOOD] * 3000, form)
        path.write_bytes(path.read_bytes() + b"what is this\n")
        assert next(read_records(str(path))) == GOOD


def test_json_of_other_layouts_and_files_from_other_systems(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for text in (json.dumps(RECORDS), json.dumps(RECORDS, indent=2), "\n " + json.dumps(RECORDS)):
        path.write_text(text)
        assert read(path) == (RECORDS, "")
    for form in TEXTS:
        records = [RECORDS[1], RECORDS[0]]
        written = write(tmp_path / form, records, form).read_bytes()
        path.write_bytes(b"\xef\xbb\xbf" + written.replace(b"\n", b"\r\n"))
        assert read(path) == (records, "")
        path.write_bytes(written.rstrip(b"\n"))
        assert read(path) == (records, "")


@pytest.mark.parametrize("form", TEXTS)
def test_wherever_a_file_is_cut_the_whole_records_before_that_come_out(tmp_path: Path, form: str) -> None:
    records = [*RECORDS[1:3], {**RECORDS[3], "warnings": []}, RECORDS[4]]
    whole = write(tmp_path / "whole", records, form).read_bytes()
    header = whole.index(b"\n") + 1 if form != "jsonl" else 1
    path = tmp_path / "cut"
    counts = []
    for size in range(header, len(whole) - 3, 2):
        path.write_bytes(whole[:size])
        found, said = read(path)
        assert found == records[: len(found)]
        assert said in ("", f"{path}: was cut short, {len(found)} record{'' if len(found) == 1 else 's'} before that")
        counts.append(len(found))
    assert counts == sorted(counts)
    assert counts[-1] >= len(records) - 1
    assert said


def test_a_cut_is_said_on_standard_error_when_nobody_listens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "x\n.jsonl", RECORDS, "jsonl")
    path.write_bytes(path.read_bytes()[:-5])
    assert list(read_records(str(path))) == RECORDS[:-1]
    name = str(path).replace("\n", "\\n")
    assert capsys.readouterr().err == f"iqassay: {name}: was cut short, 5 records before that\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("picture  score  90 % interval\n", "got no results in it, want what `iqassay score -o` writes"),
        ("path;score\na;1\n", "got no results in it"),
        ("\0\xff\n", "got no results in it"),
        ("P6 2 2 255\n", "got broken Parquet after 0 records"),
        ('{"path": "a.png"\n}\n', "line 1: got broken JSON"),
        ('{"path": "a.png"}\n', "line 1: got a record with no score, want one of `iqassay score`"),
        ("[\n17,\n18\n]\n", "record 1: got 17, want a record"),
        ('[\n{"path": "a", "error": "x"},\noops\n]\n', "line 3: got broken JSON"),
        ('[{"path": "a", "error": "x"}, null]', "record 2: got None"),
        ("[" * 100_000 + "\n", "got broken JSON: too many brackets"),
        ('{"path": 7, "error": "x"}\n', "line 1: got a record with path 7"),
        ('{"path": "a", "error": null}\n', "line 1: got a record with error None"),
        ('{"path": "a", "error": "x", "score": []}\n', "line 1: got a record with score []"),
        *(
            (json.dumps({**GOOD, key: value}) + "\n", f"line 1: got a record with {key} ")
            for key, value in [
                ("score", float("nan")),
                ("score", True),
                ("low", -1),
                ("high", 10**400),
                ("raw", {"mfen": "good"}),
                ("model", None),
                ("width", -3),
                ("bytes", 1.5),
                ("bits_per_pixel", "many"),
                ("also", {"ssim": {"score": 101, "low": 0, "high": 1, "version": "1"}}),
                ("group", True),
                ("reference", 3),
                ("distortions", [{"name": "jpeg"}]),
                ("distortions", [{"name": "jpeg", "severity": 1e308}]),
                ("distortions", "jpeg"),
                ("warnings", [3]),
            ]
        ),
        (OF_0_1_0 + "\na.png,good,1,2,,m,1,,,\n", "line 2: could not convert string to float: 'good'"),
        (OF_0_1_0 + "\na.png,1,2\n", "line 2: got 3 cells, want 10"),
        (OF_0_1_0 + '\n"a"b,1,2\n,\n', "line 2: "),
        (OF_0_1_0 + "\na.png,500,1,2,,m,1,,,\n", "line 2: got a record with score 500.0"),
        (OF_0_1_0 + "\na.png,1,1,2,m:x,m,1,,,\n", "line 2: could not convert"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path: Path, content: str, words: str) -> None:
    if content.startswith("P"):
        pytest.importorskip("pyarrow")
    path = tmp_path / "x.json"
    path.write_bytes(content.encode())
    assert refused(path).startswith(words)


def test_what_cannot_be_opened_is_refused_in_one_line(tmp_path: Path) -> None:
    refused(tmp_path / "missing.json")
    refused(tmp_path)


def test_a_failed_run_that_computed_nothing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError), open_results(str(tmp_path / "x.csv")):
        raise UsageError("no model")
    assert list(tmp_path.iterdir()) == []


# ---- parquet --------------------------------------------------------------------------------------------------------


def test_parquet_has_types_and_is_written_a_thousand_at_a_time(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    taken = 0

    def many() -> Iterator[Record]:
        nonlocal taken
        for number in range(2500):
            taken += 1
            yield {**GOOD, "path": f"{number}.png"}

    file = parquet.ParquetFile(write(tmp_path / "x.parquet", many(), "parquet"))
    assert [file.metadata.row_group(index).num_rows for index in range(file.num_row_groups)] == [1000, 1000, 500]
    types = {field.name: str(field.type) for field in file.schema_arrow}
    assert types["score"] == types["low"] == types["high"] == "double"
    assert types["raw_mfen"] == types["raw_yoto:2"] == types["bits_per_pixel"] == "double"
    assert types["width"] == types["height"] == types["bytes"] == "int64"
    assert types["path"] == types["reference"] == types["error"] == "string"
    assert types["distortions"].startswith("list<")
    reading = read_records(str(tmp_path / "x.parquet"))
    assert [record["path"] for record in reading] == [f"{number}.png" for number in range(2500)]


@pytest.mark.parametrize("ending", [KeyboardInterrupt, RuntimeError])
def test_parquet_keeps_what_was_computed_before_the_end(tmp_path: Path, ending: type[BaseException]) -> None:
    pytest.importorskip("pyarrow")

    def some() -> Iterator[Record]:
        yield from RECORDS
        raise ending

    with pytest.raises(ending):
        write(tmp_path / "x.parquet", some(), "parquet")
    name = "x.parquet" if ending is KeyboardInterrupt else "x.parquet.partial"
    assert read(tmp_path / name) == (RECORDS, "")


def test_parquet_cut_short_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", RECORDS, "parquet")
    whole = path.read_bytes()
    for size in (4, 100, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert refused(path).startswith("got broken Parquet after 0 records: ")


def test_parquet_of_something_else_is_refused(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"path": ["a"], "score": [None]}), tmp_path / "x.parquet")
    assert refused(tmp_path / "x.parquet") == "record 1: got a record with no score, want one of `iqassay score`"


def test_without_pyarrow_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    asked: list[int] = []

    def some() -> Iterator[Record]:
        asked.append(1)
        yield GOOD

    with pytest.raises(UsageError) as caught, open_results(str(tmp_path / "x.parquet"), binary=True) as out:
        WRITERS["parquet"](some(), out)
    assert "pip install 'pyarrow>=16'" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not asked
    assert list(tmp_path.iterdir()) == []


def test_reading_and_writing_text_imports_nothing_heavy() -> None:
    code = "import sys, iqassay.folders.records; "
    code += "print(*{'numpy', 'pyarrow', 'PIL', 'typer', 'sqlite3'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert done.stdout.strip() == ""


@pytest.mark.skipif(sys.platform == "win32", reason="no flock")
def test_two_runs_with_one_file_of_results_do_not_mix(tmp_path: Path) -> None:
    target = str(tmp_path / "out.jsonl")
    with open_results(target) as first:
        first.write("mine\n")
        first.flush()
        with pytest.raises(UsageError, match="another run is writing it"), open_results(target):
            pass
    assert Path(target).read_text() == "mine\n"
    Path(f"{target}.partial").write_text("what a killed run has left, which is longer")
    with open_results(target) as again:
        again.write("anew\n")
    assert Path(target).read_text() == "anew\n"
    assert os.listdir(tmp_path) == ["out.jsonl"]
