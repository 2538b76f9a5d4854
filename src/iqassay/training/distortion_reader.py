"""Fitting what names the distortions of a picture, on what is kept of pictures whose types are known."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from iqassay.data.pipeline import labels_of
from iqassay.systems.blocks import DistortionHead
from iqassay.training.descent import descend
from iqassay.training.kept_pictures import Pictures
from iqassay.training.losses import kind_loss, severity_loss
from iqassay.training.pairs import Pairs
from iqassay.training.recipes import Recipe
from iqassay.training.sets import rated_rows


def named(recipe: Recipe) -> bool:
    """Whether a set of the recipe names distortion types of pictures to train on, and has a share of the batches."""
    for argument, share in zip(recipe.data, recipe.shares or [1.0] * len(recipe.data), strict=False):
        _, rows, train = rated_rows(recipe, argument)
        if share and (labels_of(rows[:train])[0] >= 0).any():
            return True
    return bool(recipe.synthetic) and (not recipe.shares or recipe.shares[-1] > 0)


def fit_distortions(
    recipe: Recipe, head: DistortionHead, statistics: Sequence[Tensor], sets: Sequence[Pictures | Pairs]
) -> dict[str, float]:
    """Train a distortion head on statistics (N, D) of every set, by pictures whose type is known; their level is
    learned where it is known too. Returns, for each set, how often the first guess is right in validation.

    A set has its share of the batches, whatever it has of such pictures.
    """
    torch.manual_seed(recipe.seed)
    shares = recipe.shares or [1.0] * len(sets)
    known = [torch.from_numpy(np.flatnonzero(s.kind[:, 0] >= 0)) for s in sets]
    taught = [rows[rows < s.train] for rows, s in zip(known, sets, strict=True)]
    chance = torch.cat([torch.full((len(r),), s / max(1, len(r))) for r, s in zip(taught, shares, strict=True)])
    seen = torch.cat([values[rows] for values, rows in zip(statistics, taught, strict=True)])
    kind, severity = (
        torch.cat([torch.from_numpy(getattr(s, name))[rows] for s, rows in zip(sets, taught, strict=True)])
        for name in ("kind", "severity")
    )

    def loss() -> Tensor:
        rows = torch.multinomial(chance, recipe.batch, replacement=True)
        answer = head(seen[rows])
        return kind_loss(answer["kind"], kind[rows]) + 0.5 * severity_loss(answer["severity"], severity[rows])

    head.train()
    descend(head.parameters(), loss, recipe.steps * recipe.epochs, recipe.lr, recipe.decay)
    head.eval()
    found = {}
    for one, values, rows in zip(sets, statistics, known, strict=True):
        held = rows[rows >= one.train]
        if len(held):
            with torch.no_grad():
                guess = head(values[held])["kind"].argmax(1)
            found[f"distortion type, {one.name}"] = float((one.kind[held.numpy(), guess.numpy()] > 0).mean())
    print({name: round(value, 4) for name, value in found.items()}, file=sys.stderr, flush=True)
    return found
