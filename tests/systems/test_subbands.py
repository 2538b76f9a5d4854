"""The difference of DCT subbands: 0 with a gradient of 0 where pictures are the same, more for more, and forgiving."""

import numpy as np
import torch
from conftest import make_photo
from scipy import ndimage

from iqassay.measures.classical import dss
from iqassay.systems.subbands import subband_difference

PHOTO = (255 * make_photo(104, 136)).round().astype(np.uint8)


def tensor(pixels):
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255


def blurred(sigma):
    return ndimage.gaussian_filter(PHOTO, (sigma, sigma, 0))


def noisy(deviation):
    noise = np.random.default_rng(1).normal(0, deviation, PHOTO.shape)
    return np.clip(PHOTO + noise, 0, 255).round().astype(np.uint8)


def test_more_noise_and_less_detail_differ_more_and_all_of_it_is_below_one():
    def apart(*others):
        return [float(subband_difference(tensor(other), tensor(PHOTO))[0]) for other in others]

    assert 0 < apart(noisy(2))[0] < apart(noisy(8))[0] < apart(noisy(30))[0] < 1
    assert apart(PHOTO)[0] < apart(blurred(1))[0] < apart(blurred(3))[0] < 1
    assert apart(np.full_like(PHOTO, 128))[0] > 0.8


def test_it_forgives_a_displacement_that_the_measure_punishes():
    moved, kept = PHOTO[:, 1:129], PHOTO[:, :128]
    assert float(subband_difference(tensor(moved), tensor(kept))[0]) < 0.5 * (1 - dss(moved, kept))


def test_it_is_nothing_with_a_gradient_of_nothing_where_pictures_are_the_same():
    for reference in (tensor(PHOTO), torch.full((1, 3, 64, 64), 0.5)):
        x = reference.clone().requires_grad_()
        found = subband_difference(x, reference)
        found.sum().backward()
        assert found.item() == 0
        assert (x.grad == 0).all()


def test_pictures_of_a_batch_are_compared_each_by_itself():
    pair = torch.cat([tensor(noisy(5)), tensor(noisy(30))])
    together = subband_difference(pair, tensor(PHOTO).expand(2, -1, -1, -1))
    alone = torch.cat([subband_difference(one[None], tensor(PHOTO)) for one in pair])
    torch.testing.assert_close(together, alone)
