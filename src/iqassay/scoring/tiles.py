"""What the network looks at, and how its answers become one score and one map.

A small picture is one view: the whole of it at native size. A larger one is looked at twice: as a global view (the
whole, shrunk by area averaging to about `views.area` pixels), which sees composition-scale faults, and through detail
views (windows at native size on an evenly spread grid), which see what shrinking hides: noise, blocks, slight blur.

Which windows depends on the picture's size and the model's card alone, never on memory or threads, so the score does
not depend on those either. Each goes to the network by itself, several at once: larger batches gain nothing on a
processor. Memory is bounded: pixels stay at their native depth, and only a few windows or one block of the shrinking
exist as floats at a time.

A reference, where there is one, is cut and shrunk exactly as its picture, so that the two stay aligned in every view.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from iqassay.pictures.image import to_float
from iqassay.scoring.model_file import Views
from iqassay.support.parallel import in_order

MIN_SIDE = 64  # pixels: the least that a network takes
STRIDE = 32  # pixels: a network takes sides that are multiples of this, and answers with a map of such cells
MAP_SIDE = 128  # cells: the most along the longer side of our map
BLOCK = (64, 256)  # rows, columns: shrinking works on blocks of at least this, which fit a processor cache

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Window:
    """A part of a picture, in pixels."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Answers:
    """What a network says of a batch of B views, or (without the B) what we conclude for the whole picture.

    score (B,) raw, higher is better; map (B, h, w) raw local quality; presence (B, kinds + 1) probabilities with "none"
    last; severity (B, kinds) from 0 to 5; unlike (B,) distance from the training data; generated (B,) how probable it
    is that the whole picture was made by a generator, where the network can tell.
    """

    score: Floats
    map: Floats
    presence: Floats
    severity: Floats
    unlike: Floats
    generated: Floats | None = None


Batch = NDArray[np.float32]  # (B, 3, H, W) RGB in [0, 1], H and W multiples of 32, at least 64
Network = Callable[[Batch, Batch | None], Answers]  # views, and the same views of the references or None


def look(
    pixels: np.ndarray, views: Views, network: Network, reference: np.ndarray | None = None, callers: int = 1
) -> Answers:
    """Show a picture, beside its reference if there is one, to a network view by view, and put its answers together.

    pixels: (H, W, 3) uint8, uint16 or float32, any size from 1x1. reference: the same height and width, any of these
    depths. callers: how many threads call the network at once; it does not change the answers. The map that comes back
    is the picture's, raw values on a grid of at most 128 cells along the longer side.

    Raises ValueError when picture and reference differ in size.
    """
    return look_together(pixels, views, [network], reference, callers)[0]


def look_together(
    pixels: np.ndarray,
    views: Views,
    networks: Sequence[Network],
    reference: np.ndarray | None = None,
    callers: int = 1,
    global_weights: Sequence[float] = (),
) -> list[Answers]:
    """What each of several networks says of a picture, as in `look`; every view is cut once for all of them.

    global_weights: one for each network, in place of that of the views.
    """
    height, width = pixels.shape[:2]
    if reference is not None and reference.shape != pixels.shape:
        raise ValueError(f"got a picture of shape {pixels.shape} and a reference of {reference.shape}, want one shape")
    size = global_size(height, width, views.area)
    windows = [Window(0, 0, height, width)] if size == (height, width) else plan_windows(height, width, views)
    # Made as they are needed: few exist as floats at a time, and cutting goes on while the networks work.
    beside = repeat(None) if reference is None else _cuts(reference, windows, size)
    cuts = zip(_cuts(pixels, windows, size), beside, strict=False)
    calls = (partial(network, *cut) for cut in cuts for network in networks)
    callers = min(callers, len(windows) * len(networks))
    answers = list(in_order(_call, calls, callers) if callers > 1 else map(_call, calls))
    return [
        _conclude(answers[i :: len(networks)], windows, pixels.shape[:2], size, weight)
        for i, weight in enumerate(global_weights or [views.global_weight] * len(networks))
    ]


