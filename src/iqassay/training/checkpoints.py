"""What a checkpoint gives back: the recipe of its run, and its weights for a system."""

from __future__ import annotations

import dataclasses
import json
import pickle
from pathlib import Path

import torch
from torch import Tensor

from iqassay.systems.encoders import packaged
from iqassay.systems.pretrained import COUNTERS, named_weights
from iqassay.systems.yoto_extended import ExtendedYOTO, rename
from iqassay.training.build import System, shared_levels
from iqassay.training.recipes import Recipe

# What reading a file as a checkpoint raises, if it is none, or cut off.
UNREADABLE = (OSError, EOFError, KeyError, TypeError, RuntimeError, pickle.UnpicklingError, ValueError)


def new_parts(recipe: Recipe) -> tuple[str, ...]:
    """How the names begin of what the stage of the head trains anew, so that its start need not have it."""
    if recipe.system != "dri":
        return ("linear.", "changes.")
    predictors = ["predictor.", *(f"others.{k}." for k in range(recipe.predictors - 1))]
    generated = () if recipe.generated_begun else ("generated.",)
    return (*predictors[recipe.kept_predictors :], "linear.", "distortions.", "semantic.", *generated)


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
    settings |= {
        key: [Path(folder) for folder in settings.get(key, [])] for key in ("generated", "photos", "semantic_runs")
    }
    settings |= {
        key: Path(settings[key])
        for key in ("start", "encoder_weights", "teacher_heads")
        if settings.get(key) is not None
    }
    settings = {"high_pass": False, "view": 0} | settings  # of 0.1.0, which had no such switches
    settings.pop("queue", None)  # until DRI-IQA 0.2.4 the contrast remembered older pictures
    return Recipe(**settings)


def checkpoint_weights(checkpoint: Path) -> dict[str, Tensor]:
    """The weights of a checkpoint's system, by their names in it. Raises one of ``UNREADABLE`` for another file."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    return {k.removeprefix("system."): v for k, v in state.items() if k.startswith("system.")}


def load_weights(system: System, checkpoint: Path, new: tuple[str, ...] = ()) -> None:
    """Take the system's weights from a checkpoint, or from a model file (.onnx), which has them to 11 bits. Those whose
    names start as in ``new`` may be missing there, or have another shape. All that start so then keep what they are:
    half a trained part is worse than a new one. With "" each that is missing does by itself.

    Raises:
        ValueError: if the file is neither, or not of this network in all its other parts.
    """
    try:
        if checkpoint.suffix == ".onnx":
            weights = named_weights(checkpoint.read_bytes())
        else:
            weights = checkpoint_weights(checkpoint)
    except UNREADABLE:
        raise ValueError(f"{checkpoint}: cannot be read as a checkpoint of iqassay train, or a model file") from None
    if isinstance(system, ExtendedYOTO):
        rename(weights)
    own = system.state_dict()
    weights = {k: v for k, v in weights.items() if k in own and v.shape == own[k].shape}
    missing = [k for k in own if k not in weights and not k.endswith(COUNTERS)]
    begun = tuple(part for part in new if part and any(k.startswith(part) for k in missing))
    weights = {k: v for k, v in weights.items() if not k.startswith(begun)}
    missing = [k for k in missing if not k.startswith(new)]
    if missing:
        raise ValueError(
            f"{checkpoint}: got no weights that fit {missing[0]} and {len(missing) - 1} others, "
            "want a checkpoint of the same network and version"
        )
    system.load_state_dict(weights, strict=False)


def settled(recipe: Recipe) -> Recipe:
    """The recipe with the file that its encoder's weights began as: of a run with a start, that run's.

    Raises:
        ValueError: if random levels of an encoder would stay as they are: nothing could come of that.
    """
    if packaged(recipe.encoder):
        return recipe
    first, learned = recipe, False
    while first.start is not None:
        try:
            first = recipe_of(first.start)
        except ValueError:
            return recipe  # weights of somebody's own: it is for them to know
        learned = learned or (first.stage in ("network", "view") and first.frozen == 0)
    shared = shared_levels(recipe)
    dan = recipe.system == "mfen" and recipe.stage != "view" and recipe.dan and recipe.dan_frozen > shared
    fixed = recipe.stage == "head" or (recipe.stage in ("network", "view") and (recipe.frozen > 0 or dan))
    if fixed and first.encoder_weights is None and not learned:
        flags = "--frozen 0" + (f" and --dan-frozen {shared}" + " or less" * bool(shared)) * dan
        began = f"a --start that had {flags}" if recipe.start is not None else flags
        raise ValueError(
            f"got --encoder {recipe.encoder}, whose weights are random, with levels that stay fixed, want {began}, or "
            "--encoder-weights FILE" + " at the first stage" * (recipe.start is not None)
        )
    return dataclasses.replace(recipe, encoder_weights=first.encoder_weights)
