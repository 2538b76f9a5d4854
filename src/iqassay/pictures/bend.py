"""A picture whose parts lie a little beside those of its reference, as after a lens correction, a change of size or a
view from another place: by how much each, and the reference bent to lie as the picture does.

People hardly see that an edge has moved by a pixel; every comparison place by place sees nothing else. What `register`
does for a whole picture and whole pixels is done here for parts of it, and for parts of a pixel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from iqassay.pictures.picture import Picture
from iqassay.pictures.register import REACH, luma_parts, unexplained

PART = 64  # pixels: the side of the parts that are looked at first
FINE = 32  # and last, where it is known about how far they moved
FINE_REACH = 4  # pixels: by how much they may have moved otherwise
PARTS = 24  # of them along either side at most; of FINE ones twice as many
WIDE = 640  # pixels: a longer side is looked at in larger parts too, which may have moved farther
CLEARLY = 0.8  # of what no displacement of a part leaves unexplained, a displacement may leave so much at most
LITTLE = 0.01  # of a part's energy: where no displacement leaves less unexplained, there is nothing to explain
ALTOGETHER = 0.1  # of what no displacement leaves unexplained in all parts, theirs have to explain
LIKE = 2.5  # pixels: by how much parts beside each other may have moved differently
FINER = 0.95  # of what a displacement that is known leaves unexplained, a finer one may leave so much at most
EXPLAINED = 0.5  # of a part's energy, which its displacement has to explain
SEEN = 0.1  # pixels: less is no displacement

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Field:
    """How far the parts of a picture lie below and right of where its reference has them, in pixels, (R, C) each; rows
    (R,) and columns (C,) are the middles of the parts. Between them it changes evenly."""

    rows: Floats
    columns: Floats
    down: Floats
    right: Floats

    @property
    def farthest(self) -> float:
        """The largest displacement, in pixels."""
        return float(np.hypot(self.down, self.right).max())

    def at(self, rows: Floats, columns: Floats) -> tuple[Floats, Floats]:
        """Down and right of other places, (rows, columns) each; beyond the last parts as far as those."""
        return self._between(self.down, rows, columns), self._between(self.right, rows, columns)

    def _between(self, moved: Floats, rows: Floats, columns: Floats) -> Floats:
        across = np.stack([np.interp(columns, self.columns, line) for line in moved])
        return np.stack([np.interp(rows, self.rows, line) for line in across.T], 1)


def bend(picture: Picture, reference: Picture) -> tuple[Picture, Picture]:
    """A picture and its reference, of one size, the latter bent to lie as the picture does.

    Where `field` finds nothing to bend both come back as they are; else the picture gets a warning that says so.
    """
    found = field(picture.pixels, reference.pixels)
    if found is None:
        return picture, reference
    said = f"parts of it lie up to {found.farthest:.1f} pixels beside its reference, which was bent to compare them"
    return Picture(picture.pixels, (*picture.warnings, said)), replace(reference, pixels=bent(reference.pixels, found))


def field(pixels: np.ndarray, reference: np.ndarray) -> Field | None:
    """Where the parts of a picture lie beside those of its reference; None where they do not.

    pixels, reference: (H, W, 3) of any depths. Luma is compared in parts of 64x64 pixels, up to brightness and
    contrast. A part has moved where its displacement leaves clearly less of it unexplained than none does, and not too
    much; parts have, where that is so of a tenth of all that is unexplained, and parts beside each other have moved
    alike. So blur, noise, blocks and pictures of other things move nothing. A part may have moved by 8 pixels, in a
    wide picture by as many of each 640. What no part says is filled in from around it; then smaller parts say it finer.
    """
    height, width = pixels.shape[:2]
    if min(height, width) < PART or np.array_equal(pixels, reference):
        return None
    larger = min(max(height, width) // WIDE, min(height, width) // PART)
    found = _look(pixels, reference, PART, PART, REACH, None, larger) if larger > 1 else None
    found = found or _look(pixels, reference, PART, PART, REACH)
    if found is None:
        return None
    for side, reach in ((PART, REACH), (FINE, FINE_REACH)):
        found = _look(pixels, reference, side, side // 2, reach, found) or found
    return found if found.farthest > SEEN else None


def bent(pixels: np.ndarray, by: Field) -> np.ndarray:
    """A picture (H, W, 3) of any depth with its parts displaced, of the same size and depth; by bicubic interpolation,
    and at its edges by what it has there. Row of parts by row of parts, so that little of it exists twice."""
    height, width = pixels.shape[:2]
    tops, lefts = (
        np.unique(np.rint([0, *middles, n]).astype(int)) for middles, n in ((by.rows, height), (by.columns, width))
    )
    down, right = by.at(tops.astype(float), lefts.astype(float))
    ys, xs = tops[:, None] - down, lefts[None] - right  # where the corners come from
    result = np.empty(pixels.shape, pixels.dtype)
    for i, (top, bottom) in enumerate(pairwise(tops)):
        margin = 3  # pixels beside a place that bicubic interpolation looks at
        first, last = int(ys[i : i + 2].min()) - margin, int(ys[i : i + 2].max()) + margin + 1
        start, stop = int(xs.min()) - margin, int(xs.max()) + margin + 1
        source = pixels.take(np.arange(first, last), 0, mode="clip").take(np.arange(start, stop), 1, mode="clip")
        mesh = [
            ((left, 0, end, bottom - top), tuple(_corners(ys - first, xs - start, i, j)))
            for j, (left, end) in enumerate(pairwise(lefts))
        ]
        result[top:bottom] = _transformed(source, (width, bottom - top), mesh)
    return result


def _corners(ys: Floats, xs: Floats, i: int, j: int) -> Iterator[float]:
    """The corners of a part as Pillow wants them: upper left, lower left, lower right, upper right; x before y."""
    for row, column in ((i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)):
        yield float(xs[row, column])
        yield float(ys[row, column])


def _transformed(source: np.ndarray, size: tuple[int, int], mesh: list) -> np.ndarray:
    """Pillow has deep samples one channel at a time only, and bicubic interpolation leaves their range."""
    how = Image.Transform.MESH, mesh, Image.Resampling.BICUBIC
    if source.dtype == np.uint8:
        return np.asarray(Image.fromarray(source).transform(size, *how))
    planes = [
        np.asarray(Image.fromarray(np.ascontiguousarray(source[..., k], dtype=np.float32)).transform(size, *how))
        for k in range(3)
    ]
    whole = np.stack(planes, 2).clip(source.min(), source.max())
    return np.rint(whole).astype(source.dtype) if source.dtype.kind == "u" else whole


def _look(
    pixels: np.ndarray,
    reference: np.ndarray,
    side: int,
    step: int,
    reach: int,
    known: Field | None = None,
    scale: int = 1,
) -> Field | None:
    """The field that parts of so many pixels a side say, every ``step`` pixels or farther apart; None where nothing has
    moved. known: where to look for them in the reference; scale: look at so many times as many, averaged."""
    height, width = pixels.shape[:2]
    side, step = side * scale, step * scale
    tops, lefts = (_spread(n, side, step, PARTS * PART * scale // side) for n in (height, width))
    rows, columns = tops + side / 2, lefts + side / 2
    before = np.zeros((2, len(tops), len(lefts)))
    if known is not None:
        before = np.stack(known.at(rows, columns))
    about = np.rint(before).astype(int)
    places = np.stack(np.meshgrid(tops, lefts, indexing="ij"))
    ours, theirs = (luma_parts(one, at, side, scale) for one, at in ((pixels, places), (reference, places - about)))
    left, energy = unexplained(ours, theirs, reach)
    if not np.isfinite(left).all():  # of samples that are no numbers
        return None
    left, energy = (v.reshape(*places.shape[1:], *v.shape[1:]) for v in (left, energy))
    if known is not None:
        left, energy = _with_neighbours(left), _with_neighbours(energy)
    least, down, right = _least(left)
    still = left[:, :, reach, reach]
    moved = (least < (FINER if known else CLEARLY) * still) & (least < (1 - EXPLAINED) * energy)
    if known is None:
        moved &= still > LITTLE * energy
    if not moved.any():
        return None
    found = np.where(moved, about + scale * np.stack([down, right]), before)
    explained = (still - least)[moved].sum()
    if known is None and (explained < ALTOGETHER * still.sum() or not _agree(found / scale, moved)):
        return None
    sure = np.minimum(least, still) < (1 - EXPLAINED) * energy
    return Field(rows, columns, *(_median(_filled(one, sure)) for one in found))


def _spread(length: int, side: int, step: int, most: int) -> NDArray[np.int64]:
    """Where parts begin, from edge to edge, so far apart or farther."""
    count = max(1, min(most, -(-(length - side) // step) + 1))
    return np.unique(np.rint(np.linspace(0, length - side, count)).astype(np.int64))


def _with_neighbours(of_parts: Floats) -> Floats:
    """(R, C, ...) -> the same, each part with half of the weight of its neighbours beside it, as 1 2 1 along both."""
    for axis in range(2):
        padded = np.pad(of_parts, [(int(k == axis),) * 2 for k in range(of_parts.ndim)], mode="edge")
        before, here, after = (padded.take(range(k, k + of_parts.shape[axis]), axis) for k in range(3))
        of_parts = (before + 2 * here + after) / 4
    return of_parts


def _agree(displaced: Floats, moved: NDArray[np.bool_]) -> bool:
    """Whether half of the parts that have moved, (2, R, C) pixels, have two beside them that have moved alike: what is
    found in blurred pictures by chance goes any way."""
    padded = np.pad(np.where(moved, displaced, np.nan), [(0, 0), (1, 1), (1, 1)], constant_values=np.nan)
    around = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    alike = np.hypot(*(around - displaced[..., None, None])) <= LIKE
    return bool(np.mean(alike[moved].sum((1, 2)) > 2) >= 0.5)  # each is one of the nine itself


def _filled(of_parts: Floats, sure: NDArray[np.bool_]) -> Floats:
    """(R, C), those that are not sure as far as those around them; some are."""
    while not sure.all():
        weights = _with_neighbours(sure.astype(float))
        around = _with_neighbours(of_parts * sure) / np.maximum(weights, 1e-9)
        of_parts, sure = np.where(sure, of_parts, around), weights > 0
    return of_parts


def _median(of_parts: Floats) -> Floats:
    """(R, C) -> the median of each part and its eight neighbours: one that is mistaken does not count."""
    padded = np.pad(of_parts, 1, mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, (3, 3)), axis=(2, 3))


def _least(left: Floats) -> tuple[Floats, Floats, Floats]:
    """The least of (R, C, D, D) between whole displacements, and down and right where it lies, by parabolas, (R, C)
    each."""
    reach = left.shape[2] // 2
    down, right = np.divmod(left.reshape(*left.shape[:2], -1).argmin(2), left.shape[3])
    down, right = (np.clip(v, 1, 2 * reach - 1) for v in (down, right))
    i, j = np.indices(down.shape)
    here = left[i, j, down, right]
    least = here.copy()
    between = []
    for before, after in (
        (left[i, j, down - 1, right], left[i, j, down + 1, right]),
        (left[i, j, down, right - 1], left[i, j, down, right + 1]),
    ):
        bow = np.maximum(before - 2 * here + after, 1e-12)
        between.append(np.clip((before - after) / bow / 2, -0.5, 0.5))
        least -= (before - after) * between[-1] / 4
    return np.maximum(least, 0), down - reach + between[0], right - reach + between[1]
