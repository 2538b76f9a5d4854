"""YOTO and its parts: one network in two modes, every switch, and each fault of the official release kept out.

test_fault_N_... stands for fault N of the seven; those of the data pipeline, of training and of the model file are in
test_pipeline.py, test_training.py and test_export.py.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from iqassay.systems.blocks import GatedAttention
from iqassay.systems.yoto import TOP, YOTO, ChannelAttention, HierarchicalAttention, YOTOConfig, cut, paste
from iqassay.training.export import Deployed
from iqassay.training.lightning_module import Training
from iqassay.training.recipes import Recipe

TINY = {"encoder": "van_tiny", "width": 8, "pretrained": False}
PAPER_LIKE = {"pool": (1, 1, 1, 1), "crop": 64, "statistics": False}  # the paper's form, small
MODES = pytest.mark.parametrize("paired", [False, True], ids=["no-reference", "full-reference"])


def tiny(**changes):
    torch.manual_seed(0)
    return YOTO(YOTOConfig(**(TINY | changes))).eval()


def pictures(batch=2, height=64, width=96, seed=0):
    """Two batches of pictures that differ."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, batch, 3, height, width, generator=generator)


def shut(attention):
    """Close the gate: GELU(0) is 0, so that nothing is added."""
    torch.nn.init.zeros_(attention.gate.weight)
    torch.nn.init.zeros_(attention.gate.bias)


def ways_to_ask():
    """Everything that asks the network: itself, training and validation, the model file's graph in torch."""

    def direct(net, x, r):
        return net(x).score if r is None else net(x, r).score

    def training(net, x, r):
        module = Training(Recipe(system="yoto", encoder="van_tiny", tokens=8, data=["a.csv"]), ["a"], 1, [(0.0, 1.0)])
        module.system = net
        return module.look({"x": x} if r is None else {"x": x, "reference": r}).score

    def deployed(net, x, r):
        size = 2 * sum(net.encoder.channels)
        graph = Deployed(net, torch.zeros(size), torch.ones(size, 1))
        return graph(x if r is None else torch.cat([x, r]), torch.tensor([len(x)]))[0]

    return [direct, training, deployed]


# ------------------------------------------------------------------------------------------- the faults of the release


@pytest.mark.parametrize("ask", ways_to_ask(), ids=lambda way: way.__name__)
@torch.no_grad()
def test_fault_1_segment_row_1_is_the_references_and_row_0_all_elses(ask):
    net, (x, r) = tiny(), pictures()
    before = ask(net, x, None), ask(net, x, r)
    for ha in net.ha:
        ha.segment[1] += torch.randn(8)
    after = ask(net, x, None), ask(net, x, r)
    assert torch.equal(before[0], after[0])  # nothing of row 1 in a score without a reference
    assert (before[1] != after[1]).all()
    for ha in net.ha:
        ha.segment[0] += torch.randn(8)
    assert (ask(net, x, None) != after[0]).all()
    assert (ask(net, x, r) != after[1]).all()


@MODES
@torch.no_grad()
def test_fault_1_each_stream_gets_its_own_segment(paired):
    net, seen = tiny(), []
    x, r = torch.rand(2, 2, 2, 3, 8)
    net.ha[0].whole.register_forward_pre_hook(lambda _, streams: seen.extend(streams))
    net.ha[0](x, r if paired else x, torch.tensor(float(paired)))
    tokens, query, source = seen
    torch.testing.assert_close(tokens, (x + net.ha[0].segment[0]).flatten(1, 2))
    torch.testing.assert_close(query, ((r if paired else x) + net.ha[0].segment[int(paired)]).flatten(1, 2))
    assert source is tokens


@torch.no_grad()
def test_fault_3_channel_attention_of_the_paper_is_the_naive_loop_over_channels():
    torch.manual_seed(0)
    ctr = ChannelAttention(5, 6, 0.1).eval()
    x = torch.randn(1, 6, 5)  # six positions, five channels
    rows = [x[0, :, c] for c in range(5)]
    for c, row in enumerate(rows):
        scores = torch.stack([ctr.q(row) @ ctr.k(other) / math.sqrt(6) for other in rows])
        found = sum(weight * ctr.v(other) for weight, other in zip(scores.softmax(0), rows, strict=True))
        torch.testing.assert_close(ctr(x)[0, :, c], row + F.gelu(ctr.gate(row)) * found)


