"""Two tiny model files and a photo, made on the spot.

The score of the first is the mean brightness, its map the brightness of 32x32 squares. The second takes references too:
without one it answers like the first, with one the score is 2 minus the mean absolute difference, and so is the map.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import iqassay  # before any test has onnxruntime, whose telemetry it turns off
from iqassay.cli import main
from iqassay.scoring import model_file
from iqassay.scoring.lock import MadeOnce

SLOW_FILE = "\npytestmark = pytest.mark.slow\n"


def train_main(words: list[str]) -> int:
    """``iqassay train`` in this process."""
    return main(["train", *words])


def export_main(words: list[str]) -> int:
    """``iqassay export`` in this process."""
    return main(["export", *words])


def untrained_checkpoint(out: Path, **changes: object) -> Path:
    """A checkpoint of a system that nothing was learned by, and its recipe: one of ``smoke``, with these changes."""
    import torch

    from iqassay.training.build import build_system
    from iqassay.training.recipes import smoke
    from iqassay.training.run_folder import write_checkpoint

    torch.manual_seed(0)
    recipe = smoke(data=["elsewhere.csv"], out=out, **changes)
    return write_checkpoint(recipe, build_system(recipe), {})


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The quick half need not load Lightning to find that all of a file is slow."""
    quick = config.getoption("markexpr") == "not slow" and collection_path.suffix == ".py"
    return True if quick and SLOW_FILE in collection_path.read_text(encoding="utf-8") else None


KINDS = ("jpeg", "white_noise", "gaussian_blur")
PRESENCE = (0.45, 0.35, 0.15, 0.05)  # the last is "none"
SEVERITY = (2.0, 4.0, 1.0)
NEARNESS = np.array([*(0.1, 0.2, 0.9, 0.3, 0.2), *(0.0, 0.0, 0.0, 0.0, 0.5), *(-0.4, -0.3, -0.2, -0.3, -0.4), 0.0])
REFERENCE = {  # identical pictures have 2.0, black beside white 1.0
    "calibration": {"raw": [1.0, 2.0], "score": [0.0, 98.0]},
    "interval": {"score": [0.0, 98.0], "below": [10.0, 2.0], "above": [5.0, 1.0]},
}


