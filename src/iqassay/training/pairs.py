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

from iqassay.data.pipeline import labels_of, standard_of
from iqassay.statistics.correlation import srcc
from iqassay.systems.yoto_extended import ExtendedYOTO
from iqassay.training.cached_pass import fingerprint, keep
from iqassay.training.descent import descend
from iqassay.training.losses import SetScales, ranking_loss, score_loss, score_loss_by_content
from iqassay.training.recipes import Recipe
from iqassay.training.sets import rated_rows, synthetic_sets

ACROSS = 0.3  # weight of the order of two contents, where that inside one has 1
TOGETHER = 12  # pictures of one content in a batch, at most
CELLS = 64  # of a pair are kept: all of a picture of 256x256, evenly spread ones of a larger one


class Compared(nn.Module):
    """What the score with a reference is made of, for one pair: see ``ExtendedYOTO.compared``."""

    def __init__(self, system: ExtendedYOTO) -> None:
        super().__init__()
        self.system = system

    def forward(self, image: Tensor, reference: Tensor) -> tuple[Tensor, ...]:
        return self.system.compared(image, reference)


@dataclass
class Pairs:
    """One set of pairs: what is kept of them, differences (N, CELLS, K) and answers (N, CELLS, 2), and what the change
    is read from (N, D), if it is; their scores on 0..100 (N,); and ``kind`` and ``severity`` as ``Pictures`` has them.
    Rows before ``train`` are for training; none is where ``drawn`` is not set. content (N,): the number of the
    reference, where several pictures share one and people rated them; inside a content opinions weigh more.
    """

    name: str
    kept: list[np.ndarray]
    score: np.ndarray
    kind: np.ndarray
    severity: np.ndarray
    train: int
    drawn: bool = True
    content: np.ndarray | None = None


def gather_pairs(recipe: Recipe, system: ExtendedYOTO) -> list[Pairs]:
    """Every set of the recipe that has references, seen by the system; kept in ``recipe.out`` like ``gather``'s."""
    sets: list[tuple] = []
    shares = recipe.shares or [1.0] * (len(recipe.data) + bool(recipe.synthetic))
    for argument, share in zip(recipe.data, shares, strict=False):
        name, rows, count = rated_rows(recipe, argument)
        if all(row.reference for row in rows):
            pairs: list[tuple] = [(row.image, row.reference) for row in rows]
            content = contents_of([str(row.reference) for row in rows])
            score = np.array([row.score for row in rows])
            sets.append((f"{name}-pairs", pairs, score, *labels_of(rows), count, share > 0, content))
    if recipe.synthetic:
        parts = synthetic_sets(recipe)[:2]
        pairs = [pair for part in parts for pair in zip(part.pixels, part.reference, strict=True)]
        labels = (np.concatenate([getattr(p, key) for p in parts]) for key in ("pair_score", "kind", "severity"))
        sets.append(("synthetic-pairs", pairs, *labels, len(parts[0]), shares[-1] > 0, None))
    return [Pairs(s[0], compared_of(system, s[1], recipe.out, s[0]), *s[2:]) for s in sets]


def contents_of(references: Sequence[str]) -> np.ndarray | None:
    """The number of each picture's reference, (N,); None where every picture has one of its own."""
    numbers = np.unique(references, return_inverse=True)[1]
    return numbers if numbers.max(initial=-1) + 1 < len(references) else None


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
        rows = draw_rows(sets[i], batch, rng)
        raw = grade(system, sets[i], rows)
        mean, deviation = standards[i]
        target = torch.tensor((sets[i].score[rows] - mean) / deviation, dtype=torch.float32)
        dataset = torch.full((len(rows),), i)
        contents = sets[i].content
        if contents is None:
            return score_loss(scales(raw, dataset), target) + recipe.rank * ranking_loss(raw, target, dataset)
        content = torch.from_numpy(contents[rows])
        order = ranking_loss(raw, target, content) + ACROSS * ranking_loss(raw, target, dataset)
        return score_loss_by_content(scales(raw, dataset), target, content) + 2 * recipe.rank * order

    lr = recipe.lr / 2  # most weights are a thousandth: they are many, and add up
    descend([*system.distance.parameters(), *scales.parameters()], loss, recipe.steps, lr)
    found = {s.name: srcc(graded(system, s), s.score[s.train :]) for s in sets if s.train < len(s.score)}
    print({k: round(v, 4) for k, v in found.items()}, file=sys.stderr, flush=True)
    return scales, found


def draw_rows(pairs: Pairs, batch: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of a batch, sorted: any, or of a few contents where pictures share them."""
    if pairs.content is None:
        return np.sort(rng.choice(pairs.train, min(batch, pairs.train), replace=False))
    content, rows = pairs.content[: pairs.train], np.empty(0, int)
    for one in rng.permutation(np.unique(content)):
        if len(rows) >= batch:
            break
        rows = np.append(rows, rng.permutation(np.flatnonzero(content == one))[:TOGETHER])
    return np.sort(rows)


def grade(system: ExtendedYOTO, pairs: Pairs, rows: np.ndarray) -> Tensor:
    """Raw scores of some pairs."""
    return system.graded(*(torch.from_numpy(np.asarray(part[rows], np.float32)) for part in pairs.kept[:2]))[0]


@torch.no_grad()
def graded(system: ExtendedYOTO, pairs: Pairs) -> np.ndarray:
    """Raw scores of the validation pairs."""
    rows = np.array_split(np.arange(pairs.train, len(pairs.score)), max(1, (len(pairs.score) - pairs.train) // 64))
    return np.concatenate([grade(system, pairs, part).numpy() for part in rows])
