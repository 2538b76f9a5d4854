"""The terms a system is trained by. Each is a mean over what is known in the batch and zero where nothing is."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

OFFSET = 1.0  # variance of an opinion over that of a content's offset, in the sets that have several of a content
NEAR = 0.75  # levels: two pictures of one distortion are alike if no further apart


class SetScales(nn.Module):
    """A learned scale for each data set: score_in_set = exp(log_gain) * raw + offset.

    Sets were rated by other people with other questions on other scales; the raw score is what they share. It starts
    as (opinion on 0..100 - 60) / 20 for every set, so that sets that do agree stay together; a set whose opinions are
    much narrower or wider than 20 keeps at most a factor of two of that.

    Args:
        standards: mean and deviation of each set's training scores on 0..100.
    """

    def __init__(self, standards: Sequence[tuple[float, float]]) -> None:
        super().__init__()
        mean, deviation = torch.tensor(standards, dtype=torch.float32).unbind(1)
        gain = (20 / deviation).clamp(0.5, 2)
        self.log_gain, self.offset = nn.Parameter(gain.log()), nn.Parameter(gain * (60 - mean) / 20)

    def forward(self, raw: Tensor, dataset: Tensor) -> Tensor:  # (B,) raw, (B,) int64
        return self.log_gain.exp()[dataset] * raw + self.offset[dataset]


def score_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Smooth L1 on standardised scores, (B,) each: the L1 of MFEN's antecedents, rounded within half a deviation."""
    return F.smooth_l1_loss(predicted, target, beta=0.5)


def score_loss_by_content(predicted: Tensor, target: Tensor, content: Tensor) -> Tensor:
    """``score_loss`` where people liked some contents more than others, whatever was done to them; content (B,) int64.

    Every content has an offset, of which is left what a mixed model would leave: the mean of its n residuals, times
    n / (n + OFFSET). A content that is alone in the batch keeps half of its error, one of many nothing of what they
    have in common.
    """
    same = (content[:, None] == content[None, :]).float()
    residual = predicted - target
    offset = (same @ residual) / (same.sum(1) + OFFSET)
    return F.smooth_l1_loss(residual - offset, torch.zeros_like(residual), beta=0.5)


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


def damage_loss(local: Tensor, damaged: Tensor) -> Tensor:
    """Logistic loss of a map of local quality (B, 1, h, w) on pictures of which a part is damaged: every cell there is
    to lie below the mean of the clean ones, and every clean one above the mean of the damaged.

    damaged (B, h, w): the share of each cell, -1 where unknown; cells on the edge of the damage do not count, nor do
    pictures without both kinds.
    """
    clean, bad = (((damaged >= 0) & (damaged < 0.1)).float(), (damaged > 0.9).float())
    both = (clean.sum((1, 2)) > 0) & (bad.sum((1, 2)) > 0)
    if not both.any():
        return local.sum() * 0
    s, clean, bad = local[both, 0], clean[both], bad[both]
    means = [((s * m).sum((1, 2)) / m.sum((1, 2)))[:, None, None] for m in (clean, bad)]
    below, above = F.softplus(2 * (s - means[0])) * bad, F.softplus(2 * (means[1] - s)) * clean
    return below.sum() / bad.sum() + above.sum() / clean.sum()


def contrast_loss(z: Tensor, others: Tensor, alike: Tensor, itself: Tensor, temperature: float = 0.1) -> Tensor:
    """InfoNCE with several positives (Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020).

    z (N, C) and others (M, C) of length 1; alike (N, M) says which are positives, itself (N, M) which do not count.
    """
    logits = (z @ others.T / temperature).masked_fill(itself, -torch.inf)
    shares = alike.float() / alike.sum(1, keepdim=True).clamp(min=1)
    return -(logits.log_softmax(1).masked_fill(~alike, 0) * shares).sum(1).mean()


def representation_loss(vectors: Tensor, others: Tensor, alike: Tensor, unlike: Tensor) -> Tensor:
    """DRI-IQA's representation-based semantic loss, in the ratio form of its authors' earlier work (L2RIRNet).

    Mean distance of a vector to those alike over that to those unlike: pulls the first and pushes the second. vectors
    (N, C), others (M, C), masks (N, M). The distance is the L1 one of unit vectors. Rows without both do not count.
    """
    distance = torch.cdist(F.normalize(vectors.float(), dim=1), F.normalize(others.float(), dim=1), p=1)
    near, far = ((distance * mask).sum(1) / mask.sum(1).clamp(min=1) for mask in (alike, unlike))
    both = alike.any(1) & unlike.any(1)
    return (near / far.clamp(min=1e-3))[both].mean() if both.any() else vectors.sum() * 0


def label(kind: Tensor, severity: Tensor) -> Tensor:
    """Distortion type and level of pictures with one, (B, 2); type 25 is none, and -1 what is unknown or a chain.

    Where the level is not known, nor is the type: pictures are alike by both.
    """
    share, number = kind.max(1)
    level = F.pad(severity, (0, 1)).gather(1, number[:, None])[:, 0]
    return torch.stack([torch.where((share > 0.99) & (level >= 0), number, -1).float(), level], 1)


def alike_by(labels: Tensor, others: Tensor) -> Tensor:
    """(N, 2), (M, 2) -> (N, M): of one type, and of about one level."""
    kind = (labels[:, None, 0] == others[None, :, 0]) & (labels[:, None, 0] >= 0)
    return kind & ((labels[:, None, 1] - others[None, :, 1]).abs() <= NEAR)


def consistency_loss(quality: Tensor, degradation: Tensor, counts: Tensor) -> Tensor:
    """What ties DRI-IQA's two vectors, (N, C) each: how alike two pictures are should be the same in both spaces.

    Mean absolute difference of the two cosine similarities over the pairs that count, (N, N); zero where none does.
    """
    if not counts.any():
        return (quality.sum() + degradation.sum()) * 0
    q, d = (F.normalize(v.float(), dim=1) for v in (quality, degradation))
    return (q @ q.T - d @ d.T).abs()[counts].mean()


def semantic_loss(vectors: list[Tensor], target: Tensor, dataset: Tensor, labels: Tensor) -> Tensor:
    """The representation loss of quality vectors and, where there are such, of degradation vectors, and what ties them.

    Alike are pictures of one set with opinions within a quarter of a deviation, unlike those more than a deviation
    apart; and for degradations, of one type at about one level, and all others whose type is known. What ties the two
    is their consistency over the pairs that are alike in both, or unlike in both; a type that is not known contradicts
    nothing.
    """
    itself = torch.eye(len(target), dtype=torch.bool, device=target.device)
    same, apart = dataset[:, None] == dataset[None, :], (target[:, None] - target[None, :]).abs()
    near, far = same & (apart < 0.25) & ~itself, same & (apart > 1)
    total = representation_loss(vectors[0], vectors[0], near, far)
    if len(vectors) < 2:
        return total
    known = labels[:, 0] >= 0
    alike, both = alike_by(labels, labels) & ~itself, known[:, None] & known[None, :] & ~itself
    if known.any():
        total = total + representation_loss(vectors[1], vectors[1], alike, both & ~alike)
    return total + consistency_loss(vectors[0], vectors[1], (near & (alike | ~both)) | (far & ~alike))
