"""Systems as torch modules with the weights of a model file: the same answers, and gradients."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from conftest import write_model
from torch import nn
from torch.nn import functional as F

import iqassay
from iqassay.scoring.model_file import WEIGHTS, load_model_file
from iqassay.scoring.scorer import Scorer
from iqassay.scoring.square import shrunk_to_square
from iqassay.systems import load_pretrained
from iqassay.systems.dri import DRI
from iqassay.systems.mfen import MFEN, MFENConfig
from iqassay.systems.vision_transformer import SIDE
from iqassay.systems.yoto_extended import ExtendedYOTO
from iqassay.training.checkpoints import load_weights
from iqassay.training.export import export

pytestmark = pytest.mark.slow

SHIPPED = {"mfen": MFEN, "yoto": ExtendedYOTO, "dri": DRI}
SMALL = {"encoder": "van_tiny", "dan_encoder": "van_tiny", "dan_shared": 0, "width": 8, "pretrained": False}
CLOSE = 1e-3  # raw, 0.02 points; 5e-6 is seen, and another processor may add up in another order


def photos(count: int = 2, height: int = 96, width: int = 128) -> torch.Tensor:
    torch.manual_seed(1)
    coarse = F.interpolate(torch.rand(count, 3, 7, 9), size=(height, width), mode="bicubic", align_corners=False)
    return (coarse + 0.1 * torch.rand(count, 3, height, width)).clamp(0, 1)


@pytest.fixture(scope="module", params=SHIPPED)
def shipped(request: pytest.FixtureRequest) -> tuple[str, nn.Module]:
    return request.param, load_pretrained(request.param)


def pixels_of(x: torch.Tensor) -> np.ndarray:
    return x[0].permute(1, 2, 0).contiguous().numpy()


def meaning_of(system: nn.Module, pixels: np.ndarray) -> dict[str, torch.Tensor]:
    """What the whole picture shows, by the square that scoring makes of it: Pillow's, not torch's."""
    return {"meaning": system.understand(torch.from_numpy(shrunk_to_square(pixels, SIDE)))}


@torch.no_grad()
def check_same_answers(system: nn.Module, scorer: Scorer, x: torch.Tensor, reference: torch.Tensor | None) -> None:
    network, whole = scorer._network, {}
    if scorer.card.semantic:  # what a whole picture shows is said once, and its views are told
        x = x[:1]
        pixels = pixels_of(x)
        network, whole = scorer.network_for(pixels), meaning_of(system, pixels)
    answers = network(x.numpy(), None if reference is None else reference.numpy())
    prediction = system(x, reference, **whole)
    np.testing.assert_allclose(prediction.score, answers.score, atol=CLOSE)
    np.testing.assert_allclose(prediction.quality_map[:, 0], answers.map, atol=CLOSE)
    np.testing.assert_allclose(prediction.extras["kind"].softmax(1), answers.presence, atol=CLOSE)
    np.testing.assert_allclose(prediction.extras["severity"], answers.severity, atol=CLOSE)
    if scorer.restores:
        for name, found in zip(("estimate", "nearness"), scorer.restore(x.numpy()), strict=True):
            np.testing.assert_allclose(prediction.extras[name], found, atol=CLOSE)


def test_its_answers_are_the_model_files(shipped):
    name, system = shipped
    assert type(system) is SHIPPED[name]
    assert not any(module.training for module in system.modules())
    scorer, x = Scorer(name, threads=1), photos()
    check_same_answers(system, scorer, x, None)
    if scorer.takes_reference:
        check_same_answers(system, scorer, x, (0.8 * x + 0.1).flip(0))


def test_a_card_that_does_not_say_is_of_a_network_without_high_pass(small):
    """The shipped MFEN is older than the switch, and so is every card and recipe without it."""
    assert not load_pretrained("mfen").hfen.high_pass
    assert MFENConfig().high_pass
    assert load_pretrained(small[1]).hfen.high_pass


@pytest.mark.parametrize(("height", "width"), [(50, 131), (97, 70)])
def test_a_score_is_that_of_scoring_for_any_size(shipped, height, width):
    name, system = shipped
    x, scorer = photos(1, height, width), Scorer(name, threads=1)
    pixels = pixels_of(x)
    with torch.no_grad():
        prediction = system(x, **(meaning_of(system, pixels) if scorer.card.semantic else {}))
        assert prediction.quality_map.shape[2:] == (-(-max(64, height) // 32), -(-max(64, width) // 32))
        assert float(system.to_score(prediction.score)) == pytest.approx(scorer.score(pixels).score, abs=0.05)
        if scorer.takes_reference:
            score = system.to_score(system(x, reference=x.flip(2)).score, reference=True)
            other = np.ascontiguousarray(pixels[::-1])
            assert float(score) == pytest.approx(scorer.score(pixels, other).score, abs=0.05)


def test_gradients_reach_the_picture(shipped):
    name, system = shipped
    for reference in [None, photos(1).flip(3)] if name == "yoto" else [None]:
        x = photos(1).requires_grad_(True)
        system(x, reference).score.sum().backward()
        assert torch.isfinite(x.grad).all()
        assert (x.grad != 0).float().mean() > 0.9
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in system.parameters())
        system.zero_grad(set_to_none=True)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[MFEN, Path]:
    """A small system whose batch normalisations have seen something, and its model file."""
    torch.manual_seed(0)
    system = MFEN(MFENConfig(**SMALL))
    system(photos(4))  # in training mode
    system.eval()
    card = json.loads((WEIGHTS / "mfen.json").read_text())
    card |= {"name": "small", "system": "MFEN", "architecture": vars(system.config)}
    depth = 2 * sum(system.encoder.channels)
    return system, export(
        system, torch.zeros(depth), torch.ones(depth, 4), card, tmp_path_factory.mktemp("small") / "small.onnx"
    )


def test_a_model_file_of_ones_own(small):
    system, file = small
    again = load_pretrained(file)
    assert isinstance(again, MFEN)
    assert again.config == MFENConfig(**SMALL)
    check_same_answers(again, Scorer(file, threads=1), photos(), None)
    assert torch.allclose(again(photos()).score, system(photos()).score, atol=CLOSE)


def test_training_can_start_from_it(small, tmp_path):
    again, fresh, file = load_pretrained(small[1]), MFEN(small[0].config), tmp_path / "start.ckpt"
    torch.save({"state_dict": {f"system.{k}": v for k, v in again.state_dict().items()}}, file)
    load_weights(fresh, file)
    assert torch.equal(fresh.eval()(photos(1)).score, again(photos(1)).score)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"architecture": None}, "got a model file of MFEN, want one of MFEN, YOTO or DRI-IQA with its architecture"),
        ({"system": "NIMA, of 2018"}, "got a model file of NIMA, of 2018, want one of MFEN, YOTO or DRI-IQA"),
        ({"architecture": {"depth": 3}}, "got a card whose architecture does not fit its system: .*'depth'"),
        ({"architecture": {"encoder": "van_b9"}}, "got encoder 'van_b9'"),
        ({"architecture": {"encoder": "van_b0", "dan": False}}, "got no weights that fit .* in all, want all"),
        (
            {"architecture": {**SMALL, "width": 16, "high_pass": True, "view": 224}},
            r"got no weights that fit head\.regressor\.layers\.1\.weight, and 5 in",
        ),
    ],
)
def test_cards_that_do_not_fit(small, tmp_path, change, error):
    file = Path(shutil.copy(small[1], tmp_path))
    card = json.loads(small[1].with_suffix(".json").read_text()) | change
    file.with_suffix(".json").write_text(json.dumps({k: v for k, v in card.items() if v is not None}))
    with pytest.raises(ValueError, match=error) as caught:
        load_pretrained(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("mfn", "there is no model 'mfn', did you mean 'mfen'"),
        ("panel", "'panel' is a panel, want one model: dri, mfen, yoto"),
        ("absent.onnx", "there is no model file 'absent.onnx'"),
    ],
)
def test_names_that_are_no_model(name, error):
    with pytest.raises(iqassay.ModelFileError, match=error):
        load_pretrained(name)


def test_shipped_graphs_name_every_weight():
    """What reading back rests on: whoever rewrites a graph must keep the names."""
    for name in SHIPPED:
        graph = onnx.load_from_string(load_model_file(name).content).graph
        unnamed = [t.name for t in graph.initializer if t.data_type != onnx.TensorProto.INT64 and "::" in t.name]
        assert not unnamed, name  # whole numbers are axes and sizes


def test_a_file_that_is_no_graph(tmp_path):
    file = write_model(tmp_path, "odd", b"\xff\xff", system="MFEN", architecture=SMALL)
    with pytest.raises(ValueError, match="got a file that is no ONNX graph"):
        load_pretrained(file)


def test_a_damaged_file_is_not_opened(tmp_path):
    for ending in (".onnx", ".json"):
        shutil.copy(WEIGHTS / f"dri{ending}", tmp_path / f"dri{ending}")
    with (tmp_path / "dri.onnx").open("ab") as file:
        file.write(b"!")
    with pytest.raises(iqassay.ModelFileError, match="is damaged"):
        load_pretrained(tmp_path / "dri.onnx")
