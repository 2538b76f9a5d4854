"""Files and surroundings that mean harm: nothing hangs, nothing is lost, and whatever goes wrong is one plain line.
test_traps.py has the pictures.

What may hang runs in a process of its own, which is killed then. What the fuzzer (benchmarks/checks/fuzz.py) found is
kept in fuzz/, a file for each finding; its name starts with what reads it.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import make_photo, write_model
from PIL import Image

from iqassay.folders.cache import Cache, open_cache
from iqassay.folders.records import read_records
from iqassay.pictures.image import ImageError, read_image
from iqassay.scoring.model_file import ModelFileError, load_model_file, open_session, read_card
from iqassay.support.errors import UsageError

pytestmark = pytest.mark.slow

LIMIT = 60  # seconds: whoever takes longer hangs
SEEDS = sorted((Path(__file__).parent / "fuzz").iterdir())
POSIX = pytest.mark.skipif(os.name == "nt", reason="needs a POSIX system")
NOT_A_FILE = "got something that is not a regular file, want a picture file"
FULL = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")


# ---- what the fuzzer found ------------------------------------------------------------------------------------------


def read_model(path: Path) -> None:
    open_session(load_model_file(write_model(path.parent, "graph", path.read_bytes())), threads=1)


def read_cache(path: Path) -> None:
    with open_cache(str(path)) as cache:  # type: ignore[union-attr]
        cache.find(bytes(32), with_map=True)
        cache.keep(bytes(32), {"score": 1.0})


READERS: dict[str, tuple[Callable[[Path], Any], type[ValueError]]] = {
    "decoder": (lambda path: read_image(path, 2**20), ImageError),
    "card": (read_card, ModelFileError),
    "graph": (read_model, ModelFileError),
    "cache": (read_cache, UsageError),
    "records": (lambda path: list(read_records(str(path))), UsageError),
}


@pytest.mark.parametrize("seed", SEEDS, ids=lambda path: path.name)
def test_what_the_fuzzer_found(seed: Path, tmp_path: Path) -> None:
    read, expected = READERS[seed.name.split("-")[0]]
    with pytest.raises(expected) as caught:
        read(Path(shutil.copy(seed, tmp_path)))
    assert "\n" not in str(caught.value)


# ---- the command, in bad surroundings -------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder `in` with four photos, and a model beside it."""
    write_model(tmp_path)
    (tmp_path / "in").mkdir()
    for number in range(4):
        Image.fromarray(np.uint8(255 * make_photo(70, 80, number))).save(tmp_path / "in" / f"{number}.png")
    return tmp_path


