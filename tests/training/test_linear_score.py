"""The linear score of MFEN and DRI-IQA learns what varies inside sets, beside its predictors and on their scale."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from conftest import train_main as main

from iqassay.statistics.correlation import srcc
from iqassay.systems.dri import DRI, DRIConfig, Seen
from iqassay.systems.linear_score import APART
from iqassay.systems.mfen import MFEN, MFENConfig
from iqassay.training.build import build_system
from iqassay.training.cached_pass import fingerprint
from iqassay.training.head import predict
from iqassay.training.kept_pictures import Pictures
from iqassay.training.linear_score import fit_linear
from iqassay.training.recipes import smoke

TINY = {"encoder": "van_tiny", "vector": 12, "width": 8, "pretrained": False}


def system(**changes):
    torch.manual_seed(0)
    return DRI(DRIConfig(**(TINY | {"linear": 0.4} | changes))).eval()


@pytest.fixture(scope="module")
def noisy():
    """120 pictures of more and more noise: what a system keeps of them, and how good they are, 100 to 0."""
    rng, net = torch.Generator().manual_seed(0), system()
    strength = torch.rand(120, generator=rng)
    smooth = torch.nn.functional.interpolate(torch.rand(120, 3, 4, 4, generator=rng), 64, mode="bilinear")
    x = (smooth + 0.5 * strength[:, None, None, None] * torch.randn(120, 3, 64, 64, generator=rng)).clamp(0, 1)
    with torch.no_grad():
        return [part.numpy() for part in net.kept(x)], (100 * (1 - strength)).numpy()


def set_of(noisy, rows=slice(None), name="some", train=80, gain=1.0, offset=0.0):
    kept, score = ([part[rows] for part in noisy[0]], noisy[1][rows])
    none = np.full((len(score), 26), -1, np.float32), np.full((len(score), 25), -1, np.float32)
    return Pictures(name, kept, gain * score + offset, *none, train)


def recipe_of(count=1, **changes):
    return smoke(system="dri", stage="head", linear=0.4, data=[f"{k}.csv" for k in range(count)], **changes)


def test_it_learns_opinions_that_untrained_predictors_do_not_know(noisy):
    net, one = system(), set_of(noisy)
    before = predict(net, one)
    found = fit_linear(recipe_of(), net, [one])
    alone = net.linear(net.numbers(*map(torch.from_numpy, one.kept))).detach().numpy()[80:]
    assert srcc(alone, one.score[80:]) > 0.9
    assert found["some"] == srcc(predict(net, one), one.score[80:]) > srcc(before, one.score[80:])


def test_a_sets_own_scale_and_level_say_nothing(noisy):
    """Sets are rated by other people on other scales; one without a share is not learned from."""
    nets, halves = [system(), system()], (slice(None, None, 2), slice(1, None, 2))
    for net, (gain, offset) in zip(nets, ((1, 0), (0.1, 70)), strict=True):
        sets = [set_of(noisy, halves[0], "a", 40), set_of(noisy, halves[1], "b", 40, gain, offset)]
        noise = dataclasses.replace(sets[0], name="c", score=sets[0].score[::-1].copy())
        fit_linear(recipe_of(3, shares=[1.0, 1.0, 0.0]), net, [*sets, noise])
    torch.testing.assert_close(nets[0].linear.weigh.weight, nets[1].linear.weigh.weight, rtol=1e-3, atol=1e-5)


def test_it_speaks_on_the_scale_of_the_predictors(noisy):
    net, one = system(predictors=2), set_of(noisy)
    fit_linear(recipe_of(predictors=2), net, [one])
    seen = Seen.of(*(torch.from_numpy(part[:80]) for part in one.kept))
    with torch.no_grad():
        beside = torch.stack([part(seen).score for part in (net.predictor, *net.others)]).mean(0)
        said = net.linear(seen.numbers())
    torch.testing.assert_close(said.mean(), beside.mean(), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(said.std(), beside.std(), rtol=1e-3, atol=1e-4)


def test_it_is_heard_by_its_weight_and_never_by_more_than_so_much(noisy):
    net, one = system(), set_of(noisy)
    seen = Seen.of(*(torch.from_numpy(part[:4]) for part in one.kept))
    with torch.no_grad():
        beside = net.predictor(seen).score
        torch.nn.init.zeros_(net.linear.weigh.weight)
        for bias, change in ((float(beside[0]) + 0.5, 0.2), (1e6, 0.4 * APART), (-1e6, -0.4 * APART)):
            net.linear.weigh.bias.fill_(bias)
            torch.testing.assert_close(net.predict(seen).score[0], beside[0] + change)


def test_mfen_has_one_too():
    rng = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    net = MFEN(MFENConfig("van_tiny", "van_tiny", view=0, width=8, linear=1.0, pretrained=False)).eval()
    strength = torch.rand(120, generator=rng)
    x = (0.5 + 0.3 * strength[:, None, None, None] * torch.randn(120, 3, 64, 64, generator=rng)).clamp(0, 1)
    with torch.no_grad():
        kept = [part.numpy() for part in net.kept(x)]
    none = np.full((120, 26), -1, np.float32), np.full((120, 25), -1, np.float32)
    one = Pictures("some", kept, (100 * (1 - strength)).numpy(), *none, 80)
    found = fit_linear(smoke(system="mfen", stage="head", linear=1.0, data=["some.csv"]), net, [one])
    with torch.no_grad():
        alone = net.linear(net.numbers(*map(torch.from_numpy, kept))).numpy()[80:]
    assert srcc(alone, one.score[80:]) > 0.9
    assert found["some"] == srcc(predict(net, one), one.score[80:])


def test_without_one_there_is_nothing_to_fit(noisy):
    with pytest.raises(ValueError, match="got a DRI without a linear score, want --linear"):
        fit_linear(recipe_of(), system(linear=0.0), [set_of(noisy)])


def test_what_is_kept_of_pictures_is_the_same_with_and_without_one():
    assert fingerprint(system(), []) == fingerprint(system(linear=0.0), [])


@pytest.mark.slow
def test_the_stage_of_the_head_begins_from_a_start_without_one(rated, tmp_path):
    """Also with all predictors kept as they are, which are then alone with it."""
    recipe = smoke(system="dri", encoder="van_tiny", stage="head", predictors=2, data=["a.csv"])
    torch.manual_seed(0)
    weights = {f"system.{k}": v for k, v in build_system(recipe).state_dict().items()}
    torch.save({"state_dict": weights}, tmp_path / "start.ckpt")
    words = ["dri", "--smoke", "--encoder", "van_tiny", "--stage", "head", "--predictors", "2", "--linear", "0.4"]
    words += ["--kept-predictors", "2", "--data", str(rated / "set.csv"), "--start", str(tmp_path / "start.ckpt")]
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    after = torch.load(tmp_path / "run" / "best.ckpt", weights_only=True)["state_dict"]
    assert set(after) - set(weights) == {
        "system.linear.weigh.weight", "system.linear.weigh.bias", "system.linear.scale.running_mean",
        "system.linear.scale.running_var", "system.linear.scale.num_batches_tracked",
    }  # fmt: skip
    same = {k for k, v in weights.items() if torch.equal(v, after[k])}
    assert {k for k in weights if ".predictor." in k or ".others." in k} <= same
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["recipe"]["linear"] == 0.4
