"""What a head sees of the pictures of a run, computed once by the fixed rest of its system."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from iqassay.data.coverage import UNTOUCHED
from iqassay.data.pipeline import CELL, LEAST_DAMAGE, labels_of, patch
from iqassay.data.rating import Rating
from iqassay.data.synthetic import UNKNOWN, SyntheticSet, pristine_files
from iqassay.systems.blocks import N_KINDS
from iqassay.systems.dri import DRI
from iqassay.systems.vision_transformer import SIDE, VisionTransformer
from iqassay.training.build import System
from iqassay.training.cached_pass import fingerprint, keep, thinned
from iqassay.training.descent import device_of
from iqassay.training.export import Understood
from iqassay.training.losses import label
from iqassay.training.recipes import Recipe
from iqassay.training.semantic import Beginning
from iqassay.training.sets import generated_set, rated_rows, synthetic_sets, unrated_set

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
    """One set: what is kept of its pictures, each (N, ...), or (N, views, ...) of several views of each, their scores
    on 0..100 (N,), the shares of their distortion types (N, 26) and the levels of these (N, 25), -1 where unknown. Rows
    before ``train`` are for training.
    """

    name: str
    kept: list[np.ndarray]
    score: np.ndarray
    kind: np.ndarray
    severity: np.ndarray
    train: int
    generated: bool = False  # all of them lie in a folder of --generated
    views: int = 1
    damaged: np.ndarray | None = None  # (N, CELLS): of pictures damaged in a part, the share of each cell that is kept

    @property
    def labels(self) -> np.ndarray:
        """Distortion type and level of pictures with one, as ``label`` has them, (N, 2)."""
        return label(torch.from_numpy(self.kind), torch.from_numpy(self.severity)).numpy()


def gather(recipe: Recipe, system: System) -> list[Pictures]:
    """Every set of the recipe, seen by the system; kept in ``recipe.out`` so that a second run only reads them. In the
    stage of the semantic encoder what is kept is what its first blocks say, and generated pictures have no opinions.
    """
    out, begins = [], recipe.stage == "semantic"

    def see(sources: Sequence[Path | np.ndarray], name: str) -> list[np.ndarray]:
        if begins and isinstance(system, DRI) and system.semantic is not None:
            return begun_of(system.semantic, recipe, sources, name)
        return kept_of(system, sources, recipe.out, name, device_of(recipe))

    for argument in recipe.data:
        name, rows, count = rated_rows(recipe, argument)
        found = rated_pictures(name, rows, see([row.image for row in rows], name), count)
        found.generated = all(any(row.image.is_relative_to(f) for f in recipe.generated) for row in rows)
        out.append(found)
    if recipe.generated:
        generated = (unrated_set if begins else generated_set)(recipe)
        rows = [row for split in ("train", "val") for row in generated.split(split).rows]
        kept = see([row.image for row in rows], generated.name)
        out.append(rated_pictures(generated.name, rows, kept, len(generated.split("train"))))
        out[-1].generated = True
    if recipe.synthetic:
        made = synthetic_sets(recipe)[:2]
        kept = see([*made[0].pixels, *made[1].pixels], "synthetic")
        score, kind, severity = (np.concatenate([getattr(m, k) for m in made]) for k in ("score", "kind", "severity"))
        out.append(Pictures("synthetic", kept, score, kind, severity, len(made[0])))
    for found in out:
        found.views = recipe.semantic_views if begins else 1
    return out


def unrated_photos(recipe: Recipe, system: System) -> list[Pictures]:
    """The photos of the recipe's ``photos``, which teach no score, every tenth for validation; nothing if it has none.

    Raises:
        ValueError: if there are no pictures in these folders.
    """
    if not recipe.photos:
        return []
    files = pristine_files(recipe.photos)
    learned, count = [file for i, file in enumerate(files) if i % 10], len(files)
    kept = kept_of(system, [*learned, *files[::10]], recipe.out, "photos", device_of(recipe))
    none = np.full((count, N_KINDS + 1), UNKNOWN), np.full((count, N_KINDS), UNKNOWN)
    return [Pictures("photos", kept, np.zeros(count), *none, len(learned))]


def patched_pictures(recipe: Recipe, system: System) -> Pictures:
    """Synthetic pictures of which a part is damaged and the rest is the reference, to learn from where damage is."""
    made = synthetic_sets(recipe)[0]
    rows, mixed, damaged = partly_damaged(made, recipe.patched, recipe.synthetic_seed)
    kept = kept_of(system, mixed, recipe.out, "patched", device_of(recipe))
    none = np.full((len(rows), len(made.kind[0])), UNKNOWN), np.full((len(rows), len(made.severity[0])), UNKNOWN)
    return Pictures("patched", kept, made.score[rows], *none, len(rows), damaged=damaged)


def partly_damaged(
    made: SyntheticSet, share: float, seed: int, cells: int = CELLS, damage: float = LEAST_DAMAGE, **boxes: float
) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """So many of a set's pictures, of which a part is damaged and the rest is the reference: their numbers in the set,
    the pictures, and how much of each kept cell is damaged, (N, cells), 0 to 1. damage: that the whole picture has at
    least, in points. boxes: see ``patch``."""
    ruined = np.flatnonzero(made.score < UNTOUCHED - damage)
    rows = ruined[np.linspace(0, len(ruined) - 1, max(1, round(share * len(made)))).astype(int)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        mixed, masks = zip(*(patch(made.pixels[i], made.reference[i], **boxes) for i in rows), strict=True)
    side = len(masks[0]) // CELL
    damaged = np.stack(masks)[:, : side * CELL, : side * CELL].reshape(-1, side, CELL, side, CELL).mean((2, 4))
    return rows, list(mixed), damaged.reshape(len(rows), -1)[:, thinned(side * side, cells)]


def rated_pictures(name: str, rows: Sequence[Rating], kept: list[np.ndarray], train: int) -> Pictures:
    """A rated set of these rows, of which the first ``train`` are for training, with what is kept of them."""
    return Pictures(name, kept, np.array([row.score for row in rows]), *labels_of(rows), train)


def kept_of(
    system: System, sources: Sequence[Path | np.ndarray], folder: Path, name: str, device: str = "cpu"
) -> list[np.ndarray]:
    """What the head sees of pictures, (N, ...) each; kept in ``folder``, by what the system and the pictures are."""
    pictures = [(source,) for source in sources]
    kept = keep(folder / f"{name}-{fingerprint(system, sources)}", Kept(system), pictures, CELLS, device=device)
    if isinstance(system, DRI) and system.semantic is not None:
        own = folder / f"{name}-semantic-{fingerprint(system.semantic, sources)}"
        kept += keep(own, Understood(system), pictures, CELLS, square=True, device=device)
    return kept


def begun_of(
    semantic: VisionTransformer, recipe: Recipe, sources: Sequence[Path | np.ndarray], name: str
) -> list[np.ndarray]:
    """What ``Beginning`` says of pictures: tokens (N, 1 + P, C) in float16, and what all of the encoder says, (N,
    512); with several views of each (N, views, ...)."""
    fixed, views = recipe.semantic_fixed, recipe.semantic_views
    folder = recipe.out / f"{name}-begun-{fixed}-{views}-{fingerprint(semantic, sources)}"
    pictures, patches = [(source,) for source in sources], 1 + (SIDE // semantic.shape.patch) ** 2
    return keep(folder, Beginning(semantic, fixed), pictures, patches, True, device_of(recipe), views)
