"""From a trained system to a model file: an ONNX graph with its preprocessing inside, and a JSON card."""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from iqassay.systems.mfen import MFEN

OUTPUTS = ("score", "map", "presence", "severity", "unlike")


class Deployed(nn.Module):
    """What the graph computes: (B, 3, H, W) in [0, 1] -> the five outputs of a model file.

    ``unlike`` is how far the picture's encoder statistics lie from those of the training pictures: the root mean square
    of its coordinates in their whitened principal axes, so that about 1 is ordinary.
    """

    def __init__(self, system: MFEN, centre: Tensor, axes: Tensor) -> None:
        super().__init__()
        self.system = system
        self.register_buffer("centre", centre)  # (D,)
        self.register_buffer("axes", axes)  # (D, K)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        prediction = self.system(image)
        presence = prediction.extras["kind"].softmax(1)
        place = (prediction.extras["statistics"] - self.centre) @ self.axes
        unlike = place.square().mean(1).sqrt()
        return prediction.score, prediction.quality_map, presence, prediction.extras["severity"], unlike


def principal_axes(statistics: np.ndarray, keep: int = 48) -> tuple[Tensor, Tensor]:
    """Centre (D,) and whitened principal axes (D, keep) of training statistics (N, D)."""
    centre = statistics.mean(0)
    _, spread, rows = np.linalg.svd((statistics - centre) / np.sqrt(len(statistics)), full_matrices=False)
    keep = min(keep, int((spread > 1e-6 * spread[0]).sum()))
    return torch.tensor(centre, dtype=torch.float32), torch.tensor(rows[:keep].T / spread[:keep], dtype=torch.float32)


def export(system: MFEN, centre: Tensor, axes: Tensor, card: dict, file: Path) -> Path:
    """Write ``file`` (.onnx, float16 weights, float32 arithmetic) and, beside it, its card, which gains the sha256."""
    graph = to_onnx(Deployed(system, centre, axes).eval())
    halve_weights(graph)
    file.parent.mkdir(parents=True, exist_ok=True)
    content = graph.SerializeToString()
    file.write_bytes(content)
    card = {**card, "sha256": hashlib.sha256(content).hexdigest()}
    file.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n")
    return file


def to_onnx(network: nn.Module, outputs: Sequence[str] = OUTPUTS) -> onnx.ModelProto:
    """The graph, for any batch and any height and width that are multiples of 32.

    By torch's tracing exporter: the graph has no branches to lose, and it takes 2 seconds where the newer one takes 50.
    """
    free: dict[str, dict[int, str]] = {name: {0: "batch"} for name in outputs}
    free["image"] = {0: "batch", 2: "height", 3: "width"}
    if "map" in outputs:
        free["map"] = {0: "batch", 2: "rows", 3: "columns"}
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.rand(2, 3, 96, 128),),
            buffer,  # type: ignore[arg-type]  # documented, but not in the annotation
            dynamo=False,
            input_names=["image"],
            output_names=list(outputs),
            dynamic_axes=free,
            opset_version=17,
        )
    return onnx.load_from_string(buffer.getvalue())


def halve_weights(model: onnx.ModelProto, smallest: int = 16_384) -> None:
    """Store the large float32 tensors as float16, with a Cast that the runtime folds at load.

    Small tensors and depth-wise kernels stay as they are: they weigh little, and with them rounded too scores moved by
    0.2 points where the others move them by 0.05.
    """
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        depthwise = len(tensor.dims) == 4 and tensor.dims[1] == 1
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < smallest or depthwise:
            continue
        values = numpy_helper.to_array(tensor)
        if np.abs(values).max() > np.finfo(np.float16).max:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), name + "_half"))
        casts.append(helper.make_node("Cast", [name + "_half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
