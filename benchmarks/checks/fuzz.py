"""Feed damaged files to every reader, to find those that it answers with anything but one plain error.

    pip install atheris
    python benchmarks/checks/fuzz.py --minutes 30 -o FOLDER              every target in turn, for so long
    python benchmarks/checks/fuzz.py decoder --minutes 5 -o FOLDER       one of them
    python benchmarks/checks/fuzz.py decoder --replay FILE               one file, and what comes of it

Small files of every kind are made on the spot; atheris (libFuzzer) damages them, steered by which lines of ours and of
Pillow a file reaches, and by damage.py, which knows PNG chunks, TIFF tags and JSON, so that the damage comes through
checksums and into compressed data. A finding is an exception that the reader does not promise, more than 10 seconds,
more than 512 MB (a case has at most 8 kB and a megapixel), or a crash of the process. FOLDER keeps the file of each,
once for each place in the code, and what the next run goes on from. Exit status 1 when there are findings. Linux and
macOS.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from damage import damage_json, damage_picture

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "pictures")]  # conftest and test_image make the files

PIXELS = 2**20
LONGEST = 8192  # bytes of a case
SECONDS, MEGABYTES = 10, 512  # what a case may take
TURN = 60  # seconds that one target runs before the next


@dataclass(frozen=True)
class Target:
    """A reader, which is called with the bytes of a file; `expected` are the errors that it promises."""

    read: Callable[[bytes], object]
    expected: tuple[type[BaseException], ...]
    seeds: Callable[[], list[bytes]]
    mutate: Callable[[bytes, random.Random, Callable[[bytes], bytes]], bytes] | None = None


# ---- targets ---------------------------------------------------------------------------------------------------------


def decoder() -> Target:
    from iqassay.pictures.image import ImageError, read_image

    return Target(lambda data: read_image(data, PIXELS), (ImageError,), pictures, damage_picture)


def pictures() -> list[bytes]:
    """A small file of every kind that is read, with all that it may carry."""
    import numpy as np
    import test_image as make
    from PIL import Image

    small, deep = make.SMALL.resize((23, 17)), make.DEEP
    profile = make.matrix_profile(make.ADOBE, make.GAMMA_2_2)
    exif = Image.Exif()
    exif[0x0112] = 6
    more = {"icc_profile": profile, "exif": exif.tobytes()}
    frames = {"save_all": True, "append_images": [small.rotate(90), small.rotate(180)]}
    found = [
        *(make.encode(small, "JPEG", progressive=progressive, **more) for progressive in (False, True)),
        make.encode(small.convert("CMYK"), "JPEG", icc_profile=make.table_profile(b"CMYK", 4)),
        make.encode(small.convert("L"), "JPEG", icc_profile=make.matrix_profile(make.SRGB, make.TABLE, b"GRAY")),
        make.encode(small, "MPO", **frames),
        make.encode(small, "PNG", **more),
        make.encode(small, "PNG", **frames),
        make.encode(small.convert("1"), "PNG"),
        make.encode(small.convert("LA"), "PNG"),
        *(make.encode(small.quantize(colours), "PNG", transparency=1) for colours in (4, 16, 99)),
        make.png16(deep[..., :3], interlaced=True, extra=make.chunk(b"tRNS", bytes(6))),
        *(make.png16(deep[..., :channels]) for channels in (1, 2, 3, 4)),
        make.png16(deep[..., :3], extra=make.chunk(b"iCCP", b"x\0\0" + zlib.compress(profile))),
        make.encode(small, "GIF"),
        make.encode(small, "GIF", transparency=0, **frames),
        make.encode(small, "BMP"),
        make.encode(small.quantize(16), "BMP"),
        make.encode(small, "WEBP", **more),
        make.encode(small.convert("RGBA"), "WEBP", lossless=True),
        make.encode(small, "WEBP", **frames),
    ]
    for mode in ("1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB"):
        found.append(
            make.encode(small.convert("RGB").convert(mode) if mode != "LAB" else Image.new("LAB", (9, 7)), "TIFF")
        )
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd", "lzma"):
        with contextlib.suppress(Exception):  # not every libtiff has all of them
            found.append(make.encode(small, "TIFF", compression=compression, **more))
    found.append(make.encode(small.convert("1"), "TIFF", compression="group4"))
    for kind in ("uint16", "uint32", "int16", "float16", "float32", "float64"):
        samples = np.random.default_rng(1).random((13, 11, 3))
        samples = samples.astype(kind) if kind[0] == "f" else (samples * 32767).astype(kind)
        found += [make.tiff(samples), make.tiff(samples[..., :1], order=">", compression=5)]
        found.append(make.tiff(samples, compression=8, predictor=3 if kind[0] == "f" else 2, tile=16))
    found += [make.tiff(deep, big=True, planar=True), make.tiff(deep[..., :3], tile=16, t34675=profile)]
    with contextlib.suppress(Exception):
        found.append(make.encode(small, "AVIF", **more))
    with contextlib.suppress(ImportError):
        import pillow_heif

        for mode, pixels in (("RGB", np.asarray(small)), ("RGB;16", np.asarray(small).astype(np.uint16) * 257)):
            buffer = io.BytesIO()
            pillow_heif.from_bytes(mode, small.size, pixels.tobytes()).save(buffer)
            found.append(buffer.getvalue())
    return found


def profile() -> Target:
    """Colour profiles by themselves, at 8 and at 16 bits."""
    import numpy as np
    import test_image as make

    from iqassay.pictures.image import ImageError, read_image

    image, deep = make.SMALL.resize((5, 4)), np.random.default_rng(1).integers(0, 65536, (4, 5, 3), np.uint16)

    def read(data: bytes) -> None:
        for mode in ("RGB", "L", "CMYK"):
            tagged = image.convert(mode)
            tagged.info["icc_profile"] = data
            read_image(tagged)
        for samples in (deep, deep[..., :1]):
            read_image(make.tiff(samples, t34675=data or b"x"))

    def seeds() -> list[bytes]:
        curves = (make.GAMMA_2_2, make.SRGB_CURVE, make.TABLE)
        found = [make.matrix_profile(make.ADOBE, curve) for curve in curves]
        found += [make.matrix_profile(make.SRGB, curve, b"GRAY") for curve in curves]
        return [*found, make.table_profile(b"RGB ", 3), make.table_profile(b"CMYK", 4)]

    return Target(read, (ImageError,), seeds)


def card() -> Target:
    from conftest import REFERENCE, tiny_card

    from iqassay.scoring.model_file import ModelFileError, read_card

    def seeds() -> list[bytes]:
        network = tiny_card(b"x", reference=REFERENCE, architecture={"system": "none"})
        panel = {key: value for key, value in network.items() if key not in ("sha256", "views", "unlike", "reference")}
        panel |= {"members": {"a": "0", "b": "1"}, "interval": {"score": [0], "below": [1], "above": [1], "spread": 4}}
        return [json.dumps(each).encode() for each in (network, panel)]

    return Target(in_file("x.json", read_card), (ModelFileError,), seeds, damage_json)


def graph() -> Target:
    """Graphs with the sha256 that their card names, so that nothing stands before onnxruntime; opened and run."""
    import numpy as np
    from conftest import REFERENCE, tiny_graph, write_model

    from iqassay.scoring.model_file import ModelFileError, load_model_file, open_session

    place = Path(tempfile.mkdtemp())

    def read(data: bytes) -> None:
        for more, pictures in (({}, {}), ({"reference": REFERENCE}, {"pictures": np.array([1])})):
            session = open_session(load_model_file(write_model(place, content=data, **more)), threads=1)
            with contextlib.suppress(Exception):  # it may fail, but not crash
                session.run(None, {"image": np.zeros((1, 3, 64, 64), np.float32)} | pictures)

    return Target(read, (ModelFileError,), lambda: [tiny_graph(), tiny_graph(reference=True)])


def results(ending: str, mutate: Any = None) -> Target:
    """Results read back, by the ending of the file."""
    from iqassay.folders.columns import read_columns
    from iqassay.folders.gate import match, read_baseline
    from iqassay.folders.records import read_records
    from iqassay.support.errors import UsageError

    def read(path: Path) -> None:
        read_columns(read_records(str(path), cut_short=len))
        match(read_baseline(str(path), "m", "1", reference=True), ["a.png"], os.path.basename)

    def seeds() -> list[bytes]:
        from iqassay.folders import records

        good = {"path": "a\n.png", "reference": "r.png", "score": 50.25, "low": 40.0, "high": 60.5, "raw": {"m": 0.5}}
        good |= {"model": "m", "version": "1", "distortions": [{"name": "jpeg", "severity": 2.0}], "warnings": ["w"]}
        rows = [good, {"path": "b.png", "error": "no such file"}]
        if ending == "parquet":
            buffer = io.BytesIO()
            records.write_parquet(rows, buffer)
            return [buffer.getvalue()]
        out = io.StringIO()
        records.WRITERS[ending](rows, out)
        return [out.getvalue().encode()]

    return Target(in_file(f"x.{ending}", read), (UsageError,), seeds, mutate)


def cache() -> Target:
    """A cache of answers, asked for those that it held before it was damaged: it gives the same, or none."""
    import logging

    import numpy as np

    from iqassay.folders.cache import Cache, open_cache
    from iqassay.support.errors import UsageError

    logging.getLogger("iqassay").addHandler(logging.NullHandler())
    place = Path(tempfile.mkdtemp())
    picture, path = place / "a.png", place / "answers.sqlite"
    picture.write_bytes(b"picture")
    answers = {bytes([number]) * 32: {"score": 50.0 + number} for number in range(3)}
    maps = {key: np.full((2, 3), key[0], np.float32) for key in answers}

    def ask(cache: Cache) -> None:
        for key, answer in answers.items():
            found = cache.find(key, True)
            if found is not None and (found[0] != answer or not np.array_equal(found[1], maps[key])):
                raise ArithmeticError(f"got {found}, want {answer}")
        if cache.digest(str(picture)) not in (None, hashlib.sha256(b"picture").digest()):
            raise ArithmeticError("got another digest")
        cache.count()
        cache.keep(b"k" * 32, {"score": 1.0})

    def read(data: bytes) -> None:
        for ending in ("", "-wal", "-shm", "-journal"):
            Path(f"{path}{ending}").unlink(missing_ok=True)
        path.write_bytes(data)
        with open_cache(str(path)) as cache:  # type: ignore[union-attr]
            ask(cache)

    def seeds() -> list[bytes]:
        path.unlink(missing_ok=True)
        os.utime(picture, (1e9, 1e9))
        with Cache(str(path)) as cache:
            cache._file.execute("PRAGMA page_size = 512")
            cache._file.execute("PRAGMA journal_mode = DELETE")
            cache._file.execute("VACUUM")
            for key, answer in answers.items():
                cache.keep(key, answer, maps[key])
            cache.digest(str(picture))
        return [path.read_bytes()]

    return Target(read, (UsageError,), seeds)


def in_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """What reads a path, made to read bytes."""
    path = Path(tempfile.mkdtemp()) / name

    def read_bytes(data: bytes) -> object:
        path.write_bytes(data)
        return read(path)

    return read_bytes


TARGETS: dict[str, Callable[[], Target]] = {
    "decoder": decoder,
    "profile": profile,
    "card": card,
    "graph": graph,
    "cache": cache,
    "json": lambda: results("json", damage_json),
    "jsonl": lambda: results("jsonl", damage_json),
    "csv": lambda: results("csv"),
    "parquet": lambda: results("parquet"),
}


# ---- the engine ------------------------------------------------------------------------------------------------------


def fuzz(name: str, folder: Path, seconds: int) -> None:
    """Fuzz one target in this process, until the time is over or a case ends the process. Findings go to the folder."""
    import resource

    import atheris  # type: ignore[import-not-found]

    os.environ["OMP_NUM_THREADS"] = "1"
    warnings.simplefilter("ignore")
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (2**33, 2**33))
    # Not the cache: libFuzzer would see the checksums that are compared there, and forge them.
    steering = {"include": ["iqassay", "PIL"], "exclude": ["iqassay.folders.cache"], "enable_loader_override": False}
    with atheris.instrument_imports(**steering):
        from PIL import AvifImagePlugin, BmpImagePlugin, GifImagePlugin, MpoImagePlugin, WebPImagePlugin  # noqa: F401

        target = TARGETS[name]()
    corpus, seeds = folder / "corpus" / name, folder / "seeds" / name
    for place in (corpus, seeds, folder / "findings"):
        place.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(target.seeds()):
        (seeds / f"{number:02}").write_bytes(data)
    unit = 1 if sys.platform == "darwin" else 1024

    def one(data: bytes) -> None:
        try:
            target.read(data)
        except target.expected as error:
            if "\n" in str(error):
                keep(folder, name, data, "message of two lines", error)
        except Exception as error:
            keep(folder, name, data, type(error).__name__, error)
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit > MEGABYTES * 2**20:
            print(f"more than {MEGABYTES} MB", file=sys.stderr, flush=True)
            os.abort()  # the peak of a process never goes down again: on with a fresh one

    def mutate(data: bytes, longest: int, seed: int) -> bytes:
        dice = random.Random(seed)

        def damage(plain: bytes) -> bytes:
            return atheris.Mutate(plain, max(64, min(2 * len(plain), LONGEST)))

        known = target.mutate is not None and dice.random() < 0.7
        return (target.mutate(data, dice, damage) if known and target.mutate else damage(data))[:longest]

    options = [f"-max_total_time={seconds}", f"-timeout={SECONDS}", "-rss_limit_mb=2000", f"-max_len={LONGEST}"]
    options += [f"-artifact_prefix={folder}/findings/{name}-", "-print_final_stats=1", "-verbosity=1", "-reload=0"]
    atheris.Setup([sys.argv[0], *options, str(corpus), str(seeds)], one, custom_mutator=mutate)
    atheris.Fuzz()


def keep(folder: Path, name: str, data: bytes, what: str, error: BaseException) -> None:
    """Keep a case whose error is not as promised: the shortest of those that fail at one place."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "fuzz.py" not in frame.filename]
    where = f"{Path(frames[-1].filename).stem}-{frames[-1].lineno}" if frames else "nowhere"
    path = folder / "findings" / f"{name}-{what.replace(' ', '-')}-{where}"
    if not path.exists() or path.stat().st_size > len(data):
        path.write_bytes(data)
        path.with_name(f"{path.name}.txt").write_text("".join(traceback.format_exception(error))[-4000:])


