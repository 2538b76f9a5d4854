"""The body of a request: counted and timed while it comes, then taken apart into pictures."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from iqassay.service.limits import Limits
from iqassay.service.refusal import Refusal
from iqassay.support.text import counted

SPOOLED = 1_000_000  # bytes of a picture that are held in memory while it waits; more goes into a temporary file
LINGER = 2.0  # seconds for which what still comes is thrown away after a refusal, so that its answer is read
LONGEST_NAME = 1000  # characters
MANY = 20  # parts of a form that are no pictures
CUT_SHORT = "got a body that ends too early, want it whole"
NO_ROOM = "got more than there is room for now"  # in the folder for temporary files
WANTED = "want multipart/form-data, or the bytes of a picture as image/... or application/octet-stream"


class Bounded:
    """Lets no body pass that is too long or comes too slowly; what is refused is answered while it is still coming."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self.app, self.limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        most, end = self.limits.max_bytes, time.monotonic() + self.limits.upload_seconds
        got, whole = 0, False

        async def counted_receive() -> Message:
            nonlocal got, whole
            if whole:  # what comes now is the end of the connection alone
                return await receive()
            _check_length(scope, most)
            try:
                message = await asyncio.wait_for(receive(), max(0.0, end - time.monotonic()))
            except (asyncio.TimeoutError, TimeoutError):
                seconds = self.limits.upload_seconds
                raise Refusal(408, f"got a body that took longer than {seconds:g} seconds, want it faster") from None
            if message["type"] == "http.request":
                got += len(message.get("body", b""))
                whole = not message.get("more_body", False)
                if got > most:
                    raise _too_long(f"more than {counted(most, 'byte')}", most)
            return message

        async def lingering_send(message: Message) -> None:
            """An answer ahead of the end of the body ends the connection, but not before it can have been read."""
            if whole or not _has_body(scope):
                await send(message)
            elif message["type"] == "http.response.start":
                headers = [(name, value) for name, value in message["headers"] if name.lower() != b"connection"]
                await send({**message, "headers": [*headers, (b"connection", b"close")]})
            elif message.get("more_body", False):
                await send(message)
            else:
                await send({**message, "more_body": True})
                with suppress(asyncio.TimeoutError, TimeoutError):
                    await asyncio.wait_for(_throw_away(receive), LINGER)
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self.app(scope, counted_receive, lingering_send)


def _has_body(scope: Scope) -> bool:
    return any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])


def _check_length(scope: Scope, most: int) -> None:
    """Raises Refusal for a body that says of itself that it is too long."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > most:
            raise _too_long(counted(int(value), "byte"), most)


def _too_long(got: str, most: int) -> Refusal:
    return Refusal(413, f"got a body of {got}, want at most {most:,}")


async def _throw_away(receive: Receive) -> None:
    while (message := await receive())["type"] == "http.request" and message.get("more_body", False):
        pass


# ---- pictures in it -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sent:
    """A picture as it was sent. name: what its sender calls it. file: its bytes, in memory or in a temporary file."""

    name: str
    file: BinaryIO

    @property
    def length(self) -> int:
        """How many bytes the file has."""
        return self.file.seek(0, os.SEEK_END)

    def content(self) -> bytes:
        """All bytes of the file."""
        self.file.seek(0)
        return self.file.read()


class Pictures:
    """The pictures of one request, by the field that they came in. Closing it throws them away."""

    def __init__(self, fields: dict[str, list[Sent]]) -> None:
        self.fields = fields

    def all(self, field: str) -> list[Sent]:
        """The pictures of a field, in the order in which they came. Raises Refusal where there is none."""
        if field not in self.fields:
            raise Refusal(422, f"got no picture in the field {field!r}, want one")
        return self.fields[field]

    def one(self, field: str) -> Sent:
        """The only picture of a field. Raises Refusal where there is none or several."""
        found = self.all(field)
        if len(found) > 1:
            raise Refusal(422, f"got {len(found)} pictures in the field {field!r}, want one")
        return found[0]

    def perhaps(self, field: str) -> Sent | None:
        """The same, or None where there is none."""
        return self.one(field) if field in self.fields else None

    def close(self) -> None:
        for sent in (sent for field in self.fields.values() for sent in field):
            sent.file.close()


async def read_pictures(request: Request, fields: tuple[str, ...], limits: Limits, raw: str = "") -> Pictures:
    """The pictures that a request brings, as a form with files in these fields, or as its body alone.

    raw: what the picture is called that is the whole body; where it is empty there must be a form. Raises Refusal.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _from_form(request, fields, limits)
    if raw and (kind.startswith("image/") or kind == "application/octet-stream"):
        return Pictures({fields[0]: [Sent(raw[:LONGEST_NAME], await _spooled(request))]})
    wanted = WANTED if raw else "want multipart/form-data"
    raise Refusal(415, f"got {f'a body of type {kind[:100]!r}' if kind else 'a body without a type'}, {wanted}")


async def _spooled(request: Request) -> BinaryIO:
    file = SpooledTemporaryFile(SPOOLED)  # noqa: SIM115
    try:
        async for chunk in request.stream():
            file.write(chunk)
    except ClientDisconnect:
        file.close()
        raise Refusal(400, CUT_SHORT) from None
    except OSError as error:
        file.close()
        raise Refusal(503, NO_ROOM, {"Retry-After": "10"}) from error
    except BaseException:
        file.close()
        raise
    return cast(BinaryIO, file)


async def _from_form(request: Request, fields: tuple[str, ...], limits: Limits) -> Pictures:
    most = limits.max_files + len(fields) - 1
    parser = MultiPartParser(request.headers, request.stream(), max_files=most, max_fields=MANY, max_part_size=SPOOLED)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if "Too many files" in error.message:
            raise Refusal(413, f"got more than {counted(limits.max_files, 'picture')} in one request") from None
        reason = error.message.rstrip(".")
        raise Refusal(400, f"got a broken form ({reason[:1].lower()}{reason[1:]}), want multipart/form-data") from None
    except ClientDisconnect:
        raise Refusal(400, CUT_SHORT) from None
    except OSError as error:
        raise Refusal(503, NO_ROOM, {"Retry-After": "10"}) from error
    found: dict[str, list[Sent]] = {}
    try:
        for field, value in form.multi_items():
            if field not in fields:
                raise Refusal(422, f"got a field {field[:100]!r}, want one of: {', '.join(fields)}")
            if not isinstance(value, UploadFile):
                raise Refusal(422, f"got text in the field {field!r}, want a file with a name")
            name = (value.filename or field)[:LONGEST_NAME]
            found.setdefault(field, []).append(Sent(name, value.file))
        if len(found.get(fields[0], [])) > limits.max_files:
            raise Refusal(413, f"got more than {counted(limits.max_files, 'picture')} in one request")
    except Refusal:
        for _, value in form.multi_items():
            if isinstance(value, UploadFile):
                value.file.close()
        raise
    return Pictures(found)
