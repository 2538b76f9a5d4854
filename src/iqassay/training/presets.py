"""What ``--config paper`` trains by: for each system what its paper, or the work it comes from, is known to do.

Tags: [P] in the paper, [C] in its official code, [A] in earlier public code of the same group, [ours] known of neither.
What this trainer cannot do is named where it differs: it has AdamW, not Adam; step sizes that rise over a tenth of the
batches and fall along a cosine; and opinions that are standardised inside a set, under a smooth L1 loss. A flag that is
given by hand wins over every number here. Ten splits by content, of which the median counts, are what ``iqassay bench
train`` does by itself: [A] for MFEN, whose antecedents repeat ten times; [ours] for YOTO, whose code has one split, and
for DRI-IQA.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iqassay.data.datasets import DATASETS, find_dataset
from iqassay.data.ratings import parts_of
from iqassay.training.recipes import SMOKE, Recipe

# Of all three. The encoders' weights are random, so nothing may stay as it is.
COMMON: dict[str, Any] = {
    "config": "paper",
    "frozen": 0,
    "dan_frozen": 0,
    "crop": 224,  # [C] YOTO, [A] MFEN, [ours] DRI-IQA
    "scales": [1.0],  # crops of native size: [C], [A]
    "average": 0.0,  # no average of the weights: [C], [A]
    "rank": 0.0,  # no ranking: [C], [A]
}
SYSTEMS: dict[str, dict[str, Any]] = {
    "mfen": {  # all [A] of MAMIQA (SPL 2023), the same group's network before: MFEN's own training is not known
        "encoder": "van_b2",  # [P] VAN, [A] its size
        "dan_encoder": "van_b0",  # [ours]
        "epochs": 5,  # with all steps a tenth as long after every so many of them; here a cosine
        "batch": 64,
        "lr": 2e-5,
        "encoder_lr": 1.0,  # one step size for all
        "decay": 5e-4,
        "test_crops": 50,
        "kind": 0.1,  # [ours] of the type's cross entropy
        "severity": 0.0,
    },
    "yoto": {  # [C] its scripts
        "encoder": "swin_t",
        "tokens": 768,
        "normalise": False,  # the stages of Swin end in normalisations of their own
        "whole_picture": False,  # ours, and no part of the paper's network; so is the distance
        "distance": False,
        "mode": "joint",  # a fair coin for every batch
        "epochs": 600,  # down and up a cosine every hundred; here down once
        "batch": 16,
        "lr": 1e-4,
        "encoder_lr": 0.1,
        "decay": 1e-5,
        "test_crops": 20,
    },
    "dri": {  # [ours] but the parts: nothing of its training is public
        "encoder": "swin_t",
        "epochs": 50,
        "batch": 16,
        "lr": 1e-4,
        "encoder_lr": 0.1,
        "decay": 0.01,
        "test_crops": 25,
    },
}
# What of it makes the network.
BUILT = ("config", "encoder", "dan_encoder", "tokens", "normalise", "whole_picture", "distance", "mode", "crop")
# Crops of each training picture in an epoch.
CROPS = {"mfen": 50, "yoto": 1, "dri": 1}  # [A], [C], [ours]
TRAIN = 0.7  # share of a set's pictures that ``iqassay bench train`` trains on; the papers have .8 and choose on test
# What a set changes: KonIQ-10k comes in 1024x768 and is first made 512x384 [A]; YOTO's size is not known [C].
SETS: dict[str, dict[str, Any]] = {"koniq10k": {"scales": [0.5]}}


def paper(system: str, data: list[str] | None = None) -> dict[str, Any]:
    """The preset of a system, for the first published set among ``data``: fields of a ``Recipe``.

    An epoch goes through the set's training pictures once, with so many crops of each. Of a set that is not published
    nothing is known before it is read: an epoch has the 250 batches of every recipe.
    """
    preset = COMMON | SYSTEMS[system]
    preset["patience"] = preset["epochs"]  # the best of all epochs: [C], [A]
    name = next((found for argument in data or [] if (found := _published(argument))), None)
    if name is not None:
        pictures = TRAIN * DATASETS[name].pictures * CROPS[system]
        preset |= {"steps": math.ceil(pictures / preset["batch"]), **SETS.get(name, {})}
    return preset


def _published(argument: str) -> str | None:
    """The published set that an argument of ``--data`` is, by its name or by that of its table, if it is one."""
    try:
        return find_dataset(Path(parts_of(argument)[0]).stem).name
    except ValueError:
        return None


def chosen(given: Mapping[str, Any], small: bool = False, base: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe of some flags: over those of the paper's preset, if that is the configuration, or of ``base``.

    small: by the two-minute recipe where flags say nothing. Raises ValueError as ``Recipe`` does.
    """
    fields = dict(base or {})
    if given.get("config") == "paper":
        preset = paper(given.get("system", Recipe.system), given.get("data"))
        if given.get("stage", Recipe.stage) == "head":  # a stage of ours, which trains as ever
            preset = {name: value for name, value in preset.items() if name in BUILT}
        fields = preset | fields
    return Recipe(**{**fields, **(SMOKE if small else {}), **given})
