"""The stage of the map: it learns where pictures are damaged, and nothing else of a system changes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import export_main, make_photo, untrained_checkpoint
from conftest import train_main as main
from PIL import Image

from iqassay.data.coverage import SHARES
from iqassay.scoring.model_file import find_model
from iqassay.scoring.scorer import Scorer
from iqassay.systems.locator import Locator
from iqassay.systems.yoto import YOTOConfig
from iqassay.systems.yoto_extended import ExtendedYOTO, ExtendedYOTOConfig
from iqassay.training.locating import IN_PLACES, as_started, evenly_damaged, fit_locator, told_apart
from iqassay.training.recipes import smoke

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clean")
    for i in range(3):
        Image.fromarray((255 * make_photo(80, 96, i)).astype(np.uint8)).save(folder / f"{i}.png")
    return folder


@pytest.mark.parametrize(("system", "changes"), [("mfen", {"width": 24}), ("dri", {"interaction": False})])
def test_only_the_locator_learns_and_the_network_is_that_of_the_start(system, changes, clean, tmp_path):
    start = untrained_checkpoint(tmp_path / "before", system=system, encoder="van_tiny", frozen=0, **changes)
    out = tmp_path / "map"
    flags = ["--smoke", "--stage", "map", "--start", str(start), "--synthetic", str(clean), "--patched", "0.5"]
    assert main([system, *flags, "--damaged", "0.1", "--out", str(out)]) == 0
    before, after = (torch.load(file, weights_only=True)["state_dict"] for file in (start, out / "best.ckpt"))
    assert all(torch.equal(after[key], value) for key, value in before.items())
    new = {key for key in after if key not in before}
    assert new
    assert {key.split(".")[1] for key in new} == {"locator"}
    said = json.loads((out / "recipe.json").read_text())
    assert {key: said["recipe"][key] for key in changes} == changes
    assert said["recipe"]["located"]
    assert 0 <= said["val"]["damaged cells below others"] <= 1


def test_it_learns_which_cells_are_damaged():
    torch.manual_seed(0)
    damaged = (torch.rand(64, 3, 4) < 0.4).float()
    cells = torch.randn(64, 1, 5) + 0.3 * torch.randn(64, 12, 5)  # what pictures are like differs more than damage does
    cells[..., 2] += damaged.flatten(1)
    better = -(damaged - damaged.mean((1, 2), keepdim=True))
    whole = torch.randn(64, 1, 5) + 0.3 * torch.randn(64, 12, 5)
    parts = (cells, better, damaged), (whole, torch.zeros(64, 3, 4), torch.full((64, 3, 4), -1.0))
    locator = Locator(5)
    recipe = smoke(system="mfen", synthetic=["."], steps=150, epochs=1, batch=32, lr=0.01, damaged=0.3)
    fit_locator(recipe, locator, *parts)
    with torch.no_grad():
        assert told_apart(locator(cells, 3, 4)[:, 0].numpy(), damaged.numpy()) > 0.9
        assert locator(whole, 3, 4).std() < 0.5 * locator(cells, 3, 4).std()


def test_it_learns_by_what_lies_around_a_cell():
    """Damage that no cell shows by itself: cells are dark or light at random, and those of a damaged box are not as the
    row above and below them."""
    torch.manual_seed(0)
    box = torch.zeros(256, 6, 6)
    for one in box:
        top, left = torch.randint(4, (2,)).tolist()
        one[top : top + 3, left : left + 3] = 1
    columns = 2 * torch.randn(256, 1, 6).expand(-1, 6, -1)  # each is of one shade, but where a box changes it
    cells = (columns + 2 * box)[..., None].flatten(1, 2)
    better = -(box - box.mean((1, 2), keepdim=True))
    recipe = smoke(system="mfen", synthetic=["."], steps=200, epochs=1, batch=64, lr=0.01, damaged=0.3)
    locator = Locator(1, dropout=0.0)
    fit_locator(recipe, locator, (cells[:200], better[:200], box[:200]))
    with torch.no_grad():
        found = told_apart(locator(cells[200:], 6, 6)[:, 0].numpy(), box[200:].numpy())
        alone = told_apart(-cells[200:].reshape(-1, 6, 6).numpy(), box[200:].numpy())
    assert found > 0.95
    assert alone < 0.85


def test_told_apart_counts_pairs_of_one_picture():
    found = np.array([[[0.0, 1], [2, 3]], [[5, 5], [5, 5]]])
    damaged = np.array([[[1.0, 0], [0.5, 1]], [[0, 0], [0, 0]]])
    assert told_apart(found, damaged) == 0.5  # of cells 0 and 3 beside cell 1; the second picture has none


def test_pictures_are_damaged_alike_everywhere(clean, tmp_path):
    recipe = smoke(system="mfen", stage="map", start=tmp_path, synthetic=[clean], patched=0.5, synthetic_covered=0.5)
    config = evenly_damaged(recipe)
    assert not set(IN_PLACES) & set(config.kinds)
    assert set(config.families) | {"missing", "framed", "structure"} == set(SHARES)


@pytest.mark.parametrize("missing", ["--start", "--synthetic", "--patched"])
def test_what_the_stage_wants_is_said(missing, capsys):
    given = {"--start": "a.ckpt", "--synthetic": "clean", "--patched": "0.5"}
    flags = [word for key, value in given.items() if key != missing for word in (key, value)]
    assert main(["mfen", "--stage", "map", "--data", "a.csv", *flags]) == 2
    assert "got --stage map, want it with a --start, --synthetic and --patched" in (capsys.readouterr().err)


def test_a_model_file_with_another_map_has_the_scores_and_the_scale_of_its_start(clean, tmp_path):
    out = tmp_path / "map"
    start = find_model("mfen")
    flags = ["--smoke", "--stage", "map", "--start", str(start), "--synthetic", str(clean), "--patched", "0.5"]
    assert main(["mfen", *flags, "--out", str(out)]) == 0
    about = tmp_path / "about.json"
    about.write_text(json.dumps({"version": "9.9.9", "views": {"global_weight": 0.7}}))
    file = tmp_path / "mfen.onnx"
    assert export_main([str(out / "best.ckpt"), "--about", str(about), "-o", str(file)]) == 0
    before, after = Scorer("mfen"), Scorer(file)
    assert after.card.version == "9.9.9"
    assert after.card.views.global_weight == 0.7
    assert after.card.views.window == before.card.views.window
    cards = [json.loads(one.with_suffix(".json").read_text()) for one in (start, file)]
    for same in ("calibration", "interval", "unlike", "accuracy"):
        assert cards[0][same] == cards[1][same]
    first, second = (one.score(EXAMPLES / "chelsea.jpg") for one in (before, after))
    assert (first.raw, first.score, first.low, first.high) == (second.raw, second.score, second.low, second.high)
    assert first.distortions == second.distortions
    assert not np.array_equal(first.map, second.map)


def test_a_model_file_says_what_yoto_is_that_gets_a_map():
    told = {"system": "yoto", "stage": "map", "synthetic": ["."], "patched": 0.5}
    recipe = as_started(smoke(**told, start=find_model("yoto")))
    assert (recipe.encoder, recipe.near, recipe.heads, recipe.tokens) == ("dinov2_vit_s14", 1, 6, 192)
    assert (recipe.detail, recipe.located) == ("efficientnet_lite0", True)


def test_yoto_learns_a_map_by_its_encoder_of_detail_alone():
    with pytest.raises(ValueError, match="got located without detail, want an encoder of detail"):
        ExtendedYOTO(ExtendedYOTOConfig(YOTOConfig(width=8, pretrained=False), located=True))


def test_a_map_that_nothing_was_learned_by_is_refused(tmp_path, capsys):
    start = untrained_checkpoint(tmp_path / "before", system="mfen", encoder="van_tiny", frozen=0)
    head = ["--smoke", "--encoder", "van_tiny", "--data", "a.csv", "--located"]
    assert main(["mfen", *head, "--stage", "head", "--start", str(start), "--out", str(tmp_path / "head")]) == 2
    assert "got no weights that fit locator.scale.running_mean" in capsys.readouterr().err
    assert main(["mfen", *head]) == 2
    assert "got --located for --stage network, want it for --stage head" in capsys.readouterr().err
