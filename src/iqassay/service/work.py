"""The work on pictures: a few threads, a bounded number of requests that wait for them, and an end to each."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from starlette.requests import Request

from iqassay.service.limits import Limits
from iqassay.service.refusal import Refusal
from iqassay.support.text import counted

Thing = TypeVar("Thing")
Answer = TypeVar("Answer")
LOOK = 0.5  # seconds between looks at whether the one who asked is still there


class Work:
    """Gives each request a place, or none, and has what it brings worked on by threads that all requests share.

    A thread cannot be stopped: what outlives its request goes on to its end, and keeps its request's place until then.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.threads = ThreadPoolExecutor(limits.workers, thread_name_prefix="iqassay")
        self.places = limits.workers + limits.waiting
        self.inside = 0  # requests, from their first byte to their answer
        self.running = 0  # pictures
        self.left_over = 0  # pictures whose request is gone
        self._mean = 1.0  # seconds for a picture, lately
        self._counting = threading.Lock()

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place for a request as long as it lasts. Raises Refusal where all are taken."""
        if self.inside + self.left_over >= self.places:
            later = {"Retry-After": str(self.seconds_until_free())}
            raise Refusal(429, f"got too many requests at once, with {counted(self.inside, 'request')} before", later)
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1

    def seconds_until_free(self) -> int:
        """About how long it takes until what waits now is done with; a whole number from 1 to 60."""
        return min(60, max(1, math.ceil(self.inside * self._mean / self.limits.workers)))

    async def on_each(
        self, request: Request, function: Callable[[Thing], Answer], things: Sequence[Thing]
    ) -> list[Answer | Exception]:
        """function(thing) for each, in order; what it raises stands in its place, and so does a Refusal for what was
        not done in time. At most as many of one request are worked on at once as there are threads, so that a request
        of many pictures and one of a single picture take turns.

        Raises Refusal when the one who asked has gone.
        """
        end = time.monotonic() + self.limits.work_seconds
        answers: dict[int, Answer | Exception] = {}
        waiting = list(enumerate(things))
        here: dict[asyncio.Future[Answer], tuple[int, Future[Answer]]] = {}
        gone = False
        while (waiting or here) and not gone and time.monotonic() < end:
            while waiting and len(here) < self.limits.workers:
                index, thing = waiting.pop(0)
                future = self.threads.submit(self._timed, function, thing)
                here[asyncio.wrap_future(future)] = index, future
            timeout = max(0.0, min(LOOK, end - time.monotonic()))
            done, _ = await asyncio.wait(here, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                error = one.exception()
                if error is not None and not isinstance(error, Exception):
                    raise error
                index, _ = here.pop(one)
                answers[index] = one.result() if error is None else error
            gone = not done and await request.is_disconnected()
        for one, (_, future) in here.items():
            one.cancel()  # what had not begun
            self._leave(future)
        if gone:
            raise Refusal(499, "the one who asked has gone")
        late = Refusal(
            503,
            f"the picture was not done within {self.limits.work_seconds:g} seconds, want a smaller one, or fewer",
            {"Retry-After": str(self.seconds_until_free())},
        )
        return [answers.get(index, late) for index in range(len(things))]

    async def on_one(self, request: Request, function: Callable[[Thing], Answer], thing: Thing) -> Answer:
        """function(thing), within the same bounds. Raises what it raises, and Refusal."""
        answer = (await self.on_each(request, function, [thing]))[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _timed(self, function: Callable[[Thing], Answer], thing: Thing) -> Answer:
        start = time.monotonic()
        with self._counting:
            self.running += 1
        try:
            return function(thing)
        finally:
            with self._counting:
                self.running -= 1
                self._mean += 0.1 * (time.monotonic() - start - self._mean)

    def _leave(self, future: Future[Answer]) -> None:
        """Count what goes on although nobody waits for it, until it ends."""
        if future.done():
            return
        with self._counting:
            self.left_over += 1

        def ended(_: Future[Answer]) -> None:
            with self._counting:
                self.left_over -= 1

        future.add_done_callback(ended)

    def close(self) -> None:
        """No new work; what runs is finished."""
        self.threads.shutdown(wait=True, cancel_futures=True)
