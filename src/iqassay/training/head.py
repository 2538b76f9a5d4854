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
from collections.abc import Callable, Iterable, Iterator, Sequence
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
from iqassay.data.datasets import Rating
from iqassay.data.pipeline import MixedBatches, standard_of
from iqassay.image import read_image, to_float
from iqassay.systems.blocks import DistortionHead, Regressor
from iqassay.systems.yoto import YOTO
from iqassay.training.export import to_onnx
from iqassay.training.fit import System, build_system, load_weights, ratings_of, synthetic_sets
from iqassay.training.losses import SetScales, kind_loss, ranking_loss, score_loss, severity_loss
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


def rated_rows(recipe: Recipe, argument: str) -> tuple[str, list[Rating], int]:
    """A rated set of the recipe: its name, its train and then its val rows, and how many of them are train."""
    ratings = ratings_of(argument)
    rows = [row for split in ("train", "val") for row in ratings.split(split).rows[: recipe.limit or None]]
    return ratings.name, rows, sum(row.split == "train" for row in rows)


def gather(recipe: Recipe, system: System) -> list[Pictures]:
    """Every set of the recipe, seen by the system; kept in ``recipe.out`` so that a second run only reads them."""
    sets: list[tuple[str, list, np.ndarray, int]] = []
    for argument in recipe.data:
        name, rows, count = rated_rows(recipe, argument)
        sets.append((name, [row.image for row in rows], np.array([row.score for row in rows]), count))
    if recipe.synthetic:
        train, val = synthetic_sets(recipe)[:2]
        score = np.concatenate([train.score, val.score])
        sets.append(("synthetic", [*train.pixels, *val.pixels], score, len(train)))
    out = []
    for name, sources, score, count in sets:
        file = recipe.out / f"statistics-{name}-{fingerprint(system, sources)}.npz"
        if not file.exists():
            found = list(look(Statistics(system), [(source,) for source in sources], ("statistics", "patch")))
            statistics, patch = (np.concatenate(column) for column in zip(*found, strict=True))
            np.savez(file, statistics=statistics, patch=patch)
        kept = np.load(file)
        out.append(Pictures(name, kept["statistics"], kept["patch"], score, count))
    return out


def fingerprint(system: System, sources: Sequence[Path | np.ndarray]) -> str:
    """Names what this system says of these pictures, whatever the heads that the second stage trains."""
    trained = (
        {f"distance.{key}" for key, _ in system.distance.named_parameters()} if isinstance(system, YOTO) else set()
    )
    digest = hashlib.sha256()
    for key, tensor in system.state_dict().items():
        if "regressor." not in key and not key.startswith("distortions.") and key not in trained:
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


def descend(
    parameters: Iterable[nn.Parameter], loss: Callable[[], Tensor], steps: int, lr: float, decay: float = 0.0
) -> None:
    """So many steps of AdamW down ``loss``, which draws a batch of its own at every call; one cycle of step sizes."""
    optimizer = torch.optim.AdamW(parameters, lr, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, pct_start=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
        schedule.step()


def fit_distortions(
    recipe: Recipe, head: DistortionHead, pictures: Pictures, kind: np.ndarray, severity: np.ndarray
) -> float:
    """Train a distortion head on the synthetic set's statistics, the encoder's own, which come first. Returns how often
    its first guess is right in validation."""
    torch.manual_seed(recipe.seed)
    statistics = torch.from_numpy(pictures.statistics[:, : head.scale.num_features])
    shares, levels = torch.from_numpy(kind), torch.from_numpy(severity)
    known = torch.from_numpy(np.flatnonzero(kind[: pictures.train, 0] >= 0))

    def loss() -> Tensor:
        rows = known[torch.randint(len(known), (recipe.batch,))]
        answer = head(statistics[rows])
        return kind_loss(answer["kind"], shares[rows]) + 0.5 * severity_loss(answer["severity"], levels[rows])

    head.train()
    descend(head.parameters(), loss, recipe.steps * recipe.epochs, recipe.lr, recipe.decay)
    head.eval()
    with torch.no_grad():
        guess = head(statistics[pictures.train :])["kind"].argmax(1, keepdim=True)
    held = shares[pictures.train :]
    right = held.gather(1, guess)[held[:, 0] >= 0] > 0
    print(f"distortion type right: {float(right.float().mean()):.3f}", file=sys.stderr, flush=True)
    return float(right.float().mean())


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
    found: dict[str, float] = {}
    if recipe.system != "yoto" or recipe.mode != "full-reference":
        sets = gather(recipe, system)
        head, found = fit_head(recipe, system.regressor, sets)
        system.regressor.load_state_dict(head.state_dict())
        if isinstance(system, YOTO) and recipe.synthetic:
            made = synthetic_sets(recipe)[:2]
            kind, severity = (np.concatenate([getattr(part, name) for part in made]) for name in ("kind", "severity"))
            found["distortion type"] = fit_distortions(recipe, system.distortions, sets[-1], kind, severity)
    if isinstance(system, YOTO) and recipe.mode != "no-reference":
        from iqassay.training.pairs import fit_distance, gather_pairs

        found |= fit_distance(recipe, system, gather_pairs(recipe, system))
    (recipe.out / "recipe.json").write_text(
        json.dumps({"recipe": dataclasses.asdict(recipe), "val": found}, indent=1, default=str)
    )
    torch.save({"state_dict": {f"system.{k}": v for k, v in system.state_dict().items()}}, recipe.out / "best.ckpt")
    return recipe.out / "best.ckpt"
