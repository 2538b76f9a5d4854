"""A recipe's system, with its pretrained encoders, before it is trained."""

from __future__ import annotations

import torch

from iqassay.systems.dri import DRI, DRIConfig
from iqassay.systems.mfen import MFEN, MFENConfig
from iqassay.systems.yoto import YOTOConfig
from iqassay.systems.yoto_extended import ExtendedYOTO, ExtendedYOTOConfig
from iqassay.training.recipes import Recipe

System = MFEN | ExtendedYOTO | DRI


def build_system(recipe: Recipe) -> System:
    """The recipe's system with its pretrained encoders, untrained otherwise."""
    name, weights = recipe.encoder, recipe.encoder_weights
    system: System
    if recipe.system == "yoto":
        switches = ("adapter", "sda", "windows", "segments", "normalise")
        network = YOTOConfig(name, recipe.tokens, **{key: getattr(recipe, key) for key in switches})
        system = ExtendedYOTO(ExtendedYOTOConfig(network, recipe.whole_picture, recipe.distance, recipe.sway), weights)
    elif recipe.system == "dri":
        parts = ("restoration", "interaction", "two_vectors")
        system = DRI(DRIConfig(name, **{key: getattr(recipe, key) for key in parts}), weights)
    else:
        switches = ("hfen", "high_pass", "dan", "fusion", "width")
        system = MFEN(MFENConfig(name, name, **{key: getattr(recipe, key) for key in switches}), weights)
    return system.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
