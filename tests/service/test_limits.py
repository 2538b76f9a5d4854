"""Every limit, met by those who mean no good: what they get, and that the next request is answered."""

from __future__ import annotations

import json
import socket
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import photo_bytes, serving, tiny_shelf

from iqassay.scoring.verdict import Verdict
from iqassay.service import body, running
from iqassay.service.shelf import Shelf

PHOTO = photo_bytes()
PNG = {"content-type": "image/png"}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with tiny_shelf(tmp_path_factory.mktemp("shelf")) as folder:
        yield folder


@pytest.fixture(autouse=True)
def short_linger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "LINGER", 0.5)


class Gate:
    """A model that scores when it is let: `open` lets everything through, and `begun` counts what has come to it."""

    def __init__(self, shelf: Shelf) -> None:
        self.open = threading.Event()
        self.begun = threading.Semaphore(0)
        scorer: Any = shelf.scorer(None)
        self._score = scorer.score
        scorer.score = self.score

    def score(self, *arguments: Any) -> Verdict:
        self.begun.release()
        assert self.open.wait(30)
        return self._score(*arguments)


def gated() -> tuple[Shelf, Gate]:
    shelf = Shelf(("mfen",), 1, 200_000)
    return shelf, Gate(shelf)


def send_raw(client: httpx.Client, *parts: bytes, pause: float = 0) -> bytes:
    """All that is answered to these bytes, until the connection ends."""
    address = client.base_url
    with socket.create_connection((address.host, address.port), 20) as connection:
        with suppress(ConnectionError):  # it need not wait for the rest
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
        answer = b""
        while more := connection.recv(65536):
            answer += more
    return answer


def head(length: int | None, **headers: str) -> bytes:
    size = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    lines = ["POST /v1/score HTTP/1.1", "host: 127.0.0.1", "content-type: image/png", size]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode()


def error_in(answer: bytes, status: int) -> str:
    top, _, body = answer.partition(b"\r\n\r\n")
    assert top.startswith(f"HTTP/1.1 {status} ".encode()), answer
    assert b"connection: close" in top.lower()
    return str(json.loads(body)["error"])


# ---- bytes and pixels -----------------------------------------------------------------------------------------------


def test_a_body_that_is_too_long(shelf: Path) -> None:
    """Told of in its header or not, it is refused without being read to its end, and the answer can be read."""
    with serving(max_bytes=100_000) as client:
        long = bytes(5_000_000)
        got = client.post("/v1/score", content=long, headers=PNG)
        assert (got.status_code, got.json()) == (413, {"error": "got a body of 5,000,000 bytes, want at most 100,000"})
        got = client.post("/v1/score", content=iter([long[:60_000]] * 3), headers=PNG)
        assert (got.status_code, got.json()) == (
            413,
            {"error": "got a body of more than 100,000 bytes, want at most 100,000"},
        )
        assert client.post("/v1/score", files={"file": long}).status_code == 413
        assert client.post("/v1/score", files={"file": PHOTO}).status_code == 200

        start = time.monotonic()  # one who says that much will come, and then sends nothing
        assert error_in(send_raw(client, head(10**15)), 413) == f"got a body of {10**15:,} bytes, want at most 100,000"
        assert time.monotonic() - start < 10


def bomb(side: int) -> bytes:
    """A PNG of side x side black pixels in a few kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = side.to_bytes(4, "big") * 2 + b"\x01\x00\x00\x00\x00"  # one bit for each pixel
    squeezed = zlib.compress(bytes((side // 8 + 1) * side), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", squeezed) + chunk(b"IEND", b"")


def test_a_decode_bomb(shelf: Path) -> None:
    """Refused by its header, before a pixel is decoded."""
    content = bomb(20_000)
    assert len(content) < 100_000
    with serving() as client:
        for files in ({"file": content}, {"file": PHOTO, "reference": content}):
            got = client.post("/v1/score", files=files)
            assert got.status_code == 413
            assert "got 20000x20000 = 400,000,000 pixels, want at most 200,000" in got.json()["error"]
        assert client.post("/v1/score", files={"file": PHOTO}).status_code == 200


def test_no_room_for_what_is_sent(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a disk that is full, or may not be written at all."""

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device", "/some/where")

    with serving() as client:
        with monkeypatch.context() as patch:
            patch.setattr(tempfile.SpooledTemporaryFile, "write", full)
            for sent in ({"content": PHOTO, "headers": PNG}, {"files": {"file": PHOTO}}):
                got = client.post("/v1/score", **sent)  # type: ignore[arg-type]
                assert (got.status_code, got.json()) == (503, {"error": "got more than there is room for now"})
        assert client.post("/v1/score", files={"file": PHOTO}).status_code == 200


# ---- time -----------------------------------------------------------------------------------------------------------


