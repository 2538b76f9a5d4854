"""The folder of a run, which a run of another kind must not go on in: its recipe is read before anything is written."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from iqassay.support.files import write_whole
from iqassay.training.checkpoints import recipe_of
from iqassay.training.recipes import Recipe

# The fields of a recipe that make the network, for each system; others may change while a run goes on.
NETWORK = {
    "mfen": ("dan_encoder", "hfen", "high_pass", "dan", "fusion", "width", "view"),
    "yoto": (
        *("tokens", "adapter", "sda", "windows", "segments", "normalise"),
        *("whole_picture", "distance", "sway", "mode"),
    ),
    "dri": ("restoration", "interaction", "two_vectors"),
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
