"""Running the service: one process on one port, from its first request to an orderly end."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from iqassay.service.limits import Limits
from iqassay.support.errors import UsageError

HEADER_SECONDS = 20.0  # until the headers of a connection's first request are there
SPARE = 5.0  # seconds beyond what a request may take, until an end is forced
BACKLOG = 256  # connections that the system keeps waiting


class Protocol(H11Protocol):
    """uvicorn's own, but for those who open a connection and then say nothing, or say it letter by letter."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._patience = self.loop.call_later(HEADER_SECONDS, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        self._patience.cancel()
        super().connection_lost(exc)

    def _give_up(self) -> None:
        cycle: RequestResponseCycle | None = self.cycle  # None until there is a request, whatever uvicorn's hint says
        if cycle is None and not self.transport.is_closing():
            self.transport.close()


def listen(host: str, port: int) -> socket.socket:
    """A socket that waits for connections. Raises UsageError where the address cannot be had."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"--host {host}: got no address of this machine: {error}") from error
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(BACKLOG)
    except OSError as error:
        found.close()
        raise UsageError(f"--host {host} --port {port}: cannot listen there: {error.strerror}") from error
    return found


def address_of(listening: socket.socket) -> str:
    """Where browsers find it, such as http://127.0.0.1:8000/."""
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "localhost"
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def make_server(app: FastAPI, limits: Limits, requests_told: bool, started: Callable[[], Any]) -> Server:
    """What serves an application.

    requests_told: say each request on standard error. started: called once connections are taken.
    """
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="on",
        server_header=False,
        log_config=_logging(requests_told),
        access_log=requests_told,
        backlog=BACKLOG,
        timeout_graceful_shutdown=int(limits.upload_seconds + limits.work_seconds + SPARE),
    )
    return Server(config, started)


def run(server: Server, listening: socket.socket) -> None:
    """Serve until the process is told to end (SIGTERM or Ctrl-C); what has begun is then finished."""
    with _quiet_end():
        server.run(sockets=[listening])


class Server(uvicorn.Server):
    """uvicorn's own, that says when it takes connections."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], Any]) -> None:
        super().__init__(config)
        self._started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            self._started()


@contextmanager
def _quiet_end() -> Iterator[None]:
    """uvicorn raises the signal that ended it once more, when all is done: that is then no error."""
    before = {}
    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(ValueError):  # not in the main thread, where no signals arrive
            before[number] = signal.signal(number, lambda *_: None)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _logging(requests_told: bool) -> dict[str, Any]:
    """What goes wrong, and each request where that is wanted, on standard error."""
    level = "INFO" if requests_told else "WARNING"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "iqassay: %(asctime)s %(levelname)s %(message)s"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "loggers": {
            "uvicorn": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
            "uvicorn.access": {"handlers": ["stderr"], "level": level, "propagate": False},
            "iqassay.service": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        },
    }
