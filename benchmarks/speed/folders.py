"""What `iqassay score` does with folders: runs that are killed, memory, second runs, two runs at once.

    python benchmarks/speed/folders.py [kill memory again together] [--model mfen] [-o folders.csv]

kill: a run is killed at a random moment, from starting up to writing, again and again; then it is left to end. The
output must be that of an undisturbed run, byte for byte, and no .partial file may stay.
memory: the largest resident size of a fresh process for 100 and for 10,000 pictures of 160x120, and for nothing but
finding 100 and 100,000 files.
again: seconds of a first run, of a second one, of one that reads every file through (--verify), and of one after all
files were touched.
together: two runs start at once on one folder and one cache.

Pictures are JPEGs made on the spot from the example photo, 512x384 where nothing else is said, each different. Seconds
count from the shell to the shell, with starting up. "Computed" counts the answers that were worked out rather than
taken from the cache. Prints Markdown tables; the CSV also says commit and machine. Exit status 1 when an output is not
what it should be.
"""

from __future__ import annotations

import argparse
import csv
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path

from speed import PHOTO, Measure, markdown, peak_memory

from iqassay.folders.cache import Cache

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from provenance import commit, machine

LARGE, SMALL = (512, 384), (160, 120)
SETTLED = 2.5  # seconds after which the cache trusts the times of a file


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("proofs", nargs="*", choices=[[], *PROOFS], help="which ones (default: all)")
    parser.add_argument("--model", default="mfen", help="a shipped model, an .onnx file or a panel's .json")
    parser.add_argument("--pictures", type=int, default=300, help="for kill and together (default 300)")
    parser.add_argument("--many", type=int, default=10_000, help="for memory; a tenth of it for again (default 10000)")
    parser.add_argument("--files", type=int, default=100_000, help="for the finding of files (default 100000)")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the numbers as CSV")
    args = parser.parse_args()
    measures: list[Measure] = []
    failed = False
    for proof in args.proofs or PROOFS:
        print(proof, file=sys.stderr, flush=True)
        found = []
        with tempfile.TemporaryDirectory() as folder:
            for measure in PROOFS[proof](Path(folder), args):
                print(f"  {measure.what}: {measure.tool} {measure.value:g} {measure.unit}", file=sys.stderr, flush=True)
                found.append(measure)
        print(f"{proof}:\n\n{markdown(found)}\n")
        failed |= any(measure.tool == SAME and not measure.value for measure in found)
        measures += found
    where = {"commit": commit(), "machine": machine()}
    print(", ".join(f"{key} {value}" for key, value in where.items()))
    if args.output:
        with args.output.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, [*(f.name for f in fields(Measure)), *where])
            writer.writeheader()
            writer.writerows(asdict(m) | where for m in measures)
    return int(failed)


# ---- the proofs: each gives its measures as they come ---------------------------------------------------------------

SAME = "output as it should be"  # 1 or 0


def kill(folder: Path, args: argparse.Namespace) -> Iterator[Measure]:
    make_pictures(folder / "photos", args.pictures, LARGE)
    run = Run(folder, args.model)
    start = time.perf_counter()
    assert_done(run.start("photos", "-o", "calm.csv", "--cache", "calm.sqlite").wait())
    whole = time.perf_counter() - start
    yield Measure("undisturbed", "after", round(whole, 1), "s")
    rng = random.Random(args.seed)
    words = ("photos", "-o", "out.csv", "--cache", "out.sqlite")
    kills = 0
    while kills < args.kills:
        started, moment = time.time(), rng.uniform(0, 4 * whole / args.kills)
        process = run.start(*words)
        try:
            assert_done(process.wait(moment))  # it was done already
            continue
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        kills += 1
        yield Measure(f"kill {kills}", "after", round(moment, 2), "s")
        partial = folder / "out.csv.partial"
        rows = partial.read_bytes().count(b"\n") if partial.exists() and partial.stat().st_mtime >= started else 0
        yield Measure(f"kill {kills}", "rows written", max(0, rows - 1), "")
        yield Measure(f"kill {kills}", "answers kept", answers(folder / "out.sqlite"), "")
    start = time.perf_counter()
    assert_done(run.start(*words).wait())
    yield Measure("the last run", "after", round(time.perf_counter() - start, 1), "s")
    yield Measure("the last run", "answers kept", answers(folder / "out.sqlite"), "")
    yield Measure("all runs", "computed", run.computed() - args.pictures, "")  # less those of the undisturbed run
    same = (folder / "out.csv").read_bytes() == (folder / "calm.csv").read_bytes()
    yield Measure("all runs", SAME, int(same and not list(folder.rglob("*.partial"))), "")


