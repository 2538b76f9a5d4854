"""What a checkpoint gives back: also one of 0.1.0, whose recipe and whose weights of YOTO have other names."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from iqassay.systems.dri import Generated
from iqassay.training.build import build_system
from iqassay.training.checkpoints import load_weights, new_parts, recipe_of, settled
from iqassay.training.export import export
from iqassay.training.recipes import Recipe

TINY = Recipe(system="yoto", encoder="van_tiny", tokens=8, data=["a.csv"])


def test_a_recipe_comes_back_as_it_was(tmp_path):
    recipe = dataclasses.replace(TINY, out=tmp_path, synthetic=[tmp_path], distance=False, start=tmp_path / "a.ckpt")
    (tmp_path / "recipe.json").write_text(json.dumps({"recipe": dataclasses.asdict(recipe)}, default=str))
    assert recipe_of(tmp_path / "best.ckpt") == recipe


def test_the_runs_whose_semantic_encoders_a_recipe_adds_up_come_back_as_they_were(tmp_path):
    told = {"system": "dri", "stage": "head", "semantic": "clip_vit_b16", "semantic_runs": [tmp_path / "best.ckpt"]}
    recipe = dataclasses.replace(TINY, out=tmp_path, start=tmp_path / "a.ckpt", **told)
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


def test_a_recipe_whose_contrast_remembered_older_pictures_is_read(tmp_path):
    settings = dataclasses.asdict(dataclasses.replace(TINY, out=tmp_path)) | {"queue": 2048}
    (tmp_path / "recipe.json").write_text(json.dumps({"recipe": settings}, default=str))
    assert recipe_of(tmp_path / "best.ckpt").contrast == TINY.contrast


def test_a_recipe_of_0_1_0_has_the_hfen_of_0_1_0(tmp_path):
    older = dataclasses.asdict(dataclasses.replace(TINY, system="mfen", out=tmp_path))
    del older["high_pass"]
    (tmp_path / "recipe.json").write_text(json.dumps({"recipe": older}, default=str))
    assert not recipe_of(tmp_path / "best.ckpt").high_pass
    assert not build_system(recipe_of(tmp_path / "best.ckpt")).hfen.high_pass
    assert build_system(dataclasses.replace(TINY, system="mfen")).hfen.high_pass


def written(folder, **changes):
    """A run's recipe beside where its checkpoint would be; the checkpoint."""
    folder.mkdir()
    recipe = dataclasses.replace(TINY, out=folder, **changes)
    (folder / "recipe.json").write_text(json.dumps({"recipe": dataclasses.asdict(recipe)}, default=str))
    return folder / "best.ckpt"


def test_random_levels_may_not_stay_fixed_unless_an_earlier_run_made_something_of_them(tmp_path):
    random, file = written(tmp_path / "random"), tmp_path / "van.pth"
    learned = written(tmp_path / "learned", frozen=0)
    of_a_file = written(tmp_path / "file", encoder_weights=file)
    after = written(tmp_path / "after", stage="head", start=of_a_file)
    for changes in (
        {},
        {"start": random},
        {"start": random, "stage": "head"},
        {"start": random, "encoder_weights": file},
    ):
        with pytest.raises(ValueError, match=r"got --encoder van_tiny, whose weights are random, .* want .*--frozen 0"):
            settled(dataclasses.replace(TINY, **changes))
    mfen = dataclasses.replace(TINY, system="mfen", dan_frozen=3, view=0)
    with pytest.raises(ValueError, match="want --frozen 0 and --dan-frozen 2 or less, or --encoder-weights FILE"):
        settled(mfen)
    with pytest.raises(ValueError, match="want --frozen 0 and --dan-frozen 0, or --encoder-weights FILE"):
        settled(dataclasses.replace(TINY, system="mfen", frozen=0, dan_frozen=3))
    for changes in (
        {"frozen": 0},
        {"start": learned},
        {"start": learned, "stage": "head"},
        {"encoder": "swin_t", "frozen": 0},
    ):
        assert settled(dataclasses.replace(TINY, **changes)).encoder_weights is None
    for changes in ({"encoder_weights": file}, {"start": of_a_file}, {"start": after, "stage": "head"}):
        assert settled(dataclasses.replace(TINY, **changes)).encoder_weights == file
    assert settled(dataclasses.replace(TINY, start=tmp_path / "own.ckpt")).start  # of nobody knows what
    packaged = dataclasses.replace(TINY, encoder="efficientnet_lite0")
    assert settled(packaged) == packaged


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


