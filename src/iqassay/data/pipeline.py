"""From rated and synthetic pictures to training batches: aligned crops, several scales, every set in every batch.

A sample is a dictionary of tensors:
    x         (3, S, S) float32, RGB in [0, 1]
    reference (3, S, S) float32, RGB in [0, 1], aligned with x; only in the full-reference sets
    score     () float32, standardised inside its set (mean 0, deviation 1), higher is better
    dataset   () int64, which set
    kind      (26,) float32, shares of the distortion types and "none", all -1 where unknown
    severity  (25,) float32, in 0..5, -1 where unknown
and, for networks that look at whole pictures beside crops (``view``),
    whole     (3, V, V) float32, the picture that the crop is of, shrunk to a square whatever its proportions
    place     (4,) float32, where the crop lies in it: left, top, right, bottom, from 0 to 1
    damaged   (S/32, S/32) float32, the share of each cell that is damaged where the rest is clean, -1 where unknown
    said      (514,) float32, what a teacher says of the picture, nan where it says nothing
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset, Sampler

from iqassay.data.coverage import UNTOUCHED
from iqassay.data.distortions import KINDS
from iqassay.data.rating import Rating, Ratings
from iqassay.data.synthetic import UNKNOWN, SyntheticSet, eight_bit_photo

Sample = dict[str, Tensor]
CELL = 32  # pixels: the grid of a network's map
OF_CROPS = ("x", "reference", "whole", "place")  # what of a sample belongs to its crop
SAID = 514  # numbers that a teacher says of a picture
LEAST_DAMAGE = 25  # points of score between a picture and its reference: less is no damage to point at


class RatedPictures(Dataset):
    """Crops of rated photos. Training: random scale, place and flip; otherwise the centre at a fixed scale, or several.

    The score belongs to the whole picture, so a crop often shows a shrunk picture rather than a small piece of it.
    Distortions that the set names are labels, as far as ``labels_of`` knows them. ``pairs``: with the reference, for
    rows that have one; the same scale, place and flip for both. ``crops``: where it is not for training, so many at
    random places of the largest scale, as papers test; x and reference are then (crops, 3, S, S). The places depend on
    ``seed`` and the picture's name alone. ``view``: the side of the whole picture in a sample, 0 for none, of
    which up to ``margin`` of each side is left out in training; ``said``: what a teacher says of each row, (N, 514).
    """

    def __init__(
        self,
        ratings: Ratings,
        index: int,
        size: int,
        train: bool,
        standard: tuple[float, float],
        scales: Sequence[float],
        pairs: bool = False,
        crops: int = 0,
        seed: int = 0,
        view: int = 0,
        said: np.ndarray | None = None,
        margin: float = 0.0,
    ) -> None:
        self.view, self.said, self.margin = view, said, margin if train else 0.0
        self.pairs, self.crops, self.seed = pairs, 0 if train else crops, seed
        self.rows, self.index, self.size, self.train, self.scales = ratings.rows, index, size, train, tuple(scales)
        self.mean, self.deviation = standard
        self.kind, self.severity = labels_of(ratings.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> Sample:
        row = self.rows[i]
        pictures = [eight_bit_photo(row.image)]
        if self.pairs and row.reference is not None:
            pictures.append(eight_bit_photo(row.reference))
            if pictures[0].size != pictures[1].size:
                sizes = " and ".join(f"{p.width}x{p.height}" for p in pictures)
                raise ValueError(f"{row.image}: got {sizes} pixels of it and its reference, want the same size")
        picture = pictures[0]
        fixed = max(self.scales) if self.crops else self.scales[-1]
        scale = self.scales[int(torch.randint(len(self.scales), ()))] if self.train else fixed
        scale = max(scale, self.size / min(picture.size))
        if scale != 1:
            sides = [max(self.size, round(side * scale)) for side in picture.size]
            pictures = [p.resize((sides[0], sides[1]), Image.Resampling.BICUBIC) for p in pictures]
        room = [side - self.size for side in pictures[0].size]
        score = (row.score - self.mean) / self.deviation
        if self.crops:
            places = places_of(row.image.name, self.seed, self.crops, (room[0], room[1]))
            samples = [
                _sample(self._cut(pictures, *place), False, score, self.index, self.kind[i], self.severity[i])
                | (_around(picture, self.view, place, self.size, False) if self.view else {})
                for place in places
            ]
            seen = {k: torch.stack([one[k] for one in samples]) for k in OF_CROPS if k in samples[0]}
            return samples[0] | seen
        left, top = [int(torch.randint(r + 1, ())) if self.train else r // 2 for r in room]
        flip = self.train and bool(torch.rand(()) < 0.5)
        sample = _sample(self._cut(pictures, left, top), flip, score, self.index, self.kind[i], self.severity[i])
        if self.view:
            sample |= _around(picture, self.view, (left, top), self.size, flip, self.margin)
            sample["said"] = _said(None if self.said is None else self.said[i])
        return sample

    def _cut(self, pictures: Sequence[Image.Image], left: int, top: int) -> list[np.ndarray]:
        """The same crop of every picture."""
        return [np.asarray(p.crop((left, top, left + self.size, top + self.size))) for p in pictures]


def places_of(name: str, seed: int, count: int, room: tuple[int, int]) -> list[tuple[int, int]]:
    """Left and top of so many crops, random but the same for ever: by the picture's name and the seed.

    room: how far the crop may move to the right and down.
    """
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    drawn = np.random.default_rng(int.from_bytes(digest[:8], "big")).random((count, 2))
    return [(int(x * (room[0] + 1)), int(y * (room[1] + 1))) for x, y in drawn]


class SyntheticPictures(Dataset):
    """Crops of a rendered synthetic set, with distortion types and severities; ``pairs``: with their references too.

    ``view``: the side of the whole picture in a sample, 0 for none. ``patched``: the share of pictures, when training,
    of which only a part is damaged and the rest is the reference, so that a network learns where damage is. ``margin``:
    see ``RatedPictures``.
    """

    def __init__(
        self,
        pictures: SyntheticSet,
        index: int,
        size: int,
        train: bool,
        standard: tuple[float, float],
        pairs: bool = False,
        view: int = 0,
        patched: float = 0.0,
        margin: float = 0.0,
    ) -> None:
        self.view, self.patched, self.margin = view, patched if train else 0.0, margin if train else 0.0
        self.pairs, self.score = pairs, pictures.pair_score if pairs else pictures.score
        self.set, self.index, self.size, self.train = pictures, index, size, train
        self.mean, self.deviation = standard

    def __len__(self) -> int:
        return len(self.set)

    def __getitem__(self, i: int) -> Sample:
        room = self.set.pixels.shape[1] - self.size
        if room < 0:
            raise ValueError(
                f"got synthetic pictures of {self.set.pixels.shape[1]} pixels, want at least the crop, {self.size}"
            )
        left, top = (int(torch.randint(room + 1, ())) if self.train else room // 2 for _ in range(2))
        pictures = [self.set.pixels[i], self.set.reference[i]] if self.pairs else [self.set.pixels[i]]
        score, kind, severity = float(self.score[i]), self.set.kind[i], self.set.severity[i]
        damaged = None
        if self.patched and score < UNTOUCHED - LEAST_DAMAGE and float(torch.rand(())) < self.patched:
            pictures[0], damaged = patch(self.set.pixels[i], self.set.reference[i])
            # People look at the damage: half a picture of it counts for more than half.
            score = UNTOUCHED + (score - UNTOUCHED) * float(damaged.mean()) ** 0.5
            kind, severity = np.full_like(kind, UNKNOWN), np.full_like(severity, UNKNOWN)
        cut = np.s_[top : top + self.size, left : left + self.size]
        crops = [p[cut] for p in pictures]
        flip = self.train and bool(torch.rand(()) < 0.5)
        sample = _sample(crops, flip, (score - self.mean) / self.deviation, self.index, kind, severity)
        if self.view:
            sample |= _around(Image.fromarray(pictures[0]), self.view, (left, top), self.size, flip, self.margin)
            sample["said"] = _said(None)
            if damaged is not None:
                cells = damaged[cut].reshape(self.size // CELL, CELL, -1, CELL).mean((1, 3))
                sample["damaged"] = torch.from_numpy(cells[:, ::-1].copy() if flip else cells).float()
        return sample


def patch(
    picture: np.ndarray, reference: np.ndarray, least: float = 0.2, even: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """The reference with one box, of ``least`` to two thirds of its area, taken from the picture, and the box as a mask
    (H, W) of 0 and 1. Both pictures are (H, W, 3).

    even: of so many boxes the edges lie on those of cells, where no cell shows them; half of these are in a corner.
    """
    size = np.array(picture.shape[:2])
    area, shape = float(torch.empty(()).uniform_(least, 0.67)), float(torch.empty(()).uniform_(0.7, 1.4))
    box = np.minimum(size, np.rint(size * area**0.5 * np.array([shape, 1 / shape])).astype(int))
    start = np.array([int(torch.randint(room + 1, ())) for room in size - box])
    if even and float(torch.rand(())) < even:
        box, start = np.clip((box + CELL // 2) // CELL, 1, size // CELL) * CELL, start // CELL * CELL
        room = (size - box) // CELL * CELL
        corner = (torch.rand(3) < 0.5).tolist()
        start = room * corner[1:] if corner[0] else np.minimum(start, room)
    end = start + box
    inside = np.s_[start[0] : end[0], start[1] : end[1]]
    mixed, mask = np.array(reference), np.zeros(size, np.float32)
    mixed[inside], mask[inside] = picture[inside], 1
    return mixed, mask


def _around(
    picture: Image.Image, view: int, corner: tuple[int, int], size: int, flip: bool, margin: float = 0.0
) -> Sample:
    """The whole picture of a crop, less up to ``margin`` of each side, where the crop lies in all of it, and a map of
    damage that is not known."""
    box = None
    if margin:
        seen, at = (torch.rand(2).tolist() for _ in range(2))
        sides = [side * (1 - margin * s) for side, s in zip(picture.size, seen, strict=True)]
        corners = [(whole - side) * a for whole, side, a in zip(picture.size, sides, at, strict=True)]
        box = (corners[0], corners[1], corners[0] + sides[0], corners[1] + sides[1])
    whole = np.asarray(picture.resize((view, view), Image.Resampling.BILINEAR, box))
    (left, top), (width, height) = corner, picture.size
    place = [left / width, top / height, (left + size) / width, (top + size) / height]
    if flip:
        whole = whole[:, ::-1]
        place[0], place[2] = 1 - place[2], 1 - place[0]
    return {
        "whole": torch.from_numpy(whole.copy()).permute(2, 0, 1).float() / 255,
        "place": torch.tensor(place, dtype=torch.float32),
        "damaged": torch.full((size // CELL, size // CELL), UNKNOWN),
    }


def _said(row: np.ndarray | None) -> Tensor:
    return torch.full((SAID,), torch.nan) if row is None else torch.from_numpy(np.asarray(row, np.float32))


def _sample(
    crops: list[np.ndarray], flip: bool, score: float, index: int, kind: np.ndarray, severity: np.ndarray
) -> Sample:
    crops = [np.array(crop[:, ::-1] if flip else crop) for crop in crops]
    pictures = [torch.from_numpy(crop).permute(2, 0, 1).float() / 255 for crop in crops]
    return {
        **dict(zip(("x", "reference"), pictures, strict=False)),
        "score": torch.tensor(score, dtype=torch.float32),
        "dataset": torch.tensor(index),
        "kind": torch.from_numpy(np.asarray(kind)),
        "severity": torch.from_numpy(np.asarray(severity)),
    }


def labels_of(rows: Sequence[Rating]) -> tuple[np.ndarray, np.ndarray]:
    """What rated rows say of distortions: kind (N, 26) and severity (N, 25), as samples have them.

    A distortion that is called as one of ``KINDS`` is that; any other is unknown. Its level is the severity where all
    levels of the rows lie in 1 to 5; in a set with others they are on another scale.
    """
    kind, severity = (np.full((len(rows), n), UNKNOWN, np.float32) for n in (len(KINDS) + 1, len(KINDS)))
    levels = [row.level for row in rows if not math.isnan(row.level)]
    graded = bool(levels) and min(levels) >= 1 and max(levels) <= 5
    for i, row in enumerate(rows):
        if row.distortion in KINDS:
            number = KINDS.index(row.distortion)
            kind[i] = np.eye(len(KINDS) + 1)[number]
            if graded and not math.isnan(row.level):
                severity[i, number] = row.level
    return kind, severity


def standard_of(scores: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Mean and deviation of the training scores of a set: the unit in which it is learned."""
    values = np.asarray(scores, np.float64)
    return float(values.mean()), float(values.std() or 1.0)


