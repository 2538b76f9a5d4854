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
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import ConcatDataset, TensorDataset

from iqassay.data.opening import open_set
from iqassay.data.pipeline import MixedBatches, standard_of
from iqassay.data.rating import Rating
from iqassay.data.synthetic import UNKNOWN, SyntheticSet
from iqassay.pictures.image import read_image, to_float
from iqassay.scoring import tiles
from iqassay.statistics.correlation import srcc
from iqassay.systems.blocks import N_KINDS, DistortionHead, Regressor
from iqassay.systems.dri import DRI, LEVELS, Predictor, Seen
from iqassay.systems.mfen import MFEN
from iqassay.systems.yoto_extended import ExtendedYOTO
from iqassay.training.export import to_onnx
from iqassay.training.fit import System, build_system, load_weights, synthetic_sets
from iqassay.training.losses import (
    SetScales,
    alike_by,
    kind_loss,
    label,
    ranking_loss,
    representation_loss,
    score_loss,
    severity_loss,
)
from iqassay.training.recipes import Recipe

VIEW_AREA = 307_200  # pixels: up to here a picture is looked at whole and at native size, as the scorer does
Head = Regressor | Predictor
CELLS = 24  # of a picture are kept, evenly spread


class Kept(nn.Module):
    """What the head sees of a picture, which the second stage computes once: see each system's ``kept``."""

    def __init__(self, system: System) -> None:
        super().__init__()
        self.system = system

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return self.system.kept(image)


@dataclass
class Pictures:
    """One set: what is kept of its pictures, each (N, ...), their scores on 0..100 (N,), and their distortion types and
    levels as ``label`` has them, (N, 2). Rows before ``train`` are for training.
    """

    name: str
    kept: list[np.ndarray]
    score: np.ndarray
    labels: np.ndarray
    train: int


def whole_view(source: Path | np.ndarray) -> np.ndarray:
    """The picture as the scorer's whole or global view, (1, 3, H, W) float32."""
    pixels = read_image(source).pixels
    size = tiles.global_size(pixels.shape[0], pixels.shape[1], VIEW_AREA)
    view = to_float(pixels) if size == pixels.shape[:2] else tiles.shrink(pixels, *size)
    return np.ascontiguousarray(tiles.pad(view).transpose(2, 0, 1)[None])


def look(network: nn.Module, sources: Sequence[tuple[Path | np.ndarray, ...]]) -> Iterator[list]:
    """What a network says of whole pictures, or of pairs of them, one after another, by onnxruntime on all cores."""
    inputs = ("image", "reference")[: len(sources[0])]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    graph = to_onnx(network.eval(), inputs=inputs).SerializeToString()
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
    ratings = open_set(argument)
    rows = [row for split in ("train", "val") for row in ratings.split(split).rows[: recipe.limit or None]]
    return ratings.name, rows, sum(row.split == "train" for row in rows)


def gather(recipe: Recipe, system: System) -> list[Pictures]:
    """Every set of the recipe, seen by the system; kept in ``recipe.out`` so that a second run only reads them."""
    sets: list[tuple[str, list, np.ndarray, np.ndarray, int]] = []
    for argument in recipe.data:
        name, rows, count = rated_rows(recipe, argument)
        score, unknown = np.array([row.score for row in rows]), np.full((len(rows), 2), UNKNOWN, np.float32)
        sets.append((name, [row.image for row in rows], score, unknown, count))
    if recipe.synthetic:
        made = synthetic_sets(recipe)[:2]
        kind, severity, score = (np.concatenate([getattr(m, k) for m in made]) for k in ("kind", "severity", "score"))
        labels = label(torch.from_numpy(kind), torch.from_numpy(severity)).numpy()
        sets.append(("synthetic", [*made[0].pixels, *made[1].pixels], score, labels, len(made[0])))
    out = []
    for name, sources, score, labels, count in sets:
        out.append(Pictures(name, kept_of(system, sources, recipe.out, name), score, labels, count))
    return out


