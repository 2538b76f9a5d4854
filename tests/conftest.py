"""A tiny model file, made on the spot: its score is the mean brightness, its map the brightness of 32x32 squares."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

KINDS = ("jpeg", "white_noise", "gaussian_blur")
PRESENCE = (0.45, 0.35, 0.15, 0.05)  # the last is "none"
SEVERITY = (2.0, 4.0, 1.0)


def tiny_graph(kinds: int = len(KINDS), output: str = "score") -> bytes:
    """ONNX bytes: score is the mean of the picture (0..1), unlike too; presence and severity are constant."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def constant(name: str, values: object, kind: type = np.float32) -> onnx.TensorProto:
        return numpy_helper.from_array(np.array(values, dtype=kind), name)

    constants = [
        constant("channel", [1], np.int64),
        constant("all", [1, 2, 3], np.int64),
        constant("last", [1], np.int64),
        constant("zero", 0.0),
        constant("presences", [PRESENCE[: kinds + 1]]),
        constant("severities", [SEVERITY[:kinds]]),
    ]
    node = helper.make_node
    nodes = [
        node("ReduceMean", ["image", "channel"], ["gray"], keepdims=1),
        node("AveragePool", ["gray"], ["map"], kernel_shape=[32, 32], strides=[32, 32]),
        node("ReduceMean", ["image", "all"], [output], keepdims=0),
        node("Identity", [output], ["unlike"]),
        node("Unsqueeze", [output, "last"], ["column"]),
        node("Mul", ["column", "zero"], ["zeros"]),
        node("Add", ["zeros", "presences"], ["presence"]),
        node("Add", ["zeros", "severities"], ["severity"]),
    ]
    shapes: dict[str, list[str | int]] = {
        output: ["B"],
        "map": ["B", 1, "h", "w"],
        "presence": ["B", kinds + 1],
        "severity": ["B", kinds],
        "unlike": ["B"],
    }
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "tiny",
        [value("image", TensorProto.FLOAT, ["B", 3, "H", "W"])],
        [value(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()


def tiny_card(content: bytes, **changes: object) -> dict[str, object]:
    """The card of the tiny model: raw 0..1 is score 0..100, and the interval is wider for bad pictures."""
    return {
        "name": "tiny",
        "version": "0.0.1",
        "sha256": hashlib.sha256(content).hexdigest(),
        "summary": "mean brightness",
        "system": "none",
        "licence": {"code": "Apache-2.0", "weights": "CC0-1.0", "data": "none"},
        "training_data": ["nothing"],
        "accuracy": [{"set": "made up", "images": 7, "srcc": 0.5, "plcc": 0.25}],
        "distortions": list(KINDS),
        "views": {"area": 307200, "window": 384, "max_windows": 96, "global_weight": 0.5},
        "calibration": {"raw": [0.0, 1.0], "score": [0.0, 100.0]},
        "interval": {"score": [0.0, 100.0], "below": [20.0, 4.0], "above": [10.0, 2.0]},
        "unlike": {"threshold": 0.9},
        "limits": ["knows nothing"],
        **changes,
    }


def write_model(folder: Path, stem: str = "tiny", content: bytes | None = None, **changes: object) -> Path:
    """Write a model file and its card; `changes` replace keys of the card."""
    content = tiny_graph() if content is None else content
    path = folder / f"{stem}.onnx"
    path.write_bytes(content)
    path.with_suffix(".json").write_text(json.dumps(tiny_card(content, **changes)))
    return path


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """A picture of (90, 120, 3) bytes with structure: no two rows or columns are alike."""
    return np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
