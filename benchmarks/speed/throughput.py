"""Pictures a second on a folder of photos: ours, and the peers that install, in one run on the same files.

    python benchmarks/speed/throughput.py --photos FOLDER [--count 1000] [-o throughput.csv]

Each tool has a fresh process and as many processors. Ours score as `iqassay score` does, without a cache; peers get a
pool of processes, one for each processor. A few photos are scored before the clock starts, so that starting up and
opening models do not count; reading the files does. Pairs are the photos as JPEGs of quality 40, beside the photos.

Peers are those of speed.py, and cleanvision, which looks for photos that are dark, light, blurred or empty.
Packages that are not installed are left out.

Prints a Markdown table, with our pictures a second over the peer's; the CSV also says commit, machine and threads.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from dataclasses import asdict, fields
from pathlib import Path

import speed
from PIL import Image

from iqassay.folders.finding import find_pictures

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from provenance import commit, machine
from spread import spread

PHOTOS, PAIRS = "photos", "pairs"
OURS = {PHOTOS: ("mfen", "yoto", "dri", "panel"), PAIRS: ("yoto",)}
FOLDERS = {"cleanvision": "cleanvision"}  # that takes all files at once
PEERS = {PHOTOS: speed.PEERS | FOLDERS, PAIRS: speed.PAIR_PEERS}  # tool -> the package it needs
WARMING = 8  # pictures
_score_one: Callable[..., float]  # in a peer's process


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", required=True, help="a folder of photos")
    parser.add_argument("--count", type=int, default=1000, help="so many of them, evenly spread (default: 1000)")
    parser.add_argument("--threads", type=int, help="processors for every tool (default: all that the process may use)")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the numbers as CSV")
    parser.add_argument("--worker", metavar="TOOL", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.threads = speed.threads(args)
    if args.worker:
        files = [tuple(pair) for pair in json.load(sys.stdin)]
        print(json.dumps(work(args.worker, files, args.threads)))
        return 0

    found = list(find_pictures([args.photos]))
    found = spread(found, args.count, f"photos in {args.photos}")
    measures: list[speed.Measure] = []
    with tempfile.TemporaryDirectory() as folder:
        copies = [save(photo, Path(folder, f"{number}.jpg")) for number, photo in enumerate(found)]
        measures += compare(PHOTOS, [(photo,) for photo in found], args)
        measures += compare(PAIRS, list(zip(copies, found, strict=True)), args)
    print(speed.markdown(measures))
    where = {"pictures": len(found), "commit": commit(), "machine": machine(), "threads": args.threads}
    print("\n" + ", ".join(f"{key} {value}" for key, value in where.items()))
    if args.output:
        with args.output.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, [*(field.name for field in fields(speed.Measure)), *where])
            writer.writeheader()
            writer.writerows(asdict(measure) | where for measure in measures)
    return 0


def save(photo: str, copy: Path) -> str:
    """A JPEG of quality 40 of a photo."""
    with Image.open(photo) as image:
        image.convert("RGB").save(copy, quality=40)
    return str(copy)


def compare(kind: str, files: Sequence[tuple[str, ...]], args: argparse.Namespace) -> list[speed.Measure]:
    """Pictures a second of each tool, and ours over the peers'."""
    rates: dict[str, float] = {}
    missing = {tool: package for tool, package in PEERS[kind].items() if not importlib.util.find_spec(package)}
    for tool in (*OURS[kind], *PEERS[kind]):
        if tool in missing:
            print(f"{missing[tool]} is not installed: no {tool} beside us", file=sys.stderr)
            continue
        print(f"{tool}, {len(files)} {kind}", file=sys.stderr, flush=True)
        command = [sys.executable, __file__, "--photos", "", "--worker", tool, "--threads", str(args.threads)]
        done = subprocess.run(
            command,
            check=True,
            stdout=subprocess.PIPE,
            input=json.dumps(files),
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},  # of the peers' processes; ours are told how many in the open
        )
        rates[tool] = json.loads(done.stdout)
    measures = [speed.Measure(f"{kind} a second", tool, round(rate, 2), "1/s") for tool, rate in rates.items()]
    for peer in (tool for tool in rates if tool in PEERS[kind]):
        for tool in OURS[kind]:
            ratio = rates[tool] / rates[peer]
            measures.append(speed.Measure(f"{kind} a second over {peer}", tool, round(ratio, 3), "ratio"))
    return measures


def work(tool: str, files: list[tuple[str, ...]], threads: int) -> float:
    """In a fresh process: pictures a second."""
    run = _ours(tool, threads) if tool in OURS[PHOTOS] else _peer(tool, threads)
    for _ in run(files[:WARMING]):
        pass
    start = time.perf_counter()
    scores = list(run(files))
    seconds = time.perf_counter() - start
    if len(scores) != len(files) or any(score is None for score in scores):
        raise ValueError(f"{tool}: got {len(scores) - scores.count(None)} scores, want {len(files)}")
    return len(files) / seconds


def _ours(model: str, threads: int) -> Callable[[list[tuple[str, ...]]], Iterator[float | None]]:
    import iqassay
    from iqassay.folders.folder import Pair, score_pairs

    scorer = iqassay.load(model, threads)

    def run(files: list[tuple[str, ...]]) -> Iterator[float | None]:
        for result in score_pairs(scorer, (Pair(*file) for file in files), workers=threads):
            yield result.record().get("score")

    return run


def _peer(tool: str, threads: int) -> Callable[[list[tuple[str, ...]]], Iterator[float | None]]:
    if tool in FOLDERS:
        return lambda files: iter(_cleanvision([file for (file,) in files], threads))
    pool = ProcessPoolExecutor(threads, initializer=_start, initargs=(tool,))
    return lambda files: pool.map(_score, files, chunksize=4)


def _cleanvision(files: list[str], processes: int) -> list[float]:
    """How sharp cleanvision finds each picture; it looks for the dark, the light, the blurred and the empty."""
    from cleanvision import Imagelab

    with redirect_stdout(sys.stderr):  # where it talks
        lab = Imagelab(filepaths=files)
        lab.find_issues({name: {} for name in ("dark", "light", "blurry", "low_information")}, n_jobs=processes)
    return lab.issues["blurry_score"].tolist()


def _start(tool: str) -> None:
    """In each process of a pool: one thread, since there is a process for every processor."""
    global _score_one
    _score_one = speed.peer(tool, threads=1)


def _score(files: tuple[str, ...]) -> float | None:
    return float(_score_one(*files))


if __name__ == "__main__":
    sys.exit(main())
