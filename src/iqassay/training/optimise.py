"""The work that onnxruntime would repeat each time it opens a model file, done once.

    python -m iqassay.training.optimise src/iqassay/weights/*.onnx src/iqassay/weights/panel.json

rewrites model files that are there already, the sha256 in their cards, and that in the cards of panels, whose members
lie beside them. `export` has done it to the files that it writes. Not one bit of an answer changes.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path

import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from iqassay.scoring.model_file import find_member
from iqassay.support.files import write_whole

WEIGHTS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT8, TensorProto.UINT8)  # in which weights are stored


def optimise(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network with what is constant computed, what is double or unused left out, and all shapes noted down.

    Nothing in it depends on a processor, and all operators stay those of ONNX. No weight changes or loses its name, by
    which `systems.load_pretrained` finds it.
    """
    found = _fold(model)
    _merge_zeros(found.graph)
    found = _fold(found)
    return onnx.shape_inference.infer_shapes(found, data_prop=True)  # a third of the time to open YOTO's went into this


def untie(graph: onnx.GraphProto, begin: tuple[str, ...] = ("",)) -> None:
    """Give layers of equal weights, which tracing keeps once, each its own, where its name so begins."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    tied = [node for node in graph.node if node.op_type == "Identity" and node.input[0] in tensors]
    for node in [node for node in tied if node.output[0].startswith(begin)]:
        copy = graph.initializer.add()
        copy.CopyFrom(tensors[node.input[0]])
        copy.name = node.output[0]
        graph.node.remove(node)


def _fold(model: onnx.ModelProto) -> onnx.ModelProto:
    """What onnxruntime makes of a graph on any processor. Weights are shown to it as inputs, of which it can fold
    nothing.
    """
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    untie(shown.graph)
    shown.graph.input.extend(
        helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        for tensor in shown.graph.initializer
        if tensor.data_type in WEIGHTS  # others: axes and sizes
    )
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 4  # silent: what goes wrong also comes as an exception
    options.add_session_config_entry("session.disable_quant_qdq", "1")  # or weights of two layers would be stored twice
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = os.path.join(folder, "optimised.onnx")
        onnxruntime.InferenceSession(shown.SerializeToString(), options, providers=["CPUExecutionProvider"])
        done = onnx.load(options.optimized_model_filepath).graph
    found = onnx.ModelProto()
    found.CopyFrom(model)  # for its inputs, outputs and versions
    for part in ("node", "initializer", "value_info"):
        found.graph.ClearField(part)
    found.graph.node.extend(done.node)
    found.graph.initializer.extend(done.initializer)
    return found


def _merge_zeros(graph: onnx.GraphProto) -> None:
    """Let convolutions add the zeros around their input themselves: adding them first costs a tenth of the time."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for pad in [node for node in graph.node if node.op_type == "Pad"]:
        users = [node for node in graph.node if pad.output[0] in node.input]
        mode = {attribute.name: attribute.s for attribute in pad.attribute}.get("mode", b"constant")
        zeros = mode == b"constant" and not any(pad.input[2:]) and pad.input[1] in tensors
        if not zeros or any(node.op_type != "Conv" for node in users):
            continue
        sides = numpy_helper.to_array(tensors[pad.input[1]]).reshape(2, -1)  # (before, after) x dimensions
        if sides[:, :2].any() or sides.min() < 0:  # pictures or channels are added, or an edge is cut off
            continue
        for conv in users:
            conv.input[0] = pad.input[0]
            own = next(attribute for attribute in conv.attribute if attribute.name == "pads")
            own.ints[:] = own.ints + sides[:, 2:].ravel()
        graph.node.remove(pad)


def rewrite(file: Path) -> None:
    """Optimise a model file (.onnx) in its place; or, in a panel's card (.json), name its members as they are now."""
    at = file.with_suffix(".json")
    card = json.loads(at.read_text(encoding="utf-8"))
    if file.suffix == ".onnx":
        content = optimise(onnx.load(file)).SerializeToString()
        card["sha256"] = hashlib.sha256(content).hexdigest()
        write_whole(file, content)
    else:
        card["members"] = {
            name: hashlib.sha256(find_member(file, name).read_bytes()).hexdigest() for name in card["members"]
        }
    write_whole(at, (json.dumps(card, indent=1) + "\n").encode())


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        rewrite(Path(argument))
