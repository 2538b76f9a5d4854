"""DRI-IQA: two vectors that say something to each other, a restorer that says something to both, and every switch."""

import pytest
import torch
from torch.nn import functional as F

from iqassay.systems.blocks import pool_statistics
from iqassay.systems.dri import DRI, DRIConfig, Seen
from iqassay.training.losses import score_loss

TINY = {"encoder": "van_tiny", "vector": 12, "width": 8, "pretrained": False}
OFF = ("restoration", "interaction", "two_vectors")
PARTS = {"encoder", "degradation", "restorer", "predictor", "distortions"}
SWITCHES = pytest.mark.parametrize("off", [(), *((name,) for name in (*OFF, "assistance")), OFF[:2], OFF], ids="-".join)


def tiny(off=(), **changes):
    """A small network as training may leave it: the parts that start as the identity are not that, and degradations
    are known."""
    torch.manual_seed(0)
    net = DRI(DRIConfig(**(TINY | changes | dict.fromkeys(off, False)))).eval()
    for name, parameter in net.named_parameters():
        if ".modulate" in name or "restorer.leave" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    net.known.copy_(F.normalize(torch.randn(net.known.shape), dim=1))
    return net


def pictures(batch=2, height=64, width=96, seed=0):
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


# -------------------------------------------------------------------------------------------------------- the answers


