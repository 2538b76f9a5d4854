"""On a cluster of processes that stand for machines: a worker is killed in the middle of its part, then a machine.

The pictures lie at a server that holds back its answers at two points, so that a kill meets workers at work however
quick or busy this machine is.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_photo
from PIL import Image

from iqassay.cli import main
from iqassay.cluster.question import Question
from iqassay.folders.cells import Layout
from iqassay.folders.records import read_records
from iqassay.support.errors import UsageError

pytestmark = pytest.mark.slow

pytest.importorskip("pyarrow")
pytest.importorskip("aiohttp")
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
ray: Any = pytest.importorskip("ray")
PICTURES, PART = 36, 3
GATES = (12, 24)  # the pictures from which on answers are held back until a gate opens
PATIENCE = 600  # seconds: machines that build are busy


class Shop:
    """A server with the pictures of a folder, which are asked for by their number."""

    def __init__(self, files: list[Path]) -> None:
        self.open = [threading.Event() for _ in GATES]
        self.held = 0  # requests that wait at a gate
        shop = self

        class Answers(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(files[self.number()].stat().st_size))
                self.end_headers()

            def do_GET(self) -> None:
                for start, gate in zip(GATES, shop.open, strict=True):
                    if self.number() >= start and not gate.is_set():
                        shop.held += 1
                        gate.wait(PATIENCE)
                        shop.held -= 1
                self.do_HEAD()
                self.wfile.write(files[self.number()].read_bytes())

            def number(self) -> int:
                return int(self.path.strip("/").partition(".")[0])

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.server.handle_error = lambda *args: None  # a worker that was killed takes no answer
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.urls = [f"http://127.0.0.1:{self.server.server_port}/{n}.jpg" for n in range(len(files))]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Pictures, of which the last is broken."""
    folder = tmp_path_factory.mktemp("pictures")
    pixels = (make_photo(96, 128) * 255).astype(np.uint8)
    for n in range(PICTURES - 1):
        Image.fromarray(np.roll(pixels, 3 * n, axis=1) // (1 + n % 4)).save(folder / f"{n}.jpg", quality=80)
    (folder / f"{PICTURES - 1}.jpg").write_bytes(b"no picture")
    return [folder / f"{n}.jpg" for n in range(PICTURES)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without work to do, and two machines with a processor each."""
    from ray.cluster_utils import Cluster

    patient = {"health_check_timeout_ms": 120_000, "health_check_period_ms": 1000}  # with one that is slow, not dead
    patient["worker_niceness"] = 0  # workers that let other tests go first would take minutes
    store = {"object_store_memory": 100_000_000}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "_system_config": patient, **store})
    made.machines = [made.add_node(num_cpus=1, **store) for _ in range(2)]
    made.wait_for_nodes()  # a run that begins before would have as many workers as there are by then
    yield made
    if ray.is_initialized():
        ray.shutdown()
    made.shutdown()


def workers_of(machine: Any) -> list[int]:
    """The processes that score on a machine."""
    raylet = next(info.process.pid for info in machine.all_processes["raylet"])
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                name = (folder / "cmdline").read_bytes()
            except OSError:  # it has just ended
                continue
            if parent == raylet and name.startswith(b"ray::") and b"_score_part" in name:
                found.append(int(folder.name))
    return found


def wait_for(what: str, ready: Callable[[], Any], run: subprocess.Popen[str]) -> Any:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and run.poll() is None:
        if found := ready():
            return found
        time.sleep(0.05)
    status = run.poll()
    run.kill()
    raise AssertionError(f"waited in vain for {what}; the run: {status}, {run.communicate()}")


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="processes are found in /proc")
def test_a_worker_and_a_machine_are_killed_and_nothing_is_lost_and_nothing_twice(
    cluster: Any, files: list[Path], tiny_model: Path, tmp_path: Path
) -> None:
    model = ["--model", str(tiny_model)]
    assert main(["score", *map(str, files), *model, "-o", str(tmp_path / "all.jsonl"), "--no-cache"]) == 1
    shop = Shop(files)
    wanted = [
        {**record, "path": url}
        for record, url in zip(read_records(str(tmp_path / "all.jsonl")), shop.urls, strict=True)
    ]
    (tmp_path / "list.txt").write_text("\n".join(shop.urls))
    out = tmp_path / "out"
    command = [sys.executable, "-m", "iqassay", "cluster", "score", str(tmp_path / "list.txt"), *model]
    command += ["-o", str(out), "--part", str(PART), "--address", cluster.address]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def done() -> int:
        return len(list(out.glob("part-*.parquet")))

    def all_held(gate: int) -> bool:
        """Whether the parts before the gate are done, and each worker waits in the middle of one behind it."""
        at_work = [machine for machine in cluster.machines if workers_of(machine)]
        return done() == GATES[gate] // PART and len(at_work) == 2 and shop.held >= 2 * len(at_work)

    first, second = cluster.machines
    wait_for("workers at the first gate", lambda: all_held(0), run)
    os.kill(workers_of(first)[0], signal.SIGKILL)
    shop.open[0].set()
    wait_for("workers at the second gate", lambda: all_held(1), run)
    cluster.remove_node(second, allow_graceful=False)
    shop.open[1].set()
    said = run.communicate(timeout=PATIENCE)
    shop.server.shutdown()
    assert run.returncode == 1, said
    assert said[0] == f"{out}\n"
    assert f"1 of {PICTURES} pictures could not be scored" in said[1]
    found = [record for file in sorted(out.glob("part-*")) for record in read_records(str(file))]
    assert Counter(record["path"] for record in found) == Counter(shop.urls)
    assert found == wanted
    assert sorted(path.name for path in out.iterdir() if not path.name.startswith("part-")) == ["_run.json"]


def test_a_dataset_of_ray_and_a_worker_with_another_model(
    cluster: Any, files: list[Path], tiny_model: Path, tmp_path: Path
) -> None:
    from iqassay.cluster import pool, score_dataset
    from iqassay.cluster.sources import find_source

    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    try:
        paths = [str(files[n]) for n in (0, 1, -1)]
        pictures = ray.data.from_items([{"id": n, "url": path} for n, path in enumerate(paths)])
        with pytest.raises(ValueError, match="got no column 'uri', did you mean 'url'"):
            score_dataset(pictures, str(tiny_model), "uri")
        scored = score_dataset(pictures, str(tiny_model), workers=1)
        rows = sorted(scored.take_all(), key=lambda row: row["id"])
        question = Question((str(tiny_model),), ("another",), Layout(("tiny",)), 10**6)
        parts = find_source(str(files[0].parent)).parts
        with pytest.raises(UsageError, match=r"is another model on .+ than where the run was started"):
            list(pool.score_parts(parts, question, str(tmp_path), 1))
    finally:
        ray.shutdown()
    assert [row["path"] for row in rows] == paths
    assert [row["url"] for row in rows] == paths
    assert rows[0]["score"] > rows[1]["score"] > 0  # the second is half as bright
    assert rows[2]["score"] is None
    assert "want" in rows[2]["error"]
