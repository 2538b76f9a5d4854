"""Training DRI-IQA: its stages one after another, what each leaves alone, and the parts of the first."""

import csv
import hashlib
import json
import shutil

import numpy as np
import pytest
import torch
from conftest import export_main, make_photo
from conftest import train_main as main
from PIL import Image
from torch.nn import functional as F

import iqassay
from iqassay.data.distortions import KINDS
from iqassay.systems.encoders import encoder
from iqassay.training import cached_pass, restoration, sets
from iqassay.training.build import build_system
from iqassay.training.recipes import smoke
from iqassay.training.restoration import Restoration, psnr, turned

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three clean photos, and 16 pictures with noise, the more of it the lower the score, in train and val."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "clean").mkdir()
    rng, rows = np.random.default_rng(0), []
    for i in range(3):
        Image.fromarray((255 * make_photo(80, 96, i)).astype(np.uint8)).save(folder / "clean" / f"{i}.png")
    for i in range(16):
        noisy = make_photo(64, 96, i) + rng.normal(0, 0.012 * i, (64, 96, 3))
        Image.fromarray((255 * noisy.clip(0, 1)).astype(np.uint8)).save(folder / f"{i}.png")
        rows.append(f"{i}.png,{95 - 5 * i},{'val' if i % 4 == 0 else 'train'}\n")
    (folder / "set.csv").write_text("image,mos,split\n" + "".join(rows))
    return folder


TINY = ["dri", "--smoke", "--encoder", "van_tiny", "--steps", "2"]


def weights(run, name="best.ckpt"):
    state = torch.load(run / name, weights_only=False)["state_dict"]
    return {key.removeprefix("system."): value for key, value in state.items() if key.startswith("system.")}


def changed(before, after):
    """The parts in which two networks differ, or are not the same in shape."""
    return {k.split(".")[0] for k in after if k not in before or not torch.equal(after[k], before[k])}


def logged(run):
    with (run / "metrics.csv").open() as stream:
        return {name for row in csv.DictReader(stream) for name, value in row.items() if value}


@pytest.fixture(scope="module")
def pairs(folder):
    return ["--synthetic", str(folder / "clean"), "--synthetic-count", "24"]


@pytest.fixture(scope="module")
def first(folder, pairs):
    """A run of the first stage, stopped after an epoch."""
    out, file = folder / "runs" / "rest", folder / "van.pth"
    torch.save(encoder("van_tiny").state_dict(), file)
    flags = [
        *TINY,
        *pairs,
        "--stage",
        "restoration",
        "--encoder-weights",
        str(file),
        "--out",
        str(out),
    ]
    assert main([*flags, "--epochs", "1"]) == 0
    return out, flags


@pytest.fixture(scope="module")
def second(folder, pairs, first):
    """The second stage after it."""
    out = folder / "runs" / "head"
    flags = [
        *TINY,
        *pairs,
        "--data",
        str(folder / "set.csv"),
        "--stage",
        "head",
        "--start",
        str(first[0] / "best.ckpt"),
    ]
    assert main([*flags, "--out", str(out), "--epochs", "1"]) == 0
    return out, flags


# ---------------------------------------------------------------------------------------------- one stage after another


def test_the_first_stage_goes_on_and_touches_only_what_it_trains(first):
    out, flags = first
    before, stopped = weights(out, "last.ckpt"), torch.load(out / "last.ckpt", weights_only=False)
    assert {"val/gain", "train/psnr"} <= logged(out)
    assert 0 <= json.loads((out / "recipe.json").read_text())["sets"]["degradations"]["retrieval"] <= 1
    assert main([*flags, "--epochs", "2"]) == 0
    after = torch.load(out / "last.ckpt", weights_only=False)
    assert (stopped["global_step"], after["global_step"]) == (2, 4)  # went on, did not start again
    assert changed(before, weights(out, "last.ckpt")) == {"restorer"}  # the vectors are what they were
    assert (out / "metrics-1.csv").exists()
    assert (out / "curve.png").stat().st_size > 1000


def test_the_first_stage_without_a_restorer(folder, pairs):
    out = folder / "runs" / "bare"
    flags = ["--stage", "restoration", "--no-restoration", "--out", str(out)]
    assert main([*TINY, *pairs, *flags]) == 0
    assert 0 <= json.loads((out / "recipe.json").read_text())["val"]["retrieval"] <= 1
    assert not any(key.startswith("restorer") for key in weights(out))


def test_the_second_stage_leaves_what_the_first_has_learned(first, second):
    before, after = weights(first[0]), weights(second[0])
    assert changed(before, after) == {"predictor", "distortions", "known"}
    lengths = after["known"].norm(dim=1)
    assert ((lengths < 1e-6) | ((lengths - 1).abs() < 1e-5)).all()  # zero: none of these few pictures were like that
    assert (lengths > 0.5).sum() > 2


