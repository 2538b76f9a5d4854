"""The folder of a run: what is written there, and that a run of another kind must not go on in it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch

from iqassay.support.files import replace_file, write_whole
from iqassay.training.build import System
from iqassay.training.checkpoints import recipe_of
from iqassay.training.recipes import Recipe

# The fields of a recipe that make the network, for each system; others may change while a run goes on.
NETWORK = {
    "mfen": ("dan_encoder", "hfen", "high_pass", "dan", "fusion", "width", "view"),
    "yoto": (
        *("tokens", "adapter", "sda", "windows", "segments", "normalise"),
        *("whole_picture", "distance", "sway", "mode", "near", "heads", "detail"),
    ),
    "dri": ("restoration", "assistance", "interaction", "two_vectors"),
}


def refuse_another_run(recipe: Recipe) -> None:
    """Raise ValueError if ``recipe.out`` holds a run of another system, stage or network, or one on other sets.

    Going on there would overwrite its recipe, and end when weights that do not fit are loaded.
    """
    out = recipe.out
    if not (out / "recipe.json").exists() and not any(out.glob("*.ckpt")):
        return
    before = recipe_of(out / "any.ckpt")
    network = ("system", "stage", "config", "encoder", *(NETWORK[recipe.system] if recipe.stage != "head" else ()))
    for name in network:
        _compare(recipe, name.replace("_", "-"), getattr(before, name), getattr(recipe, name))
    if recipe.stage in ("network", "view"):  # whose checkpoints have a scale for each set
        _compare(recipe, "data", *(sorted(r.set_names()) for r in (before, recipe)))
        _compare(recipe, "synthetic", bool(before.synthetic), bool(recipe.synthetic))
        _compare(recipe, "left-out", *(len(r.left_out) for r in (before, recipe)))


def _compare(recipe: Recipe, name: str, held: Any, got: Any) -> None:
    if held != got:
        what = "" if name == "system" else "--"
        raise ValueError(
            f"{recipe.out}: holds a run with {what}{name} {_words(held)}, got {_words(got)}: "
            "want another folder with --out"
        )


def _words(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)


def write_recipe(recipe: Recipe, **more: Any) -> None:
    """Write recipe.json, all of it or none: a run that is killed leaves one that can be read."""
    content = json.dumps({"recipe": dataclasses.asdict(recipe), **more}, indent=1, default=str).encode()
    recipe.out.mkdir(parents=True, exist_ok=True)
    write_whole(recipe.out / "recipe.json", content)


def write_checkpoint(recipe: Recipe, system: System, found: dict[str, float]) -> Path:
    """Write best.ckpt of the system and its recipe, each as a whole: a run that is killed here leaves what was there
    before, not half a file. found: what validation says. Returns the path of the checkpoint."""
    write_recipe(recipe, val=found)
    weights = {"state_dict": {f"system.{k}": v for k, v in system.state_dict().items()}}
    replace_file(recipe.out / "best.ckpt", lambda out: torch.save(weights, out))
    return recipe.out / "best.ckpt"
