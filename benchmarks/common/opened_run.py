"""A run of ``iqassay train --stage head``, as a script finds it in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from iqassay.training.build import System, build_system
from iqassay.training.checkpoints import load_weights, recipe_of
from iqassay.training.recipes import Recipe

Kind = TypeVar("Kind", bound=System)


def opened(run: Path, kind: type[Kind]) -> tuple[Recipe, Kind]:
    """Its recipe, and the system with the weights of its best checkpoint. Exits for a run of another system."""
    recipe = recipe_of(run / "best.ckpt")
    system = build_system(recipe).eval()
    if not isinstance(system, kind):
        raise SystemExit(f"got a run of {recipe.system}, want one of {kind.__name__}")
    load_weights(system, run / "best.ckpt")
    return recipe, system