def memory(folder: Path, args: argparse.Namespace) -> Iterator[Measure]:
    run = Run(folder, args.model)
    for number in (100, args.many):
        make_pictures(folder / f"{number}", number, SMALL)
        time.sleep(SETTLED)
        cached = ("--cache", f"{number}.sqlite")
        for what, words in {
            "without cache": ("--no-cache",),
            "cache, a first run": cached,
            "cache, a second run": cached,
            "cache, --sort worst": (*cached, "--sort", "worst"),
            "cache, --format json": (*cached, "--format", "json"),
        }.items():
            start = time.perf_counter()
            assert_done(run.start(f"{number}", "-o", "out.csv", *words).wait())
            yield Measure(f"{number} pictures, {what}", "peak memory", run.peak(), "MB")
            yield Measure(f"{number} pictures, {what}", "time", round(time.perf_counter() - start, 1), "s")
    for number in (100, args.files):
        (folder / f"names{number}").mkdir()
        for name in range(number):
            (folder / f"names{number}" / f"{name}.jpg").touch()
        start = time.perf_counter()
        command = [sys.executable, __file__, "--find", f"names{number}"]
        peak = subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE).stdout
        yield Measure(f"{number} files found", "peak memory", float(peak), "MB")
        yield Measure(f"{number} files found", "time", round(time.perf_counter() - start, 1), "s")


def again(folder: Path, args: argparse.Namespace) -> Iterator[Measure]:
    number = args.many // 10
    make_pictures(folder / "photos", number, LARGE)
    make_pictures(folder / "one", 1, LARGE)
    run = Run(folder, args.model)
    wanted = b""
    time.sleep(SETTLED)
    for what, where, words in (
        ("one picture", "one", ()),
        ("a first run", "photos", ()),
        ("a second run", "photos", ()),
        ("a second run, --verify", "photos", ("--verify",)),
        ("all files touched", "photos", ()),
        ("all files moved", "moved", ()),
    ):
        if what == "all files touched":
            for path in (folder / "photos").iterdir():
                path.touch()
        if what == "all files moved":
            (folder / "photos").rename(folder / "moved")
        before, start = run.computed(), time.perf_counter()
        assert_done(run.start(where, "-o", "out.csv", "--cache", "cache.sqlite", *words).wait())
        seconds = time.perf_counter() - start
        yield Measure(what, "pictures", 1 if where == "one" else number, "")
        yield Measure(what, "computed", run.computed() - before, "")
        yield Measure(what, "time", round(seconds, 2), "s")
        yield Measure(what, "pictures a second", round((1 if where == "one" else number) / seconds, 1), "")
        if where != "one":
            output = (folder / "out.csv").read_bytes().replace(b"moved", b"photos")
            wanted = wanted or output
            yield Measure(what, SAME, int(output == wanted), "")