@pytest.mark.parametrize("size", [(64, 64), (64, 160), (128, 96)])
@torch.no_grad()
def test_shapes_and_ranges_at_any_multiple_of_32_from_64(size):
    height, width = size
    answer = tiny()(5 * pictures(2, *size) - 2)  # far out of range, so that the estimate has to be held
    more = answer.extras
    assert answer.score.shape == (2,)
    assert answer.quality_map.shape == (2, 1, height // 32, width // 32)
    assert more["estimate"].shape == (2, 3, height, width)
    assert (more["estimate"].min(), more["estimate"].max()) == (0, 1)
    assert more["nearness"].shape == (2, 126)
    assert more["nearness"].abs().max() <= 1 + 1e-6
    assert more["vectors"].shape == (2, 2, 8)
    assert (more["kind"].shape, more["severity"].shape) == ((2, 26), (2, 25))
    assert ((more["severity"] >= 0) & (more["severity"] <= 5)).all()
    assert more["statistics"].shape == (2, 2 * (8 + 16 + 32 + 64))


@torch.no_grad()
def test_statistics_are_those_of_the_encoder_at_full_size_as_the_other_systems_have_them():
    net, x = tiny(), pictures()
    found = net(x).extras["statistics"]
    means = [f.mean((2, 3)) for f in net.encoder.encode(x)]
    torch.testing.assert_close(found[:, :8], means[0])
    torch.testing.assert_close(found[:, -128:-64], means[3])


@pytest.mark.slow
@SWITCHES
@torch.no_grad()
def test_what_the_second_stage_trains_on_makes_the_score_and_the_map(off):
    net, x = tiny(off), pictures()
    answer, said = net(x), net.predictor(Seen.of(*net.kept(x)))
    s, w = said.local, said.weight
    torch.testing.assert_close(said.score, answer.score)
    torch.testing.assert_close(torch.stack(said.vectors, 1), answer.extras["vectors"])
    assert s.std() > 0
    assert w.std() > 0
    torch.testing.assert_close((answer.quality_map.flatten(1) * w).sum(1) / w.sum(1), answer.score)


@torch.no_grad()
def test_answers_do_not_depend_on_the_batch_and_are_the_same_again():
    net, x = tiny(), pictures(3)
    together, again = net(x), net(x)
    assert torch.equal(together.score, again.score)
    assert torch.equal(together.quality_map, again.quality_map)
    alone = [net(x[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(together.score, torch.cat([a.score for a in alone]), rtol=1e-4, atol=1e-5)
    for name, values in together.extras.items():
        torch.testing.assert_close(values, torch.cat([a.extras[name] for a in alone]), rtol=1e-4, atol=1e-5)


@SWITCHES
@torch.no_grad()
def test_how_many_cells_there_are_does_not_matter(off):
    """The second stage sees a few cells of a picture, the scorer all of them."""
    net = tiny(off)
    kept = net.kept(pictures())
    often = [v.repeat(1, 9, 1) if v.ndim == 3 else v for v in kept]
    shuffled = [v[:, torch.arange(v.shape[1]).flip(0)] if v.ndim == 3 else v for v in kept]
    said = net.predictor(Seen.of(*kept))
    for other in (often, shuffled):
        found = net.predictor(Seen.of(*other))
        torch.testing.assert_close(found.score, said.score)
        torch.testing.assert_close(found.vectors, said.vectors)


# ---------------------------------------------------------------------------------------------------------- two vectors


def vectors_of(net, kept):
    """The two vectors after their interaction."""
    return net.predictor(Seen.of(*kept)).vectors


def changed(kept, i):
    return [v + torch.randn(v.shape) if k == i else v for k, v in enumerate(kept)]


@torch.no_grad()
def test_the_vectors_say_something_to_each_other_both_ways_and_nothing_without_interaction():
    for interaction in (True, False):
        net = tiny(() if interaction else ("interaction",))
        kept = net.kept(pictures())
        q, d = vectors_of(net, kept)
        for i, own, other in ((2, 1, 0), (1, 0, 1)):  # the degradation vector changes, then the picture's cells
            moved = vectors_of(net, changed(kept, i))
            assert (moved[own] != (q, d)[own]).any()
            assert (moved[other] != (q, d)[other]).any() == interaction


@torch.no_grad()
def test_each_round_tells_each_vector_of_the_other():
    net = tiny(rounds=1)
    tokens, restored, q, d = torch.randn(2, 6, 8), torch.randn(2, 6, 8), torch.randn(2, 1, 8), torch.randn(2, 1, 8)
    (interact,) = net.predictor.rounds
    before = interact(q, d, tokens, restored)
    after = interact(q, d + torch.randn(2, 1, 8), tokens, restored)
    assert (after[0] != before[0]).any()
    after = interact(q + torch.randn(2, 1, 8), d, tokens, restored)
    assert (after[1] != before[1]).any()
    after = interact(q, d, tokens + torch.randn(2, 6, 8), restored)  # the picture is for quality,
    assert (after[0] != before[0]).any()
    assert torch.equal(after[1], before[1])
    after = interact(q, d, tokens, restored + torch.randn(2, 6, 8))  # what was restored for degradation
    assert torch.equal(after[0], before[0])
    assert (after[1] != before[1]).any()


@torch.no_grad()
def test_one_vector_alone_still_hears_of_the_degradation():
    net = tiny(("two_vectors",))
    kept = net.kept(pictures())
    (q,) = vectors_of(net, kept)
    assert (vectors_of(net, changed(kept, 2))[0] != q).any()


# ------------------------------------------------------------------------------------------------- the restorer's part


@torch.no_grad()
def test_several_predictors_answer_by_their_mean():
    net, x = tiny(predictors=3), pictures()
    answer, said = net(x), [one(Seen.of(*net.kept(x))) for one in (net.predictor, *net.others)]
    scores = torch.stack([one.score for one in said])
    assert (scores.std(0) > 0).all()  # they begin with weights of their own
    torch.testing.assert_close(answer.score, scores.mean(0))
    torch.testing.assert_close(torch.stack(said[0].vectors, 1), answer.extras["vectors"])
    shown = torch.stack([one.local for one in said]).mean(0)
    mapped = answer.quality_map.flatten(1)
    torch.testing.assert_close(mapped - mapped.mean(1, keepdim=True), shown - shown.mean(1, keepdim=True))


@torch.no_grad()
def test_score_depends_on_every_thing_that_is_kept():
    net = tiny()
    kept = net.kept(pictures())
    assert len(kept) == 5
    before = net.predictor(Seen.of(*kept)).score
    for i in range(5):
        assert (net.predictor(Seen.of(*changed(kept, i))).score != before).all(), i


@torch.no_grad()
def test_score_depends_on_the_estimate_and_on_the_decoders_maps():
    net, x = tiny(), pictures()
    before, restore = net(x).score, net.restorer.forward
    estimate, maps = restore(x, net.degradation(x, pool_statistics(net.encoder.encode(x))))
    for i in range(4):  # the estimate, and each of the three maps
        moved = [v + 0.3 * torch.rand_like(v) if k == i else v for k, v in enumerate((estimate, *maps))]
        net.restorer.forward = lambda *_, moved=moved: (moved[0], moved[1:])
        assert (net(x).score != before).all(), i


@torch.no_grad()
def test_without_a_restorer_the_estimate_is_the_picture():
    x = pictures()
    assert torch.equal(tiny(("restoration",))(x).extras["estimate"], x)
    assert not torch.equal(tiny()(x).extras["estimate"], x)


@torch.no_grad()
def test_without_assistance_the_estimate_is_made_and_the_score_does_not_hear_it():
    net, x = tiny(("assistance",)), pictures()
    before = net(x)
    assert not torch.equal(before.extras["estimate"], x)
    torch.testing.assert_close(net.restored(x, before.extras["degradation"]), before.extras["estimate"])
    net.restorer.forward = lambda x, d: (x, [])
    after = net(x)
    assert torch.equal(after.score, before.score)
    assert torch.equal(after.extras["estimate"], x)
    assert len(net.kept(x)) == 3


@torch.no_grad()
def test_nearness_is_the_cosine_to_what_is_known():
    net, x = tiny(), pictures()
    z = net.degradation.embed(net.degradation(x, pool_statistics(net.encoder.encode(x))))
    net.known[7], net.known[125] = z[0], -z[1]
    nearness = net(x).extras["nearness"]
    torch.testing.assert_close(nearness[0, 7], torch.tensor(1.0))
    torch.testing.assert_close(nearness[1, 125], torch.tensor(-1.0))


# ------------------------------------------------------------------------------------------------------------ switches


@pytest.mark.slow
@SWITCHES
def test_every_switch_builds_answers_and_learns(off):
    net, x = tiny(off).train(), pictures()
    answer = net(x)
    assert answer.score.shape == (2,)
    assert answer.extras["vectors"].shape == (2, 1 if "two_vectors" in off else 2, 8)
    said = [answer.score, *(answer.extras[k] for k in ("kind", "severity", "estimate", "nearness"))]
    torch.cat([part.flatten() for part in said]).square().sum().backward()
    silent = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    silent = [name for name in silent if not name.endswith(".k.bias")]  # no attention depends on it
    assert not silent, f"no gradient reaches {silent}"


def test_switched_off_parts_do_not_exist():
    def names(*off):
        net = tiny(off)
        found = {name.split(".")[0] for name, _ in net.named_parameters()}
        return found, {name.split(".")[0] for name, _ in net.predictor.named_parameters()}

    everything = {"embed", "quality", "cells", "regressor"}
    restoring, vector, talking = {"embed_restored", "fuse"}, {"degradation"}, {"rounds", "modulate"}
    assert names() == (PARTS, everything | restoring | vector | talking)
    assert names("restoration") == (PARTS - {"restorer"}, everything | vector | talking)
    assert names("assistance") == (PARTS, everything | vector | talking)
    assert names("interaction") == (PARTS, everything | restoring | vector)
    assert names("two_vectors") == (PARTS, everything | restoring | {"rounds"})
    assert names(*OFF) == (PARTS - {"restorer"}, everything)
    assert all(round.degradation is None for round in tiny(("two_vectors",)).predictor.rounds)
    assert len(tiny(rounds=3).predictor.rounds) == 3


def test_naming_distortions_teaches_nothing_else():
    net = tiny()
    answer = net(pictures()).extras
    (answer["kind"].sum() + answer["severity"].sum()).backward()
    assert {name.split(".")[0] for name, p in net.named_parameters() if p.grad is not None} == {"distortions"}


def test_flat_picture_has_finite_gradients():
    x = torch.full((1, 3, 64, 64), 0.5, requires_grad=True)
    tiny()(x).score.sum().backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.slow
def test_the_paper_configuration_builds_scores_and_learns():
    pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = DRIConfig.paper()
    assert (config.encoder, config.vector, config.width) == ("swin_t", 256, 256)
    net = DRI(config)
    optimizer, x, target = torch.optim.SGD(net.parameters(), 0.01), pictures(2, 64, 64), torch.tensor([-1.0, 1.0])
    before = net.encoder.levels[0].state_dict()
    before = {key: value.clone() for key, value in before.items()}
    answer = net(x)
    assert answer.quality_map.shape == (2, 1, 2, 2)
    score_loss(answer.score, target).backward()
    optimizer.step()
    assert any((value != before[key]).any() for key, value in net.encoder.levels[0].state_dict().items())
    with torch.no_grad():
        assert torch.isfinite(net.eval()(x).score).all()


# ---------------------------------------------------------------------------------------------------------- wrong input


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 1, 64, 64), (1, 3, 65, 64)])
def test_wrong_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="want \\(B, 3, H, W\\) with H and W multiples of 32"):
        tiny()(torch.rand(shape))


def test_a_reference_is_refused_in_one_line():
    with pytest.raises(ValueError, match=r"^got a reference, but DRI-IQA scores pictures by themselves$"):
        tiny()(pictures(), pictures(seed=1))
