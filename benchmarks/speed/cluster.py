"""What a cluster takes: pictures a second of `iqassay score` with one thread, and of `iqassay cluster score` with one
worker, with two, and so on, on this machine.

    python benchmarks/speed/cluster.py photos/ --pictures 400 --model mfen -o cluster.csv

Each worker has one processor. The rate of a cluster is that of its steady state, from the first part that is there to
the last one; "seconds" is everything, with Ray's start and end. Where fewer pictures are found than are asked for they
come again, under other names. The load of the machine when a run begins is in the table: beside other work, rates tell
nothing but their ratio.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from provenance import commit, machine
from rows import add_rows

from iqassay.pictures.formats import is_picture

IQASSAY = [sys.executable, "-m", "iqassay"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="with pictures")
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--part", type=int, default=10, help="pictures in a part")
    parser.add_argument("--model", default="mfen")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("-o", "--output", type=Path, help="add rows to this CSV")
    args = parser.parse_args()
    found = [path for path in sorted(args.folder.rglob("*")) if is_picture(path.name)]
    if not found:
        raise SystemExit(f"got no pictures in {args.folder}, want some")
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        photos = Path(scratch) / "photos"
        photos.mkdir()
        for number, path in zip(range(args.pictures), itertools.cycle(found), strict=False):
            (photos / f"{number}{path.suffix}").symlink_to(path.resolve())
        for workers in [0, *args.workers]:
            load = os.getloadavg()[0]
            rate, seconds = cluster(photos, workers, args) if workers else alone(photos, args)
            rows.append(
                {
                    "what": f"cluster, {workers} workers" if workers else "iqassay score --threads 1",
                    "model": args.model,
                    "pictures": args.pictures,
                    "a second": round(rate, 2),
                    "seconds": round(seconds, 1),
                    "load": round(load, 1),
                    "processors": len(os.sched_getaffinity(0)),
                    "commit": commit(),
                    "machine": machine(),
                }
            )
            print(", ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    if args.output:
        add_rows(args.output, rows)
    return 0


def alone(photos: Path, args: argparse.Namespace) -> tuple[float, float]:
    """Pictures a second from the first record to the last, and seconds, without a cluster."""
    command = [*IQASSAY, "score", str(photos), "--model", args.model, "--threads", "1", "--no-cache"]
    start = time.monotonic()
    times = []
    with subprocess.Popen([*command, "--format", "jsonl"], stdout=subprocess.PIPE) as process:
        assert process.stdout
        times = [time.monotonic() for _ in process.stdout]
    if process.returncode:
        raise SystemExit("iqassay score failed")
    return (len(times) - 1) / (times[-1] - times[0]), time.monotonic() - start


def cluster(photos: Path, workers: int, args: argparse.Namespace) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as out:
        command = [*IQASSAY, "cluster", "score", str(photos), "--model", args.model, "-o", out]
        command += ["--workers", str(workers), "--part", str(args.part), "--address", "local"]
        start = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = time.monotonic() - start
        ends = sorted(file.stat().st_mtime for file in Path(out).glob("part-*"))
        if len(ends) < 2:
            raise SystemExit(f"got {len(ends)} parts, want more pictures")
        return (args.pictures - args.part) / (ends[-1] - ends[0]), seconds


if __name__ == "__main__":
    sys.exit(main())
