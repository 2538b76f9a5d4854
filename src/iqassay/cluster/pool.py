"""The work on parts, shared out by Ray: a pool of workers, which Ray starts, feeds, and starts again when they die."""

from __future__ import annotations

import logging
import os
import pickle
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any

from iqassay.cluster.parts import Part
from iqassay.cluster.question import Question
from iqassay.cluster.worker import Worker
from iqassay.support.errors import UsageError
from iqassay.support.install import needs
from iqassay.support.processors import processors


def find_ray() -> Any:
    """The package, with its module for data. Raises UsageError where it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report to its makers over the network
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
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


class PartWorker(Worker):
    """A worker as Ray calls it, with one part at a time. What is wrong with the run comes back in words, since of an
    exception Ray brings the traceback alone.
    """

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        (part,) = batch["part"]
        try:
            return {"pictures": [self.score(pickle.loads(part))], "error": [""], "usage": [False]}
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            return {"pictures": [0], "error": [reason], "usage": [isinstance(error, ValueError)]}


def score_parts(parts: Sequence[Part], question: Question, out: str, workers: int) -> Iterator[int]:
    """Have the parts scored by so many workers at most, and give the number of pictures of each as it is done.

    A part whose worker dies goes to another one. Raises UsageError where a worker found the model or the source to be
    another one, and OSError for what else went wrong, in one line.
    """
    ray = find_ray()
    data = ray.data.DataContext.get_current()
    data.enable_progress_bars = data.print_on_execution_start = False
    # By Ray's own limit a pool grows when workers have more in hand than one task each, which ours never have: one that
    # shrank while the run began slowly would stay small for ever.
    data.actor_pool_util_upscaling_threshold = 1.0
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    # A part is a task, which goes to a worker when that has nothing else to do. A pool that may shrink: with a fixed
    # one, a worker whose machine is gone would wait for a place for ever while others hold theirs with nothing to do.
    rows = ray.data.from_items([{"part": pickle.dumps(part)} for part in parts], override_num_blocks=len(parts))
    pool = ray.data.ActorPoolStrategy(
        min_size=1, max_size=workers, initial_size=workers, max_tasks_in_flight_per_actor=1
    )
    done = rows.map_batches(
        PartWorker,
        batch_size=1,
        compute=pool,
        fn_constructor_args=(question, out),
        num_cpus=question.threads,
    )
    try:
        for row in done.iter_rows():
            if row["error"]:
                raise (UsageError if row["usage"] else OSError)(row["error"])
            yield int(row["pictures"])
    except ray.exceptions.RayError as error:
        raise OSError(f"Ray gave up: {_reason(str(error))}; run again to go on") from error


def _reason(text: str) -> str:
    """The line of a traceback of Ray that says what went wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    named = [line for line in lines if re.match(r"(?!ray\.)[\w.]*(Error|Exception)\b", line)]
    return (named or lines or ["it does not say why"])[0][:300]
