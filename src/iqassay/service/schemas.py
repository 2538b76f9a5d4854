"""What requests and answers look like, for the OpenAPI document. Answers are plain records and not made of these."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Open(BaseModel):
    """The keys named here are what callers may count on."""

    model_config = ConfigDict(extra="allow")


class Problem(Open):
    error: str = Field(description="One sentence that says what was got and what is wanted.")


class Found(Open):
    name: str
    severity: float = Field(ge=0, description="0 to 5, the levels of KADID-10k.")


class Judged(Open):
    path: str = Field(description="The name that came with the picture.")
    reference: str | None = Field(None, description="The same of its reference; only where there is one.")
    score: float = Field(ge=0, le=100, description="0 to 100, higher is better.")
    low: float = Field(ge=0, le=100, description="The 90 % interval goes from here")
    high: float = Field(ge=0, le=100, description="to here.")
    raw: dict[str, float] = Field(description="What each network said on its own scale.")
    model: str
    version: str
    distortions: list[Found] = Field(description="The most probable first.")
    warnings: list[str]


class Scored(Judged):
    width: int = Field(ge=1, description="Pixels of the picture as it was sent.")
    height: int = Field(ge=1)
    bytes: int = Field(ge=1, description="The size of its file.")
    bits_per_pixel: float | None = Field(None, description="Beside a reference: 8 bytes / pixels.")
    map: str | None = Field(None, description="With map=true: the heatmap over the picture, a PNG as a data URI.")
    thumbnail: str | None = Field(None, description="With thumbnail=true: a small JPEG as a data URI.")


class Failed(Open):
    path: str
    reference: str | None = None
    error: str


class Compared(Open):
    a: Scored
    b: Scored
    difference: float = Field(description="Points, a minus b.")
    win_probability: float = Field(ge=0, le=1, description="That people would prefer a.")
    better: str | None = Field(description="The name of the better one; null where neither is.")
    images: dict[str, str] | None = None


class Nearest(Open):
    name: str
    level: int
    similarity: float


class Explained(Open):
    picture: str
    width: int
    height: int
    verdict: Judged
    meaning: str
    nearest: list[Nearest] = Field(description="Known damage that the picture's resembles, the nearest first.")
    restorer: dict[str, str]
    change: dict[str, Any] = Field(description="How far the restored estimate is from the picture.")
    quality_map: list[list[float]]
    limits: list[str]
    reference_verdict: Judged | None = None
    images: dict[str, str] | None = Field(None, description="With images=true: JPEGs as data URIs, by name.")


class Models(Open):
    default: str
    models: list[dict[str, Any]]
    measures: list[str]


class State(Open):
    state: Literal["ready", "starting", "well"]


ONE = {"type": "string", "format": "binary"}
SEVERAL = {"type": "array", "items": ONE, "minItems": 1}


def form(needed: dict[str, Any], raw: bool, **optional: Any) -> dict[str, Any]:
    """The body of a request in OpenAPI: a form with these fields, or, where `raw`, the bytes of one picture."""
    fields = {
        "type": "object",
        "required": list(needed),
        "properties": {**needed, **optional},
        "additionalProperties": False,
    }
    content: dict[str, Any] = {"multipart/form-data": {"schema": fields}}
    if raw:
        content |= {"application/octet-stream": {"schema": ONE}, "image/*": {"schema": ONE}}
    return {"requestBody": {"required": True, "content": content}}


PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": words}
    for status, words in {
        400: "The body is no form, or ends too early.",
        401: "The token is missing or wrong.",
        403: "A page of another origin sent it.",
        408: "The body came too slowly.",
        413: "Too many bytes, pixels or pictures.",
        415: "The body is neither a form nor a picture.",
        421: "The service does not answer to this host name.",
        422: "A picture cannot be read or scored as asked, or a parameter cannot be used.",
        429: "Too many requests wait already; Retry-After says for how many seconds to wait.",
        500: "The service failed; its log says why.",
        503: "Not done within the time for one request, or too little memory or room now.",
    }.items()
}
