"""Training: recipes and flags, a whole smoke run that is killed and goes on, calibration."""

import csv

import numpy as np
import pytest
import torch
from PIL import Image

import iqassay
from iqassay.commands.train import export_main
from iqassay.commands.train import train_main as main
from iqassay.systems.yoto import TOP
from iqassay.training.calibrate import calibration_table, conformal_interval
from iqassay.training.flags import parser
from iqassay.training.recipes import Recipe, smoke


def test_every_field_of_the_recipe_is_a_flag():
    given = parser().parse_args(
        ["mfen", "--data", "a.csv", "--data", "b.csv", "--no-hfen", "--scales", "0.5", "--lr", "0.1"]
    )
    given = {k: v for k, v in vars(given).items() if k not in ("system", "smoke")}
    recipe = Recipe(**given)
    assert recipe.data == ["a.csv", "b.csv"]
    assert (recipe.hfen, recipe.dan, recipe.scales, recipe.lr) == (False, True, [0.5], 0.1)
    assert smoke(data=["a.csv"], steps=7).steps == 7


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["mfen"], "want at least one set"),
        (["mfen", "--data", "nowhere.csv"], "cannot be read"),
        (["mfen", "--data", "a.csv", "--crop", "100"], "want a multiple of 32"),
        (["mfen", "--data", "a.csv", "--frozen", "5"], "want 0 to 4"),
        (["mfen", "--data", "a.csv", "--shares", "1", "--shares", "2"], "got 2 --shares for 1 sets"),
        (["mfen", "--data", "a.csv:x:1..2..3"], "want WORST..BEST"),
        (["mfen", "--data", "a/set.csv", "--data", "b/set.csv"], "want files whose names differ"),
        (["mfen", "--data", "a.csv", "--stage", "head"], "head together with --start"),
        (["mfen", "--synthetic", "x", "--stage", "restoration"], "got --stage restoration for mfen, want dri"),
        (["dri", "--data", "a.csv", "--stage", "restoration"], "want dri, with --synthetic"),
        (["dri", "--data", "a.csv", "--queue", "-1"], "got --queue -1, want 0 or more"),
        (["mfen", "--dta", "a.csv"], "unrecognized arguments"),
        (["nothing"], "invalid choice"),
    ],
)
def test_wrong_flags_end_in_one_line_and_status_2(arguments, error, capsys):
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert error in said
    assert "Traceback" not in said


