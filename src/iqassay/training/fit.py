"""The stages ``--stage network``, a whole system on crops of pictures, and ``--stage view``, a part of MFEN on whole
ones."""

from __future__ import annotations

from pathlib import Path

import lightning
import numpy as np

from iqassay.data.pipeline import MixedBatches, RatedPictures
from iqassay.training.checkpoints import load_weights, settled
from iqassay.training.lightning_module import Training, Viewing
from iqassay.training.recipes import Recipe
from iqassay.training.run import run
from iqassay.training.run_folder import refuse_another_run
from iqassay.training.sets import load_sets, shares_of


def fit(recipe: Recipe) -> Path:
    """Run a recipe, going on from its last checkpoint if there is one. Returns the best checkpoint's path."""
    refuse_another_run(recipe)
    recipe = settled(recipe)
    lightning.seed_everything(recipe.seed, workers=True, verbose=False)
    sets = load_sets(recipe)
    standards = [(fact["mean"], fact["deviation"]) for fact in sets.facts.values()]
    kind = Viewing if recipe.stage == "view" else Training
    module = kind(recipe, sets.names, sets.chosen_by, standards)
    if recipe.start is not None:
        load_weights(module.system, recipe.start, new=("",))
    else:  # DRI-IQA's assistants, of which no first stage has made anything, learn with the rest: fixed, they are noise
        for part in module.learned:
            part.requires_grad_(True)
        module.fixed = [part for part in module.fixed if part not in module.learned]
    if recipe.taught:
        rated = (part.said for part in sets.train.datasets if isinstance(part, RatedPictures))
        module.teach(np.concatenate([said for said in rated if said is not None]))
    sampler = MixedBatches(sets.train, shares_of(recipe, sets), recipe.batch, recipe.steps, recipe.seed, sets.paired)
    return run(recipe, module, sets.train, sampler, sets.val.datasets, sets.facts)