def test_a_run_can_start_from_a_model_file(tmp_path):
    recipe = dataclasses.replace(TINY, system="mfen", encoder="van_tiny", dan_encoder="van_tiny", width=8, view=64)
    trained, anew = build_system(recipe), build_system(recipe)
    trained(torch.rand(4, 3, 64, 64))  # its batch normalisations move
    trained.eval()
    file = export(trained, torch.zeros(240), torch.zeros(240, 1), {}, tmp_path / "m.onnx")
    load_weights(anew, file)
    x = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(anew.eval()(x).score, trained(x).score, atol=1e-3, rtol=1e-3)
    with pytest.raises(ValueError, match=r"m\.onnx: got no weights that fit .*, want a checkpoint of the same network"):
        load_weights(build_system(dataclasses.replace(recipe, system="dri")), file)
    file.write_bytes(b"\xff\xff")
    with pytest.raises(ValueError, match=r"m\.onnx: cannot be read as .* a model file"):
        load_weights(anew, file)


def test_a_predictor_of_another_shape_begins_anew_as_a_whole(tmp_path):
    """Its parts that fit had learned other photos by heart, with others beside them."""
    recipe = dataclasses.replace(TINY, system="dri", encoder="van_tiny")
    trained, same, other = (
        build_system(dataclasses.replace(recipe, restoration=restoration)) for restoration in (True, True, False)
    )
    torch.save({"state_dict": {f"system.{k}": v for k, v in trained.state_dict().items()}}, tmp_path / "best.ckpt")
    before = other.predictor.embed.weight.clone()
    load_weights(same, tmp_path / "best.ckpt", new_parts(recipe))
    load_weights(other, tmp_path / "best.ckpt", new_parts(recipe))
    assert torch.equal(same.predictor.embed.weight, trained.predictor.embed.weight)
    assert torch.equal(other.predictor.embed.weight, before)
    assert torch.equal(other.degradation.vector.weight, trained.degradation.vector.weight)


def test_a_predictor_that_is_to_be_kept_must_be_there_and_fit(tmp_path):
    recipe = dataclasses.replace(
        TINY, system="dri", encoder="van_tiny", stage="head", start=Path("x"), predictors=2, kept_predictors=1
    )
    one, two, other = (
        build_system(dataclasses.replace(recipe, **changes))
        for changes in ({"predictors": 1, "kept_predictors": 0}, {}, {"restoration": False})
    )
    torch.save({"state_dict": {f"system.{k}": v for k, v in one.state_dict().items()}}, tmp_path / "best.ckpt")
    load_weights(two, tmp_path / "best.ckpt", new_parts(recipe))
    assert torch.equal(two.predictor.embed.weight, one.predictor.embed.weight)
    with pytest.raises(ValueError, match=r"got no weights that fit predictor\."):
        load_weights(other, tmp_path / "best.ckpt", new_parts(recipe))


def test_what_learns_on_about_generated_pictures_must_be_there(tmp_path):
    recipe = dataclasses.replace(
        TINY, system="dri", encoder="van_tiny", stage="head", start=Path("x"), generated=[Path("made")]
    )
    system = build_system(recipe)
    torch.save({"state_dict": {f"system.{k}": v for k, v in system.state_dict().items()}}, tmp_path / "best.ckpt")
    system.generated = Generated(6)
    load_weights(system, tmp_path / "best.ckpt", new_parts(recipe))
    with pytest.raises(ValueError, match=r"got no weights that fit generated\."):
        load_weights(system, tmp_path / "best.ckpt", new_parts(dataclasses.replace(recipe, generated_begun=True)))
