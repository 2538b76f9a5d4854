"""Small pictures for a page: each from its file, and with a heatmap and a reference where they are wanted."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

from PIL import Image

from iqassay.folders.cache import open_cache
from iqassay.folders.folder import Pair, Result, score_pairs
from iqassay.models.opening import open_scorer
from iqassay.pages.embedded import fit, jpeg
from iqassay.pictures.image import read_image
from iqassay.pictures.video import Frame, frame_at
from iqassay.scoring.heatmap import heatmap
from iqassay.scoring.model_file import ModelFileError
from iqassay.support.parallel import in_order
from iqassay.support.text import printable

SIDE = 216  # pixels: the longer one of a thumbnail
MOST = 8_000  # characters of a thumbnail, where that can be had
QUALITIES = (75, 60, 45, 30)  # of its JPEG: noise takes much room, and what it is shows at a low quality too
AT_ONCE = 2  # pictures that are read at once: each may have 200 million pixels
SAME = 0.1  # points: a score that differs by more is of another picture, or of another model


@dataclass(frozen=True)
class Wanted:
    """A picture to show: where it is, and what the results say of it."""

    row: int
    path: str
    reference: str | None
    score: float
    model: str
    frame: tuple[int, float] | None = None  # of a video: its number, and its time in seconds


@dataclass(frozen=True)
class Shot:
    """What is shown of a row: data URIs, empty for what there is not; why, in `missing` (the picture) and `note` (the
    heatmap).
    """

    row: int
    picture: str = ""
    map: str = ""
    reference: str = ""
    missing: str = ""
    note: str = ""


def locate(path: str, folder: str | None) -> str:
    """Where a picture of the results is now: at its path, or in another folder, below as much of its path as is there.

    In the folder "here" a/b/c.png is here/a/b/c.png, else here/b/c.png, else here/c.png.
    """
    if folder is None:
        return path
    parts = [part for part in re.split(r"[/\\]", path) if part not in ("", ".", "..") and not part.endswith(":")]
    tails = [os.path.join(folder, *parts[start:]) for start in range(len(parts))] or [folder]
    return next((tail for tail in tails if os.path.exists(tail)), tails[-1])


def plain_shots(wanted: Iterable[Wanted]) -> Iterator[Shot]:
    """Pictures, with their references where they have one, and no heatmap."""
    reference = _reference_reader()

    def shoot(one: Wanted) -> Shot:
        picture, missing = _read(one.path, one.frame)
        return Shot(one.row, picture, reference=reference(one.reference), missing=missing)

    return in_order(shoot, wanted, AT_ONCE)


def full_shots(wanted: Sequence[Wanted], model: str | None = None) -> Iterator[Shot]:
    """The same with heatmaps, which come from scoring the pictures anew, with the model that the results name or with
    the `model` given; one that is not there, or says another score than the results, gives none. Comes model by model.

    Raises ModelFileError when the `model` given cannot be used.
    """
    groups: dict[str, list[Wanted]] = {}
    for one in wanted:
        groups.setdefault(model or one.model, []).append(one)
    reference = _reference_reader()
    with open_cache() or nullcontext() as cache:
        for name, group in groups.items():
            done = 0
            try:
                pairs = [Pair(one.path, one.reference, frame=_frame(one.path, one.frame)) for one in group]
                results = score_pairs(open_scorer(name), pairs, cache=cache, maps=True, pictures=True)
                for one, result in zip(group, results, strict=True):
                    yield _full(one, result, reference)
                    done += 1
            except ModelFileError as error:
                if model is not None:  # it was asked for
                    raise
                for shot in plain_shots(group[done:]):
                    yield replace(shot, note=f"no heatmap: {error}")


def _full(wanted: Wanted, result: Result, read_reference: Callable[[str | None], str]) -> Shot:
    if result.picture is None or result.map is None:
        shot = next(plain_shots([wanted]))
        return shot if shot.missing else replace(shot, note=f"no heatmap: {result.error}")
    said = float(result.record()["score"])
    shot = Shot(wanted.row, thumbnail(fit(result.picture.pixels, SIDE)), reference=read_reference(wanted.reference))
    if abs(said - wanted.score) > SAME:
        return replace(shot, note="no heatmap: the picture, or the model, has changed since it was scored")
    return replace(shot, map=thumbnail(heatmap(result.picture, result.map, SIDE)))


def _reference_reader() -> Callable[[str | None], str]:
    """What makes thumbnails of references, and keeps some: pictures in a row often share one."""
    return functools.lru_cache(maxsize=16)(lambda path: _read(path)[0] if path else "")


def _frame(path: str, frame: tuple[int, float] | None) -> Frame | None:
    return None if frame is None else frame_at(path, *frame)


def _read(path: str, at: tuple[int, float] | None = None) -> tuple[str, str]:
    """A thumbnail, or nothing and why."""
    try:
        frame = _frame(path, at)
        picture = read_image(path) if frame is None else frame.picture()
        return thumbnail(fit(picture.pixels, SIDE)), ""
    except Exception as error:  # one picture must not cost the page
        return "", printable(str(error)).removeprefix(f"{path}: ") or "cannot be read"


def thumbnail(image: Image.Image) -> str:
    """A data URI of at most `MOST` characters, unless the lowest quality takes more."""
    for quality in QUALITIES:
        uri = jpeg(image, quality, full_colour=False)
        if len(uri) <= MOST:
            break
    return uri