def test_the_second_stage_again_reads_what_was_kept_whatever_the_switches(second, monkeypatch):
    out, flags = second
    before, again = weights(out), shutil.copytree(out, out.with_name("again"))
    flags = [*flags, "--out", str(again), "--epochs", "1"]
    monkeypatch.setattr(cached_pass, "look", lambda *_: pytest.fail("looked at the pictures again"))
    for switch in ([], ["--no-interaction"], ["--no-two-vectors"], ["--representation", "0"]):
        assert main([*flags, *switch]) == 0
        assert changed(before, weights(again)) == ({"predictor"} if switch else set())  # the same run, the same network
    monkeypatch.undo()
    assert main([*flags, "--no-restoration"]) == 0  # from the same first stage, whose restorer it leaves
    assert not any(key.startswith("restorer") for key in weights(again))
    assert not changed(before, weights(again)) & {"encoder", "degradation"}


def test_the_last_stage_alone_goes_on_from_the_predictor_and_keeps_what_has_names(folder, second, tmp_path):
    """Rated photos without references: no synthetic set, so nothing that says what degradations are."""
    flags = ["--data", str(folder / "set.csv"), "--stage", "head", "--start", str(second[0] / "best.ckpt")]
    assert main([*TINY, *flags, "--out", str(tmp_path), "--epochs", "1", "--lr", "1e-9"]) == 0
    before, after = weights(second[0]), weights(tmp_path)
    assert changed(before, after) == {"predictor"}
    for key, value in after.items():
        if key.endswith(("weight", "bias")):  # of buffers: what is ordinary, these pictures say
            torch.testing.assert_close(value, before[key], rtol=1e-3, atol=1e-5)


def test_training_on_crops_leaves_the_degradation_encoder_and_the_restorer(folder, first, tmp_path):
    flags = ["--data", str(folder / "set.csv"), "--start", str(first[0] / "best.ckpt"), "--out", str(tmp_path)]
    assert main([*TINY, *flags, "--epochs", "1", "--frozen", "2"]) == 0
    parts = changed(weights(first[0]), weights(tmp_path, "last.ckpt"))
    assert parts == {"encoder", "predictor", "distortions"}


def test_what_was_trained_becomes_a_model_file_that_scores_and_restores(folder, second, tmp_path):
    model = tmp_path / "dri.onnx"
    assert (
        export_main([str(second[0] / "best.ckpt"), "-o", str(model), "--calibrate", str(folder / "set.csv"), "--force"])
        == 0
    )
    scorer = iqassay.load(model)
    verdict = scorer.score(folder / "8.png")
    assert 0 <= verdict.low <= verdict.score <= verdict.high <= 100
    assert scorer.card.architecture["vector"] == 256
    assert scorer.card.architecture["pretrained"]
    file = (folder / "van.pth").read_bytes()  # given to the first stage alone
    assert scorer.card.architecture["encoder_sha256"] == hashlib.sha256(file).hexdigest()
    assert (scorer.restores, scorer.takes_reference) == (True, False)


