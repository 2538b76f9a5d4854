"""The weights of a model file, read back into the torch module that they came from.

A graph keeps each weight under the module's own name for it, so reading back is a matter of names; the card's
``architecture`` says how to build the module.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from iqassay.scoring.model_file import ModelFile
from iqassay.systems.calibrated import take_any_size
from iqassay.systems.dri import DRI, DRIConfig
from iqassay.systems.encoders import ConvBN
from iqassay.systems.graph_weights import stored_tensors
from iqassay.systems.mfen import MFEN, MFENConfig
from iqassay.systems.yoto import YOTOConfig
from iqassay.systems.yoto_extended import ExtendedYOTO, ExtendedYOTOConfig, rename

# No graph has them: counters of training alone, and a normalisation of Swin behind all maps that are used.
COUNTERS = ("num_batches_tracked", "distance.seen", "swin.layernorm.weight", "swin.layernorm.bias")


def read_back(file: ModelFile) -> MFEN | ExtendedYOTO | DRI:
    """The system of a model file, with its weights and its card, in evaluation mode and for pictures of any size.

    Raises:
        ValueError: if the card does not say how to build it, or the graph does not hold all its weights.
    """
    system = build(file)
    try:
        weights = named_weights(file.content)
    except ValueError:
        raise ValueError(f"{file.path}: got a file that is no ONNX graph, want one") from None
    if isinstance(system, ExtendedYOTO):
        rename(weights)
    for name, module in system.named_modules():
        if isinstance(module, ConvBN) and f"{name}.1.running_var" not in weights:
            module.fold()  # as it was when it was exported
    own = system.state_dict()
    fits = {key: value for key, value in weights.items() if key in own and value.shape == own[key].shape}
    missing = [key for key in own if key not in fits and not key.endswith(COUNTERS)]
    if missing:
        raise ValueError(f"{file.path}: got no weights that fit {missing[0]}, and {len(missing)} in all, want all")
    system.load_state_dict(fits, strict=False)
    system.card = file.card
    take_any_size(system)
    return system.eval()


def build(file: ModelFile) -> MFEN | ExtendedYOTO | DRI:
    """The system that a card describes, with random weights. Raises ValueError if it does not describe one."""
    settings: dict[str, Any] = file.card.architecture or {}
    random = {"pretrained": False}
    try:
        if file.card.architecture is not None:
            match file.card.system.split(",")[0]:
                case "MFEN":
                    return MFEN(MFENConfig(**{"high_pass": False, "view": 0, "dan_shared": 2, **settings, **random}))
                case "YOTO":
                    settings = settings if "network" in settings else _of_an_older_card(settings)
                    inner = {**settings["network"], **random, "pool": tuple(settings["network"]["pool"])}
                    return ExtendedYOTO(ExtendedYOTOConfig(**{**settings, "network": YOTOConfig(**inner)}))
                case "DRI" | "DRI-IQA":
                    return DRI(DRIConfig(**{**settings, **random}))
    except (KeyError, TypeError) as error:
        raise ValueError(f"{file.path}: got a card whose architecture does not fit its system: {error}") from None
    raise ValueError(
        f"{file.path}: got a model file of {file.card.system}, want one of MFEN, YOTO or DRI-IQA with its architecture"
    )


def _of_an_older_card(settings: dict[str, Any]) -> dict[str, Any]:
    """The architecture of a YOTO on a card of 0.1.0, where ``statistics`` stood for both terms and for a switch of the
    network, which has all that stands there beside them."""
    ours = settings["statistics"]
    network = {k: v for k, v in settings.items() if k not in ("statistics", "sway")} | {"normalise": ours}
    return {"network": network, "whole_picture": ours, "distance": ours, "sway": settings["sway"]}


def named_weights(content: bytes) -> dict[str, Tensor]:
    """The weights in a graph, by their names in the system's state dict, as they are stored: float32 or float16; those
    stored in int8 or four bits with their scales as float32. Raises ValueError for what is no graph."""
    stored = {
        name.removeprefix("system."): torch.from_numpy(values)
        for name, values in stored_tensors(content).items()
        if name.startswith("system.")
    }
    found = {}
    for name, values in stored.items():
        if name.endswith("_int8"):
            own = name.removesuffix("_int8")
            found[own] = values * stored[f"{own}_scale"].float().reshape(-1, *[1] * (values.ndim - 1))
        elif name.endswith("_int4"):
            own = name.removesuffix("_int4")
            found[own] = of_fours(values, stored[f"{own}_group"].float())
        else:
            found[name.removesuffix("_half")] = values
    return found


def of_fours(packed: Tensor, scale: Tensor) -> Tensor:
    """A matrix from four bits: bytes (N, groups, half a group), the lower half of each first; scales (N groups)."""
    rows, groups, _ = packed.shape
    whole = torch.stack([packed & 15, packed >> 4], 3).reshape(rows, groups, -1).float() - 8
    return (whole * scale.reshape(rows, groups, 1)).reshape(rows, -1)
