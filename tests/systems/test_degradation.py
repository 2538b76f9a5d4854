"""The degradation encoder of DRI-IQA, and the plain statistics that it is made of."""

import numpy as np
import pytest
import torch
from conftest import make_photo
from torch.nn import functional as F

from iqassay.data.distortions import distort
from iqassay.systems.degradation import STATISTICS, DegradationEncoder, plain_statistics


def photo(seed=0, side=128):
    return torch.from_numpy(np.asarray(make_photo(side, side, seed), np.float32)).permute(2, 0, 1)[None]


@pytest.mark.parametrize("size", [(64, 64), (64, 96), (128, 32)])
def test_plain_statistics_of_any_size(size):
    said = plain_statistics(torch.rand(2, 3, *size))
    assert said.shape == (2, STATISTICS)
    assert said.isfinite().all()
    assert plain_statistics(torch.zeros(1, 3, *size)).isfinite().all()


def test_plain_statistics_say_what_was_done_more_than_what_is_shown():
    """Two photos with blocks of JPEG are nearer to each other, in what blocks change, than to themselves without."""

    def blocky(x):
        pixels = x[0].permute(1, 2, 0).numpy()
        made = distort(pixels, "jpeg", 4, np.random.default_rng(0))
        return torch.from_numpy(np.ascontiguousarray(made)).permute(2, 0, 1)[None]

    for seed in (0, 1):
        x = photo(seed)
        steps = [plain_statistics(picture)[0, [-4, -2]] for picture in (x, blocky(x))]
        assert (steps[1] > steps[0] + 0.2).all()  # across and down
        moved = plain_statistics(blocky(x).roll((3, 5), (2, 3)))[0, [-4, -2]]
        torch.testing.assert_close(moved, steps[1], atol=0.3, rtol=0)  # wherever the grid lies


@torch.no_grad()
def test_the_degradation_encoder_sees_statistics_and_not_places():
    torch.manual_seed(0)
    encode, x = DegradationEncoder((5,), 6).eval(), torch.rand(1, 3, 64, 64)
    pooled = torch.rand(1, 10)
    torch.testing.assert_close(encode.embed(encode(x, pooled)).norm(dim=1), torch.ones(1))

    def moved(other):  # of a large picture, so that its borders do not count for much
        return float((encode(other.repeat(1, 1, 4, 4), pooled) - encode(x.repeat(1, 1, 4, 4), pooled)).norm())

    assert moved(x.roll((16, 24), (2, 3))) < 0.1 * moved(F.avg_pool2d(x, 3, 1, 1))
