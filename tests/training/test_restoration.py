"""Training DRI-IQA: its stages one after another, what each leaves alone, and the parts of the first."""

import csv
import hashlib
import shutil

import numpy as np
import pytest
import torch
from conftest import export_main, make_photo
from conftest import train_main as main
from PIL import Image
from torch.nn import functional as F

import iqassay
from iqassay.data.coverage import SHARES
from iqassay.data.distortions import KINDS
from iqassay.systems.encoders import encoder
from iqassay.training import cached_pass, restoration, sets
from iqassay.training.recipes import smoke
from iqassay.training.restoration import SLOW, Assistants, halves, psnr, retrieval

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
        "--queue",
        "32",
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
    assert {"val/retrieval", "val/chosen", "train/contrast", "train/representation", "train/restoration"} <= logged(out)
    assert main([*flags, "--epochs", "2"]) == 0
    after = torch.load(out / "last.ckpt", weights_only=False)
    assert (stopped["global_step"], after["global_step"]) == (2, 4)  # went on, did not start again
    assert changed(before, weights(out, "last.ckpt")) == {"degradation", "restorer"}
    assert (out / "metrics-1.csv").exists()
    assert (out / "curve.png").stat().st_size > 1000


def test_the_first_stage_without_a_restorer_and_without_a_queue(folder, pairs):
    out = folder / "runs" / "bare"
    flags = ["--stage", "restoration", "--no-restoration", "--queue", "0", "--out", str(out), "--epochs", "1"]
    assert main([*TINY, *pairs, *flags]) == 0
    assert {"val/retrieval", "val/chosen", "train/contrast", "train/representation"} <= logged(out)
    assert "train/restoration" not in logged(out)
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


def assistants(**changes):
    """The module of the first stage, and what it has logged last."""
    torch.manual_seed(0)
    recipe = smoke(system="dri", encoder="van_tiny", stage="restoration", synthetic=["."], **changes)
    module, said = Assistants(recipe), {}
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
    return {"x": x, "reference": reference, "kind": kind, "severity": severity}


@pytest.mark.parametrize("queue", [0, 32])
@pytest.mark.parametrize("restorer", [True, False])
def test_a_step_teaches_the_two_assistants_and_nothing_else(queue, restorer):
    module, said = assistants(queue=queue, restoration=restorer)
    module.training_step(batch(), 0).backward()
    names = {"contrast", "representation"} | ({"restoration"} if restorer else set())
    assert set(said) == {f"train/{name}" for name in names}
    assert all(np.isfinite(value) for value in said.values())
    reached = {name.split(".")[1] for name, p in module.named_parameters() if p.grad is not None and p.grad.any()}
    assert reached == {"degradation"} | ({"restorer"} if restorer else set())
    assert all(p.grad is not None for name, p in module.named_parameters() if name.startswith("system.degradation"))
    fixed = [module.system.encoder, module.system.predictor, module.system.distortions]
    fixed += [module.slow] if queue else []
    assert not any(p.requires_grad for part in fixed for p in part.parameters())


def test_what_cannot_be_restored_does_not_train_the_restorer():
    module, _ = assistants(queue=0)
    parts, pictures = list(module.system.restorer.leave.parameters()), batch()
    noise, moved, none = KINDS.index("white_noise"), KINDS.index("non_eccentricity_patch"), 25

    def gradients(*kinds):
        module.zero_grad()
        module.training_step(pictures | {"kind": F.one_hot(torch.tensor(kinds), 26).float()}, 0).backward()
        return [None if p.grad is None else p.grad.clone() for p in parts]

    assert gradients(moved, none, moved, none) == [None, None]  # nothing in a whole batch
    some = gradients(noise, moved, none, none)
    assert all(g.any() for g in some)
    pictures["reference"][1:] = 0  # which are not looked at
    assert all(torch.equal(a, b) for a, b in zip(some, gradients(noise, moved, none, none), strict=True))


def test_the_queue_is_filled_from_the_front_after_the_step_by_a_slow_encoder():
    module, _ = assistants(queue=30)
    keys, labels = module.keys.clone(), module.labels.clone()
    assert (labels == -1).all()  # what it starts with is like nothing
    old = next(module.slow.parameters()).clone()
    with torch.no_grad():
        next(module.system.degradation.parameters()).add_(1.0)
    module.training_step(batch(), 0)
    assert torch.equal(module.keys, keys)  # the step compares with what was there before
    torch.testing.assert_close(next(module.slow.parameters()), old + (1 - SLOW))
    module.on_train_batch_end()
    torch.testing.assert_close(module.keys.norm(dim=1), torch.ones(30))
    assert torch.equal(module.keys[12:], keys[:18])  # 8 halves and 4 references in front, as many of the oldest gone
    noise = KINDS.index("white_noise")
    assert module.labels[:, 0].tolist() == [noise] * 8 + [25] * 4 + [-1] * 18
    assert module.labels[:4, 1].tolist() == [1, 1.5, 2, 2.5]


