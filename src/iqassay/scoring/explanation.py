"""Why a picture has its score: what a restoring model believes it looked like before, and which known damage it shows.

>>> from iqassay.pages.explanation_page import write_page
>>> write_page(iqassay.explain("photo.jpg", reference="original.png"), "why/")  # index.html, ...  # doctest: +SKIP
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from iqassay.pictures.align import align as to_one_size
from iqassay.pictures.image import Picture, to_float
from iqassay.scoring import tiles
from iqassay.scoring.model_file import Card, ModelFileError, default_model
from iqassay.scoring.scorer import Scorer
from iqassay.scoring.verdict import Verdict

if TYPE_CHECKING:
    from iqassay.scoring.scorer import Source

RESTORER = "dri"
LEVELS = 5  # of each kind of damage, 1 to 5
NEAREST = 5  # kinds are named at most
MARGIN = 64  # pixels: windows of a large picture overlap by at least this; it is blended, so that no seam shows
CELLS = 1024  # the most along the longer side of a difference
GRID = 64  # the same in a record


@dataclass(frozen=True)
class Degradation:
    """Known damage: a distortion's name and its level from 1 to 5, or "none" and 0; similarity -1 to 1, the cosine."""

    name: str
    level: int
    similarity: float


@dataclass(frozen=True, eq=False)
class Difference:
    """How two pictures of one size differ. Samples count as 0 to 255 at any depth.

    Attributes:
        map: (h, w) float32, the mean absolute difference of the samples in squares of `cell` pixels, in the last row
            and column in what is left.
        mean: the same of the whole picture.
        psnr: dB, infinite for the same picture.
    """

    map: NDArray[np.float32] = field(repr=False)
    cell: int
    mean: float
    psnr: float


@dataclass(frozen=True, eq=False)
class Explanation:
    """What there is to say of one picture, by itself and, where there is a reference, against it.

    Attributes:
        path: as it was given; "" for what came from memory.
        reference_path: likewise.
        picture: what was looked at; cut or resized where the two had to be aligned.
        reference: likewise, None where there is none.
        verdict: of the picture by itself.
        reference_verdict: of the picture against the reference.
        estimate: (H, W, 3) uint8, the picture as the restorer believes it looked before it was spoiled.
        nearest: what its damage resembles, nearest first, each kind once, at the level that fits it best.
        change: from the picture to the estimate.
        loss: from the picture to the reference.
        remaining_loss: from the estimate to the reference.
        restorer: the card of the model that made the estimate.
    """

    path: str
    picture: Picture
    verdict: Verdict
    estimate: NDArray[np.uint8] = field(repr=False)
    nearest: tuple[Degradation, ...]
    change: Difference
    restorer: Card = field(repr=False)
    reference_path: str = ""
    reference: Picture | None = None
    reference_verdict: Verdict | None = None
    loss: Difference | None = None
    remaining_loss: Difference | None = None

    def record(self) -> dict[str, Any]:
        """All but the pictures, as plain Python values ready for JSON; a PSNR of None is that of the same picture."""
        record: dict[str, Any] = {
            "picture": self.path,
            "width": self.picture.width,
            "height": self.picture.height,
            "verdict": self.verdict.record(self.path),
            "nearest": [
                {"name": near.name, "level": near.level, "similarity": round(near.similarity, 4)}
                for near in self.nearest
            ],
            "restorer": {"name": self.restorer.name, "version": self.restorer.version},
            "change": _difference_record(self.change),
            "quality_map": _rounded(self.verdict.map),
        }
        if self.reference_verdict and self.loss and self.remaining_loss:
            record["reference"] = self.reference_path
            record["reference_verdict"] = self.reference_verdict.record(self.path, self.reference_path)
            record["reference_quality_map"] = _rounded(self.reference_verdict.map)
            record["loss"] = _difference_record(self.loss)
            record["remaining_loss"] = _difference_record(self.remaining_loss)
        return record


def explain(
    picture: Source,
    scorer: Scorer,
    restorer: Scorer,
    reference: Source | None = None,
    align: str = "fail",
) -> Explanation:
    """Explain the score of one picture: a path, the bytes of a file, a Pillow image, an array or a Picture.

    scorer: gives the verdict; against a reference the same one judges, if it can, else the shipped one for pictures
    with references. restorer: a model that restores, such as "dri".
    reference, align: as for `iqassay.score`; where they are aligned, it is the aligned picture that is explained.

    Raises ImageError when a picture cannot be read or the sizes differ, ModelFileError when a model cannot be used.
    """
    path, reference_path = _path(picture), _path(reference)
    picture = scorer.read(picture)
    if reference is not None:
        picture, reference = to_one_size(picture, scorer.read(reference), align)
    estimate, nearness = restore(picture.pixels, restorer)
    verdict_beside = None
    if reference is not None:
        judge = scorer if scorer.takes_reference else Scorer(default_model(reference=True))
        verdict_beside = judge.score(picture, reference)
    return Explanation(
        path=path,
        picture=picture,
        verdict=scorer.score(picture),
        estimate=estimate,
        nearest=nearest(nearness, restorer.card.distortions),
        change=difference(picture.pixels, estimate),
        restorer=restorer.card,
        reference_path=reference_path,
        reference=reference,
        reference_verdict=verdict_beside,
        loss=None if reference is None else difference(picture.pixels, reference.pixels),
        remaining_loss=None if reference is None else difference(estimate, reference.pixels),
    )


