"""How a system learns one split of a rated set, and what it says at every point where its training could have stopped.

Three ways: the whole network by ``iqassay train``; its head alone, on what its fixed parts say of whole pictures; and
the baseline, a ridge regression on the statistics of a frozen encoder. A training is asked about more than it learns
from: about the pictures that choose where it stops, and about those that measure it.
"""

from __future__ import annotations

import csv
import dataclasses
import math
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

from iqassay.data.pipeline import labels_of, standard_of
from iqassay.data.rating import Rating, Ratings
from iqassay.data.splits import SPLITS
from iqassay.systems.dri import DRI, DRIConfig
from iqassay.systems.yoto_extended import ExtendedYOTO
from iqassay.training.build import System, build_system
from iqassay.training.cached_pass import fingerprint, keep
from iqassay.training.checkpoints import load_weights, new_parts, settled
from iqassay.training.head import Head, fit_head, heads_of, predict
from iqassay.training.kept_pictures import CELLS, Pictures, gather, kept_of, rated_pictures
from iqassay.training.losses import SetScales
from iqassay.training.pairs import Pairs, compared_of, fit_distance, gather_pairs, graded
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


def _joint(alone: Curve, beside: Curve) -> Curve:
    """What was said of pictures alone, and of the same beside their references."""
    raw, score = ({key + WITH: v for key, v in said.items()} for said in (beside.raw, beside.score))
    return Curve(alone.stops, alone.raw | raw, alone.score | score)


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
    """The second stage of training, ``--stage head``: a new head for every seed, by the recipe. A stop is an epoch.

    Beside references YOTO's distance answers, anew for every seed. It has no epochs: its answer is that of all stops.

    Raises:
        ValueError: if random levels of an encoder would stay as they are.
    """
    recipe = settled(recipe)
    whole = dataclasses.replace(recipe, restoration=True, assistance=True) if recipe.system == "dri" else recipe
    torch.manual_seed(0)  # of parts that no checkpoint sets: the same for all splits
    system = _system(whole)
    kept = {s.name: kept_of(system, [row.image for row in s.rows], folder, s.name) for s in sets}
    made = gather(dataclasses.replace(whole, data=[], shares=[], out=folder), system) if recipe.synthetic else []
    if isinstance(system, DRI) and not (recipe.restoration and recipe.assistance):  # what it adds comes last
        kept = {name: arrays[:3] for name, arrays in kept.items()}
        made = [dataclasses.replace(one, kept=one.kept[:3]) for one in made]
    seen = Seen({s.name: s for s in sets}, kept)
    beside = None
    if isinstance(system, ExtendedYOTO) and recipe.distance and recipe.mode != "no-reference":
        beside = _beside_references(recipe, system, sets, folder)

    def pictures(parts: Sequence[Ratings], train: int) -> Pictures:
        rows = [row for part in parts for row in part.rows]
        return rated_pictures(parts[0].name, rows, _together(seen, parts), train)

    def learn(parts: Parts, seed: int, work: Path) -> Curve:
        torch.manual_seed(seed)
        head, train = heads_of(_system(recipe))[0], parts[TRAIN]
        asked = {key: pictures([part], 0) for key, part in parts.items() if key != TRAIN}
        said: list[Stop] = []

        def after_epoch(head: Head, scales: SetScales) -> None:
            gain, offset = scales.log_gain.exp()[0].item(), scales.offset[0].item()
            said.append((f"epoch {len(said)}", gain, offset, {key: predict(head, one) for key, one in asked.items()}))

        sets = [pictures([train, parts[VAL]], len(train)), *made]
        fit_head(dataclasses.replace(recipe, seed=seed), head, sets, after_epoch)
        curve, stop = _curve(said, train), beside and beside(parts, seed)
        return _joint(curve, _curve([(name, *stop) for name in curve.stops], train)) if stop else curve

    return learn


def _beside_references(
    recipe: Recipe, system: ExtendedYOTO, sets: Sequence[Ratings], folder: Path
) -> Callable[[Parts, int], tuple[float, float, Mapping[str, NDArray]] | None]:
    """What learns the distance for a seed and says, as a ``Stop`` does but for its name, what it makes of the parts
    that have references; None where those to learn from have none, or have no share."""
    paired = [s for s in sets if all(row.reference for row in s.rows)]
    pairs_of = {s.name: [(row.image, row.reference) for row in s.rows] for s in paired}
    kept = {name: compared_of(system, pairs, folder, f"{name}-pairs") for name, pairs in pairs_of.items()}
    seen, shares = Seen({s.name: s for s in paired}, kept), recipe.shares or [1.0, 1.0]
    made = gather_pairs(dataclasses.replace(recipe, data=[], shares=[], out=folder), system) if recipe.synthetic else []
    made = [dataclasses.replace(one, drawn=shares[-1] > 0) for one in made]

    def pairs(parts: Sequence[Ratings], train: int) -> Pairs:
        score = np.concatenate([opinions(part) for part in parts])
        kind, severity = labels_of([row for part in parts for row in part.rows])
        return Pairs(parts[0].name, _together(seen, parts), score, kind, severity, train, shares[0] > 0)

    def learn(parts: Parts, seed: int) -> tuple[float, float, Mapping[str, NDArray]] | None:
        train = parts[TRAIN]
        if train.name not in kept:
            return None
        drawn = [pairs([train, parts[VAL]], len(train)), *made]
        if not any(one.drawn for one in drawn):
            return None
        scales, _ = fit_distance(dataclasses.replace(recipe, seed=seed), system, drawn)
        asked = {key: pairs([part], 0) for key, part in parts.items() if key != TRAIN and part.name in kept}
        gain, offset = scales.log_gain.exp()[0].item(), scales.offset[0].item()
        return gain, offset, {key: graded(system, one) for key, one in asked.items()}

    return learn


def _together(seen: Seen, parts: Sequence[Ratings]) -> list[np.ndarray]:
    """What is kept of parts, one after another."""
    return [np.concatenate(column) for column in zip(*(seen.of(part) for part in parts), strict=True)]


def _system(recipe: Recipe) -> System:
    system = build_system(recipe).eval()
    if recipe.start is not None:
        load_weights(system, recipe.start, new_parts(recipe))
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
        own += ["--columns", ""]  # of the sets; this table has the usual ones
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
        return _joint(curve, _curve([_epoch(file, paired, parts, WITH) for file in files], train))

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
    """A ratings CSV of some parts, each under its split's name, that ``--data FILE::0..100`` reads from anywhere, with
    all that a ``Rating`` holds."""
    file.parent.mkdir(parents=True, exist_ok=True)
    columns = [field.name for field in dataclasses.fields(Rating)]
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        for split, part in parts.items():
            for row in part.rows:
                writer.writerow([_written(getattr(dataclasses.replace(row, split=split), name)) for name in columns])
    return file


def _written(value: Path | str | float | None) -> str:
    """As a ratings CSV has it: files from anywhere, nothing where nothing is known."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.9g}"
    return str(value.absolute() if isinstance(value, Path) else "" if value is None else value)
