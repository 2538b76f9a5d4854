"""What is said of pictures that were sent: the records of the command line, with pictures in them on request."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from iqassay.folders.comparing import two_records
from iqassay.folders.folder import Result, doubt_of, said_of
from iqassay.folders.records import Record
from iqassay.pages.embedded import fit, jpeg
from iqassay.pages.explanation_page import LIMITS, LONG_SIDE, layers, maps, page
from iqassay.pages.shots import SIDE, thumbnail
from iqassay.pictures.align import align
from iqassay.pictures.image import ImageError, Picture, read_image
from iqassay.scoring import explanation
from iqassay.scoring.comparison import SHARED, of_pictures, of_verdicts
from iqassay.scoring.heatmap import heatmap
from iqassay.scoring.scorer import Scorer, one_large_at_a_time
from iqassay.scoring.words import meaning
from iqassay.service.body import Sent
from iqassay.support.parallel import Answer

_alone = threading.Lock()  # two large pictures are never held at once


@dataclass(frozen=True)
class Question:
    """How pictures are to be scored: by which model, what to do where sizes differ, and what to show."""

    scorer: Scorer
    how: str = "fail"
    map: bool = False
    thumbnail: bool = False


def scored(sent: Sent, reference: Sent | None, question: Question) -> Record:
    """The record of one picture. "map", on request: the heatmap, a PNG as a data URI; "thumbnail": a small JPEG."""

    def work(pictures: tuple[Picture, Picture | None]) -> Record:
        picture, beside = pictures
        result = _result(question, sent, picture, reference, beside)
        record, verdict = result.record(), result.verdict
        if beside is not None and (question.map or question.thumbnail):
            picture, _ = align(picture, beside, question.how)
        if question.map and verdict is not None:
            record["map"] = png(heatmap(picture, verdict.map))
        if question.thumbnail:
            record["thumbnail"] = thumbnail(fit(picture.pixels, SIDE))
        return record

    return _with_pixels(lambda limit: (_read(sent, limit), _beside(reference, limit)), work, question.scorer)


def compared(a: Sent, b: Sent, reference: Sent | None, question: Question, images: bool) -> Record:
    """The record of two pictures. "images", on request: the two, and the reference, as JPEGs for a screen."""

    def work(pictures: tuple[Picture, Picture, Picture | None]) -> Record:
        one, other, beside = pictures
        first, second = (_result(question, sent, read, reference, beside) for sent, read in ((a, one), (b, other)))
        assert first.verdict is not None and second.verdict is not None  # noqa: PT018  # for the type checker
        if beside is None:
            found = of_pictures(question.scorer, (one, other), (first.verdict, second.verdict))
        else:
            found = of_verdicts(first.verdict, second.verdict, SHARED)
        record = two_records(first, second, found)
        if images:
            shown = {"a": one, "b": other, **({} if beside is None else {"reference": beside})}
            record["images"] = {name: jpeg(fit(picture.pixels, LONG_SIDE)) for name, picture in shown.items()}
        return record

    def read(limit: int) -> tuple[Picture, Picture, Picture | None]:
        return _named("a", a, limit), _named("b", b, limit), _beside(reference, limit)

    return _with_pixels(read, work, question.scorer)


def explained(
    sent: Sent, reference: Sent | None, question: Question, restorer: Scorer, images: bool, as_page: bool
) -> Record | str:
    """What `iqassay explain` writes of a picture, as data or as its page. "images", on request: JPEGs for a screen."""

    def work(pictures: tuple[Picture, Picture | None]) -> Record | str:
        picture, beside = pictures
        found = explanation.explain(picture, question.scorer, restorer, beside, question.how)
        found = replace(found, path=sent.name, reference_path=reference.name if reference else "")
        if as_page:
            return page(found)
        record = {**found.record(), "meaning": meaning(found.verdict.score), "limits": list(LIMITS)}
        if images:
            shown = {name: jpeg(fit(pixels, LONG_SIDE)) for name, pixels in layers(found).items()}
            record["images"] = {**shown, **maps(found)}
        return record

    return _with_pixels(lambda limit: (_read(sent, limit), _beside(reference, limit)), work, question.scorer)


def _result(question: Question, sent: Sent, picture: Picture, reference: Sent | None, beside: Picture | None) -> Result:
    """What became of one picture, as the command line has it."""
    pair: tuple[Any, Any] = picture, beside
    if reference is not None and beside is not None and (picture.see_through or beside.see_through):
        pair = sent.content(), reference.content()  # which the scorer reads again, over another ground
    verdict = question.scorer.score(*pair, question.how)
    said = said_of(verdict, picture.width, picture.height, sent.length, doubt_of(picture, beside))
    return Result(sent.name, reference.name if reference else None, said, verdict=verdict)


def _with_pixels(read: Callable[[int], Any], work: Callable[[Any], Answer], scorer: Scorer) -> Answer:
    return one_large_at_a_time(read, work, scorer.max_pixels, _alone)


def _read(sent: Sent, max_pixels: int) -> Picture:
    return read_image(sent.content(), max_pixels)


def _beside(reference: Sent | None, max_pixels: int) -> Picture | None:
    return None if reference is None else _named("reference", reference, max_pixels)


def _named(what: str, sent: Sent, max_pixels: int) -> Picture:
    """A picture of several, which says of itself which it is where it cannot be read."""
    try:
        return _read(sent, max_pixels)
    except ImageError as error:
        raise type(error)(f"{what}: {error}") from error


def png(image: Image.Image) -> str:
    """A data URI."""
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=3)
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"


def failed(name: str, reason: str, reference: str | None = None) -> dict[str, Any]:
    """The record of a picture that could not be scored."""
    return {"path": name, **({} if reference is None else {"reference": reference}), "error": reason}
