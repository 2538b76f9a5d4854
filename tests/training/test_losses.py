"""The losses: what is not known does not count, sets do not mix, and what is alike is pulled together."""

import pytest
import torch
from torch.nn import functional as F

from iqassay.training.losses import (
    SetScales,
    alike_by,
    consistency_loss,
    contrast_loss,
    damage_loss,
    kind_loss,
    label,
    ranking_loss,
    representation_loss,
    score_loss_by_content,
    semantic_loss,
    severity_loss,
)


def test_unknown_types_and_severities_do_not_count():
    logits, shares = torch.randn(3, 26, requires_grad=True), torch.full((3, 26), -1.0)
    shares[1] = 0
    shares[1, 4] = 1
    loss = kind_loss(logits, shares)
    torch.testing.assert_close(loss, -logits[1].log_softmax(0)[4])
    loss.backward()
    assert (logits.grad[[0, 2]] == 0).all()
    assert kind_loss(logits, torch.full((3, 26), -1.0)) == 0
    levels = torch.full((2, 25), -1.0)
    levels[0, 3] = 4
    assert severity_loss(torch.full((2, 25), 1.5), levels) == pytest.approx(2.5)
    assert severity_loss(torch.ones(2, 25), torch.full((2, 25), -1.0)) == 0


def test_ranking_stays_inside_a_set():
    target, dataset = torch.tensor([0.0, 1.0, 5.0, 9.0]), torch.tensor([0, 0, 1, 1])
    right, wrong = torch.tensor([0.0, 5.0, 0.0, 5.0]), torch.tensor([5.0, 0.0, 5.0, 0.0])
    assert ranking_loss(right, target, dataset) < 0.01 < ranking_loss(wrong, target, dataset)
    shifted = right + torch.tensor([100.0, 100.0, 0.0, 0.0])  # between sets there is nothing to compare
    torch.testing.assert_close(ranking_loss(shifted, target, dataset), ranking_loss(right, target, dataset))
    assert ranking_loss(right, torch.zeros(4), dataset) == 0


def test_what_a_content_has_in_common_is_forgiven_but_for_one_share():
    target, content = torch.zeros(6), torch.tensor([0, 0, 0, 0, 1, 2])
    offset = torch.tensor([3.0, 3, 3, 3, 0, 0])
    assert score_loss_by_content(offset, target, content) < 0.15 * F.smooth_l1_loss(offset, target, beta=0.5)
    within = torch.tensor([1.0, -1, 1, -1, 0, 0])  # inside a content nothing is
    torch.testing.assert_close(
        score_loss_by_content(within, target, content), F.smooth_l1_loss(within, target, beta=0.5)
    )


def test_set_scales_start_on_the_common_scale():
    scales = SetScales([(60.0, 20.0), (40.0, 20.0), (70.0, 5.0)])
    opinion = torch.tensor([80.0, 80.0, 70.0])
    standardised = (opinion - torch.tensor([60.0, 40.0, 70.0])) / torch.tensor([20.0, 20.0, 5.0])
    raw = (opinion - 60) / 20
    torch.testing.assert_close(scales(raw, torch.tensor([0, 1, 2])), standardised)


# ------------------------------------------------------------------------------------------------- DRI-IQA: labels


def one_type(kind, level):
    """Labels of a synthetic picture with one distortion; of type 25, with none."""
    shares, levels = torch.zeros(26), torch.full((25,), -1.0)
    shares[kind] = 1
    if kind < 25:
        levels[kind] = level
    return shares, levels


def test_a_label_is_the_one_distortion_and_its_level_none_or_unknown():
    chain, levels = one_type(3, 2.0)
    chain[[3, 8]], levels[8] = 0.5, 4.0
    unknown = torch.full((26,), -1.0), torch.full((25,), -1.0)
    rows = [one_type(3, 2.5), one_type(0, 5.0), one_type(25, 0), (chain, levels), unknown]
    found = label(*(torch.stack(column) for column in zip(*rows, strict=True)))
    torch.testing.assert_close(found[:3], torch.tensor([[3, 2.5], [0, 5.0], [25, 0]]))
    assert (found[3:, 0] == -1).all()
    assert label(one_type(3, -1.0)[0][None], one_type(3, -1.0)[1][None])[0, 0] == -1  # of no known level


