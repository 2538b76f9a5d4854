"""A recipe's system, with its pretrained encoders, before it is trained."""

from __future__ import annotations

from typing import Any

import torch

from iqassay.systems.dri import DRI, DRIConfig
from iqassay.systems.mfen import MFEN, MFENConfig
from iqassay.systems.yoto import YOTOConfig
from iqassay.systems.yoto_extended import ExtendedYOTO, ExtendedYOTOConfig
from iqassay.training.recipes import Recipe

System = MFEN | ExtendedYOTO | DRI


def build_system(recipe: Recipe) -> System:
    """The recipe's system with its pretrained encoders, untrained otherwise."""
    name, weights, paper = recipe.encoder, recipe.encoder_weights, recipe.config == "paper"

    def flags(*names: str) -> dict[str, Any]:
        return {key: getattr(recipe, key) for key in names}

    system: System
    if recipe.system == "yoto":
        network = YOTOConfig(name, recipe.tokens, **flags("adapter", "sda", "windows", "segments", "normalise"))
        if recipe.near:
            network.near, network.heads, network.pool = recipe.near, recipe.heads, (1, 1, 1, 1)
        if paper:  # every position a token, and an attention over channels that knows crops of one size alone
            network.pool, network.crop = (1, 1, 1, 1), recipe.crop
        terms = ExtendedYOTOConfig(network, **flags("whole_picture", "distance", "detail", "located", "sway"))
        system = ExtendedYOTO(terms, weights)
    elif recipe.system == "dri":
        parts = flags("restoration", "assistance", "interaction", "two_vectors", "semantic")
        config = DRIConfig(name, **parts, **flags("predictors", "linear", "located"))
        if paper:
            config.width = DRIConfig.paper().width
        system = DRI(config, weights)
    else:
        parts = flags("hfen", "high_pass", "dan", "fusion", "width", "linear", "located")
        own = MFENConfig(name, recipe.dan_encoder or name, shared_levels(recipe), view=view_of(recipe), **parts)
        system = MFEN(own, weights)
    return system.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def view_of(recipe: Recipe) -> int:
    """The side of the view that MFEN's quality network has of a whole picture; 0 for other systems, which have none,
    and for the paper's MFEN."""
    return recipe.view if recipe.system == "mfen" and recipe.config != "paper" else 0


def shared_levels(recipe: Recipe) -> int:
    """How many levels of the QEN are MFEN's DAN's too: none where they see other pictures, or are other encoders."""
    apart = recipe.config == "paper" or view_of(recipe) or recipe.dan_encoder not in ("", recipe.encoder)
    return 0 if apart else 2