def start(place: Path, *words: str, **options: Any) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "IQASSAY_CACHE": str(place / "answers.sqlite")}
    options = {"cwd": place, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    options["env"] = {**environment, **options.get("env", {})}
    words = (sys.executable, "-m", "iqassay", *words, "--model", str(place / "tiny.onnx"))
    return subprocess.Popen(words, **options)


def finish(process: subprocess.Popen[bytes]) -> SimpleNamespace:
    try:
        out, err = (text or b"" for text in process.communicate(timeout=LIMIT))
    finally:
        process.kill()
    assert b"Traceback" not in err, err.decode()
    lines = err.decode().splitlines()
    assert all(line.startswith("iqassay: ") and line.isprintable() for line in lines), lines
    return SimpleNamespace(status=process.returncode, out=out.decode("utf-8", "surrogateescape"), said=lines)


def run(place: Path, *words: str, **options: Any) -> SimpleNamespace:
    return finish(start(place, *words, **options))


def records(text: str) -> dict[str, dict[str, Any]]:
    return {os.path.relpath(record["path"], "in"): record for record in map(json.loads, text.splitlines())}


@POSIX
def test_a_folder_of_odd_names_and_things(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place / "in")
    names = ["tab\t.png", "\x1b[31m.png", "rtl\u202egnp.png", "cr\r.png", "*.png", "[x].png", "%s{0}.png", "--help.png"]
    names += ["a" * 251 + ".png", "b" * 240 + ".png", *(["\udcff.png"] if sys.platform == "linux" else [])]
    links = {
        "self.png": "self.png",
        "gone.png": "nowhere",
        "zero.png": "/dev/zero",
        "\t.png": "pipe.png",
        "up.jpg": "..",
    }
    for name in names:
        shutil.copy("1.png", name)
    for name, target in links.items():
        os.symlink(target, name)
    os.mkfifo("pipe.png")
    os.mkdir("empty.jpg")
    with socket.socket(socket.AF_UNIX) as door:
        door.bind("socket.png")
        done = run(place, "score", "in", "-r", "--format", "jsonl", "--map", "maps")
    found = records(done.out)
    assert {name for name, record in found.items() if "score" in record} == {*names, *(f"{i}.png" for i in range(4))}
    failed = {name: record["error"] for name, record in found.items() if "error" in record}
    assert failed.keys() == links.keys() - {"up.jpg"}
    assert failed["zero.png"] == failed["\t.png"] == NOT_A_FILE
    assert (done.status, done.said) == (1, [f"iqassay: 4 of {len(found)} pictures could not be scored"])
    assert len(os.listdir(place / "maps")) == len(names) + 4
    table = run(place, "score", "in").out.splitlines()
    assert len(table) == 1 + len(found)
    assert all(line.isprintable() for line in table)


@FULL
def test_a_full_disk_where_the_results_go(place: Path) -> None:
    with open("/dev/full", "wb") as full:
        for done in (run(place, "score", "in", "-o", "/dev/full"), run(place, "score", "in", stdout=full)):
            assert (done.status, len(done.said)) == (1, 1)
            assert "No space left" in done.said[0]
    done = run(place, "gate", "in", "--min", "1", "--junit", "/dev/full", "--markdown", "/dev/full")
    reason = "cannot write /dev/full: No space left on device"
    assert (done.status, done.said) == (2, [f"iqassay: {option}: {reason}" for option in ("--junit", "--markdown")])


@POSIX
def test_a_disk_that_fills_up_loses_nothing_that_is_written(place: Path) -> None:
    def small_files() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700))

    done = run(place, "score", "in", "-o", "out.jsonl", "--map", "maps", "--no-cache", preexec_fn=small_files)
    assert done.status == 1
    assert [line.split(":")[1] for line in done.said] == [" --map"] * 3 + [" cannot go on"]
    assert os.listdir(place / "maps") == []
    said: list[str] = []
    assert len(list(read_records(str(place / "out.jsonl.partial"), said.append))) == 2
    assert "cut short" in said[0]
    words = ["report", "out.jsonl.partial", "-o", "page.html", "--examples", "0"]
    assert run(place, *words).status == 0
    page = (place / "page.html").read_bytes()
    done = run(place, *words, preexec_fn=small_files)
    assert (done.status, len(done.said)) == (1, 2), "it says that the results are cut short, too"
    assert (place / "page.html").read_bytes() == page


@POSIX
def test_standard_streams_that_are_closed_or_full(place: Path) -> None:
    (place / "in" / "bad.png").write_bytes(b"x")
    whole = run(place, "score", "in", "--format", "jsonl")
    mute = run(place, "score", "in", "-o", "out.jsonl", stdout=None, preexec_fn=lambda: os.close(1))
    assert (mute.status, mute.said) == (1, whole.said)
    assert (place / "out.jsonl").read_text() == whole.out
    assert len((place / "answers.sqlite").read_bytes()) % 512 == 0
    deaf = run(place, "score", "in", "--format", "jsonl", stderr=None, preexec_fn=lambda: os.close(2))
    assert (deaf.status, deaf.out) == (1, whole.out)
    with open("/dev/full" if os.path.exists("/dev/full") else os.devnull, "wb") as full:
        assert run(place, "score", "in", "--format", "jsonl", stderr=full).out == whole.out


def without_privileges() -> None:
    """The administrator may open everything but with these two rights of Linux, CAP_DAC_OVERRIDE and _READ_SEARCH."""
    if sys.platform == "linux":
        for right in (1, 2):
            ctypes.CDLL(None).prctl(24, right, 0, 0, 0)  # PR_CAPBSET_DROP