def test_a_restorer_cannot_come_from_a_run_without_one(folder, first, tmp_path, capsys):
    bare = {f"system.{k}": v for k, v in weights(first[0]).items() if not k.startswith("restorer")}
    torch.save({"state_dict": bare}, tmp_path / "bare.ckpt")
    flags = ["--data", str(folder / "set.csv"), "--stage", "head", "--start", str(tmp_path / "bare.ckpt")]
    assert main([*TINY, *flags, "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert "got no weights that fit restorer" in said
    assert "Traceback" not in said


# ------------------------------------------------------------------------------------------------ the first stage, bare


def restoration_of(**changes):
    """The module of the restorer, and what it has logged last."""
    torch.manual_seed(0)
    recipe = smoke(system="dri", encoder="van_tiny", stage="restoration", synthetic=["."], **changes)
    module, said = Restoration(recipe, build_system(recipe)), {}
    module.log_dict = lambda values, **_: said.update({k: float(v) for k, v in values.items()})
    module.log = lambda name, value, **_: said.update({name: float(value)})
    return module, said


def batch(count=4, size=64, seed=0):
    """Crops with noise of several levels beside their references."""
    generator = torch.Generator().manual_seed(seed)
    reference = torch.rand(count, 3, size, size, generator=generator)
    kind, severity = torch.zeros(count, 26), torch.full((count, 25), -1.0)
    kind[:, KINDS.index("white_noise")], severity[:, KINDS.index("white_noise")] = 1, 1 + torch.arange(count) / 2
    x = (reference + 0.1 * torch.randn(reference.shape, generator=generator)).clamp(0, 1)
    vector = torch.randn(count, 256, generator=generator)
    return {"x": x, "reference": reference, "kind": kind, "severity": severity, "vector": vector}


def test_a_step_teaches_the_restorer_and_nothing_else():
    module, said = restoration_of()
    module.training_step(batch(), 0).backward()
    assert set(said) == {"train/psnr"}
    reached = {name.split(".")[0] for name, p in module.system.named_parameters() if p.grad is not None}
    assert reached == {"restorer"}
    silent = [name for name, p in module.restorer.named_parameters() if not p.grad.any()]
    assert all(".modulate" in name or "code" in name for name in silent)  # the identity at first, which hides the code
    others = [p for name, p in module.system.named_parameters() if not name.startswith("restorer")]
    assert not any(p.requires_grad for p in others)


def test_validation_says_how_many_db_each_group_gains():
    module, said = restoration_of()
    noise, jpeg, none = KINDS.index("white_noise"), KINDS.index("jpeg"), len(KINDS)
    answers = batch(5)
    answers["kind"] = F.one_hot(torch.tensor([noise, noise, jpeg, jpeg, none]), 26).float()
    answers["kind"][3, [noise, jpeg]] = 0.5  # a chain
    answers["severity"][2:4, jpeg] = 3.0
    with torch.no_grad():
        module.eval()
        module.restorer.leave.weight.zero_()
        module.restorer.leave.bias.fill_(0.05)  # brighter by that
        module.validation_step(answers, 0)
    x, reference = answers["x"], answers["reference"]
    gain = psnr((x + 0.05).clamp(0, 1), reference) - psnr(x, reference)
    module.on_validation_epoch_end()
    assert said["val/noise"] == pytest.approx(float(gain[:2].mean()), abs=1e-3)
    assert said["val/codecs"] == pytest.approx(float(gain[2]), abs=1e-3)
    assert said["val/clean"] == pytest.approx(float(gain[4]), abs=1e-3)
    assert "val/blur" not in said
    assert said["val/gain"] == pytest.approx(float(gain.mean()), abs=1e-3)


def test_pairs_are_turned_together():
    x = torch.rand(2, 3, 8, 8)
    torch.manual_seed(0)
    seen = set()
    for _ in range(40):
        a, b = turned(x, x + 1)
        torch.testing.assert_close(a + 1, b)
        ways = {"": x, "v": x.flip(2), "t": x.transpose(2, 3), "vt": x.flip(2).transpose(2, 3)}
        seen |= {name for name, way in ways.items() if torch.equal(a, way)}
    assert seen == {"", "v", "t", "vt"}


def test_psnr_is_finite_where_nothing_is_left_to_restore():
    x = torch.zeros(2, 3, 8, 8)
    brighter = x + torch.tensor([0.1, 0.0])[:, None, None, None]
    torch.testing.assert_close(psnr(brighter, x)[0].round(), torch.tensor(20.0))
    assert float(psnr(x, x).max()) == pytest.approx(50)


def test_types_left_out_are_left_out_of_the_pairs(folder, monkeypatch):
    seen = []

    def stop(files, config, cache):
        seen.append(config)
        raise ValueError("enough")

    monkeypatch.setattr(sets, "render", stop)
    flags = ["--stage", "restoration", "--synthetic", str(folder / "clean"), "--synthetic-without", "jpeg"]
    assert main([*TINY, *flags, "--out", str(folder / "runs" / "without")]) == 2
    assert set(KINDS) - set(seen[0].kinds) == {"jpeg"}


def test_with_nothing_left_to_restore_the_first_stage_says_so(folder, capsys):
    flags = ["--stage", "restoration", "--synthetic", str(folder / "clean"), "--out", str(folder / "runs" / "nothing")]
    without = [flag for kind in restoration.RESTORED for flag in ("--synthetic-without", kind)]
    assert main([*TINY, *flags, *without]) == 2
    assert "got --synthetic-without all of white_noise" in capsys.readouterr().err


def test_the_first_stage_learns_of_what_people_feed_only_what_can_be_undone(folder, tmp_path, monkeypatch):
    """--synthetic-covered was taken and did nothing."""
    drawn = []

    def draw(recipe, config):
        drawn.append(config)
        if len(drawn) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(restoration, "draw", draw)
    made = {"synthetic": [folder / "clean"], "stage": "restoration", "synthetic_covered": 0.25, "out": tmp_path}
    with pytest.raises(KeyboardInterrupt):
        restoration.fit_assistants(smoke(system="dri", **made))
    assert [config.covered for config in drawn] == [0, 0.25]
    assert set(drawn[1].families) == {"resampled", "resaved", "upscaled"}
    assert set(drawn[1].kinds) == {*restoration.NOISE, *restoration.BLUR, *restoration.CODECS}
    assert set(drawn[0].kinds) == set(KINDS)  # of which the vector tells apart what no restorer mends
