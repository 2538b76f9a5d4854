"""The YOTO that ships: one network in two modes, the terms of our own around it, and every switch."""

import numpy as np
import pytest
import torch
from small_yoto import ALONE, MODES, PAPER_LIKE, pictures, tiny, tiny_extended
from torch.nn import functional as F

from iqassay.systems.blocks import GatedAttention
from iqassay.systems.yoto_extended import TOP
from iqassay.training.export import Deployed
from iqassay.training.recipes import Recipe

TERMS = [{}, {"whole_picture": False}, {"distance": False}, ALONE]


def ways_to_ask():
    """Everything that asks the network: itself, training and validation, the model file's graph in torch."""

    def direct(net, x, r):
        return net(x).score if r is None else net(x, r).score

    def training(net, x, r):
        from iqassay.training.lightning_module import Training  # takes seconds to load

        module = Training(Recipe(system="yoto", encoder="van_tiny", tokens=8, data=["a.csv"]), ["a"], 1, [(0.0, 1.0)])
        module.system = net
        return module.look({"x": x} if r is None else {"x": x, "reference": r}).score

    def deployed(net, x, r):
        size = 2 * sum(net.encoder.channels)
        graph = Deployed(net, torch.zeros(size), torch.ones(size, 1))
        return graph(x if r is None else torch.cat([x, r]), torch.tensor([len(x)]))[0]

    return [direct, pytest.param(training, marks=pytest.mark.slow), deployed]


@pytest.mark.slow
@pytest.mark.parametrize("ask", ways_to_ask(), ids=lambda way: way.__name__)
@torch.no_grad()
def test_fault_1_segment_row_1_is_the_references_and_row_0_all_elses(ask):
    net, (x, r) = tiny_extended(), pictures()
    before = ask(net, x, None), ask(net, x, r)
    for ha in net.network.ha:
        ha.segment[1] += torch.randn(8)
    after = ask(net, x, None), ask(net, x, r)
    assert torch.equal(before[0], after[0])  # nothing of row 1 in a score without a reference
    assert (before[1] != after[1]).all()
    for ha in net.network.ha:
        ha.segment[0] += torch.randn(8)
    assert (ask(net, x, None) != after[0]).all()
    assert (ask(net, x, r) != after[1]).all()


@pytest.mark.parametrize(("changes", "terms"), [({}, {}), (PAPER_LIKE, ALONE)], ids=["light", "paper"])
@torch.no_grad()
def test_fault_4_every_picture_goes_through_the_encoder_once(changes, terms):
    net, (x, r) = tiny_extended(terms, **changes), pictures(height=64, width=64)
    encode, seen = net.encoder.encode, []
    net.encoder.encode = lambda batch: seen.append(tuple(batch.shape)) or encode(batch)
    tokens = []
    net.network.ctr[0].register_forward_pre_hook(lambda _, streams: tokens.append(len(streams[0])))
    net(x)
    at_half_size = [] if changes else [(2, 3, 32, 32)]  # a second, smaller picture, not the same again
    assert seen == [(2, 3, 64, 64), *at_half_size]
    assert tokens == [2]
    seen.clear()
    net(x, r)
    assert seen == [(4, 3, 64, 64)]
    assert tokens == [2, 4]


@MODES
@torch.no_grad()
def test_without_its_terms_it_is_the_published_network(paired):
    net, (x, r) = tiny_extended(ALONE), pictures()
    published = tiny()
    published.load_state_dict(net.network.state_dict())
    mine, theirs = (one(x, r if paired else None) for one in (net, published))
    torch.testing.assert_close(mine.score, theirs.score)
    torch.testing.assert_close(mine.quality_map, theirs.quality_map)


@torch.no_grad()
def test_weights_of_0_1_0_find_their_place_under_the_network():
    """By themselves, as in a model file, and inside a checkpoint of training."""
    net, (x, r) = tiny_extended(), pictures()
    older = {key.removeprefix("network."): value + 0.01 for key, value in net.state_dict().items()}
    assert any(key.startswith("encoder.") for key in older)
    moved = tiny_extended()
    moved.load_state_dict(older)
    assert (moved(x, r).score != net(x, r).score).all()
    again = tiny_extended()
    again.load_state_dict(moved.state_dict())
    assert torch.equal(again(x, r).score, moved(x, r).score)
    holder = torch.nn.ModuleDict({"system": tiny_extended()})
    holder.load_state_dict({f"system.{key}": value for key, value in older.items()})
    assert torch.equal(holder["system"](x).score, moved(x).score)


@pytest.mark.slow
@pytest.mark.parametrize("terms", TERMS, ids=str)
@MODES
@torch.no_grad()
def test_weighted_mean_of_the_map_is_the_score(paired, terms):
    (x, r), net = pictures(), tiny_extended(terms)
    network = net.network
    tokens, other = network.tokens(network.encode(x)), network.tokens(network.encode(r if paired else x))
    cells = network.head(network.merged(tokens, other, torch.tensor(float(paired))))
    s, w = cells.quality, cells.weight
    answer = net(x, r) if paired else net(x)
    assert answer.quality_map.shape == (2, 1, 2, 3)
    assert s.std() > 0
    assert w.std() > 0
    torch.testing.assert_close((answer.quality_map[:, 0] * w).sum((1, 2)) / w.sum((1, 2)), answer.score)