@pytest.mark.skipif(os.name == "nt" or (sys.platform != "linux" and os.geteuid() == 0), reason="may open everything")
def test_what_may_not_be_opened_or_written(place: Path) -> None:
    (place / "in" / "locked").mkdir()
    (place / "kept").mkdir()
    run(place, "score", "in/0.png")
    for path, mode in (("in/locked", 0), ("in/2.png", 0), ("kept", 0o555), ("answers.sqlite", 0o444)):
        (place / path).chmod(mode)
    words = ["score", "in", "-r", "--format", "jsonl"]
    done = run(place, *words, preexec_fn=without_privileges)
    reason = "cannot be opened (Permission denied)"
    assert {name: record.get("error") for name, record in records(done.out).items()} == {
        **dict.fromkeys(["0.png", "1.png", "3.png"]),
        **dict.fromkeys(["2.png", "locked"], reason),
    }
    assert done.status == 1
    assert [line.rpartition(": ")[2] for line in done.said] == [
        "2 of 5 pictures could not be scored",
        "attempt to write a readonly database",
    ]
    done = run(place, *words, "-o", "kept/out.jsonl", preexec_fn=without_privileges)
    assert (done.status, done.said) == (2, ["iqassay: kept/out.jsonl: cannot be written: Permission denied"])


@POSIX
def test_no_home_and_no_folder_to_be_in(place: Path) -> None:
    home, gone = place / "home", place / "gone"
    nowhere = {"IQASSAY_CACHE": "", "XDG_CACHE_HOME": "", "HOME": "/dev/null"}
    done = run(place, "score", "in", env=nowhere)
    assert (done.status, done.said) == (0, ["iqassay: going on without the cache of answers: Not a directory"])
    home.mkdir()
    run(place, "score", "in", env={**nowhere, "HOME": str(home)})
    left = {path.name for path in home.rglob("*") if path.is_file()}
    assert left == {"answers.sqlite"}, "what onnxruntime knows of its users stays out of their home"
    gone.mkdir()
    done = run(place, "score", str(place / "in"), cwd=gone, preexec_fn=gone.rmdir)
    assert (done.status, done.said) == (0, [])


def test_two_runs_on_one_cache_at_once(place: Path) -> None:
    for number in range(40):
        Image.fromarray(np.uint8(255 * make_photo(64, 64, number))).save(place / "in" / f"more{number}.png")
    both = [finish(process) for process in [start(place, "score", "in", "--format", "jsonl") for _ in range(2)]]
    assert [(done.status, done.said) for done in both] == [(0, [])] * 2
    assert both[0].out == both[1].out
    with Cache(str(place / "answers.sqlite")) as cache:
        assert cache.count() == 44


# ---- the cache ------------------------------------------------------------------------------------------------------


def test_a_damaged_cache_gives_the_same_answers_or_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, kept = tmp_path / "a.sqlite", {bytes([n]) * 32: {"score": 50.0 + n, "model": "tiny"} for n in range(8)}
    with Cache(str(path)) as cache:
        for key, record in kept.items():
            cache.keep(key, record, np.full((2, 2), record["score"]))
    data, outcomes = path.read_bytes(), set()
    rng = np.random.default_rng(0)
    texts = [at for at in range(len(data)) if data.startswith(b'"score": ', at)]
    for place in [*rng.integers(0, len(data), 80), *(at + int(rng.integers(0, 14)) for at in texts * 3)]:
        path.write_bytes(data[:place] + bytes([data[place] ^ 1 << int(rng.integers(0, 8))]) + data[place + 1 :])
        caplog.clear()
        try:
            with open_cache(str(path)) as cache:  # type: ignore[union-attr]
                for key, record in kept.items():
                    found = cache.find(key, with_map=True)
                    outcomes.add(found is not None)
                    assert found is None or (found[0] == record and (found[1] == record["score"]).all())
        except UsageError:
            outcomes.add("refused")
        assert len(caplog.records) <= 1
    assert outcomes == {True, False, "refused"}


def test_a_disk_that_is_full_for_the_cache(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = str(tmp_path / "a.sqlite")
    with Cache(path) as cache, Cache(path) as other:
        cache._file.execute("PRAGMA max_page_count = 8")
        for number in range(200):
            cache.keep(bytes([number]) * 32, {"score": 1.0, "warnings": ["x" * 500]})
        cache._write()
        assert [record.getMessage().rpartition(": ")[2] for record in caplog.records] == ["database or disk is full"]
        other.keep(bytes(32), {"score": 2.0})  # nobody holds the lock
        other._write()
        assert other.find(bytes(32), with_map=False) == ({"score": 2.0}, None)
