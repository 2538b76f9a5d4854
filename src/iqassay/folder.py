"""Many pictures: find them, score them one after another, write the results down as they come."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from iqassay.align import align
from iqassay.image import ImageError, Picture, read_image
from iqassay.model_file import ModelFileError
from iqassay.records import Record
from iqassay.scorer import Scorer
from iqassay.verdict import Verdict


@dataclass(frozen=True)
class Pair:
    """A picture to score: by itself, against its reference, or not at all when `error` says why it has none."""

    path: str
    reference: str | None = None
    error: str = ""


@dataclass(frozen=True)
class Result:
    """What became of one picture: a verdict, or an error in one line. `picture` is what was scored: cut or resized when
    it was aligned with its reference.
    """

    path: str
    reference: str | None = None
    picture: Picture | None = None
    verdict: Verdict | None = None
    error: str = ""

    def record(self) -> Record:
        if self.verdict:
            return self.verdict.record(self.path, self.reference)
        reference = {} if self.reference is None else {"reference": self.reference}
        return {"path": self.path, **reference, "error": self.error}


# ---- scoring --------------------------------------------------------------------------------------------------------


def score_files(scorer: Scorer, paths: list[str]) -> Iterator[Result]:
    """Score pictures in order, each by itself; see `score_pairs`."""
    return score_pairs(scorer, [Pair(path) for path in paths])


def score_pairs(scorer: Scorer, pairs: list[Pair], how: str = "fail") -> Iterator[Result]:
    """Score pictures in order, against their references where they have one. The next is decoded while the network is
    busy, and a reference once for all the pictures in a row that share it; a broken one is a Result with `error`.

    how: what to do where sizes differ, see `align`.

    Raises ModelFileError alone: when the model itself fails, the next picture would fare no better.
    """
    read_reference = functools.lru_cache(maxsize=1)(_read)
    with ThreadPoolExecutor(max_workers=1) as reader:

        def submit(pair: Pair) -> Future[tuple[Result, Picture | None]]:
            return reader.submit(_read_pair, pair, how, scorer.max_pixels, read_reference)

        ahead = submit(pairs[0]) if pairs else None
        for index in range(len(pairs)):
            assert ahead is not None  # for the type checker
            result, reference = ahead.result()
            if index + 1 < len(pairs):
                ahead = submit(pairs[index + 1])
            if result.picture is not None:
                try:
                    result = replace(result, verdict=scorer.score(result.picture, reference))
                except ModelFileError:
                    raise
                except Exception as error:  # one picture must not end a run over many thousands
                    result = replace(result, picture=None, error=_reason(error))
            yield result


def _read_pair(
    pair: Pair, how: str, max_pixels: int, read_reference: Callable[[str, int], Picture | str]
) -> tuple[Result, Picture | None]:
    """What to score: a Result with a picture or with an error, and the reference of this picture, if any."""
    result = Result(pair.path, pair.reference, error=pair.error)
    if pair.error:
        return result, None
    picture = _read(pair.path, max_pixels)
    if isinstance(picture, str):
        return replace(result, error=picture), None
    if pair.reference is None:
        return replace(result, picture=picture), None
    reference = read_reference(pair.reference, max_pixels)
    if isinstance(reference, str):
        return replace(result, error=f"reference {pair.reference}: {reference}"), None
    try:
        picture, reference = align(picture, reference, how)
    except Exception as error:
        return replace(result, error=_reason(error)), None
    return replace(result, picture=picture), reference


def _read(path: str, max_pixels: int) -> Picture | str:
    """A picture, or why it cannot be read."""
    try:
        return read_image(path, max_pixels)
    except Exception as error:
        return _reason(error).removeprefix(f"{path}: ")  # the record has the path already


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
        if counts[name.casefold()] > 1 or wanted.casefold() in taken or len(os.fsencode(wanted)) > 250:
            stem = os.fsdecode(os.fsencode(name)[:200])
            wanted = f"{stem}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:12]}.png"
        taken.add(wanted.casefold())
        names[path] = wanted
    return names
