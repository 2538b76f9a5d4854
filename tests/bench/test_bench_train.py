"""bench train, cross and ablate: honest splits and epochs, leaks, runs that are killed and go on."""

import csv
import functools
import json
import subprocess
from dataclasses import replace
from math import isnan, nan
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import train_main, untrained_checkpoint
from PIL import Image

from iqassay.bench import ablate as bench_ablate
from iqassay.bench import learners
from iqassay.bench import train as bench_train
from iqassay.bench.ablate import ablate, gain_over_seeds
from iqassay.bench.cross import cross
from iqassay.bench.learners import WITH, Curve, head_learner, ridge_learner
from iqassay.bench.results import read_results, results_file
from iqassay.bench.train import BEST, CLEAN, plan, refuse_seen, split_parts, train
from iqassay.cli import main
from iqassay.data.distortions import KINDS
from iqassay.data.opening import open_set
from iqassay.data.pipeline import labels_of
from iqassay.data.rating import Ratings
from iqassay.statistics.correlation import plcc, srcc
from iqassay.systems.yoto_extended import TOP
from iqassay.training import cached_pass
from iqassay.training.losses import SetScales
from iqassay.training.recipes import smoke

pytestmark = pytest.mark.slow


def make_set(folder: Path, name: str, count: int = 40, contents: int = 20, references: bool = False) -> str:
    """Noisy pictures of 96x80, the more noise the lower the score, two of each content."""
    rng, rows = np.random.default_rng(len(name)), []
    (folder / name).mkdir(parents=True)
    for i in range(count):
        grid = Image.fromarray((rng.random((9, 9, 3)) * 255).astype(np.uint8))
        clean = np.asarray(grid.resize((96, 80), Image.Resampling.BICUBIC))
        noisy = (clean + rng.normal(0, 1 + i, clean.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / name / f"{i}.png")
        if references:
            Image.fromarray(clean).save(folder / name / f"clean-{i}.png")
        rows.append((f"{i}.png", 100 - 2 * i, i % contents, f"clean-{i}.png" if references else ""))
    with (folder / f"{name}.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("image", "mos", "group", "reference"), *rows])
    return f"{folder / name}.csv:{folder / name}"


@pytest.fixture(scope="module")
def rated(tmp_path_factory):
    return make_set(tmp_path_factory.mktemp("rated"), "noisy")


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return make_set(tmp_path_factory.mktemp("other"), "elsewhere", 30, 30)


@pytest.fixture
def learned(monkeypatch):
    """A learner that answers with opinions and so much noise, the least on val at epoch 1 and on test at epoch 2. Tells
    the parts and the seeds that it was given."""
    given = []

    def learn(parts, seed, work):
        given.append((seed, parts))
        rng = np.random.default_rng(seed)
        noise, raw = {"val": (0, 0, 0), "test": (90, 30, 1)}, {}
        for key, part in parts.items():
            if key != "train":
                truth = learners.opinions(part)
                raw[key] = np.stack([truth + rng.normal(0, n, len(truth)) for n in noise.get(key, (60, 30, 1))])
        raw["val"][[0, 2]] = 100 - raw["val"][[0, 2]]
        return Curve(("epoch 0", "epoch 1", "epoch 2"), raw, {k: v.clip(0, 100) for k, v in raw.items()})

    monkeypatch.setattr(bench_train, "learner_of", lambda *_: learn)
    return given


def test_the_epoch_is_chosen_on_val_and_the_gap_to_the_best_test_epoch_is_shown(rated, learned, tmp_path):
    (table,) = train(plan("dri"), [rated], 3, tmp_path)
    clean, best = (read_results(results_file(tmp_path, "noisy", name)) for name in ("dri", f"dri, {BEST}"))
    assert (clean.about["choice"], best.about["choice"]) == (CLEAN, BEST)
    assert clean.about["kind"] == "trained"
    assert clean.about["pictures"] == len(clean.rows) == 3 * 8
    for seed, parts in learned:
        rows = [[row for row in r.rows if row.seed == str(seed)] for r in (clean, best)]
        found = [srcc([row.score for row in part], [row.mos for row in part]) for part in rows]
        assert found[0] < found[1] < 1.0001
        line = next(text for text in table.splitlines() if text.startswith(f"| {seed} |"))
        values = line.split(" | ")
        assert (values[1], values[3]) == (f"{found[0]:.4f}", f"{found[1]:.4f}")
        assert float(values[5]) == pytest.approx(found[1] - found[0], abs=2e-4)
        assert float(values[6]) >= 0
        assert values[7].startswith("epoch 1 / epoch 2")
        groups = [{row.group for row in parts[key].rows} for key in ("train", "val", "test")]
        assert not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]
        assert {row.group for row in rows[0]} == groups[2]
    assert [seed for seed, _ in learned] == [0, 1, 2]
    assert len({frozenset(row.image for row in parts["test"].rows) for _, parts in learned}) == 3


def test_plcc_of_the_best_test_epoch_is_that_of_its_own_epoch(rated):
    parts = split_parts(open_set(rated), 0)
    truth = learners.opinions(parts["test"])
    ordered = np.sign(truth - truth.mean()) * np.abs(truth - truth.mean()) ** 9  # the right order, far from a line
    linear = truth.copy()
    linear[[0, 1]] = linear[[1, 0]]
    score = {"val": np.stack([learners.opinions(parts["val"])] * 2), "test": np.stack([ordered, linear])}
    one = bench_train.Training(0, parts, Curve(("a", "b"), score, score))
    assert one.stop(BEST) == 0
    assert one.figure("SRCC", BEST) == pytest.approx(1)
    assert one.figure("PLCC", BEST) == pytest.approx(plcc(linear, truth))
    assert plcc(linear, truth) > plcc(ordered, truth) == one.figure("PLCC", CLEAN)


def test_a_constant_training_is_no_better_than_any_other(rated):
    parts = split_parts(open_set(rated), 0)
    flat = {key: np.zeros((2, len(parts[key]))) for key in ("val", "test")}
    one = bench_train.Training(0, parts, Curve(("a", "b"), flat, flat))
    assert one.stop(CLEAN) == 0
    assert np.isnan(one.figure("SRCC", CLEAN))
    assert np.isnan(one.figure("SRCC", BEST))


def test_a_killed_run_goes_on_with_the_seed_that_was_not_finished(rated, learned, tmp_path, monkeypatch):
    unbroken = list(train(plan("dri"), [rated], 3, tmp_path / "a"))
    learned.clear()
    learn = bench_train.learner_of()

    def killed(parts, seed, work):
        if seed == 1:
            raise KeyboardInterrupt
        return learn(parts, seed, work)

    with monkeypatch.context() as patch:
        patch.setattr(bench_train, "learner_of", lambda *_: killed)
        with pytest.raises(KeyboardInterrupt):
            list(train(plan("dri"), [rated], 3, tmp_path / "b"))
    broken = read_results(results_file(tmp_path / "b", "noisy", "dri"))
    assert {row.seed for row in broken.rows} == {"0"}
    assert broken.about["pictures"] == sum(len(split_parts(open_set(rated), seed)["test"]) for seed in range(3))
    assert list(train(plan("dri"), [rated], 3, tmp_path / "b")) == unbroken
    assert [seed for seed, _ in learned] == [0, 1, 2]
    for name in ("dri", f"dri, {BEST}"):
        files = [results_file(tmp_path / folder, "noisy", name) for folder in "ab"]
        assert files[0].read_bytes() == files[1].read_bytes()
        assert files[0].with_suffix(".json").read_bytes() == files[1].with_suffix(".json").read_bytes()


def test_a_folder_with_another_training_is_refused(rated, learned, tmp_path):
    list(train(plan("dri"), [rated], 1, tmp_path))
    with pytest.raises(ValueError, match=r"holds a training with rank 0.5, got 0.1 now: want another folder"):
        list(train(plan("dri", flags=["--rank", "0.1"]), [rated], 1, tmp_path))
    list(train(plan("dri", "dri, less ranking", flags=["--rank", "0.1"]), [rated], 1, tmp_path))
    with pytest.raises(ValueError, match="holds a training with limit 0, got 12 now"):
        list(train(plan("dri", flags=["--limit", "12"]), [rated], 1, tmp_path))
    assert [len(parts["train"]) for _, parts in learned] == [28, 28]


def test_the_frozen_statistics_tell_noise_and_are_kept_once(rated, other, tmp_path, monkeypatch):
    sets, looks = [open_set(rated), open_set(other)], []
    look = cached_pass.look
    monkeypatch.setattr(
        cached_pass, "look", lambda network, sources, *_: looks.append(len(sources)) or look(network, sources)
    )
    parts = split_parts(sets[0], 0, others=sets[1:])
    first, second = (
        ridge_learner("van_tiny", sets, tmp_path)({**parts, "train": parts["train"]}, 0, tmp_path) for _ in range(2)
    )
    assert looks == [40, 30]
    assert first.stops[0] == "penalty 0.01"
    for key in ("val", "test", "all of elsewhere"):
        np.testing.assert_array_equal(first.score[key], second.score[key])
        assert first.score[key].shape == (len(first.stops), len(parts[key]))
        assert 0 <= first.score[key].min() <= first.score[key].max() <= 100
    truth = learners.opinions(parts["test"])
    assert max(srcc(said, truth) for said in first.score["test"]) > 0.6


def test_a_limit_limits_what_is_looked_at(rated, tmp_path, monkeypatch):
    """With --limit the pass over the pictures saw all of them all the same."""
    looks, look = [], cached_pass.look
    monkeypatch.setattr(
        cached_pass, "look", lambda network, sources, *_: looks.append(len(sources)) or look(network, sources)
    )
    start = untrained_checkpoint(tmp_path / "before", system="dri", encoder="van_tiny", frozen=0)
    flags = ["--smoke", "--encoder", "van_tiny", "--steps", "2", "--limit", "4"]
    list(train(plan("dri", start=start, flags=flags), [rated], 1, tmp_path))
    assert looks == [12]  # four of each of the three parts, where the set has 40


def test_scores_are_in_the_unit_of_the_training_opinions(rated):
    train = split_parts(open_set(rated), 0)["train"]
    mean, deviation = learners.opinions(train).mean(), learners.opinions(train).std()
    curve = learners._curve([("epoch 0", 2.0, 0.5, {"test": np.array([-9.0, 0.1, 9.0])})], train)
    np.testing.assert_allclose(curve.score["test"], [[0, mean + deviation * 0.7, 100]])
    np.testing.assert_array_equal(curve.raw["test"], [[-9.0, 0.1, 9.0]])


def test_the_head_learns_from_the_training_pictures_alone(rated, tmp_path):
    ratings, parts = open_set(rated), split_parts(open_set(rated), 0)
    start = untrained_checkpoint(tmp_path / "before", system="dri", encoder="van_tiny", frozen=0)
    tiny = {"system": "dri", "encoder": "van_tiny", "data": [rated], "batch": 8, "steps": 2, "start": start}
    learner = head_learner(smoke(**tiny), [ratings], tmp_path)
    first, second = (learner(parts, seed, tmp_path) for seed in range(2))
    assert first.stops == ("epoch 0", "epoch 1")
    assert not np.array_equal(first.raw["test"], second.raw["test"])
    # The same again, with the opinions of the test turned round: they change nothing.
    turned = {**parts, "test": SimpleNamespace(name="noisy", rows=_turned(parts["test"].rows))}
    np.testing.assert_array_equal(first.raw["test"], learner(turned, 0, tmp_path).raw["test"])
    (folder,) = tmp_path.glob("noisy-*")  # and a system without a restorer takes what is kept of the whole one
    for off in ("restoration", "assistance"):
        without = head_learner(smoke(**tiny, **{off: False}), [ratings], tmp_path)(parts, 0, tmp_path)
        assert list(tmp_path.glob("noisy-*")) == [folder]
        assert not np.array_equal(first.raw["test"], without.raw["test"]), off


def named(rated: str) -> Ratings:
    """The rated set with a distortion type for each picture, and a level for every second."""
    ratings = open_set(rated)
    rows = [
        replace(r, distortion=KINDS[i % 3], level=1.0 + i % 5 if i % 2 else nan) for i, r in enumerate(ratings.rows)
    ]
    return replace(ratings, rows=tuple(rows))


def test_a_network_is_given_all_that_the_set_says_of_its_pictures(rated, tmp_path):
    """Types and levels were left out, so that nothing taught MFEN's distortion-aware network."""
    parts = split_parts(named(rated), 0)
    file = learners.write_ratings(tmp_path / "noisy.csv", {key: parts[key] for key in ("train", "val")})
    read = open_set(f"{file}::0..100")
    wanted = [replace(row, split=key) for key in ("train", "val") for row in parts[key].rows]
    assert list(map(repr, read.rows)) == list(map(repr, wanted))  # a level that is not known is not equal to itself
    kind, severity = labels_of(read.rows)
    assert {KINDS[i] for i in kind.argmax(1)} == set(KINDS[:3])
    assert 0 < (severity >= 1).sum() < len(read)


def test_a_head_is_given_the_types_too(rated, tmp_path, monkeypatch):
    """All were unknown to it, so that nothing was alike in its distortion to the representation loss."""
    given = []

    def fit(recipe, head, sets, after_epoch):
        given.extend(sets)
        after_epoch(head.eval(), SetScales([(50.0, 20.0)]))

    monkeypatch.setattr(learners, "fit_head", fit)
    ratings = named(rated)
    start = untrained_checkpoint(tmp_path / "before", system="dri", encoder="van_tiny", frozen=0)
    recipe = smoke(system="dri", encoder="van_tiny", data=[rated], start=start, stage="head")
    parts = split_parts(ratings, 0)
    head_learner(recipe, [ratings], tmp_path)(parts, 0, tmp_path)
    rows = [*parts["train"].rows, *parts["val"].rows]
    assert [KINDS[i] for i in given[0].kind.argmax(1)] == [row.distortion for row in rows]
    np.testing.assert_array_equal(given[0].severity.max(1) < 0, [isnan(row.level) for row in rows])


def test_a_head_on_a_random_encoder_that_stayed_fixed_is_refused(rated, tmp_path, capsys):
    """As by iqassay train: it was trained in silence."""
    start = untrained_checkpoint(tmp_path / "before", system="dri", encoder="van_tiny")
    arguments = ["bench", "train", "dri", "--data", rated, "--start", str(start), "-o", str(tmp_path / "out")]
    assert main([*arguments, "--smoke", "--encoder", "van_tiny", "--splits", "1"]) == 2
    assert "got --encoder van_tiny, whose weights are random, with levels that stay fixed" in capsys.readouterr().err


def test_a_head_stage_of_yoto_is_measured_in_both_modes(tmp_path, monkeypatch):
    """What it said beside references was not asked for."""
    data, tiny = make_set(tmp_path, "pairs", references=True), {"encoder": "van_tiny", "tokens": 8}
    start = untrained_checkpoint(tmp_path / "before", system="yoto", frozen=0, **tiny)
    flags = ["--smoke", "--encoder", "van_tiny", "--tokens", "8", "--steps", "2"]
    tables = list(train(plan("yoto", start=start, flags=flags), [data], 2, tmp_path))
    assert [text.split(":")[0] for text in tables] == ["pairs, yoto", "pairs, yoto, with reference"]
    found = [read_results(results_file(tmp_path, "pairs", name)) for name in ("yoto", "yoto, with reference")]
    assert [one.about["reference"] for one in found] == [False, True]
    assert [len(one.scored) for one in found] == [len(found[0].rows)] * 2
    alone, beside = (one.column("raw") for one in found)
    assert (beside < TOP).all()
    assert not np.allclose(alone, beside)
    curve = bench_train.load(tmp_path / "trainings/pairs/yoto/0")
    np.testing.assert_array_equal(*curve.raw["test" + WITH])  # the distance has no epochs: one answer for both stops
    assert len(list((tmp_path / "kept").glob("pairs-pairs-*"))) == 1  # of both seeds

    only = plan("yoto", "alone", start=start, flags=[*flags, "--mode", "no-reference"])
    assert len(list(train(only, [data], 1, tmp_path))) == 1


def _turned(rows):
    return tuple(type(row)(**{**row.__dict__, "score": 100 - row.score}) for row in rows)


def in_this_process(command, **_):
    return SimpleNamespace(returncode=train_main(command[4:]))


def test_a_network_is_trained_by_the_command_and_answers_after_every_epoch(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "run", in_this_process)
    data = make_set(tmp_path, "pairs", references=True)
    flags = ["--tokens", "8", "--smoke", "--encoder", "van_tiny", "--frozen", "0", "--steps", "2"]
    flags += ["--test-crops", "3"]
    tables = list(train(plan("yoto", "small", "network", flags=flags), [data], 1, tmp_path / "out"))
    assert [text.split(":")[0] for text in tables] == ["pairs, small", "pairs, small, with reference"]
    work = tmp_path / "out/trainings/pairs/small/0"
    one = bench_train.Training(0, split_parts(open_set(data), 0), bench_train.load(work))
    assert one.curve.stops == ("epoch 0", "epoch 1")
    with (work / "metrics.csv").open() as stream:
        logged = [row for row in csv.DictReader(stream) if row["val/srcc"]]
    for part, name in (("val", "pairs"), ("test", "left_out_test")):  # without references
        values = [float(row[f"val/srcc_{name}"]) for row in logged]
        assert one.values(part, srcc) == pytest.approx(values, abs=1e-6)
        assert f"val/srcc_{name} with reference" in logged[0]
    assert read_results(results_file(tmp_path / "out", "pairs", "small")).about["reference"] is False
    beside = one.in_mode(WITH)
    values = [float(row["val/srcc_left_out_test with reference"]) for row in logged]
    assert beside.values("test", srcc) == pytest.approx(values, abs=1e-6)
    for name in ("small, with reference", f"small, with reference, {BEST}"):
        found = read_results(results_file(tmp_path / "out", "pairs", name))
        assert found.about["reference"] is True
        assert len(found.rows) == len(one.parts["test"])
    answered = (one.curve.raw[f"test{mode}"][0] for mode in ("", WITH))
    assert not np.allclose(*answered)


def test_one_epoch_is_chosen_for_both_modes_of_a_network_by_their_mean(rated):
    parts = split_parts(open_set(rated), 0)
    truth = {key: learners.opinions(parts[key]) for key in ("val", "test")}
    rng = np.random.default_rng(0)
    noise = {"val": (0, 9, 99), "test": (9, 0, 99), "val" + WITH: (99, 9, 0), "test" + WITH: (0, 9, 99)}
    score = {
        key: np.stack(
            [truth[key.removesuffix(WITH)] + rng.normal(0, n, len(truth[key.removesuffix(WITH)])) for n in by]
        )
        for key, by in noise.items()
    }
    one = bench_train.Training(0, parts, Curve(("a", "b", "c"), score, score))
    assert [one.in_mode(mode).stop(CLEAN) for mode in ("", WITH)] == [1, 1]
    assert [one.in_mode(mode).stop(BEST) for mode in ("", WITH)] == [1, 0]
    assert one.in_mode(WITH).figure("SRCC", BEST) == pytest.approx(1)
    assert [row.raw for row in one.in_mode(WITH).rows("test", CLEAN)] == list(score["test" + WITH][1])


@pytest.mark.parametrize("system", ["mfen", "yoto", "dri"])
def test_without_a_start_the_network_is_trained_and_never_the_head_alone(system):
    assert plan(system).stage == "network"
    assert plan(system, start=Path("a.ckpt")).stage == "head"
    assert plan("ridge").stage == "head"
    with pytest.raises(ValueError, match="without --start: all but the head would be random and stay so"):
        plan(system, stage="head")


def test_a_training_from_before_a_recipe_had_a_field_is_taken(rated, learned, tmp_path):
    list(train(plan("dri"), [rated], 1, tmp_path))
    file = tmp_path / "trainings/noisy/dri/0/settings.json"
    kept = json.loads(file.read_text())
    file.write_text(json.dumps({key: value for key, value in kept.items() if key != "test_crops"}))
    list(train(plan("dri"), [rated], 1, tmp_path))
    assert len(learned) == 1


def test_a_network_that_needs_references_is_measured_with_them(rated, tmp_path, monkeypatch):
    def trained(command, **_):
        """As ``iqassay train`` leaves it after one epoch on two devices: everything is answered twice."""
        numbers = [0] * 4 + [1] * 8
        raw = np.concatenate([np.arange(12.0), -np.arange(12.0)])
        sets = ["noisy with reference", "left_out_test with reference"]
        folder = Path(command[command.index("--out") + 1])
        np.savez(folder / "val-0.npz", raw=raw, dataset=numbers * 2, sets=sets, scale=[[2.0, 0.5], [9.0, 9.0]])
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", trained)
    list(train(plan("yoto", stage="network", flags=["--mode", "full-reference"]), [rated], 1, tmp_path))
    found = read_results(results_file(tmp_path, "noisy", "yoto"))
    assert found.about["reference"] is True
    assert [row.raw for row in found.rows] == list(range(4, 12))
    assert {row.image for row in found.rows} == {row.image.name for row in split_parts(open_set(rated), 0)["test"].rows}


def test_a_failed_training_is_one_line(rated, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=3))
    arguments = ["bench", "train", "mfen", "--data", rated, "--stage", "network", "--smoke", "-o", str(tmp_path)]
    assert main(arguments) == 2
    assert "noisy, seed 0: iqassay train ended with status 3" in capsys.readouterr().err


