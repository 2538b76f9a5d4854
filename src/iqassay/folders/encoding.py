"""How small a file can be and still look so good: pictures at several qualities, scored against themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from iqassay.pictures.encoders import CODECS, decode, encode
from iqassay.pictures.image import Picture
from iqassay.scoring.scorer import Scorer


@dataclass(frozen=True)
class Point:
    """One file: what it costs and what it is worth against the original.

    Attributes:
        bytes: its size.
        bits_per_pixel: 8 bytes / pixels.
        score: 0 to 100.
        raw: what the model says on its own scale.
    """

    codec: str
    quality: int
    bytes: int
    bits_per_pixel: float
    score: float
    raw: float


def try_quality(original: Picture, codec: str, quality: int, scorer: Scorer) -> tuple[Point, bytes]:
    """Encode a picture and score what comes out. Raises ImageError, and ValueError as `encode` does."""
    (point,), file = try_models(original, codec, quality, [scorer])
    return point, file


def try_models(original: Picture, codec: str, quality: int, scorers: Iterable[Scorer]) -> tuple[list[Point], bytes]:
    """The same with a point for each of several models."""
    file = encode(original.pixels, codec, quality)
    bits = round(8 * len(file) / (original.width * original.height), 4)
    points, shown = [], Picture(decode(file))
    for scorer in scorers:
        verdict = scorer.score(shown, original)
        points.append(Point(codec, quality, len(file), bits, round(verdict.score, 2), round(verdict.raw, 4)))
    return points, file


@dataclass(frozen=True)
class Found:
    """The smallest file of a codec that reaches a score, None where none does, and all that was tried, by quality."""

    point: Point | None
    file: bytes
    tried: tuple[Point, ...]


def smallest(original: Picture, codec: str, target: float, scorer: Scorer) -> Found:
    """The smallest file of a codec whose score against the original is at least `target`, by bisection of its scale of
    quality: some seven files are made. It trusts that a higher quality is better and larger, which holds but for steps
    smaller than anyone sees. Raises as `try_quality` does.
    """
    low, high = CODECS[codec].worst, CODECS[codec].best + 1
    tried: dict[int, Point] = {}
    kept: tuple[Point, bytes] | None = None

    def reaches(quality: int) -> bool:
        nonlocal kept
        point, file = try_quality(original, codec, quality, scorer)
        tried[quality] = point
        if point.score >= target and (kept is None or point.bytes < kept[0].bytes):
            kept = point, file
        return point.score >= target

    while low < high:
        middle = (low + high) // 2
        if reaches(middle):
            high = middle
        else:
            low = middle + 1
    points = tuple(tried[quality] for quality in sorted(tried))
    return Found(None, b"", points) if kept is None else Found(*kept, points)


def curve(
    original: Picture, codecs: Iterable[str], qualities: Iterable[int], scorers: list[Scorer]
) -> Iterator[list[Point]]:
    """A picture at several qualities of each codec; a point for each model, file by file. Raises as `try_quality`."""
    qualities = list(qualities)
    for codec in codecs:
        ends = CODECS[codec]
        for quality in dict.fromkeys(min(max(quality, ends.worst), ends.best) for quality in qualities):
            yield try_models(original, codec, quality, scorers)[0]