class MixedBatches(Sampler[list[int]]):
    """Batches that hold every set in fixed shares, for ranking inside a set; ``steps`` batches make an epoch.

    A set with a share has at least two pictures in every batch, one with the share 0 has none.

    Each set is gone through in a random order of its own, again and again; the order depends on ``seed``, the epoch
    and, with several devices, on which one asks. Sets named by ``paired``, which come with references, never mix with
    the others: a fair coin decides for every batch which of the two it is made of (YOTO's joint training).

    Raises:
        ValueError: for another number of shares than sets, one below 0, or nothing but 0.
    """

    def __init__(
        self,
        data: ConcatDataset,
        shares: Sequence[float],
        batch: int,
        steps: int,
        seed: int,
        paired: Sequence[int] = (),
    ) -> None:
        if len(shares) != len(data.datasets):
            raise ValueError(f"got {len(shares)} shares for {len(data.datasets)} data sets, want one each")
        if min(shares) < 0 or not any(shares):
            raise ValueError(
                f"got shares {', '.join(f'{s:g}' for s in shares)} of a batch, want one above 0, none below"
            )
        self.modes: list[dict[int, int]] = []  # for each mode: set -> how many of it in a batch
        drawn = [i for i, share in enumerate(shares) if share]
        for mode in ([i for i in drawn if i not in paired], [i for i in drawn if i in paired]):
            total = sum(shares[i] for i in mode)
            if mode:
                self.modes.append({i: max(2, round(batch * shares[i] / total)) for i in mode})
        self.steps, self.seed, self.epoch = steps, seed, 0
        ends = data.cumulative_sizes
        self.ranges = list(zip([0, *ends[:-1]], ends, strict=True))

    def __len__(self) -> int:
        return self.steps

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this at the start of an epoch: a resumed run sees the same batches as an unbroken one."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        several = torch.distributed.is_available() and torch.distributed.is_initialized()
        device = torch.distributed.get_rank() if several else 0
        generator = torch.Generator().manual_seed((self.seed * 10_007 + self.epoch) * 10_007 + device)
        orders = [self._endless(start, end, generator) for start, end in self.ranges]
        coins = torch.Generator().manual_seed(self.seed * 10_007 + self.epoch)  # all devices in the same mode
        for _ in range(self.steps):
            mode = self.modes[int(torch.randint(len(self.modes), (), generator=coins))]
            yield [next(orders[i]) for i, count in mode.items() for _ in range(count)]

    def _endless(self, start: int, end: int, generator: torch.Generator) -> Iterator[int]:
        while True:
            yield from (torch.randperm(end - start, generator=generator) + start).tolist()
