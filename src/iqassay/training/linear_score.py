"""Fitting the linear score of MFEN or DRI-IQA, a ridge regression on what is kept of whole pictures."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from iqassay.statistics.correlation import srcc
from iqassay.systems.dri import DRI
from iqassay.systems.mfen import MFEN
from iqassay.training.head import heads_of, predict
from iqassay.training.kept_pictures import Pictures
from iqassay.training.recipes import Recipe

PULL = 2.0  # weight of a coefficient's square beside the mean square of the misses, of standardised numbers


@torch.no_grad()
def fit_linear(recipe: Recipe, system: MFEN | DRI, sets: Sequence[Pictures]) -> dict[str, float]:
    """The linear score of ``system``, in place, beside its heads, which are trained before. Returns the val SRCC
    of both together.

    Numbers and standardised opinions are taken less the mean of their set, since sets have scales of their own; a set
    counts by its share in the recipe. What it says then gets the mean and the deviation inside sets of what the
    heads say of the same pictures.

    Raises:
        ValueError: for a system without a linear score.
    """
    linear = system.linear
    if linear is None:
        raise ValueError(f"got a {type(system).__name__} without a linear score, want --linear")
    shares = recipe.shares or [1.0] * len(sets)
    learned = [(s, share) for s, share in zip(sets, shares, strict=True) if share and s.train]
    total = sum(share for _, share in learned)
    weights = [share / total / s.train for s, share in learned]  # of one picture; of all together 1
    numbers = [_numbers(system, s) for s, _ in learned]
    mean = torch.stack([w * x.sum(0) for w, x in zip(weights, numbers, strict=True)]).sum(0)
    square = torch.stack([w * (x - mean).square().sum(0) for w, x in zip(weights, numbers, strict=True)]).sum(0)
    linear.scale.running_mean, linear.scale.running_var = mean, square
    linear.eval()
    standard = [linear.standard(x) for x in numbers]
    product = torch.zeros(len(mean), len(mean), dtype=torch.float64)
    along = torch.zeros(len(mean), dtype=torch.float64)
    for w, x, (s, _) in zip(weights, standard, learned, strict=True):
        z, opinion = x - x.mean(0), torch.from_numpy(np.asarray(s.score[: s.train], np.float32))
        opinion = (opinion - opinion.mean()) / opinion.std().clamp(min=1e-6)
        product += w * (z.T @ z).double()
        along += w * (z.T @ opinion).double()
    product.diagonal().add_(PULL)
    linear.weigh.weight.copy_(torch.linalg.solve(product, along)[None])
    linear.weigh.bias.zero_()
    said = [linear.weigh(x)[:, 0] for x in standard]
    beside = [_predicted(system, s) for s, _ in learned]
    levels, spreads = zip(*(_moments(one, weights) for one in (said, beside)), strict=True)
    gain = spreads[1] / max(spreads[0], 1e-6)
    linear.weigh.weight.mul_(gain)
    linear.weigh.bias.fill_(levels[1] - gain * levels[0])
    found = {s.name: srcc(predict(system, s), s.score[s.train :]) for s in sets if s.train < len(s.score)}
    print("with the linear score", {k: round(v, 4) for k, v in found.items()}, file=sys.stderr, flush=True)
    return found


def _numbers(system: MFEN | DRI, pictures: Pictures) -> Tensor:
    """What the linear score sees of the training pictures, (N, D)."""
    return system.numbers(*(torch.from_numpy(np.asarray(v[: pictures.train])) for v in pictures.kept)).float()


def _predicted(system: MFEN | DRI, pictures: Pictures) -> Tensor:
    """The mean of what the heads say of the training pictures, (N,)."""
    said = [predict(head, pictures, 0) for head in heads_of(system)]
    return torch.from_numpy(np.mean(said, 0))[: pictures.train]


def _moments(said: Sequence[Tensor], weights: Sequence[float]) -> tuple[float, float]:
    """The weighted mean of all, and the root of the weighted mean square of what differs from the set's mean."""
    mean = sum(w * float(v.double().sum()) for w, v in zip(weights, said, strict=True))
    square = sum(w * float((v - v.mean()).double().square().sum()) for w, v in zip(weights, said, strict=True))
    return mean, square**0.5