def _call(call: Callable[[], Answers]) -> Answers:
    return call()


def _conclude(
    answers: list[Answers], windows: list[Window], shape: tuple[int, ...], size: tuple[int, int], weight: float
) -> Answers:
    """What a network says of a whole picture of `shape`, from its answers to the windows and, last and with its own
    weight, to the global view of `size`, unless that is the only window.
    """
    canvas = _Canvas(*shape)
    for window, answer in zip(windows, answers, strict=False):
        canvas.paste(answer.map[0], window)
    weights = np.full(len(windows), 1 / len(windows))
    if size == shape:
        return _combine(answers, weights, canvas.mean())
    weights = np.append(weights * (1 - weight), weight)
    return _combine(answers, weights, canvas.blend(answers[-1].map[0], size, weight))


def widened(part: Floats, at: Window, height: int, width: int) -> NDArray[np.float32]:
    """The map of a part of a picture -> one of the whole picture; the cells at the edges of the part stand for what
    lies beyond them."""
    canvas = _Canvas(height, width)
    rows, columns = (
        start + np.linspace(0, length, cells + 1)
        for start, length, cells in ((at.top, at.height, part.shape[0]), (at.left, at.width, part.shape[1]))
    )
    rows[[0, -1]], columns[[0, -1]] = (0, height), (0, width)
    down, across = _overlap(canvas.rows, rows), _overlap(canvas.columns, columns)
    sums = down @ part @ across.T
    return (sums / np.outer(down.sum(1), across.sum(1))).astype(np.float32)


