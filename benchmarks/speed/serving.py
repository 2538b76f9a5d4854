"""What `iqassay serve` takes: requests a second, times and memory, with one caller and with many.

    python benchmarks/speed/serving.py [--model mfen] [--requests 300] [--callers 1 8 64] [--picture FILE] [-o FILE]

The service is a process of its own on a free port of this machine, and is asked over loopback by threads of this one,
each of which sends the next picture when its answer is there. All of them send one picture, of 600x400 pixels unless
--picture says otherwise; nothing is cached. As many may wait as there are callers. A few requests come before the clock
starts. Memory is what the service says of itself (/metrics) before the first and after the last request.

With --refusals the service lets 32 wait, as it does unless it is told otherwise, and the callers come again soon when
they are told to come later: what is counted is then also how many were told so.

The load of the machine when the clock starts is in the table, since a machine with other work is slower.
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from provenance import commit, machine
from rows import add_rows

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "examples/coffee.jpg"
WARMING = 10  # requests


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="panel")
    parser.add_argument("--requests", type=int, default=300, help="for each number of callers (default: 300)")
    parser.add_argument("--callers", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--picture", type=Path, default=PICTURE)
    parser.add_argument("--refusals", action="store_true", help="let only 32 wait")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="add the numbers to a CSV")
    args = parser.parse_args()
    content = args.picture.read_bytes()
    waiting = 32 if args.refusals else max(args.callers)
    rows = []
    with service(args.model, waiting) as port:
        for _ in range(WARMING):
            ask(port, content)
        before = memory(port)
        done = 0
        for callers in args.callers:
            load = os.getloadavg()[0]
            seconds, times, answers = asked_by(callers, port, content, args.requests)
            done += args.requests
            now = memory(port)
            rows.append(
                {
                    "model": Path(args.model).stem,
                    "callers": callers,
                    "requests": args.requests,
                    "a second": round(args.requests / seconds, 1),
                    "p50 ms": round(1000 * float(np.percentile(times, 50))),
                    "p99 ms": round(1000 * float(np.percentile(times, 99))),
                    "told to come later": answers[429],
                    "MB before": round(before / 1e6),
                    "MB after": round(now / 1e6),
                    "requests till then": done,
                    "load": round(load, 1),
                    "picture": args.picture.name,
                    "commit": commit(),
                    "machine": machine(),
                }
            )
            print(", ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
            if wrong := {status: count for status, count in answers.items() if status not in (200, 429)}:
                print(f"other answers: {wrong}", file=sys.stderr)
                return 1
    if args.output:
        add_rows(args.output, rows)
    return 0


@contextmanager
def service(model: str, waiting: int) -> Iterator[int]:
    """The port of a service that is ready."""
    command = [sys.executable, "-m", "iqassay", "serve", "--port", "0", "--model", model, "--waiting", str(waiting)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            port = int(re.findall(r":(\d+)/", process.stdout.readline())[0])
            while send(http.client.HTTPConnection("127.0.0.1", port, timeout=60), "GET", "/readyz")[0] != 200:
                time.sleep(0.1)
            yield port
        finally:
            process.terminate()
            process.wait(60)


def send(connection: http.client.HTTPConnection, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    connection.request(method, path, body or None, {"Content-Type": "image/jpeg"} if body else {})
    answer = connection.getresponse()
    return answer.status, answer.read()


def ask(port: int, content: bytes) -> int:
    return send(http.client.HTTPConnection("127.0.0.1", port, timeout=600), "POST", "/v1/score", content)[0]


def memory(port: int) -> float:
    """Bytes of the service's process that are in memory."""
    text = send(http.client.HTTPConnection("127.0.0.1", port, timeout=60), "GET", "/metrics")[1].decode()
    return float(re.findall(r"^process_resident_memory_bytes (\S+)$", text, re.MULTILINE)[0])


def asked_by(callers: int, port: int, content: bytes, requests: int) -> tuple[float, list[float], Counter[int]]:
    """Seconds for all, seconds for each that was answered with a score, and how many answers of each status came."""
    turn, left = threading.Lock(), requests
    times: list[float] = []
    answers: Counter[int] = Counter()

    def call() -> None:
        nonlocal left
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        while True:
            with turn:
                if left <= 0:
                    return
                left -= 1
            start, status = time.perf_counter(), 429
            while status == 429:
                status, _ = send(connection, "POST", "/v1/score", content)
                with turn:
                    answers[status] += 1
                if status == 429:  # refused before its body was read, so that the connection ends
                    time.sleep(0.2)
            times.append(time.perf_counter() - start)

    threads = [threading.Thread(target=call) for _ in range(callers)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start, times, answers


if __name__ == "__main__":
    sys.exit(main())
