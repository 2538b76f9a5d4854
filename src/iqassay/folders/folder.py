"""Many pictures: score them in threads, take from the cache what was scored before, give the results in order."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from iqassay.folders.cache import Cache, stamp
from iqassay.folders.cells import ALSO
from iqassay.folders.records import Record
from iqassay.pictures.align import Box, align, leave_out, shave
from iqassay.pictures.emptiness import is_empty, missing_end
from iqassay.pictures.image import ImageError, Picture, TooManyPixels, file_name, read_image
from iqassay.pictures.video import Frame
from iqassay.scoring.heatmap import LONG_SIDE
from iqassay.scoring.model_file import ModelFileError, default_threads
from iqassay.scoring.scorer import LARGE, Scorer, on_two_grounds, one_large_at_a_time
from iqassay.scoring.tiles import shrink_to
from iqassay.scoring.verdict import Verdict
from iqassay.support.parallel import WORKERS, Answer, in_order

EMPTY, CUT = "empty: one colour all over", "cut short, it seems:"  # how such warnings begin
RECORDS = 4  # raise it when a record says other things: answers of before are then worked out anew


@dataclass(frozen=True)
class Pair:
    """A picture to score: by itself, against its reference, or not at all when `error` says why it has none.

    Attributes:
        mask: a picture that is dark where `path` does not count.
        content: brings the bytes of a picture that is no file of this machine, and for which `path` is but a name; what
            it raises is the picture's error.
        frame: what is looked at where `path` is a video; it has neither reference nor mask.
    """

    path: str
    reference: str | None = None
    error: str = ""
    mask: str | None = None
    content: Callable[[], bytes] | None = None
    frame: Frame | None = None


@dataclass(frozen=True)
class Beside:
    """How pictures are laid beside their references.

    Attributes:
        align: what to do where sizes differ, see `iqassay.pictures.align`.
        shave: pixels that are cut off each border of both, as papers on super-resolution do.
        ignore: parts that do not count, each left, top, width and height.
    """

    align: str = "fail"
    shave: int = 0
    ignore: tuple[Box, ...] = ()


@dataclass(frozen=True, eq=False)
class Result:
    """What became of one picture.

    Attributes:
        said: its record, but for the paths; None where `error` says in one line what went wrong.
        verdict: what the record was made of; None when it came from the cache. Where they are asked for, `map` is (h,
            w) float32, local quality from 0 to 100, and `picture` what was scored, as it was aligned with its
            reference, shrunk to at most 1024 pixels a side.
        size: width and height in pixels of what was scored, aligned and shaved.
        lacks: the names of further models that could not score it; `said` has a warning that says why.
        frame: where `path` is a video, the number of the frame, and its time in seconds.
    """

    path: str
    reference: str | None = None
    said: Record | None = None
    error: str = ""
    verdict: Verdict | None = None
    map: NDArray[np.float32] | None = None
    picture: Picture | None = None
    size: tuple[int, int] = (0, 0)
    lacks: tuple[str, ...] = ()
    frame: tuple[int, float] | None = None

    def record(self) -> Record:
        """What `iqassay score` writes of the picture: plain Python values, ready for JSON."""
        paths: Record = {"path": self.path}
        if self.reference is not None:
            paths["reference"] = self.reference
        if self.frame is not None:
            paths["frame"], paths["time"] = self.frame
        return {**paths, "error": self.error} if self.said is None else {**paths, **self.said}


def score_pairs(
    scorer: Scorer,
    pairs: Iterable[Pair],
    beside: Beside = Beside(),  # it cannot change
    cache: Cache | None = None,
    maps: bool = False,
    workers: int | None = None,
    also: Sequence[Scorer] = (),
    pictures: bool = False,
) -> Iterator[Result]:
    """Score pictures, each against its reference if it has one, and give the results in order; a picture that cannot be
    scored is a Result with `error`. Memory does not grow with their number.

    Args:
        beside: how pictures are laid beside their references.
        cache: where answers are looked up and kept.
        maps: give each Result its map too.
        workers: how many pictures are worked on at once; None is as many as there are processors, 4 at most.
        also: further models, whose scores go into "also" of a record.
        pictures: give each Result its picture too, which is read even where the answer is in the cache.

    Raises:
        ModelFileError: and nothing else, when the model itself fails, the next picture would fare no better.
    """
    workers = min(workers or default_threads(), WORKERS)
    return in_order(_Worker((scorer, *also), beside, cache, maps, pictures).look, pairs, workers)


@dataclass(frozen=True, eq=False)
class _Shown:
    """What was read of a pair, of one size; the size in pixels that the picture had before, and has now; and what to
    warn of.
    """

    picture: Picture
    reference: Picture | None
    width: int
    height: int
    seen: tuple[int, int]
    doubt: str = ""
    length: int = 0  # of the file, in bytes, where there was no file to ask


class _Worker:
    """Looks at one picture after another, in several threads."""

    def __init__(
        self, scorers: tuple[Scorer, ...], beside: Beside, cache: Cache | None, maps: bool, pictures: bool
    ) -> None:
        self.scorers, self.beside, self.cache, self.maps, self.pictures = scorers, beside, cache, maps, pictures
        self.identities = [scorer.identity if cache is not None else "" for scorer in scorers]
        self.alone = threading.Lock()  # for large pictures
        self.reading = threading.Lock()
        # The last reference, which pictures in a row often share, and the ground that it was shown over.
        self.last: tuple[tuple[str, str], Picture | ImageError] | None = None

    def look(self, pair: Pair) -> Result:
        frame = None if pair.frame is None else (pair.frame.number, pair.frame.time)
        result = Result(pair.path, pair.reference, error=pair.error, frame=frame)
        if pair.error:
            return result
        try:
            return self._look(pair, result)
        except ModelFileError:
            raise
        except Exception as error:  # one picture must not end a run over many thousands
            return replace(result, error=_reason(error).removeprefix(f"{file_name(pair.path)}: "))

    def _look(self, pair: Pair, result: Result) -> Result:
        own = pair.path if pair.content is None else None
        files = [path for path in (own, pair.reference, pair.mask) if path is not None]
        before = [stamp(path) for path in files]
        keys = [self._key(files, identity, result.frame) if own is not None else None for identity in self.identities]
        answers = [self._known(key, self.maps and place == 0) for place, key in enumerate(keys)]
        missing = [place for place, answer in enumerate(answers) if answer is None]
        failed: dict[int, str] = {}
        if self.pictures or missing:
            shown, found = self._with_pixels(pair, lambda shown: (self._kept(shown), self._judge(pair, shown, missing)))
            result = replace(result, picture=shown.picture if self.pictures else None)
            if before != [stamp(path) for path in files]:
                raise ImageError("changed while it was read, want a file that is complete")
            for place, verdict in found.items():
                if isinstance(verdict, str):
                    failed[place] = verdict
                    continue
                # Rounded as it is kept, so that a picture's map is the same from the cache.
                map = np.asarray(verdict.map, np.float16).astype(np.float32) if self.maps and place == 0 else None
                length: int | None = shown.length
                if own is not None:
                    length = None if pair.frame else before[0][0] if before[0] else 0
                answers[place] = answer = _said(verdict, shown, length), map
                if self.cache and (key := keys[place]):
                    self.cache.keep(key, *answer)
                if place == 0:
                    result = replace(result, verdict=verdict)
        assert answers[0] is not None  # else _judge has raised what is wrong
        said, map = answers[0]
        size = tuple(said["seen"])
        lacks = tuple(self.scorers[place].card.name for place in failed)
        said = self._together([answer[0] if answer else {"error": failed[at]} for at, answer in enumerate(answers)])
        return replace(result, said=said, map=map, size=size, lacks=lacks)

    def _known(self, key: bytes | None, with_map: bool) -> tuple[Record, NDArray[np.floating] | None] | None:
        return self.cache.find(key, with_map) if self.cache and key else None

    def _key(self, files: list[str], identity: str, frame: tuple[int, float] | None) -> bytes | None:
        """What the answer is kept under: the contents and the question. None where they cannot be read."""
        digests = [self.cache.digest(path) for path in files] if self.cache else [None]
        if None in digests:
            return None
        question = f"{RECORDS} {identity} {self.scorers[0].max_pixels} {self.beside if len(files) > 1 else ''}"
        question += f" frame {frame}" if frame else ""
        return hashlib.sha256(b"".join([question.encode(), *(digest for digest in digests if digest)])).digest()

    def _with_pixels(self, pair: Pair, work: Callable[[_Shown], Answer]) -> Answer:
        """What `work` makes of the picture and its reference."""
        return one_large_at_a_time(lambda limit: self._read(pair, limit), work, self.scorers[0].max_pixels, self.alone)

    def _kept(self, shown: _Shown) -> _Shown:
        """What is still wanted when a picture has been judged: no more than its size, or little more."""
        small = _small(shown.picture) if self.pictures else Picture(shown.picture.pixels[:1, :1].copy())
        return replace(shown, picture=small, reference=None)

    def _judge(self, pair: Pair, shown: _Shown, places: list[int]) -> dict[int, Verdict | str]:
        """What the scorers at these places say; of the further ones in words, where they cannot."""
        over = {"white": shown}
        if shown.reference is not None and (shown.picture.see_through or shown.reference.see_through):
            over["black"] = self._read(pair, self.scorers[0].max_pixels, "black")

        def judge(scorer: Scorer, ground: str) -> tuple[Verdict, bool]:
            return scorer.score(over[ground].picture, over[ground].reference), len(over) > 1

        found: dict[int, Verdict | str] = {}
        for place in places:
            try:
                found[place] = on_two_grounds(partial(judge, self.scorers[place]))
            except ImageError as error:
                if place == 0:
                    raise
                found[place] = str(error)
        return found

    def _together(self, records: list[Record]) -> Record:
        """One record of what all models said."""
        first, *others = ({key: value for key, value in record.items() if key != "seen"} for record in records)
        if not others:
            return first
        raw, warnings, also = dict(first["raw"]), list(first["warnings"]), {}
        for scorer, said in zip(self.scorers[1:], others, strict=True):
            name = scorer.card.name
            if "error" in said:
                warnings.append(f"{name}: {said['error']}")
                continue
            raw |= said["raw"]
            warnings += [warning for warning in said["warnings"] if warning not in warnings]
            also[name] = {key: said[key] for key in ALSO}
        return {**first, "raw": raw, "warnings": warnings, "also": also}

    def _read(self, pair: Pair, max_pixels: int, ground: str = "white") -> _Shown:
        """The picture and its reference, of one size, without what does not count."""
        content = None if pair.content is None else pair.content()
        length = 0 if content is None else len(content)
        if pair.frame is None:
            picture = read_image(pair.path if content is None else content, max_pixels, ground)
        else:
            picture = pair.frame.picture(max_pixels, ground)
        size = picture.width, picture.height
        if pair.reference is None:
            return _Shown(picture, None, *size, size, doubt_of(picture), length)
        found = self._reference(pair.reference, max_pixels, ground)
        if isinstance(found, ImageError):
            raise type(found)(f"reference {found}")
        doubt = doubt_of(picture, found)
        picture, reference = align(picture, found, self.beside.align)
        if self.beside.ignore or pair.mask is not None:
            mask = None if pair.mask is None else read_image(pair.mask, max_pixels)
            picture = leave_out(picture, reference, self.beside.ignore, mask)
        picture, reference = shave(picture, self.beside.shave), shave(reference, self.beside.shave)
        return _Shown(picture, reference, *size, (picture.width, picture.height), doubt, length)

    def _reference(self, path: str, max_pixels: int, ground: str) -> Picture | ImageError:
        """A reference, or why it cannot be read: found out once for pictures in a row, unless it is large."""
        with self.reading:
            if self.last is None or self.last[0] != (path, ground):
                self.last = None  # before the next one is there
                try:
                    found: Picture | ImageError = read_image(path, max_pixels, ground)
                except TooManyPixels as error:
                    return error
                except ImageError as error:
                    found = error
                if max_pixels > LARGE:
                    return found
                self.last = (path, ground), found
            return self.last[1]


def doubt_of(picture: Picture, reference: Picture | None = None) -> str:
    """What to warn of before a model has seen the picture: that it is of one colour, all over or from an edge on, and
    its reference is not."""
    if is_empty(picture.pixels):
        if reference is None:
            return EMPTY
        return "" if is_empty(reference.pixels) else f"{EMPTY}, which its reference is not"
    edge, share = missing_end(picture.pixels)
    if not edge or (reference is not None and missing_end(reference.pixels)[0] == edge):
        return ""
    return f"{CUT} {100 * share:.0f} % at the {edge} are one colour"


def said_of(verdict: Verdict, width: int, height: int, length: int | None, doubt: str = "") -> Record:
    """The record of a verdict without the paths, as `iqassay score` writes it.

    width, height: of the picture as it was read; length: of its file, in bytes, None where it is a part of one; doubt:
    of `doubt_of`.
    """
    said = verdict.record("")
    sizes: Record = {"width": width, "height": height}
    if length is not None:
        sizes["bytes"] = length
    if length is not None and verdict.full_reference:
        sizes["bits_per_pixel"] = round(8 * length / (width * height), 4)
    warnings = [*said["warnings"], *((doubt,) if doubt else ())]
    order = ("score", "low", "high", "raw", "model", "version")
    found = {"distortions": said["distortions"], "warnings": warnings}
    return {**{key: said[key] for key in order}, **sizes, **found}


def _said(verdict: Verdict, shown: _Shown, length: int | None) -> Record:
    """The record as it is kept: with the size of what was scored, too."""
    return {**said_of(verdict, shown.width, shown.height, length, shown.doubt), "seen": list(shown.seen)}


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
