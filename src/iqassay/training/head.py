"""Fitting a head, which makes the score, on what is kept of whole pictures."""

from __future__ import annotations

import copy
import dataclasses
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import ConcatDataset, TensorDataset

from iqassay.data.pipeline import MixedBatches, standard_of
from iqassay.statistics.correlation import srcc
from iqassay.systems.blocks import Regressor
from iqassay.systems.dri import DRI, Predictor, Seen
from iqassay.systems.mfen import MFEN
from iqassay.systems.yoto_extended import ExtendedYOTO
from iqassay.training.build import System
from iqassay.training.descent import device_of
from iqassay.training.kept_pictures import Pictures
from iqassay.training.losses import SetScales, damage_loss, ranking_loss, score_loss, semantic_loss
from iqassay.training.recipes import Recipe
from iqassay.training.semantic import Understanding

Head = Regressor | Predictor | Understanding


def heads_of(system: System) -> list[Head]:
    """What the second stage trains to make the score, each by itself; their mean is the answer. The forward of each
    takes what ``system.kept`` returns.

    Raises:
        ValueError: for a YOTO without its whole-picture term, which has none.
    """
    if isinstance(system, ExtendedYOTO) and not system.config.whole_picture:
        raise ValueError("got --no-whole-picture, want --whole-picture: without it YOTO has no head for whole pictures")
    return [system.predictor, *system.others] if isinstance(system, DRI) else [system.regressor]


def fit_heads(
    recipe: Recipe, heads: Sequence[Head], sets: list[Pictures], patched: Pictures | None = None
) -> dict[str, float]:
    """Train every head but the recipe's ``kept_predictors`` by ``fit_head`` with a seed of its own, in place. Returns
    the val SRCC of their mean."""
    for k, head in enumerate(heads):
        if k < recipe.kept_predictors:
            continue
        found = fit_head(dataclasses.replace(recipe, seed=recipe.seed + k), head, sets, patched=patched)[0]
        head.load_state_dict(found.state_dict())
        head.eval()
    chosen = [s for s in sets if s.train < len(s.score)]
    return {s.name: srcc(np.mean([predict(head, s) for head in heads], 0), s.score[s.train :]) for s in chosen}


def usual_as_photos(head: Head | DRI | MFEN, sets: Sequence[Pictures]) -> float:
    """The mean raw score that the generated pictures among the sets have as photos, 0 without any."""
    scores = [predict(head, s, 0) for s in sets if s.generated]
    return float(np.concatenate(scores).mean()) if scores else 0.0


