"""The work on parts, shared out by Ray, which starts workers and gives what one that died had to another."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import cache
from itertools import islice
from typing import Any

from iqassay.cluster.parts import Part
from iqassay.cluster.question import Question
from iqassay.cluster.worker import Worker
from iqassay.support.errors import UsageError
from iqassay.support.install import needs
from iqassay.support.processors import processors


def find_ray() -> Any:
    """The package. Raises UsageError where it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report to its makers over the network
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
    except ImportError as error:
        raise UsageError(needs("this", "ray", "ray")) from error
    return ray


@contextmanager
def connected(address: str | None) -> Iterator[int]:
    """A cluster, as long as the block lasts; gives the number of its processors.

    address: of a cluster's head, HOST:PORT; None is the one that $RAY_ADDRESS names or that runs on this machine, and
    where there is none, or for "local", one of this machine alone is started. Raises UsageError for one that cannot be
    reached.
    """
    ray = find_ray()
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    there = address or os.environ.get("RAY_ADDRESS")
    with redirect_stdout(sys.stderr):  # Ray tells of workers that die on standard output, which is for results
        try:
            if there != "local":
                ray.init(address=there or "auto", **quiet)
        except (ConnectionError, ValueError) as error:
            if there is not None:
                named = f"--address {address}" if address is not None else f"RAY_ADDRESS={there}"
                raise UsageError(f"{named}: got no answer of a cluster of Ray, want HOST:PORT of its head") from error
        if not ray.is_initialized():
            ray.init(address="local", num_cpus=processors(), include_dashboard=False, **quiet)
        try:
            yield int(ray.cluster_resources().get("CPU", 0))
        finally:
            ray.shutdown()


@cache
def _worker(question: Question, out: str) -> Worker:
    """The one worker of this process, whose models stay open from one part to the next."""
    return Worker(question, out)


def _score_part(part: Part, question: Question, out: str) -> tuple[int, str, bool]:
    """What Ray calls: how many pictures the part has. What is wrong with the run comes back in words, with whether its
    user can mend it, since of an exception Ray brings the traceback alone.
    """
    try:
        return _worker(question, out).score(part), "", False
    except (OSError, ValueError) as error:
        return 0, " ".join(str(error).split()), isinstance(error, ValueError)


def score_parts(parts: Sequence[Part], question: Question, out: str, workers: int) -> Iterator[int]:
    """Have the parts scored by so many workers at most, and give the number of pictures of each as it is done.

    A part whose worker dies goes to another one. Raises UsageError where a worker found the model or the source to be
    another one, and OSError for what else went wrong, in one line.
    """
    ray = find_ray()
    score = ray.remote(num_cpus=question.threads, max_retries=-1)(_score_part)  # the worker counts the deaths
    left = iter(parts)
    running: list[Any] = []
    try:
        while True:
            running += [score.remote(part, question, out) for part in islice(left, workers - len(running))]
            if not running:
                return
            done, running = ray.wait(running)
            for pictures, error, usage in ray.get(done):
                if error:
                    raise (UsageError if usage else OSError)(error)
                yield pictures
    except ray.exceptions.RayError as error:
        raise OSError(f"Ray gave up: {_reason(str(error))}; run again to go on") from error


def _reason(text: str) -> str:
    """The line of a traceback of Ray that says what went wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    named = [line for line in lines if re.match(r"(?!ray\.)[\w.]*(Error|Exception)\b", line)]
    return (named or lines or ["it does not say why"])[0][:300]
