"""The stage --stage head: it trains what a system has for it, says when that is nothing, and leaves whole files."""

import json

import numpy as np
import pytest
import torch
from conftest import train_main as main

from iqassay.statistics.correlation import srcc
from iqassay.systems.blocks import DistortionHead, Regressor
from iqassay.training import whole_pictures
from iqassay.training.build import build_system
from iqassay.training.distortion_reader import fit_distortions
from iqassay.training.head import fit_head, fit_heads, predict
from iqassay.training.kept_pictures import Pictures
from iqassay.training.recipes import smoke

pytestmark = pytest.mark.slow

YOTO = ["yoto", "--smoke", "--tokens", "8", "--encoder", "van_tiny", "--stage", "head", "--epochs", "1", "--steps", "2"]


def start_of(folder, **changes):
    """A checkpoint of an untrained YOTO, without a recipe beside it."""
    torch.manual_seed(0)
    system = build_system(smoke(system="yoto", encoder="van_tiny", tokens=8, data=["a.csv"], **changes))
    weights = {f"system.{k}": v for k, v in system.state_dict().items()}
    torch.save({"state_dict": weights}, folder / "start.ckpt")
    return folder / "start.ckpt"


def parts_changed(before, after):
    states = [torch.load(file, weights_only=False)["state_dict"] for file in (before, after)]
    return {key.split(".")[1] for key in states[1] if not torch.equal(states[0][key], states[1][key])}


@pytest.mark.parametrize(("off", "trained"), [("whole_picture", "distance"), ("distance", "regressor")])
def test_yoto_trains_the_term_that_it_has(paired, tmp_path, off, trained):
    """Without one of its two terms the stage ended in an AttributeError."""
    start = start_of(tmp_path, **{off: False})
    flags = ["--data", str(paired / "pairs.csv"), "--start", str(start), "--out", str(tmp_path / "run")]
    assert main([*YOTO, *flags, "--no-" + off.replace("_", "-")]) == 0
    assert parts_changed(start, tmp_path / "run" / "best.ckpt") == {trained}


def test_yoto_without_references_trains_its_whole_picture_term(rated, tmp_path):
    start = start_of(tmp_path)
    flags = ["--data", str(rated / "set.csv"), "--start", str(start), "--out", str(tmp_path / "run")]
    assert main([*YOTO, *flags]) == 0
    assert parts_changed(start, tmp_path / "run" / "best.ckpt") == {"regressor"}


def test_types_of_rated_pictures_teach_what_reads_distortions(rated, tmp_path):
    """Synthetic pictures alone did. Levels are not needed."""
    lines = (rated / "set.csv").read_text().splitlines()
    kinds = ["distortion", *(("white_noise", "jpeg")[i % 2] for i in range(24))]
    table = tmp_path / "types.csv"
    table.write_text("\n".join(f"{line},{kind}" for line, kind in zip(lines, kinds, strict=True)))
    start = start_of(tmp_path)
    flags = ["--data", f"{table}:{rated}", "--start", str(start), "--out", str(tmp_path / "run")]
    assert main([*YOTO, *flags]) == 0
    assert parts_changed(start, tmp_path / "run" / "best.ckpt") == {"regressor", "distortions"}
    assert "distortion type, types" in json.loads((tmp_path / "run" / "recipe.json").read_text())["val"]


@pytest.mark.parametrize(
    "off",
    [
        {"whole_picture": False, "distance": False},
        {"whole_picture": False, "mode": "no-reference"},
        {"distance": False, "mode": "full-reference"},
    ],
)
def test_nothing_to_train_is_one_line_and_status_2(paired, tmp_path, capsys, off):
    start = start_of(tmp_path, **off)
    flags = ["--data", str(paired / "pairs.csv"), "--start", str(start), "--out", str(tmp_path / "run")]
    flags += [f"--no-{key.replace('_', '-')}" for key, value in off.items() if value is False]
    assert main([*YOTO, *flags, "--mode", off.get("mode", "joint")]) == 2
    said = capsys.readouterr().err
    assert "got --stage head with nothing for it to train, want --whole-picture" in said
    assert len(said.strip().splitlines()) == 1


def test_a_run_killed_while_it_writes_leaves_the_files_of_before(rated, tmp_path, monkeypatch):
    out, start = tmp_path / "run", start_of(tmp_path)
    recipe = smoke(
        system="yoto", encoder="van_tiny", tokens=8, stage="head", start=start, out=out, epochs=1, steps=2,
        mode="no-reference", data=[str(rated / "set.csv")],
    )  # fmt: skip
    whole_pictures.fit_on_whole_pictures(recipe)
    before, save = (out / "best.ckpt").read_bytes(), torch.save

    def killed(state, file):
        save({"state_dict": {}}, file)  # something, but not all
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        whole_pictures.fit_on_whole_pictures(recipe)
    assert (out / "best.ckpt").read_bytes() == before
    assert json.loads((out / "recipe.json").read_text())["recipe"]["seed"] == 0


