"""How a system learns one split of a rated set, and what it says at every point where its training could have stopped.

Three ways: the whole network by ``iqassay train``; its head alone, on what its fixed parts say of whole pictures; and
the baseline, a ridge regression on the statistics of a frozen encoder. A training is asked about more than it learns
from: about the pictures that choose where it stops, and about those that measure it.
"""

from __future__ import annotations

import csv
import dataclasses
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import linalg
from torch import Tensor, nn

from iqassay.data.pipeline import standard_of
from iqassay.data.rating import Ratings
from iqassay.data.splits import SPLITS
from iqassay.data.synthetic import UNKNOWN
from iqassay.systems.dri import DRI, DRIConfig
from iqassay.training.build import System, build_system
from iqassay.training.cached_pass import fingerprint, keep
from iqassay.training.checkpoints import load_weights
from iqassay.training.head import Head, fit_head, head_of, predict
from iqassay.training.kept_pictures import CELLS, Pictures, gather, kept_of
from iqassay.training.losses import SetScales
from iqassay.training.recipes import Recipe

TRAIN, VAL, TEST = SPLITS
Parts = Mapping[str, Ratings]  # "train" to learn from; "val", "test" and others to be asked about
WITH = " with reference"  # after a part's name: what was said of its pictures beside their references
PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # of the ridge regression, relative to the pictures


@dataclass(frozen=True)
class Curve:
    """What a training said of each part but "train" wherever it could have stopped: raw (stops, pictures).

    score, of the same shape: on 0 to 100, higher is better. It is the mean of the training opinions plus their
    deviation times what the training made of the raw score, held within 0 to 100. stops: epochs, or penalties. YOTO's
    joint training has each part twice where there are references, the second time with ``WITH`` after its name.
    """

    stops: tuple[str, ...]
    raw: dict[str, NDArray[np.float64]]
    score: dict[str, NDArray[np.float64]]


Learner = Callable[[Parts, int, Path], Curve]  # the parts, the seed, a folder of its own


Stop = tuple[str, float, float, Mapping[str, NDArray]]  # its name, gain and offset to standardised opinions, raw scores


def _curve(said: Sequence[Stop], train: Ratings) -> Curve:
    mean, deviation = standard_of(opinions(train))
    raw = {part: np.stack([np.float64(one[part]) for *_, one in said]) for part in said[0][3]}
    gain, offset = (np.array([one[i] for one in said])[:, None] for i in (1, 2))
    score = {part: np.clip(mean + deviation * (gain * values + offset), 0, 100) for part, values in raw.items()}
    return Curve(tuple(stop for stop, *_ in said), raw, score)


def opinions(part: Ratings) -> NDArray[np.float64]:
    """The mean opinion of every picture, (N,)."""
    return np.array([row.score for row in part.rows])


# ---- what fixed parts say, once for all splits ----------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """What is kept of all pictures of some sets, whatever their splits: by the set's name, arrays (N, ...)."""

    sets: Mapping[str, Ratings]
    kept: Mapping[str, list[np.ndarray]]

    def of(self, part: Ratings) -> list[np.ndarray]:
        """The rows of a part of a set, in its order."""
        number = {row.image: i for i, row in enumerate(self.sets[part.name].rows)}
        rows = [number[row.image] for row in part.rows]
        return [np.asarray(array[rows]) for array in self.kept[part.name]]


