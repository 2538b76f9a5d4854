"""The second stage of training: the score's head alone, on whole pictures.

An opinion belongs to a whole picture, and crops are a poor stand-in. With everything but the head fixed, a picture is a
vector of statistics, computed once; a thousand passes over ten thousand of them then take a minute.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import ConcatDataset, TensorDataset

from iqassay import tiles
from iqassay.bench.correlation import srcc
from iqassay.data.pipeline import MixedBatches, standard_of
from iqassay.image import read_image, to_float
from iqassay.systems.blocks import QualityHead, pool_statistics
from iqassay.systems.mfen import MFEN
from iqassay.training.export import to_onnx
from iqassay.training.fit import build_system, load_weights, ratings_of, synthetic_sets
from iqassay.training.losses import SetScales, ranking_loss, score_loss
from iqassay.training.recipes import Recipe

VIEW_AREA = 307_200  # pixels: up to here a picture is looked at whole and at native size, as the scorer does


class Statistics(nn.Module):
    """What the head sees of a picture: the statistics (B, D) and the weighted mean of the patches (B,)."""

    def __init__(self, system: MFEN) -> None:
        super().__init__()
        self.system = system

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        maps, extras = self.system.fused(image)
        return torch.cat([pool_statistics(maps), extras["statistics"]], 1), self.system.head.patches(maps)[1]


@dataclass
class Pictures:
    """One set: statistics (N, D), patch (N,), score on 0..100 (N,); rows before ``train`` are for training."""

    name: str
    statistics: np.ndarray
    patch: np.ndarray
    score: np.ndarray
    train: int


def whole_view(source: Path | np.ndarray) -> np.ndarray:
    """The picture as the scorer's whole or global view, (1, 3, H, W) float32."""
    pixels = read_image(source).pixels
    size = tiles.global_size(pixels.shape[0], pixels.shape[1], VIEW_AREA)
    view = to_float(pixels) if size == pixels.shape[:2] else tiles.shrink(pixels, *size)
    return np.ascontiguousarray(tiles.pad(view).transpose(2, 0, 1)[None])