def restore(pixels: np.ndarray, restorer: Scorer) -> tuple[NDArray[np.uint8], NDArray[np.floating]]:
    """The restored estimate of a picture, and the cosines of its damage to known damage: see `Scorer.restore`.

    pixels: (H, W, 3) uint8, uint16 or float32, any size from 1x1 -> (H, W, 3) uint8 and (5 * kinds + 1,). What the card
    calls a large picture is restored in windows at native size that cover it all; memory beyond the two pictures is
    that of one row of windows.
    """
    height, width = pixels.shape[:2]
    views = restorer.card.views
    whole = tiles.global_size(height, width, views.area) == (height, width)
    tall, wide = pixels.shape[:2] if whole else (min(side, views.window + MARGIN) for side in pixels.shape[:2])
    tops, lefts = _spread(height, tall), _spread(width, wide)
    down, across = _shares(height, tall, tops), _shares(width, wide, lefts)
    estimate = np.empty((height, width, 3), np.uint8)
    band = np.zeros((tall, width, 3), np.float32)  # from the top of the present row of windows
    near = np.zeros(1)
    for row, top in enumerate(tops):
        for left, share in zip(lefts, across, strict=True):
            view = tiles.pad(to_float(pixels[top : top + tall, left : left + wide])).transpose(2, 0, 1)
            restored, nearness = restorer.restore(np.ascontiguousarray(view[None]))
            if not (np.isfinite(restored).all() and np.isfinite(nearness).all()):
                raise ModelFileError(f"the model {restorer.card.name!r} gave answers that are no numbers, want 0 to 1")
            near = near + nearness[0] / (len(tops) * len(lefts))
            window = restored[0, :, :tall, :wide].transpose(1, 2, 0)
            band[:, left : left + wide] += (down[row][:, None] * share)[..., None] * window
        done = (tops[row + 1] if row + 1 < len(tops) else height) - top  # rows that no later window touches
        estimate[top : top + done] = np.rint(np.clip(band[:done], 0, 1) * 255)
        band = np.concatenate([band[done:], np.zeros_like(band[:done])])
    return estimate, near


def nearest(nearness: NDArray[np.floating], kinds: tuple[str, ...], most: int = NEAREST) -> tuple[Degradation, ...]:
    """The kinds of known damage with the largest cosines, each at its nearest level; "none" is one of them.

    nearness: (5 * kinds + 1,), the levels 1 to 5 of the first kind first, and "none" last. Raises ModelFileError for
    another length.
    """
    if nearness.shape != (LEVELS * len(kinds) + 1,):
        raise ModelFileError(
            f"got a nearness of {nearness.size} values, want {LEVELS} for each of {len(kinds)} distortions and 1 more"
        )
    levels = nearness[:-1].reshape(-1, LEVELS)
    known = [
        Degradation(kind, int(row.argmax()) + 1, float(row.max())) for kind, row in zip(kinds, levels, strict=True)
    ]
    known.append(Degradation("none", 0, float(nearness[-1])))
    return tuple(sorted(known, key=lambda near: -near.similarity)[:most])


def difference(a: np.ndarray, b: np.ndarray) -> Difference:
    """How two pictures differ, of one size (H, W, 3) and any depths. Works strip by strip."""
    height, width = a.shape[:2]
    cell = math.ceil(max(height, width) / CELLS)
    tall = cell * math.ceil(64 / cell)
    squares, rows = 0.0, []
    for top in range(0, height, tall):
        apart = np.abs(to_float(a[top : top + tall]) - to_float(b[top : top + tall]))
        squares += float(np.square(apart).sum(dtype=np.float64))
        rows.append(tiles.block_means(apart.mean(axis=2) * 255, cell))
    cells = np.concatenate(rows)
    sizes = np.outer(tiles.cell_sizes(height, cell), tiles.cell_sizes(width, cell))
    return Difference(
        map=cells.astype(np.float32),
        cell=cell,
        mean=float((cells * sizes).sum() / sizes.sum()),
        psnr=10 * math.log10(a.size / squares) if squares else math.inf,
    )


def _spread(length: int, window: int) -> list[int]:
    """Where windows start that cover a side from edge to edge and overlap by at least the margin."""
    count = 1 if length <= window else math.ceil((length - MARGIN) / (window - MARGIN))
    return [round(start) for start in np.linspace(0, length - window, count)]


def _shares(length: int, window: int, starts: list[int]) -> list[NDArray[np.float32]]:
    """What each window counts at each of its pixels, rising linearly from its ends; together 1 at every pixel."""
    from_end = np.minimum(np.arange(window), np.arange(window)[::-1]) + 1
    ramp = np.minimum(from_end, MARGIN).astype(np.float32)
    total = np.zeros(length, np.float32)
    for start in starts:
        total[start : start + window] += ramp
    return [ramp / total[start : start + window] for start in starts]


def _path(source: Source | None) -> str:
    return os.fsdecode(source) if isinstance(source, (str, os.PathLike)) else ""


def _difference_record(found: Difference) -> dict[str, Any]:
    small = tiles.block_means(found.map, math.ceil(max(found.map.shape) / GRID))
    psnr = round(found.psnr, 2) if math.isfinite(found.psnr) else None
    return {"mean": round(found.mean, 2), "psnr": psnr, "map": _rounded(small)}


def _rounded(grid: np.ndarray) -> list[list[float]]:
    return [[round(float(value), 2) for value in row] for row in grid]