def kept_of(system: System, sources: Sequence[Path | np.ndarray], folder: Path, name: str) -> list[np.ndarray]:
    """What the head sees of pictures, (N, ...) each; kept in ``folder``, by what the system and the pictures are."""
    folder = folder / f"{name}-{fingerprint(system, sources)}"
    return keep(folder, Kept(system), [(source,) for source in sources], CELLS)


def keep(
    folder: Path, network: nn.Module, sources: Sequence[tuple[Path | np.ndarray, ...]], cells: int
) -> list[np.ndarray]:
    """Every output of a network for whole pictures, or pairs of them, as arrays (N, ...) in files of ``folder``.

    Of a table of cells, (1, any number, K), so many evenly spread rows are kept, in float16. What was stopped goes on.
    """
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        count = folder / "count"  # of the pictures that are safely in the files
        start = int(count.read_text()) if count.exists() else 0
        arrays: list[np.ndarray] = []
        for i, answer in enumerate(look(network, sources[start:]), start + 1):
            rows = [_thinned(output[0], cells) for output in answer]
            arrays = arrays or [
                np.lib.format.open_memmap(
                    folder / f"{k}.npy", "r+" if start else "w+", r.dtype, (len(sources), *r.shape)
                )
                for k, r in enumerate(rows)
            ]
            for array, row in zip(arrays, rows, strict=True):
                array[i - 1] = row
            if i % 500 == 0 or i == len(sources):
                for array in arrays:
                    array.flush()  # type: ignore[attr-defined]
                (count if i < len(sources) else folder / "done").write_text(str(i))
    return [np.load(folder / f"{k}.npy", mmap_mode="c") for k in range(len(list(folder.glob("*.npy"))))]


def _thinned(output: np.ndarray, cells: int) -> np.ndarray:
    if output.ndim < 2:
        return output
    return output[np.linspace(0, len(output) - 1, cells).astype(int)].astype(np.float16)


def fingerprint(system: nn.Module, sources: Sequence[Path | np.ndarray]) -> str:
    """Names what a system, or an encoder, says of these pictures, whatever the heads that the second stage trains."""
    trained: tuple[str, ...] = ("regressor.", "head.regressor.", "predictor.", "distortions.", "known")
    if isinstance(system, ExtendedYOTO):
        trained += tuple(f"distance.{key}" for key, _ in system.distance.named_parameters())
    digest = hashlib.sha256()
    for key, tensor in system.state_dict().items():
        if not key.startswith(trained):
            digest.update(tensor.numpy().tobytes())
    for source in sources:
        digest.update(str(source).encode() if isinstance(source, Path) else source[::16, ::16].tobytes())
    return digest.hexdigest()[:12]


def head_of(system: System) -> Head:
    """What the second stage trains to make the score: its forward takes what ``system.kept`` returns."""
    return system.predictor if isinstance(system, DRI) else system.regressor


