"""Stored tensors, read without onnx: what onnx reads, and an error for what is no graph."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnx
import pytest
from conftest import tiny_graph
from onnx import TensorProto, helper, numpy_helper

from iqassay.scoring.model_file import WEIGHTS
from iqassay.systems.graph_weights import stored_tensors


def by_onnx(content: bytes) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load_from_string(content).graph.initializer}


def check(content: bytes) -> None:
    found, wanted = stored_tensors(content), by_onnx(content)
    assert list(found) == list(wanted)
    for name, values in wanted.items():
        assert found[name].dtype == values.dtype, name
        assert found[name].shape == values.shape, name
        np.testing.assert_array_equal(found[name], values)


@pytest.mark.parametrize("name", ["mfen", "yoto", "dri"])
def test_the_shipped_graphs_hold_what_onnx_reads(name):
    check((WEIGHTS / f"{name}.onnx").read_bytes())


def graph_of(*tensors: onnx.TensorProto) -> bytes:
    return helper.make_model(helper.make_graph([], "g", [], [], list(tensors))).SerializeToString()


def test_types_sizes_and_names():
    rng = np.random.default_rng(0)
    kinds = (np.float16, np.float32, np.float64, np.int32, np.int64)
    sizes = ((), (0,), (3,), (2, 1, 300))  # 300 takes two bytes
    tensors = [
        numpy_helper.from_array((100 * rng.standard_normal(size)).astype(kind), f"π {kind.__name__} {size}")
        for kind in kinds
        for size in sizes
    ]
    check(graph_of(*tensors))
    check(tiny_graph(reference=True))


def test_what_is_stored_otherwise_is_left_out():
    plain = numpy_helper.from_array(np.ones(2, np.float32), "plain")
    listed = helper.make_tensor("listed", TensorProto.FLOAT, [2], [1.0, 2.0])
    words = helper.make_tensor("words", TensorProto.STRING, [1], [b"a"])
    other = numpy_helper.from_array(np.array([True]), "other")
    assert list(stored_tensors(graph_of(listed, plain, words, other))) == ["plain"]


def test_sizes_may_be_packed_or_not():
    """onnx writes them one by one, other programs in one piece."""
    values = b"\x4a\x08" + np.array([1, 2], "<f4").tobytes()
    for sizes in (b"\x08\x01\x08\x02", b"\x0a\x02\x01\x02"):
        tensor = sizes + b"\x10\x01" + b"\x42\x01a" + values
        graph = b"\x2a" + bytes([len(tensor)]) + tensor
        model = b"\x3a" + bytes([len(graph)]) + graph
        np.testing.assert_array_equal(stored_tensors(model)["a"], np.array([[1, 2]], np.float32))


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xff",
        b"\x3a\x05\x00",  # a field that is cut off
        b"\x3b",  # a group, which protobuf has given up
        b"\x80" * 11 + b"\x01",  # a number without an end
        b"\x3a\x08\x2a\x06\x08\x03\x10\x01\x4a\x00",  # three values, of which there are none
        b"\x3a\x11\x2a\x0f\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x10\x01\x4a\x00",  # a size beyond all numbers
    ],
)
def test_what_is_no_graph_is_a_value_error(content):
    with pytest.raises(ValueError, match=r"got a|cannot reshape"):
        stored_tensors(content)


def test_any_cut_is_an_error_or_a_shorter_graph_never_other_values():
    content = graph_of(*(numpy_helper.from_array(np.full(3, k, np.float32), f"t{k}") for k in range(3)))
    whole = stored_tensors(content)
    for end in range(len(content)):
        try:
            part = stored_tensors(content[:end])
        except ValueError:
            continue
        for name, values in part.items():
            np.testing.assert_array_equal(values, whole[name])


@pytest.mark.slow
def test_the_networks_and_the_loss_need_torch_alone():
    """Nothing else of the train extra, and no onnx."""
    code = """
import sys
for name in ("onnx", "lightning", "pytorch_lightning", "torchmetrics", "scipy", "transformers", "matplotlib"):
    sys.modules[name] = None
import iqassay, torch
torch.manual_seed(0)
x = torch.nn.functional.interpolate(torch.rand(1, 3, 7, 9), (70, 90), mode="bilinear")  # noise may score 0
for name in ("mfen", "yoto", "dri"):
    network = iqassay.systems.load_pretrained(name)
    print(float(network.to_score(network(x).score)))
print(float(iqassay.systems.loss("yoto")(x, x)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *scores, distance = map(float, done.stdout.split())
    assert len(scores) == 3
    assert all(0 < score < 100 for score in scores)
    assert distance == pytest.approx(0, abs=1e-6)
