"""Numbers for Prometheus: requests, pictures, times, scores, what waits, and the memory of the process."""

from __future__ import annotations

import time

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from iqassay.folders.records import Record
from iqassay.service.work import Work
from iqassay.support.version import __version__

SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120)


class Metrics:
    """The numbers of one service."""

    def __init__(self, work: Work) -> None:
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        registry = self.registry
        Info("iqassay", "What serves.", registry=registry).info({"version": __version__})
        self.requests = Counter(
            "iqassay_requests", "Requests, by what was asked and answered.", ["path", "status"], registry=registry
        )
        self.seconds = Histogram(
            "iqassay_request_seconds",
            "From a request's first byte to its answer.",
            ["path"],
            buckets=SECONDS,
            registry=registry,
        )
        self.pictures = Counter("iqassay_pictures", "Pictures, by what became of them.", ["outcome"], registry=registry)
        self.scores = Histogram(
            "iqassay_score", "Scores that were given.", ["model"], buckets=tuple(range(10, 101, 10)), registry=registry
        )
        Gauge("iqassay_requests_inside", "Requests that are being answered, or wait.", registry=registry).set_function(
            lambda: work.inside
        )
        Gauge("iqassay_pictures_running", "Pictures that are being worked on.", registry=registry).set_function(
            lambda: work.running
        )

    def count(self, record: Record) -> None:
        """Count one picture by its record."""
        self.pictures.labels("failed" if "error" in record else "scored").inc()
        if "error" not in record:
            self.scores.labels(record["model"]).observe(record["score"])

    def text(self) -> bytes:
        """All numbers, as Prometheus reads them."""
        return generate_latest(self.registry)


class Counted:
    """Counts and times what passes. Paths that are not the service's count as one."""

    def __init__(self, app: ASGIApp, metrics: Metrics, paths: frozenset[str]) -> None:
        self.app, self.metrics, self.paths = app, metrics, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"] if scope["path"] in self.paths else "other"
        start, status = time.perf_counter(), 500

        async def counting_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, counting_send)
        finally:
            self.metrics.requests.labels(path, str(status)).inc()
            self.metrics.seconds.labels(path).observe(time.perf_counter() - start)
