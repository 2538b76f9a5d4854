"""What a worker makes of its parts, and a run of them: the records of `iqassay score`, each once, whatever dies."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iqassay.cli import main
from iqassay.cluster import places, pool, worker
from iqassay.cluster.dataset import BatchScorer, _kept
from iqassay.cluster.parts import Part
from iqassay.cluster.question import Question, ask
from iqassay.cluster.sources import find_source
from iqassay.cluster.worker import Worker
from iqassay.folders.records import read_records
from iqassay.models.opening import open_scorer
from iqassay.support.errors import UsageError
from iqassay.support.install import install_command

pyarrow = pytest.importorskip("pyarrow")
from pyarrow import parquet  # noqa: E402


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder is left with six pictures in `photos`, of which one is broken."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for n in range(5):
        pixels = np.random.default_rng(n).integers(0, 40 * (n + 1), (40, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"photos/{n}.png")
    (tmp_path / "photos/broken.jpg").write_bytes(b"no picture")
    return tmp_path / "photos"


@pytest.fixture
def question(tiny_model: Path) -> Question:
    return ask([open_scorer(str(tiny_model), 1)], [str(tiny_model)], 200_000_000)


@pytest.fixture
def as_pool(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """In place of Ray, one worker in this process; the list has the parts that it did."""
    did: list[int] = []

    @contextmanager
    def connected(address: str | None) -> Iterator[int]:
        yield 2

    def score_parts(parts: list[Part], question: Question, out: str, workers: int) -> Iterator[int]:
        one = Worker(question, out)
        for part in parts:
            did.append(part.number)
            yield one.score(part)

    monkeypatch.setattr(pool, "find_ray", lambda: None)
    monkeypatch.setattr(pool, "connected", connected)
    monkeypatch.setattr(pool, "score_parts", score_parts)
    return did


def in_parts(folder: str | Path) -> list[dict]:
    return [record for file in sorted(Path(folder).glob("part-*.parquet")) for record in read_records(str(file))]


def test_parts_have_the_records_of_iqassay_score(
    photos: Path, tiny_model: Path, as_pool: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--model", str(tiny_model)]
    assert main(["score", "photos", *asked, "-o", "all.parquet"]) == 1
    capsys.readouterr()
    assert main(["cluster", "score", "photos", *asked, "-o", "out", "--part", "4"]) == 1
    said = capsys.readouterr()
    assert said.out == "out\n"
    assert "1 of 6 pictures could not be scored: see the column error" in said.err
    assert as_pool == [0, 1]
    assert in_parts("out") == list(read_records("all.parquet"))
    assert parquet.read_schema("out/part-000000.parquet") == parquet.read_schema("all.parquet")
    assert parquet.read_table("out").num_rows == 6  # notes of ours do not disturb who reads the folder
    assert sorted(path.name for path in Path("out").iterdir()) == [
        *("_run.json", "part-000000.parquet", "part-000001.parquet")
    ]


def test_pictures_in_parquet_and_at_urls_have_the_same_records(
    photos: Path, tiny_model: Path, as_pool: list[int]
) -> None:
    files = [f"photos/{n}.png" for n in range(5)] + ["photos/broken.jpg", "photos/gone.jpg"]
    (photos.parent / "list").write_text("\n".join(files))
    urls = [(photos.parent / file).as_uri() for file in files]
    held = [Path(file).read_bytes() for file in files[:-1]]
    parquet.write_table(pyarrow.table({"jpg": held, "path": files[:-1]}), "held.parquet")
    parquet.write_table(pyarrow.table({"url": urls, "n": files}), "urls.parquet")
    found = {}
    for source, more in (("list", []), ("held.parquet", []), ("urls.parquet", ["--column", "url", "--name", "n"])):
        out = f"out-{source}"
        assert main(["cluster", "score", source, *more, "-o", out, "--model", str(tiny_model)]) == 1
        found[source] = in_parts(out)
    assert found["held.parquet"] == found["list"][:-1]
    assert found["urls.parquet"][:-1] == found["list"][:-1]
    assert found["list"][0]["bytes"] == len(held[0])
    last = [found[source][-1] for source in ("list", "urls.parquet")]
    assert last[1] == {"path": "photos/gone.jpg", "error": "FileNotFoundError: there is no such file"}
    assert last[0].keys() == {"path", "error"}


def test_a_second_run_does_what_is_left(
    photos: Path, tiny_model: Path, as_pool: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["cluster", "score", "photos", "--model", str(tiny_model), "-o", "out", "--part", "2"]
    assert main(command) == 1
    whole = in_parts("out")
    Path("out/part-000001.parquet").unlink()
    (Path("out") / ".part-000001.parquet.12345678.partial").write_bytes(b"half of it")
    del as_pool[:]
    capsys.readouterr()
    assert main(command[:-2]) == 1  # the size of parts is that of the run
    assert as_pool == [1]
    assert in_parts("out") == whole
    assert "2 of 3 parts are there already" in capsys.readouterr().err
    assert main(command) == 1
    assert as_pool == [1]


def test_another_run_is_refused(photos: Path, tiny_model: Path, as_pool: list[int], capsys, tmp_path: Path) -> None:
    command = ["cluster", "score", "photos", "--model", str(tiny_model), "-o", "out"]
    assert main([*command, "--part", "4"]) == 1
    kept = in_parts("out")
    other = tmp_path / "other.onnx"
    shutil.copy(tiny_model, other)
    card = json.loads(tiny_model.with_suffix(".json").read_text())
    other.with_suffix(".json").write_text(json.dumps({**card, "unlike": {**card["unlike"], "threshold": 0.123}}))
    Path("list").write_text("photos/1.png\n")
    Path("full").mkdir()
    Path("full/mine.txt").write_text("mine")
    changed = {
        "list": ([*command[:2], "list", *command[3:]], "holds a run of photos, got list; want another folder"),
        "part": ([*command, "--part", "3"], "holds a run with parts of 4 pictures, got 3; want another folder"),
        "pixels": ([*command, "--max-pixels", "9"], "holds a run with a limit of 200000000 pixels, got 9; want"),
        "model": ([*command[:4], str(other), *command[5:]], "from before the model file was changed, want another"),
        "full": ([*command[:-1], "full"], "holds files, but no run of `iqassay cluster score`, want an empty"),
        "file": ([*command[:-1], "list"], "-o list: is a file, want a folder for the results"),
    }
    del as_pool[:]
    for name, (asked, said) in changed.items():
        capsys.readouterr()
        assert main(asked) == 2, name
        shown = capsys.readouterr().err
        assert said in shown, name
        assert shown.count("\n") == 1, name
    pixels = np.zeros((8, 8, 3), np.uint8)
    Image.fromarray(pixels).save("photos/2.png")  # of the same name, but not the picture that it was
    assert main(command) == 2
    assert "holds a run from before photos was changed, want another folder" in capsys.readouterr().err
    Image.fromarray(pixels).save("photos/9.png")
    assert main(command) == 2
    assert "holds a run of 6 pictures, got 7; want another folder" in capsys.readouterr().err
    assert as_pool == []
    assert in_parts("out") == kept


def test_a_part_that_is_missing_in_the_end_is_said(
    photos: Path, tiny_model: Path, as_pool: list[int], monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """As where OUT is a folder of its own on each machine."""
    monkeypatch.setattr(places, "put", lambda place, content, put=places.put: "part-" in place or put(place, content))
    assert main(["cluster", "score", "photos", "--model", str(tiny_model), "-o", "out", "--part", "5"]) == 1
    assert "2 parts of 2 cannot be seen in out from here, want a folder that all machines share" in (
        capsys.readouterr().err
    )


def test_a_part_that_was_done_meanwhile_is_not_done_again(photos: Path, question: Question, tmp_path: Path) -> None:
    out, part = str(tmp_path / "out"), find_source("photos").parts[0]
    assert Worker(question, out).score(part) == 6
    unable = Worker(Question(("gone.onnx",), ("",), question.layout, 9), out)
    assert unable.score(part) == 6


def test_a_worker_with_another_model_ends_the_run(photos: Path, question: Question, tmp_path: Path) -> None:
    changed = Question(question.models, ("another",), question.layout, question.max_pixels)
    with pytest.raises(ValueError, match=r"is another model on .+ than where the run was started, want the same"):
        Worker(changed, str(tmp_path / "out")).score(find_source("photos").parts[0])
    assert not list(tmp_path.glob("out/part-*"))


def test_what_is_wrong_with_a_run_comes_back_from_ray_in_words(
    photos: Path, question: Question, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = find_source("photos").parts[0]
    changed = Question(question.models, ("another",), question.layout, question.max_pixels)
    pictures, error, usage = pool._score_part(part, changed, str(tmp_path / "out"))
    assert (pictures, usage) == (0, True)
    assert "is another model on" in error
    (tmp_path / "file").write_text("no folder")
    pictures, error, usage = pool._score_part(part, question, str(tmp_path / "file"))
    assert (pictures, usage) == (0, False)
    assert error
    assert pool._score_part(part, question, str(tmp_path / "out")) == (6, "", False)
    trace = "ray::Worker()\n  File x\nModuleNotFoundError: No module named 'iqassay'\n\nray.exceptions.X: UDF failed\n"
    assert pool._reason(trace) == "ModuleNotFoundError: No module named 'iqassay'"


def test_a_source_that_shrank_is_said(photos: Path, question: Question, tmp_path: Path) -> None:
    parquet.write_table(pyarrow.table({"url": ["a.png", "b.png"]}), "urls.parquet")
    part = find_source("urls.parquet").parts[0]
    parquet.write_table(pyarrow.table({"url": ["a.png"]}), "urls.parquet")
    with pytest.raises(ValueError, match="got 1 pictures where there were 2 when the run began"):
        Worker(question, str(tmp_path / "out")).score(part)


class Death(BaseException):
    """Stands in for what ends a process."""


def test_a_picture_that_kills_its_worker_becomes_a_record(
    photos: Path, question: Question, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, part = tmp_path / "out", find_source("photos").parts[0]
    whole = list(question.records(question.open(), part.inside.items()))
    real, read = Question.records, []

    def records(self: Question, scorers: list, items: Iterator) -> Iterator[dict]:
        for item in items:
            read.append(item.name)
            if item.name in ("photos/1.png", "photos/3.png"):
                raise Death
            yield from real(self, scorers, iter([item]))

    monkeypatch.setattr(Question, "records", records)
    deaths = 0
    while True:
        try:
            assert Worker(question, str(out)).score(part) == 6
            break
        except Death:
            deaths += 1
            assert not list(out.glob("part-*"))
    assert deaths == worker.TRIES + 2 * worker.DEADLY
    found = in_parts(out)
    assert [record["path"] for record in found] == [record["path"] for record in whole]
    dead = [record for record in found if record.get("error") == worker.DIED]
    assert [record["path"] for record in dead] == ["photos/1.png", "photos/3.png"]
    assert [a == b for a, b in zip(found, whole, strict=True)] == [True, False, True, False, True, True]
    assert not list((out / worker.TRYING).iterdir())


def test_a_picture_that_one_worker_died_at_is_innocent(
    photos: Path, question: Question, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine may have been taken away just then."""
    out, part = tmp_path / "out", find_source("photos").parts[0]
    whole = list(question.records(question.open(), part.inside.items()))
    real, calls = Question.records, []

    def records(self: Question, scorers: list, items: Iterator) -> Iterator[dict]:
        calls.append(self)
        if len(calls) in (1, 2, 5):  # both tries of the whole part, then the third picture
            raise Death
        yield from real(self, scorers, items)

    monkeypatch.setattr(Question, "records", records)
    for _ in range(3):
        with pytest.raises(Death):
            Worker(question, str(out)).score(part)
    assert Worker(question, str(out)).score(part) == 6
    assert in_parts(out) == whole


