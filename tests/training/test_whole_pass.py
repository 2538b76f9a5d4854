"""What a network says of whole pictures: by onnxruntime and, as on a GPU, by torch."""

import numpy as np
import pytest
import torch

from iqassay.systems.dri import DRI, DRIConfig
from iqassay.training import whole_pass
from iqassay.training.cached_pass import keep
from iqassay.training.kept_pictures import Kept

pytestmark = pytest.mark.slow


def photo(height, width, seed):
    rng = np.random.default_rng(seed)
    return np.kron(rng.integers(40, 210, (height // 8, width // 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)


@pytest.mark.parametrize("together", [1, 2, 16])
def test_torch_says_what_onnxruntime_says_in_the_order_of_the_pictures(monkeypatch, together):
    """Pictures of one size go together if they follow each other, and no more than so many."""
    monkeypatch.setattr(whole_pass, "TOGETHER", together)
    torch.manual_seed(0)
    network = Kept(DRI(DRIConfig("van_tiny", vector=12, width=8, pretrained=False)).eval())
    sizes = [(64, 96), (64, 96), (64, 96), (96, 64), (64, 96)]
    pictures = [(photo(*size, k),) for k, size in enumerate(sizes)]
    said = [list(whole_pass.look(network, pictures)), list(whole_pass._by_torch(network, pictures, False, "cpu"))]
    assert [len(answers) for answers in said] == [5, 5]
    for ours, theirs in zip(*said, strict=True):
        assert [v.shape for v in ours] == [v.shape for v in theirs]
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, atol=2e-3 * max(1.0, float(np.abs(b).max())))
    assert np.abs(said[1][0][0] - said[1][1][0]).max() > 0.01  # of other pictures it says other things


def test_of_several_views_the_first_is_the_whole_and_the_others_lack_margins_and_are_always_the_same():
    ramp = np.zeros((240, 320, 3), np.uint8)
    ramp[..., 0] = np.linspace(0, 255, 320).astype(np.uint8)
    ramp[..., 1] = np.linspace(0, 255, 240).astype(np.uint8)[:, None]
    views = whole_pass.square_views(ramp, 5)
    assert views.shape == (5, 3, 224, 224)
    assert views.dtype == np.float32
    np.testing.assert_array_equal(views, whole_pass.square_views(ramp.copy(), 5))
    np.testing.assert_array_equal(views[:1], whole_pass.square_views(ramp))
    red = views[:, 0].mean(1)  # by column
    assert [bool(row[0] > row[-1]) for row in red] == [False, True, False, True, False]  # every second is mirrored
    left, right = red.min(1), red.max(1)
    assert left[0] < 0.01
    assert right[0] > 0.99
    seen = right - left
    assert ((seen[1:] >= 0.79) & (seen[1:] < 0.995)).all()  # a tenth at each side at the most
    assert len(np.unique(seen.round(4))) == 5


def test_what_is_said_of_several_views_lies_beside_each_other(tmp_path):
    class Mean(torch.nn.Module):
        def forward(self, square):
            return square.mean((2, 3)), square[:, 0, :6, :4]

    pictures = [(photo(64, 96, k),) for k in range(3)]
    mean, table = keep(tmp_path / "kept", Mean(), pictures, 2, square=True, views=4)
    assert mean.shape == (3, 4, 3)
    assert table.shape == (3, 4, 2, 4)
    for k, (picture,) in enumerate(pictures):
        want = whole_pass.square_views(picture, 4)
        np.testing.assert_allclose(mean[k], want.mean((2, 3)), atol=1e-3)
        np.testing.assert_allclose(table[k], want[:, 0, [0, 5], :4], atol=1e-3)
