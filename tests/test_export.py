"""The model file says what torch says, whatever the size of the picture, and its card is one the runtime accepts."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from iqassay.data.distortions import KINDS
from iqassay.image import read_image, to_float
from iqassay.model_file import load_model_file, open_session
from iqassay.systems.mfen import MFEN
from iqassay.training.export import OUTPUTS, export, principal_axes

EXAMPLES = Path(__file__).parent.parent / "examples"
CARD = {
    "name": "test",
    "version": "0",
    "summary": "",
    "system": "",
    "licence": {},
    "training_data": [],
    "accuracy": [],
    "distortions": list(KINDS),
    "views": {"area": 307200, "window": 384, "max_windows": 96, "global_weight": 0.5},
    "calibration": {"raw": [-3, 3], "score": [0, 100]},
    "interval": {"score": [50], "below": [10], "above": [10]},
    "unlike": {"threshold": 2},
    "limits": [],
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    torch.manual_seed(0)
    system = MFEN().eval()
    for module in system.modules():  # as if trained: statistics that are not 0 and 1
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    statistics = np.random.default_rng(0).normal(size=(200, 2 * sum(system.qen.channels))).astype(np.float32)
    centre, axes = principal_axes(statistics)
    file = export(system, centre, axes, CARD, tmp_path_factory.mktemp("model") / "test.onnx")
    return system, file, (centre, axes)


@pytest.mark.parametrize("name", ["chelsea.jpg", "coffee-jpeg.jpg", "astronaut-noise.jpg"])
def test_scores_agree_with_torch_within_a_tenth_of_a_point(exported, name):
    system, file, _ = exported
    session = open_session(load_model_file(file))
    pixels = to_float(read_image(EXAMPLES / name).pixels)
    tall, wide = (side // 32 * 32 for side in pixels.shape[:2])
    x = np.ascontiguousarray(pixels[:tall, :wide].transpose(2, 0, 1)[None])
    with torch.no_grad():
        want = system(torch.from_numpy(x))
    score, quality_map, presence, severity, _ = session.run(OUTPUTS, {"image": x})
    points = 100 / 6  # of the card's calibration
    assert abs(score[0] - float(want.score)) * points < 0.1
    assert quality_map.shape == (1, 1, tall // 32, wide // 32)
    assert np.abs(quality_map - want.quality_map.numpy()).max() * points < 0.3  # single cells may differ more
    assert np.abs(presence - want.extras["kind"].softmax(1).numpy()).max() < 0.005
    assert np.abs(severity - want.extras["severity"].numpy()).max() < 0.02
    assert presence.sum() == pytest.approx(1, abs=1e-4)


def test_any_batch_and_any_multiple_of_32(exported):
    session = open_session(load_model_file(exported[1]))
    for shape in ((1, 3, 64, 64), (3, 3, 64, 160), (2, 3, 288, 96)):
        x = np.random.default_rng(0).random(shape, np.float32)
        together = session.run(["score"], {"image": x})[0]
        alone = [session.run(["score"], {"image": x[i : i + 1]})[0][0] for i in range(shape[0])]
        np.testing.assert_allclose(together, alone, atol=1e-3)


def test_most_weights_are_stored_as_halves(exported):
    graph = onnx.load(exported[1]).graph
    floats = sum(np.prod(t.dims) for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT)
    halves = sum(np.prod(t.dims) for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT16)
    assert halves > 8 * floats
    assert exported[1].stat().st_size < 18e6


def test_card_carries_the_hash_of_the_file(exported):
    _, file, _ = exported
    card = json.loads(file.with_suffix(".json").read_text())
    assert load_model_file(file).card.sha256 == card["sha256"]


def test_unlike_is_about_one_for_the_training_statistics():
    statistics = np.random.default_rng(0).normal(3, 2, (500, 40)).astype(np.float32)
    centre, axes = principal_axes(statistics, keep=20)
    place = (torch.from_numpy(statistics) - centre) @ axes
    assert float(place.square().mean(1).sqrt().mean()) == pytest.approx(1, abs=0.05)
    far = (torch.from_numpy(statistics[:1]) + 100 - centre) @ axes
    assert float(far.square().mean().sqrt()) > 5