def together(folder: Path, args: argparse.Namespace) -> Iterator[Measure]:
    make_pictures(folder / "photos", args.pictures, LARGE)
    run = Run(folder, args.model)
    start = time.perf_counter()
    assert_done(run.start("photos", "-o", "alone.csv", "--cache", "alone.sqlite").wait())
    yield Measure("alone", "time", round(time.perf_counter() - start, 1), "s")
    yield Measure("alone", "computed", run.computed(), "")
    for what, delay in (("two at once", 0.0), ("the second 5 s later", 5.0)):
        before, start = run.computed(), time.perf_counter()
        cache = ("--cache", f"{delay}.sqlite")
        first = run.start("photos", "-o", "first.csv", *cache)
        time.sleep(delay)
        second = run.start("photos", "-o", "second.csv", *cache)
        assert_done(first.wait() or second.wait())
        yield Measure(what, "time", round(time.perf_counter() - start, 1), "s")
        yield Measure(what, "computed", run.computed() - before, "")
        outputs = {(folder / name).read_bytes() for name in ("alone.csv", "first.csv", "second.csv")}
        yield Measure(what, SAME, int(len(outputs) == 1), "")
        yield Measure(what, "answers kept", answers(folder / f"{delay}.sqlite"), "")


PROOFS = {"kill": kill, "memory": memory, "again": again, "together": together}


# ---- what they stand on ---------------------------------------------------------------------------------------------


class Run:
    """Runs of `iqassay score` in a folder, each in a fresh process that says what it did."""

    def __init__(self, folder: Path, model: str) -> None:
        self.folder, self.model = folder, model

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, __file__, "--run", "score", *words, "--model", self.model]
        return subprocess.Popen(command, cwd=self.folder)

    def computed(self) -> int:
        """How many answers were worked out so far, in all runs with a cache."""
        path = self.folder / "computed"
        return path.stat().st_size if path.exists() else 0

    def peak(self) -> float:
        """Largest resident size of the last run, MB."""
        return float((self.folder / "peak").read_text())


def worker(arguments: list[str]) -> int:
    """In a fresh process: a run, which leaves in the folder what `Run` reads; or only the finding of files."""
    if arguments[0] == "--find":
        from iqassay.folders.finding import find_pictures

        number = sum(1 for _ in find_pictures(arguments[1:]))
        assert_done(int(number == 0))
        print(round(peak_memory() / 1e6, 1))
        return 0
    from iqassay import cli

    keep = Cache.keep

    def counted(*answer: object) -> None:
        with open("computed", "a") as file:
            file.write("x")
        keep(*answer)  # type: ignore[arg-type]

    Cache.keep = counted  # type: ignore[method-assign, assignment]
    status = cli.main(arguments[1:])
    Path("peak").write_text(f"{peak_memory() / 1e6:.1f}")
    return status


def make_pictures(folder: Path, number: int, size: tuple[int, int]) -> None:
    """JPEGs of places in the example photo, mirrored beyond its edges, each with a light of its own."""
    import numpy as np
    from PIL import Image

    folder.mkdir()
    width, height = size
    rng = np.random.default_rng(0)
    with Image.open(PHOTO) as photo:
        half = np.asarray(photo.convert("RGB").resize((photo.width // 2, photo.height // 2), Image.Resampling.BOX))
    pixels = np.pad(half, ((0, height), (0, width), (0, 0)), mode="symmetric")
    for name in range(number):
        y, x = rng.integers(half.shape[0]), rng.integers(half.shape[1])
        part = pixels[y : y + height, x : x + width] * rng.uniform(0.7, 1.1)
        picture = Image.fromarray(part.clip(0, 255).astype(np.uint8))
        picture.save(folder / f"{name}.jpg", quality=int(rng.integers(20, 96)))


def answers(cache: Path) -> int:
    """How many answers are in a cache, which must open; 0 before there is one."""
    if not cache.exists():
        return 0
    with Cache(str(cache)) as opened:
        return opened.count()


def assert_done(status: int) -> None:
    if status:
        sys.exit(f"a run ended with status {status}")


if __name__ == "__main__":
    sys.exit(worker(sys.argv[1:]) if sys.argv[1:2] in (["--run"], ["--find"]) else main())
