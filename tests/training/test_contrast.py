"""The contrast that the degradation encoder learns by, and the degradations that are known by name."""

import numpy as np
import torch
from torch.nn import functional as F

from iqassay.systems.degradation import DegradationEncoder
from iqassay.systems.dri import DRI, DRIConfig
from iqassay.training import degradation
from iqassay.training.recipes import smoke


def test_known_degradations_are_the_mean_of_their_pictures_by_type_and_level():
    torch.manual_seed(0)
    net = DRI(DRIConfig("van_tiny", vector=6, width=8, pretrained=False))
    d = np.random.default_rng(0).normal(size=(6, 6)).astype(np.float32)
    labels = np.array([[3, 1.6], [3, 2.4], [3, 4.0], [25, 0.0], [25, 0.0], [-1, 2.0]], np.float32)
    found = degradation.known_degradations(net, d, labels)
    with torch.no_grad():
        z = net.degradation.embed(torch.from_numpy(d))
    want = torch.zeros(126, 128)
    want[5 * 3 + 1], want[5 * 3 + 3], want[125] = z[:2].mean(0), z[2], z[3:5].mean(0)
    torch.testing.assert_close(found, F.normalize(want, dim=1))


def test_the_encoder_learns_to_tell_types_apart_and_says_how_well(monkeypatch):
    """Types that are told by a few numbers each, among many that say nothing."""
    monkeypatch.setattr(degradation, "STEPS", 100)
    torch.manual_seed(0)
    encoder, count = DegradationEncoder((4, 4), 16), 1200
    labels = torch.stack([torch.arange(count) % 4, torch.full((count,), 3)], 1).float()
    statistics = torch.randn(count, encoder.vector.in_features)
    for kind in range(4):
        statistics[labels[:, 0] == kind, 8 * kind : 8 * kind + 8] += 2
    labels[::8] = -1  # chains
    before = {name: p.clone() for name, p in encoder.named_parameters()}
    sets = [
        degradation.Degraded(statistics, labels, 1000, 0.8),
        degradation.Degraded(statistics[:60], labels[:60], 60, 0.2),
    ]
    z = encoder.embed(encoder.eval().of(statistics[1000:]))
    assert degradation.retrieval(z, labels[1000:]) < 0.7
    assert degradation.fit_degradation(smoke(system="dri", stage="restoration", synthetic=["."]), encoder, sets) > 0.9
    assert all(not torch.equal(p, before[name]) for name, p in encoder.named_parameters())
    assert not encoder.training


def test_retrieval_asks_the_pictures_with_one_type():
    z = F.normalize(torch.tensor([[1, 0.1], [1, 0.0], [0, 1.0], [0.1, 1], [1, 0.05]]), dim=1)
    labels = torch.tensor([[3, 1], [3, 5], [4, 1], [5, 1], [-1, 1]])
    assert (
        degradation.retrieval(z, labels) == 0.5
    )  # the first two find each other, the next two a picture of another type
