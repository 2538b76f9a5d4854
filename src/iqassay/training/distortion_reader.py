"""Fitting what names the distortions of a picture, on the statistics that are kept of synthetic ones."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from iqassay.data.synthetic import SyntheticSet
from iqassay.systems.blocks import DistortionHead
from iqassay.training.descent import descend
from iqassay.training.losses import kind_loss, severity_loss
from iqassay.training.recipes import Recipe


def fit_distortions(recipe: Recipe, head: DistortionHead, statistics: Tensor, made: Sequence[SyntheticSet]) -> float:
    """Train a distortion head on statistics (N, D) of the pictures to train on and then those to validate on. Returns
    how often its first guess is right in validation."""
    torch.manual_seed(recipe.seed)
    train = len(made[0])
    shares, levels = (torch.from_numpy(np.concatenate([getattr(m, k) for m in made])) for k in ("kind", "severity"))
    known = torch.from_numpy(np.flatnonzero(made[0].kind[:, 0] >= 0))

    def loss() -> Tensor:
        rows = known[torch.randint(len(known), (recipe.batch,))]
        answer = head(statistics[rows])
        return kind_loss(answer["kind"], shares[rows]) + 0.5 * severity_loss(answer["severity"], levels[rows])

    head.train()
    descend(head.parameters(), loss, recipe.steps * recipe.epochs, recipe.lr, recipe.decay)
    head.eval()
    with torch.no_grad():
        guess = head(statistics[train:])["kind"].argmax(1, keepdim=True)
    held = shares[train:]
    right = held.gather(1, guess)[held[:, 0] >= 0] > 0
    print(f"distortion type right: {float(right.float().mean()):.3f}", file=sys.stderr, flush=True)
    return float(right.float().mean())
