"""Many pictures: score them in threads, take from the cache what was scored before, give the results in order."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from iqassay.folders.cache import Cache, stamp
from iqassay.folders.records import Record
from iqassay.pictures.align import align
from iqassay.pictures.image import ImageError, Picture, TooManyPixels, file_name, read_image
from iqassay.scoring.heatmap import LONG_SIDE
from iqassay.scoring.model_file import ModelFileError, default_threads
from iqassay.scoring.scorer import LARGE, Scorer, one_large_at_a_time
from iqassay.scoring.tiles import shrink_to
from iqassay.scoring.verdict import Verdict
from iqassay.support.parallel import WORKERS, Answer, in_order


@dataclass(frozen=True)
class Pair:
    """A picture to score: by itself, against its reference, or not at all when `error` says why it has none."""

    path: str
    reference: str | None = None
    error: str = ""


@dataclass(frozen=True, eq=False)
class Result:
    """What became of one picture.

    said: its record, but for the paths; None where `error` says in one line what went wrong. verdict: what the record
    was made of; None when it came from the cache. Where maps are asked for, `map` is (h, w) float32, local quality from
    0 to 100, and `picture` what was scored, as it was aligned with its reference, shrunk to at most 1024 pixels a side.
    """

    path: str
    reference: str | None = None
    said: Record | None = None
    error: str = ""
    verdict: Verdict | None = None
    map: NDArray[np.float32] | None = None
    picture: Picture | None = None

    def record(self) -> Record:
        """What `iqassay score` writes of the picture: plain Python values, ready for JSON."""
        paths = {"path": self.path} if self.reference is None else {"path": self.path, "reference": self.reference}
        return {**paths, "error": self.error} if self.said is None else {**paths, **self.said}


def score_pairs(
    scorer: Scorer,
    pairs: Iterable[Pair],
    how: str = "fail",
    cache: Cache | None = None,
    maps: bool = False,
    workers: int | None = None,
) -> Iterator[Result]:
    """Score pictures, each against its reference if it has one, and give the results in order; a picture that cannot be
    scored is a Result with `error`. Memory does not grow with their number.

    how: what to do where sizes differ, see `align`. cache: where answers are looked up and kept. maps: give each Result
    its map and picture too. workers: how many pictures are worked on at once; None is as many as there are processors,
    4 at most.

    Raises ModelFileError alone: when the model itself fails, the next picture would fare no better.
    """
    workers = min(workers or default_threads(), WORKERS)
    return in_order(_Worker(scorer, how, cache, maps).look, pairs, workers)


class _Worker:
    """Looks at one picture after another, in several threads."""

    def __init__(self, scorer: Scorer, how: str, cache: Cache | None, maps: bool) -> None:
        self.scorer, self.how, self.cache, self.maps = scorer, how, cache, maps
        self.identity = scorer.identity if cache is not None else ""
        self.alone = threading.Lock()  # for large pictures
        self.reading = threading.Lock()
        # The last reference, which pictures in a row often share.
        self.last: tuple[str, Picture | ImageError] | None = None

    def look(self, pair: Pair) -> Result:
        result = Result(pair.path, pair.reference, error=pair.error)
        if pair.error:
            return result
        try:
            return self._look(pair, result)
        except ModelFileError:
            raise
        except Exception as error:  # one picture must not end a run over many thousands
            return replace(result, error=_reason(error).removeprefix(f"{file_name(pair.path)}: "))

    def _look(self, pair: Pair, result: Result) -> Result:
        files = [path for path in (pair.path, pair.reference) if path is not None]
        before = [stamp(path) for path in files]
        key = self._key(files)
        if self.cache and key and (known := self.cache.find(key, self.maps)):
            said, map = known
            picture = self._with_pixels(pair, lambda picture, _: _small(picture)) if self.maps else None
            return replace(result, said=said, map=map, picture=picture)
        verdict, picture = self._with_pixels(pair, self._judge)
        if before != [stamp(path) for path in files]:
            raise ImageError("changed while it was read, want a file that is complete")
        said = {name: value for name, value in verdict.record("").items() if name not in ("path", "reference")}
        # Rounded as it is kept, so that a picture's map is the same from the cache.
        map = np.asarray(verdict.map, np.float16).astype(np.float32) if self.maps else None
        if self.cache and key:
            self.cache.keep(key, said, map)
        return replace(result, said=said, verdict=verdict, map=map, picture=picture)

    def _key(self, files: list[str]) -> bytes | None:
        """What the answer is kept under: the contents and the question. None where they cannot be read."""
        digests = [self.cache.digest(path) for path in files] if self.cache else [None]
        if None in digests:
            return None
        question = f"{self.identity} {self.scorer.max_pixels} {self.how if len(files) > 1 else ''}"
        return hashlib.sha256(b"".join([question.encode(), *(digest for digest in digests if digest)])).digest()

    def _with_pixels(self, pair: Pair, work: Callable[[Picture, Picture | None], Answer]) -> Answer:
        """What `work` makes of the picture and its reference."""
        return one_large_at_a_time(
            lambda limit: self._read(pair, limit), lambda both: work(*both), self.scorer.max_pixels, self.alone
        )

    def _judge(self, picture: Picture, reference: Picture | None) -> tuple[Verdict, Picture | None]:
        return self.scorer.score(picture, reference), _small(picture) if self.maps else None

    def _read(self, pair: Pair, max_pixels: int) -> tuple[Picture, Picture | None]:
        """The picture and its reference, of one size."""
        picture = read_image(pair.path, max_pixels)
        if pair.reference is None:
            return picture, None
        reference = self._reference(pair.reference, max_pixels)
        if isinstance(reference, ImageError):
            raise type(reference)(f"reference {reference}")
        return align(picture, reference, self.how)

    def _reference(self, path: str, max_pixels: int) -> Picture | ImageError:
        """A reference, or why it cannot be read: found out once for pictures in a row, unless it is large."""
        with self.reading:
            if self.last is None or self.last[0] != path:
                self.last = None  # before the next one is there
                try:
                    found: Picture | ImageError = read_image(path, max_pixels)
                except TooManyPixels as error:
                    return error
                except ImageError as error:
                    found = error
                if max_pixels > LARGE:
                    return found
                self.last = path, found
            return self.last[1]


def _small(picture: Picture) -> Picture:
    """A picture for a map to be drawn over, shrunk by area to at most 1024 pixels."""
    if max(picture.height, picture.width) <= LONG_SIDE:
        return picture
    return Picture(np.rint(shrink_to(picture.pixels, LONG_SIDE) * 255).astype(np.uint8), picture.warnings)


def _reason(error: Exception) -> str:
    if isinstance(error, ImageError):
        return str(error)
    if isinstance(error, MemoryError):
        return "not enough memory"
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def map_names(paths: list[str], others: Iterable[str] = ()) -> dict[str, str]:
    """A file name for the map of each picture: its own name and .png; pictures of the same name get a suffix of their
    path.

    A map never lands on one of the pictures or of the `others`, whatever the folder, since their names are taken too.
    """
    names: dict[str, str] = {}
    taken = {os.path.basename(path).casefold() for path in (*paths, *others)}
    counts: dict[str, int] = {}
    for path in dict.fromkeys(paths):
        key = os.path.basename(path).casefold()
        counts[key] = counts.get(key, 0) + 1
    for path in dict.fromkeys(paths):
        name = os.path.basename(path)
        wanted = f"{name}.png"
        long = len(os.fsencode(wanted)) > 240  # of the 255 that file systems take, since .partial comes after it
        if counts[name.casefold()] > 1 or wanted.casefold() in taken or long:
            stem = os.fsdecode(os.fsencode(name)[:200])
            wanted = f"{stem}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:12]}.png"
        taken.add(wanted.casefold())
        names[path] = wanted
    return names
