"""The terms a system is trained by. Each is a mean over what is known in the batch and zero where nothing is."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SetScales(nn.Module):
    """A learned scale for each data set: score_in_set = exp(log_gain) * raw + offset.

    Sets were rated by other people with other questions on other scales; the raw score is what they share.
    """

    def __init__(self, sets: int) -> None:
        super().__init__()
        self.log_gain, self.offset = nn.Parameter(torch.zeros(sets)), nn.Parameter(torch.zeros(sets))

    def forward(self, raw: Tensor, dataset: Tensor) -> Tensor:
        return self.log_gain.exp()[dataset] * raw + self.offset[dataset]


def score_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Smooth L1 on standardised scores, (B,) each: L1 as in the antecedents of MFEN, rounded within half a deviation."""
    return F.smooth_l1_loss(predicted, target, beta=0.5)


def ranking_loss(raw: Tensor, target: Tensor, dataset: Tensor, gap: float = 0.25) -> Tensor:
    """Logistic loss over all pairs of one set whose scores differ by more than ``gap`` deviations; (B,) each."""
    difference = target[:, None] - target[None, :]
    pairs = (dataset[:, None] == dataset[None, :]) & (difference > gap)
    if not pairs.any():
        return raw.sum() * 0
    return F.softplus(-2 * (raw[:, None] - raw[None, :])[pairs]).mean()


def kind_loss(logits: Tensor, shares: Tensor) -> Tensor:
    """Cross entropy against the shares of 25 distortion types and "none", (B, 26) each; rows of -1 do not count."""
    known = shares[:, 0] >= 0
    if not known.any():
        return logits.sum() * 0
    return F.cross_entropy(logits[known], shares[known])


def severity_loss(severity: Tensor, levels: Tensor) -> Tensor:
    """Mean absolute error in levels over the distortions that are present, (B, 25) each; -1 does not count."""
    known = levels >= 0
    if not known.any():
        return severity.sum() * 0
    return (severity[known] - levels[known]).abs().mean()
