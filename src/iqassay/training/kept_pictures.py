"""What a head sees of the pictures of a run, computed once by the fixed rest of its system."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from iqassay.data.pipeline import labels_of
from iqassay.training.build import System
from iqassay.training.cached_pass import fingerprint, keep
from iqassay.training.losses import label
from iqassay.training.recipes import Recipe
from iqassay.training.sets import generated_set, rated_rows, synthetic_sets

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


def gather(recipe: Recipe, system: System) -> list[Pictures]:
    """Every set of the recipe, seen by the system; kept in ``recipe.out`` so that a second run only reads them."""
    sets: list[tuple[str, list, np.ndarray, np.ndarray, int]] = []
    for argument in recipe.data:
        name, rows, count = rated_rows(recipe, argument)
        labels = label(*map(torch.from_numpy, labels_of(rows))).numpy()
        sets.append((name, [row.image for row in rows], np.array([row.score for row in rows]), labels, count))
    if recipe.generated:
        generated = generated_set(recipe)
        rows = [row for split in ("train", "val") for row in generated.split(split).rows]
        scores, labels = np.array([row.score for row in rows]), label(*map(torch.from_numpy, labels_of(rows))).numpy()
        sets.append((generated.name, [row.image for row in rows], scores, labels, len(generated.split("train"))))
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
