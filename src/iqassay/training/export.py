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
from torch.nn import functional as F

from iqassay.systems.blocks import Prediction, pool_statistics
from iqassay.systems.change import change
from iqassay.systems.dri import DRI
from iqassay.systems.mfen import MFEN
from iqassay.systems.vision_transformer import MEANING, SIDE
from iqassay.systems.yoto import Cells
from iqassay.systems.yoto_extended import ExtendedYOTO
from iqassay.training.optimise import optimise, untie

OUTPUTS = ("score", "map", "presence", "severity", "unlike")


class Deployed(nn.Module):
    """What the graph computes: (B, 3, H, W) in [0, 1] -> the five outputs of a model file. DRI-IQA's has the nearness
    to known degradations too; the estimate, or what it is made from where the score does without; and with a semantic
    encoder whether the picture was generated.

    YOTO's also takes ``pictures`` (1,): how many of the B are pictures; the rest are their references, in order. There
    are as many references as pictures, or none. Both modes are one straight graph without branches: whatever the other
    mode needs is computed for an empty slice of the batch.

    ``unlike`` is how far the picture's encoder statistics lie from those of the training pictures: the root mean square
    of its coordinates in their whitened principal axes, so that about 1 is ordinary.
    """

    centre: Tensor
    axes: Tensor

    def __init__(self, system: MFEN | ExtendedYOTO | DRI, centre: Tensor, axes: Tensor) -> None:
        super().__init__()
        self.system = system
        self.register_buffer("centre", centre)  # (D,)
        self.register_buffer("axes", axes)  # (D, K)

    def forward(self, image: Tensor, more: Tensor | None = None) -> tuple[Tensor, ...]:
        if more is not None and isinstance(self.system, ExtendedYOTO):
            answer = by_crops if self.system.network.config.crop else either
            prediction = answer(self.system, image, more[0])
        elif more is not None and isinstance(self.system, DRI):
            prediction = self.system(image, meaning=more)
        else:
            prediction = self.system(image)
        presence = prediction.extras["kind"].softmax(1)
        place = (prediction.extras["statistics"] - self.centre) @ self.axes
        unlike = place.square().mean(1).sqrt()
        besides = (prediction.extras[name] for name in besides_of(self.system))
        return prediction.score, prediction.quality_map, presence, prediction.extras["severity"], unlike, *besides


def besides_of(system: MFEN | ExtendedYOTO | DRI) -> tuple[str, ...]:
    """What a graph says beside the outputs that all have."""
    if not isinstance(system, DRI):
        return ()
    generated = () if system.semantic is None else ("generated",)
    return ("nearness", "degradation" if restores_apart(system) else "estimate", *generated)


def restores_apart(system: MFEN | ExtendedYOTO | DRI) -> bool:
    """Whether there is a restorer that the score does without."""
    return isinstance(system, DRI) and system.restorer is not None and not system.config.assistance


def either(yoto: ExtendedYOTO, image: Tensor, pictures: Tensor) -> Prediction:
    """YOTO's answer for the first ``pictures`` of a batch, whose rest are their references."""
    count, network = image.shape[0], yoto.network
    references, alone = count - pictures, 2 * pictures - count
    lit = yoto.lit(image[:pictures], image[references:])  # without references, its own
    pyramid = network.encode(torch.cat([lit, image[pictures:]]))
    tokens = network.tokens(pyramid)
    x, r = [t[:pictures] for t in tokens], [t[references:] for t in tokens]  # without references, r is x
    levels, far = yoto.beside(x, r, references.clamp(max=1).to(image.dtype))
    far = None if far is None else far[:references]
    cells = network.head(levels)
    seen = [yoto.itself(image[:alone], False), *(f[:alone] for f in pyramid)]
    named = pictures if yoto.changes is None else alone  # whose distortions are read from themselves
    described = yoto.described(image[:named], [image, *(f[:named] for f in pyramid)])
    smaller = yoto.smaller(image[: pictures if yoto.detail is not None else alone])
    by_themselves = image[:alone], seen, [t[:alone] for t in levels]
    described_alone, smaller_alone = ([f[:alone] for f in maps] for maps in (described, smaller))
    without = yoto.without_reference(*by_themselves, cells[:alone], described_alone, smaller_alone)
    ours, theirs = (
        [yoto.itself(image[part], True), *(f[part] for f in pyramid)]
        for part in (slice(references), slice(pictures, None))
    )
    graded = yoto.with_reference(ours, theirs, cells[:references], far)
    score, quality_map = (torch.cat(parts) for parts in zip(without, graded, strict=True))
    extras = yoto.distortions(pool_statistics(described))
    if yoto.changes is not None:
        changes = yoto.changes(change(image[:references], image[pictures:]))
        extras = {key: torch.cat([extras[key], changes[key]]) for key in ("kind", "severity")}
    extras["statistics"] = yoto.outlook([image, *(f[:pictures] for f in pyramid)], smaller)
    return Prediction(score, quality_map, extras)