def fit_head(
    recipe: Recipe,
    head: Head,
    sets: list[Pictures],
    after_epoch: Callable[[Head, SetScales], None] = lambda head, scales: None,
) -> tuple[Head, dict[str, float]]:
    """Train a head on what is kept of the sets. Returns that of the best epoch and its val SRCC.

    The epoch is chosen by the mean validation SRCC over the sets, of the running average of the weights.
    ``after_epoch`` is shown the head of every epoch, and the sets' learned scales.
    """
    torch.manual_seed(recipe.seed)
    standards = [standard_of(s.score[: s.train]) for s in sets]
    scales = SetScales(standards)
    targets = [(s.score - mean) / deviation for s, (mean, deviation) in zip(sets, standards, strict=True)]
    for k, scale in enumerate(head.scales):
        _standardise(scale, [s.kept[k][: s.train] for s in sets])
    shares = recipe.shares or [1.0] * len(sets)
    parts: ConcatDataset = ConcatDataset([TensorDataset(torch.empty(s.train)) for s in sets])
    starts = [0, *parts.cumulative_sizes]
    sampler = MixedBatches(parts, shares, recipe.batch, recipe.steps, recipe.seed)
    optimizer = torch.optim.AdamW([*head.parameters(), *scales.parameters()], recipe.lr, weight_decay=recipe.decay)
    total = recipe.steps * recipe.epochs
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.lr, total_steps=total, pct_start=0.1)
    average = AveragedModel(head, multi_avg_fn=get_ema_multi_avg_fn(recipe.average))
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
            raw, vectors = _answer(head, _rows(sets, chosen))
            loss = score_loss(scales(raw, dataset), target) + recipe.rank * ranking_loss(raw, target, dataset)
            if vectors and recipe.representation:
                loss = loss + recipe.representation * semantic_loss(vectors, target, dataset, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            average.update_parameters(head)
        candidate = copy.deepcopy(head).eval()
        candidate.load_state_dict(average.module.state_dict())
        found = {s.name: srcc(predict(candidate, s), s.score[s.train :]) for s in sets if s.train < len(s.score)}
        after_epoch(candidate, scales)
        mean = float(np.mean(list(found.values())))
        print(f"epoch {epoch}", {k: round(v, 4) for k, v in found.items()}, file=sys.stderr, flush=True)
        if mean > best[0]:
            best = (mean, candidate, found)
    return best[1], best[2]


def _standardise(scale: nn.Module, columns: list[np.ndarray]) -> None:
    """Mean and variance of all rows, and of all cells of tables; of every fourth picture where it is a table."""
    rows = [np.asarray(c[::4] if c.ndim == 3 else c, np.float32).reshape(-1, c.shape[-1]) for c in columns]
    count = sum(map(len, rows))
    mean = sum(r.sum(0, dtype=np.float64) for r in rows) / count
    variance = sum(np.square(r - mean.astype(np.float32)).sum(0, dtype=np.float64) for r in rows) / count
    scale.running_mean, scale.running_var = (torch.from_numpy(v).float() for v in (mean, variance))


def _rows(sets: list[Pictures], chosen: list[np.ndarray]) -> list[Tensor]:
    """Some rows of every set, one set after another, of each of the things that are kept."""
    return [
        torch.from_numpy(np.concatenate([np.asarray(s.kept[k][c]) for s, c in zip(sets, chosen, strict=True)])).float()
        for k in range(len(sets[0].kept))
    ]


def _answer(head: Head, kept: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Raw scores, and the vectors of a head that has them."""
    if isinstance(head, Predictor):
        said = head(Seen(*kept))
        return said.score, said.vectors
    return head(*kept), []


def semantic_loss(vectors: list[Tensor], target: Tensor, dataset: Tensor, labels: Tensor) -> Tensor:
    """The representation loss of quality vectors and, where there are such, of degradation vectors.

    Alike are pictures of one set with opinions within a quarter of a deviation, unlike those more than a deviation
    apart; and for degradations, of one type at about one level, and all others whose type is known.
    """
    itself = torch.eye(len(target), dtype=torch.bool)
    same, apart = dataset[:, None] == dataset[None, :], (target[:, None] - target[None, :]).abs()
    total = representation_loss(vectors[0], vectors[0], same & (apart < 0.25) & ~itself, same & (apart > 1))
    known = labels[:, 0] >= 0
    if len(vectors) > 1 and known.any():
        d, alike = vectors[1][known], alike_by(labels[known], labels[known])
        total = total + representation_loss(d, d, alike & ~itself[: len(d), : len(d)], ~alike)
    return total


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


def fit_distortions(recipe: Recipe, head: DistortionHead, statistics: Tensor, made: Sequence[SyntheticSet]) -> float:
    """Train a distortion head on statistics (N, D) of the pictures to train on and then those to validate on. Returns
    how often its first guess is right in validation."""
    torch.manual_seed(recipe.seed)
    train = len(made[0])
    shares, levels = (torch.from_numpy(np.concatenate([getattr(m, k) for m in made])) for k in ("kind", "severity"))
    known = torch.from_numpy(np.flatnonzero(made[0].kind[:, 0] >= 0))

    def loss() -> Tensor:
        rows = known[torch.randint(len(known), (recipe.batch,))]
        answer = head(statistics[rows])
        return kind_loss(answer["kind"], shares[rows]) + 0.5 * severity_loss(answer["severity"], levels[rows])

    head.train()
    descend(head.parameters(), loss, recipe.steps * recipe.epochs, recipe.lr, recipe.decay)
    head.eval()
    with torch.no_grad():
        guess = head(statistics[train:])["kind"].argmax(1, keepdim=True)
    held = shares[train:]
    right = held.gather(1, guess)[held[:, 0] >= 0] > 0
    print(f"distortion type right: {float(right.float().mean()):.3f}", file=sys.stderr, flush=True)
    return float(right.float().mean())


@torch.no_grad()
def predict(head: Head, pictures: Pictures) -> np.ndarray:
    """Raw scores of the validation pictures."""
    rows = np.array_split(np.arange(pictures.train, len(pictures.score)), 1 + len(pictures.score) // 512)
    return np.concatenate([_answer(head, _rows([pictures], [part]))[0].numpy() for part in rows])


@torch.no_grad()
def known_degradations(system: DRI, d: np.ndarray, labels: np.ndarray) -> Tensor:
    """What ``system.known`` should be: the mean embedding of every type at every level, and of none; zero without any.

    d (N, D): degradation vectors; labels (N, 2): type and level.
    """
    z, found = system.degradation.embed(torch.from_numpy(d)), torch.zeros_like(system.known)
    for i in range(len(found)):
        kind, level = divmod(i, LEVELS)
        rows = (labels[:, 0] == kind) & ((np.rint(labels[:, 1]) == level + 1) | (kind == N_KINDS))
        if rows.any():
            found[i] = F.normalize(z[torch.from_numpy(rows)].mean(0), dim=0)
    return found


def fit_on_whole_pictures(recipe: Recipe) -> Path:
    """``iqassay train SYSTEM --stage head``. Returns the path of a checkpoint like those of ``fit``."""
    if recipe.start is None:
        raise ValueError("got --stage head alone, want head together with --start, whose head is to be trained")
    torch.manual_seed(recipe.seed)  # the head may start from random weights
    system = build_system(recipe).eval()
    load_weights(system, recipe.start, new=("predictor.", "distortions.") if isinstance(system, DRI) else ())
    recipe.out.mkdir(parents=True, exist_ok=True)
    found: dict[str, float] = {}
    if recipe.system != "yoto" or recipe.mode != "full-reference":
        sets = gather(recipe, system)
        head, found = fit_head(recipe, head_of(system), sets)
        head_of(system).load_state_dict(head.state_dict())
        if not isinstance(system, MFEN) and recipe.synthetic:
            kept = [torch.from_numpy(np.asarray(v)) for v in sets[-1].kept]
            read = system.readable(*kept)
            found["distortion type"] = fit_distortions(recipe, system.distortions, read, synthetic_sets(recipe)[:2])
            if isinstance(system, DRI):
                train = sets[-1].train
                system.known.copy_(
                    known_degradations(system, Seen(*kept).degradation.numpy()[:train], sets[-1].labels[:train])
                )
    if isinstance(system, ExtendedYOTO) and recipe.mode != "no-reference":
        from iqassay.training.pairs import fit_distance, gather_pairs

        found |= fit_distance(recipe, system, gather_pairs(recipe, system))
    (recipe.out / "recipe.json").write_text(
        json.dumps({"recipe": dataclasses.asdict(recipe), "val": found}, indent=1, default=str)
    )
    torch.save({"state_dict": {f"system.{k}": v for k, v in system.state_dict().items()}}, recipe.out / "best.ckpt")
    return recipe.out / "best.ckpt"