def drive(names: list[str], folder: Path, minutes: float) -> int:
    """Run the targets in turns, each in a process of its own, and print what came of it."""
    end, executions, spent = time.monotonic() + 60 * minutes, dict.fromkeys(names, 0), dict.fromkeys(names, 0.0)
    while (left := end - time.monotonic()) > 1:
        for name in names:
            turn = max(1, int(min(TURN, left / len(names))))
            words = [sys.executable, __file__, name, "--child", str(turn), "-o", str(folder)]
            start = time.monotonic()
            done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False)
            spent[name] += time.monotonic() - start
            counts = re.findall(r"^(?:stat::number_of_executed_units: +|#)(\d+)", done.stderr, re.MULTILINE)
            executions[name] += int(counts[-1]) if counts else 0
            if done.returncode or not counts:
                ending = " ".join(done.stderr.strip().splitlines()[-1:])
                reason = re.search(r"ERROR: .*|more than \d+ MB|\w+Error: .*", done.stderr)
                print(f"{name}: ended early: {reason.group() if reason else ending}", flush=True)
    print(f"{'target':<10} {'executions':>12} {'a second':>9}")
    for name in names:
        print(f"{name:<10} {executions[name]:>12,} {executions[name] / max(spent[name], 1e-9):>9.0f}")
    found = sorted(path for path in (folder / "findings").glob("*") if path.suffix != ".txt")
    print(f"{sum(executions.values()):,} executions, {len(found)} findings", *found, sep="\n  ")
    return int(bool(found))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)} [default: all]")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("-o", "--output", type=Path, default=Path(tempfile.gettempdir()) / "iqassay-fuzz")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="give one file to the target")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    names = args.targets or list(TARGETS)
    if unknown := set(names) - set(TARGETS):
        parser.error(f"got {', '.join(sorted(unknown))}, want some of {', '.join(TARGETS)}")
    if args.child:
        fuzz(names[0], args.output, args.child)
    elif args.replay:
        target = TARGETS[names[0]]()
        try:
            print(target.read(args.replay.read_bytes()))
        except target.expected as error:
            print(error)
    else:
        return drive(names, args.output, args.minutes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
