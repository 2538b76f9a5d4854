"""The distance of two pictures: nothing where they are the same, more with any difference, lenient with texture."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.fft import dctn
from torch.nn import functional as F

from iqassay.systems.distance import PLAIN, Distance, plain_maps

CHANNELS = (4, 6, 8, 10)
SIDES = (8, 8, 4, 2, 1)  # pixels of a cell at each level, the plain maps first


def pyramid(seed=0, batch=2, rows=2, columns=3):
    """Random maps of a picture of 64x96 pixels."""
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(batch, c, rows * s, columns * s, generator=generator)
        for c, s in zip((PLAIN, *CHANNELS), SIDES, strict=True)
    ]


def network(trained=False):
    torch.manual_seed(0)
    distance = Distance(CHANNELS).eval()
    if trained:  # as training may leave it: weights of either sign
        for parameter in distance.parameters():
            torch.nn.init.normal_(parameter)
    return distance


def far(distance, x, reference):
    return distance(distance.differences(x, reference))


@pytest.mark.parametrize("trained", [False, True])
def test_equal_pyramids_are_at_exactly_zero(trained):
    distance, maps = network(trained), pyramid()
    differences = distance.differences(maps, [f.clone() for f in maps])
    assert differences.shape == (2, 6, 3 * (PLAIN + 4 + 6 + 8) + 10)
    assert (differences == 0).all()
    assert (distance(differences) == 0).all()


@pytest.mark.parametrize("flat", [False, True])
def test_gradient_at_identity_is_zero_and_finite(flat):
    distance = network(trained=True)
    x = [(torch.zeros_like(f) if flat else f).requires_grad_() for f in pyramid()]
    far(distance, x, [f.detach() for f in x]).sum().backward()
    assert all((f.grad == 0).all() for f in x)  # which NaN is not
    for parameter in distance.parameters():
        torch.testing.assert_close(parameter.grad, torch.zeros_like(parameter), rtol=0, atol=1e-4)


def test_gradient_near_identity_is_finite_and_points_away():
    distance, reference = network(), pyramid()
    x = [(f + 1e-3 * g).requires_grad_() for f, g in zip(reference, pyramid(1), strict=True)]
    far(distance, x, reference).sum().backward()
    assert all(torch.isfinite(f.grad).all() for f in x)
    assert sum(float((f.grad * (f - r)).detach().sum()) for f, r in zip(x, reference, strict=True)) > 0


@pytest.mark.parametrize("trained", [False, True])
def test_more_of_any_difference_never_brings_pictures_closer(trained):
    distance = network(trained)
    differences = 1.4 * torch.rand(4, 5, distance.direct.numel())
    differences.requires_grad_()
    found = distance(differences)
    assert (found > 0).all()
    found.sum().backward()
    assert (differences.grad >= 0).all()
    grown = [distance(differences.detach() * k) for k in (0, 0.25, 0.5, 1, 1.5)]
    assert all((b >= a).all() for a, b in pairwise(grown))


def test_cells_are_judged_one_by_one():
    distance, reference = network(), pyramid()
    x = [f.clone() for f in reference]
    for f, side in zip(x, SIDES, strict=True):
        f[0, :, :side, side : 2 * side] += 1  # the second of six cells
    found = far(distance, x, reference)
    assert (found[0] > 0).tolist() == [False, True, False, False, False, False]
    assert (found[1] == 0).all()


def test_texture_put_elsewhere_costs_less_than_texture_lost():
    """DISTS: grass may be other grass, but not a flat green. Means are the same in all three."""
    distance, reference = network(), pyramid(rows=1, columns=1, batch=1)
    moved, lost = [], []
    for f in reference:
        places = torch.randperm(f[0, 0].numel())
        moved.append(f.flatten(2)[:, :, places].reshape(f.shape))
        lost.append(F.avg_pool2d(f, f.shape[-1]).expand(f.shape))
    assert 0 < far(distance, moved, reference) < 0.8 * far(distance, lost, reference)
    texture = distance.differences(moved, reference)[
        0, 0, PLAIN : 2 * PLAIN
    ]  # means, then deviations, of the plain maps
    assert texture.abs().max() < 1e-4


def test_ordinary_mean_and_deviation_are_learned_from_references_in_training_alone():
    distance, x, reference = network(), pyramid(1), [3 + 2 * f for f in pyramid(0)]
    distance.differences(x, reference)
    assert (distance.mean == 0).all()
    distance.train().differences(x, reference)
    torch.testing.assert_close(distance.mean, torch.cat([f.mean((0, 2, 3)) for f in reference]))
    torch.testing.assert_close(distance.energy, torch.cat([f.var((0, 2, 3)) for f in reference]), rtol=1e-4, atol=1e-4)
    for _ in range(3):  # the same again changes nothing
        distance.differences(x, reference)
    torch.testing.assert_close(distance.mean, torch.cat([f.mean((0, 2, 3)) for f in reference]))


def test_unit_of_a_channel_does_not_matter_once_it_is_known():
    x, reference = pyramid(1), pyramid(0)
    found = []
    for scale in (1, 100):
        distance = network().train()
        found.append(far(distance, [scale * f for f in x], [scale * f for f in reference]))
    torch.testing.assert_close(found[0], found[1], rtol=1e-3, atol=1e-4)


def test_an_empty_batch_is_an_empty_answer():
    distance, maps = network(), [f[:0] for f in pyramid()]
    assert far(distance, maps, maps).shape == (0, 6)


def test_plain_maps_are_the_dct_of_luma_and_the_chroma():
    x = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    maps = plain_maps(x).numpy()
    assert maps.shape == (2, PLAIN, 16, 24)
    r, g, b = x[1].numpy()
    luma = 0.299 * r + 0.587 * g + 0.114 * b
    for i, j in ((1, 1), (5, 20), (14, 22)):  # a block begins two pixels before its place, so that they overlap by half
        block = luma[4 * i - 2 : 4 * i + 6, 4 * j - 2 : 4 * j + 6]
        np.testing.assert_allclose(maps[1, :64, i, j].reshape(8, 8), dctn(block, norm="ortho"), atol=1e-5)
        part = (slice(4 * i, 4 * i + 4), slice(4 * j, 4 * j + 4))
        blue, red = ((c[part] - luma[part]).mean() for c in (b, r))
        np.testing.assert_allclose(maps[1, 64:, i, j], [0.5 * blue / 0.886, 0.5 * red / 0.701], atol=1e-3)
    gray = plain_maps(torch.full((1, 3, 64, 64), 0.5))
    torch.testing.assert_close(gray[:, 1:], torch.zeros(1, PLAIN - 1, 16, 16), atol=1e-5, rtol=0)
