"""A run of ``iqassay train dri --stage head``, as a script finds it in its folder."""

from __future__ import annotations

from pathlib import Path

from iqassay.systems.dri import DRI
from iqassay.training.build import build_system
from iqassay.training.checkpoints import load_weights, recipe_of
from iqassay.training.recipes import Recipe


def opened(run: Path) -> tuple[Recipe, DRI]:
    """Its recipe, and the system with the weights of its best checkpoint. Exits for a run of another system."""
    recipe = recipe_of(run / "best.ckpt")
    system = build_system(recipe).eval()
    if not isinstance(system, DRI):
        raise SystemExit(f"got a run of {recipe.system}, want one of dri")
    load_weights(system, run / "best.ckpt")
    return recipe, system
