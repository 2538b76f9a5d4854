"""The second stage for pictures with references: the distance alone, on whole pairs.

With all else fixed, a pair is a table of differences, cell by cell, computed once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from iqassay.data.pipeline import standard_of
from iqassay.statistics.correlation import srcc
from iqassay.systems.yoto_extended import ExtendedYOTO
from iqassay.training.cached_pass import fingerprint, keep
from iqassay.training.descent import descend
from iqassay.training.losses import SetScales, ranking_loss, score_loss
from iqassay.training.recipes import Recipe
from iqassay.training.sets import rated_rows, synthetic_sets

CELLS = 64  # of a pair are kept: all of a picture of 256x256, evenly spread ones of a larger one


class Compared(nn.Module):
    """What the score with a reference is made of, for one pair: see ``ExtendedYOTO.compared``."""

    def __init__(self, system: ExtendedYOTO) -> None:
        super().__init__()
        self.system = system

    def forward(self, image: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        return self.system.compared(image, reference)


@dataclass
class Pairs:
    """One set of pairs: what is kept of them, differences (N, CELLS, K) and answers (N, CELLS, 2), and their scores on
    0..100 (N,). Rows before ``train`` are for training; none is where ``drawn`` is not set.
    """

    name: str
    kept: list[np.ndarray]
    score: np.ndarray
    train: int
    drawn: bool = True


def gather_pairs(recipe: Recipe, system: ExtendedYOTO) -> list[Pairs]:
    """Every set of the recipe that has references, seen by the system; kept in ``recipe.out`` like ``gather``'s."""
    sets: list[tuple[str, list, np.ndarray, int, bool]] = []
    shares = recipe.shares or [1.0] * (len(recipe.data) + bool(recipe.synthetic))
    for argument, share in zip(recipe.data, shares, strict=False):
        name, rows, count = rated_rows(recipe, argument)
        if all(row.reference for row in rows):
            pairs: list[tuple] = [(row.image, row.reference) for row in rows]
            sets.append((f"{name}-pairs", pairs, np.array([row.score for row in rows]), count, share > 0))
    if recipe.synthetic:
        parts = synthetic_sets(recipe)[:2]
        pairs = [pair for part in parts for pair in zip(part.pixels, part.reference, strict=True)]
        score = np.concatenate([p.pair_score for p in parts])
        sets.append(("synthetic-pairs", pairs, score, len(parts[0]), shares[-1] > 0))
    return [
        Pairs(name, compared_of(system, pairs, recipe.out, name), score, count, drawn)
        for name, pairs, score, count, drawn in sets
    ]


def compared_of(system: ExtendedYOTO, pairs: Sequence[tuple], folder: Path, name: str) -> list[np.ndarray]:
    """What is kept of pairs, (N, ...) each; kept in ``folder``, by what the system and the pictures are."""
    folder = folder / f"{name}-{fingerprint(system, [source for pair in pairs for source in pair])}"
    return keep(folder, Compared(system), pairs, CELLS)


def fit_distance(recipe: Recipe, system: ExtendedYOTO, sets: list[Pairs]) -> tuple[SetScales, dict[str, float]]:
    """Train ``system.distance`` on what the fixed rest of the system says of the pairs. Returns the sets' learned
    scales, and the val SRCC of each.

    Anew, and for ``recipe.steps`` batches only: longer training follows the modelled opinions of the synthetic pairs
    ever better and people's opinions of real codecs less (docs/yoto.md).
    """
    torch.manual_seed(recipe.seed)
    system.distance.reset_parameters()
    standards = [standard_of(s.score[: s.train]) for s in sets]
    scales = SetScales(standards)
    rng, batch = np.random.default_rng(recipe.seed), max(8, recipe.batch // 4)
    drawn = [i for i, pairs in enumerate(sets) if pairs.drawn]

    def loss() -> Tensor:
        i = drawn[int(rng.integers(len(drawn)))]
        rows = np.sort(rng.choice(sets[i].train, min(batch, sets[i].train), replace=False))
        raw = grade(system, sets[i], rows)
        mean, deviation = standards[i]
        target = torch.tensor((sets[i].score[rows] - mean) / deviation, dtype=torch.float32)
        dataset = torch.full((len(rows),), i)
        return score_loss(scales(raw, dataset), target) + recipe.rank * ranking_loss(raw, target, dataset)

    lr = recipe.lr / 2  # most weights are a thousandth: they are many, and add up
    descend([*system.distance.parameters(), *scales.parameters()], loss, recipe.steps, lr)
    found = {s.name: srcc(graded(system, s), s.score[s.train :]) for s in sets if s.train < len(s.score)}
    print({k: round(v, 4) for k, v in found.items()}, file=sys.stderr, flush=True)
    return scales, found


def grade(system: ExtendedYOTO, pairs: Pairs, rows: np.ndarray) -> Tensor:
    """Raw scores of some pairs."""
    return system.graded(*(torch.from_numpy(np.asarray(part[rows], np.float32)) for part in pairs.kept))[0]


@torch.no_grad()
def graded(system: ExtendedYOTO, pairs: Pairs) -> np.ndarray:
    """Raw scores of the validation pairs."""
    rows = np.array_split(np.arange(pairs.train, len(pairs.score)), max(1, (len(pairs.score) - pairs.train) // 64))
    return np.concatenate([grade(system, pairs, part).numpy() for part in rows])
