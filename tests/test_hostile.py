"""Files and surroundings that mean harm: nothing hangs, nothing is lost, and whatever goes wrong is one plain line.

What may hang runs in a process of its own, which is killed then. What the fuzzer (benchmarks/fuzz.py) found is kept in
fuzz/, a file for each finding; its name starts with what reads it.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import make_photo, write_model
from PIL import Image
from test_image import FILES, GAMMA_2_2, SRGB, chunk, encode, matrix_profile, png16, tiff

from iqassay import formats
from iqassay.cache import Cache, open_cache
from iqassay.errors import UsageError
from iqassay.image import ImageError, read_image
from iqassay.model_file import ModelFileError, load_model_file, open_session, read_card
from iqassay.records import read_records

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


# ---- pictures that promise more than they hold ----------------------------------------------------------------------


def sized_png(data: bytes) -> bytes:
    """A PNG that claims 9000x9000 pixels."""
    return data[:8] + chunk(b"IHDR", struct.pack(">II", 9000, 9000) + data[24:29]) + data[33:]


def small_png(*chunks: bytes, data: bytes = bytes(8 * 25)) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
    tail = chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + tail


def jpeg(scans: int = 0) -> bytes:
    """A progressive JPEG of 64x64 flat pixels that claims 14000x14000 and repeats its last scan so many times."""
    data = encode(Image.new("RGB", (64, 64), "teal"), "JPEG", progressive=True)
    size, last = data.index(b"\xff\xc2") + 5, data.rindex(b"\xff\xda")
    return data[:size] + struct.pack(">HH", 14000, 14000) + data[size + 4 : -2] + data[last:-2] * scans + data[-2:]


def gif(side: int, frames: int = 1, disposal: int = 0) -> bytes:
    """A GIF of 64x64 pixels whose frames claim another size."""
    frame = struct.pack("<BBBBHBBBHHHHB", 0x21, 0xF9, 4, disposal << 2, 0, 0, 0, 0x2C, 0, 0, side, side, 0)
    return b"GIF89a@\0@\0\x80\0\0\0\0\0\xff\xff\xff" + (frame + b"\x02\x02\x44\x01\0") * frames + b";"


def tagged(data: bytes, **tags: int) -> bytes:
    """A little-endian TIFF with other values of some tags (t322=...); next=1: its directory comes after itself."""
    out, (at,) = bytearray(data), struct.unpack_from("<L", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        if (name := f"t{struct.unpack_from('<H', data, entry)[0]}") in tags:
            struct.pack_into("<L", out, entry + 8, tags[name])
    if "next" in tags:
        struct.pack_into("<L", out, at + 2 + 12 * count, at)
    return bytes(out)


def crowded(entries: int) -> bytes:
    """A TIFF of 8x8 pixels with so many entries more, each with a million values, which the file has no room for."""
    tags = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 273: 0, 277: 1, 278: 8, 279: 64}
    rows = [struct.pack("<HHLL", tag, 4, 1, value) for tag, value in tags.items()]
    rows += [struct.pack("<HHLL", 1000 + number, 4, 10**6, 8) for number in range(entries)]
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(rows)) + b"".join(rows) + bytes(1000)


def one_strip(rows: int) -> bytes:
    """A TIFF of so many rows of 100 pixels, each of which is the same few bytes."""
    data, start = zlib.compress(bytes(300)), 8 + 2 + 12 * 9 + 4
    tags = {256: 100, 257: rows, 258: 8, 259: 8, 262: 2, 273: start, 277: 3, 278: 1, 279: start + 4 * rows}
    entries = [struct.pack("<HHLL", tag, 4, rows if tag in (273, 279) else 1, value) for tag, value in tags.items()]
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    return head + struct.pack(f"<{2 * rows}L", *[start + 8 * rows] * rows, *[len(data)] * rows) + data


def traps() -> dict[str, tuple[bytes, str]]:
    """Small files that ask for much, and what is said: of the size of the picture, or of what is wrong."""
    zeros, flat, deep = zlib.compress(bytes(50_000_000)), np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16, 3), ">u2")
    texts = [chunk(b"zTXt", b"%d\0\0" % i + zlib.compress(bytes(900_000))) for i in range(90)]
    many = [
        chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)),
        chunk(b"fcTL", struct.pack(">5I2H2B", 0, 8, 8, 0, 0, 1, 1, 0, 0)),
    ]
    start, rest = FILES["jpeg"][:2], FILES["jpeg"][2:]
    webp = FILES["webp"].replace(struct.pack("<HH", 61, 47), struct.pack("<HH", 14000, 14000))
    long_curve = matrix_profile(SRGB, GAMMA_2_2.replace(struct.pack(">I", 1), struct.pack(">I", 2**31)))
    return {
        "png: no data for its size": (sized_png(FILES["png"]), "truncated"),
        "png: a profile of 50 MB": (small_png(chunk(b"iCCP", b"x\0\0" + zeros)), "too large"),
        "png: a text of 50 MB": (small_png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zeros)), "too large"),
        "png: 90 texts of 1 MB": (small_png(*texts), "Too much memory used in text chunks"),
        "png: EXIF of 20 MB": (small_png(chunk(b"eXIf", b"II*\0\x08\0\0\0" + bytes(20_000_000))), "8x8"),
        "png: 50 MB of pixels for 8x8": (small_png(data=bytes(50_000_000)), "8x8"),
        "png: two billion frames": (small_png(*many), "8x8"),
        "png16: no data for its size": (sized_png(png16(deep)), "truncated"),
        "jpeg: no data for its size": (jpeg(), "truncated"),
        "jpeg: a thousand scans": (jpeg(scans=1000), "want at most 100"),
        "jpeg: 13 MB of EXIF": (start + (b"\xff\xe1\xff\xffExif\0\0" + bytes(65527)) * 200 + rest, "61x47"),
        "jpeg: fill bytes": (start + b"\xff" * 200_000 + rest, "61x47"),
        "gif: 20,000 frames": (gif(1, frames=20_000), "64x64"),
        "gif: no data for its size": (gif(10_000), "truncated"),
        "gif: a frame that leaves room for itself": (gif(60_000, disposal=2), "exceeds limit"),
        "bmp: no data for its size": (
            FILES["bmp"][:18] + struct.pack("<ii", 14000, 14000) + FILES["bmp"][26:],
            "trunc",
        ),
        "webp: no data for its size": (webp, "cannot be decoded"),
        "tiff: no data for its size": (
            tagged(tiff(flat, compression=8), t256=14_000, t257=14_000),
            "cannot be decoded",
        ),
        "tiff: no data for its depth": (
            tagged(tiff(deep, compression=8, planar=True), t256=14_000, t257=14_000, t278=14_000),
            "truncated",
        ),
        "tiff: large tiles": (tagged(tiff(flat, tile=16, compression=8), t322=20_000, t323=20_000), "of 20000x20000"),
        "tiff: large deep tiles": (tagged(tiff(deep, tile=16, compression=8), t322=4096, t323=4096), "of 4096x4096"),
        "tiff: strips all the same": (one_strip(20_000), "100x20000"),
        "tiff: pages without end": (tagged(tiff(flat), next=1), "16x16"),
        "tiff: deep pages without end": (tagged(tiff(deep), next=1), "16x16"),
        "tiff: 20,000 entries": (crowded(20_000), "8x8"),
        "tiff: a profile of 20 MB": (tiff(deep, t34675=bytes(20_000_000)), "16x16"),
        "tiff: a curve of two billion values": (tiff(deep, t34675=long_curve), "16x16"),
    }


READ_ALL = """
import json, os, sys, warnings
warnings.simplefilter("ignore")
if sys.platform == "linux":
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (3 << 29, 3 << 29))
from iqassay.image import ImageError, read_image
said = {}
for name in sorted(os.listdir()):
    try:
        picture = read_image(name)
        said[name] = f"{picture.width}x{picture.height}"
    except ImageError as error:
        said[name] = str(error)