class Statistics(nn.Module):
    """An encoder frozen as ImageNet made it: image (B, 3, H, W) -> mean and deviation of every channel of every level
    at full, half and quarter size (B, 6S), as DRI-IQA describes a picture."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.described = DRI(DRIConfig(name, restoration=False))

    def forward(self, image: Tensor) -> tuple[Tensor]:
        return (self.described.kept(image)[0],)


def ridge_learner(encoder: str, sets: Sequence[Ratings], folder: Path) -> Learner:
    """Ridge regression on ``Statistics``, standardised as the training pictures are; a stop is a penalty."""
    torch.manual_seed(0)  # of encoders that ImageNet did not make
    network = Statistics(encoder)

    def kept(ratings: Ratings) -> list[np.ndarray]:
        sources = [row.image for row in ratings.rows]
        name = f"{ratings.name}-{fingerprint(network.described.encoder, sources)}"
        return keep(folder / name, network, [(source,) for source in sources], CELLS)

    seen = Seen({s.name: s for s in sets}, {s.name: kept(s) for s in sets})

    def learn(parts: Parts, seed: int, work: Path) -> Curve:
        x, y = seen.of(parts[TRAIN])[0].astype(np.float64), opinions(parts[TRAIN])
        centre, scale, (mean, deviation) = x.mean(0), x.std(0) + 1e-6, standard_of(y)
        z = (x - centre) / scale
        gram, moment = z.T @ z, z.T @ ((y - mean) / deviation)
        asked = {key: (seen.of(part)[0] - centre) / scale for key, part in parts.items() if key != TRAIN}
        said = []
        for penalty in PENALTIES:
            weight = linalg.solve(gram + penalty * len(z) * np.eye(len(gram)), moment, assume_a="pos")
            said.append((f"penalty {penalty:g}", 1.0, 0.0, {key: rows @ weight for key, rows in asked.items()}))
        return _curve(said, parts[TRAIN])

    return learn


def head_learner(recipe: Recipe, sets: Sequence[Ratings], folder: Path) -> Learner:
    """The second stage of training, ``--stage head``: a new head for every seed, by the recipe. A stop is an epoch."""
    whole = dataclasses.replace(recipe, restoration=True) if recipe.system == "dri" else recipe
    torch.manual_seed(0)  # of parts that no checkpoint sets: the same for all splits
    system = _system(whole)
    kept = {s.name: kept_of(system, [row.image for row in s.rows], folder, s.name) for s in sets}
    made = gather(dataclasses.replace(whole, data=[], shares=[], out=folder), system) if recipe.synthetic else []
    if isinstance(system, DRI) and not recipe.restoration:  # what is kept without a restorer comes first
        kept = {name: arrays[:3] for name, arrays in kept.items()}
        made = [dataclasses.replace(one, kept=one.kept[:3]) for one in made]
    seen = Seen({s.name: s for s in sets}, kept)

    def pictures(parts: Sequence[Ratings], train: int) -> Pictures:
        columns = zip(*(seen.of(part) for part in parts), strict=True)
        score = np.concatenate([opinions(part) for part in parts])
        unknown = np.full((len(score), 2), UNKNOWN, np.float32)
        return Pictures(parts[0].name, [np.concatenate(c) for c in columns], score, unknown, train)

    def learn(parts: Parts, seed: int, work: Path) -> Curve:
        torch.manual_seed(seed)
        head, train = head_of(_system(recipe)), parts[TRAIN]
        asked = {key: pictures([part], 0) for key, part in parts.items() if key != TRAIN}
        said: list[Stop] = []

        def after_epoch(head: Head, scales: SetScales) -> None:
            gain, offset = scales.log_gain.exp()[0].item(), scales.offset[0].item()
            said.append((f"epoch {len(said)}", gain, offset, {key: predict(head, one) for key, one in asked.items()}))

        sets = [pictures([train, parts[VAL]], len(train)), *made]
        fit_head(dataclasses.replace(recipe, seed=seed), head, sets, after_epoch)
        return _curve(said, train)

    return learn


def _system(recipe: Recipe) -> System:
    system = build_system(recipe).eval()
    if recipe.start is not None:
        load_weights(system, recipe.start, new=("predictor.", "distortions.") if isinstance(system, DRI) else ())
    return system


# ---- the whole network ----------------------------------------------------------------------------------------------


def network_learner(recipe: Recipe, flags: Sequence[str]) -> Learner:
    """``iqassay train`` in a process of its own, which goes on where it was stopped. A stop is an epoch."""
    joint = recipe.system == "yoto" and recipe.mode == "joint"
    needs = WITH if recipe.system == "yoto" and recipe.mode == "full-reference" else ""

    def learn(parts: Parts, seed: int, work: Path) -> Curve:
        train, asked = parts[TRAIN], {key: part for key, part in parts.items() if key not in (TRAIN, VAL)}
        data = write_ratings(work / f"{train.name}.csv", {TRAIN: train, VAL: parts[VAL]})
        looked_at = {key: write_ratings(work / "looked_at" / f"{key}.csv", {VAL: part}) for key, part in asked.items()}
        own = ["--stage", "network", "--data", f"{data}::0..100", "--seed", str(seed), "--out", str(work)]
        start = ["--start", str(recipe.start)] if recipe.start else []
        also = [f for file in looked_at.values() for f in ("--left-out", f"{file}::0..100")]
        command = [sys.executable, "-m", "iqassay", "train", recipe.system, *flags, *own, *start, *also]
        status = subprocess.run(command, stdout=subprocess.DEVNULL).returncode
        if status:
            raise ValueError(f"{train.name}, seed {seed}: iqassay train ended with status {status}, see above")
        named = {VAL: train.name, **{key: f"left_out_{key}" for key in asked}}
        files = [work / f"val-{epoch}.npz" for epoch in range(len(list(work.glob("val-*.npz"))))]
        curve = _curve([_epoch(file, named, parts, needs) for file in files], train)
        with np.load(files[0]) as first:
            paired = {key: name for key, name in named.items() if name + WITH in first["sets"]}
        if not joint or VAL not in paired:
            return curve
        beside = _curve([_epoch(file, paired, parts, WITH) for file in files], train)
        raw, score = ({key + WITH: v for key, v in said.items()} for said in (beside.raw, beside.score))
        return Curve(curve.stops, curve.raw | raw, curve.score | score)

    return learn


def _epoch(file: Path, named: Mapping[str, str], parts: Parts, mode: str) -> Stop:
    """What an epoch's validation, in the file, says of parts: named by set, of which the first was trained on; mode:
    ``WITH`` for the answers beside references."""
    with np.load(file) as kept:
        number = {str(name): i for i, name in enumerate(kept["sets"])}
        gain, offset = kept["scale"][number[next(iter(named.values())) + mode]]
        rows = {key: kept["raw"][kept["dataset"] == number[name + mode]] for key, name in named.items()}
    # Several devices each go through all pictures, one after another.
    raw = {key: values[: len(parts[key])] for key, values in rows.items()}
    return f"epoch {file.stem.partition('-')[2]}", float(gain), float(offset), raw


def write_ratings(file: Path, parts: Parts) -> Path:
    """A ratings CSV of some parts, each under its split's name, that ``--data FILE::0..100`` reads from anywhere."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("image", "score", "reference", "group", "split"))
        for split, part in parts.items():
            for row in part.rows:
                reference = row.reference.absolute() if row.reference else ""
                writer.writerow((row.image.absolute(), f"{row.score:.9g}", reference, row.group, split))
    return file
