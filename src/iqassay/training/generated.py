"""Fitting what tells a generated picture from a photo, on what DRI-IQA's semantic encoder says of both."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iqassay.training.kept_pictures import Pictures


def fit_generated(head: nn.Linear, sets: Sequence[Pictures], decay: float) -> dict[str, float]:
    """A logistic regression on the meanings (N, 512) of the training pictures, both kinds of equal weight. Returns how
    often it is right in validation, of the generated pictures and of all others, where there are any.

    decay: weight of the squares of its coefficients, of standardised numbers; as that of the predictor.

    Raises:
        ValueError: if all pictures are of one kind.
    """
    train = [torch.from_numpy(np.asarray(s.kept[-1][: s.train], np.float32)) for s in sets]
    label = torch.cat([torch.full((len(rows),), float(s.generated)) for rows, s in zip(train, sets, strict=True)])
    if not 0 < label.mean() < 1:
        raise ValueError("got generated pictures alone, or none, want both kinds to tell them apart")
    x = torch.cat(train)
    mean, deviation = x.mean(0), x.std(0) + 1e-6
    z = (x - mean) / deviation
    weight = torch.where(label > 0, 0.5 / label.mean(), 0.5 / (1 - label.mean()))
    w, b = torch.zeros(z.shape[1], requires_grad=True), torch.zeros((), requires_grad=True)
    optimizer = torch.optim.LBFGS([w, b], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.binary_cross_entropy_with_logits(z @ w + b, label, weight) + decay / 2 * w.square().mean()
        value.backward()
        return value

    optimizer.step(loss)  # type: ignore[arg-type]  # its annotation wants a float, its code takes a tensor
    found = {}
    with torch.no_grad():
        head.weight.copy_((w / deviation)[None])
        head.bias.copy_(b - (w / deviation) @ mean)
        for kind, name in ((True, "generated pictures told"), (False, "other pictures told")):
            held = [np.asarray(s.kept[-1][s.train :], np.float32) for s in sets if s.generated == kind]
            if sum(map(len, held)):
                said = head(torch.from_numpy(np.concatenate(held)))[:, 0] > 0
                found[name] = float((said == kind).float().mean())
    print({name: round(value, 4) for name, value in found.items()}, file=sys.stderr, flush=True)
    return found