@torch.no_grad()
def test_fault_3_light_channel_attention_keeps_positions_and_channels_apart():
    torch.manual_seed(0)
    ctr, x = ChannelAttention(8, None, 0.1).eval(), torch.randn(2, 12, 8)
    out, places, channels = ctr(x), torch.randperm(12), torch.randperm(8)
    torch.testing.assert_close(ctr(x[:, places]), out[:, places])
    for linear in (ctr.q, ctr.k, ctr.v, ctr.gate):
        linear.weight.copy_(linear.weight[channels][:, channels])
        linear.bias.copy_(linear.bias[channels])
    torch.testing.assert_close(ctr(x[:, :, channels]), out[:, :, channels])
    assert (out != x).any()


@pytest.mark.parametrize("tokens", [None, 12])
@torch.no_grad()
def test_fault_3_the_skip_is_added_once(tokens):
    ctr, x = ChannelAttention(8, tokens, 0.1).eval(), torch.randn(2, 12, 8)
    shut(ctr)
    assert torch.equal(ctr(x), x)


@pytest.mark.parametrize("changes", [{}, PAPER_LIKE], ids=["light", "paper"])
@torch.no_grad()
def test_fault_4_every_picture_goes_through_the_encoder_once(changes):
    net, (x, r) = tiny(**changes), pictures(height=64, width=64)
    encode, seen = net.encoder.encode, []
    net.encoder.encode = lambda batch: seen.append(tuple(batch.shape)) or encode(batch)
    tokens = []
    net.ctr[0].register_forward_pre_hook(lambda _, streams: tokens.append(len(streams[0])))
    net(x)
    at_half_size = [] if changes else [(2, 3, 32, 32)]  # a second, smaller picture, not the same again
    assert seen == [(2, 3, 64, 64), *at_half_size]
    assert tokens == [2]
    seen.clear()
    net(x, r)
    assert seen == [(4, 3, 64, 64)]
    assert tokens == [2, 4]


@MODES
def test_fault_5_only_the_crop_fits_the_papers_configuration(paired):
    net = tiny(**PAPER_LIKE)
    x, r = pictures(height=64, width=64)
    assert net(*([x, r] if paired else [x])).score.shape == (2,)
    for height, width in ((96, 96), (64, 96), (32, 32), (32, 128)):  # the last has as many tokens as the crop
        x, r = pictures(height=height, width=width)
        with pytest.raises(ValueError, match=f"^got pictures of {width}x{height} pixels, want crops of 64x64$"):
            net(*([x, r] if paired else [x]))


# --------------------------------------------------------------------------------------------------------------- parts


@torch.no_grad()
def test_hierarchical_attention_is_its_formula_with_and_without_a_reference():
    torch.manual_seed(0)
    ha = HierarchicalAttention(YOTOConfig(**TINY, windows=False), True).eval()
    x, r = torch.randn(2, 1, 4, 6, 8)

    def naive(x, r):  # query from the reference, key and value from x
        x, r = x.reshape(24, 8), r.reshape(24, 8)
        a = ha.whole
        weights = (a.q(r) @ a.k(x).T / math.sqrt(8)).softmax(1)
        return (x + F.gelu(a.gate(x)) * (weights @ a.v(x))).reshape(1, 4, 6, 8)

    one, two = ha.segment
    torch.testing.assert_close(ha(x, r, torch.ones(())), naive(x + one, r + two))
    torch.testing.assert_close(ha(x, x, torch.zeros(())), naive(x + one, x + one))


@torch.no_grad()
def test_local_attention_stays_in_its_window_and_global_attention_does_not():
    torch.manual_seed(0)
    ha = HierarchicalAttention(YOTOConfig(**TINY), True).eval()
    x, r = torch.randn(2, 1, 4, 6, 8)
    other = x.clone()
    other[0, 2:, 3:] += torch.randn(2, 3, 8)  # the quadrant below on the right

    def changed():
        difference = ha(other, r, torch.ones(())) - ha(x, r, torch.ones(()))
        return [bool(q.any()) for q in cut(difference, (2, 2))]

    assert changed() == [True] * 4
    shut(ha.whole)
    assert changed() == [False, False, False, True]
    moved = r.clone()
    moved[0, 2:, 3:] += torch.randn(2, 3, 8)
    difference = ha(x, moved, torch.ones(())) - ha(x, r, torch.ones(()))
    assert [bool(q.any()) for q in cut(difference, (2, 2))] == [False, False, False, True]