def smooth(rng):
    """A picture of 96x80 without detail."""
    grid = Image.fromarray((rng.random((9, 9, 3)) * 255).astype(np.uint8))
    return np.asarray(grid.resize((96, 80), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def rated(tmp_path_factory):
    """24 noise pictures, the more noise the lower the score, in train and val."""
    folder = tmp_path_factory.mktemp("rated")
    rng = np.random.default_rng(0)
    rows = []
    for i in range(24):
        picture = smooth(rng)
        noisy = picture + rng.normal(0, 2 * i, picture.shape)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{i}.png")
        rows.append(f"{i}.png,{100 - 4 * i},{'val' if i % 4 == 0 else 'train'}\n")
    (folder / "set.csv").write_text("image,mos,split\n" + "".join(rows))
    return folder


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
    assert export_main([str(head / "best.ckpt"), "-o", str(model), "--calibrate", str(rated / "set.csv")]) == 0
    verdict = iqassay.load(model).score(rated / "0.png")  # as README says: train, export, score
    assert 0 <= verdict.low <= verdict.score <= verdict.high <= 100
    assert [row["set"] for row in iqassay.load(model).card.accuracy] == ["set val"]


@pytest.fixture(scope="module")
def paired(tmp_path_factory):
    """16 pictures with noise, each with its reference, the more noise the lower the score, in train and val."""
    folder = tmp_path_factory.mktemp("paired")
    rng = np.random.default_rng(0)
    rows = []
    for i in range(16):
        clean = smooth(rng)
        noisy = clean + rng.normal(0, 3 + 3 * i, clean.shape)
        for name, pixels in ((f"{i}.png", noisy), (f"clean-{i}.png", clean)):
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name)
        rows.append(f"{i}.png,clean-{i}.png,{95 - 5 * i},{'val' if i % 4 == 0 else 'train'}\n")
    (folder / "pairs.csv").write_text("image,ref,mos,split\n" + "".join(rows))
    return folder


TINY_YOTO = {"system": "yoto", "encoder": "van_tiny", "tokens": 8}


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
    assert export_main([str(head / "best.ckpt"), "-o", str(model), "--calibrate", str(pairs)]) == 0

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


def test_a_set_with_references_is_also_a_set_of_pairs(rated, paired):
    """Fault 6 of YOTO's release, data files that cannot be had, does not arise: a CSV and its pictures are all."""
    from iqassay.training.sets import load_sets, shares_of

    data = [str(rated / "set.csv"), str(paired / "pairs.csv")]
    wanted = {
        ("yoto", "joint"): (["set", "pairs", "pairs with reference"], [2], [1, 3, 3]),
        ("yoto", "no-reference"): (["set", "pairs"], [], [1, 3]),
        ("yoto", "full-reference"): (["pairs with reference"], [0], [3]),
        ("mfen", "joint"): (["set", "pairs"], [], [1, 3]),
    }
    for (system, mode), (names, with_reference, shares) in wanted.items():
        recipe = smoke(system=system, mode=mode, data=data, shares=[1, 3])
        sets = load_sets(recipe)
        assert (sets.names, sets.paired) == (names, with_reference)
        assert shares_of(recipe, sets) == shares
        for i, part in enumerate(sets.train.datasets):
            assert ("reference" in part[0]) == (i in with_reference)
            assert part[0]["dataset"] == i


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


def test_statistics_are_kept_for_one_network_and_one_list_of_pictures(rated, tmp_path):
    from iqassay.training.build import build_system
    from iqassay.training.kept_pictures import gather

    recipe = smoke(data=[str(rated / "set.csv")], out=tmp_path)
    system = build_system(recipe).eval()
    first = gather(recipe, system)[0]
    torch.nn.init.zeros_(system.regressor.layers[7].weight)  # the part that the stage trains
    np.testing.assert_array_equal(gather(recipe, system)[0].kept[0], first.kept[0])
    assert len(list(tmp_path.glob("set-*"))) == 1
    torch.nn.init.zeros_(system.hfen.exits[0].weight)  # another network
    assert not np.array_equal(gather(recipe, system)[0].kept[0], first.kept[0])
    assert len(gather(smoke(data=recipe.data, out=tmp_path, limit=5), system)[0].score) == 10
    assert len(list(tmp_path.glob("set-*"))) == 3


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
    moved = [k for k in state if k.startswith("system.dan.levels.")]  # its first is level 3, its second level 4
    assert all(torch.equal(state[k], start["2" + k[19:]]) for k in moved if k.startswith("system.dan.levels.0."))
    assert any(not torch.equal(state[k], start["3" + k[19:]]) for k in moved if k.startswith("system.dan.levels.1."))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["none.ckpt", "-o", "x.onnx", "--calibrate", "a.csv"], "no recipe.json beside it"),
        (["none.ckpt"], "required: -o"),
    ],
)
def test_wrong_exports_end_in_one_line_and_status_2(arguments, error, capsys):
    assert export_main(arguments) == 2
    assert error in capsys.readouterr().err


def test_calibration_is_monotone_and_right_on_average():
    rng = np.random.default_rng(0)
    raw = rng.normal(size=2000)
    opinion = np.clip(60 + 18 * raw + rng.normal(0, 8, 2000), 0, 100)
    table = calibration_table(raw, opinion)
    assert (np.diff(table["raw"]) > 0).all()
    assert (np.diff(table["score"]) >= 0).all()
    assert 0 <= table["score"][0] <= table["score"][-1] <= 100
    error = np.interp(raw, table["raw"], table["score"]) - opinion
    assert abs(error.mean()) < 0.5
    assert abs(error[raw > 1].mean()) < 1.5


def test_calibration_with_references_ends_at_the_top():
    rng = np.random.default_rng(0)
    raw = TOP - rng.exponential(1, 500)
    raw[:100] = TOP  # identical pictures say nothing that is not known
    opinion = np.where(raw == TOP, 100, np.clip(60 + 18 * raw + rng.normal(0, 8, 500), 0, 100))
    table = calibration_table(raw, opinion, top=(TOP, 100.0))
    assert (table["raw"][-1], table["score"][-1]) == (TOP, 100)
    assert (np.diff(table["raw"]) > 0).all()
    assert (np.diff(table["score"]) >= 0).all()
    assert table["raw"][-2] < TOP - 0.01
    error = (np.interp(raw, table["raw"], table["score"]) - opinion)[100:]
    assert abs(error.mean()) < 1


def test_interval_covers_new_pictures():
    rng = np.random.default_rng(0)

    def pictures(n):
        score = rng.uniform(10, 90, n)
        return score, score + rng.normal(0, 2 + score / 10, n)

    interval = conformal_interval(*pictures(1000))
    score, opinion = pictures(20_000)
    below, above = (np.interp(score, interval["score"], interval[side]) for side in ("below", "above"))
    assert 0.88 < ((opinion >= score - below) & (opinion <= score + above)).mean() < 0.94
    assert interval["above"][-1] > interval["above"][0]  # wider where errors are larger
