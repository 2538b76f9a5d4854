"""Bursts and near-duplicates: which pictures show one scene again, and which of them is the best.

Two pictures go together when they look alike at a glance, one perhaps being a part of the other; when one camera took
them within a few seconds and they look somewhat alike, as where one is shaken; or when it took them within a second and
one is empty, as where the shutter stayed closed. What goes together with the same picture goes together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from iqassay.folders.folder import EMPTY
from iqassay.folders.records import Record
from iqassay.pictures.capture import Capture, read_capture
from iqassay.pictures.fingerprints import ALIKE, crop_fingerprints
from iqassay.pictures.image import Picture, read_image
from iqassay.pictures.picture import LUMA
from iqassay.scoring.comparison import SHARED, best_probabilities
from iqassay.scoring.scorer import Scorer
from iqassay.scoring.tiles import shrink_to
from iqassay.support.parallel import WORKERS, in_order

BURST, SOMEWHAT = 3.0, 0.5  # seconds between pictures of a burst, and how alike they must be
AT_ONCE = 1.0  # second, within which an empty picture belongs to another
BLOCK = 256  # pictures that are compared with all others at once
# A picture with at most so many times the pixels of another is of its scale: rather a crop than a small copy, and
# copies of 0.85 of a side do not score more than what they were made of (docs/photos.md).
SAME_SIZE = 1.5
TONES_AT, BURNT = 512, 253.5 / 255  # pixels along the longer side; a sample from which on light is lost
# Points for all of a picture, and for a bit, by bursts made of Kodak's photos (benchmarks/accuracy/bursts.py).
OF_BURNT, OF_ENTROPY = 10.0, 3.0
EVEN = 0.5  # points: of pictures that score so alike at one size, the larger is the better


@dataclass(frozen=True, eq=False)
class Glance:
    """What is looked at to group a picture: its fingerprints (28, 112), when it was taken, and if it is empty."""

    path: str
    prints: NDArray[np.float32]
    capture: Capture
    empty: bool


def glance(path: str, empty: bool) -> Glance:
    """Look at a picture. Raises ImageError."""
    return Glance(path, crop_fingerprints(Path(path)), read_capture(path), empty)


def grouped(records: Sequence[Record], scorer: Scorer) -> list[Record]:
    """The records of pictures, those that show one scene again with "group", "place" and "best" after the path.

    Args:
        records: as `iqassay score` writes them, by the scorer, without references.

    Raises:
        ImageError: for a picture that can no longer be read.
    """
    scored = [at for at, record in enumerate(records) if "error" not in record]
    empty = {at: any(said.startswith(EMPTY) for said in records[at]["warnings"]) for at in scored}
    glances = list(in_order(lambda at: glance(records[at]["path"], empty[at]), scored, WORKERS))
    found = list(records)
    for number, group in enumerate(find_groups(glances), 1):
        places = [scored[at] for at in group]
        ranked = rank([records[at] for at in places], [empty[at] for at in places], scorer)
        for at, (place, best) in zip(places, ranked, strict=True):
            path, *rest = records[at].items()
            found[at] = dict([path, ("group", number), ("place", place), ("best", best), *rest])
    return found


def find_groups(glances: Sequence[Glance]) -> list[list[int]]:
    """The places of pictures that go together, in the order in which they come; pictures that stand alone are left
    out.
    """
    parent = list(range(len(glances)))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = at = parent[parent[at]]
        return at

    def join(a: int, b: int) -> None:
        a, b = sorted((root(a), root(b)))
        parent[b] = a

    for a, b in _alike(glances):
        join(a, b)
    for a, b in _at_one_time(glances):
        join(a, b)
    groups: dict[int, list[int]] = {}
    for at in range(len(glances)):
        groups.setdefault(root(at), []).append(at)
    return [group for group in groups.values() if len(group) > 1]


def _alike(glances: Sequence[Glance]) -> list[tuple[int, int]]:
    """Pairs of which one looks like the other, or like a part of it."""
    if not glances:
        return []
    whole = np.stack([one.prints[0] for one in glances])  # (N, 112)
    pairs = []
    for top in range(0, len(glances), BLOCK):
        parts = np.stack([one.prints for one in glances[top : top + BLOCK]])  # (block, 28, 112)
        likeness = (parts.reshape(-1, whole.shape[1]) @ whole.T).reshape(*parts.shape[:2], -1).max(axis=1)
        for a, b in zip(*np.nonzero(likeness >= ALIKE), strict=True):
            if a + top != b:
                pairs.append((int(a) + top, int(b)))
    return pairs


def _at_one_time(glances: Sequence[Glance]) -> list[tuple[int, int]]:
    """Pairs that one camera took within a few seconds, and that are not clearly of two scenes."""
    timed = sorted((one.capture.time, at) for at, one in enumerate(glances) if one.capture.time is not None)
    pairs = []
    for first, (start, a) in enumerate(timed):
        for time, b in timed[first + 1 :]:
            apart = time - start
            if apart > BURST:
                break
            one, other = glances[a], glances[b]
            if one.capture.camera != other.capture.camera:
                continue
            if apart <= AT_ONCE if one.empty or other.empty else likeness(one, other) >= SOMEWHAT:
                pairs.append((a, b))
    return pairs


def likeness(a: Glance, b: Glance) -> float:
    """How alike two pictures look at a glance, or one and a part of the other: -1 to 1."""
    return float(max((a.prints @ b.prints[0]).max(), (b.prints @ a.prints[0]).max()))


def rank(records: Sequence[Record], empty: Sequence[bool], scorer: Scorer) -> list[tuple[int, float]]:
    """Of the pictures of a group, the place of each, 1 for the best, and the probability that it is the best.

    records: each with a score. empty: whether there is nothing in a picture, which is then never the best. Where
    sizes are clearly unlike, all are scored again, shrunk to the smallest one, since a small copy hides its flaws; of
    two that look the same then, the larger is the better. What the exposure of a picture lost of the scene, beside the
    others, counts against it (`lost_tones`): a model that sees one picture does not know how bright the scene was.
    """
    areas = [record["width"] * record["height"] for record in records]
    intervals = [(record["score"], record["low"], record["high"]) for record in records]
    looked = [at for at in range(len(records)) if not empty[at]] or list(range(len(records)))
    tones = {at: tones_of(read_image(records[at]["path"], scorer.max_pixels).pixels) for at in looked}
    if max(areas[at] for at in looked) > SAME_SIZE * min(areas[at] for at in looked):
        side = min(max(records[at]["width"], records[at]["height"]) for at in looked)
        for at in looked:
            intervals[at] = _at_one_size(records[at]["path"], side, scorer)
    for at in looked:
        lost = lost_tones(tones[at], list(tones.values()))
        intervals[at] = tuple(value - lost for value in intervals[at])
    best = max(intervals[at][0] for at in looked)

    def worth(at: int) -> tuple[bool, bool, float, float]:
        near = intervals[at][0] >= best - EVEN
        return at in looked, near, areas[at] if near else 0, intervals[at][0]

    order = sorted(range(len(records)), key=worth, reverse=True)
    chances = dict(zip(looked, best_probabilities([intervals[at] for at in looked], SHARED), strict=True))
    return [(order.index(at) + 1, round(chances.get(at, 0.0), 4)) for at in range(len(records))]


def tones_of(pixels: np.ndarray) -> tuple[float, float]:
    """Of a picture (H, W, 3) the share that is burnt out, in any channel, 0 to 1, and the entropy of its luma over 64
    steps, 0 to 6 bits: how much of the range is used.
    """
    seen = shrink_to(pixels, TONES_AT)
    steps = np.bincount(np.minimum(seen @ LUMA * 64, 63).astype(np.intp).ravel(), minlength=64)
    shares = steps[steps > 0] / steps.sum()
    return float((seen.max(axis=2) >= BURNT).mean()), float(-(shares * np.log2(shares)).sum())


def lost_tones(tones: tuple[float, float], of_scene: Sequence[tuple[float, float]]) -> float:
    """How many points a picture loses by what it shows less of the scene than the best of the others."""
    burnt, entropy = tones
    least, most = min(burnt for burnt, _ in of_scene), max(entropy for _, entropy in of_scene)
    return OF_BURNT * (burnt - least) + OF_ENTROPY * (most - entropy)


def _at_one_size(path: str, side: int, scorer: Scorer) -> tuple[float, float, float]:
    shown = shrink_to(read_image(path, scorer.max_pixels).pixels, side)
    verdict = scorer.score(Picture(np.rint(shown * 255).astype(np.uint8)))
    return verdict.score, verdict.low, verdict.high