def test_cutting_keeps_the_tokens_of_a_part_together_in_reading_order():
    places = torch.stack(torch.meshgrid(torch.arange(4), torch.arange(6), indexing="ij"), 2)[None]  # (1, 4, 6, 2)
    parts = cut(places, (2, 3))
    assert parts.shape == (6, 4, 2)
    assert parts[0].tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert parts[5].tolist() == [[2, 4], [2, 5], [3, 4], [3, 5]]
    assert torch.equal(paste(parts, places, (2, 3)), places)


@torch.no_grad()
def test_shallow_tokens_attend_to_the_deep_tokens_of_their_own_cell_alone():
    net = tiny(pool=(1, 1, 1, 1))
    x, _ = pictures(batch=1)
    tokens, outputs = net.tokens(net.see(x)), {}
    assert list(net.sda) == ["01", "02", "03", "12", "13", "23"]
    for norm, pair in zip(net.merge[4:], net.sda, strict=True):
        norm.register_forward_pre_hook(lambda _, maps, pair=pair: outputs.update({pair: maps[0]}))

    def said(tokens):
        net.cells(tokens, tokens, torch.zeros(()))
        return dict(outputs)

    before = said(tokens)
    for deep in range(1, 4):
        side = 2 ** (3 - deep)  # tokens along a cell
        other = [t.clone() for t in tokens]
        other[deep][:, side : 2 * side, :side] += torch.randn(8)  # the cell in the second row and first column of 2x3
        after = said(other)
        for i in range(deep):
            change = (after[f"{i}{deep}"] - before[f"{i}{deep}"]).abs().sum(3)[0]
            side = 2 ** (3 - i)
            in_cells = change.reshape(2, side, 3, side).transpose(1, 2)
            assert (in_cells[1, 0] > 0).all()
            in_cells[1, 0] = 0
            assert (in_cells == 0).all()
        for pair in ("01", "02", "03", "12", "13", "23"):  # a query is a shallow token of x, and the attention one way
            assert (str(deep) in pair) == bool((after[pair] != before[pair]).any()), pair


@pytest.mark.parametrize("changes", [{}, {"statistics": False}])
@MODES
@torch.no_grad()
def test_weighted_mean_of_the_map_is_the_score(paired, changes):
    net, (x, r) = tiny(**changes), pictures()
    tokens, other = net.tokens(net.see(x)), net.tokens(net.see(r if paired else x))
    s, w, _ = net.cells(tokens, other, torch.tensor(float(paired)))
    answer = net(x, r) if paired else net(x)
    assert answer.quality_map.shape == (2, 1, 2, 3)
    assert s.std() > 0
    assert w.std() > 0
    torch.testing.assert_close((answer.quality_map[:, 0] * w).sum((1, 2)) / w.sum((1, 2)), answer.score)


@torch.no_grad()
def test_what_the_second_stage_trains_on_makes_the_score():
    net, (x, r) = tiny(), pictures()
    torch.testing.assert_close(net.regressor(*net.kept(x)), net(x).score)
    torch.testing.assert_close(net.graded(*net.compared(x, r))[0], net(x, r).score)


# ------------------------------------------------------------------------------------------------------ the two modes


@pytest.mark.parametrize("size", [(64, 64), (64, 96), (96, 64), (160, 128)])
@torch.no_grad()
def test_identical_pictures_score_exactly_the_top_and_others_less(size):
    net = tiny()
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
    net, (r, _) = tiny(), pictures()
    for amount in (0, 1e-6, 1e-3):
        x = (r + amount * torch.randn(r.shape)).requires_grad_()
        net(x, r).score.sum().backward()
        assert torch.isfinite(x.grad).all()
        assert bool((x.grad != 0).any()) == (amount > 0)


@pytest.mark.parametrize("worsen", ["noise", "blur"])
@torch.no_grad()
def test_distance_grows_with_noise_and_with_blur(worsen):
    """By the distance alone: what the attention makes of it has to be learned."""
    net = tiny()
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


