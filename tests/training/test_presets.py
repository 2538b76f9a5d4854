"""--config paper: the published networks, and the numbers they are trained by; flags given by hand win."""

import dataclasses
from pathlib import Path

import pytest

from iqassay.bench.train import plan
from iqassay.systems.dri import DRIConfig
from iqassay.systems.mfen import MFENConfig
from iqassay.systems.yoto import YOTOConfig
from iqassay.training.build import build_system
from iqassay.training.presets import chosen
from iqassay.training.recipes import Recipe

PAPER = {"config": "paper", "data": ["kadid10k:KADID"]}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("system", "config"), [("mfen", MFENConfig.paper()), ("yoto", YOTOConfig.paper()), ("dri", DRIConfig.paper())]
)
def test_the_paper_configuration_is_built(system, config):
    if system != "mfen":
        pytest.importorskip("transformers")
    built = build_system(chosen({**PAPER, "system": system})).config
    assert (built.network if system == "yoto" else built) == config
    if system == "yoto":  # without what is ours
        assert (built.whole_picture, built.distance) == (False, False)


def test_an_epoch_goes_through_the_sets_training_pictures():
    mfen, yoto = (chosen({**PAPER, "system": system}) for system in ("mfen", "yoto"))
    assert mfen.steps == 5538  # .7 of 10,125 pictures, 50 crops of each, 64 in a batch
    assert yoto.steps == 443
    assert (mfen.epochs, mfen.patience, yoto.epochs) == (5, 5, 600)
    assert (mfen.test_crops, yoto.test_crops, chosen({**PAPER, "system": "dri"}).test_crops) == (50, 20, 25)
    assert chosen({**PAPER, "data": ["work/koniq10k.csv::0..100"]}).scales == [0.5]
    assert chosen({**PAPER, "data": ["mine.csv"]}).steps == Recipe.steps


def test_flags_given_by_hand_win_and_the_light_recipe_is_as_ever():
    recipe = chosen({**PAPER, "system": "yoto", "tokens": 8, "encoder": "van_tiny", "lr": 0.5, "whole_picture": True})
    assert (recipe.tokens, recipe.encoder, recipe.lr, recipe.whole_picture) == (8, "van_tiny", 0.5, True)
    assert (recipe.decay, recipe.distance) == (1e-5, False)
    assert chosen({"data": ["a.csv"]}) == Recipe(data=["a.csv"])
    assert chosen({**PAPER, "batch": 2}, small=True).epochs == 2  # --smoke


def test_the_protocol_trains_by_the_same_preset_as_the_command_that_it_calls():
    wanted = plan("yoto", flags=["--config", "paper", "--epochs", "3"])
    inside = chosen({**wanted.given, "system": "yoto", "data": ["work/kadid10k.csv::0..100"]})
    own = {"data": ["kadid10k:KADID"], "out": inside.out}
    assert wanted.recipe("kadid10k:KADID") == dataclasses.replace(inside, **own)
    later = plan("yoto", start=Path("a.ckpt"), flags=["--config", "paper"]).recipe("kadid10k:KADID")
    assert (later.config, later.encoder, later.epochs, later.test_crops) == ("paper", "swin_t", 6, 0)


def test_another_configuration_is_refused():
    with pytest.raises(ValueError, match="got --config heavy, want light or paper"):
        Recipe(data=["a.csv"], config="heavy")
