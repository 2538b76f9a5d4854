"""What a network says of whole pictures: by onnxruntime and, as on a GPU, by torch."""

import numpy as np
import pytest
import torch

from iqassay.systems.dri import DRI, DRIConfig
from iqassay.training import whole_pass
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