def test_two_halves_of_a_picture_are_alike_even_when_its_type_is_not_known(monkeypatch):
    seen = []
    monkeypatch.setattr(restoration, "contrast_loss", lambda z, keys, *masks: seen.extend(masks) or z.sum())
    module, _ = assistants(queue=0)
    unknown = batch(2) | {"kind": torch.full((2, 26), -1.0), "severity": torch.full((2, 25), -1.0)}
    module.training_step(unknown, 0)
    alike, itself = seen
    # columns: the left halves, the right halves, and the references, which are no picture's other half
    assert alike.int().tolist() == [[0, 0, 1, 0, 0, 0], [0, 0, 0, 1, 0, 0], [1, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0]]
    assert torch.equal(itself, torch.eye(4, 6, dtype=torch.bool))


def test_validation_says_how_many_db_each_group_gains():
    module, said = assistants()
    noise, jpeg = (KINDS.index(name) for name in ("white_noise", "jpeg"))
    answers = batch(4)
    answers["kind"] = F.one_hot(torch.tensor([noise, noise, jpeg, jpeg]), 26).float()
    answers["kind"][3, [noise, jpeg]] = 0.5  # a chain
    answers["severity"][2:, jpeg] = 3.0
    with torch.no_grad():
        module.eval()
        module.system.restorer.leave.bias.fill_(0.05)  # brighter by that
        module.validation_step(answers, 0)
    x, reference = answers["x"], answers["reference"]
    gain = psnr((x + 0.05).clamp(0, 1), reference) - psnr(x, reference)
    module.on_validation_epoch_end()
    assert said["val/noise"] == pytest.approx(float(gain[:2].mean()), abs=1e-3)
    assert said["val/codecs"] == pytest.approx(float(gain[2]), abs=1e-3)
    assert said["val/chains"] == pytest.approx(float(gain[3]), abs=1e-3)
    assert "val/blur" not in said
    assert said["val/chosen"] == pytest.approx(np.mean([said[f"val/{k}"] for k in ("noise", "codecs", "chains")]))


def test_halves_psnr_and_retrieval():
    crops = torch.arange(2 * 3 * 4 * 8.0).reshape(2, 3, 4, 8)
    both = halves(crops)
    assert torch.equal(both[:2], crops[..., :4])
    assert torch.equal(both[2:], crops[..., 4:])
    x = torch.zeros(2, 3, 8, 8)
    torch.testing.assert_close(
        psnr(x + torch.tensor([0.1, 0.0])[:, None, None, None], x)[0].round(), torch.tensor(20.0)
    )
    assert psnr(x, x).max() <= 60  # finite where nothing is left to restore
    z = F.normalize(torch.tensor([[1, 0.1], [1, 0.0], [0, 1.0], [0.1, 1], [1, 0.05]]), dim=1)
    labels = torch.tensor([[3, 1], [3, 5], [4, 1], [5, 1], [-1, 1]])
    assert retrieval(z, labels) == 0.5  # the first two find each other, the next two a picture of another type


def test_types_left_out_are_left_out_of_the_pairs(folder, monkeypatch):
    seen = []

    def stop(files, config, cache):
        seen.append(config)
        raise ValueError("enough")

    monkeypatch.setattr(sets, "render", stop)
    flags = ["--stage", "restoration", "--synthetic", str(folder / "clean"), "--synthetic-without", "jpeg"]
    assert main([*TINY, *flags, "--out", str(folder / "runs" / "without")]) == 2
    assert set(KINDS) - set(seen[0].kinds) == {"jpeg"}


def test_the_first_stage_learns_of_what_people_feed_only_what_can_be_undone(folder, tmp_path, monkeypatch):
    """--synthetic-covered was taken and did nothing."""
    drawn = []

    def draw(recipe, config):
        drawn.append(config)
        raise KeyboardInterrupt

    monkeypatch.setattr(restoration, "draw", draw)
    made = {"synthetic": [folder / "clean"], "stage": "restoration", "synthetic_covered": 0.25, "out": tmp_path}
    with pytest.raises(KeyboardInterrupt):
        restoration.fit_assistants(smoke(system="dri", **made))
    assert drawn[0].covered == 0.25
    assert set(drawn[0].families) == set(SHARES) - {"empty", "missing", "structure", "toned"}
