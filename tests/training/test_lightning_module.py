"""What a training step on crops does: which losses it takes, and what it leaves as it was."""

import pytest
import torch

from iqassay.training.lightning_module import Training
from iqassay.training.recipes import Recipe, smoke

pytestmark = pytest.mark.slow


def training(**changes):
    recipe = smoke(data=["set.csv"], **{"encoder": "van_tiny", "tokens": 8, **changes})
    torch.manual_seed(0)
    return Training(recipe, ["set"], 1, [(50.0, 20.0)])


def batch_of(count=6, reference=False):
    generator = torch.Generator().manual_seed(1)
    kind, severity = torch.full((count, 26), -1.0), torch.full((count, 25), -1.0)
    for i in range(count - 1):
        kind[i] = torch.eye(26)[i % 2]
        severity[i, i % 2] = 2
    batch = {
        "x": torch.rand(count, 3, 64, 64, generator=generator),
        "score": torch.tensor([0.0, 0.1, 1.5, 1.6, -1.5, -1.6])[:count],
        "dataset": torch.zeros(count, dtype=torch.long),
        "kind": kind,
        "severity": severity,
    }
    return batch | ({"reference": torch.rand(count, 3, 64, 64, generator=generator)} if reference else {})


def gradient(module, batch):
    torch.manual_seed(2)  # of dropout
    module.training_step(batch, 0).backward()
    return {name: p.grad for name, p in module.system.predictor.named_parameters() if p.grad is not None}


def test_the_representation_loss_is_in_the_stage_on_crops():
    """There it did not exist: a row of the ablation without it was the whole system to the bit."""
    whole, without = (gradient(training(system="dri", representation=w), batch_of()) for w in (0.1, 0.0))
    differ = [name for name in without if not torch.equal(whole[name], without[name])]
    assert {name.split(".")[0] for name in differ} >= {"quality", "degradation", "rounds"}


@pytest.mark.parametrize("encoder", ["van_tiny", "efficientnet_lite0"])
@pytest.mark.parametrize("system", ["mfen", "yoto", "dri"])
def test_what_is_fixed_does_not_move(system, encoder):
    """A VAN's batch normalisations followed the pictures, fixed or not."""
    module = training(system=system, encoder=encoder, frozen=3, dan_frozen=3)
    levels = {f"encoder {i}": module.system.encoder.levels[i] for i in range(4)}
    if system == "mfen":
        levels["dan 0"] = module.system.dan.levels[0]
    if system == "dri":
        levels |= {"assistant 0": module.system.degradation, "assistant 1": module.system.restorer}
    before = {name: {k: v.clone() for k, v in level.state_dict().items()} for name, level in levels.items()}
    module.eval()
    module.train()  # as after a validation
    optimizer = torch.optim.SGD([p for p in module.parameters() if p.requires_grad], 0.1)
    module.training_step(batch_of(reference=system == "yoto"), 0).backward()
    optimizer.step()
    moved = {
        n for n, level in levels.items() for k, v in level.state_dict().items() if not torch.equal(v, before[n][k])
    }
    assert moved == {"encoder 3"}


def test_an_ablation_without_the_representation_loss_is_another_training(rated, tmp_path):
    from iqassay.training.fit import fit

    data = [str(rated / "set.csv")]
    states = []
    for weight in (0.1, 0.0):
        made = {"encoder": "van_tiny", "frozen": 0, "epochs": 1, "steps": 2, "batch": 12}
        out = tmp_path / f"run-{weight}"
        fit(smoke(system="dri", data=data, out=out, representation=weight, average=0.0, **made))
        states.append(torch.load(out / "last.ckpt", weights_only=False)["state_dict"])
    assert not torch.equal(*(state["system.predictor.quality.weight"] for state in states))


@pytest.mark.parametrize("system", ["mfen", "yoto"])
@torch.no_grad()
def test_the_answer_to_several_crops_is_the_mean_of_the_answers(system):
    """A picture that is judged by several crops, as papers test."""
    torch.manual_seed(0)
    recipe = Recipe(system=system, encoder="van_tiny", tokens=8, data=["a.csv"], batch=4)
    module = Training(recipe, ["a"], 1, [(0.0, 1.0)]).eval()
    pictures = torch.rand(2, 2, 3, 3, 64, 64)  # of two pictures, and their references, three crops
    batch = dict(zip(("x", "reference"), pictures[: 1 + (system == "yoto")], strict=False))
    found = module.look(batch)
    for i in range(2):
        alone = module.look({name: crops[i] for name, crops in batch.items()})
        torch.testing.assert_close(found.score[i], alone.score.mean())
        torch.testing.assert_close(found.quality_map[i], alone.quality_map.mean(0))
        torch.testing.assert_close(found.extras["kind"][i], alone.extras["kind"].mean(0))