def test_workers_that_die_for_ever_end_the_run(
    photos: Path, question: Question, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def records(self: Question, scorers: list, items: Iterator) -> Iterator[dict]:
        raise Death

    monkeypatch.setattr(Question, "records", records)
    monkeypatch.setattr(worker, "DEATHS", 3)
    part = find_source("photos").parts[0]
    for _ in range(3):
        with pytest.raises(Death):
            Worker(question, str(tmp_path / "out")).score(part)
    with pytest.raises(OSError, match="3 workers died at it"):
        Worker(question, str(tmp_path / "out")).score(part)


def test_without_ray_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["cluster", "score", "photos", "-o", "out"]) == 2
    wanted = f"this needs ray, which is not installed: want {install_command('ray')}"
    assert capsys.readouterr().err == f"iqassay: {wanted}\n"


# ---- a Dataset of Ray -----------------------------------------------------------------------------------------------


def test_a_batch_keeps_its_columns_and_gets_those_of_the_records(photos: Path, question: Question) -> None:
    table = pyarrow.table(
        {
            "id": [7, 8],
            "bytes": [Path("photos/1.png").read_bytes(), b"no picture"],
            "path": ["photos/1.png", "photos/broken.jpg"],
        }
    )
    column, stay = _kept(table.schema, None, question)
    assert (column.name, stay) == ("bytes", ["id"])
    found = BatchScorer(question, column, stay, "")(table)
    assert found.column_names == ["id", *question.layout.columns()]
    one, broken = found.to_pylist()
    (record,) = (
        question.records(question.open(), [next(iter(find_source("list").parts[0].inside.items()))])
        if (Path("list").write_text("photos/1.png"))
        else ()
    )
    assert (one["id"], one["path"], one["score"], one["bytes"]) == (7, "photos/1.png", record["score"], record["bytes"])
    assert (broken["id"], broken["score"]) == (8, None)
    assert "want" in broken["error"]


def test_a_column_with_a_name_of_ours_is_refused(question: Question) -> None:
    with pytest.raises(ValueError, match="got a column 'score', whose name a column of the results has"):
        _kept(pyarrow.schema([("url", pyarrow.string()), ("score", pyarrow.float64())]), None, question)
    with pytest.raises(ValueError, match="got a column 'path'"):
        _kept(pyarrow.schema([("url", pyarrow.string()), ("path", pyarrow.string())]), "url", question)
    with pytest.raises(UsageError, match="got the column 'image' of fixed_size_list"):
        _kept(pyarrow.schema([("image", pyarrow.list_(pyarrow.uint8(), 3))]), "image", question)
