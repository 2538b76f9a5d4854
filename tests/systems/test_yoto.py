"""The published YOTO and its parts, with each fault of the official release kept out.

test_fault_N_... stands for fault N of the seven; those of the data pipeline, of training and of the model file are in
test_pipeline.py, test_training.py and test_export.py.
"""

import math
from dataclasses import replace

import pytest
import torch
from small_yoto import MODES, PAPER_LIKE, TINY, pictures, shut, tiny
from torch.nn import functional as F

from iqassay.systems.yoto import YOTO, ChannelAttention, HierarchicalAttention, YOTOConfig, cut, paste

# ------------------------------------------------------------------------------------------- the faults of the release


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
    tokens, outputs = net.tokens(net.encode(x)), {}
    assert list(net.sda) == ["01", "02", "03", "12", "13", "23"]
    for norm, pair in zip(net.merge[4:], net.sda, strict=True):
        norm.register_forward_pre_hook(lambda _, maps, pair=pair: outputs.update({pair: maps[0]}))

    def said(tokens):
        net.merged(tokens, tokens, torch.zeros(()))
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


@MODES
@torch.no_grad()
def test_score_and_map_are_the_heads(paired):
    net, (x, r) = tiny(), pictures()
    tokens, other = net.tokens(net.encode(x)), net.tokens(net.encode(r if paired else x))
    cells = net.head(net.merged(tokens, other, torch.tensor(float(paired))))
    answer = net(x, r) if paired else net(x)
    torch.testing.assert_close(answer.score, (cells.quality * cells.weight).sum((1, 2)) / cells.weight.sum((1, 2)))
    torch.testing.assert_close(answer.quality_map[:, 0], cells.quality)
    assert not answer.extras


@torch.no_grad()
def test_normalisation_of_tokens_is_a_switch_of_its_own():
    """The paper's encoder ends its stages in one; without it the size of a level's maps reaches the tokens."""
    (x, _), louder = pictures(), {}
    for normalise in (True, False):
        net = tiny(normalise=normalise)
        pyramid = net.encode(x)
        before, after = net.tokens(pyramid)[3], net.tokens([3 * f for f in pyramid])[3]
        louder[normalise] = float((after - before).abs().max())
    assert louder[True] < 0.01 * louder[False]


@pytest.mark.slow
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