def write_start(folder: Path, data=(), start=None, synthetic="photos") -> Path:
    """A checkpoint by its recipe alone: the check must come before the weights are read."""
    folder.mkdir(parents=True)
    recipe = {"out": str(folder), "synthetic": [synthetic], "data": list(data), "start": start and str(start)}
    (folder / "recipe.json").write_text(json.dumps({"recipe": recipe}))
    (folder / "best.ckpt").touch()
    return folder / "best.ckpt"


def test_a_start_that_has_seen_the_set_is_refused(rated, tmp_path, capsys):
    table, images = rated.split(":")
    (tmp_path / "renamed.csv").write_text(Path(table).read_text())
    direct = write_start(tmp_path / "a", [rated])
    gone = write_start(tmp_path / "b", ["no/longer/here/Noisy.csv:pictures"])
    renamed = write_start(tmp_path / "c", [f"{tmp_path / 'renamed.csv'}:{images}"])
    later = write_start(tmp_path / "d", start=direct)
    relative = write_start(tmp_path / "e", start="a/best.ckpt")  # to where the training was started from
    for start in (direct, gone, renamed, later, relative):
        arguments = ["bench", "train", "dri", "--data", rated, "--start", str(start), "-o", str(tmp_path / "out")]
        assert main(arguments) == 2
        said = capsys.readouterr().err
        assert f"--start {start}: was itself trained on noisy" in said
        assert "a leak" in said
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="what it has seen is not known"):
        refuse_seen(write_start(tmp_path / "f", start="lost.ckpt"), [open_set(rated)])
    with pytest.raises(ValueError, match=r"no recipe\.json beside it"):
        refuse_seen(tmp_path / "best.ckpt", [open_set(rated)])


