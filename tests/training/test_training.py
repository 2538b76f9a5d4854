"""Training: a whole smoke run that is stopped and goes on, one stage after another, and what a run chooses by."""

import csv
import dataclasses
import json

import pytest
import torch
from conftest import export_main
from conftest import train_main as main

import iqassay
from iqassay.systems.yoto_extended import TOP
from iqassay.training.recipes import smoke

pytestmark = pytest.mark.slow


def test_smoke_recipe_runs_resumes_and_leaves_what_it_says(rated, tmp_path, capfd):
    out = tmp_path / "runs" / "smoke"
    flags = ["mfen", "--smoke", "--data", str(rated / "set.csv"), "--synthetic", str(rated), "--out", str(out)]
    flags += ["--left-out", str(rated / "set.csv"), "--synthetic-without", "jpeg", "--steps", "2"]
    assert main([*flags, "--epochs", "1"]) == 0
    assert capfd.readouterr().out.strip() == str(out / "best.ckpt")
    first = torch.load(out / "last.ckpt", weights_only=False)
    assert first["epoch"] == 0
    assert main([*flags, "--epochs", "2"]) == 0
    assert torch.load(out / "last.ckpt", weights_only=False)["global_step"] == 4  # went on, did not start again
    epochs = []
    for name in ("metrics-1.csv", "metrics.csv"):  # what was logged before is kept
        with (out / name).open() as stream:
            rows = list(csv.DictReader(stream))
        epochs.append({row["epoch"] for row in rows})
    assert epochs == [{"0"}, {"1"}]
    for column in ("val/srcc", "val/srcc_set", "val/srcc_synthetic", "val/srcc_left_out_set", "val/srcc_unseen_types"):
        assert any(row[column] for row in rows), column
    assert (out / "curve.png").stat().st_size > 1000
    assert (out / "recipe.json").exists()

    head, model = tmp_path / "runs" / "head", tmp_path / "mine.onnx"
    data = ["--data", str(rated / "set.csv")]
    stage = ["--stage", "head", "--start", str(out / "best.ckpt"), "--out", str(head)]
    assert main(["mfen", "--smoke", *data, *stage]) == 0
    before, after = (torch.load(f / "best.ckpt", weights_only=False)["state_dict"] for f in (out, head))
    changed = {key.split(".")[1] for key in after if not torch.equal(after[key], before[key])}
    assert changed == {"head"}  # the second stage leaves all else as the first made it
    assert not torch.equal(
        after["system.head.regressor.layers.7.weight"], before["system.head.regressor.layers.7.weight"]
    )

    (rated / "few.csv").write_text("image,mos,split\n0.png,20,train\n1.png,80,val\n")
    assert export_main([str(head / "best.ckpt"), "-o", str(model), "--calibrate", str(rated / "few.csv")]) == 2
    assert "few: got 1 rows of split val, want at least 4" in capfd.readouterr().err
    few = [str(head / "best.ckpt"), "-o", str(model), "--calibrate", str(rated / "set.csv")]
    assert export_main(few) == 2  # no model from 6 pictures, unless it says so
    assert "got 6 pictures of split val, want at least 100, or --force" in capfd.readouterr().err
    assert not model.exists()
    kept = tmp_path / "kept"
    assert export_main([*few, "--force", "--cache", str(kept)]) == 0
    assert "6 of 6 pictures of set" in capfd.readouterr().err
    assert export_main([*few, "--force", "--cache", str(kept)]) == 0
    assert "pictures of set" not in capfd.readouterr().err  # nothing is asked again
    assert "calibrated on 6 rated pictures, want at least 100" in iqassay.load(model).card.limits
    verdict = iqassay.load(model).score(rated / "0.png")  # as README says: train, export, score
    assert 0 <= verdict.low <= verdict.score <= verdict.high <= 100
    assert [row["set"] for row in iqassay.load(model).card.accuracy] == ["set val"]


