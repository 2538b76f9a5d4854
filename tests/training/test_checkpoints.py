"""What a checkpoint gives back: also one of 0.1.0, whose recipe and whose weights of YOTO have other names."""

import dataclasses
import json

import pytest
import torch

from iqassay.training.build import build_system
from iqassay.training.checkpoints import load_weights, recipe_of
from iqassay.training.recipes import Recipe

TINY = Recipe(system="yoto", encoder="van_tiny", tokens=8, data=["a.csv"])


def test_a_recipe_comes_back_as_it_was(tmp_path):
    recipe = dataclasses.replace(TINY, out=tmp_path, synthetic=[tmp_path], distance=False)
    (tmp_path / "recipe.json").write_text(json.dumps({"recipe": dataclasses.asdict(recipe)}, default=str))
    assert recipe_of(tmp_path / "best.ckpt") == recipe


@pytest.mark.parametrize("statistics", [True, False])
def test_a_recipe_of_0_1_0_had_one_switch_for_three(tmp_path, statistics):
    older = dataclasses.asdict(dataclasses.replace(TINY, out=tmp_path)) | {"statistics": statistics}
    for key in ("normalise", "whole_picture", "distance"):
        del older[key]
    (tmp_path / "recipe.json").write_text(json.dumps({"recipe": older}, default=str))
    found = recipe_of(tmp_path / "best.ckpt")
    assert (found.normalise, found.whole_picture, found.distance) == (statistics,) * 3


def test_a_recipe_of_0_1_0_has_the_hfen_of_0_1_0(tmp_path):
    older = dataclasses.asdict(dataclasses.replace(TINY, system="mfen", out=tmp_path))
    del older["high_pass"]
    (tmp_path / "recipe.json").write_text(json.dumps({"recipe": older}, default=str))
    assert not recipe_of(tmp_path / "best.ckpt").high_pass
    assert not build_system(recipe_of(tmp_path / "best.ckpt")).hfen.high_pass
    assert build_system(dataclasses.replace(TINY, system="mfen")).hfen.high_pass


@pytest.mark.slow
@torch.no_grad()
def test_weights_of_yoto_come_back_whichever_version_wrote_them(tmp_path):
    torch.manual_seed(0)
    system, x = build_system(TINY).eval(), torch.rand(2, 2, 3, 64, 64)
    for older in (False, True):
        weights = {k.removeprefix("network.") if older else k: v for k, v in system.state_dict().items()}
        torch.save({"state_dict": {f"system.{k}": v for k, v in weights.items()}}, tmp_path / "best.ckpt")
        again = build_system(TINY).eval()
        load_weights(again, tmp_path / "best.ckpt")
        assert torch.equal(again(*x).score, system(*x).score)
        assert torch.equal(again(x[0]).score, system(x[0]).score)