@MODES
@torch.no_grad()
def test_answers_do_not_depend_on_the_batch(paired):
    net, (x, r) = tiny(), pictures(3)
    together = net(x, r if paired else None).score
    alone = [net(x[i : i + 1], r[i : i + 1] if paired else None).score for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone))


# ------------------------------------------------------------------------------------------------------------ switches


SWITCHES = [
    {},
    {"adapter": "difference"},
    {"adapter": "concat"},
    {"sda": False},
    {"windows": False},
    {"segments": False},
    {"statistics": False},
    {"pool": (2, 2, 1, 1)},
    PAPER_LIKE,
]


@pytest.mark.parametrize("changes", SWITCHES, ids=str)
def test_every_switch_builds_answers_in_both_modes_and_learns(changes):
    net = tiny(**changes).train()
    x, r = pictures(height=64, width=64)
    for reference in (None, r):
        answer = net(x, reference)
        assert answer.score.shape == (2,)
        assert answer.quality_map.shape == (2, 1, 2, 2)
        said = [answer.score]
        if net.config.statistics:
            assert answer.extras["kind"].shape == (2, 26)
            assert answer.extras["severity"].shape == (2, 25)
            said += [answer.extras["kind"], answer.extras["severity"]]
        else:
            assert not answer.extras
        torch.cat([part.flatten() for part in said]).square().sum().backward()
    silent = [name for name, p in net.named_parameters() if p.grad is None]
    assert not silent, f"no gradient reaches {silent}"
    for name, p in net.named_parameters():
        if name.endswith("segment"):
            assert (p.grad.abs().sum(1) > 0).all(), name


def test_segment_of_references_learns_from_references_alone():
    net, (x, r) = tiny(), pictures()
    net(x).score.sum().backward()
    assert all((ha.segment.grad[1] == 0).all() for ha in net.ha)
    net(x, r).score.sum().backward()
    assert all((ha.segment.grad[1] != 0).any() for ha in net.ha)


def test_switched_off_parts_do_not_exist():
    net = tiny(sda=False, windows=False, segments=False, statistics=False)
    names = {name.split(".")[0] for name, _ in net.named_parameters()}
    assert names == {"encoder", "embed", "ctr", "ha", "merge", "local", "weight"}
    assert sum(isinstance(module, GatedAttention) for module in net.modules()) == 4
    assert len(net.merge) == 4


def test_naming_distortions_teaches_the_encoder_nothing():
    net, (x, _) = tiny(), pictures()
    net(x).extras["kind"].sum().backward()
    assert net.distortions.kind.weight.grad is not None
    assert all(p.grad is None for p in net.encoder.parameters())


def test_the_paper_configuration_builds_and_answers_in_both_modes():
    pytest.importorskip("transformers")
    with torch.device("meta"):  # shapes without numbers: no memory and no time
        net, x = YOTO(YOTOConfig.paper()).eval(), torch.rand(1, 3, 224, 224)
        assert net(x).quality_map.shape == net(x, x).quality_map.shape == (1, 1, 7, 7)
    millions = sum(p.numel() for p in net.parameters()) / 1e6
    assert millions == pytest.approx(83.8, rel=0.01)  # counted from the official code; 29.5 of them in the first CTR
    assert sum(p.numel() for p in net.ctr[0].parameters()) / 1e6 == pytest.approx(29.5, rel=0.01)
    net = YOTO(replace(YOTOConfig.paper(), width=16)).eval()  # and with numbers, narrow
    x, r = pictures(1, 224, 224)
    with torch.no_grad():
        without, beside = net(x).score, net(x, r).score
    assert torch.isfinite(without)
    assert torch.isfinite(beside)
    assert without != beside


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 1, 64, 64), (1, 3, 65, 64)])
def test_wrong_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="want \\(B, 3, H, W\\) with H and W multiples of 32"):
        tiny()(torch.rand(shape))


def test_wrong_references_and_settings_are_refused():
    x, _ = pictures()
    with pytest.raises(ValueError, match=r"got x of shape \(2, 3, 64, 96\) and reference of \(1, 3, 64, 96\)"):
        tiny()(x, x[:1])
    with pytest.raises(ValueError, match="got adapter 'sum', want one of attention, difference, concat"):
        tiny(adapter="sum")