def fit_head(
    recipe: Recipe,
    head: Head,
    sets: list[Pictures],
    after_epoch: Callable[[Head, SetScales], None] = lambda head, scales: None,
    patched: Pictures | None = None,
) -> tuple[Head, dict[str, float]]:
    """Train a head on what is kept of the sets. Returns that of the best epoch and its val SRCC.

    patched: pictures of which a part is damaged, from which the quality of cells is learned beside, by
    ``damage_loss``; for a head that has cells. The epoch is chosen by the mean validation SRCC over the sets that are
    learned from, of the running average of the weights. A set counts by the root of its number of validation pictures,
    since in a small one SRCC is mostly chance.
    ``after_epoch`` is shown the head of every epoch, and the sets' learned scales.

    Raises:
        ValueError: if no set has pictures to choose the epoch by.
    """
    shares = recipe.shares or [1.0] * len(sets)
    if all(s.train == len(s.score) for s, share in zip(sets, shares, strict=True) if share):
        raise ValueError(f"got no val rows in {', '.join(s.name for s in sets)}, want some to choose the epoch by")
    torch.manual_seed(recipe.seed)
    standards = [standard_of(s.score[: s.train]) for s in sets]
    scales = SetScales(standards)
    device = device_of(recipe)
    rated = torch.tensor([not (s.generated and recipe.stage == "semantic") for s in sets], device=device)
    targets = [(s.score - mean) / deviation for s, (mean, deviation) in zip(sets, standards, strict=True)]
    for k, scale in enumerate(head.scales):
        _standardise(scale, [s.kept[k][: s.train] for s, share in zip(sets, shares, strict=True) if share])
    parts: ConcatDataset = ConcatDataset([TensorDataset(torch.empty(s.train)) for s in sets])
    starts = [0, *parts.cumulative_sizes]
    sampler = MixedBatches(parts, shares, recipe.batch, recipe.steps, recipe.seed)
    head.to(device)
    scales.to(device)
    optimizer = torch.optim.AdamW([*head.parameters(), *scales.parameters()], recipe.lr, weight_decay=recipe.decay)
    total = recipe.steps * recipe.epochs
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.lr, total_steps=total, pct_start=0.1)
    average = AveragedModel(head, multi_avg_fn=get_ema_multi_avg_fn(recipe.average))
    places = np.random.default_rng(recipe.seed)
    best: tuple[float, Head, dict[str, float]] = (-2.0, head, {})
    for epoch in range(recipe.epochs):
        sampler.set_epoch(epoch)
        head.train()
        for scale in head.scales:
            scale.eval()  # the sets have said what is ordinary
        for batch in sampler:
            rows = np.array(batch)
            chosen = [rows[(rows >= start) & (rows < end)] - start for start, end in pairwise(starts)]
            target = torch.from_numpy(np.concatenate([t[c] for t, c in zip(targets, chosen, strict=True)])).float()
            labels = torch.from_numpy(np.concatenate([s.labels[c] for s, c in zip(sets, chosen, strict=True)]))
            dataset = torch.repeat_interleave(torch.tensor([len(c) for c in chosen]))
            target, labels, dataset = target.to(device), labels.to(device), dataset.to(device)
            raw, vectors, moved = _answer(head, _rows(sets, chosen, device, places))
            known = rated[dataset]
            opinion = raw[known], target[known], dataset[known]
            loss = score_loss(scales(opinion[0], opinion[2]), opinion[1]) + recipe.rank * ranking_loss(*opinion)
            loss = loss + recipe.taught * moved
            if vectors and recipe.representation:
                loss = loss + recipe.representation * semantic_loss(vectors, target, dataset, labels)
            if patched is not None and patched.damaged is not None:
                some = places.integers(len(patched.damaged), size=max(1, recipe.batch // 4))
                local = head(Seen.of(*_rows([patched], [some], device))).local
                damaged = torch.from_numpy(patched.damaged[some]).to(device)
                loss = loss + recipe.damaged * damage_loss(local[:, None, :, None], damaged[:, :, None])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            average.update_parameters(head)
        candidate = copy.deepcopy(head).eval()
        candidate.load_state_dict(average.module.state_dict())
        found = {s.name: srcc(predict(candidate, s), s.score[s.train :]) for s in sets if s.train < len(s.score)}
        after_epoch(candidate, scales)
        counted = zip(sets, shares, strict=True)
        counts = [bool(share) * (len(s.score) - s.train) ** 0.5 for s, share in counted if s.name in found]
        values = np.nan_to_num(list(found.values()))  # nan, of constant answers, is no better than 0
        mean = float(np.average(values, weights=counts))
        print(f"epoch {epoch}", {k: round(v, 4) for k, v in found.items()}, file=sys.stderr, flush=True)
        if mean > best[0]:
            best = (mean, candidate, found)
    head.cpu()
    return best[1].cpu(), best[2]


def _standardise(scale: nn.Module, columns: list[np.ndarray]) -> None:
    """Mean and variance of all rows, and of all cells of tables; of every fourth picture where it is a table."""
    rows = [np.asarray(c[::4] if c.ndim == 3 else c, np.float32).reshape(-1, c.shape[-1]) for c in columns]
    count = sum(map(len, rows))
    mean = sum(r.sum(0, dtype=np.float64) for r in rows) / count
    variance = sum(np.square(r - mean.astype(np.float32)).sum(0, dtype=np.float64) for r in rows) / count
    scale.running_mean, scale.running_var = (torch.from_numpy(v).float() for v in (mean, variance))


def _rows(
    sets: list[Pictures],
    chosen: list[np.ndarray],
    device: str | torch.device = "cpu",
    chance: np.random.Generator | None = None,
) -> list[Tensor]:
    """Some rows of every set, one set after another, of each of the things that are kept. Of sets with several views
    of each picture one by ``chance``, or the first, which is the whole picture."""
    places: list[tuple] = [(c,) for c in chosen]
    for i, s in enumerate(sets):
        if s.views > 1:
            places[i] += (chance.integers(s.views, size=len(chosen[i])) if chance else 0,)
    kept = (
        np.concatenate([np.asarray(s.kept[k][place]) for s, place in zip(sets, places, strict=True)])
        for k in range(len(sets[0].kept))
    )
    return [torch.from_numpy(values).to(device).float() for values in kept]


def _answer(head: Head | DRI | MFEN, kept: list[Tensor]) -> tuple[Tensor, list[Tensor], Tensor | float]:
    """Raw scores, the vectors of a head that has them, and how far a semantic encoder has moved from where it was."""
    if isinstance(head, (Predictor, DRI)):
        said = head.predict(Seen.of(*kept)) if isinstance(head, DRI) else head(Seen.of(*kept))
        return said.score, said.vectors, 0.0
    if isinstance(head, MFEN):
        return head.answer(*kept), [], 0.0
    if isinstance(head, Understanding):
        raw, moved = head(*kept)
        return raw, [], moved
    return head(*kept), [], 0.0


@torch.no_grad()
def predict(head: Head | DRI | MFEN, pictures: Pictures, first: int | None = None) -> np.ndarray:
    """Raw scores of the validation pictures, or of all from the ``first`` on, computed where the head is; of a DRI-IQA
    what it says of them as photos."""
    device = next(head.parameters()).device
    start = pictures.train if first is None else first
    rows = np.array_split(np.arange(start, len(pictures.score)), 1 + len(pictures.score) // 512)
    return np.concatenate([_answer(head, _rows([pictures], [part], device))[0].cpu().numpy() for part in rows])
