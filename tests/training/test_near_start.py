"""YOTO among neighbours, from its encoder to a model file."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from conftest import train_main
from PIL import Image

import iqassay.systems
from iqassay.data.distortions import KINDS
from iqassay.data.rating import Rating
from iqassay.scoring.model_file import load_model_file, open_session
from iqassay.systems.yoto_extended import TOP
from iqassay.training.export import export, principal_axes
from iqassay.training.near_start import start_near
from iqassay.training.pairs import Pairs, contents_of, draw_rows
from iqassay.training.ship import _statistics
from iqassay.training.whole_pass import whole_view

sys.path.insert(0, str(Path(__file__).parents[1] / "systems"))
from small_yoto import tiny_near

SCALE = {"calibration": {"raw": [-1, TOP], "score": [0, 100]}, "interval": {"score": [50], "below": [5], "above": [5]}}
CARD = {
    "name": "test",
    "version": "0",
    "summary": "",
    "system": "YOTO",
    "licence": {},
    "training_data": [],
    "accuracy": [],
    "distortions": list(KINDS),
    "views": {"area": 307200, "window": 384, "max_windows": 96, "global_weight": 0.5},
    "unlike": {"threshold": 2},
    "limits": [],
    "reference": SCALE,
    **SCALE,
}


DETAIL = {"detail": "efficientnet_lite0"}


@pytest.fixture(
    scope="module", params=[{}, DETAIL, DETAIL | {"located": True}], ids=["tokens alone", "detail", "detail and map"]
)
def shipped(tmp_path_factory, request):
    """A model file, and the torch system that was read back from it."""
    with pytest.MonkeyPatch.context() as patch:
        system = tiny_near(patch, **request.param)
        width = system.distortions.scale.num_features
        statistics = np.random.default_rng(0).normal(size=(200, width)).astype(np.float32)
        card = CARD | {"architecture": dataclasses.asdict(system.config)}
        file = export(system, *principal_axes(statistics), card, tmp_path_factory.mktemp("near") / "near.onnx")
        read = iqassay.systems.load_pretrained(file)
    own, back = (one.network.encoder.blocks[0].mlp[0].weight for one in (system, read))
    assert 0 < (own - back).abs().max() < own.abs().max() / 200
    return file, read


@pytest.mark.slow
def test_a_file_keeps_blocks_as_whole_numbers(shipped):
    kinds = {t.name: t.data_type for t in onnx.load(shipped[0]).graph.initializer}
    assert kinds["system.network.encoder.blocks.0.mlp.0.weight_int8"] == onnx.TensorProto.INT8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("batch", "height", "width"),
    [(2, 96, 160), (1, 448, 320), (5, 96, 128), (1, 480, 640), (3, 64, 64)],
)
@torch.no_grad()
def test_one_graph_for_both_modes_any_batch_and_any_sides_says_what_torch_says(shipped, batch, height, width):
    file, system = shipped
    session = open_session(load_model_file(file))
    x, r = np.random.default_rng(0).random((2, batch, 3, height, width), np.float32)
    for reference in (None, r, x):
        images = x if reference is None else np.concatenate([x, reference])
        outputs = ["score", "map", "presence"]
        score, cells, presence = session.run(outputs, {"image": images, "pictures": np.array([batch])})
        want = system(torch.from_numpy(x), None if reference is None else torch.from_numpy(reference))
        np.testing.assert_allclose(score, want.score.numpy(), atol=2e-3)
        np.testing.assert_allclose(cells, want.quality_map.numpy(), atol=5e-3)
        np.testing.assert_allclose(presence, want.extras["kind"].softmax(1).numpy(), atol=2e-3)
    assert (score == TOP).all()


def test_it_begins_by_enough_clean_pictures_alone(monkeypatch):
    system = tiny_near(monkeypatch)
    with pytest.raises(ValueError, match="got 4 cells of clean pictures to begin by, want at least 64"):
        start_near(system, [torch.rand(1, 3, 64, 64)])


def test_without_clean_pictures_or_a_start_it_is_one_line_and_status_2(paired, tmp_path, capsys):
    flags = ["--near", "1", "--encoder", "dinov2_vit_s14", "--stage", "head", "--out", str(tmp_path / "run")]
    assert train_main(["yoto", "--data", str(paired / "pairs.csv"), *flags]) == 2
    assert "want a folder of clean photos to begin by" in capsys.readouterr().err


def test_a_batch_of_rated_pairs_is_of_whole_contents():
    content = contents_of(["b", "a", "b", "c", "a", "c", "b", "a"])
    assert content.tolist() == [1, 0, 1, 2, 0, 2, 1, 0]
    assert contents_of(["a", "b"]) is None
    pairs = Pairs("set", [], *[np.zeros(8)] * 3, 6, content=content)  # the last two are for validation
    rows = draw_rows(pairs, 4, np.random.default_rng(0))
    assert len(rows) == 4
    assert all((content[rows] == one).sum() == (content[:6] == one).sum() for one in set(content[rows]))


@torch.no_grad()
@pytest.mark.parametrize("detail", ["", "efficientnet_lite0"])
def test_what_is_unlike_is_told_by_the_statistics_that_the_file_has(monkeypatch, tmp_path, detail):
    system = tiny_near(monkeypatch, detail)
    Image.new("RGB", (96, 64), (40, 90, 120)).save(tmp_path / "a.png")
    rows = [Rating(tmp_path / "a.png", 50.0)] * 2
    own = system(torch.from_numpy(whole_view(tmp_path / "a.png"))).extras["statistics"].numpy()
    np.testing.assert_allclose(_statistics(system, rows), np.repeat(own, 2, 0), atol=1e-4)
