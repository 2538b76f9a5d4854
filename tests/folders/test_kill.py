"""Runs of `iqassay score` killed at random moments: nothing is lost, and what comes out in the end is as if they had
not been."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import make_photo
from PIL import Image

from iqassay import cli
from iqassay.folders.cache import open_cache

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")]

PICTURES = 100
SECONDS = 0.02  # that a picture takes
EVERY = 0.1  # seconds between writes of the cache
THREADS = 2
LOST = THREADS * (EVERY / SECONDS + 1) + THREADS  # most that a kill may cost: what is not written yet, and is under way

# The command, made slow enough to be hit, and killed by itself, a moment after the call that it is told. Each picture
# that is computed and each file that is copied or removed is a call, and an x in the file `calls`.
SLOW = f"""
import os, shutil, signal, sys, time
from iqassay.folders import cache, culling
from iqassay import cli
from iqassay.scoring.scorer import Scorer

before = os.path.getsize("calls")
kill_at, moment = before + int(sys.argv.pop(1)), float(sys.argv.pop(1))

def call():
    with open("calls", "a") as calls:
        calls.write("x")
    if os.path.getsize("calls") == kill_at:
        time.sleep(moment)
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep({SECONDS})

def score(self, *pictures):
    call()
    return quick(self, *pictures)

def copy(source, target):
    with open(source, "rb") as file, open(target, "wb") as out:
        out.write(file.read(100))
        out.flush()
        call()
        shutil.copyfileobj(file, out)

def remove(path):
    call()
    quick_remove(path)

quick, Scorer.score = Scorer.score, score
quick_remove, culling.os.remove = os.remove, remove
shutil.copy2, cache.EVERY = copy, {EVERY}
sys.exit(cli.main())
"""


@pytest.fixture(autouse=True)
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders `photos` and, for references, `golden`, in an empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    Path("calls").touch()
    for folder in ("photos", "golden"):
        Path(folder).mkdir()
    photo = np.rint(make_photo(40, 56) * 255).astype(np.uint8)
    for number in range(PICTURES):
        brighter = np.clip(photo.astype(int) + 2 * number - PICTURES, 0, 255).astype(np.uint8)
        Image.fromarray(brighter).save(f"photos/{number}.png")
        Image.fromarray(photo).save(f"golden/{number}.png")
    Path("photos/half.png").write_bytes(Path("photos/0.png").read_bytes()[:500])


def run(*words: object, kill_at: int = -1, moment: float = 0) -> int | None:
    """Run the slow command; kill it so many seconds after a call. Returns its exit status, None when it was killed."""
    program = [sys.executable, "-c", SLOW, kill_at, moment, "score", *words]
    status = subprocess.run(list(map(str, program)), stderr=subprocess.DEVNULL, timeout=60).returncode
    return None if status == -signal.SIGKILL else status


def calls() -> int:
    return os.path.getsize("calls")


def answers() -> int:
    """How many are in the cache, which opens."""
    with open_cache() as cache:  # type: ignore[union-attr]
        return cache.count()


def contents(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def undisturbed(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    """The command in one go, with a cache of its own."""
    with monkeypatch.context() as patch:
        patch.setenv("IQASSAY_CACHE", "another.sqlite")
        cli.main(["score", *map(str, words)])


@pytest.mark.parametrize(
    ("output", "kills", "words"),
    [
        ("out.csv", 3, []),
        ("out.jsonl", 1, ["--sort", "best", "--below", "70"]),
        ("out.json", 1, ["--ref", "golden", "--map", "maps"]),
    ],
)
def test_a_run_that_is_killed_and_run_again_writes_the_same_and_computes_nothing_twice(
    output: str, kills: int, words: list[str], tiny_model: Path, pair_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(f"{output} {words}")
    command = ["photos", "--model", pair_model if "--ref" in words else tiny_model, "--threads", THREADS, *words, "-o"]
    undisturbed(monkeypatch, *command, output)
    wanted, maps = Path(output).read_bytes(), contents("maps") if "--map" in words else {}
    assert wanted.count(b"\n") > PICTURES / 2
    os.remove(output)
    shutil.rmtree("maps", ignore_errors=True)

    kept = 0
    for _ in range(kills):
        before = calls()
        assert run(*command, output, kill_at=rng.randint(15, 25), moment=rng.uniform(0, 2 * SECONDS)) is None
        assert not os.path.exists(output)
        computed, kept_before, kept = calls() - before, kept, answers()
        assert kept - kept_before >= computed - LOST
    before = calls()
    assert run(*command, output) == 1  # there is a picture that is cut off
    assert calls() - before == PICTURES - kept
    assert Path(output).read_bytes() == wanted
    assert (contents("maps") if "--map" in words else {}) == maps
    assert not list(Path().rglob("*.partial"))


def _each_whole(target: str, pictures: dict[str, bytes]) -> None:
    for name, content in contents(target).items():
        if not name.endswith(".partial"):
            assert content == pictures[name]


def test_copies_are_whole_or_not_there_and_the_next_run_completes_them(tiny_model: Path) -> None:
    pictures = contents("photos")
    command = ["photos", "--model", tiny_model, "-o", "out.csv", "--below", 40, "--copy-to", "bad", "--yes"]
    cli.main(["score", *map(str, command[:-3])])
    wanted = Path("out.csv").read_bytes()
    for kill_at in (1, 8):  # with half a picture copied; with its .partial not yet removed
        assert run(*command, kill_at=kill_at) is None
        assert contents("bad")
        _each_whole("bad", pictures)
        assert Path("out.csv").read_bytes() == wanted
    assert run(*command) == 1
    named = {line.split(b",")[0].decode() for line in wanted.splitlines()[1:]} - {"photos/half.png"}
    assert 10 < len(named) < PICTURES
    assert {f"photos/{name}" for name in contents("bad")} == named
    _each_whole("bad", pictures)
    assert contents("photos") == pictures


def test_a_picture_is_moved_before_it_is_removed_and_the_next_run_removes_it(tiny_model: Path) -> None:
    pictures = contents("photos")
    command = ["photos", "--model", tiny_model, "-o", "out.csv", "--below", 40, "--move-to", "bad", "--yes"]
    cli.main(["score", *map(str, command[:-3])])
    before = calls()
    assert run(*command, kill_at=5) is None
    assert calls() - before == 5
    _each_whole("bad", pictures)
    both = contents("bad").keys() & contents("photos").keys()
    assert len(both) == 1
    run(*command)
    assert not contents("bad").keys() & contents("photos").keys()
    assert contents("bad") | contents("photos") == pictures
    cli.main(["score", "bad", "--model", str(tiny_model), "--move-to", "bad", "--yes"])
    assert contents("bad") | contents("photos") == pictures
