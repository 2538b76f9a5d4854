"""Videos among pictures: each becomes the frames that are wanted of it, one after another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from iqassay.folders.cells import Record
from iqassay.folders.folder import Pair
from iqassay.pictures.formats import is_video
from iqassay.pictures.image import MAX_PIXELS, ImageError
from iqassay.pictures.video import Every, read_frames


def with_frames(pairs: Iterable[Pair], step: Every, max_pixels: int = MAX_PIXELS) -> Iterator[Pair]:
    """The pairs, with the frames of a video in its place. One that is damaged or cut short is a pair with `error` too,
    after the frames that could be decoded. Memory does not grow with the length of a video.
    """
    for pair in pairs:
        if not is_video(pair.path):
            yield pair
            continue
        try:
            for frame in read_frames(pair.path, step, max_pixels):
                yield Pair(pair.path, frame=frame)
        except ImageError as error:
            yield Pair(pair.path, error=str(error))


@dataclass
class Clip:
    """What was said of the frames of one video. worst_at: the time of the worst one, in seconds."""

    frames: int = 0
    total: float = 0.0
    worst: float = 100.0
    worst_at: float = 0.0

    def add(self, score: float, time: float) -> None:
        self.frames += 1
        self.total += score
        if score < self.worst or self.frames == 1:
            self.worst, self.worst_at = score, time

    @property
    def mean(self) -> float:
        return self.total / self.frames


@dataclass
class Clips:
    """The videos among records that went by, by their paths."""

    found: dict[str, Clip] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        if "frame" in record and "score" in record:
            self.found.setdefault(record["path"], Clip()).add(record["score"], record["time"])