def test_the_stage_of_views_trains_the_quality_network_alone_and_any_stage_goes_on_from_it(rated, tmp_path, capsys):
    flags = ["mfen", "--smoke", "--data", str(rated / "set.csv"), "--synthetic", str(rated), "--epochs", "1"]
    flags += ["--frozen", "1"]
    first, view, more = (tmp_path / "runs" / name for name in ("first", "view", "more"))
    assert main([*flags, "--out", str(first)]) == 0
    assert main([*flags, "--stage", "view", "--start", str(first / "best.ckpt"), "--out", str(view)]) == 0
    before, after = (torch.load(f / "best.ckpt", weights_only=False)["state_dict"] for f in (first, view))
    same = {key for key in before if key.startswith("system.")}
    changed = {key for key in same if not torch.equal(after[key], before[key])}
    assert {key.split(".")[1] for key in changed} == {"qen"}
    assert not any(key.startswith("system.qen.levels.0.") for key in changed)  # which is fixed
    assert main([*flags, "--start", str(view / "best.ckpt"), "--out", str(more)]) == 0
    assert main([*flags, "--stage", "view", "--view", "0"]) == 2
    assert "got --stage view for mfen without a --view, want mfen with one" in capsys.readouterr().err


TINY_YOTO = {"system": "yoto", "encoder": "van_tiny", "tokens": 8, "frozen": 0}


def test_yoto_trains_in_two_stages_and_its_model_file_scores_with_and_without_a_reference(paired, tmp_path):
    pairs, first, head, model = paired / "pairs.csv", tmp_path / "runs/a", tmp_path / "runs/b", tmp_path / "mine.onnx"
    flags = ["yoto", "--smoke", "--tokens", "8", "--data", str(pairs)]
    flags += ["--synthetic", str(paired), "--synthetic-count", "24", "--epochs", "1"]
    assert main([*flags, "--out", str(first)]) == 0
    with (first / "metrics.csv").open() as stream:
        logged = {name for row in csv.DictReader(stream) for name, value in row.items() if value}
    sets = ("pairs", "pairs with reference", "synthetic", "synthetic with reference")
    assert {f"val/srcc_{name}" for name in sets} <= logged
    assert main([*flags, "--out", str(head), "--stage", "head", "--start", str(first / "best.ckpt")]) == 0
    before, after = (torch.load(f / "best.ckpt", weights_only=False)["state_dict"] for f in (first, head))
    changed = {key for key in after if not torch.equal(after[key], before[key])}
    assert {key.split(".")[1] for key in changed} == {"regressor", "distortions", "distance"}
    assert not changed & {"system.distance.mean", "system.distance.energy"}  # fixed, like the maps that they are of
    assert export_main([str(head / "best.ckpt"), "-o", str(model), "--calibrate", str(pairs), "--force"]) == 0
    limits = iqassay.load(model).card.limits
    assert any(text.startswith("calibrated on 12 pairs of pictures and references") for text in limits)

    scorer = iqassay.load(model)
    assert scorer.takes_reference
    noisy, clean = paired / "12.png", paired / "clean-12.png"
    perfect, verdict = (scorer.score(picture, reference=clean) for picture in (clean, noisy))
    assert (perfect.raw, perfect.score, perfect.high) == (TOP, 100, 100)
    assert 0 <= verdict.low <= verdict.score < 100
    assert (perfect.full_reference, verdict.full_reference) == (True, True)
    alone = scorer.score(noisy)
    assert 0 <= alone.low <= alone.score <= alone.high <= 100
    assert not alone.full_reference
    assert alone.raw != verdict.raw


def test_full_reference_training_without_references_is_one_line_and_status_2(rated, tmp_path, capsys):
    flags = ["--mode", "full-reference", "--data", str(rated / "set.csv"), "--out", str(tmp_path)]
    assert main(["yoto", "--smoke", *flags]) == 2
    said = capsys.readouterr().err
    assert "got --mode full-reference and no set with references, want --synthetic or a reference column" in said
    assert len(said.strip().splitlines()) == 1


def test_fault_7_one_epoch_is_chosen_for_everything_and_by_validation(rated, paired, tmp_path, monkeypatch):
    from iqassay.training import fit, lightning_module

    # By epoch: two sets, whose mean chooses, and one left out. Each column alone would choose another epoch or a tie.
    planted = [(0.2, 0.3, 0.9), (0.6, 0.5, 0.1), (0.9, 0.1, 0.1)]
    values = iter([value for epoch in planted for value in epoch])
    monkeypatch.setattr(lightning_module, "srcc", lambda raw, score: next(values))
    data, left_out = [str(paired / "pairs.csv")], [str(rated / "set.csv")]
    recipe = smoke(**TINY_YOTO, data=data, left_out=left_out, epochs=3, steps=2, out=tmp_path)
    best, last = (torch.load(path, weights_only=False) for path in (fit.fit(recipe), tmp_path / "last.ckpt"))
    assert (best["epoch"], last["epoch"]) == (1, 2)
    assert sorted(file.name for file in tmp_path.glob("*.ckpt")) == ["best.ckpt", "last.ckpt"]