def test_clean_photos_that_are_pictures_of_the_set_are_refused(rated, learned, tmp_path):
    photos = rated.split(":")[1]
    with pytest.raises(ValueError, match=r"got --synthetic .*, where pictures of noisy are: a leak"):
        list(train(plan("dri", flags=["--synthetic", photos]), [rated], 1, tmp_path))
    with pytest.raises(ValueError, match=r"--start .*: was trained on .*, where pictures of noisy are: a leak"):
        refuse_seen(write_start(tmp_path / "a", synthetic=photos), [open_set(rated)])
    list(train(plan("dri", flags=["--synthetic", str(tmp_path)]), [rated], 1, tmp_path))


def test_a_start_that_has_seen_other_sets_is_taken(rated, other, tmp_path):
    first = write_start(tmp_path / "a")
    refuse_seen(write_start(tmp_path / "b", [other], first), [open_set(rated)])


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["train", "nothing"], "got system 'nothing', want mfen, yoto, dri or ridge"),
        (["train", "dri", "--stage", "restoration"], "got --stage restoration, want head or network"),
        (["train", "dri", "--seed", "3"], "got --seed among the flags for iqassay train: bench sets it itself"),
        (["train", "dri", "--splits", "11"], "got 11 splits, want 1 to 10"),
        (["train", "ridge", "--batch", "3"], "got a ridge regression with more than --encoder"),
        (["train", "yoto", "--mode", "full-reference", "--start", "x.ckpt"], "want --stage network with it"),
        (["train", "mfen", "--stage", "head"], "got --stage head for mfen without --start"),
        (["train", "mfen", "--start", "x.ckpt", "--test-crops", "5"], "want --stage network with it"),
        (["train", "dri", "--limit", "2"], "noisy, seed 0: got 2 pictures in train, want 3 different scores"),
        (["ablate", "mfen", "--stage", "head"], "want --stage network"),
        (["ablate", "ridge"], "want one with switches: mfen, yoto, dri"),
        (["cross", "dri"], "got 1 set, want two --data or more"),
        (["train", "dri", "--dta", "x"], "flags for iqassay train: No such option: --dta"),
    ],
)
def test_wrong_flags_end_in_one_line_and_status_2(arguments, error, rated, tmp_path, capsys):
    assert main(["bench", *arguments, "--data", rated, "-o", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert error in said
    assert "Traceback" not in said


def test_cross_tests_on_all_of_the_other_sets_and_on_its_own_test(rated, other, learned, tmp_path):
    (matrix,) = cross(plan("dri"), [rated, other], 2, tmp_path)
    wanted = {("noisy", "noisy"): 16, ("noisy", "elsewhere"): 60, ("elsewhere", "elsewhere"): 12}
    for (trained_on, tested_on), count in wanted.items():
        rows = read_results(results_file(tmp_path, tested_on, f"dri trained on {trained_on}")).rows
        assert len(rows) == count
        assert {row.seed for row in rows} == {"0", "1"}
    with (tmp_path / "cross dri.csv").open() as stream:
        figures = list(csv.DictReader(stream))
    assert len(figures) == 8
    found = [float(r["SRCC"]) for r in figures if (r["trained_on"], r["tested_on"]) == ("noisy", "elsewhere")]
    (line,) = [text for text in matrix.splitlines() if text.startswith("| noisy |")]
    assert line.split(" | ")[2].startswith(f"{np.median(found):.3f} (")
    assert list(train(plan("dri"), [rated], 1, tmp_path))  # whose trainings answer to less, and are others


def test_cross_has_a_matrix_for_each_mode_where_there_are_references(rated, tmp_path, monkeypatch):
    paired = make_set(tmp_path, "pairs", references=True)

    def learn(parts, seed, work):
        """As joint training does: beside references where both the set that is learned and the other have them."""
        whole = {key: learners.opinions(part)[None] for key, part in parts.items() if key != "train"}
        has = {key: all(row.reference for row in parts[key].rows) for key in parts}
        said = whole | {key + WITH: 100 - v for key, v in whole.items() if has["train"] and has[key]}
        return Curve(("epoch 0",), said, said)

    monkeypatch.setattr(bench_train, "learner_of", lambda *_: learn)
    alone, beside = cross(plan("yoto"), [rated, paired], 1, tmp_path / "out")
    assert [line.split(" | ")[1][:5] for line in alone.splitlines()[4:]] == ["1.000", "1.000"]
    (line,) = beside.splitlines()[4:]
    assert beside.startswith("yoto, with reference, median")
    assert line == "| pairs | -1.000 (-1.000) |"
    found = read_results(results_file(tmp_path / "out", "pairs", "yoto, with reference trained on pairs"))
    assert found.about["reference"] is True


def test_ablate_measures_every_switch_on_the_same_pictures(rated, learned, tmp_path, monkeypatch):
    monkeypatch.setattr(bench_ablate, "gain_over_seeds", functools.partial(gain_over_seeds, rounds=50))
    (table,) = ablate("dri", [rated], 2, tmp_path, "network", None, ["--epochs", "3"])
    lines = table.splitlines()[4:]
    assert [line.split(" | ")[0] for line in lines] == [
        "| whole", "| no restoration", "| no interaction", "| no representation loss", "| one vector",
    ]  # fmt: skip
    assert lines[1].split(" | ")[2].startswith("+0.0000 (+0.0000 to +0.0000)")  # this learner knows no switches
    kept = json.loads((tmp_path / "trainings/noisy/dri, one vector/1/settings.json").read_text())
    assert (kept["two_vectors"], kept["restoration"], kept["epochs"]) == (False, True, 3)


def test_a_gain_has_an_interval_over_seeds_and_pictures():
    rng = np.random.default_rng(1)
    truth = [rng.random(60) for _ in range(3)]
    good, bad = ([t + rng.normal(0, noise, 60) for t in truth] for noise in (0.1, 0.8))
    runs = list(zip(good, bad, truth, strict=True))
    gain = gain_over_seeds(runs, np.random.default_rng(0), rounds=200)
    assert gain.low > 0
    assert gain.low < gain.gain < gain.high
    assert gain.gain == pytest.approx(np.mean([srcc(g, t) - srcc(b, t) for g, b, t in runs]))
    same = gain_over_seeds([(g, g, t) for g, _, t in runs], np.random.default_rng(0), rounds=20)
    assert (same.gain, same.low, same.high) == (0, 0, 0)
    # Six copies of every picture tell no more than one: drawn together, they leave the interval as wide as it is.
    copies = [tuple(np.repeat(column, 6) for column in run) for run in runs]
    groups = [list(map(str, np.repeat(range(60), 6)))] * 3
    naive, honest = (gain_over_seeds(copies, np.random.default_rng(0), g, 200) for g in (None, groups))
    assert honest.high - honest.low > 1.5 * (naive.high - naive.low)
    assert honest.high - honest.low == pytest.approx(gain.high - gain.low, rel=0.5)
