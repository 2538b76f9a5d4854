"""Fitting what DRI-IQA knows of generated pictures, on what its semantic encoder says of them and of photos."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iqassay.statistics.correlation import srcc
from iqassay.systems.dri import KEPT, Generated
from iqassay.training.kept_pictures import Pictures

SURE = 300.0  # weight of the mean square of the coefficients that tell the kinds apart, of standardised numbers
CHANGE = 3000.0  # the same of what changes in them, where they learn on: what they have seen before is not here
SHARP = 3.0  # by how much they are surer than that: so small coefficients leave every photo a little probable
RARE = 0.02  # how many of the pictures that people feed are generated, of which training has as many as others
PEOPLE = 2.5  # how much what people say of a generated picture counts beside what is said of it as a photo
DOUBT = 0.1  # the same of what rated pictures change of the teacher's opinion, of meanings of length 1
SMALL = 1e-3  # and of the teacher's opinion itself, which is linear in them


def fit_generated(
    head: Generated, sets: Sequence[Pictures], usual: float = 0.0, begun: bool = False
) -> dict[str, float]:
    """Both parts of ``head``, on what is kept of the training pictures. Returns how they do in validation.

    usual: the mean raw score of the generated pictures as photos; they keep it, and a part of what differs from it.
    begun: the head has learned before, from pictures that are not all here: what tells generated pictures learns on,
    and what people find of them stays as it is.

    Raises:
        ValueError: if all pictures are of one kind.
    """
    found = _fit_sure(head, sets, begun)
    if not begun:
        found |= _fit_appeal(head.appeal, [s for s in sets if s.generated])
        with torch.no_grad():
            head.appeal.bias.add_((1 - KEPT) * usual)
    print({name: round(value, 4) for name, value in found.items()}, file=sys.stderr, flush=True)
    return found


def _fit_sure(head: Generated, sets: Sequence[Pictures], begun: bool) -> dict[str, float]:
    """A logistic regression in which both kinds have equal weight, and within a kind a set the root of its size: a
    small one is of pictures that the large ones lack. Its coefficients are held to be small, or of a head that is begun
    near what they were. Returns how often it is right in validation, of the generated pictures and of all others, where
    there are any.
    """
    train = [_seen(s)[: s.train] for s in sets]
    kinds = np.array([s.generated for s in sets])
    if kinds.all() or not kinds.any():
        raise ValueError("got generated pictures alone, or none, want both kinds to tell them apart")
    roots = np.sqrt([len(rows) for rows in train])
    shares = 0.5 * roots / np.where(kinds, roots[kinds].sum(), roots[~kinds].sum())
    x = torch.cat(train)
    weight, label = (torch.repeat_interleave(torch.tensor(v), torch.tensor([*map(len, train)])).float()
                     for v in (shares / roots**2, kinds))  # fmt: skip
    rare = math.log(RARE / (1 - RARE))
    if begun:
        before, level = head.sure.weight.detach()[0] / SHARP, (head.sure.bias.detach()[0] - rare) / SHARP
    else:
        before, level = torch.zeros(x.shape[1]), torch.zeros(())
        head.scale.running_mean, head.scale.running_var = x.mean(0), x.var(0)
    z = head.scale.eval()(x).clamp(-6, 6)
    w, b = before.clone().requires_grad_(), level.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([w, b], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = (weight * F.binary_cross_entropy_with_logits(z @ w + b, label, reduction="none")).sum()
        value = value + (CHANGE if begun else SURE) / 2 * (w - before).square().mean()
        value.backward()
        return value

    optimizer.step(loss)  # type: ignore[arg-type]  # its annotation wants a float, its code takes a tensor
    found = {}
    with torch.no_grad():
        head.sure.weight.copy_(SHARP * w[None])
        head.sure.bias.copy_(SHARP * b + rare)
        for kind, name in ((True, "generated pictures told"), (False, "other pictures told")):
            held = [s for s in sets if s.generated == kind and s.train < len(s.score)]
            if held:
                rows = [[torch.from_numpy(np.asarray(s.kept[k][s.train :], np.float32)) for s in held] for k in (-1, 0)]
                said = head(*map(torch.cat, rows))[0] > 0.5
                found[name] = float((said == kind).float().mean())
    return found


@torch.no_grad()
def _fit_appeal(head: nn.Linear, sets: Sequence[Pictures]) -> dict[str, float]:
    """How people like generated pictures: what the teacher says of all of them, as far as it goes along with people in
    the rated sets, and a small linear correction from these. Returns SRCC in validation by set.

    20 points of people's scores (without any, of the teacher's) are 1 raw, as in ``SetScales``, times ``PEOPLE``; the
    mean is nothing.
    """
    taught, rated = ([s for s in sets if (s.name == "taught") == kind] for kind in (True, False))
    x, score = _rows(taught or rated)
    teacher, level = _ridge(x, score, SMALL)
    if taught and rated:
        x, score = _rows(rated)
        said = x @ teacher + level
        spread = said - said.mean()
        agreement = (spread @ (score - score.mean())) / (spread @ spread).clamp(min=1e-6)
        correction, rest = _ridge(x, score - agreement * said, DOUBT)
        teacher, level = agreement * teacher + correction, agreement * level + rest
    head.weight.copy_(PEOPLE * teacher[None] / 20)
    head.bias.copy_(PEOPLE * (level - score.mean()) / 20)
    held = {s.name: (F.normalize(_meanings(s)[s.train :], dim=1), s.score[s.train :]) for s in sets}
    return {f"appeal of {k}": srcc(head(x)[:, 0].numpy(), score) for k, (x, score) in held.items() if len(x) > 1}


def _ridge(x: Tensor, y: Tensor, decay: float) -> tuple[Tensor, Tensor]:
    """Coefficients (D,) and constant of y (N,) by x (N, D): least squares plus ``decay`` times the coefficients'."""
    centre, mean = x.mean(0), y.mean()
    z = x - centre
    w = torch.linalg.solve(z.T @ z + decay * torch.eye(x.shape[1]), z.T @ (y - mean))
    return w, mean - centre @ w


def _rows(sets: Sequence[Pictures]) -> tuple[Tensor, Tensor]:
    """Meanings of length 1 (N, 512) and scores (N,) of the sets' training pictures."""
    x = torch.cat([F.normalize(_meanings(s)[: s.train], dim=1) for s in sets])
    return x, torch.cat([torch.from_numpy(np.asarray(s.score[: s.train], np.float32)) for s in sets])


def _seen(pictures: Pictures) -> Tensor:
    """What tells the kinds apart, (N, 512 + 6S): meanings, and what is described."""
    return torch.from_numpy(np.concatenate([np.asarray(pictures.kept[k], np.float32) for k in (-1, 0)], 1))


def _meanings(pictures: Pictures) -> Tensor:
    return torch.from_numpy(np.asarray(pictures.kept[-1], np.float32))
