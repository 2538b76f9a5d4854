"""The service: what is answered at which address. docs/serving.md is its manual, /docs its reference.

Nothing that is sent is kept, and every answer comes from the same code as the command line's.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from iqassay.pages.templates import render
from iqassay.service import answers
from iqassay.service import page as pages
from iqassay.service.answers import Question
from iqassay.service.body import Bounded, Pictures, read_pictures
from iqassay.service.guard import Entrance, Guard
from iqassay.service.limits import Limits
from iqassay.service.metrics import Counted, Metrics
from iqassay.service.refusal import OWN_FAULT, Refusal, refusal_of
from iqassay.service.schemas import ONE, PROBLEMS, SEVERAL, Compared, Explained, Failed, Models, Scored, State, form
from iqassay.service.shelf import Shelf
from iqassay.service.work import Work
from iqassay.support.version import __version__

log = logging.getLogger("iqassay.service")

Model = Annotated[str | None, Query(description="One of /v1/models. Without it: the default.", max_length=200)]
Align = Annotated[
    Literal["fail", "resize", "crop"],
    Query(description="Where a picture and its reference differ in size: fail, resize the picture, or crop both."),
]
Name = Annotated[str, Query(description="What to call a picture that is the whole body.", max_length=1000)]
Images = Annotated[bool, Query(description="Put JPEGs for a screen into the answer.")]


def make_app(shelf: Shelf, limits: Limits, entrance: Entrance) -> FastAPI:
    """The service as an ASGI application."""
    work = Work(limits)
    metrics = Metrics(work)
    ready = threading.Event()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        work.threads.submit(_warm_up, shelf, ready)
        yield
        ready.clear()
        await run_in_threadpool(work.close)

    app = FastAPI(
        title="iqassay",
        version=__version__,
        description="How good a picture looks, why, and where. Errors are one sentence. Nothing that is sent is kept.",
        docs_url=None,  # that of FastAPI loads its scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        responses={status: PROBLEMS[status] for status in (401, 403, 421, 500)},
    )
    app.state.ready, app.state.work, app.state.metrics = ready, work, metrics

    @app.post(
        "/v1/score",
        responses={
            **PROBLEMS,
            200: {"model": list[Scored | Failed], "description": "A record for each picture, in order."},
        },
        openapi_extra=form({"file": SEVERAL}, raw=True, reference=ONE),
    )
    async def score(
        request: Request,
        model: Model = None,
        align: Align = "fail",
        map: Annotated[bool, Query(description="Put the heatmap into each record, a PNG.")] = False,
        thumbnail: Annotated[bool, Query(description="Put a small JPEG into each record.")] = False,
        name: Name = "picture",
    ) -> Response:
        """Score pictures: the files of a form, or the body itself. Records are those of `iqassay score --format json`.

        A `reference` in the form is what all of its pictures are scored against. One picture that cannot be scored is
        an error; of several, each that cannot be is a record with `error`.
        """

        async def answer(pictures: Pictures) -> Response:
            reference = pictures.perhaps("reference")
            scorer = await run_in_threadpool(shelf.judge, model, reference is not None)
            question = Question(scorer, align, map, thumbnail)
            sent = pictures.all("file")
            found = await work.on_each(request, lambda one: answers.scored(one, reference, question), sent)
            records = []
            for one, said in zip(sent, found, strict=True):
                if isinstance(said, Exception):
                    refusal = refusal_of(said)
                    if len(sent) == 1:
                        metrics.pictures.labels("failed").inc()
                        raise refusal
                    said = answers.failed(one.name, refusal.sentence, reference.name if reference else None)
                metrics.count(said)
                records.append(said)
            return JSONResponse(records)

        return await within(request, ("file", "reference"), name, answer)

    @app.post(
        "/v1/compare",
        responses={**PROBLEMS, 200: {"model": Compared, "description": "Both records, and which is better."}},
        openapi_extra=form({"a": ONE, "b": ONE}, raw=False, reference=ONE),
    )
    async def compare(request: Request, model: Model = None, align: Align = "fail", images: Images = False) -> Response:
        """Which of two pictures looks better, and how sure that is; both against the `reference`, if there is one."""

        async def answer(pictures: Pictures) -> Response:
            reference = pictures.perhaps("reference")
            question = Question(await run_in_threadpool(shelf.judge, model, reference is not None), align)
            pair = pictures.one("a"), pictures.one("b"), reference
            return JSONResponse(
                await work.on_one(request, lambda both: answers.compared(*both, question, images), pair)
            )

        return await within(request, ("a", "b", "reference"), "", answer)

    @app.post(
        "/v1/explain",
        responses={
            **PROBLEMS,
            200: {
                "model": Explained,
                "description": "What `iqassay explain` writes; with page=true, its page.",
                "content": {"text/html": {"schema": {"type": "string"}}},
            },
        },
        openapi_extra=form({"file": ONE}, raw=True, reference=ONE),
    )
    async def explain(
        request: Request,
        model: Model = None,
        align: Align = "fail",
        images: Images = False,
        page: Annotated[bool, Query(description="Answer with one HTML page that opens offline.")] = False,
        name: Name = "picture",
    ) -> Response:
        """Why a picture has its score: what is wrong and where, and what it may have looked like before."""

        async def answer(pictures: Pictures) -> Response:
            reference = pictures.perhaps("reference")
            question = Question(await run_in_threadpool(shelf.judge, model, False), align)
            restorer = await run_in_threadpool(shelf.restorer)
            one = pictures.one("file")
            found = await work.on_one(
                request, lambda sent: answers.explained(sent, reference, question, restorer, images, page), one
            )
            if isinstance(found, str):
                return HTMLResponse(found, headers={"Content-Security-Policy": PAGE_POLICY})
            return JSONResponse(found)

        return await within(request, ("file", "reference"), name, answer)

    async def within(
        request: Request,
        fields: tuple[str, ...],
        name: str,
        answer: Callable[[Pictures], Awaitable[Response]],
    ) -> Response:
        """Read the pictures of a request that has a place, have it answered, and throw them away."""
        with work.place():
            pictures = await read_pictures(request, fields, limits, name)
            try:
                return await answer(pictures)
            except Exception as error:
                raise refusal_of(error) from error
            finally:
                pictures.close()

    @app.get("/v1/models", responses={200: {"model": Models, "description": "What `model` may be."}})
    async def models() -> Response:
        """The models that are served, as `iqassay models --format json` writes them, and the measures."""
        return JSONResponse({"default": shelf.default, "models": shelf.records, "measures": shelf.measures})

    @app.get("/healthz", responses={200: {"model": State, "description": "The process is well."}})
    async def healthz() -> Response:
        """Whether the process answers at all."""
        return JSONResponse({"state": "well"})

    @app.get(
        "/readyz",
        responses={
            200: {"model": State, "description": "It is ready."},
            503: {"model": State, "description": "It is starting, or ending."},
        },
    )
    async def readyz() -> Response:
        """Whether the models are open and requests are answered without delay."""
        well = ready.is_set()
        return JSONResponse({"state": "ready" if well else "starting"}, 200 if well else 503)

    @app.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "For Prometheus."}},
    )
    async def numbers() -> Response:
        """Requests, pictures, times, scores, what waits, and the memory of the process."""
        return Response(await run_in_threadpool(metrics.text), media_type="text/plain; version=0.0.4; charset=utf-8")

    home = pages.home(shelf, limits, entrance.local)

    @app.get("/", include_in_schema=False)
    async def front() -> Response:
        return HTMLResponse(home.html, headers={"Content-Security-Policy": home.policy})

    @app.get("/docs", include_in_schema=False)
    async def reference() -> Response:
        text = await run_in_threadpool(
            render, "service/docs.html", title="The service of iqassay", document=app.openapi()
        )
        return HTMLResponse(text, headers={"Content-Security-Policy": PAGE_POLICY})

    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(HTTPException, _no_such_thing)
    app.add_exception_handler(RequestValidationError, _wrong_parameter)
    app.add_exception_handler(Exception, _own_fault)
    # The last one added is the first to see a request.
    app.add_middleware(Bounded, limits=limits)
    app.add_middleware(Guard, entrance=entrance)
    paths = frozenset(path for route in app.routes if (path := getattr(route, "path", None)))
    app.add_middleware(Counted, metrics=metrics, paths=paths)
    return app


PAGE_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def _warm_up(shelf: Shelf, ready: threading.Event) -> None:
    try:
        shelf.warm_up()
        ready.set()
    except Exception as error:
        log.error("the models cannot be used", exc_info=error)


# ---- errors ---------------------------------------------------------------------------------------------------------


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return JSONResponse({"error": error.sentence}, error.status, error.headers)


async def _no_such_thing(request: Request, error: Exception) -> Response:
    """What Starlette raises by itself: there is no such address, or it takes another method."""
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        sentence = "there is nothing at this address, want one of those in /docs"
    elif error.status_code == 405:
        sentence = f"got {request.method}, want {(error.headers or {}).get('Allow', 'another method')}"
    else:
        sentence = str(error.detail)
    return JSONResponse({"error": sentence}, error.status_code, error.headers)


async def _wrong_parameter(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first: dict[str, Any] = error.errors()[0]
    what, said = str(first["loc"][-1]), str(first["msg"])
    return JSONResponse({"error": f"{what}: got {str(first.get('input'))[:100]!r}; {said[:1].lower()}{said[1:]}"}, 422)


async def _own_fault(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": OWN_FAULT}, 500)