def look(system: MFEN, sources: Sequence[Path | np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Statistics (N, D) and patch means (N,) of whole pictures, by onnxruntime on all cores."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    graph = to_onnx(Statistics(system).eval(), ("statistics", "patch")).SerializeToString()
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    found = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for i, answer in enumerate(pool.map(lambda s: session.run(None, {"image": whole_view(s)}), sources)):
            found.append(answer)
            if i % 500 == 0:
                print(f"{i} of {len(sources)} pictures", file=sys.stderr, flush=True)
    return np.concatenate([a[0] for a in found]), np.concatenate([a[1] for a in found])


def gather(recipe: Recipe, system: MFEN) -> list[Pictures]:
    """Every set of the recipe, seen by the system; kept in ``recipe.out`` so that a second run only reads them."""
    sets: list[tuple[str, list, np.ndarray, int]] = []
    for argument in recipe.data:
        ratings = ratings_of(argument)
        rows = [row for split in ("train", "val") for row in ratings.split(split).rows[: recipe.limit or None]]
        count = sum(row.split == "train" for row in rows)
        sets.append((ratings.name, [row.image for row in rows], np.array([row.score for row in rows]), count))
    if recipe.synthetic:
        train, val = synthetic_sets(recipe)[:2]
        score = np.concatenate([train.score, val.score])
        sets.append(("synthetic", [*train.pixels, *val.pixels], score, len(train)))
    out = []
    for name, sources, score, count in sets:
        file = recipe.out / f"statistics-{name}-{_fingerprint(system, sources)}.npz"
        if not file.exists():
            statistics, patch = look(system, sources)
            np.savez(file, statistics=statistics, patch=patch)
        found = np.load(file)
        out.append(Pictures(name, found["statistics"], found["patch"], score, count))
    return out


def _fingerprint(system: MFEN, sources: Sequence[Path | np.ndarray]) -> str:
    """Names the statistics of these pictures by this system, whatever the global term of its head."""
    digest = hashlib.sha256()
    for key, tensor in system.state_dict().items():
        if not key.startswith(("head.pooled.", "head.scale.")):
            digest.update(tensor.numpy().tobytes())
    for source in sources:
        digest.update(str(source).encode() if isinstance(source, Path) else source[::16, ::16].tobytes())
    return digest.hexdigest()[:12]


def fit_head(recipe: Recipe, head: QualityHead, sets: list[Pictures]) -> tuple[QualityHead, dict[str, float]]:
    """Train the global term of ``head`` on the sets' statistics. Returns the head of the best epoch and its val SRCC.

    The epoch is chosen by the mean validation SRCC over the sets, of the running average of the weights.
    """
    torch.manual_seed(recipe.seed)
    standards = [standard_of(s.score[: s.train]) for s in sets]
    scales = SetScales(standards)
    data = []
    for i, (s, (mean, deviation)) in enumerate(zip(sets, standards, strict=True)):
        target = torch.tensor((s.score - mean) / deviation, dtype=torch.float32)
        rows = [torch.from_numpy(s.statistics), torch.from_numpy(s.patch), target, torch.full((len(target),), i)]
        data.append([row[: s.train] for row in rows])
    everything = [torch.cat(column) for column in zip(*data, strict=True)]
    head.scale.running_mean = everything[0].mean(0)
    head.scale.running_var = everything[0].var(0)
    shares = recipe.shares or [1.0] * len(sets)
    parts: ConcatDataset = ConcatDataset([TensorDataset(part[1]) for part in data])
    sampler = MixedBatches(parts, shares, recipe.batch, recipe.steps, recipe.seed)
    optimizer = torch.optim.AdamW(
        [*head.pooled.parameters(), *scales.parameters()], recipe.lr, weight_decay=recipe.decay
    )
    total = recipe.steps * recipe.epochs
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.lr, total_steps=total, pct_start=0.1)
    average = AveragedModel(head.pooled, multi_avg_fn=get_ema_multi_avg_fn(recipe.average))
    head.scale.eval()
    best: tuple[float, QualityHead, dict[str, float]] = (-2.0, head, {})
    for epoch in range(recipe.epochs):
        sampler.set_epoch(epoch)
        head.pooled.train()
        for batch in sampler:
            statistics, patch, target, dataset = (column[batch] for column in everything)
            raw = head.regress(statistics) + patch
            loss = score_loss(scales(raw, dataset), target) + recipe.rank * ranking_loss(raw, target, dataset)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            average.update_parameters(head.pooled)
        candidate = copy.deepcopy(head).eval()
        candidate.pooled.load_state_dict(average.module.state_dict())
        found = {
            s.name: srcc(predict(candidate, s)[s.train :], s.score[s.train :]) for s in sets if s.train < len(s.score)
        }
        mean = float(np.mean(list(found.values())))
        print(f"epoch {epoch}", {k: round(v, 4) for k, v in found.items()}, file=sys.stderr, flush=True)
        if mean > best[0]:
            best = (mean, candidate, found)
    return best[1], best[2]


@torch.no_grad()
def predict(head: QualityHead, pictures: Pictures) -> np.ndarray:
    """Raw scores (N,) of a set."""
    return (head.regress(torch.from_numpy(pictures.statistics)) + torch.from_numpy(pictures.patch)).numpy()


def fit_on_whole_pictures(recipe: Recipe) -> Path:
    """``iqassay train mfen --stage head``. Returns the path of a checkpoint like those of ``fit``."""
    if recipe.start is None:
        raise ValueError("got no --start, want the checkpoint whose head is to be trained")
    torch.manual_seed(recipe.seed)  # the head may start from random weights
    system = build_system(recipe).eval()
    load_weights(system, recipe.start)
    recipe.out.mkdir(parents=True, exist_ok=True)
    sets = gather(recipe, system)
    system.head, found = fit_head(recipe, system.head, sets)
    (recipe.out / "recipe.json").write_text(
        json.dumps({"recipe": dataclasses.asdict(recipe), "val": found}, indent=1, default=str)
    )
    torch.save({"state_dict": {f"system.{k}": v for k, v in system.state_dict().items()}}, recipe.out / "best.ckpt")
    return recipe.out / "best.ckpt"
