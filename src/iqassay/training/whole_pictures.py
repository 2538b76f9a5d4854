"""The stage ``--stage head``, the second stage of training: the heads alone, on whole pictures.

An opinion belongs to a whole picture, and crops are a poor stand-in. With everything but the head fixed, a picture is a
vector of statistics, computed once; a thousand passes over ten thousand of them then take a minute.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from iqassay.systems.dri import DRI, Seen
from iqassay.systems.mfen import MFEN
from iqassay.systems.yoto_extended import ExtendedYOTO
from iqassay.training.build import build_system
from iqassay.training.checkpoints import load_weights
from iqassay.training.distortion_reader import fit_distortions
from iqassay.training.head import fit_head, head_of
from iqassay.training.kept_pictures import gather
from iqassay.training.known_degradations import known_degradations
from iqassay.training.pairs import fit_distance, gather_pairs
from iqassay.training.recipes import Recipe
from iqassay.training.run_folder import refuse_another_run, write_recipe
from iqassay.training.sets import synthetic_sets


def fit_on_whole_pictures(recipe: Recipe) -> Path:
    """``iqassay train SYSTEM --stage head``. Returns the path of a checkpoint like those of ``fit``."""
    if recipe.start is None:
        raise ValueError("got --stage head alone, want head together with --start, whose head is to be trained")
    refuse_another_run(recipe)
    torch.manual_seed(recipe.seed)  # the head may start from random weights
    system = build_system(recipe).eval()
    load_weights(system, recipe.start, new=("predictor.", "distortions.") if isinstance(system, DRI) else ())
    recipe.out.mkdir(parents=True, exist_ok=True)
    found: dict[str, float] = {}
    if recipe.system != "yoto" or recipe.mode != "full-reference":
        sets = gather(recipe, system)
        head, found = fit_head(recipe, head_of(system), sets)
        head_of(system).load_state_dict(head.state_dict())
        if not isinstance(system, MFEN) and recipe.synthetic:
            kept = [torch.from_numpy(np.asarray(v)) for v in sets[-1].kept]
            read = system.readable(*kept)
            found["distortion type"] = fit_distortions(recipe, system.distortions, read, synthetic_sets(recipe)[:2])
            if isinstance(system, DRI):
                train = sets[-1].train
                system.known.copy_(
                    known_degradations(system, Seen(*kept).degradation.numpy()[:train], sets[-1].labels[:train])
                )
    if isinstance(system, ExtendedYOTO) and recipe.mode != "no-reference":
        found |= fit_distance(recipe, system, gather_pairs(recipe, system))
    write_recipe(recipe, val=found)
    torch.save({"state_dict": {f"system.{k}": v for k, v in system.state_dict().items()}}, recipe.out / "best.ckpt")
    return recipe.out / "best.ckpt"