def make_photo(
    height: int,
    width: int,
    seed: int = 0,
    discs: int = 12,
    radii: tuple[float, float] = (0.03, 0.15),
    textured: float = 1.0,
) -> np.ndarray:
    """Something like a photo: smooth light, coloured discs with sharp edges, and fine texture left of ``textured``, in
    shares of the longer side; float32 (height, width, 3) in [0, 1]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    image = 0.45 + 0.25 * np.stack([np.sin(4 * x + y), np.cos(3 * y), np.sin(2 * (x + y))], axis=-1)
    for _ in range(discs):
        cy, cx, radius = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(*radii)
        image[(y - cy) ** 2 + (x - cx) ** 2 < radius**2] = rng.uniform(0.1, 0.9, 3)
    image += 0.04 * rng.standard_normal((height, width, 1)) * (x < textured)[..., None]
    return np.clip(image, 0, 1).astype(np.float32)


def tiny_graph(
    kinds: int = len(KINDS),
    output: str = "score",
    reference: bool = False,
    presence: tuple[float, ...] = PRESENCE,
    severity: tuple[float, ...] = SEVERITY,
) -> bytes:
    """ONNX bytes: score is the mean of the picture (0..1), unlike too; presence and severity are constant.

    reference: the graph also has the input `pictures`, and takes as many references after that many pictures.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def constant(name: str, values: object, kind: type = np.float32) -> onnx.TensorProto:
        return numpy_helper.from_array(np.array(values, dtype=kind), name)

    constants = [
        constant("channel", [1], np.int64),
        constant("all", [1, 2, 3], np.int64),
        constant("last", [1], np.int64),
        constant("zero", 0.0),
        constant("presences", [presence[: kinds + 1]]),
        constant("severities", [severity[:kinds]]),
    ]
    node = helper.make_node
    nodes = [
        node("ReduceMean", ["seen", "channel"], ["gray"], keepdims=1),
        node("AveragePool", ["gray"], ["squares"], kernel_shape=[32, 32], strides=[32, 32]),
        node("ReduceMean", ["seen", "all"], ["mean"], keepdims=0),
        node("Identity", ["mean"], ["unlike"]),
        node("Unsqueeze", ["mean", "last"], ["column"]),
        node("Mul", ["column", "zero"], ["zeros"]),
        node("Add", ["zeros", "presences"], ["presence"]),
        node("Add", ["zeros", "severities"], ["severity"]),
    ]
    if reference:  # "seen" is the picture, or its difference from the reference, which is then taken from 2
        constants += [constant("0", [0], np.int64), constant("end", [2**31], np.int64), constant("two", 2.0)]
        nodes = [
            node("Slice", ["image", "0", "pictures", "0"], ["picture"]),
            node("Concat", ["image", "image"], ["twice"], axis=0),  # so that a picture alone stands where one would
            node("Slice", ["twice", "pictures", "end", "0"], ["rest"]),
            node("Slice", ["rest", "0", "pictures", "0"], ["reference"]),
            node("Sub", ["picture", "reference"], ["difference"]),
            node("Abs", ["difference"], ["distance"]),
            node("Shape", ["image"], ["rows"], start=0, end=1),
            node("Greater", ["rows", "pictures"], ["paired"]),
            node("Where", ["paired", "distance", "picture"], ["seen"]),
            *nodes,
            node("Sub", ["two", "mean"], ["likeness"]),
            node("Where", ["paired", "likeness", "mean"], [output]),
            node("Sub", ["two", "squares"], ["likenesses"]),
            node("Where", ["paired", "likenesses", "squares"], ["map"]),
        ]
    else:
        nodes = [
            node("Identity", ["image"], ["seen"]),
            *nodes,
            node("Identity", ["mean"], [output]),
            node("Identity", ["squares"], ["map"]),
        ]
    shapes: dict[str, list[str | int]] = {
        output: ["B"],
        "map": ["B", 1, "h", "w"],
        "presence": ["B", kinds + 1],
        "severity": ["B", kinds],
        "unlike": ["B"],
    }
    value = helper.make_tensor_value_info
    inputs = [value("image", TensorProto.FLOAT, ["N", 3, "H", "W"])]
    if reference:
        inputs.append(value("pictures", TensorProto.INT64, [1]))
    graph = helper.make_graph(
        nodes,
        "tiny",
        inputs,
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


def write_pair_model(folder: Path, stem: str = "pair", **changes: object) -> Path:
    """Write the model file that takes references, and its card."""
    return write_model(folder, stem, tiny_graph(reference=True), **{"name": stem, "reference": REFERENCE, **changes})


def write_restorer(folder: Path, stem: str = "dri", towards_mean: float = 0.0, **changes: object) -> Path:
    """The tiny model, with a restored estimate, and a nearness whose last value is the mean of the window."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load_from_string(tiny_graph())
    graph = model.graph
    last = np.zeros((1, len(NEARNESS)), dtype=np.float32)
    last[0, -1] = 1
    for name, values in (("share", np.float32(towards_mean)), ("last_one", last), ("near", NEARNESS[None])):
        graph.initializer.append(numpy_helper.from_array(np.asarray(values, dtype=np.float32), name))
    graph.initializer.append(numpy_helper.from_array(np.array([1, 2, 3]), "sides"))
    node = helper.make_node
    graph.node.extend(
        [
            node("Unsqueeze", ["mean", "sides"], ["level"]),
            node("Sub", ["level", "image"], ["away"]),
            node("Mul", ["away", "share"], ["step"]),
            node("Add", ["image", "step"], ["estimate"]),
            node("Mul", ["column", "last_one"], ["brightness"]),
            node("Add", ["brightness", "near"], ["nearness"]),
        ]
    )
    for name, shape in (("estimate", ["B", 3, "H", "W"]), ("nearness", ["B", len(NEARNESS)])):
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    return write_model(folder, stem, model.SerializeToString(), **{"name": stem, **changes})


def write_panel(folder: Path, stem: str = "panel", of: tuple[str, ...] = ("mfen", "yoto"), **changes: object) -> Path:
    """Write the card of a panel `of` model files in the folder; `changes` replace keys of the card."""
    digests = {name: hashlib.sha256((folder / f"{name}.onnx").read_bytes()).hexdigest() for name in of}
    interval = {"score": [0.0, 100.0], "below": [2.0, 1.0], "above": [1.0, 0.5], "spread": 4.0}
    scale = {"raw": [0.0, 100.0], "score": [10.0, 90.0]}
    card = tiny_card(b"", name=stem, calibration=scale, interval=interval)
    for key in ("sha256", "views", "unlike"):
        del card[key]
    path = folder / f"{stem}.json"
    path.write_text(json.dumps({**card, "members": digests, **changes}))
    return path


@pytest.fixture(scope="session")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One file of a cache after another, in one folder: thousands of folders would take long to number."""
    folder = tmp_path_factory.mktemp("caches")
    return (folder / f"{number}.sqlite" for number in itertools.count())


@pytest.fixture(autouse=True)
def own_cache(caches: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has a cache of answers of its own, so that none sees what another has scored."""
    monkeypatch.setenv("IQASSAY_CACHE", str(next(caches)))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def pair_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model that takes references."""
    return write_pair_model(tmp_path_factory.mktemp("pair_model"))


@pytest.fixture(scope="session")
def restorer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that restores: its estimate lies halfway to the mean."""
    return write_restorer(tmp_path_factory.mktemp("restorer"), towards_mean=0.5)


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """A picture of (90, 120, 3) bytes with structure: no two rows or columns are alike."""
    return np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)


def smooth(rng: np.random.Generator) -> np.ndarray:
    """A picture of 96x80 without detail."""
    grid = Image.fromarray((rng.random((9, 9, 3)) * 255).astype(np.uint8))
    return np.asarray(grid.resize((96, 80), Image.Resampling.BICUBIC))


@pytest.fixture(scope="session")
def rated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 24 noisy pictures and set.csv: the more noise the lower the score, in train and val."""
    folder, rng, rows = tmp_path_factory.mktemp("rated"), np.random.default_rng(0), []
    for i in range(24):
        picture = smooth(rng)
        noisy = picture + rng.normal(0, 2 * i, picture.shape)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{i}.png")
        rows.append(f"{i}.png,{100 - 4 * i},{'val' if i % 4 == 0 else 'train'}\n")
    (folder / "set.csv").write_text("image,mos,split\n" + "".join(rows))
    return folder


@pytest.fixture(scope="session")
def paired(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 16 noisy pictures, their references, and pairs.csv: scores and splits as in ``rated``."""
    folder, rng, rows = tmp_path_factory.mktemp("paired"), np.random.default_rng(0), []
    for i in range(16):
        clean = smooth(rng)
        noisy = clean + rng.normal(0, 3 + 3 * i, clean.shape)
        for name, pixels in ((f"{i}.png", noisy), (f"clean-{i}.png", clean)):
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name)
        rows.append(f"{i}.png,clean-{i}.png,{95 - 5 * i},{'val' if i % 4 == 0 else 'train'}\n")
    (folder / "pairs.csv").write_text("image,ref,mos,split\n" + "".join(rows))
    return folder


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    path = tmp_path / "noisy.png"
    pixels = np.random.default_rng(1).integers(0, 256, (70, 96, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


class WellFormed(HTMLParser):
    """HTML whose elements, but for the `void` ones, close in the order in which they opened; none has a script."""

    void: frozenset[str]

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not any(key.startswith("on") for key, _ in attrs)
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.void:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package with a model for pictures alone, one for pairs, and the panel of the two."""
    write_model(tmp_path, "mfen", name="mfen")
    write_pair_model(tmp_path, "yoto")
    write_panel(tmp_path)
    monkeypatch.setattr(model_file, "WEIGHTS", tmp_path)
    monkeypatch.setattr(iqassay, "_scorers", MadeOnce())
    return tmp_path
