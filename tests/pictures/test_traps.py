"""Pictures that promise more than they hold: small files that would take long or much memory, and lying headers."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_image import FILES, GAMMA_2_2, SRGB, chunk, encode, matrix_profile, png16, tiff

from iqassay.pictures import formats
from iqassay.pictures.image import ImageError, read_image

LIMIT = 60  # seconds: whoever takes longer hangs


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
        "png: a profile of 50 MB": (small_png(chunk(b"iCCP", b"x\0\0" + zeros)), "8x8"),
        "png: a text of 50 MB": (small_png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zeros)), "8x8"),
        "png: 90 texts of 1 MB": (small_png(*texts), "8x8"),
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
from iqassay.pictures.image import ImageError, read_image
said = {}
for name in sorted(os.listdir()):
    try:
        picture = read_image(name)
        said[name] = f"{picture.width}x{picture.height}"
    except ImageError as error:
        said[name] = str(error)
print(json.dumps(said))
"""


def read_all(folder: Path) -> dict[str, str]:
    words, environment = [sys.executable, "-c", READ_ALL], {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, cwd=folder, env=environment, stdout=subprocess.PIPE, timeout=LIMIT, check=True)
    return json.loads(done.stdout)


@pytest.mark.slow
def test_small_files_that_ask_for_much_are_refused_or_read_in_little_time_and_memory(tmp_path: Path) -> None:
    """1.5 GB of addresses is what Linux leaves them."""
    for number, (data, _) in enumerate(traps().values()):
        (tmp_path / f"{number:02}").write_bytes(data)
    answers = read_all(tmp_path)
    wrong = {
        name: said
        for (name, (_, wanted)), said in zip(traps().items(), answers.values(), strict=True)
        if wanted not in said or "memory)" in said
    }
    assert wrong == {}


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="a hole takes no room on POSIX systems alone")
def test_files_far_longer_than_their_pictures(tmp_path: Path) -> None:
    """Twenty gigabytes of nothing come after the picture."""
    for kind, data in FILES.items():
        (tmp_path / kind).write_bytes(data)
        os.truncate(tmp_path / kind, 20 * 2**30)
    refused = {
        kind for kind, said in read_all(tmp_path).items() if "cannot be decoded" in said and "memory" not in said
    }
    held = {"webp", "lossless webp", "animated webp", "avif", "deflated 16-bit tiff"}
    assert refused == held & FILES.keys()


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
