"""One scorer for many threads, for processes that are forked off and for processes that are sent a copy."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_photo, write_model

import iqassay
from iqassay.measures.measure import Measure
from iqassay.scoring.model_file import ModelFileError
from iqassay.scoring.panel import Panel
from iqassay.scoring.scorer import Scorer
from iqassay.scoring.verdict import Verdict

pytestmark = pytest.mark.slow

SIZES = [(64, 64), (9, 9), (481, 640)]
Job = tuple[np.ndarray, np.ndarray | None]


def jobs(sizes: list[tuple[int, int]]) -> list[Job]:
    """Pictures of every size, without and with a reference."""
    rng = np.random.default_rng(8)
    pictures = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    return [(picture, reference) for picture in pictures for reference in (None, picture // 2)]


def in_eight_threads(score: Callable[..., Verdict], work: list[Job]) -> list[list[Any]]:
    """What each of eight threads gets, that all start at once, each with another picture."""
    start = threading.Barrier(8)

    def run(number: int) -> list[Any]:
        start.wait()
        order = np.roll(np.arange(len(work)), number).tolist()
        got = {index: exact(score(*work[index])) for index in order}
        return [got[index] for index in range(len(work))]

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(run, range(8)))


def exact(verdict: Verdict) -> Any:
    """All of a verdict, to the last bit."""
    return verdict, verdict.map.tobytes()


def test_eight_threads_get_what_one_gets(shelf: Path) -> None:
    work = jobs(SIZES)
    yoto, panel = ([exact(scorer.score(*job)) for job in work] for scorer in (Scorer("yoto"), Panel("panel")))
    assert in_eight_threads(Scorer("yoto").score, work) == [yoto] * 8
    assert in_eight_threads(Panel("panel").score, work) == [panel] * 8, "its members are opened by all of them at once"
    assert in_eight_threads(iqassay.score, work) == [panel] * 8, "which takes the member for pairs, as the panel does"


@pytest.mark.parametrize("name", ["mfen", "yoto", "dri"])
def test_the_shipped_networks_too(name: str) -> None:
    """They have many more operators than the tiny ones, any of which could share what it works with."""
    work = [(make_photo(*size, seed=number), None) for number, size in enumerate([(64, 64), (70, 100)])]
    if name == "yoto":
        work += [(picture, picture[::-1]) for picture, _ in work]
    scorer = Scorer(name, threads=2)
    want = [exact(scorer.score(*job)) for job in work]
    assert in_eight_threads(scorer.score, work) == [want] * 8


# ---- forked processes -----------------------------------------------------------------------------------------------

FORK = """
import os, sys, threading, time
import numpy as np
import iqassay
from iqassay.scoring import lock

model, picture = sys.argv[1], np.full((80, 100, 3), 51, np.uint8)
scorer = iqassay.load(model)
want = scorer.score(picture), iqassay.score(picture, model=model)
held, busy = threading.Event(), threading.Event()

def open_slowly():
    with lock.opening:
        held.set()
        busy.wait(0.3)

threading.Thread(target=open_slowly, daemon=True).start()
held.wait()
child = os.fork()
if child == 0:
    got = scorer.score(picture), iqassay.score(picture, model=model)
    iqassay.load(model).score(picture)
    os._exit(0 if got == want and os.getpid() in scorer._session._opened else 3)
for _ in range(200):
    done, status = os.waitpid(child, os.WNOHANG)
    if done:
        break
    time.sleep(0.05)
else:
    os.kill(child, 9)
    status = "it hangs"
assert scorer.score(picture) == want[0]
print(status)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_scores_anew_even_if_a_model_was_half_opened(tiny_model: Path) -> None:
    """onnxruntime's threads stay behind at a fork, and so do locks that they hold: about one in four would hang."""
    done = subprocess.run([sys.executable, "-c", FORK, str(tiny_model)], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["0"], done.stderr


# ---- copies for other processes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("copied", [lambda scorer: pickle.loads(pickle.dumps(scorer)), copy.copy, copy.deepcopy])
def test_a_copy_is_the_model_opened_again(
    shelf: Path, photo: np.ndarray, copied: Callable[[Scorer], Scorer], monkeypatch: pytest.MonkeyPatch
) -> None:
    for scorer in (Scorer(shelf / "yoto.onnx", 1, 90 * 120), Panel(shelf / "panel.json", 1, 90 * 120), Measure("niqe")):
        again = copied(scorer)
        assert type(again) is type(scorer)
        assert again is not scorer
        for name in ("identity", "device", "max_pixels", "_threads"):
            assert getattr(again, name) == getattr(scorer, name)
        if type(scorer) is not Measure:
            assert exact(again.score(photo)) == exact(scorer.score(photo))


def test_a_shipped_model_is_sent_by_name_and_another_by_its_whole_path(
    shelf: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for shipped in (Scorer("mfen"), Panel("panel")):
        assert str(shelf).encode() not in pickle.dumps(shipped)
    elsewhere = tmp_path_factory.mktemp("own")
    write_model(elsewhere)
    monkeypatch.chdir(elsewhere)
    own = pickle.dumps(Scorer("tiny.onnx"))
    monkeypatch.chdir(shelf)
    assert pickle.loads(own).card.name == "tiny"


def test_a_copy_is_never_another_model(tmp_path: Path) -> None:
    sent = pickle.dumps(Scorer(write_model(tmp_path)))
    write_model(tmp_path, calibration={"raw": [0, 1], "score": [0, 50]})
    with pytest.raises(ModelFileError, match="is another model here than where it was pickled"):
        pickle.loads(sent)


def test_a_member_replaced_before_it_was_needed_is_an_error(shelf: Path, photo: np.ndarray) -> None:
    panel = Panel("panel")
    write_model(shelf, "mfen", name="mfen", calibration={"raw": [0, 1], "score": [0, 50]})
    with pytest.raises(ModelFileError, match=r"mfen\.onnx' was replaced while its panel was in use"):
        panel.score(photo)


def test_another_process_scores_with_a_copy(tiny_model: Path, photo: np.ndarray) -> None:
    scorer = Scorer(tiny_model, threads=1)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert exact(pool.submit(scorer.score, photo).result(60)) == exact(scorer.score(photo))
