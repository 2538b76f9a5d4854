"""The systems as torch modules; needs ``pip install 'iqassay[train]'``.

>>> import iqassay.systems
>>> measure = iqassay.systems.loss("yoto")  # doctest: +SKIP
>>> measure(output, target).backward()  # doctest: +SKIP
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iqassay.systems.fidelity import FidelityLoss
    from iqassay.systems.yoto import YOTO

__all__ = ["load_pretrained", "loss"]


def load_pretrained(model: str | os.PathLike[str] = "yoto") -> YOTO:
    """A trained YOTO, in evaluation mode, with the weights of a model file: the shipped one or a path of one's own.

    Raises:
        ModelFileError: if there is no such model file, or it is damaged.
        ValueError: if it does not hold a YOTO whose weights can be read back.
        ImportError: without torch and onnx.
    """
    try:
        import onnx
        import torch
        from onnx import numpy_helper
    except ModuleNotFoundError as error:
        raise ImportError(f"this needs {error.name}: pip install 'iqassay[train]'") from error

    from iqassay.model_file import load_model_file
    from iqassay.systems.encoders import EfficientNetLite
    from iqassay.systems.yoto import YOTO, YOTOConfig

    file = load_model_file(model)
    settings = file.card.architecture
    if file.card.system.split(",")[0] != "YOTO" or settings is None:
        raise ValueError(f"{file.path}: got a model file of {file.card.system}, want one of YOTO with its architecture")
    system = YOTO(YOTOConfig(**(settings | {"pool": tuple(settings["pool"]), "pretrained": False})))
    if isinstance(system.encoder, EfficientNetLite):
        system.encoder.fold()  # as the pretrained one is
    graph = onnx.load_from_string(file.content).graph
    values = {
        t.name.removesuffix("_half"): torch.from_numpy(numpy_helper.to_array(t).copy()) for t in graph.initializer
    }
    for node in graph.node:  # equal tensors are kept once
        if node.op_type == "Identity" and node.input[0] in values:
            values[node.output[0]] = values[node.input[0]]
    own = system.state_dict()
    state = {key: values[f"system.{key}"].to(old.dtype) for key, old in own.items() if f"system.{key}" in values}
    missing = [key for key in own if key not in state and not key.endswith(("num_batches_tracked", "distance.seen"))]
    if missing:
        raise ValueError(
            f"{file.path}: got no weights for {', '.join(missing[:3])} and {len(missing)} in all, want all"
        )
    system.load_state_dict(state, strict=False)
    return system.eval()


def loss(model: str | os.PathLike[str] = "yoto", reduction: str = "mean") -> FidelityLoss:
    """A loss for training networks whose output should look like a target; see ``FidelityLoss``."""
    system = load_pretrained(model)  # first: it says what is not installed
    from iqassay.systems.fidelity import FidelityLoss

    return FidelityLoss(system, reduction)
