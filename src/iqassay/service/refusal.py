"""Answers other than 200: a status, and one sentence that says what was got and what is wanted."""

from __future__ import annotations

import logging

from iqassay.pictures.image import ImageError, TooManyPixels
from iqassay.scoring.model_file import ModelFileError

log = logging.getLogger("iqassay.service")
OWN_FAULT = "the service failed at this request; its log says why"


class Refusal(Exception):
    """What a request is answered instead of what it asked for.

    status: of HTTP. sentence: one line, without any path of this machine. headers: what belongs to the status, such as
    Retry-After.
    """

    def __init__(self, status: int, sentence: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.headers = status, sentence, headers or {}


def refusal_of(error: BaseException) -> Refusal:
    """What to answer where work on a picture raised: what is wrong with the picture, or that the fault is our own.

    What is raised by the reader of pictures and by models names no file of this machine, since they were given bytes;
    of anything else only the log tells.
    """
    if isinstance(error, Refusal):
        return error
    if isinstance(error, TooManyPixels):
        return Refusal(413, str(error))
    if isinstance(error, ImageError):
        return Refusal(422, str(error))
    if isinstance(error, MemoryError):
        return Refusal(503, "got a picture that takes more memory than there is now", {"Retry-After": "10"})
    if isinstance(error, ValueError) and not isinstance(error, ModelFileError):
        # a model that takes no reference, or a measure that wants one
        return Refusal(422, " ".join(str(error).split())[:300])
    log.error("a request failed", exc_info=error)
    return Refusal(500, OWN_FAULT)