@pytest.mark.parametrize("stage", ["network", "head"])
def test_a_start_that_is_no_checkpoint_is_one_line_and_status_2(rated, tmp_path, stage, capsys):
    (tmp_path / "notes.txt").write_text("not a checkpoint")
    flags = ["--stage", stage, "--data", str(rated / "set.csv"), "--out", str(tmp_path / "run")]
    for name in ("notes.txt", "nowhere.ckpt"):
        assert main(["mfen", "--smoke", "--start", str(tmp_path / name), *flags]) == 2
        assert "cannot be read as a checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize("stage", [["--stage", "network"], ["--stage", "head"]], ids=lambda stage: stage[1])
def test_a_fixed_random_encoder_is_one_line_and_status_2(rated, tmp_path, stage, capsys):
    """It was trained on in silence, and the card said pretrained."""
    start = []
    if stage[1] == "head":
        recipe = smoke(encoder="van_tiny", data=["a.csv"], out=tmp_path)
        (tmp_path / "recipe.json").write_text(json.dumps({"recipe": dataclasses.asdict(recipe)}, default=str))
        start = ["--start", str(tmp_path / "best.ckpt")]
    flags = ["--data", str(rated / "set.csv"), "--out", str(tmp_path / "run")]
    assert main(["mfen", "--smoke", "--encoder", "van_tiny", *stage, *start, *flags]) == 2
    said = capsys.readouterr().err
    assert "got --encoder van_tiny, whose weights are random, with levels that stay fixed, want " in said
    assert "--frozen 0 and --dan-frozen 0, or --encoder-weights FILE" in said
    assert len(said.strip().splitlines()) == 1


def test_fixed_levels_stay_as_they_were(rated, tmp_path):
    from iqassay.systems.encoders import EfficientNetLite
    from iqassay.training.fit import fit

    fit(
        smoke(
            data=[str(rated / "set.csv")], out=tmp_path / "run", epochs=1, steps=2, frozen=4, dan_frozen=3, average=0.0
        )
    )
    state = torch.load(tmp_path / "run" / "last.ckpt", weights_only=False)["state_dict"]
    start = EfficientNetLite(0).levels.state_dict()
    fixed = [k for k in state if k.startswith("system.qen.levels.")]
    assert fixed
    for key in fixed:
        torch.testing.assert_close(state[key], start[key.removeprefix("system.qen.levels.")])
    own = {k.removeprefix("system.dan.levels."): v for k, v in state.items() if k.startswith("system.dan.levels.")}
    assert all(torch.equal(value, start[key]) for key, value in own.items() if key[0] in "012")
    assert any(not torch.equal(value, start[key]) for key, value in own.items() if key[0] == "3")


@pytest.mark.parametrize("started", [False, True])
def test_assistants_of_dri_learn_with_the_rest_unless_a_first_stage_has_made_them(rated, tmp_path, started):
    from iqassay.training.build import build_system
    from iqassay.training.fit import fit

    data = [str(rated / "set.csv")]
    recipe = smoke(system="dri", encoder="van_tiny", frozen=0, data=data, out=tmp_path / "run", epochs=1)
    recipe.steps, recipe.average = 2, 0.0
    torch.manual_seed(recipe.seed)
    first = {f"system.{k}": v for k, v in build_system(recipe).state_dict().items()}
    if started:
        torch.save({"state_dict": first}, tmp_path / "first.ckpt")
        recipe.start = tmp_path / "first.ckpt"
    state = torch.load(fit(recipe), weights_only=False)["state_dict"]
    parts = ("system.degradation.vector.", "system.restorer.")
    assistants = [k for k in state if k.startswith(parts) and state[k].is_floating_point() and state[k].ndim > 1]
    moved = [key for key in assistants if not torch.equal(state[key], first[key])]
    assert (len(moved) > len(assistants) / 2) if not started else not moved
