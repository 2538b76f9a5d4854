"""Who may ask: those who know the token, and no page of somebody else in the browser of one who may."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OPEN = frozenset({"/", "/docs", "/openapi.json", "/healthz", "/readyz"})  # they show nothing of anybody's pictures
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Entrance:
    """token: what those who ask must know; None lets everybody in. hosts: the names under which the service answers;
    empty is any. local: it can be reached from its own machine alone.
    """

    token: str | None = None
    hosts: frozenset[str] = frozenset()
    local: bool = True


class Guard:
    """Refuses those who do not know the token, names that are not the service's (a page elsewhere may have made one up
    that leads here), and what pages of another origin send. Says in every answer what browsers must not do with it.
    """

    def __init__(self, app: ASGIApp, entrance: Entrance) -> None:
        self.app, self.entrance = app, entrance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("Referrer-Policy", "no-referrer")
                headers.setdefault("Cache-Control", "no-store")
                headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
            await send(message)

        found = self._objection(scope["path"], Headers(scope=scope))
        if found is None:
            await self.app(scope, receive, guarded_send)
            return
        status, sentence = found
        headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
        await JSONResponse({"error": sentence}, status, headers)(scope, receive, guarded_send)

    def _objection(self, path: str, headers: Headers) -> tuple[int, str] | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if self.entrance.hosts and _name(host) not in self.entrance.hosts:
            return 421, f"got the host name {_name(host)[:100]!r}, which is not one of this service (--allow-host)"
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return 403, "got a request from a page of another origin, want one from this service's own page"
        if self.entrance.token is None or path in OPEN:
            return None
        kind, _, given = headers.get("authorization", "").partition(" ")
        right = hmac.compare_digest(given.strip().encode(), self.entrance.token.encode())
        if kind.lower() != "bearer" or not right:
            return 401, "got no token, or a wrong one, want the header Authorization: Bearer TOKEN"
        return None


def _name(host: str) -> str:
    """The name in a Host header, without a port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""