@torch.no_grad()
def test_what_the_second_stage_trains_on_makes_the_score():
    net, (x, r) = tiny_extended(), pictures()
    torch.testing.assert_close(net.regressor(*net.kept(x)), net(x).score)
    torch.testing.assert_close(net.graded(*net.compared(x, r))[0], net(x, r).score)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(64, 64), (64, 96), (96, 64), (160, 128)])
@torch.no_grad()
def test_identical_pictures_score_exactly_the_top_and_others_less(size):
    net = tiny_extended()
    x, r = pictures(3, *size)
    answer = net(x, x.clone())
    assert (answer.score == TOP).all()
    assert (answer.quality_map == TOP).all()
    assert (net(x, r).score < TOP).all()
    almost = x.clone()
    almost[:, :, :8, :8] += 1 / 255
    answer = net(almost, x)
    assert (answer.score < TOP).all()
    assert (answer.quality_map[:, 0, 0, 0] < TOP).all()


def test_gradient_at_identity_is_zero_and_near_it_finite():
    net, (r, _) = tiny_extended(), pictures()
    for amount in (0, 1e-6, 1e-3):
        x = (r + amount * torch.randn(r.shape)).requires_grad_()
        net(x, r).score.sum().backward()
        assert torch.isfinite(x.grad).all()
        assert bool((x.grad != 0).any()) == (amount > 0)


@pytest.mark.parametrize("worsen", ["noise", "blur"])
@torch.no_grad()
def test_distance_grows_with_noise_and_with_blur(worsen):
    """By the distance alone: what the attention makes of it has to be learned."""
    net = tiny_extended()
    r = F.interpolate(pictures(2, 16, 16)[0], (64, 64), mode="bicubic").clamp(0, 1)
    r = (r + 0.05 * torch.randn(r.shape)).clamp(0, 1)
    noise, scores = torch.randn(r.shape), []
    for level in range(5):
        if worsen == "noise":
            x = r + 0.03 * level * noise
        else:
            x = r
            for _ in range(level):
                x = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), 3, 1)
        differences, answers = net.compared(x, r)
        alike = torch.tensor([0.0, 1.0]).expand_as(answers)  # every cell scaled by 1 and of one weight
        scores.append(net.graded(differences, alike)[0])
    assert (scores[0] == TOP).all()
    assert (np.diff(torch.stack(scores).numpy(), axis=0) < 0).all()


@pytest.mark.slow
@MODES
@torch.no_grad()
def test_answers_do_not_depend_on_the_batch(paired):
    net, (x, r) = tiny_extended(), pictures(3)
    together = net(x, r if paired else None).score
    alone = [net(x[i : i + 1], r[i : i + 1] if paired else None).score for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone))


SWITCHES = [
    {},
    {"adapter": "difference"},
    {"adapter": "concat"},
    {"sda": False},
    {"windows": False},
    {"segments": False},
    {"normalise": False},
    {"terms": ALONE},
    {"pool": (2, 2, 1, 1)},
    PAPER_LIKE,
    {"terms": ALONE, **PAPER_LIKE},
]


@pytest.mark.slow
@pytest.mark.parametrize("changes", SWITCHES, ids=str)
def test_every_switch_builds_answers_in_both_modes_and_learns(changes):
    net = tiny_extended(**changes).train()
    x, r = pictures(height=64, width=64)
    for reference in (None, r):
        answer = net(x, reference)
        assert answer.score.shape == (2,)
        assert answer.quality_map.shape == (2, 1, 2, 2)
        assert answer.extras["kind"].shape == (2, 26)
        assert answer.extras["severity"].shape == (2, 25)
        said = [answer.score, answer.extras["kind"], answer.extras["severity"]]
        torch.cat([part.flatten() for part in said]).square().sum().backward()
    silent = [name for name, p in net.named_parameters() if p.grad is None]
    assert not silent, f"no gradient reaches {silent}"
    for name, p in net.named_parameters():
        if name.endswith("segment"):
            assert (p.grad.abs().sum(1) > 0).all(), name


def test_segment_of_references_learns_from_references_alone():
    net, (x, r) = tiny_extended(), pictures()
    net(x).score.sum().backward()
    assert all((ha.segment.grad[1] == 0).all() for ha in net.network.ha)
    net(x, r).score.sum().backward()
    assert all((ha.segment.grad[1] != 0).any() for ha in net.network.ha)


def test_switched_off_parts_do_not_exist():
    net = tiny_extended(ALONE, sda=False, windows=False, segments=False, normalise=False)
    assert {name.split(".")[0] for name, _ in net.named_parameters()} == {"network", "distortions"}
    names = {name.split(".")[0] for name, _ in net.network.named_parameters()}
    assert names == {"encoder", "embed", "ctr", "ha", "merge", "local", "weight"}
    assert sum(isinstance(module, GatedAttention) for module in net.modules()) == 4
    assert len(net.network.merge) == 4


def test_naming_distortions_teaches_the_encoder_nothing():
    net, (x, _) = tiny_extended(), pictures()
    net(x).extras["kind"].sum().backward()
    assert net.distortions.kind.weight.grad is not None
    assert all(p.grad is None for p in net.encoder.parameters())


def test_wrong_references_are_refused():
    x, _ = pictures()
    with pytest.raises(ValueError, match=r"got x of shape \(2, 3, 64, 96\) and reference of \(1, 3, 64, 96\)"):
        tiny_extended()(x, x[:1])
    with pytest.raises(ValueError, match="want \\(B, 3, H, W\\) with H and W multiples of 32"):
        tiny_extended()(torch.rand(1, 3, 65, 64))
