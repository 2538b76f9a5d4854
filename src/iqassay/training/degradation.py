"""The degradation encoder of DRI-IQA: the contrast it learns by, and the degradations that the system knows by name."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iqassay.data.synthetic import SyntheticSet
from iqassay.systems.blocks import N_KINDS, pool_statistics
from iqassay.systems.degradation import DegradationEncoder
from iqassay.systems.dri import DRI, LEVELS
from iqassay.training.descent import descend
from iqassay.training.losses import alike_by, contrast_loss, label, representation_loss
from iqassay.training.recipes import Recipe

STEPS, BATCH, LR, DECAY, DROP = 1000, 512, 2e-3, 0.3, 0.1


class Described(nn.Module):
    """What the degradation vector is made of, which is computed once of every picture."""

    def __init__(self, system: DRI) -> None:
        super().__init__()
        self.system = system

    def forward(self, image: Tensor) -> tuple[Tensor]:
        return (self.system.degradation.statistics(image, pool_statistics(self.system.encoder.encode(image))),)


@dataclass
class Degraded:
    """The ``statistics`` of pictures (N, inputs), their type and level (N, 2), as ``label`` has them, and what part of
    a batch they are. Rows before ``train`` are for training."""

    statistics: Tensor
    labels: Tensor
    train: int
    share: float

    @classmethod
    def of(cls, statistics: np.ndarray, made: Sequence[SyntheticSet], share: float) -> Degraded:
        """Of what is kept of one set and then of another, the first of which is for training."""
        kind, severity = (torch.from_numpy(np.concatenate([getattr(m, k) for m in made])) for k in ("kind", "severity"))
        return cls(torch.from_numpy(np.asarray(statistics)), label(kind, severity), len(made[0]), share)


def fit_degradation(recipe: Recipe, encoder: DegradationEncoder, sets: Sequence[Degraded]) -> float:
    """Train the encoder, in place, by contrast and by the representation loss. Returns ``retrieval`` among the pictures
    of the first set that are not for training.

    Alike are pictures of one type at about one level; those of unknown type, such as chains, are like none.
    """
    torch.manual_seed(recipe.seed)
    statistics = torch.cat([s.statistics[: s.train] for s in sets])
    encoder.scale.running_mean, encoder.scale.running_var = statistics.mean(0), statistics.var(0)
    encoder.train()
    encoder.scale.eval()
    counts = [round(BATCH * s.share) for s in sets]

    def loss() -> Tensor:
        rows = [torch.randint(s.train, (count,)) for s, count in zip(sets, counts, strict=True)]
        labels = torch.cat([s.labels[r] for s, r in zip(sets, rows, strict=True)])
        d = encoder.of(torch.cat([s.statistics[r] for s, r in zip(sets, rows, strict=True)]), DROP)
        z, known = encoder.embed(d), labels[:, 0] >= 0
        itself = torch.eye(len(d), dtype=torch.bool)
        alike = alike_by(labels, labels) & ~itself
        parted = representation_loss(d[known], d, alike[known], (~alike & ~itself)[known])
        return recipe.contrast * contrast_loss(z[known], z, alike[known], itself[known]) + (
            recipe.representation * parted
        )

    descend(encoder.parameters(), loss, STEPS, LR, DECAY)
    encoder.eval()
    first = sets[0]
    found = retrieval(_embedded(encoder, first.statistics[first.train :]), first.labels[first.train :])
    print(f"degradations: retrieval {found:.4f}", file=sys.stderr, flush=True)
    return found


def retrieval(z: Tensor, labels: Tensor) -> float:
    """How often the nearest other picture has the same distortion type, among those with one."""
    single = (labels[:, 0] >= 0) & (labels[:, 0] < N_KINDS)
    z, kind = z[single], labels[single, 0]
    nearest = (z @ z.T).fill_diagonal_(-2).argmax(1)
    return float((kind[nearest] == kind).float().mean())


@torch.no_grad()
def _embedded(encoder: DegradationEncoder, statistics: Tensor) -> Tensor:
    return encoder.embed(encoder.of(statistics))


@torch.no_grad()
def known_degradations(system: DRI, d: np.ndarray, labels: np.ndarray) -> Tensor:
    """What ``system.known`` should be: the mean embedding of every type at every level, and of none; zero without any.

    d (N, D): degradation vectors; labels (N, 2): type and level.
    """
    z, found = system.degradation.embed(torch.from_numpy(d)), torch.zeros_like(system.known)
    for i in range(len(found)):
        kind, level = divmod(i, LEVELS)
        rows = (labels[:, 0] == kind) & ((np.rint(labels[:, 1]) == level + 1) | (kind == N_KINDS))
        if rows.any():
            found[i] = F.normalize(z[torch.from_numpy(rows)].mean(0), dim=0)
    return found
