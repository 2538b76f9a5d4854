"""The second stage of training: the heads alone, on whole pictures.

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
from collections.abc import Iterator, Sequence
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
from iqassay.systems.blocks import Regressor
from iqassay.systems.yoto import YOTO
from iqassay.training.export import to_onnx
from iqassay.training.fit import System, build_system, load_weights, ratings_of, synthetic_sets
from iqassay.training.losses import SetScales, ranking_loss, score_loss
from iqassay.training.recipes import Recipe

VIEW_AREA = 307_200  # pixels: up to here a picture is looked at whole and at native size, as the scorer does


class Statistics(nn.Module):
    """What the regressor sees of a picture: the statistics (B, D) and the weighted mean of the patches (B,)."""

    def __init__(self, system: System) -> None:
        super().__init__()
        self.system = system

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return self.system.regressed(image)


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


def look(network: nn.Module, sources: Sequence[tuple[Path | np.ndarray, ...]], names: Sequence[str]) -> Iterator[list]:
    """What a network says of whole pictures, or of pairs of them, one after another, by onnxruntime on all cores."""
    inputs = ("image", "reference")[: len(sources[0])]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    graph = to_onnx(network.eval(), names, inputs).SerializeToString()
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def ask(source: tuple[Path | np.ndarray, ...]) -> list:
        return session.run(None, dict(zip(inputs, map(whole_view, source), strict=True)))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for i, answer in enumerate(pool.map(ask, sources)):
            yield answer
            if i % 500 == 0:
                print(f"{i} of {len(sources)} pictures", file=sys.stderr, flush=True)


def gather(recipe: Recipe, system: System) -> list[Pictures]:
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
            found = list(look(Statistics(system), [(source,) for source in sources], ("statistics", "patch")))
            statistics, patch = (np.concatenate(column) for column in zip(*found, strict=True))
            np.savez(file, statistics=statistics, patch=patch)
        kept = np.load(file)
        out.append(Pictures(name, kept["statistics"], kept["patch"], score, count))
    return out


def _fingerprint(system: System, sources: Sequence[Path | np.ndarray]) -> str:
    """Names what this system says of these pictures, whatever the heads that the second stage trains."""
    trained = {f"distance.{key}" for key, _ in system.distance.named_parameters()} if isinstance(system, YOTO) else set()
    digest = hashlib.sha256()
    for key, tensor in system.state_dict().items():
        if "regressor." not in key and key not in trained:
            digest.update(tensor.numpy().tobytes())
    for source in sources:
        digest.update(str(source).encode() if isinstance(source, Path) else source[::16, ::16].tobytes())
    return digest.hexdigest()[:12]


def fit_head(recipe: Recipe, head: Regressor, sets: list[Pictures]) -> tuple[Regressor, dict[str, float]]:
    """Train a system's regressor on the sets' statistics. Returns that of the best epoch and its val SRCC.

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
        [*head.layers.parameters(), *scales.parameters()], recipe.lr, weight_decay=recipe.decay
    )
    total = recipe.steps * recipe.epochs
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.lr, total_steps=total, pct_start=0.1)
    average = AveragedModel(head.layers, multi_avg_fn=get_ema_multi_avg_fn(recipe.average))
    head.scale.eval()
    best: tuple[float, Regressor, dict[str, float]] = (-2.0, head, {})
    for epoch in range(recipe.epochs):
        sampler.set_epoch(epoch)
        head.layers.train()
        for batch in sampler:
            statistics, patch, target, dataset = (column[batch] for column in everything)
            raw = head(statistics) + patch
            loss = score_loss(scales(raw, dataset), target) + recipe.rank * ranking_loss(raw, target, dataset)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            average.update_parameters(head.layers)
        candidate = copy.deepcopy(head).eval()
        candidate.layers.load_state_dict(average.module.state_dict())
        found = {
            s.name: srcc(predict(candidate, s)[s.train :], s.score[s.train :]) for s in sets if s.train < len(s.score)
        }
        mean = float(np.mean(list(found.values())))
        print(f"epoch {epoch}", {k: round(v, 4) for k, v in found.items()}, file=sys.stderr, flush=True)
        if mean > best[0]:
            best = (mean, candidate, found)
    return best[1], best[2]


@torch.no_grad()
def predict(head: Regressor, pictures: Pictures) -> np.ndarray:
    """Raw scores (N,) of a set."""
    return (head(torch.from_numpy(pictures.statistics)) + torch.from_numpy(pictures.patch)).numpy()


def fit_on_whole_pictures(recipe: Recipe) -> Path:
    """``iqassay train SYSTEM --stage head``. Returns the path of a checkpoint like those of ``fit``."""
    if recipe.start is None:
        raise ValueError("got no --start, want the checkpoint whose head is to be trained")
    torch.manual_seed(recipe.seed)  # the head may start from random weights
    system = build_system(recipe).eval()
    load_weights(system, recipe.start)
    recipe.out.mkdir(parents=True, exist_ok=True)
    found = {}
    if recipe.system != "yoto" or recipe.mode != "full-reference":
        sets = gather(recipe, system)
        head, found = fit_head(recipe, system.regressor, sets)
        system.regressor.load_state_dict(head.state_dict())
    if isinstance(system, YOTO) and recipe.mode != "no-reference":
        found |= fit_distance(recipe, system, gather_pairs(recipe, system))
    (recipe.out / "recipe.json").write_text(
        json.dumps({"recipe": dataclasses.asdict(recipe), "val": found}, indent=1, default=str)
    )
    torch.save({"state_dict": {f"system.{k}": v for k, v in system.state_dict().items()}}, recipe.out / "best.ckpt")
    return recipe.out / "best.ckpt"


# ---- pairs ----------------------------------------------------------------------------------------------------------

