"""The stage ``--stage map``: the map of MFEN or DRI-IQA learns where pictures are damaged; the score stays as it is."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iqassay.data.coverage import UNTOUCHED
from iqassay.data.synthetic import SyntheticSet
from iqassay.scoring.model_file import load_model_file
from iqassay.systems.dri import DRI
from iqassay.systems.locator import Locator
from iqassay.systems.mfen import MFEN
from iqassay.systems.pretrained import build
from iqassay.training.build import build_system
from iqassay.training.cached_pass import fingerprint, keep
from iqassay.training.checkpoints import load_weights, recipe_of, settled
from iqassay.training.descent import descend, device_of
from iqassay.training.kept_pictures import CELLS, partly_damaged
from iqassay.training.losses import damage_loss
from iqassay.training.recipes import Recipe
from iqassay.training.run_folder import NETWORK, refuse_another_run, write_checkpoint
from iqassay.training.sets import synthetic_sets

POINTS = 20.0  # of a target score, of a unit of the raw score: see ``losses.SetScales``


class Looked(nn.Module):
    """What a system's locator sees of a picture, which is computed once."""

    def __init__(self, system: MFEN | DRI) -> None:
        super().__init__()
        self.system = system

    def forward(self, image: Tensor) -> tuple[Tensor]:
        return (self.system.cells(image),)


def fit_map(recipe: Recipe) -> Path:
    """``iqassay train --stage map``. Returns the path of a checkpoint of the start, a run of another stage or a model
    file with its card, with a new locator in it.

    It learns from synthetic pictures: of so many as ``patched`` says a part is damaged and the rest is the reference,
    so that it is known how much better each cell is than the mean of all; and from all of them as they are, whose maps
    are to be flat, since most are damaged everywhere alike.

    Raises:
        ValueError: for a start that is none, or of another system.
    """
    refuse_another_run(recipe)
    recipe = settled(as_started(recipe))
    torch.manual_seed(recipe.seed)
    system = build_system(recipe).eval()
    assert isinstance(system, MFEN | DRI)
    assert system.locator is not None
    assert recipe.start is not None
    load_weights(system, recipe.start, new=("locator.",))
    recipe.out.mkdir(parents=True, exist_ok=True)
    train, val = synthetic_sets(recipe)[:2]
    parts = _seen(recipe, system, train, recipe.patched, "patched"), _seen(recipe, system, train, 0, "whole")
    fit_locator(recipe, system.locator, *parts)
    cells, _, damaged = _seen(recipe, system, val, 0.5, "held out")
    with torch.no_grad():
        found = told_apart(system.locator(cells).numpy(), damaged.numpy())
    print(f"damaged cells below others, on contents held out: {found:.4f}", file=sys.stderr, flush=True)
    return write_checkpoint(recipe, system, {"damaged cells below others": found})


def as_started(recipe: Recipe) -> Recipe:
    """The recipe with the network of its start. Raises ValueError for a start that does not say what its network is."""
    assert recipe.start is not None
    if recipe.start.suffix == ".onnx":
        built = dataclasses.asdict(build(load_model_file(recipe.start)).config)
    else:
        built = dataclasses.asdict(recipe_of(recipe.start))
    names = ("encoder", "semantic", "predictors", "linear", *NETWORK[recipe.system])
    return dataclasses.replace(recipe, **{name: built[name] for name in names if name in built})


Seen = tuple[Tensor, Tensor, Tensor]  # cells (N, CELLS, K), how much better each is (N, CELLS), its damaged share


def _seen(recipe: Recipe, system: MFEN | DRI, made: SyntheticSet, share: float, name: str) -> Seen:
    """What the locator sees of so many pictures that are damaged in a part, or, with a share of 0, of all as they are;
    how much better each cell is than the mean, in raw score; and its damaged share, -1 for a whole picture."""
    if share:
        rows, pictures, damaged = partly_damaged(made, share, recipe.synthetic_seed)
        quality = damaged * made.score[rows][:, None] + (1 - damaged) * UNTOUCHED
    else:
        pictures, damaged = list(made.pixels), np.full((len(made), CELLS), -1.0)
        quality = np.zeros_like(damaged)
    folder = recipe.out / f"{name.replace(' ', '-')}-{fingerprint(system, pictures)}"
    (cells,) = keep(folder, Looked(system), [(one,) for one in pictures], CELLS, device=device_of(recipe))
    better = (quality - quality.mean(1, keepdims=True)) / POINTS
    return torch.from_numpy(np.asarray(cells)), torch.from_numpy(better).float(), torch.from_numpy(damaged).float()


def fit_locator(recipe: Recipe, locator: Locator, *parts: Seen) -> None:
    """Train it in place, on as many pictures of each part in a batch, by a smooth L1 loss and, with the weight that is
    ``recipe.damaged``, by ``damage_loss``."""
    rows = torch.cat([cells[::4].flatten(0, 1).float() for cells, _, _ in parts])
    locator.scale.running_mean, locator.scale.running_var = rows.mean(0), rows.var(0)
    locator.train()
    locator.scale.eval()

    def loss() -> Tensor:
        some = [torch.randint(len(cells), (recipe.batch // len(parts),)) for cells, _, _ in parts]
        cells, better, damaged = (
            torch.cat([part[k][chosen] for part, chosen in zip(parts, some, strict=True)]) for k in range(3)
        )
        found = locator(cells)
        value = F.smooth_l1_loss(found, better, beta=0.5)
        return value + recipe.damaged * damage_loss(found[:, None, :, None], damaged[:, :, None])

    descend(locator.parameters(), loss, recipe.steps * recipe.epochs, recipe.lr, recipe.decay)
    locator.eval()


def told_apart(found: np.ndarray, damaged: np.ndarray) -> float:
    """How probable it is that a damaged cell lies below one that is not, of the same picture; mean over the pictures
    that have both. found, damaged (N, CELLS)."""
    shares = []
    for values, part in zip(found, damaged, strict=True):
        bad, good = values[part > 0.9], values[(part >= 0) & (part < 0.1)]
        if len(bad) and len(good):
            shares.append(float(np.mean((bad[:, None] < good) + 0.5 * (bad[:, None] == good))))
    return float(np.mean(shares))