print(json.dumps(said))
"""


def test_small_files_that_ask_for_much_are_refused_or_read_in_little_time_and_memory(tmp_path: Path) -> None:
    """1.5 GB of addresses is what Linux leaves them."""
    for number, (data, _) in enumerate(traps().values()):
        (tmp_path / f"{number:02}").write_bytes(data)
    words, environment = [sys.executable, "-c", READ_ALL], {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, timeout=LIMIT, check=True)
    answers = json.loads(done.stdout)
    wrong = {
        name: said
        for (name, (_, wanted)), said in zip(traps().items(), answers.values(), strict=True)
        if wanted not in said or "memory)" in said
    }
    assert wrong == {}


def test_a_jpeg_is_as_long_as_its_own_data() -> None:
    """What follows it, a film for one, is full of bytes that look like scans; flat pictures have hardly any data."""
    assert read_image(FILES["progressive jpeg"] + b"\xff\xda\0\2" * 1000).width == 61
    for progressive in (False, True):
        flat = encode(Image.new("L", (3000, 2000), 255), "JPEG", progressive=progressive, optimize=True)
        assert read_image(flat).pixels.min() > 250


@pytest.mark.filterwarnings("ignore")  # Pillow's own words
@pytest.mark.parametrize("kind", ["png", "16-bit png", "jpeg", "webp", "gif", "bmp", "tiff", "deflated 16-bit tiff"])
def test_a_file_that_is_emptied_while_it_is_read(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, kind_of = tmp_path / "a", formats.kind_of

    def empty(head: bytes) -> str:
        os.truncate(path, 20)
        return kind_of(head)

    path.write_bytes(FILES[kind])
    monkeypatch.setattr(formats, "kind_of", empty)
    with pytest.raises(ImageError, match=r"cannot be (decoded|read)"):
        read_image(path)


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
