"""From rated and synthetic pictures to training batches: aligned crops, several scales, every set in every batch.

A sample is a dictionary of tensors:
    x         (3, S, S) float32, RGB in [0, 1]
    score     () float32, standardised inside its set (mean 0, deviation 1), higher is better
    dataset   () int64, which set
    kind      (26,) float32, shares of the distortion types and "none", all -1 where unknown
    severity  (25,) float32, in 0..5, -1 where unknown
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset, Sampler

from iqassay.data.datasets import Ratings
from iqassay.data.synthetic import UNKNOWN, SyntheticSet, eight_bit_photo

Sample = dict[str, Tensor]


class RatedPictures(Dataset):
    """Crops of rated photos. Training: random scale, place and flip; otherwise the centre at a fixed scale.

    The score belongs to the whole picture, so a crop often shows a shrunk picture rather than a small piece of it.
    """

    def __init__(
        self,
        ratings: Ratings,
        index: int,
        size: int,
        train: bool,
        standard: tuple[float, float],
        scales: Sequence[float],
    ) -> None:
        self.rows, self.index, self.size, self.train, self.scales = ratings.rows, index, size, train, tuple(scales)
        self.mean, self.deviation = standard

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> Sample:
        row = self.rows[i]
        picture = eight_bit_photo(row.image)
        scale = self.scales[int(torch.randint(len(self.scales), ()))] if self.train else self.scales[-1]
        scale = max(scale, self.size / min(picture.size))
        if scale != 1:
            sides = [max(self.size, round(side * scale)) for side in picture.size]
            picture = picture.resize((sides[0], sides[1]), Image.Resampling.BICUBIC)
        room = [side - self.size for side in picture.size]
        left, top = [int(torch.randint(r + 1, ())) if self.train else r // 2 for r in room]
        crop = np.asarray(picture.crop((left, top, left + self.size, top + self.size)))
        flip = self.train and bool(torch.rand(()) < 0.5)
        return _sample(crop, flip, (row.score - self.mean) / self.deviation, self.index, None, None)


class SyntheticPictures(Dataset):
    """Crops of a rendered synthetic set, with distortion types and severities."""

    def __init__(
        self, pictures: SyntheticSet, index: int, size: int, train: bool, standard: tuple[float, float]
    ) -> None:
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
        crop = self.set.pixels[i, top : top + self.size, left : left + self.size]
        flip = self.train and bool(torch.rand(()) < 0.5)
        score = (float(self.set.score[i]) - self.mean) / self.deviation
        return _sample(crop, flip, score, self.index, self.set.kind[i], self.set.severity[i])


def _sample(
    crop: np.ndarray, flip: bool, score: float, index: int, kind: np.ndarray | None, severity: np.ndarray | None
) -> Sample:
    crop = np.array(crop[:, ::-1] if flip else crop)
    return {
        "x": torch.from_numpy(crop).permute(2, 0, 1).float() / 255,
        "score": torch.tensor(score, dtype=torch.float32),
        "dataset": torch.tensor(index),
        "kind": torch.full((26,), UNKNOWN) if kind is None else torch.from_numpy(np.asarray(kind)),
        "severity": torch.full((25,), UNKNOWN) if severity is None else torch.from_numpy(np.asarray(severity)),
    }


def standard_of(scores: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Mean and deviation of the training scores of a set: the unit in which it is learned."""
    values = np.asarray(scores, np.float64)
    return float(values.mean()), float(values.std() or 1.0)


class MixedBatches(Sampler[list[int]]):
    """Batches that hold every set in fixed shares, for ranking inside a set; ``steps`` batches make an epoch.

    Each set is gone through in a random order of its own, again and again; the order depends on ``seed``, the epoch
    and, with several devices, on which one asks.
    """

    def __init__(self, data: ConcatDataset, shares: Sequence[float], batch: int, steps: int, seed: int) -> None:
        total = sum(shares)
        counts = [max(2, round(batch * share / total)) for share in shares]
        if len(shares) != len(data.datasets):
            raise ValueError(f"got {len(shares)} shares for {len(data.datasets)} data sets, want one each")
        self.counts, self.steps, self.seed, self.epoch = counts, steps, seed, 0
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
        for _ in range(self.steps):
            yield [next(order) for order, count in zip(orders, self.counts, strict=True) for _ in range(count)]

    def _endless(self, start: int, end: int, generator: torch.Generator) -> Iterator[int]:
        while True:
            yield from (torch.randperm(end - start, generator=generator) + start).tolist()
