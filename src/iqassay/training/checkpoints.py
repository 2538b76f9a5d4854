"""What a checkpoint gives back: the recipe of its run, and its weights for a system."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import torch

from iqassay.systems.yoto_extended import ExtendedYOTO, rename
from iqassay.training.build import System
from iqassay.training.recipes import Recipe


def recipe_of(checkpoint: Path) -> Recipe:
    """The recipe of the run that a checkpoint lies in.

    Raises:
        ValueError: if there is no recipe beside it.
    """
    try:
        settings = json.loads((checkpoint.parent / "recipe.json").read_text())["recipe"]
    except (OSError, ValueError, KeyError):
        raise ValueError(f"{checkpoint}: no recipe.json beside it, want a checkpoint of iqassay train") from None
    settings |= {"out": Path(settings["out"]), "synthetic": [Path(folder) for folder in settings["synthetic"]]}
    if "statistics" in settings:  # of 0.1.0, where it stood for three switches
        settings |= dict.fromkeys(("normalise", "whole_picture", "distance"), settings.pop("statistics"))
    settings.setdefault("high_pass", False)  # of 0.1.0, which had no such switch
    return Recipe(**settings)


def load_weights(system: System, checkpoint: Path, new: tuple[str, ...] = ()) -> None:
    """Take the system's weights from a checkpoint. Those whose names start as in ``new`` may be missing there, or have
    another shape: they keep what they are.

    Raises:
        ValueError: if the file is no such checkpoint, or not of this network in all its other parts.
    """
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    except (OSError, EOFError, KeyError, TypeError, RuntimeError, pickle.UnpicklingError):
        raise ValueError(f"{checkpoint}: cannot be read as a checkpoint of iqassay train") from None
    weights = {k.removeprefix("system."): v for k, v in state.items() if k.startswith("system.")}
    if isinstance(system, ExtendedYOTO):
        rename(weights)
    own = system.state_dict()
    weights = {k: v for k, v in weights.items() if k in own and v.shape == own[k].shape}
    missing = [k for k in own if k not in weights and not k.startswith(new)]
    if missing:
        raise ValueError(
            f"{checkpoint}: got no weights that fit {missing[0]} and {len(missing) - 1} others, "
            "want a checkpoint of the same network and version"
        )
    system.load_state_dict(weights, strict=False)