def test_a_slow_upload(shelf: Path) -> None:
    with serving(upload_seconds=0.6) as client:
        want = "got a body that took longer than 0.6 seconds, want it faster"
        assert error_in(send_raw(client, head(len(PHOTO)), PHOTO[:50]), 408) == want
        drops = [bytes([byte]) for byte in PHOTO[:9]]  # it is the whole that counts, not the pause between two bytes
        assert error_in(send_raw(client, head(len(PHOTO)), *drops, pause=0.1), 408) == want
        assert client.post("/v1/score", files={"file": PHOTO}).status_code == 200


def test_headers_that_never_come(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "HEADER_SECONDS", 0.5)
    with serving() as client:
        start = time.monotonic()
        assert send_raw(client) == send_raw(client, b"POST /v1/score HTT") == b""
        assert time.monotonic() - start < 10
        assert client.get("/healthz").status_code == 200


def test_work_that_takes_too_long(shelf: Path) -> None:
    """It is said, what was done of several pictures is kept, and the late thread still counts."""
    models, gate = gated()
    with serving(shelf=models, work_seconds=0.7, workers=1, waiting=1) as client:
        assert gate.begun.acquire(timeout=30)  # the first picture by which the model warms up
        gate.open.set()
        wait_until(lambda: client.get("/readyz").status_code == 200)
        gate.open.clear()

        got = client.post("/v1/score", files={"file": PHOTO})
        sentence = "the picture was not done within 0.7 seconds, want a smaller one, or fewer"
        assert (got.status_code, got.json()) == (503, {"error": sentence})
        assert int(got.headers["retry-after"]) >= 1
        work = client.app.state.work  # type: ignore[attr-defined]
        assert (work.inside, work.running, work.left_over) == (0, 1, 1)
        gate.open.set()
        wait_until(lambda: work.left_over == 0)
        got = client.post("/v1/score", files=[("file", PHOTO), ("file", PHOTO)])
        assert [set(record) & {"score", "error"} for record in got.json()] == [{"score"}, {"score"}]


def wait_until(true: Any, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


# ---- those who wait -------------------------------------------------------------------------------------------------


def test_more_than_may_wait_are_told_to_come_later(shelf: Path) -> None:
    models, gate = gated()
    with serving(shelf=models, workers=1, waiting=2) as client, ThreadPoolExecutor(3) as threads:
        work = client.app.state.work  # type: ignore[attr-defined]
        ask = lambda: client.post("/v1/score", files={"file": PHOTO})  # noqa: E731
        inside = [threads.submit(ask) for _ in range(3)]
        wait_until(lambda: work.inside == 3)
        got = client.post("/v1/score", content=PHOTO, headers=PNG)
        assert got.status_code == 429
        assert got.json() == {"error": "got too many requests at once, with 3 requests before"}
        assert 1 <= int(got.headers["retry-after"]) <= 60
        assert client.get("/healthz").status_code == 200, "that needs no place"
        gate.open.set()
        assert [one.result().status_code for one in inside] == [200, 200, 200]
        assert ask().status_code == 200


def test_one_who_goes_away_is_not_worked_for(shelf: Path) -> None:
    models, gate = gated()
    with serving(shelf=models, workers=1, waiting=5) as client:
        work = client.app.state.work  # type: ignore[attr-defined]
        assert gate.begun.acquire(timeout=30)
        with pytest.raises(httpx.ReadTimeout):
            client.post("/v1/score", files=[("file", PHOTO)] * 3, timeout=0.3)
        wait_until(lambda: work.inside == 0)
        gate.open.set()
        assert client.post("/v1/score", files={"file": PHOTO}).status_code == 200
        assert gate.begun.acquire(timeout=30)
        assert not gate.begun.acquire(timeout=0.1), "the pictures of the one who went were not scored"


def test_large_and_small_requests_take_turns(shelf: Path) -> None:
    """A picture that comes alone does not wait for all of a request of many."""
    models, gate = gated()
    with serving(shelf=models, workers=1, waiting=5) as client, ThreadPoolExecutor(1) as threads:
        gate.open.set()
        wait_until(lambda: client.get("/readyz").status_code == 200)
        gate.open.clear()
        many = threads.submit(lambda: client.post("/v1/score", files=[("file", PHOTO)] * 60, timeout=60))
        wait_until(lambda: client.app.state.work.running == 1)  # type: ignore[attr-defined]
        gate.open.set()
        client.post("/v1/score", files={"file": PHOTO})
        assert not many.done()
        assert len(many.result().json()) == 60


def test_an_end_finishes_what_has_begun(shelf: Path) -> None:
    models, gate = gated()
    answers = []
    with ThreadPoolExecutor(1) as threads:
        with serving(shelf=models, workers=1) as client:
            work = client.app.state.work  # type: ignore[attr-defined]
            address = str(client.base_url)
            post = lambda: httpx.post(f"{address}v1/score", files={"file": PHOTO}, timeout=30, trust_env=False)  # noqa: E731
            answers.append(threads.submit(post))
            wait_until(lambda: work.inside == 1)
            threading.Timer(0.5, gate.open.set).start()  # after it was told to end
        assert answers[0].result().status_code == 200
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{address}healthz", trust_env=False)