def some_pictures(train, score=None):
    rng = np.random.default_rng(0)
    kept = [rng.random((12, 5)).astype(np.float32), np.zeros(12, np.float32)]
    score = np.arange(12.0) * 8 if score is None else score
    kind, severity = np.full((12, 26), -1, np.float32), np.full((12, 25), -1, np.float32)
    return Pictures("some", kept, score, kind, severity, train)


def test_without_val_rows_there_is_nothing_to_choose_by():
    """The mean of no correlation is nan, no epoch was better than that, and the last weights came back in silence."""
    recipe = smoke(data=["a.csv"])
    with pytest.raises(ValueError, match="got no val rows in some, want some to choose"):
        fit_head(recipe, Regressor(5, 8), [some_pictures(12)])


def test_an_epoch_is_chosen_even_where_no_correlation_exists():
    score = np.append(np.arange(8.0) * 8, np.full(4, 50.0))  # one opinion for all of val
    shown = []
    head, _ = fit_head(smoke(data=["a.csv"]), Regressor(5, 8), [some_pictures(8, score)], lambda h, s: shown.append(h))
    assert head is shown[0]


def test_an_epoch_is_chosen_by_sets_that_are_learned_from_and_by_a_small_one_less(monkeypatch):
    rng, shown = np.random.default_rng(0), []
    sets = []
    for name, count in (("large", 60), ("small", 12), ("without a share", 60)):
        kept = [rng.random((count, 5)).astype(np.float32), np.zeros(count, np.float32)]
        none = np.full((count, 26), -1, np.float32), np.full((count, 25), -1, np.float32)
        sets.append(Pictures(name, kept, 100 * rng.random(count), *none, 8))
    reached = iter([0.5, 0.1, 0.0, 0.45, 0.25, 0.9])  # of each set, in the first epoch and in the second
    monkeypatch.setattr("iqassay.training.head.srcc", lambda said, opinions: next(reached))
    recipe = smoke(data=["a.csv", "b.csv", "c.csv"], shares=[1.0, 1.0, 0.0], epochs=2)
    head, found = fit_head(recipe, Regressor(5, 8), sets, lambda one, scales: shown.append(one))
    assert head is shown[0]
    assert found == {"large": 0.5, "small": 0.1, "without a share": 0.0}


def test_several_heads_learn_each_by_itself_and_answer_by_their_mean():
    heads, sets = [Regressor(5, 8) for _ in range(3)], [some_pictures(8)]
    before = [{k: v.clone() for k, v in head.state_dict().items()} for head in heads]
    found = fit_heads(smoke(data=["a.csv"]), heads, sets)
    weights = [head.state_dict()["layers.1.weight"] for head in heads]
    assert all(not torch.equal(b["layers.1.weight"], w) for b, w in zip(before, weights, strict=True))
    assert not torch.equal(weights[0] - before[0]["layers.1.weight"], weights[1] - before[1]["layers.1.weight"])
    mean = np.mean([predict(head, sets[0]) for head in heads], 0)
    assert found == {"some": srcc(mean, sets[0].score[8:])}


def test_heads_that_are_kept_stay_as_they_are():
    heads = [Regressor(5, 8) for _ in range(2)]
    before = [head.state_dict()["layers.1.weight"].clone() for head in heads]
    kept = smoke(system="dri", data=["a.csv"], stage="head", start="x.ckpt", predictors=2, kept_predictors=1)
    fit_heads(kept, heads, [some_pictures(8)])
    same = [torch.equal(b, head.state_dict()["layers.1.weight"]) for b, head in zip(before, heads, strict=True)]
    assert same == [True, False]


def of_types(name, kinds, level=-1.0, train=40):
    """Pictures with two numbers that tell two types apart, and their types; -1 is one that is not known."""
    kind, severity = np.full((len(kinds), 26), -1, np.float32), np.full((len(kinds), 25), -1, np.float32)
    for i, number in enumerate(kinds):
        if number >= 0:
            kind[i] = np.eye(26)[number]
            severity[i, number] = level
    statistics = np.random.default_rng(0).normal(np.stack([kinds, np.ones(len(kinds))], 1), 0.1).astype(np.float32)
    return Pictures(name, [statistics], np.arange(float(len(kinds))), kind, severity, train)


def test_the_reader_of_distortions_learns_from_every_set_that_has_a_share():
    sets = [of_types("rated", [0, 4, -1] * 20), of_types("made", [9, 14] * 30, level=2.0)]
    statistics = [torch.from_numpy(one.kept[0]) for one in sets]
    recipe = smoke(data=["rated.csv"], synthetic=["made"], epochs=1, steps=150, batch=32, lr=0.02, decay=0.0)
    torch.manual_seed(0)
    head = DistortionHead(2)
    found = fit_distortions(recipe, head, statistics, sets)
    assert set(found) == {"distortion type, rated", "distortion type, made"}
    assert min(found.values()) > 0.9
    with torch.no_grad():
        severity = head(statistics[1][:2])["severity"]
    assert (severity[0, 9] - 2).abs() < 0.5
    recipe.shares = [0, 1]
    found = fit_distortions(recipe, DistortionHead(2), statistics, sets)
    assert found["distortion type, rated"] == 0  # of a set without a share nothing is learned
    assert found["distortion type, made"] > 0.9
