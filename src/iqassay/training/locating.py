"""The stage ``--stage map``: a system's map learns where pictures are damaged; the score stays as it is."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iqassay.data.coverage import UNTOUCHED
from iqassay.data.distortions import KINDS
from iqassay.data.pipeline import CELL
from iqassay.data.synthetic import SyntheticConfig, SyntheticSet
from iqassay.scoring.model_file import load_model_file
from iqassay.statistics.pairs import share_below
from iqassay.systems.locator import Locator
from iqassay.systems.pretrained import build
from iqassay.training.build import System, build_system
from iqassay.training.cached_pass import fingerprint, keep
from iqassay.training.checkpoints import load_weights, recipe_of, settled
from iqassay.training.descent import descend, device_of
from iqassay.training.kept_pictures import partly_damaged
from iqassay.training.losses import damage_loss
from iqassay.training.recipes import Recipe
from iqassay.training.run_folder import NETWORK, refuse_another_run, write_checkpoint
from iqassay.training.sets import draw

POINTS = 20.0  # of a target score, of a unit of the raw score: see ``losses.SetScales``
# What it learns from is damaged alike everywhere, or a box of it would be damaged in part and a whole one would not be
# even. Most has one distortion at any level, because the map is asked about each of them; what is done to light is the
# hardest to tell from light, and is drawn three times as often.
IN_PLACES = ("color_block", "non_eccentricity_patch")
LIGHT = ("brighten", "darken", "mean_shift", "contrast_change")
EVEN = ("beyond", "empty", "toned", "resampled", "resaved", "upscaled")  # of ``data.coverage``
SEEN = 10  # points of score between a picture and its reference: less is no damage to point at
BOXES = {"least": 0.1, "even": 0.5}  # see ``patch``
WHOLE = 3  # one in so many pictures is also seen as it is


class Looked(nn.Module):
    """What a system's locator sees of a picture, which is computed once."""

    def __init__(self, system: System) -> None:
        super().__init__()
        self.system = system

    def forward(self, image: Tensor) -> tuple[Tensor]:
        return (self.system.cells(image),)


def fit_map(recipe: Recipe) -> Path:
    """``iqassay train --stage map``. Returns the path of a checkpoint of the start, a run of another stage or a model
    file with its card, with a new locator in it.

    It learns from synthetic pictures: of so many as ``patched`` says a part is damaged and the rest is the reference,
    so that it is known how much better each cell is than the mean of all; and from a third of them as they are, whose
    maps are to be flat, since they are damaged everywhere alike.

    Raises:
        ValueError: for a start that is none, or of another system.
    """
    refuse_another_run(recipe)
    recipe = settled(as_started(recipe))
    torch.manual_seed(recipe.seed)
    system = build_system(recipe).eval()
    assert system.locator is not None
    assert recipe.start is not None
    load_weights(system, recipe.start, new=("locator.",))
    recipe.out.mkdir(parents=True, exist_ok=True)
    train, val = draw(recipe, evenly_damaged(recipe))
    parts = _seen(recipe, system, train, recipe.patched, "patched"), _seen(recipe, system, train, 0, "whole")
    fit_locator(recipe, system.locator, *parts)
    cells, _, damaged = _seen(recipe, system, val, 0.5, "held out")
    with torch.no_grad():
        found = told_apart(system.locator(cells, *damaged.shape[1:]).numpy()[:, 0], damaged.numpy())
    print(f"damaged cells below others, on contents held out: {found:.4f}", file=sys.stderr, flush=True)
    return write_checkpoint(recipe, system, {"damaged cells below others": found})


def as_started(recipe: Recipe) -> Recipe:
    """The recipe with the network of its start. Raises ValueError for a start that does not say what its network is."""
    assert recipe.start is not None
    if recipe.start.suffix == ".onnx":
        built = dataclasses.asdict(build(load_model_file(recipe.start)).config)
        if recipe.system == "yoto":  # a network, and terms around it
            built |= built["network"] | {"tokens": built["network"]["width"]}
    else:
        built = dataclasses.asdict(recipe_of(recipe.start))
    names = ("encoder", "semantic", "predictors", "linear", *NETWORK[recipe.system])
    return dataclasses.replace(recipe, **{name: built[name] for name in names if name in built})


def evenly_damaged(recipe: Recipe) -> SyntheticConfig:
    """What pictures it learns from."""
    kinds = tuple(kind for kind in (*KINDS, *2 * LIGHT) if kind not in (*IN_PLACES, *recipe.synthetic_without))
    return SyntheticConfig(
        recipe.synthetic_count,
        recipe.synthetic_size,
        recipe.synthetic_seed,
        untouched=0.04,
        chained=0.1,
        restored=0.1,
        covered=recipe.synthetic_covered,
        families=EVEN,
        kinds=kinds,
    )


# Cells (N, rows * columns, K); how much better each is, and its damaged share, (N, rows, columns) each.
Seen = tuple[Tensor, Tensor, Tensor]


def _seen(recipe: Recipe, system: System, made: SyntheticSet, share: float, name: str) -> Seen:
    """What the locator sees of so many pictures that are damaged in a part, or, with a share of 0, of one in ``WHOLE``
    as they are; how much better each cell is than the mean, in raw score; and its damaged share, -1 for a whole
    picture."""
    side = made.pixels.shape[1] // CELL
    if share:
        rows, pictures, damaged = partly_damaged(made, share, recipe.synthetic_seed, side * side, SEEN, **BOXES)
        quality = damaged * made.score[rows][:, None] + (1 - damaged) * UNTOUCHED
    else:
        pictures = list(made.pixels[::WHOLE])
        damaged = np.full((len(pictures), side * side), -1.0)
        quality = np.zeros_like(damaged)
    folder = recipe.out / f"{name.replace(' ', '-')}-{fingerprint(system, pictures)}"
    (cells,) = keep(folder, Looked(system), [(one,) for one in pictures], side * side, device=device_of(recipe))
    better = (quality - quality.mean(1, keepdims=True)) / POINTS
    better, damaged = (values.reshape(-1, side, side).astype(np.float32) for values in (better, damaged))
    return torch.from_numpy(cells), torch.from_numpy(better), torch.from_numpy(damaged)


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
        found = locator(cells, *better.shape[1:])
        value = F.smooth_l1_loss(found[:, 0], better, beta=0.5)
        return value + recipe.damaged * damage_loss(found, damaged)

    descend(locator.parameters(), loss, recipe.steps * recipe.epochs, recipe.lr, recipe.decay)
    locator.eval()


def told_apart(found: np.ndarray, damaged: np.ndarray) -> float:
    """How probable it is that a damaged cell lies below one that is not, of the same picture; mean over the pictures
    that have both. found, damaged (N, rows, columns)."""
    shares = []
    for values, part in zip(found, damaged, strict=True):
        bad, good = values[part > 0.9], values[(part >= 0) & (part < 0.1)]
        if len(bad) and len(good):
            shares.append(float(share_below(good, bad).mean()))
    return float(np.mean(shares))