def test_alike_is_one_type_at_about_one_level():
    labels = torch.tensor([[3, 2.0], [3, 2.7], [3, 2.8], [4, 2.0], [25, 0], [25, 0], [-1, 2.0], [-1, 2.0]])
    found = alike_by(labels, labels).int().tolist()
    assert found == [
        [1, 1, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0, 0],
        [0, 1, 1, 0, 0, 0, 0, 0],
        [0, 0, 0, 1, 0, 0, 0, 0],
        [0, 0, 0, 0, 1, 1, 0, 0],
        [0, 0, 0, 0, 1, 1, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],  # nothing is known to be like what is not known
        [0, 0, 0, 0, 0, 0, 0, 0],
    ]
    assert alike_by(labels[:2], labels).shape == (2, 8)


# ------------------------------------------------------------------------------------------------ DRI-IQA: contrast


def units(n, width=6, seed=0):
    return F.normalize(torch.randn(n, width, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_contrast_of_one_positive_each_is_cross_entropy():
    z, others, which = units(5), units(9, seed=1), torch.tensor([0, 4, 8, 4, 2])
    alike = F.one_hot(which, 9).bool()
    found = contrast_loss(z, others, alike, torch.zeros(5, 9, dtype=torch.bool))
    torch.testing.assert_close(found, F.cross_entropy(z @ others.T / 0.1, which))


def test_contrast_by_hand():
    z, others = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [1.0, 0.0]])
    alike, itself = (torch.tensor([row], dtype=torch.bool) for row in ([0, 1, 1, 0], [0, 0, 0, 1]))
    total = torch.tensor([1.0, 0.0, -1.0]).logsumexp(0)  # the picture itself is no other
    found = contrast_loss(z, others, alike, itself, temperature=1.0)
    torch.testing.assert_close(found, ((total - 0) + (total + 1)) / 2)  # the mean over its positives
    assert contrast_loss(z, others, torch.zeros_like(alike), itself) == 0


def test_contrast_pulls_the_alike_and_pushes_the_others():
    z, others = units(4).requires_grad_(), units(6, seed=1)
    alike, itself = torch.eye(4, 6, dtype=torch.bool), torch.eye(4, 6, dtype=torch.bool).roll(1, 1)
    contrast_loss(z, others, alike, itself).backward()
    assert torch.isfinite(z.grad).all()
    change = ((z - 0.01 * z.grad) @ others.T - z @ others.T).detach()
    assert (change[alike] > 0).all()
    assert change[~alike & ~itself].sum() < 0


# ------------------------------------------------------------------------------------ DRI-IQA: representation, in ratio


def test_representation_loss_by_hand():
    vectors = torch.tensor([[2.0, 0.0], [0.0, 1.0], [5.0, 5.0]])  # lengths do not matter
    others = torch.tensor([[3.0, 4.0], [1.0, 0.0], [-9.0, 0.0]])
    alike = torch.tensor([[1, 1, 0], [0, 0, 0], [1, 1, 1]], dtype=torch.bool)
    unlike = torch.tensor([[0, 0, 1], [1, 1, 1], [0, 0, 0]], dtype=torch.bool)
    # the first is 1.2 and 0 from those alike, 2 from the one unlike; the others lack one or the other
    assert representation_loss(vectors, others, alike, unlike) == pytest.approx((1.2 + 0) / 2 / 2)
    unlike[0, 0] = True
    assert representation_loss(vectors, others, alike, unlike) == pytest.approx(0.6 / ((2 + 1.2) / 2))


def test_rows_without_both_do_not_count():
    vectors = units(3).requires_grad_()
    alike, unlike = torch.eye(3).roll(1, 1).bool(), torch.zeros(3, 3, dtype=torch.bool)
    assert representation_loss(vectors, units(3, seed=1), alike, unlike) == 0
    unlike[1, 0] = True
    loss = representation_loss(vectors, units(3, seed=1), alike, unlike)
    assert loss > 0
    loss.backward()
    assert vectors.grad.any(1).tolist() == [False, True, False]


def test_representation_loss_pulls_and_pushes():
    vectors, others = units(1).requires_grad_(), units(2, seed=1)
    alike, unlike = (torch.tensor([row], dtype=torch.bool) for row in ([1, 0], [0, 1]))

    def distances(v):
        return (F.normalize(v, dim=1) - others).abs().sum(1)

    representation_loss(vectors, others, alike, unlike).backward()
    near, far = (distances(vectors - 0.01 * vectors.grad) - distances(vectors)).tolist()
    assert near < 0 < far


