"""`iqassay serve` as a process: its options, its start and its end."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from iqassay.cli import main

posix = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")


@contextmanager
def served(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A service in a process of its own, and its address."""
    command = [sys.executable, "-m", "iqassay", "serve", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def until_ready(address: str) -> None:
    for _ in range(600):
        with_status = httpx.get(f"{address}readyz", trust_env=False).status_code
        if with_status == 200:
            return
        time.sleep(0.05)
    raise AssertionError("it never got ready")


def score(address: str, content: bytes) -> httpx.Response:
    return httpx.post(f"{address}v1/score", files={"file": content}, timeout=60, trust_env=False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--host", "0.0.0.0"],
            "--host 0.0.0.0: others could reach the service there, want --token too, or --insecure",
        ),
        (["--host", "192.168.1.1"], "want --token too"),
        (["--token", ""], "--token: got one that no header can carry"),
        (["--token", "two\nlines"], "--token: got one that no header can carry"),
        (["--host", "no such host", "--insecure"], "--host no such host: got no address of this machine"),
        (["--port", "99999"], "Invalid value for '--port'"),
        (["--upload-seconds", "0"], "got 0, want seconds above 0"),
        (["--upload-seconds", "nan"], "got nan, want seconds above 0"),
        (["--workers", "0"], "got 0, want 1 or more"),
        (["--model", "nonsense"], "there is no model 'nonsense'"),
    ],
)
def test_wrong_usage(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", *arguments]) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert said.out == ""
    assert said.err.count("\n") == 1


def test_a_port_that_is_taken(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        assert main(["serve", "--port", str(other.getsockname()[1]), "--model", str(tiny_model)]) == 2
    assert "cannot listen there: Address already in use" in capsys.readouterr().err


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in [name for name in sys.modules if name.startswith("iqassay.service.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    assert main(["serve"]) == 2
    assert re.search(r"serve needs fastapi, want `pip install .*\[serve\]'`$", capsys.readouterr().err)


def test_open_takes_the_token_along(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After #, where no server and no proxy sees it."""
    import webbrowser

    from iqassay.service import running

    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr(running, "run", lambda server, listening: server._started())
    arguments = ["serve", "--port", "0", "--model", str(tiny_model), "--open"]
    assert main(arguments) == main([*arguments, "--token", "t"]) == 0
    addresses = capsys.readouterr().out.split()
    assert opened == [addresses[0], f"{addresses[1]}#token=t"]


@posix
@pytest.mark.slow
def test_a_service_from_its_start_to_its_end(tiny_model: Path, noisy: Path) -> None:
    """It prints where it is, answers what has begun before it ends, and ends well."""
    with served("--port", "0", "--model", str(tiny_model), "--log") as (process, address):
        until_ready(address)
        large = Image.fromarray(np.random.default_rng(0).integers(0, 256, (3000, 3000, 3), dtype=np.uint8))
        path = noisy.with_name("large.bmp")
        large.save(path)
        answers: list[httpx.Response] = []
        thread = threading.Thread(target=lambda: answers.append(score(address, path.read_bytes())))
        thread.start()
        while (
            b'"iqassay_requests_inside 1.0"'.strip(b'"') not in httpx.get(f"{address}metrics", trust_env=False).content
        ):
            assert thread.is_alive()
        process.send_signal(signal.SIGTERM)
        thread.join(60)
        assert answers[0].status_code == 200
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, "")
        assert f"iqassay: tiny answers at {address}; Ctrl-C ends it" in err
        assert '"POST /v1/score HTTP/1.1" 200' in err
        assert "Traceback" not in err


@posix
@pytest.mark.slow
def test_killed_and_started_again(tiny_model: Path, noisy: Path) -> None:
    """Nothing stays behind that would keep the next one from the same port, and it says the same."""
    with served("--port", "0", "--model", str(tiny_model)) as (process, address):
        until_ready(address)
        before = score(address, noisy.read_bytes())
        process.kill()
        process.wait(30)
    port = address.rstrip("/").rpartition(":")[2]
    with served("--port", port, "--model", str(tiny_model)) as (process, again):
        assert again == address
        until_ready(address)
        after = score(address, noisy.read_bytes())
        assert (after.status_code, after.json()) == (200, before.json())
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0, "Ctrl-C is how one ends it"


@posix
@pytest.mark.slow
def test_the_token_of_the_environment(tiny_model: Path, noisy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IQASSAY_TOKEN", "from-outside")
    with served("--host", "0.0.0.0", "--port", "0", "--model", str(tiny_model)) as (_, address):
        assert address.startswith("http://localhost:")
        until_ready(address)
        assert json.loads(score(address, noisy.read_bytes()).text)["error"].startswith("got no token")
        headers = {"authorization": "Bearer from-outside"}
        assert httpx.get(f"{address}metrics", headers=headers, trust_env=False).status_code == 200