def by_crops(yoto: ExtendedYOTO, image: Tensor, pictures: Tensor) -> Prediction:
    """``either`` for the paper's YOTO, which takes crops of one size alone: a picture is cut into such crops, without
    overlap, and its edges are repeated until they fill the last ones. The score is the weighted mean over all cells of
    the picture, so that of a single crop is the paper's; cells that only repeat an edge do not count.
    """
    network, side = yoto.network, yoto.network.config.crop or 0
    crops, rows, columns = cut_up(image, side)
    (count, _, height, width), each = image.shape, rows * columns  # crops of a picture
    references = count - pictures
    seen = yoto.see(crops)[1:]
    tokens = network.tokens(seen)
    x, r = [t[: pictures * each] for t in tokens], [t[references * each :] for t in tokens]
    found = network.head(network.merged(x, r, references.clamp(max=1).to(image.dtype)))

    def together(cells: Tensor) -> Tensor:  # of the crops, (pictures * each, S, S) -> of the pictures
        grid = cells.reshape(-1, rows, columns, side // 32, side // 32).transpose(2, 3)
        return grid.reshape(-1, rows * (side // 32), columns * (side // 32))[:, : height // 32, : width // 32]

    cells = Cells(together(found.quality), together(found.weight))
    described = pool_statistics([f[: pictures * each] for f in seen])
    described = described.reshape(-1, each, described.shape[1]).mean(1)
    extras = {"statistics": described, **yoto.distortions(described)}
    return Prediction(cells.mean(), cells.quality[:, None], extras)


def cut_up(image: Tensor, side: int) -> tuple[Tensor, int, int]:
    """(B, 3, H, W) -> crops (B * rows * columns, 3, side, side), rows and columns, with edges repeated to fill them."""
    count, _, height, width = image.shape
    filled = F.pad(image, (0, -width % side, 0, -height % side), mode="replicate")
    rows, columns = filled.shape[2] // side, filled.shape[3] // side
    crops = filled.reshape(count, 3, rows, side, columns, side).permute(0, 2, 4, 1, 3, 5)
    return crops.reshape(-1, 3, side, side), rows, columns


def principal_axes(statistics: np.ndarray, keep: int = 48) -> tuple[Tensor, Tensor]:
    """Centre (D,) and whitened principal axes (D, keep) of training statistics (N, D)."""
    centre = statistics.mean(0)
    _, spread, rows = np.linalg.svd((statistics - centre) / np.sqrt(len(statistics)), full_matrices=False)
    keep = min(keep, int((spread > 1e-6 * spread[0]).sum()))
    return torch.tensor(centre, dtype=torch.float32), torch.tensor(rows[:keep].T / spread[:keep], dtype=torch.float32)


def export(
    system: MFEN | ExtendedYOTO | DRI, centre: Tensor, axes: Tensor, card: dict, file: Path, before: Path | None = None
) -> Path:
    """Write ``file`` (.onnx; weights are float16, MFEN's and those beside a transformer int8, of a semantic encoder
    four bits; all arithmetic is float32) and, beside it, its card, which gains the sha256.

    before: a model file that has the same weights, but for the locator's: they are stored as they are there, since to
    round what was rounded changes it again.
    """
    semantic = isinstance(system, DRI) and system.semantic is not None
    inputs = ("image", *(["pictures"] if isinstance(system, ExtendedYOTO) else ["meaning"] if semantic else []))
    graph = to_onnx(Deployed(system, centre, axes).eval(), OUTPUTS + besides_of(system), inputs)
    light = isinstance(system, ExtendedYOTO) and not system.config.network.near
    # All model files together are to stay small, so that all matrices become whole numbers, but in what is not large.
    whole = ("system.network.encoder.blocks.",) if light or (isinstance(system, DRI) and not semantic) else ("system.",)
    graph = stored_small(graph, whole)
    if isinstance(system, DRI) and restores_apart(system):
        restorer = to_onnx(Restored(system).eval(), ("estimate",), ("image", "degradation"))
        graph = with_restorer(graph, stored_small(restorer, whole))
    if isinstance(system, DRI) and system.semantic is not None:
        graph = with_semantic(graph, Understood(system).eval())
    if before is not None:
        stored = {(t.name, t.data_type, *t.dims): t for t in onnx.load(before).graph.initializer}
        for tensor in graph.graph.initializer:
            if tensor.name.startswith("system.") and not tensor.name.startswith("system.locator."):
                tensor.CopyFrom(stored.get((tensor.name, tensor.data_type, *tensor.dims), tensor))
    file.parent.mkdir(parents=True, exist_ok=True)
    content = graph.SerializeToString()
    file.write_bytes(content)
    card = {**card, "sha256": hashlib.sha256(content).hexdigest()}
    file.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n")
    return file


def stored_small(graph: onnx.ModelProto, whole: tuple[str, ...]) -> onnx.ModelProto:
    """The same graph, optimised, with weights in whole numbers where their names begin as in ``whole``, or float16."""
    untie(graph.graph, whole)  # before they are stored in another form
    quantise_weights(graph, whole)
    halve_weights(graph)
    return optimise(graph)


def to_onnx(network: nn.Module, outputs: Sequence[str] = (), inputs: Sequence[str] = ("image",)) -> onnx.ModelProto:
    """The graph, for any batch and any height and width that are multiples of 32. Outputs are numbered unless named.

    By torch's tracing exporter: the graph has no branches to lose, and it takes 2 seconds where the newer one takes 50.
    """
    examples = {
        "image": torch.rand(3, 3, 96, 128),
        "reference": torch.rand(3, 3, 96, 128),
        "pictures": torch.tensor([2]),
        "degradation": torch.rand(3, network.system.config.vector if isinstance(network, Restored) else 1),
        "meaning": torch.rand(3, MEANING),
        "square": torch.rand(1, 3, SIDE, SIDE),
    }
    given = tuple(examples[name] for name in inputs)
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        answers = network(*given)
        outputs = outputs or [f"output{i}" for i in range(len(answers))]
        sizes = {3: {1: "cells"}, 4: {2: "rows", 3: "columns"}}  # that differ from picture to picture
        free = {k: {0: "batch", **sizes.get(a.ndim, {})} for k, a in zip(outputs, answers, strict=True)}
        free |= {name: {0: "images", 2: "height", 3: "width"} for name in inputs if name in ("image", "reference")}
        free |= {name: {0: "images"} for name in inputs if name in ("degradation", "meaning", "square")}
        torch.onnx.export(
            network,
            given,
            buffer,  # type: ignore[arg-type]  # documented, but not in the annotation
            dynamo=False,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=free,
            do_constant_folding=False,  # keeps the weights' names, by which systems.load_pretrained finds them
            opset_version=17,
        )
    return onnx.load_from_string(buffer.getvalue())


def quantise_weights(model: onnx.ModelProto, begin: tuple[str, ...], smallest: int = 16_384) -> None:
    """Store the large float32 tensors whose names so begin as int8 with a scale for each output channel, with a
    DequantizeLinear that the runtime folds at load: arithmetic stays in float32, whatever the processor. (A Cast and a
    Mul say the same, but while the file is opened there are two copies in float32, which took 110 MB more of YOTO.)"""
    graph = model.graph
    found = []
    for tensor in graph.initializer:
        large = len(tensor.dims) > 1 and np.prod(tensor.dims) >= smallest
        if tensor.data_type != TensorProto.FLOAT or not large or not tensor.name.startswith(begin):
            continue
        values, name = numpy_helper.to_array(tensor), tensor.name
        scale = np.abs(values).max(axis=tuple(range(1, values.ndim)), keepdims=True) / 127
        scale = np.where(scale > 0, scale, 1).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(np.rint(values / scale).astype(np.int8), name + "_int8"))
        found.append(numpy_helper.from_array(scale.ravel(), name + "_scale"))
        graph.node.insert(0, helper.make_node("DequantizeLinear", [name + "_int8", name + "_scale"], [name], axis=0))
    graph.initializer.extend(found)


class Restored(nn.Module):
    """What DRI-IQA's restorer makes of pictures, by their degradation vectors."""

    def __init__(self, system: DRI) -> None:
        super().__init__()
        self.system = system

    def forward(self, image: Tensor, degradation: Tensor) -> tuple[Tensor, ...]:
        return (self.system.restored(image, degradation),)


class Understood(nn.Module):
    """What DRI-IQA's semantic encoder says of whole pictures shrunk to squares, by itself."""

    def __init__(self, system: DRI) -> None:
        super().__init__()
        self.system = system

    def forward(self, square: Tensor) -> tuple[Tensor, ...]:
        return (self.system.understand(square),)


def with_restorer(model: onnx.ModelProto, restorer: onnx.ModelProto) -> onnx.ModelProto:
    """A graph that says ``degradation``, and in its place the ``estimate`` that the restorer makes by it.

    The graph gains the input ``restore``, which may be left out: unless it is true the estimate is the picture itself,
    and the restorer does not run.
    """
    found = onnx.ModelProto()
    found.CopyFrom(model)
    graph = found.graph
    graph.output.remove(next(output for output in graph.output if output.name == "degradation"))
    flag = helper.make_tensor("restore", TensorProto.BOOL, (), [False])  # an input's default
    graph.input.append(helper.make_tensor_value_info("restore", TensorProto.BOOL, ()))
    graph.initializer.append(flag)
    graph.output.append(next(iter(restorer.graph.output)))
    _choose(graph, "restore", restorer.graph, ("image", "degradation"), "image")
    return found


def with_semantic(model: onnx.ModelProto, understood: nn.Module) -> onnx.ModelProto:
    """A graph that takes ``meaning``, and beside it the semantic encoder that makes it, for a picture of many views.

    The graph gains the input ``square`` (S, 3, V, V) and the output ``understood`` (B, M): what the encoder says of the
    squares; or, where they have a single row of pixels, the meaning as it was given, and the encoder does not run.
    """
    semantic = to_onnx(understood, ("understood",), ("square",))
    untie(semantic.graph)
    in_fours(semantic)
    halve_weights(semantic)
    found = onnx.ModelProto()
    found.CopyFrom(model)
    found.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    graph = found.graph
    rows = [
        helper.make_node("Shape", ["square"], ["rows of square"], start=2, end=3),
        helper.make_node("Greater", ["rows of square", "one row"], ["has square"]),
    ]
    graph.node.extend(rows)
    graph.initializer.append(numpy_helper.from_array(np.array([1]), "one row"))
    graph.input.append(helper.make_tensor_value_info("square", TensorProto.FLOAT, ["squares", 3, "side", "side"]))
    graph.output.append(helper.make_tensor_value_info("understood", TensorProto.FLOAT, ["images", MEANING]))
    _choose(graph, "has square", optimise(semantic).graph, ("square",), "meaning")
    return found


def _choose(
    graph: onnx.GraphProto, condition: str, inner: onnx.GraphProto, given: tuple[str, ...], otherwise: str
) -> None:
    """Add to a graph what another one says, if ``condition`` is true; if not, it is what ``otherwise`` is.

    The other one's only output keeps its name, as its weights do; ``given`` are what it takes of the graph.
    """
    (output,) = (output.name for output in inner.output)

    def own(name: str) -> str:  # traced graphs call their steps and constants alike
        return name if name in {"", *given} or name.startswith("system.") else f"{output}/{name}"

    for tensor in inner.initializer:
        tensor.name = own(tensor.name)
    for node in inner.node:
        for names in (node.input, node.output):
            names[:] = map(own, names)
    weights = {tensor.name for tensor in inner.initializer}
    ready = [node for node in inner.node if all(name in weights for name in node.input)]  # folded when it is opened
    rest = [node for node in inner.node if node not in ready]
    same = [helper.make_node("Identity", [otherwise], [f"{output}/otherwise"])]
    branches = {}
    for branch, nodes, says in (("then_branch", rest, own(output)), ("else_branch", same, f"{output}/otherwise")):
        answer = helper.make_tensor_value_info(says, TensorProto.FLOAT, None)
        branches[branch] = helper.make_graph(nodes, f"{output} {branch}", [], [answer])
    graph.node.extend([*ready, helper.make_node("If", [condition], [output], **branches)])
    graph.initializer.extend(inner.initializer)


GROUP = 32  # weights of a row that share a scale
SMALLEST = 16_384  # weights of a matrix that is worth it


def in_fours(model: onnx.ModelProto, smallest: int = SMALLEST) -> None:
    """Store the large matrices of linear layers as four bits with a float16 scale for every 32 of a row, and let
    onnxruntime's MatMulNBits multiply by them: arithmetic is float32, and no copy of them in float32 is kept."""
    graph = model.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    turned = {node.output[0]: node for node in graph.node if node.op_type == "Transpose" and node.input[0] in tensors}
    for node in [node for node in graph.node if node.op_type == "MatMul" and node.input[1] in turned]:
        name = turned[node.input[1]].input[0]
        rows, columns = tensors[name].dims
        if rows * columns < smallest or columns % GROUP:
            continue
        packed, scale = fours(numpy_helper.to_array(tensors[name]))
        stored = {"_int4": packed, "_group": scale.astype(np.float16)}
        graph.initializer.extend(numpy_helper.from_array(v, name + ending) for ending, v in stored.items())
        graph.initializer.remove(tensors[name])
        graph.node.remove(turned[node.input[1]])
        cast = helper.make_node("Cast", [name + "_group"], [name + "_scale"], to=TensorProto.FLOAT)
        node.input[:] = [node.input[0], name + "_int4", name + "_scale"]
        node.op_type, node.domain = "MatMulNBits", "com.microsoft"
        settings = {"N": rows, "K": columns, "bits": 4, "block_size": GROUP}
        node.attribute.extend(helper.make_attribute(key, value) for key, value in settings.items())
        graph.node.insert(0, cast)
    if not any(one.domain == "com.microsoft" for one in model.opset_import):
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def fours(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A matrix (N, K) in four bits: two to a byte, the lower first, (N, K/32, 16); and scales (N K/32). A value is its
    scale times a whole number from -8 to 7, which is stored 8 higher. Of five scales the one with the least error."""
    groups = matrix.reshape(len(matrix), -1, GROUP).astype(np.float32)
    largest = np.take_along_axis(groups, np.abs(groups).argmax(2)[:, :, None], 2)
    best = (np.full(largest.shape, np.inf), np.zeros_like(groups), np.ones_like(largest))
    for end in (-8, -7.5, -7, -6.5, 7):
        scale = np.where(largest != 0, largest / end, 1).astype(np.float16).astype(np.float32)
        scale[scale == 0] = 1
        whole = np.clip(np.rint(groups / scale), -8, 7)
        found = (np.square(whole * scale - groups).sum(2, keepdims=True), whole, scale)
        better = found[0] < best[0]
        best = tuple(np.where(better, a, b) for a, b in zip(found, best, strict=True))  # type: ignore[assignment]
    whole = (best[1] + 8).astype(np.uint8)
    return whole[:, :, ::2] | (whole[:, :, 1::2] << 4), best[2].reshape(-1)


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