def global_size(height: int, width: int, area: int) -> tuple[int, int]:
    """Height and width of the global view: the picture's own when it is small enough to be looked at whole.

    About `area` pixels, with the proportions of the picture. A thin strip is made short enough that it stays within
    `area` after its short side has been padded to 64 pixels.
    """
    scale = min(1.0, math.sqrt(area / (height * width)), area / MIN_SIDE / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def plan_windows(height: int, width: int, views: Views) -> list[Window]:
    """The detail windows of a picture, all of one size, row by row.

    They cover every pixel, overlapping a little rather than leaving gaps. When that would take more than
    `views.max_windows`, there are that many or slightly fewer, spread evenly from edge to edge.
    """
    rows, columns = math.ceil(height / views.window), math.ceil(width / views.window)
    if rows * columns > views.max_windows:
        rows = min(max(1, int(math.sqrt(views.max_windows * rows / columns))), rows, views.max_windows)
        columns = min(columns, views.max_windows // rows)
        rows = min(math.ceil(height / views.window), views.max_windows // columns)
    tall, wide = min(height, views.window), min(width, views.window)
    return [
        Window(top, left, tall, wide) for top in _spread(height, tall, rows) for left in _spread(width, wide, columns)
    ]


def shrink(pixels: np.ndarray, height: int, width: int) -> NDArray[np.float32]:
    """Area averaging to any smaller size: each new pixel is the exact mean of the area it stands for, fractions
    included.

    pixels (H, W, 3) of any depth -> (height, width, 3) float32 in [0, 1], with height <= H and width <= W. Works block
    by block, so a picture of 200 MP needs a few megabytes beyond itself.
    """
    rows, columns = pixels.shape[:2]
    row_edges, column_edges = np.linspace(0, rows, height + 1), np.linspace(0, columns, width + 1)
    total = np.zeros((height, width, 3))
    tall, wide = max(BLOCK[0], 4 * rows // height), max(BLOCK[1], 4 * columns // width)
    for top, bottom, down, row_bins in _blocks(row_edges, tall):
        for left, right, across, column_bins in _blocks(column_edges, wide):
            block = to_float(pixels[top:bottom, left:right])
            block = _sum_between(block.reshape(bottom - top, -1), row_bins)  # (new rows, columns * 3)
            block = block.reshape(-1, right - left, 3).swapaxes(0, 1)
            total[down, across] += _sum_between(block, column_bins).swapaxes(0, 1)
    return (total * (height * width / (rows * columns))).astype(np.float32)


def shrink_to(pixels: np.ndarray, long_side: int) -> NDArray[np.float32]:
    """`shrink` with the proportions kept, so that the longer side is at most `long_side` pixels."""
    height, width = pixels.shape[:2]
    scale = min(1.0, long_side / max(height, width))
    return shrink(pixels, max(1, round(height * scale)), max(1, round(width * scale)))


def pad(view: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring both sides to what a network takes, by reflection to the right and below. A single line is repeated."""
    missing = [padded(side) - side for side in view.shape[:2]]
    return np.pad(view, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="reflect") if any(missing) else view


def padded(side: int) -> int:
    """The next multiple of 32, at least 64: no pixel is cut off to fit."""
    return max(MIN_SIDE, math.ceil(side / STRIDE) * STRIDE)


def _spread(length: int, window: int, count: int) -> list[int]:
    """Where `count` windows start, from edge to edge; a single one lies in the middle."""
    if count == 1:
        return [(length - window) // 2]
    return [round(step * (length - window) / (count - 1)) for step in range(count)]


def _cuts(pixels: np.ndarray, windows: list[Window], size: tuple[int, int]) -> Iterator[Batch]:
    """The windows, then the global view of `size` where that is smaller than the picture."""
    for at in windows:
        yield _batch(to_float(pixels[at.top : at.top + at.height, at.left : at.left + at.width]))
    if size != pixels.shape[:2]:
        yield _batch(shrink(pixels, *size))


def _batch(view: NDArray[np.float32]) -> Batch:
    """A view (H, W, 3) -> (1, 3, H, W), padded to what the network takes."""
    return np.ascontiguousarray(pad(view).transpose(2, 0, 1)[None], dtype=np.float32)


def _combine(answers: list[Answers], weights: Floats, quality_map: Floats) -> Answers:
    """The weighted mean over all views; a severity counts as much as its distortion is present in that view."""
    presence = np.concatenate([answer.presence for answer in answers])  # (views, kinds + 1)
    severity = np.concatenate([answer.severity for answer in answers])  # (views, kinds)
    scores = np.concatenate([answer.score for answer in answers])
    share = weights[:, None] * presence[:, :-1]
    generated = [answer.generated for answer in answers if answer.generated is not None]
    return Answers(
        # Rounding must not carry a mean beyond its parts: identical pictures score the very top, however many views.
        score=np.clip(weights @ scores, scores.min(), scores.max()),
        map=quality_map,
        presence=weights @ presence,
        severity=(share * severity).sum(0) / np.maximum(share.sum(0), 1e-12),
        unlike=weights @ np.concatenate([answer.unlike for answer in answers]),
        generated=weights @ np.concatenate(generated) if generated else None,
    )


def _blocks(edges: Floats, size: int) -> Iterator[tuple[int, int, slice, Floats]]:
    """Cut [0, last edge) into blocks: start, stop, which bins it touches, and the edges of those bins inside the
    block.
    """
    length = int(edges[-1])
    for start in range(0, length, size):
        stop = min(start + size, length)
        first = int(np.searchsorted(edges, start, side="right")) - 1
        last = int(np.searchsorted(edges, stop, side="left"))
        yield start, stop, slice(first, last), np.clip(edges[first : last + 1], start, stop) - start


def _sum_between(values: np.ndarray, edges: Floats) -> np.ndarray:
    """Sums along the first axis between fractional edges, from 0 to len(values): a pixel counts as much as lies inside.

    Plain additions and no matrix product: BLAS would start threads for it, which cost more than they bring.
    """
    first = np.minimum(edges.astype(int), len(values) - 1)
    cut = (edges - first).reshape(-1, *[1] * (values.ndim - 1)).astype(np.float32) * values[first]
    sums = np.add.reduceat(values, first[:-1], axis=0)
    sums[:-1][first[1:-1] == first[:-2]] = 0  # reduceat gives the pixel itself for an empty range
    sums[:-1] += cut[1:-1]
    return sums - cut[:-1]


class _Canvas:
    """The map of a whole picture, onto which the maps of its views are pasted."""

    def __init__(self, height: int, width: int) -> None:
        cell = max(STRIDE, max(height, width) / MAP_SIDE)
        self.rows = np.linspace(0, height, max(1, round(height / cell)) + 1)  # edges of the cells, in pixels
        self.columns = np.linspace(0, width, max(1, round(width / cell)) + 1)
        self.total = np.zeros((len(self.rows) - 1, len(self.columns) - 1))
        self.weight = np.zeros_like(self.total)

    def paste(self, piece: Floats, window: Window) -> None:
        """Add a window's map by area. What lies beyond the picture, where a small one was padded, falls off the
        canvas.
        """
        tall, wide = padded(window.height), padded(window.width)
        down = _overlap(self.rows, window.top + np.linspace(0, tall, piece.shape[0] + 1))
        across = _overlap(self.columns, window.left + np.linspace(0, wide, piece.shape[1] + 1))
        self.total += down @ piece @ across.T
        self.weight += np.outer(down.sum(1), across.sum(1))

    def mean(self) -> Floats:
        """The area mean of what was pasted; NaN where nothing was."""
        return np.divide(self.total, self.weight, out=np.full_like(self.total, np.nan), where=self.weight > 0)

    def blend(self, piece: Floats, size: tuple[int, int], weight: float) -> Floats:
        """Mix the details with the map of the global view, which had `size` pixels before padding.

        Between windows that leave gaps the global map stands in for the detail, moved to the level of the details so
        that the gaps do not show.
        """
        scale = [self.rows[-1] / size[0], self.columns[-1] / size[1]]
        down = _interpolation(self.rows, padded(size[0]) * scale[0], piece.shape[0])
        across = _interpolation(self.columns, padded(size[1]) * scale[1], piece.shape[1])
        overview = down @ piece @ across.T
        detail = self.mean()
        detail = np.where(np.isnan(detail), overview + np.nanmean(detail - overview), detail)
        return weight * overview + (1 - weight) * detail


def _overlap(outer: Floats, inner: Floats) -> Floats:
    """Length that each outer bin shares with each inner bin, from their edges: (outer bins, inner bins)."""
    low = np.maximum(outer[:-1, None], inner[None, :-1])
    high = np.minimum(outer[1:, None], inner[None, 1:])
    return np.maximum(high - low, 0)


def _interpolation(edges: Floats, length: float, cells: int) -> Floats:
    """The matrix that interpolates linearly from `cells` equal cells over [0, length] to the middles of the bins."""
    known = (np.arange(cells) + 0.5) * length / cells
    wanted = (edges[:-1] + edges[1:]) / 2
    return np.stack([np.interp(wanted, known, unit) for unit in np.eye(cells)], axis=1)


def block_means(plane: np.ndarray, cell: int) -> NDArray[np.floating]:
    """The means of the squares of `cell` pixels of (h, w); the last row and column average what is left."""
    height, width = plane.shape
    sums = np.add.reduceat(plane, np.arange(0, height, cell), axis=0, dtype=np.float64)
    sums = np.add.reduceat(sums, np.arange(0, width, cell), axis=1)
    return sums / np.outer(cell_sizes(height, cell), cell_sizes(width, cell))


def cell_sizes(length: int, cell: int) -> NDArray[np.integer]:
    """How many pixels each square of `block_means` has along a side of so many."""
    return np.diff([*range(0, length, cell), length])