def test_semantic_loss_of_quality_stays_inside_a_set():
    q, target = units(8), torch.tensor([0.0, 0.1, 2.0, 2.1]).repeat(2)
    sets, unknown = torch.tensor([0] * 4 + [1] * 4), torch.full((8, 2), -1.0)
    parts = [semantic_loss([q[rows]], target[rows], sets[rows], unknown[rows]) for rows in (slice(4), slice(4, 8))]
    torch.testing.assert_close(semantic_loss([q], target, sets, unknown), sum(parts) / 2)
    assert semantic_loss([q], target, torch.arange(8), unknown) == 0  # nothing to compare in a set of one
    assert semantic_loss([q], torch.arange(8) * 0.5, sets, unknown) == 0  # and nobody of about one opinion


def test_semantic_loss_of_degradation_asks_for_the_type_and_of_quality_for_the_opinion():
    q, d, sets = units(4), units(4, seed=1).requires_grad_(), torch.zeros(4, dtype=torch.long)
    target = torch.arange(4) * 0.3  # no two alike, nor far apart
    labels = torch.tensor([[3, 2.0], [3, 2.1], [7, 2.0], [-1, 2.0]])
    loss = semantic_loss([q, d], target, sets, labels)
    loss.backward()
    assert d.grad.any(1).tolist() == [True, True, True, False]  # the last is of no known type
    known = alike_by(labels[:3], labels[:3])
    want = representation_loss(d[:3], d[:3], known & ~torch.eye(3, dtype=torch.bool), ~known)
    torch.testing.assert_close(loss, want)
    assert semantic_loss([q], target, sets, labels) == 0  # without the second vector, nothing is asked of it


def similarities(v):
    v = F.normalize(v, dim=1)
    return v @ v.T


def test_consistency_by_hand():
    q = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])  # similarities 1, 0, 0
    d = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 3.0]])  # 0, 0, 1
    counts = torch.tensor([[0, 1, 1], [0, 0, 1], [0, 0, 0]], dtype=torch.bool)
    assert consistency_loss(q, d, counts) == pytest.approx((1 + 0 + 1) / 3)
    assert consistency_loss(q, d, counts & ~counts) == 0
    assert consistency_loss(q, 5 * q, counts) == pytest.approx(0, abs=1e-6)


def test_semantic_loss_ties_the_two_vectors_where_opinions_and_types_agree():
    """There was no term between them: each was pulled and pushed by itself."""
    q, d, sets = units(6), units(6, seed=1).requires_grad_(), torch.tensor([0, 0, 0, 0, 0, 1])
    target = torch.tensor([0.0, 0.1, 2.0, 2.1, 2.2, 2.0])
    labels = torch.tensor([[3, 2.0], [3, 2.1], [7, 2.0], [3, 2.0], [-1, -1], [7, 2.0]])
    wanted = {(0, 1), (0, 2), (1, 2), (0, 4), (1, 4), (2, 4), (3, 4)}  # not: alike in one and unlike in the other
    apart = (similarities(q) - similarities(d)).abs()
    tie = torch.stack([apart[pair] for pair in wanted]).mean()
    itself, known = torch.eye(6, dtype=torch.bool), (labels[:, 0] >= 0)
    alike = alike_by(labels, labels) & ~itself
    own = representation_loss(d, d, alike, ~alike & ~itself & known[:, None] & known[None, :])
    torch.testing.assert_close(
        semantic_loss([q, d], target, sets, labels), semantic_loss([q], target, sets, labels) + own + tie
    )
    tie.backward()
    pulled = d - 0.01 * d.grad
    closer = (similarities(q) - similarities(pulled)).abs()
    assert torch.stack([closer[pair] for pair in wanted]).mean() < tie


def test_the_map_of_a_damaged_part_is_pulled_down_there_and_up_elsewhere():
    local = torch.zeros(3, 1, 2, 2, requires_grad=True)
    damaged = torch.full((3, 2, 2), -1.0)  # nothing is known of the last one
    damaged[0] = torch.tensor([[1.0, 0], [0, 0.5]])
    damaged[1] = 1  # all of it: nothing to tell apart
    loss = damage_loss(local, damaged)
    torch.testing.assert_close(loss, 2 * torch.log(torch.tensor(2.0)))
    loss.backward()
    down = local.grad[0, 0]
    assert down[0, 0] > 0 > down[0, 1]
    assert (local.grad[1:] == 0).all()
    assert damage_loss(local, torch.full((3, 2, 2), -1.0)) == 0
    told = torch.tensor([[[[-2.0, 2], [2, 0]]]])
    assert damage_loss(told, damaged[:1]) < 0.1 < damage_loss(-told, damaged[:1])