CELLS = 64  # of a pair are kept: all of a picture of 256x256, evenly spread ones of a larger one


class Compared(nn.Module):
    """What the score with a reference is made of, for one pair: (cells, K) and twice (cells,)."""

    def __init__(self, system: YOTO) -> None:
        super().__init__()
        self.system = system

    def forward(self, image: Tensor, reference: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.system.compared(image, reference)


@dataclass
class Pairs:
    """One set of pairs: differences (N, CELLS, K) float16, the attention's s and w (N, CELLS), score on 0..100 (N,).

    Pairs of fewer cells are filled up with cells of no weight. Rows before ``train`` are for training.
    """

    name: str
    differences: np.ndarray
    s: np.ndarray
    w: np.ndarray
    score: np.ndarray
    train: int


def gather_pairs(recipe: Recipe, system: YOTO) -> list[Pairs]:
    """Every set of the recipe that has references, seen by the system; kept in ``recipe.out`` like ``gather``'s."""
    sets: list[tuple[str, list, np.ndarray, int]] = []
    for argument in recipe.data:
        ratings = ratings_of(argument)
        rows = [row for split in ("train", "val") for row in ratings.split(split).rows[: recipe.limit or None]]
        if all(row.reference for row in rows):
            count = sum(row.split == "train" for row in rows)
            pairs = [(row.image, row.reference) for row in rows]
            sets.append((f"{ratings.name}-pairs", pairs, np.array([row.score for row in rows]), count))
    if recipe.synthetic:
        parts = synthetic_sets(recipe)[:2]
        pairs = [pair for part in parts for pair in zip(part.pixels, part.reference, strict=True)]
        sets.append(("synthetic-pairs", pairs, np.concatenate([p.pair_score for p in parts]), len(parts[0])))
    out = []
    for name, pairs, score, count in sets:
        folder = recipe.out / f"{name}-{_fingerprint(system, [source for pair in pairs for source in pair])}"
        if not (folder / "weights.npy").exists():
            folder.mkdir(exist_ok=True)
            inputs = system.distance.direct.numel()
            shape = (len(pairs), CELLS, inputs)
            kept = np.lib.format.open_memmap(folder / "differences.npy", mode="w+", dtype=np.float16, shape=shape)
            weights = np.zeros((2, len(pairs), CELLS), np.float32)
            for i, (differences, s, w) in enumerate(look(Compared(system), pairs, ("differences", "s", "w"))):
                count_of = s.shape[1]
                chosen = np.arange(count_of) if count_of <= CELLS else np.linspace(0, count_of - 1, CELLS).astype(int)
                kept[i, : len(chosen)] = differences[0, chosen]
                weights[:, i, : len(chosen)] = s[0, chosen], w[0, chosen]
            kept.flush()
            np.save(folder / "weights.npy", weights)
        s, w = np.load(folder / "weights.npy")
        out.append(Pairs(name, np.load(folder / "differences.npy", mmap_mode="r"), s, w, score, count))
    return out


def fit_distance(recipe: Recipe, system: YOTO, sets: list[Pairs]) -> dict[str, float]:
    """Train ``system.distance`` on what the fixed rest of the system says of the pairs. Returns the best val SRCC."""
    torch.manual_seed(recipe.seed)
    standards = [standard_of(s.score[: s.train]) for s in sets]
    scales = SetScales(standards)
    distance = system.distance
    optimizer = torch.optim.Adam([*distance.parameters(), *scales.parameters()], recipe.lr)
    total, batch = recipe.steps * recipe.epochs, max(8, recipe.batch // 4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.lr, total_steps=total, pct_start=0.1)
    average = AveragedModel(distance, multi_avg_fn=get_ema_multi_avg_fn(recipe.average))
    drawn = np.random.default_rng(recipe.seed)
    best: tuple[float, dict, dict[str, float]] = (-2.0, {}, {})
    for epoch in range(recipe.epochs):
        for _ in range(recipe.steps):
            i = int(drawn.integers(len(sets)))
            rows = np.sort(drawn.choice(sets[i].train, min(batch, sets[i].train), replace=False))
            raw = grade(system, sets[i], rows)
            mean, deviation = standards[i]
            target = torch.tensor((sets[i].score[rows] - mean) / deviation, dtype=torch.float32)
            dataset = torch.full((len(rows),), i)
            loss = score_loss(scales(raw, dataset), target) + recipe.rank * ranking_loss(raw, target, dataset)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            average.update_parameters(distance)
        now = copy.deepcopy(distance.state_dict())
        distance.load_state_dict(average.module.state_dict())
        found = {s.name: srcc(graded(system, s), s.score[s.train :]) for s in sets if s.train < len(s.score)}
        mean_found = float(np.mean(list(found.values())))
        print(f"epoch {epoch}", {k: round(v, 4) for k, v in found.items()}, file=sys.stderr, flush=True)
        if mean_found > best[0]:
            best = (mean_found, copy.deepcopy(distance.state_dict()), found)
        distance.load_state_dict(now)
    distance.load_state_dict(best[1])
    return best[2]


def grade(system: YOTO, pairs: Pairs, rows: np.ndarray) -> Tensor:
    """Raw scores of some pairs."""
    parts = (pairs.differences[rows], pairs.s[rows], pairs.w[rows])
    return system.graded(*(torch.from_numpy(np.asarray(part, np.float32)) for part in parts))[0]


@torch.no_grad()
def graded(system: YOTO, pairs: Pairs) -> np.ndarray:
    """Raw scores of the validation pairs."""
    rows = np.array_split(np.arange(pairs.train, len(pairs.score)), max(1, (len(pairs.score) - pairs.train) // 64))
    return np.concatenate([grade(system, pairs, part).numpy() for part in rows])
